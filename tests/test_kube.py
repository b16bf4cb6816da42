"""The Kubernetes API of the tests in tests/kube, asked by the real kubectl."""

import json
from pathlib import Path

import pytest
import requests
from kube.cluster import Cluster

pytestmark = pytest.mark.thorough  # what `make test` needs of it, the tests of the suite would miss

CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def deployment(name="web", image="nginx:1", replicas=1, **spec):
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels}, "spec": spec}


def stateful_set(name="db", replicas=2, image="db:1", **spec):
    claims = [{"metadata": {"name": "data"}, "spec": CLAIM}]
    item = deployment(name, image, replicas, serviceName=name, volumeClaimTemplates=claims, **spec)
    return item | {"kind": "StatefulSet"}


def job(name="once", image="job:1", policy="Never", **spec):
    template = {"spec": {"restartPolicy": policy, "containers": [{"name": "main", "image": image}]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec}}


def daemon_set(name="agent"):
    item = deployment(name, "agent:1")
    del item["spec"]["replicas"]
    return item | {"kind": "DaemonSet"}


def config_map(name="settings", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def autoscaler(name="web"):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 3, "targetCPUUtilizationPercentage": 70}
    return {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec}


def definition():
    """Of a kind `Cactus` that did not exist."""
    columns = [{"name": "Height", "type": "integer", "jsonPath": ".spec.height"}]
    scale = {"specReplicasPath": ".spec.height", "statusReplicasPath": ".status.height"}
    version = {"name": "v1", "served": True, "storage": True, "additionalPrinterColumns": columns}
    names = {"kind": "Cactus", "plural": "cacti", "singular": "cactus", "shortNames": ["cc"]}
    spec = {"group": "desert.example", "scope": "Namespaced", "names": names}
    spec["versions"] = [version | {"subresources": {"status": {}, "scale": scale}}]
    identity = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return {**identity, "metadata": {"name": "cacti.desert.example"}, "spec": spec}


def cactus(name="prickly", height=2):
    item = {"apiVersion": "desert.example/v1", "kind": "Cactus"}
    return {**item, "metadata": {"name": name}, "spec": {"height": height}}


