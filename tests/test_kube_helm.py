"""The Kubernetes API of the tests in tests/kube, asked by the real helm."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kube.cluster import Cluster

pytestmark = pytest.mark.thorough  # what `make test` needs of it, the tests of the suite would miss

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}-web", labels: {release: "{{ .Release.Name }}"}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "nginx:{{ .Values.tag }}"}]}
"""
DATABASE = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: "{{ .Release.Name }}-db"}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, image: "db:{{ .Values.tag }}"}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
NETWORK = """
apiVersion: v1
kind: Service
metadata: {name: "{{ .Release.Name }}"}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: "{{ .Release.Name }}"}
spec:
  rules:
  - host: web.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: "{{ .Release.Name }}", port: {number: 80}}}}]}
"""
HOOK = """
apiVersion: batch/v1
kind: Job
metadata:
  name: "{{ .Release.Name }}-{{ .Values.hook }}"
  annotations: {helm.sh/hook: "{{ .Values.hook }}", helm.sh/hook-delete-policy: before-hook-creation}
spec:
  backoffLimit: 1
  template: {spec: {restartPolicy: Never, containers: [{name: main, image: "hook:1"}]}}
"""
TRIAL = """
apiVersion: v1
kind: Pod
metadata: {name: "{{ .Release.Name }}-test", annotations: {helm.sh/hook: test}}
spec: {restartPolicy: Never, containers: [{name: main, image: "trial:1"}]}
"""
SECRET = """
{{- $old := lookup "v1" "Secret" .Release.Namespace "password" }}
apiVersion: v1
kind: Secret
metadata: {name: password}
data:
  password: {{ if $old }}{{ $old.data.password }}{{ else }}{{ randAlphaNum 20 | b64enc }}{{ end }}
"""
VERSIONS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: versions}
data:
  kubernetes: {{ .Capabilities.KubeVersion.Version | quote }}
  autoscaling: {{ .Capabilities.APIVersions.Has "autoscaling/v2/HorizontalPodAutoscaler" | quote }}
  nothing: {{ .Capabilities.APIVersions.Has "nothing/v1" | quote }}
