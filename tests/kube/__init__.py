"""A small Kubernetes API server for tests, spoken to by the real kubectl and the real helm.

It keeps objects in memory, refuses what a real server refuses, and plays the controllers and the kubelet of one node.
`cluster.py` is the front, and the only module that tests need; `fixtures.py` makes it a fixture:

    def test_a_broken_image_is_seen(cluster, kubectl, helm):
        cluster.pods("nginx:broken", then="image")
        assert cluster.run(helm, "install", "one", chart, "--set", "tag=broken").returncode == 0
        assert cluster.get("Deployment", "one-web")["status"]["unavailableReplicas"] == 1
        assert "ImagePullBackOff" in cluster.run(kubectl, "get", "pods").stdout
        cluster.fail("PATCH", "*/deployments/*", 409, times=1)
        ...
        assert [one.status for one in cluster.requests if one.method == "PATCH"] == [409, 200]

A request to `http.server` becomes a `Request` and a `Target`; `api.py` has a function per verb, which changes the
`Store`. Before the answer is sent, the controllers take step after step until nothing changes any more: so there is
nothing to wait for, unless a test has ordered it.
"""