class Kubectl:
    """kubectl and the cluster that it speaks to."""

    def __init__(self, path: Path, cluster: Cluster) -> None:
        self.path, self.cluster = path, cluster

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """What it prints. It has to succeed."""
        result = self.cluster.run(self.path, *arguments, stdin=stdin)
        assert result.returncode == 0, result.stdout
        return result.stdout

    def fails(self, *arguments: str, stdin: str = "") -> str:
        """What it prints. It has to fail."""
        result = self.cluster.run(self.path, *arguments, stdin=stdin)
        assert result.returncode != 0, result.stdout
        return result.stdout

    def apply(self, *items: dict) -> str:
        return self("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    def value(self, path: str, *what: str) -> str:
        return self("get", *what, "-o", f"jsonpath={{{path}}}")

    def running(self, *arguments: str):
        return self.cluster.running(self.path, *arguments)


@pytest.fixture
def ctl(kubectl: Path, cluster: Cluster) -> Kubectl:
    return Kubectl(kubectl, cluster)


# ---- reading

READING = {
    "version": (["version"], "v1.24.17"),
    "kinds": (["api-resources"], "deployments"),
    "versions": (["api-versions"], "autoscaling/v2beta2"),
    "a table": (["get", "deployments"], "1/1     1            1"),
    "a wide table": (["get", "pods", "-o", "wide"], "Running"),
    "everything": (["get", "all"], "replicaset.apps/web-"),
    "all namespaces": (["get", "deploy", "-A"], "default     web"),
    "names": (["get", "deploy", "-o", "name"], "deployment.apps/web"),
    "yaml": (["get", "deploy", "web", "-o", "yaml"], "progressDeadlineSeconds: 600"),
    "a label": (["get", "deploy", "-l", "app=web"], "web"),
    "a set of labels": (["get", "deploy", "-l", "app in (web,db),!old"], "web"),
    "another label": (["get", "deploy", "-l", "app!=web"], "No resources found"),
    "a field": (["get", "pods", "--field-selector", "status.phase=Running"], "web-"),
    "another field": (["get", "pods", "--field-selector", "status.phase!=Running"], "No resources found"),
    "sorted": (["get", "deploy", "--sort-by", ".metadata.name"], "web"),
    "a description": (["describe", "deployment", "web"], "1 desired | 1 updated | 1 total | 1 available"),
    "a pod's description": (["describe", "pods"], "Controlled By:  ReplicaSet/web-"),
    "rights": (["auth", "can-i", "create", "pods"], "yes"),
    "history": (["rollout", "history", "deployment/web"], "REVISION"),
}


@pytest.mark.parametrize("what", READING)
def test_kubectl_reads(what: str, ctl: Kubectl, cluster: Cluster) -> None:
    arguments, expected = READING[what]
    cluster.put(deployment())
    assert expected in ctl(*arguments)


def test_every_kind_can_be_listed(ctl: Kubectl) -> None:
    kinds = ctl("api-resources", "--verbs=list", "-o", "name").split()
    assert len(kinds) > 30
    assert "No resources found" not in ctl("get", ",".join(kinds), "-A", "--ignore-not-found")


def test_a_new_cluster_has_its_namespaces_a_node_and_nothing_else(ctl: Kubectl) -> None:
    assert ctl.value(".items[*].metadata.name", "ns") == "default kube-node-lease kube-public kube-system"
    assert ctl.value(".items[*].metadata.name", "nodes") == "node-1"
    assert ctl("get", "sa", "-o", "name") == "serviceaccount/default\n"
    assert "No resources found" in ctl("get", "all,cm,secrets,pvc,ing", "-A")


def test_an_object_can_be_read_in_every_version_of_its_kind(ctl: Kubectl) -> None:
    ctl.apply(deployment(replicas=2), autoscaler())
    paths = {
        "v1": ".spec.targetCPUUtilizationPercentage",
        "v2": ".spec.metrics[0].resource.target.averageUtilization",
        "v2beta2": ".spec.metrics[0].resource.target.averageUtilization",
    }
    for version, path in paths.items():
        assert ctl.value(path, f"horizontalpodautoscalers.{version}.autoscaling", "web") == "70"


# ---- writing

WRITING = {
    "apply": (["apply", "-f", "-"], config_map(a="b"), "configmap/settings created"),
    "create": (["create", "-f", "-"], config_map(a="b"), "configmap/settings created"),
    "create a namespace": (["create", "namespace", "x"], None, "namespace/x created"),
    "create a secret": (["create", "secret", "generic", "x", "--from-literal=a=b"], None, "secret/x created"),
    "create a config map": (["create", "configmap", "x", "--from-literal=a=b"], None, "configmap/x created"),
    "create a deployment": (["create", "deployment", "x", "--image=x"], None, "deployment.apps/x created"),
    "create a service account": (["create", "serviceaccount", "x"], None, "serviceaccount/x created"),
    "create a job": (["create", "job", "x", "--image=x", "--", "sleep", "1"], None, "job.batch/x created"),
    "run": (["run", "x", "--image=x"], None, "pod/x created"),
    "replace": (["replace", "-f", "-"], deployment(replicas=2), "deployment.apps/web replaced"),
    "scale": (["scale", "deploy/web", "--replicas=3"], None, "deployment.apps/web scaled"),
    "label": (["label", "deploy/web", "a=b"], None, "deployment.apps/web labeled"),
    "annotate": (["annotate", "deploy/web", "a=b"], None, "deployment.apps/web annotated"),
    "set an image": (["set", "image", "deploy/web", "main=nginx:2"], None, "deployment.apps/web image updated"),
    "set an environment": (["set", "env", "deploy/web", "A=b"], None, "deployment.apps/web env updated"),
    "restart": (["rollout", "restart", "deploy/web"], None, "deployment.apps/web restarted"),
    "pause": (["rollout", "pause", "deploy/web"], None, "deployment.apps/web paused"),
    "apply on the server": (
        ["apply", "--server-side", "-f", "-"],
        config_map(a="b"),
        "configmap/settings serverside-applied",
    ),
    "delete": (["delete", "deployment", "web"], None, 'deployment.apps "web" deleted'),
    "delete by label": (["delete", "deployment", "-l", "app=web"], None, 'deployment.apps "web" deleted'),
    "delete all": (["delete", "deployment", "--all"], None, 'deployment.apps "web" deleted'),
}


@pytest.mark.parametrize("what", WRITING)
def test_kubectl_can(what: str, ctl: Kubectl, cluster: Cluster) -> None:
    arguments, body, expected = WRITING[what]
    cluster.put(deployment())
    assert expected in ctl(*arguments, stdin=json.dumps(body) if body else "")


DRY = ["apply", "create", "scale", "label", "delete"]


@pytest.mark.parametrize("what", DRY)
def test_a_dry_run_changes_nothing(what: str, ctl: Kubectl, cluster: Cluster) -> None:
    arguments, body, _ = WRITING[what]
    cluster.put(deployment())
    before = cluster.state.store.version
    ctl(*arguments, "--dry-run=server", stdin=json.dumps(body) if body else "")
    assert cluster.state.store.version == before


def test_applying_less_removes_what_was_applied_before_and_keeps_what_others_set(
    ctl: Kubectl, cluster: Cluster
) -> None:
    ctl.apply(config_map(a="1", b="2"))
    cluster.patch("ConfigMap", "settings", {"data": {"theirs": "3"}})
    ctl.apply(config_map(a="1"))
    assert cluster.get("ConfigMap", "settings")["data"] == {"a": "1", "theirs": "3"}


def test_applying_less_on_the_server_does_the_same(ctl: Kubectl, cluster: Cluster) -> None:
    ctl("apply", "--server-side", "-f", "-", stdin=json.dumps(config_map(a="1", b="2")))
    cluster.patch("ConfigMap", "settings", {"data": {"theirs": "3"}})
    ctl("apply", "--server-side", "-f", "-", stdin=json.dumps(config_map(a="1")))
    assert cluster.get("ConfigMap", "settings")["data"] == {"a": "1", "theirs": "3"}


CONTAINERS = ".spec.template.spec.containers"
PATCHES = {
    "a merge patch": ("merge", {"spec": {"replicas": 0}}, ".spec.replicas", "0"),
    "a merge patch that removes": ("merge", {"metadata": {"labels": {"app": None}}}, ".metadata.labels", ""),
    "a merge patch of a list": (
        "merge",
        {"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "c"}]}}}},
        f"{CONTAINERS}[*].name",
        "b",
    ),
    "a JSON patch": ("json", [{"op": "replace", "path": "/spec/replicas", "value": 0}], ".spec.replicas", "0"),
    "a JSON patch of an escaped key": (
        "json",
        [{"op": "add", "path": "/metadata/annotations", "value": {}}]
        + [{"op": "add", "path": "/metadata/annotations/a~1b", "value": "c"}],
        ".metadata.annotations.a/b",
        "c",
    ),
    "a JSON patch that tests, copies and removes": (
        "json",
        [{"op": "test", "path": "/spec/replicas", "value": 1}]
        + [{"op": "copy", "from": "/metadata/labels/app", "path": "/metadata/labels/also"}]
        + [{"op": "remove", "path": "/metadata/labels/app"}],
        ".metadata.labels.also",
        "web",
    ),
    "a strategic patch of one container": (
        "strategic",
        {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "x:2"}]}}}},
        f"{CONTAINERS}[*].image",
        "x:2",
    ),
    "a strategic patch that adds a container": (
        "strategic",
        {"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "x"}]}}}},
        f"{CONTAINERS}[*].name",
        "main b",
    ),
    "a strategic patch that replaces a list": (
        "strategic",
        {"spec": {"template": {"spec": {"containers": [{"$patch": "replace"}, {"name": "b", "image": "x"}]}}}},
        f"{CONTAINERS}[*].name",
        "b",
    ),
    "a strategic patch in an order": (
        "strategic",
        {
            "spec": {
                "template": {
                    "spec": {
                        "$setElementOrder/containers": [{"name": "b"}, {"name": "main"}],
                        "containers": [{"name": "b", "image": "x"}],
                    }
                }
            }
        },
        f"{CONTAINERS}[*].name",
        "b main",
    ),
    "a strategic patch that keeps only some keys": (
        "strategic",
        {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
        ".spec.strategy",
        '{"type":"Recreate"}',
    ),
    "a strategic patch that deletes": (
        "strategic",
        {
            "spec": {
                "template": {
                    "spec": {"containers": [{"name": "main", "ports": [{"containerPort": 80, "$patch": "delete"}]}]}
                }
            }
        },
        f"{CONTAINERS}[0].ports",
        "[]",
    ),
}


@pytest.mark.parametrize("what", PATCHES)
def test_kubectl_sends(what: str, ctl: Kubectl, cluster: Cluster) -> None:
    kind, patch, path, expected = PATCHES[what]
    cluster.put(deployment())
    ctl("patch", "deployment", "web", f"--type={kind}", "-p", json.dumps(patch))
    assert ctl.value(path, "deploy", "web") == expected


def test_only_a_changed_spec_is_a_new_generation_and_only_a_change_a_new_version(
    ctl: Kubectl, cluster: Cluster
) -> None:
    def count():
        metadata = cluster.get("Deployment", "web")["metadata"]
        return metadata["generation"], metadata["resourceVersion"]

    cluster.put(deployment())
    generation, version = count()
    ctl("label", "deploy/web", "app=web", "--overwrite")
    assert count() == (generation, version)
    ctl("label", "deploy/web", "a=b")
    assert count()[0] == generation
    assert count()[1] > version
    ctl("scale", "deploy/web", "--replicas=2")
    assert count()[0] == generation + 1
    assert cluster.get("Deployment", "web")["status"]["observedGeneration"] == generation + 1


# ---- refusals

API = "/api/v1/namespaces/default"
APPS = "/apis/apps/v1/namespaces/default"
MERGE = "application/merge-patch+json"
NO_IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "main"}]}}}}