"""
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: cacti.desert.example}
spec:
  group: desert.example
  scope: Namespaced
  names: {kind: Cactus, plural: cacti, singular: cactus}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""
CACTUS = """
apiVersion: desert.example/v1
kind: Cactus
metadata: {name: "{{ .Release.Name }}"}
spec: {height: {{ .Values.replicas }}}
"""


class Helm:
    """helm, the cluster that it speaks to, and charts for it to install."""

    def __init__(self, path: Path, cluster: Cluster, charts: Path) -> None:
        self.path, self.cluster, self.charts = path, cluster, charts

    def chart(self, *templates: str, **more: str) -> str:
        """The path of a new chart with these templates, and more files in it."""
        directory = self.charts / f"chart-{len(list(self.charts.iterdir()))}"
        files = {f"templates/{number}.yaml": text for number, text in enumerate(templates)}
        files["Chart.yaml"] = "{apiVersion: v2, name: web, version: 1.2.3, appVersion: '9'}"
        files["values.yaml"] = "{replicas: 1, tag: '1', hook: pre-install}"
        for name, text in {**files, **more}.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(directory)

    def __call__(self, *arguments: str) -> str:
        """What it prints. It has to succeed."""
        result = self.cluster.run(self.path, *arguments)
        assert result.returncode == 0, result.stdout
        return result.stdout

    def fails(self, *arguments: str) -> str:
        """What it prints. It has to fail."""
        result = self.cluster.run(self.path, *arguments)
        assert result.returncode != 0, result.stdout
        return result.stdout

    def status(self, release: str = "one") -> str:
        return json.loads(self("status", release, "-o", "json"))["info"]["status"]

    def history(self, release: str = "one") -> list[str]:
        return [one["status"] for one in json.loads(self("history", release, "-o", "json"))]


@pytest.fixture
def ship(helm: Path, cluster: Cluster, tmp_path: Path) -> Helm:
    return Helm(helm, cluster, tmp_path)


def images(cluster: Cluster) -> set[str]:
    return {pod["spec"]["containers"][0]["image"] for pod in cluster.objects("Pod")}


def test_a_chart_is_installed_upgraded_rolled_back_and_uninstalled(ship: Helm, cluster: Cluster) -> None:
    chart = ship.chart(WEB, DATABASE, NETWORK)
    ship("install", "one", chart, "--wait")
    assert images(cluster) == {"nginx:1", "db:1"}
    ship("upgrade", "one", chart, "--wait", "--set", "tag=2,replicas=3")
    assert images(cluster) == {"nginx:2", "db:2"}
    assert len(cluster.objects("Pod")) == 5
    ship("rollback", "one", "1", "--wait")
    assert images(cluster) == {"nginx:1", "db:1"}
    assert ship.history() == ["superseded", "superseded", "deployed"]
    ship("uninstall", "one")
    kinds = ("Deployment", "ReplicaSet", "StatefulSet", "Pod", "Service", "Endpoints", "Ingress", "Secret")
    assert [cluster.names(kind) for kind in kinds] == [[]] * len(kinds)
    assert cluster.names("PersistentVolumeClaim") == ["data-one-db-0", "data-one-db-1"]


def test_releases_are_listed_and_described(ship: Helm, cluster: Cluster) -> None:
    space = cluster.namespace("space")
    ship("install", "one", ship.chart(WEB), "-n", space)
    (release,) = json.loads(ship("list", "-A", "-o", "json"))
    assert (release["name"], release["namespace"], release["chart"]) == ("one", "space", "web-1.2.3")
    assert "nginx:1" in ship("get", "manifest", "one", "-n", space)
    assert [one["metadata"]["labels"]["owner"] for one in cluster.objects("Secret", space)] == ["helm"]


def test_a_namespace_is_created_when_wanted_and_missed_otherwise(ship: Helm, cluster: Cluster) -> None:
    assert 'namespaces "space" not found' in ship.fails("install", "one", ship.chart(WEB), "-n", "space")
    ship("install", "one", ship.chart(WEB), "-n", "space", "--create-namespace")
    assert cluster.names("Deployment", "space") == ["one-web"]


def test_an_upgrade_leaves_alone_what_it_does_not_change(ship: Helm, cluster: Cluster) -> None:
    chart = ship.chart(WEB)
    ship("install", "one", chart)
    cluster.patch("Deployment", "one-web", {"metadata": {"annotations": {"theirs": "kept"}}})
    pods = cluster.names("Pod")
    ship("upgrade", "one", chart, "--wait")
    assert cluster.names("Pod") == pods
    assert cluster.get("Deployment", "one-web")["metadata"]["annotations"]["theirs"] == "kept"


WAITING = {
    "a deployment": (WEB, "nginx:1"),
    "a stateful set": (DATABASE, "db:1"),
    "a pod": (TRIAL.replace(", annotations: {helm.sh/hook: test}", ""), "trial:1"),
}


@pytest.mark.parametrize("what", WAITING)
def test_helm_waits_until_it_is_ready(what: str, ship: Helm, cluster: Cluster) -> None:
    template, image = WAITING[what]
    cluster.pods(image, then="ready after 3 looks")
    ship("install", "one", ship.chart(template), "--wait", "--timeout=60s")
    assert all(pod["status"]["conditions"][1]["status"] == "True" for pod in cluster.objects("Pod"))


@pytest.mark.parametrize("fate", ["never ready", "crash", "image", "pending"])
def test_helm_gives_up_on_pods_that_are(fate: str, ship: Helm, cluster: Cluster) -> None:
    cluster.pods("nginx:1", then=fate)
    said = ship.fails("install", "one", ship.chart(WEB), "--wait", "--timeout=1s")
    assert "timed out waiting for the condition" in said
    assert ship.status() == "failed"


def test_an_atomic_upgrade_that_fails_is_rolled_back(ship: Helm, cluster: Cluster) -> None:
    chart = ship.chart(WEB)
    ship("install", "one", chart, "--wait")
    cluster.pods("nginx:2", then="image")
    said = ship.fails("upgrade", "one", chart, "--atomic", "--timeout=2s", "--set", "tag=2")
    assert "has been rolled back" in said
    assert images(cluster) == {"nginx:1"}
    assert ship.history() == ["superseded", "failed", "deployed"]


def test_an_atomic_install_that_fails_leaves_nothing(ship: Helm, cluster: Cluster) -> None:
    cluster.pods("nginx:1", then="crash")
    said = ship.fails("upgrade", "--install", "one", ship.chart(WEB), "--atomic", "--timeout=1s")
    assert "has been uninstalled" in said
    assert cluster.objects("Deployment") == cluster.objects("Pod") == cluster.objects("Secret") == []


HOOKS: dict[str, Callable[[Helm, str], str]] = {
    "pre-install": lambda ship, chart: ship("install", "one", chart),
    "post-install": lambda ship, chart: ship("install", "one", chart),
    "pre-upgrade": lambda ship, chart: ship("install", "one", chart) and ship("upgrade", "one", chart),
    "post-rollback": lambda ship, chart: ship("install", "one", chart) and ship("rollback", "one", "1"),
    "pre-delete": lambda ship, chart: ship("install", "one", chart) and ship("uninstall", "one"),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_run(hook: str, ship: Helm, cluster: Cluster) -> None:
    chart = ship.chart(WEB, HOOK, **{"values.yaml": f"{{replicas: 1, tag: '1', hook: {hook}}}"})
    HOOKS[hook](ship, chart)
    assert cluster.get("Job", f"one-{hook}")["status"]["succeeded"] == 1


def test_a_hook_that_fails_stops_the_installation(ship: Helm, cluster: Cluster) -> None:
    cluster.pods("hook:1", then="crash")
    assert "BackoffLimitExceeded" in ship.fails("install", "one", ship.chart(WEB, HOOK))
    assert cluster.objects("Deployment") == []


def test_a_hook_that_hangs_is_waited_for_and_given_up(ship: Helm, cluster: Cluster) -> None:
    cluster.pods("hook:1", then="never ready")
    assert "timed out" in ship.fails("install", "one", ship.chart(HOOK), "--timeout=1s")


@pytest.mark.parametrize(("fate", "phase"), [("done", "Succeeded"), ("failed", "Failed")])
def test_a_release_is_tested(fate: str, phase: str, ship: Helm, cluster: Cluster) -> None:
    ship("install", "one", ship.chart(WEB, TRIAL))
    cluster.pods("trial:1", then=fate, log="what the trial says")
    said = (ship if fate == "done" else ship.fails)("test", "one", "--logs")
    assert f"Phase:          {phase}" in said
    assert "what the trial says" in said


def test_definitions_are_installed_before_what_they_define(ship: Helm, cluster: Cluster) -> None:
    chart = ship.chart(CACTUS, **{"crds/cactus.yaml": DEFINITION})
    ship("install", "one", chart)
    ship("upgrade", "one", chart, "--set", "replicas=4")
    assert cluster.get("Cactus", "one")["spec"]["height"] == 4
    ship("uninstall", "one")
    assert cluster.objects("Cactus") == []
    assert cluster.names("CustomResourceDefinition") == ["cacti.desert.example"]


def test_a_kind_that_is_not_there_is_refused(ship: Helm, cluster: Cluster) -> None:
    assert 'no matches for kind "Cactus"' in ship.fails("install", "one", ship.chart(CACTUS))


def test_a_template_can_look_up_what_is_there(ship: Helm, cluster: Cluster) -> None:
    chart = ship.chart(SECRET)
    ship("install", "one", chart)
    secret = cluster.get("Secret", "password")["data"]
    ship("upgrade", "one", chart)
    assert cluster.get("Secret", "password")["data"] == secret


def test_a_template_can_ask_what_the_cluster_knows(ship: Helm, cluster: Cluster) -> None:
    ship("install", "one", ship.chart(VERSIONS))
    known = {"kubernetes": "v1.24.17", "autoscaling": "true", "nothing": "false"}
    assert cluster.get("ConfigMap", "versions")["data"] == known


def test_what_belongs_to_somebody_else_is_not_taken_over(ship: Helm, cluster: Cluster) -> None:
    cluster.put({"kind": "ConfigMap", "metadata": {"name": "versions"}})
    said = ship.fails("install", "one", ship.chart(VERSIONS))
    assert "exists and cannot be imported into the current release" in said


def test_an_immutable_field_makes_an_upgrade_fail(ship: Helm, cluster: Cluster) -> None:
    chart = ship.chart(WEB.replace("app: web", "app: web{{ .Values.tag }}"))
    ship("install", "one", chart)
    assert "field is immutable" in ship.fails("upgrade", "one", chart, "--set", "tag=2")
    assert ship.history() == ["deployed", "failed"]


def test_a_server_that_refuses_is_reported(ship: Helm, cluster: Cluster) -> None:
    chart = ship.chart(WEB)
    cluster.fail("POST", "*/deployments", 403, times=1)
    assert "this test wants it to fail" in ship.fails("install", "one", chart)
    ship("upgrade", "--install", "one", chart)
    assert ship.status() == "deployed"


def test_what_was_asked_of_the_server_can_be_read(ship: Helm, cluster: Cluster) -> None:
    ship("install", "one", ship.chart(WEB))
    created = [one.path for one in cluster.requests if one.method == "POST"]
    assert "/apis/apps/v1/namespaces/default/deployments" in created