REFUSALS = {
    "an object that is not there": (
        "GET",
        f"{APPS}/deployments/x",
        None,
        404,
        "NotFound",
        'deployments.apps "x" not found',
    ),
    "a kind that is not there": (
        "GET",
        f"{APPS}/things",
        None,
        404,
        "NotFound",
        "could not find the requested resource",
    ),
    "a group that is not there": ("GET", "/apis/nowhere/v1", None, 404, "NotFound", "could not find"),
    "a namespace that is not there": (
        "POST",
        "/api/v1/namespaces/x/configmaps",
        config_map(),
        404,
        "NotFound",
        'namespaces "x" not found',
    ),
    "an object that is there already": (
        "POST",
        f"{APPS}/deployments",
        deployment(),
        409,
        "AlreadyExists",
        'deployments.apps "web" already exists',
    ),
    "an outdated version": (
        "PATCH",
        f"{APPS}/deployments/web",
        {"metadata": {"resourceVersion": "1"}},
        409,
        "Conflict",
        "please apply your changes to the latest version",
    ),
    "no name": ("POST", f"{API}/configmaps", {"metadata": {}}, 422, "Invalid", "name or generateName is required"),
    "a bad name": (
        "POST",
        f"{API}/configmaps",
        config_map("Bad_Name"),
        422,
        "Invalid",
        "a lowercase RFC 1123 subdomain",
    ),
    "another name than the path's": (
        "PUT",
        f"{APPS}/deployments/web",
        deployment("other"),
        400,
        "BadRequest",
        "does not match the name on the URL",
    ),
    "another kind than the path's": (
        "POST",
        f"{API}/configmaps",
        deployment(),
        400,
        "BadRequest",
        "Deployment, apps/v1",
    ),
    "a bad label": (
        "PATCH",
        f"{APPS}/deployments/web",
        {"metadata": {"labels": {"a": "b!"}}},
        422,
        "Invalid",
        "a valid label must be an empty string or consist of",
    ),
    "a long label": (
        "PATCH",
        f"{APPS}/deployments/web",
        {"metadata": {"labels": {"a": "b" * 64}}},
        422,
        "Invalid",
        "must be no more than 63 characters",
    ),
    "a number for a label": (
        "PATCH",
        f"{APPS}/deployments/web",
        {"metadata": {"labels": {"a": 1}}},
        400,
        "BadRequest",
        "cannot unmarshal number into Go struct field .metadata.labels.a of type string",
    ),
    "a text for a count": (
        "PATCH",
        f"{APPS}/deployments/web",
        {"spec": {"replicas": "2"}},
        400,
        "BadRequest",
        "cannot unmarshal string into Go struct field .spec.replicas of type int32",
    ),
    "a number for an environment variable": (
        "PATCH",
        f"{APPS}/deployments/web",
        {
            "spec": {
                "template": {"spec": {"containers": [{"name": "a", "image": "b", "env": [{"name": "A", "value": 1}]}]}}
            }
        },
        400,
        "BadRequest",
        "containers[0].env[0].value",
    ),
    "a number for data": (
        "POST",
        f"{API}/configmaps",
        config_map("x", a=1),
        400,
        "BadRequest",
        ".data.a of type string",
    ),
    "less than nothing": ("PATCH", f"{APPS}/deployments/web", {"spec": {"replicas": -1}}, 422, "Invalid", "equal to 0"),
    "no image": ("PATCH", f"{APPS}/deployments/web", NO_IMAGE, 422, "Invalid", "containers[0].image: Required value"),
    "another selector": (
        "PUT",
        f"{APPS}/deployments/web",
        json.loads(json.dumps(deployment()).replace('"app": "web"', '"app": "x"')),
        422,
        "Invalid",
        "spec.selector: Invalid value: {'matchLabels': {'app': 'x'}}: field is immutable",
    ),
    "a selector for other pods": (
        "PATCH",
        f"{APPS}/deployments/web",
        {"spec": {"template": {"metadata": {"labels": {"app": "x"}}}}},
        422,
        "Invalid",
        "`selector` does not match template `labels`",
    ),
    "another template for a job": (
        "PATCH",
        "/apis/batch/v1/namespaces/default/jobs/once",
        {"spec": {"template": {"spec": {"serviceAccountName": "x"}}}},
        422,
        "Invalid",
        "field is immutable",
    ),
    "other claims for a stateful set": (
        "PATCH",
        f"{APPS}/statefulsets/db",
        {"spec": {"volumeClaimTemplates": []}},
        422,
        "Invalid",
        "updates to statefulset spec for fields other than",
    ),
    "another address for a service": (
        "PATCH",
        f"{API}/services/web",
        {"spec": {"clusterIP": "10.0.0.1"}},
        422,
        "Invalid",
        "may not change once set",
    ),
    "other data for what is immutable": (
        "PATCH",
        f"{API}/configmaps/frozen",
        {"data": {"a": "c"}},
        422,
        "Invalid",
        "field is immutable when `immutable` is set",
    ),
    "a smaller volume": (
        "PATCH",
        f"{API}/persistentvolumeclaims/data-db-0",
        {"spec": {"accessModes": ["ReadOnlyMany"]}},
        422,
        "Invalid",
        "spec is immutable after creation",
    ),
    "what is no JSON": ("POST", f"{API}/configmaps", "{", 400, "BadRequest", "json parse error"),
    "a method that makes no sense": ("POST", f"{API}/configmaps/frozen", {}, 405, "MethodNotAllowed", "does not allow"),
    "the end of the default namespace": (
        "DELETE",
        "/api/v1/namespaces/default",
        None,
        403,
        "Forbidden",
        "this namespace may not be deleted",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_the_server_refuses(what: str, cluster: Cluster) -> None:
    method, path, body, code, reason, message = REFUSALS[what]
    for item in (deployment(), stateful_set(), job(), config_map("frozen", a="b") | {"immutable": True}):
        cluster.put(item)
    cluster.put({"kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}})
    headers = {"Content-Type": MERGE if method == "PATCH" else "application/json"}
    content = body if isinstance(body, str) else json.dumps(body) if body is not None else None
    answer = requests.request(method, cluster.url + path, data=content, headers=headers, timeout=30)
    status = answer.json()
    assert (answer.status_code, status["code"], status["reason"]) == (code, code, reason)
    assert status["kind"] == "Status"
    assert message in status["message"]


def container(**fields):
    item = deployment("new")
    item["spec"]["template"]["spec"]["containers"] = [{"name": "main", "image": "x", **fields}]
    return item


def of_kind(kind, **spec):
    return {"kind": kind, "metadata": {"name": "new"}, "spec": spec}


TARGET = {"kind": "Deployment", "name": "web"}
INVALID = {
    "a deployment without containers": (
        deployment("new") | {"spec": {"selector": {}, "template": {}}},
        ["spec.selector: Required value", "spec.template.spec.containers: Required value"],
    ),
    "a container without a name": (container(name=""), ["containers[0].name: Required value"]),
    "a port out of range": (container(ports=[{"containerPort": 70000}]), ["must be between 1 and 65535"]),
    "a variable without a name": (container(env=[{"value": "x"}]), ["containers[0].env[0].name: Required value"]),
    "a mount of no volume": (
        container(volumeMounts=[{"name": "x", "mountPath": "/"}]),
        ['volumeMounts[0].name: Not found: "x"'],
    ),
    "a job that starts again for ever": (job("new", policy="Always"), ['Unsupported value: "Always"']),
    "a service without ports": (of_kind("Service"), ["spec.ports: Required value"]),
    "ports without names": (
        of_kind("Service", ports=[{"port": 1}, {"port": 2}]),
        ["spec.ports[0].name: Required value"],
    ),
    "an ingress to nowhere": (of_kind("Ingress"), ["either `defaultBackend` or `rules` must be specified"]),
    "a path of no type": (of_kind("Ingress", rules=[{"http": {"paths": [{}]}}]), ["pathType must be specified"]),
    "a claim of no size": (of_kind("PersistentVolumeClaim"), ["spec.accessModes", "spec.resources[storage]"]),
    "a cron job without a schedule": (of_kind("CronJob"), ["spec.schedule: Required value"]),
    "an autoscaler without bounds": (
        of_kind("HorizontalPodAutoscaler", scaleTargetRef=TARGET),
        ["must be greater than or equal to `minReplicas`"],
    ),
}


@pytest.mark.parametrize("what", INVALID)
def test_nobody_can_create(what: str, cluster: Cluster) -> None:
    item, messages = INVALID[what]
    kind = cluster.kind(item["kind"])
    prefix = f"/apis/{kind.api_version()}" if kind.group else "/api/v1"
    answer = requests.post(
        f"{cluster.url}{prefix}/namespaces/default/{kind.plural}",
        json=item | {"apiVersion": kind.api_version()},
        timeout=30,
    )
    assert answer.status_code == 422
    assert [one for one in messages if one not in answer.json()["message"]] == []
    assert cluster.find(item["kind"], "new") is None


def test_custom_resources_take_no_strategic_patch(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put({"kind": "postgresql", "metadata": {"name": "pg"}, "spec": {"numberOfInstances": 1}})
    change = '{"spec": {"numberOfInstances": 0}}'
    assert "unknown format" in ctl.fails("patch", "postgresql", "pg", "--type=strategic", "-p", change)
    ctl("patch", "postgresql", "pg", "--type=merge", "-p", change)
    assert cluster.get("postgresql", "pg")["spec"]["numberOfInstances"] == 0
    assert cluster.get("postgresql", "pg")["metadata"]["generation"] == 2


def test_kubectl_shows_what_is_wrong_with_each_field(ctl: Kubectl) -> None:
    item = deployment()
    item["spec"]["template"]["spec"]["containers"] = [{"name": "Main"}]
    said = ctl.fails("apply", "-f", "-", stdin=json.dumps(item))
    assert 'The Deployment "web" is invalid:' in said
    assert "spec.template.spec.containers[0].image: Required value" in said
    assert "spec.template.spec.containers[0].name: Invalid value" in said


# ---- workloads


def test_a_rollout_replaces_pods_and_keeps_the_old_set(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment(replicas=3))
    ctl("set", "image", "deploy/web", "main=nginx:2")
    assert "successfully rolled out" in ctl("rollout", "status", "deploy/web")
    images = [pod["spec"]["containers"][0]["image"] for pod in cluster.objects("Pod")]
    assert images == ["nginx:2"] * 3
    assert sorted(one["spec"]["replicas"] for one in cluster.objects("ReplicaSet")) == [0, 3]


def test_a_rollout_can_be_undone(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment())
    ctl("set", "image", "deploy/web", "main=nginx:2")
    ctl("rollout", "undo", "deploy/web")
    assert [pod["spec"]["containers"][0]["image"] for pod in cluster.objects("Pod")] == ["nginx:1"]
    assert len(cluster.objects("ReplicaSet")) == 2
    assert ctl.value(r".metadata.annotations.deployment\.kubernetes\.io/revision", "deploy", "web") == "3"


def test_a_broken_rollout_keeps_the_old_pods(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("nginx:2", then="image")
    cluster.put(deployment(replicas=2))
    ctl("set", "image", "deploy/web", "main=nginx:2")
    status = cluster.get("Deployment", "web")["status"]
    assert (status["replicas"], status["updatedReplicas"], status["availableReplicas"]) == (3, 1, 2)
    assert "timed out" in ctl.fails("rollout", "status", "deploy/web", "--timeout=1s")
    assert "ImagePullBackOff" in ctl("get", "pods")


def test_a_rollout_can_take_too_long(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("nginx:2", then="never ready")
    cluster.put(deployment())
    ctl("set", "image", "deploy/web", "main=nginx:2")
    cluster.pass_deadlines()
    assert "exceeded its progress deadline" in ctl.fails("rollout", "status", "deploy/web")
    ctl("set", "image", "deploy/web", "main=nginx:3")
    assert "successfully rolled out" in ctl("rollout", "status", "deploy/web")


def test_a_recreated_deployment_has_no_pods_in_between(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("nginx:2", then="crash")
    cluster.put(deployment(strategy={"type": "Recreate"}))
    ctl("set", "image", "deploy/web", "main=nginx:2")
    assert cluster.get("Deployment", "web")["status"].get("availableReplicas") is None
    assert [pod["spec"]["containers"][0]["image"] for pod in cluster.objects("Pod")] == ["nginx:2"]


def test_a_paused_deployment_is_scaled_but_not_rolled(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment())
    ctl("rollout", "pause", "deploy/web")
    ctl("set", "image", "deploy/web", "main=nginx:2")
    ctl("scale", "deploy/web", "--replicas=2")
    assert [pod["spec"]["containers"][0]["image"] for pod in cluster.objects("Pod")] == ["nginx:1"] * 2
    ctl("rollout", "resume", "deploy/web")
    assert [pod["spec"]["containers"][0]["image"] for pod in cluster.objects("Pod")] == ["nginx:2"] * 2


def test_a_rollout_is_followed_until_its_pods_are_ready(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("nginx:*", then="ready after 20 looks")
    ctl.apply(deployment())
    assert "readyReplicas" not in cluster.get("Deployment", "web")["status"]
    said = ctl("rollout", "status", "deploy/web")
    assert "0 of 1 updated replicas are available" in said
    assert "successfully rolled out" in said


def test_what_is_scaled_to_nothing_has_no_pods(ctl: Kubectl, cluster: Cluster) -> None:
    ctl.apply(deployment(replicas=2), stateful_set())
    ctl("scale", "deploy/web", "sts/db", "--replicas=0")
    assert cluster.objects("Pod") == []
    assert "readyReplicas" not in cluster.get("Deployment", "web")["status"]
    assert cluster.get("StatefulSet", "db")["status"]["replicas"] == 0


def test_a_controller_that_is_not_there_observes_nothing(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment())
    with cluster.controllers_paused():
        ctl("scale", "deploy/web", "--replicas=2")
        assert ctl.value(".status.observedGeneration", "deploy", "web") == "1"
        assert ctl.value(".metadata.generation", "deploy", "web") == "2"
    assert ctl.value(".status.observedGeneration", "deploy", "web") == "2"


def test_a_stateful_set_makes_one_pod_after_the_other_with_claims_that_stay(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("db-1", then="never ready")
    ctl.apply(stateful_set(replicas=3))
    assert cluster.names("Pod") == ["db-0", "db-1"]
    cluster.pods("db-1", then="ready")
    assert "roll out complete" in ctl("rollout", "status", "sts/db")
    assert cluster.names("Pod") == ["db-0", "db-1", "db-2"]
    ctl("delete", "sts", "db")
    assert cluster.names("Pod") == []
    assert cluster.names("PersistentVolumeClaim") == ["data-db-0", "data-db-1", "data-db-2"]


def test_a_parallel_stateful_set_makes_all_pods_at_once(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("db-*", then="never ready")
    ctl.apply(stateful_set(replicas=3, podManagementPolicy="Parallel"))
    assert cluster.names("Pod") == ["db-0", "db-1", "db-2"]


def test_a_stateful_set_is_stuck_with_a_broken_pod_until_that_is_deleted(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("db:2", then="image")
    ctl.apply(stateful_set())
    ctl.apply(stateful_set(image="db:2"))
    status = cluster.get("StatefulSet", "db")["status"]
    assert (status["readyReplicas"], status["updatedReplicas"]) == (1, 1)
    assert status["currentRevision"] != status["updateRevision"]
    ctl.apply(stateful_set(image="db:3"))
    assert cluster.get("Pod", "db-1")["spec"]["containers"][0]["image"] == "db:2"
    ctl("delete", "pod", "db-1")
    ctl("rollout", "status", "sts/db")
    assert {pod["spec"]["containers"][0]["image"] for pod in cluster.objects("Pod")} == {"db:3"}


def test_a_daemon_set_has_a_pod_per_node(ctl: Kubectl, cluster: Cluster) -> None:
    ctl.apply(daemon_set())
    assert "successfully rolled out" in ctl("rollout", "status", "ds/agent")
    ctl("set", "image", "ds/agent", "main=agent:2")
    assert [pod["spec"]["containers"][0]["image"] for pod in cluster.objects("Pod")] == ["agent:2"]


JOBS = {
    "is done": ("usual", job(), "complete", {"succeeded": 1}),
    "is done several times": ("usual", job(completions=3, parallelism=2), "complete", {"succeeded": 3}),
    "fails as often as it may": ("crash", job(backoffLimit=2), "failed", {"failed": 3}),
    "fails in one pod": ("crash", job(policy="OnFailure"), "failed", {"failed": 1}),
    "is suspended": ("usual", job(suspend=True), "suspended", {}),
}


@pytest.mark.parametrize("what", JOBS)
def test_a_job(what: str, ctl: Kubectl, cluster: Cluster) -> None:
    then, item, condition, counts = JOBS[what]
    cluster.pods("job:1", then=then)
    ctl.apply(item)
    ctl("wait", f"--for=condition={condition}", "job/once", "--timeout=20s")
    status = cluster.get("Job", "once")["status"]
    assert {name: status[name] for name in ("succeeded", "failed", "active") if name in status} == counts


def test_a_job_can_go_on_for_ever(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("job:1", then="ready")
    ctl.apply(job())
    assert cluster.get("Job", "once")["status"]["active"] == 1
    cluster.pods("job:1", then="done")
    ctl("wait", "--for=condition=complete", "job/once", "--timeout=20s")


FATES = {
    "ready": ("1/1", "Running", "Running"),
    "never ready": ("0/1", "Running", "Running"),
    "crash": ("0/1", "CrashLoopBackOff", "Running"),
    "image": ("0/1", "ImagePullBackOff", "Pending"),
    "pending": ("0/1", "Pending", "Pending"),
    "done": ("0/1", "Completed", "Succeeded"),
    "failed": ("0/1", "Error", "Failed"),
}


@pytest.mark.parametrize("fate", FATES)
def test_a_pod_can_be(fate: str, ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("sole", then=fate)
    ctl("run", "sole", "--image=x", "--restart=Never" if fate in ("done", "failed") else "--restart=Always")
    ready, shown, phase = FATES[fate]
    assert ctl("get", "pod", "sole", "--no-headers").split()[1:3] == [ready, shown]
    assert ctl.value(".status.phase", "pod", "sole") == phase


def test_pods_that_cannot_be_scheduled_or_pulled_or_kept_alive_leave_events(ctl: Kubectl, cluster: Cluster) -> None:
    for fate, reason in {"pending": "FailedScheduling", "image": "Failed", "crash": "BackOff"}.items():
        cluster.pods("sole", then=fate)
        ctl("run", "sole", "--image=x")
        assert reason in ctl("get", "events", "--field-selector", "involvedObject.name=sole")
        assert reason in ctl("describe", "pod", "sole")
        ctl("delete", "pod", "sole")
        ctl("delete", "events", "--all")


NEEDS = {
    "a secret for its environment": (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "x", "key": "a"}}}]},
        "CreateContainerConfigError",
        'secret "x" not found',
    ),
    "a config map for its environment": (
        {"envFrom": [{"configMapRef": {"name": "x"}}]},
        "CreateContainerConfigError",
        'configmap "x" not found',
    ),
    "a secret to mount": (
        {"volumes": [{"name": "v", "secret": {"secretName": "x"}}]},
        "ContainerCreating",
        'secret "x" not found',
    ),
    "a claim": (
        {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]},
        "Pending",
        'persistentvolumeclaim "x" not found',
    ),
}


@pytest.mark.parametrize("what", NEEDS)
def test_a_pod_waits_for(what: str, ctl: Kubectl, cluster: Cluster) -> None:
    change, state, said = NEEDS[what]
    container = {"name": "main", "image": "x", **{key: value for key, value in change.items() if key != "volumes"}}
    spec = {"containers": [container], "volumes": change.get("volumes", [])}
    cluster.put({"kind": "Pod", "metadata": {"name": "sole"}, "spec": spec})
    assert state in ctl("get", "pods")
    assert said in ctl("describe", "pod", "sole")
    cluster.put({"kind": "Secret", "metadata": {"name": "x"}, "stringData": {"a": "b"}})
    cluster.put(config_map("x"))
    cluster.put({"kind": "PersistentVolumeClaim", "metadata": {"name": "x"}, "spec": CLAIM})
    assert "Running" in ctl("get", "pods")


def test_pods_of_an_unknown_service_account_are_not_made(ctl: Kubectl, cluster: Cluster) -> None:
    item = deployment()
    item["spec"]["template"]["spec"]["serviceAccountName"] = "robot"
    ctl.apply(item)
    assert cluster.objects("Pod") == []
    assert 'serviceaccount "robot" not found' in ctl("get", "events")
    ctl("create", "serviceaccount", "robot")
    assert len(cluster.objects("Pod")) == 1


def test_a_service_has_the_addresses_of_the_ready_pods_that_it_selects(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("nginx:1", then="never ready")
    cluster.put(deployment())
    ctl("expose", "deployment", "web", "--port=80")
    assert ctl.value(".subsets", "endpoints", "web") == ""
    cluster.pods("nginx:1", then="ready")
    address = cluster.objects("Pod")[0]["status"]["podIP"]
    assert ctl.value(".subsets[*].addresses[*].ip", "endpoints", "web") == address
    ctl("delete", "service", "web")
    assert cluster.objects("Endpoints") == []


def test_an_autoscaler_keeps_its_target_in_bounds_and_what_is_off_off(ctl: Kubectl, cluster: Cluster) -> None:
    ctl.apply(deployment(), autoscaler())
    assert cluster.get("Deployment", "web")["spec"]["replicas"] == 2
    ctl("scale", "deploy/web", "--replicas=5")
    assert cluster.get("Deployment", "web")["spec"]["replicas"] == 3
    ctl("scale", "deploy/web", "--replicas=0")
    assert cluster.get("Deployment", "web")["spec"]["replicas"] == 0


# ---- deleting


def test_dependents_go_with_their_owner(ctl: Kubectl, cluster: Cluster) -> None:
    ctl.apply(deployment(), job())
    ctl("delete", "deploy/web", "job/once")
    assert "No resources found" in ctl("get", "all")


def test_orphans_stay(ctl: Kubectl, cluster: Cluster) -> None:
    ctl.apply(deployment())
    ctl("delete", "deploy/web", "--cascade=orphan")
    assert len(cluster.objects("ReplicaSet")) == len(cluster.objects("Pod")) == 1
    assert "ownerReferences" not in cluster.objects("ReplicaSet")[0]["metadata"]


def test_an_owner_deleted_in_the_foreground_waits_for_its_last_pod(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("nginx:1", then="lingering")
    ctl.apply(deployment())
    ctl("delete", "deploy/web", "--cascade=foreground", "--wait=false")
    assert ctl.value(".metadata.finalizers", "deploy", "web") == '["foregroundDeletion"]'
    assert "Terminating" in ctl("get", "pods")
    cluster.pods("nginx:1", then="ready")
    assert cluster.objects("Deployment") == cluster.objects("Pod") == []


def test_a_lingering_pod_can_be_killed(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("sole", then="lingering")
    ctl("run", "sole", "--image=x")
    ctl("delete", "pod", "sole", "--wait=false")
    assert cluster.names("Pod") == ["sole"]
    ctl("delete", "pod", "sole", "--force", "--grace-period=0")
    assert cluster.names("Pod") == []


def test_a_claim_in_use_stays_until_its_pod_is_gone(ctl: Kubectl, cluster: Cluster) -> None:
    ctl.apply(stateful_set(replicas=1))
    ctl("delete", "pvc", "data-db-0", "--wait=false")
    assert cluster.names("PersistentVolumeClaim") == ["data-db-0"]
    ctl("scale", "sts/db", "--replicas=0")
    assert cluster.names("PersistentVolumeClaim") == []


def test_a_finalizer_holds_an_object_until_it_is_removed(ctl: Kubectl, cluster: Cluster) -> None:
    ctl.apply(config_map() | {"metadata": {"name": "settings", "finalizers": ["example.org/wait"]}})
    ctl("delete", "cm", "settings", "--wait=false")
    assert ctl.value(".metadata.deletionTimestamp", "cm", "settings")
    ctl("patch", "cm", "settings", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    assert cluster.objects("ConfigMap") == []


def test_a_namespace_goes_with_all_that_is_in_it(ctl: Kubectl, cluster: Cluster) -> None:
    space = cluster.namespace("space")
    ctl("-n", space, "apply", "-f", "-", stdin=json.dumps(stateful_set()))
    ctl("delete", "namespace", space)
    assert cluster.objects("StatefulSet") == cluster.objects("PersistentVolumeClaim") == []
    assert cluster.find("Namespace", space) is None


def test_a_collection_is_deleted_by_its_labels(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment("web"))
    cluster.put(deployment("other"))
    answer = requests.delete(f"{cluster.url}{APPS}/deployments", params={"labelSelector": "app=web"}, timeout=30)
    assert answer.status_code == 200
    assert cluster.names("Deployment") == ["other"]


# ---- waiting and watching


def test_waiting_for_a_condition_ends_when_it_is_true(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("nginx:1", then="never ready")
    cluster.put(deployment())
    with ctl.running("wait", "--for=condition=Available", "deploy/web", "--timeout=60s") as waiting:
        watched(cluster, "deployments")
        cluster.pods("nginx:1", then="ready")
        assert waiting.communicate(timeout=30)[0] == "deployment.apps/web condition met\n"


def test_waiting_for_the_end_of_an_object_ends_with_it(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(config_map())
    with ctl.running("wait", "--for=delete", "cm/settings", "--timeout=60s") as waiting:
        watched(cluster, "configmaps")
        cluster.delete("ConfigMap", "settings")
        assert "condition met" in waiting.communicate(timeout=30)[0]


def test_waiting_gives_up_in_the_end(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("nginx:1", then="never ready")
    cluster.put(deployment())
    assert "timed out" in ctl.fails("wait", "--for=condition=Available", "deploy/web", "--timeout=1s")


def watched(cluster: Cluster, plural: str) -> None:
    """Return when a client watches objects of that kind."""
    cluster.wait_for(
        lambda: any(one.watch and plural in one.path and one.status for one in cluster.requests), f"a watch of {plural}"
    )


def test_a_watch_shows_what_comes_changes_and_goes(ctl: Kubectl, cluster: Cluster) -> None:
    with ctl.running("get", "configmaps", "--watch", "--no-headers") as watching:
        watched(cluster, "configmaps")
        cluster.put(config_map("first"))
        assert watching.stdout.readline().split()[:2] == ["first", "0"]
        cluster.patch("ConfigMap", "first", {"data": {"a": "b"}})
        assert watching.stdout.readline().split()[:2] == ["first", "1"]
        cluster.put(config_map("second"))
        assert watching.stdout.readline().split()[:2] == ["second", "0"]


def test_a_watch_by_labels_sees_objects_enter_and_leave(cluster: Cluster) -> None:
    query = {"watch": "true", "labelSelector": "app=web", "resourceVersion": str(cluster.state.store.version)}
    with requests.get(f"{cluster.url}{APPS}/deployments", params=query, stream=True, timeout=30) as answer:
        cluster.put(deployment("other"))
        with cluster.controllers_paused():
            cluster.patch("Deployment", "other", {"metadata": {"labels": {"app": "web"}}})
            cluster.patch("Deployment", "other", {"metadata": {"labels": {"app": "x"}}})
        lines = answer.iter_lines()
        assert [json.loads(next(lines))["type"] for _ in range(2)] == ["ADDED", "DELETED"]


def test_a_watch_from_too_long_ago_is_told_so(cluster: Cluster) -> None:
    cluster.put(config_map())
    cluster.forget_history()
    query = {"watch": "true", "resourceVersion": "1"}
    with requests.get(f"{cluster.url}{API}/configmaps", params=query, stream=True, timeout=30) as answer:
        event = json.loads(next(answer.iter_lines()))
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


# ---- logs


def test_a_log_is_shown_and_its_tail(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.log("web-*", "one\ntwo")
    cluster.put(deployment())
    assert ctl("logs", "deploy/web") == "one\ntwo\n"
    assert ctl("logs", "-l", "app=web", "--tail=1") == "two\n"
    assert "previous terminated container" in ctl.fails("logs", "deploy/web", "--previous")


def test_a_log_is_followed_until_the_pod_is_gone(ctl: Kubectl, cluster: Cluster) -> None:
    ctl("run", "sole", "--image=x")
    cluster.log("sole", "one")
    with ctl.running("logs", "-f", "sole") as following:
        assert following.stdout.readline() == "one\n"
        cluster.log("sole", "two")
        assert following.stdout.readline() == "two\n"
        cluster.delete("Pod", "sole")
        assert following.wait(30) == 0


def test_a_crashed_pod_says_why_and_one_without_its_image_says_nothing(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("sole", then="crash", log="no database here")
    ctl("run", "sole", "--image=x")
    assert ctl("logs", "sole") == "no database here\n"
    assert ctl("logs", "sole", "--previous") == "no database here\n"
    cluster.pods("sole", then="image")
    assert "trying and failing to pull image" in ctl.fails("logs", "sole")


# ---- custom resources


def test_a_defined_kind_is_served_and_its_objects_go_with_its_definition(ctl: Kubectl, cluster: Cluster) -> None:
    ctl.apply(definition())
    ctl("wait", "--for=condition=established", "crd/cacti.desert.example", "--timeout=20s")
    ctl.apply(cactus())
    assert ctl("get", "cc", "--no-headers").split()[:2] == ["prickly", "2"]
    ctl("scale", "cactus/prickly", "--replicas=5")
    assert cluster.get("Cactus", "prickly")["spec"]["height"] == 5
    ctl("delete", "crd", "cacti.desert.example")
    assert requests.get(f"{cluster.url}/apis/desert.example/v1/cacti", timeout=30).status_code == 404
    ctl.apply(definition())
    assert cluster.objects("Cactus") == []


def test_a_custom_resource_cannot_be_replaced_blindly(cluster: Cluster) -> None:
    cluster.put({"kind": "Kafka", "metadata": {"name": "bus"}, "spec": {}})
    path = "/apis/kafka.strimzi.io/v1beta2/namespaces/default/kafkas/bus"
    answer = requests.put(cluster.url + path, json={"metadata": {"name": "bus"}, "spec": {"a": 1}}, timeout=30)
    assert answer.status_code == 422
    assert "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update" in answer.json()["message"]


# ---- what tests can order


@pytest.mark.parametrize("code", [403, 404, 409, 422, 500])
def test_a_request_can_fail_as_often_as_wanted(code: int, ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment())
    cluster.fail("PATCH", "*/deployments/web*", code, times=1)
    assert "this test wants it to fail" in ctl.fails("label", "deploy/web", "a=b")
    ctl("label", "deploy/web", "a=b")
    assert [one.status for one in cluster.requests if one.method == "PATCH"] == [code, 200]


def test_a_server_can_hang_or_hang_up(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.fail("GET", "*/configmaps", "hang")
    assert "exceeded" in ctl.fails("get", "configmaps", "--request-timeout=1s")
    cluster.heal()
    assert "No resources found" in ctl("get", "configmaps")
    cluster.put(config_map())
    cluster.fail("PATCH", "*/configmaps/*", "disconnect")  # clients try again for ten seconds when they only read
    assert "EOF" in ctl.fails("label", "configmap", "settings", "a=b")


def test_patches_of_a_kind_can_be_forbidden(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment())
    cluster.refuse_patches("Deployment")
    assert "forbidden" in ctl.fails("label", "deploy/web", "a=b")
    ctl("annotate", "pods", "--all", "a=b")


def test_a_stopped_cluster_cannot_be_reached(kubectl: Path) -> None:
    with Cluster() as cluster:
        running = cluster.run(kubectl, "get", "pods")
        cluster.server.stop()
        stopped = cluster.run(kubectl, "get", "pods")
    assert running.returncode == 0
    assert stopped.returncode != 0
    assert "refused" in stopped.stdout
