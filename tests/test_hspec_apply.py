"""Manifests, applied by the real kubectl: created, patched, replaced, made anew, or left alone."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hspec_cluster import (
    CLASS,
    CONTEXT,
    Manifest,
    Volume,
    autoscaler,
    client,
    config_map,
    deployment,
    labels,
    manifest,
    network,
    pull_secret,
    said,
    secret,
    service,
    stateful_set,
    talk,
    writes,
)  # fmt: skip
from kube.cluster import Cluster
from kube.patches import merge

from octopod.hspec import names
from octopod.hspec.cluster import Kubectl, apply, archive, preflight, undeploy
from octopod.hspec.cluster.applying import placed
from octopod.hspec.cluster.changes import annotated
from octopod.hspec.errors import ApplyError, ClusterError, PreflightError
from octopod.hspec.service import Secrets, Service

ALL = [config_map(MODE="plain"), secret(KEY="hidden"), network(), deployment(replicas=2)]


@pytest.fixture
def ctl(cluster: Cluster, kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    return client(cluster, kubectl, monkeypatch)


class Deployer:
    """Deploys, and tells what that changed."""

    def __init__(self, cluster: Cluster, ctl: Kubectl) -> None:
        self.cluster, self.ctl = cluster, ctl
        self.talk = talk()

    def __call__(self, *manifests: Manifest, of: Service | None = None) -> list[str]:
        before = len(writes(self.cluster))
        self.talk = talk()
        apply(self.ctl, of or service(), CONTEXT, manifests, self.talk, now="2026-01-02 03:04:05")
        return writes(self.cluster)[before:]

    def has(self, *manifests: Manifest) -> None:
        """As if they had been deployed before."""
        for one in manifests:
            self.cluster.put(annotated(placed(one.data, "store"), "2026-01-01 00:00:00"))

    @property
    def told(self) -> str:
        return said(self.talk)

    def live(self, kind: str, name: str = "shop-web") -> Any:
        return self.cluster.get(kind, name, "store")


@pytest.fixture
def deploy(cluster: Cluster, ctl: Kubectl) -> Deployer:
    return Deployer(cluster, ctl)


def test_a_first_deployment_makes_the_namespace_and_everything_in_it(deploy: Deployer, cluster: Cluster) -> None:
    cluster.delete("Namespace", "store")
    done = deploy(*ALL)
    made = ["v1/namespaces", "store/configmaps", "store/secrets", "store/services", "store/deployments"]
    assert done == [f"POST {kind} 201" for kind in made]
    assert deploy.live("Deployment")["metadata"]["annotations"][names.LAST_UPDATED] == "2026-01-02 03:04:05"
    assert json.loads(deploy.live("ConfigMap")["metadata"]["annotations"][names.LAST_APPLIED])["data"] == {
        "MODE": "plain"
    }
    assert "ConfigMap shop-web: created" in deploy.told


def test_a_secret_is_in_no_annotation(deploy: Deployer, cluster: Cluster) -> None:
    deploy(*ALL)
    everything = [str(item["metadata"]) for kind in ("Secret", "Deployment") for item in cluster.objects(kind)]
    assert not [text for text in everything if "hidden" in text or "aGlkZGVu" in text]


def test_deploying_the_same_again_changes_nothing(deploy: Deployer) -> None:
    deploy(*ALL)
    assert deploy(*ALL) == []
    assert deploy.told.count("unchanged") == 4


def test_a_changed_prop_is_one_patch_of_what_has_changed(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(*ALL)
    assert deploy(config_map(MODE="fancy", NEW="1"), *ALL[1:]) == ["PATCH configmaps/shop-web 200"]
    patch = next(one.body for one in cluster.requests if one.method == "PATCH")
    changed = [(step["op"], step["path"], step["value"]) for step in patch if "annotations" not in step["path"]]
    assert sorted(changed) == [("add", "/data/NEW", "1"), ("replace", "/data/MODE", "fancy")]
    assert deploy.live("ConfigMap")["data"] == {"MODE": "fancy", "NEW": "1"}
    assert deploy(config_map(MODE="fancy", NEW="1"), *ALL[1:]) == []


def test_a_renamed_prop_has_the_value_of_the_spec(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(config_map(OLD="plain"))
    cluster.patch("ConfigMap", "shop-web", {"data": {"OLD": "edited"}}, "store")
    assert deploy(config_map(NEW="plain")) == ["PUT configmaps/shop-web 200"]
    assert deploy.live("ConfigMap")["data"] == {"NEW": "plain"}


def test_what_has_moved_in_a_list_is_patched(deploy: Deployer) -> None:
    first, second = ({"name": name, "image": f"{name}:1"} for name in ("a", "b"))
    deploy.has(deployment(initContainers=[first, second]))
    assert deploy(deployment(initContainers=[second, first])) == ["PATCH deployments/shop-web 200"]
    live = deploy.live("Deployment")["spec"]["template"]["spec"]["initContainers"]
    assert [(one["name"], one["image"]) for one in live] == [("b", "b:1"), ("a", "a:1")]


def test_a_changed_secret_is_patched_too(deploy: Deployer) -> None:
    deploy.has(*ALL)
    assert deploy(ALL[0], secret(KEY="other"), *ALL[2:]) == ["PATCH secrets/shop-web 200"]
    assert deploy.live("Secret")["data"] == {"KEY": "b3RoZXI="}
    assert deploy(ALL[0], secret(KEY="other"), *ALL[2:]) == []


def test_secrets_are_not_in_the_list_of_processes(deploy: Deployer, kubectl: Path, tmp_path: Path) -> None:
    spy = tmp_path / "kubectl"
    spy.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\nexec {kubectl} "$@"\n')
    spy.chmod(0o755)
    deploy.ctl.program = str(spy)
    deploy(secret(KEY="hidden"))
    deploy(secret(KEY="changed"))
    arguments = (tmp_path / "arguments").read_text()
    assert "patch" in arguments and "aGlkZGVu" not in arguments and "Y2hhbmdlZA" not in arguments


def test_what_others_have_set_stays(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(deployment(replicas=None))
    cluster.patch(
        "Deployment", "shop-web", {"metadata": {"annotations": {"theirs": "1"}}, "spec": {"replicas": 3}}, "store"
    )
    deploy(deployment("web:2", replicas=None))
    live = deploy.live("Deployment")
    assert (live["spec"]["replicas"], live["metadata"]["annotations"]["theirs"]) == (3, "1")
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "web:2"


INSERTED = [{"name": "OTHER", "value": "theirs"}, {"name": "MODE", "value": "plain"}]
EDITS: dict[str, Any] = {
    "something put before": {
        "spec": {"template": {"spec": {"containers": [{"name": "web", "image": "x:1", "env": INSERTED}]}}}
    },
    "an edited list": {"spec": {"template": {"spec": {"containers": [{"name": "other", "image": "x:1"}]}}}},
    "a removed field": {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "x:1", "env": None}]}}}},
    "an annotation that was lost": {"metadata": {"annotations": {names.LAST_APPLIED: None}}},
    "an annotation that cannot be read": {"metadata": {"annotations": {names.LAST_APPLIED: "{"}}},
    "an annotation about something else": {"metadata": {"annotations": {names.LAST_APPLIED: '"text"'}}},
}


CHANGES: dict[str, Manifest] = {
    "patched": deployment("web:2", replicas=3),
    "deleted and created again": deployment("web:2", replicas=3, of=labels(environment="stage")),
}


@pytest.mark.parametrize("how", CHANGES)
def test_the_number_that_an_autoscaler_has_chosen_stays(how: str, deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(deployment(replicas=2), autoscaler(2, 6))
    cluster.patch("Deployment", "shop-web", {"spec": {"replicas": 5}}, "store")
    deploy(CHANGES[how], autoscaler(3, 6))
    assert f"Deployment shop-web: {how}" in deploy.told
    assert deploy.live("Deployment")["spec"]["replicas"] == 5
    deploy(CHANGES[how], autoscaler(3, 6))
    assert deploy.told.count("unchanged") == 2


SCALED: dict[str, list[list[Manifest]]] = {
    "from the beginning": [[deployment(replicas=1), autoscaler(1, 5)]],
    "later": [[deployment(replicas=1)], [deployment(replicas=1), autoscaler(1, 5)]],
    "with another image": [[deployment("web:0", replicas=1)], [deployment(replicas=1), autoscaler(1, 5)]],
}


@pytest.mark.parametrize("since", SCALED)
def test_when_the_autoscaler_goes_the_number_of_the_spec_counts_again(
    since: str, deploy: Deployer, cluster: Cluster
) -> None:
    for manifests in SCALED[since]:
        deploy(*manifests)
    cluster.patch("Deployment", "shop-web", {"spec": {"replicas": 5}}, "store")
    assert deploy(*SCALED[since][-1]) == []
    assert deploy(deployment(replicas=1)) == [
        "DELETE horizontalpodautoscalers/shop-web 200", "PATCH deployments/shop-web 200",
    ]  # fmt: skip
    assert deploy.live("Deployment")["spec"]["replicas"] == 1


def test_a_replacement_keeps_the_number_of_replicas_that_it_does_not_say(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(deployment(replicas=None))
    cluster.patch("Deployment", "shop-web", {"spec": {"replicas": 3}}, "store")
    archive(deploy.ctl, "shop", deploy.talk)
    cluster.put(merge(deploy.live("Deployment"), EDITS["an annotation that was lost"]))
    assert deploy(deployment(replicas=None)) == ["PUT deployments/shop-web 200"]
    assert deploy.live("Deployment")["spec"]["replicas"] == 3


BY_HAND: dict[str, tuple[Manifest, dict[str, Any]]] = {
    "the image": (deployment(), {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "evil:1"}]}}}}),
    "a port": (network(), {"spec": {"ports": [{"name": "80-tcp", "port": 80, "protocol": "TCP", "targetPort": 9999}]}}),
    "a prop": (config_map(MODE="plain"), {"data": {"MODE": "edited"}}),
    "a prop that was taken away": (config_map(MODE="plain"), {"data": {"MODE": None}}),
    "a label": (config_map(MODE="plain"), {"metadata": {"labels": {names.SERVICE: "web", names.ENVIRONMENT: "other"}}}),
    "whom a policy lets in": (
        manifest("NetworkPolicy", "shop-web", labels(), "networking.k8s.io/v1", spec={
            "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 80}]}],
        }),
        {"spec": {"ingress": [{"ports": [{"port": 80}]}]}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BY_HAND)
def test_what_somebody_has_changed_by_hand_is_as_the_spec_says_again(
    what: str, deploy: Deployer, cluster: Cluster
) -> None:
    wanted, change = BY_HAND[what]
    deploy(wanted)
    before = deploy.live(wanted.kind, wanted.name)
    cluster.put(merge(before, change))
    assert [line.split()[0] for line in deploy(wanted)] == ["PUT"]
    assert "not as the last deployment left it" in deploy.told
    after = deploy.live(wanted.kind, wanted.name)
    part = "data" if wanted.kind == "ConfigMap" else "spec"
    assert (after[part], after["metadata"]["labels"]) == (before[part], before["metadata"]["labels"])
    assert deploy(wanted) == []


def test_what_others_add_and_how_a_server_writes_quantities_is_no_change(deploy: Deployer, cluster: Cluster) -> None:
    limits = {"resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}}, "tty": False}
    wanted = deployment()
    wanted.data["spec"]["template"]["spec"]["containers"][0] |= limits
    deploy(wanted)
    written = {
        "name": "web",
        "image": "web:1",
        "env": [{"name": "MODE", "value": "plain"}],
        "terminationMessagePath": "/x",
    }
    written |= {"resources": {"limits": {"cpu": "500m", "memory": "1Gi", "example.com/gpu": "1"}}}
    change = {"metadata": {"labels": {"theirs": "1"}}, "spec": {"template": {"spec": {"containers": [written]}}}}
    cluster.put(merge(deploy.live("Deployment"), change))
    assert deploy(wanted) == []


KEEPING: dict[str, tuple[Manifest, Manifest]] = {
    "patched": (deployment(replicas=None), deployment("web:2", replicas=None)),
    "when the spec has it no longer": (deployment(replicas=2), deployment(replicas=None)),
    "deleted and created again": (
        deployment(replicas=None), deployment(replicas=None, of=labels(environment="stage")),
    ),
    "of another kind": (deployment(replicas=None), stateful_set(replicas=None)),
}  # fmt: skip


@pytest.mark.parametrize("how", KEEPING)
def test_the_number_of_replicas_stays_where_the_spec_has_none(how: str, deploy: Deployer, cluster: Cluster) -> None:
    first, second = KEEPING[how]
    deploy(first)
    cluster.patch("Deployment", "shop-web", {"spec": {"replicas": 4}}, "store")
    deploy(second)
    assert deploy.live(second.kind)["spec"]["replicas"] == 4


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_not_as_it_was_left_is_replaced_as_a_whole(edit: str, deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(deployment())
    cluster.put(merge(deploy.live("Deployment"), EDITS[edit]))
    done = deploy(deployment("web:2", env={"MODE": "fancy"}))
    assert done == ["PUT deployments/shop-web 200"]
    assert "not as the last deployment left it" in deploy.told
    container = deploy.live("Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert (container["name"], container["image"]) == ("web", "web:2")
    assert container["env"] == [{"name": "MODE", "value": "fancy"}]


def test_a_replacement_keeps_what_others_have_noted(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(config_map())
    note = {"annotations": {"theirs": "1", names.LAST_APPLIED: None}}
    cluster.patch("ConfigMap", "shop-web", {"metadata": note}, "store")
    deploy(config_map(NEW="1"))
    live = deploy.live("ConfigMap")
    assert (live["metadata"]["annotations"]["theirs"], live["data"]) == ("1", {"NEW": "1"})


def test_a_replaced_service_keeps_its_address(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(network())
    cluster.patch("Service", "web", {"spec": {"clusterIP": "10.0.0.7"}}, "store")
    cluster.patch("Service", "web", EDITS["an annotation that was lost"], "store")
    assert deploy(network(port=81)) == ["PUT services/web 200"]
    assert deploy.live("Service", "web")["spec"]["clusterIP"] == "10.0.0.7"


def test_a_change_that_is_not_possible_is_a_new_object_and_told(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(*ALL)
    old = deploy.live("Deployment")["metadata"]["uid"]
    stage = labels(environment="stage")
    done = deploy(deployment(of=stage))
    assert [line.split()[0] for line in done[:3]] == ["PATCH", "DELETE", "POST"]
    assert deploy.live("Deployment")["metadata"]["uid"] != old
    assert "field is immutable" in deploy.talk.warnings[0] and "deleted and created again" in deploy.told
    assert cluster.names("ConfigMap", "store") == []  # of the environment that was there before
    assert len(cluster.names("Pod", "store")) == 1


def test_what_may_hold_data_is_never_deleted_to_be_made_anew(deploy: Deployer, cluster: Cluster) -> None:
    deploy(deployment(), claim("ReadWriteOnce"))
    uid = cluster.get("pvc", "shop-shared", "store")["metadata"]["uid"]
    with pytest.raises(ApplyError, match=r"(?s)is invalid.*is left as it is.*delete it yourself"):
        deploy(deployment(), claim("ReadWriteMany"))
    assert cluster.get("pvc", "shop-shared", "store")["metadata"]["uid"] == uid


def claim(mode: str = "ReadWriteOnce", of: dict[str, str] | None = None) -> Manifest:
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}}
    return manifest("PersistentVolumeClaim", "shop-shared", of or labels(), spec=spec)


def test_nothing_is_deleted_that_could_not_be_created(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(deployment())
    with pytest.raises(ApplyError, match="image: Required value"):
        deploy(deployment(image=""))
    assert "DELETE" not in " ".join(writes(cluster))
    assert deploy.live("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] == "web:1"


@pytest.mark.parametrize("code", [403, 503])
def test_a_cluster_that_does_not_want_to_is_no_reason_to_delete(code: int, deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(deployment())
    cluster.fail("PATCH", "*/deployments/*", code)
    with pytest.raises(ApplyError, match="Cannot change Deployment shop-web"):
        deploy(deployment("web:2"))
    assert "DELETE" not in " ".join(writes(cluster))


@pytest.mark.parametrize("times", [1, 3])
def test_somebody_else_was_faster(times: int, deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(deployment())
    cluster.fail("PATCH", "*/deployments/*", 409, times)
    assert deploy(deployment("web:2")) == [f"PATCH deployments/shop-web {code}" for code in [409] * times + [200]]


def test_a_conflict_that_stays_is_no_reason_to_delete(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(deployment())
    cluster.fail("PATCH", "*/deployments/*", 409)
    with pytest.raises(ApplyError, match="Cannot change Deployment shop-web"):
        deploy(deployment("web:2"))
    assert writes(cluster) == ["PATCH deployments/shop-web 409"] * 4


def test_what_is_still_being_deleted_is_waited_for(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(config_map())
    cluster.patch("ConfigMap", "shop-web", {"metadata": {"finalizers": ["test/hold"]}}, "store")
    cluster.delete("ConfigMap", "shop-web", "store")
    release = threading.Thread(target=_release, args=(cluster,))
    release.start()
    deploy(config_map(MODE="new"))
    release.join()
    assert deploy.live("ConfigMap")["data"] == {"MODE": "new"}


def _release(cluster: Cluster) -> None:
    """As soon as somebody else wants it gone, too."""
    cluster.wait_for(lambda: [one for one in cluster.requests if one.method == "DELETE"])
    item = cluster.get("ConfigMap", "shop-web", "store")
    cluster.put(item | {"metadata": item["metadata"] | {"finalizers": []}})


def test_creating_is_never_said_to_have_worked_when_it_has_not(deploy: Deployer, cluster: Cluster) -> None:
    cluster.fail("POST", "*/configmaps", 403)
    with pytest.raises(ApplyError, match="Cannot create ConfigMap shop-web: the cluster does not allow it"):
        deploy(*ALL)
    assert cluster.names("Deployment") == []


FOREIGN: dict[str, tuple[Manifest, Manifest]] = {
    "another app": (network(of=labels(app="other")), network()),
    "another service": (config_map(of=labels("other")), config_map()),
    "somebody who has no labels": (config_map(of={"mine": "1"}), config_map(A="1")),
    "somebody who pulls in another way": (secret("registry-example", {"mine": "1"}), pull_secret()),
}


@pytest.mark.parametrize("owner", FOREIGN)
def test_what_belongs_to_somebody_else_is_left_alone(owner: str, deploy: Deployer, cluster: Cluster) -> None:
    theirs, ours = FOREIGN[owner]
    cluster.put(theirs.data, "store")
    cluster.put(autoscaler().data, "store")
    with pytest.raises(ApplyError, match="belongs to"):
        deploy(deployment(), ours)
    assert writes(cluster) == []


def test_apps_share_the_secret_for_pulling_images(deploy: Deployer, cluster: Cluster) -> None:
    cluster.put(pull_secret("other").data, "store")
    deploy(pull_secret())
    assert cluster.names("Secret", "store") == ["registry-example"]


def test_what_the_service_has_no_longer_is_removed_last(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(*ALL, pull_secret(), autoscaler())
    cluster.put(config_map("shop-other", labels("other")).data, "store")
    done = deploy(deployment("web:2", 2), pull_secret())
    assert done[0] == "DELETE horizontalpodautoscalers/shop-web 200"
    assert done[1] == "PATCH deployments/shop-web 200"
    assert sorted(line.split()[1] for line in done[2:]) == ["configmaps/shop-web", "secrets/shop-web", "services/web"]
    assert cluster.names("ConfigMap", "store") == ["shop-other"]
    assert "Service web: deleted, the service has it no longer" in deploy.told


def test_a_secret_that_the_spec_counts_on_stays(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(deployment(), secret(KEY="hidden"), secret("service-web-agent-log"))
    deploy(deployment(), of=service(secrets=Secrets(("KEY",))))
    assert cluster.names("Secret") == ["shop-web"]


def test_a_refused_deployment_leaves_running_what_ran(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(*ALL)
    cluster.fail("POST", "*/statefulsets", 403)
    with pytest.raises(ApplyError):
        deploy(stateful_set())
    assert cluster.names("Deployment") == ["shop-web"]


def test_a_service_that_gets_volumes_changes_from_a_deployment_to_a_stateful_set(
    deploy: Deployer, cluster: Cluster
) -> None:
    deploy.has(deployment())
    deploy(stateful_set(), of=service(volumes=(Volume("data", "/data"),)))
    assert cluster.names("Deployment") == [] and cluster.names("Pod", "store") == ["shop-web-0"]
    deploy(deployment())
    assert cluster.names("StatefulSet") == [] and len(cluster.names("Pod", "store")) == 1
    assert "data-shop-web-0" in deploy.talk.warnings[0]
    assert cluster.names("PersistentVolumeClaim") == ["data-shop-web-0"]


def test_what_is_of_an_unusual_kind_is_remembered_and_removed(deploy: Deployer, cluster: Cluster) -> None:
    gateway = manifest("Gateway", "shop-web", labels(), "networking.istio.io/v1beta1", spec={"servers": []})
    deploy(deployment(), gateway)
    assert json.loads(deploy.live("Deployment")["metadata"]["annotations"][names.APPLIED_KINDS]) == [
        "Gateway.v1beta1.networking.istio.io"
    ]
    assert deploy(deployment(), gateway) == []
    deploy(deployment())
    assert cluster.names("Gateway") == []


KNATIVE = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "services.serving.knative.dev"},
    "spec": {
        "group": "serving.knative.dev",
        "scope": "Namespaced",
        "names": {"kind": "Service", "plural": "services"},
        "versions": [{"name": "v1", "served": True, "storage": True}],
    },
}


def test_kinds_of_one_name_are_told_apart_by_their_groups(deploy: Deployer, cluster: Cluster) -> None:
    cluster.put(KNATIVE)
    theirs = manifest("Service", "web", labels(), "serving.knative.dev/v1", spec={"template": {}})
    deploy(deployment(), network(), theirs)
    assert deploy(deployment(), network(), theirs) == []
    assert cluster.names("services.serving.knative.dev") == ["web"]
    deploy(deployment(), network())
    assert (cluster.names("services.serving.knative.dev"), cluster.names("Service", "store")) == ([], ["web"])


def role(of: dict[str, str] | None = None) -> Manifest:
    return manifest("ClusterRole", "reader", of or labels(), "rbac.authorization.k8s.io/v1", rules=[])


@pytest.mark.parametrize("shared", [role(), manifest("Namespace", "jobs", labels())], ids=lambda one: one.kind)
def test_what_is_in_no_namespace_is_refused_before_anything_is_written(
    shared: Manifest, deploy: Deployer, cluster: Cluster
) -> None:
    cluster.delete("Namespace", "store")
    with pytest.raises(ApplyError, match=f"{shared.kind} {shared.name}: objects of this kind are in no namespace"):
        deploy(deployment(), shared)
    assert writes(cluster) == []


def test_what_is_in_no_namespace_is_not_removed(deploy: Deployer, cluster: Cluster) -> None:
    kinds = '["ClusterRole.v1.rbac.authorization.k8s.io", "Namespace.v1"]'
    workload = deployment()
    workload.data["metadata"]["annotations"] = {names.APPLIED_KINDS: kinds}
    deploy.has(workload)
    cluster.put(role().data)
    cluster.put(manifest("Namespace", "jobs", labels()).data)
    deploy(deployment())
    assert undeploy(deploy.ctl, "shop", "web", deploy.talk) == ["Deployment shop-web"]
    assert (cluster.names("ClusterRole"), "jobs" in cluster.names("Namespace")) == (["reader"], True)


def test_a_kind_that_the_cluster_does_not_serve_is_named(deploy: Deployer) -> None:
    with pytest.raises(ClusterError, match="does not know this kind"):
        deploy(manifest("Cactus", "shop-web", labels(), "desert.example/v1"))


def test_who_may_not_look_for_optional_kinds_can_deploy(deploy: Deployer, cluster: Cluster) -> None:
    cluster.fail("GET", "*/ingresses", 403)
    deploy(*ALL)
    assert "ingresses" in deploy.talk.warnings[0]


def test_who_may_not_look_at_namespaces_can_deploy(deploy: Deployer, cluster: Cluster) -> None:
    cluster.fail("GET", "*/namespaces/store", 403)
    deploy(config_map())
    assert cluster.names("ConfigMap", "store") == ["shop-web"]


@pytest.mark.parametrize("glob", ["*/namespaces/store", "*/configmaps", "*/configmaps/shop-web"])
def test_what_cannot_be_looked_up_is_not_taken_for_absent(glob: str, deploy: Deployer, cluster: Cluster) -> None:
    cluster.fail("GET", glob, 500)
    with pytest.raises(ClusterError):
        deploy(config_map())
    assert not [line for line in writes(cluster) if "configmaps" in line]


def test_what_is_too_long_for_an_annotation_is_replaced(deploy: Deployer) -> None:
    deploy(config_map(LONG="x" * 300_000))
    assert names.LAST_APPLIED not in deploy.live("ConfigMap")["metadata"]["annotations"]
    assert deploy(config_map(LONG="y" * 300_000)) == ["PUT configmaps/shop-web 200"]
    assert deploy(config_map(LONG="short")) == ["PUT configmaps/shop-web 200"]
    assert deploy(config_map(LONG="short")) == []


def test_an_old_kubectl_replaces(deploy: Deployer, kubectl: Path, tmp_path: Path) -> None:
    deploy.has(*ALL)
    old = tmp_path / "kubectl"
    old.write_text(
        "#!/bin/sh\nfor word; do case $word in --patch-file*) echo 'error: unknown flag: --patch-file' >&2; exit 1;; esac; done\n"
        f'exec {kubectl} "$@"\n'
    )
    old.chmod(0o755)
    deploy.ctl.program = str(old)
    assert deploy(config_map(MODE="fancy"), secret(KEY="other"), *ALL[2:]) == [
        "PUT configmaps/shop-web 200", "PUT secrets/shop-web 200",
    ]  # fmt: skip


# Volumes


def volume(size: str = "1Gi", storage_class: str | None = None) -> Service:
    return service(volumes=(Volume("data", "/data", size, storage_class),))


def test_a_changed_size_is_warned_of_and_ignored(deploy: Deployer, cluster: Cluster) -> None:
    deploy(stateful_set(data="1Gi"), of=volume())
    assert deploy.talk.warnings == []
    done = deploy(stateful_set("web:2", data="2Gi"), of=volume("2Gi"))
    assert done == ["PATCH statefulsets/shop-web 200"]
    assert "Volume data has 1Gi, the spec asks for 2Gi." in deploy.talk.warnings[0]
    assert deploy(stateful_set("web:2", data="2Gi"), of=volume("2Gi")) == []


@pytest.mark.parametrize(("there", "spec"), [("1Gi", "1024Mi"), ("10e9", "1e10"), ("10G", "1e10")])
def test_the_same_size_in_other_words_is_no_change(there: str, spec: str, deploy: Deployer) -> None:
    deploy.has(stateful_set(data=there))
    deploy(stateful_set(data=spec), of=volume(spec))
    assert deploy.talk.warnings == []


def test_a_claim_of_a_snippet_is_unused_only_when_it_is_not_wanted_any_more(deploy: Deployer) -> None:
    deploy(deployment(), claim())
    assert deploy(deployment(), claim()) == []
    assert deploy.talk.warnings == []
    assert deploy(deployment()) == []
    assert "Kept with their data: shop-shared." in deploy.talk.warnings[0]


def test_a_claim_that_others_have_made_is_not_told_to_be_unused(deploy: Deployer, cluster: Cluster) -> None:
    cluster.put(claim().data, "store")
    deploy(deployment())
    assert deploy.talk.warnings == []


def test_a_further_volume_is_a_new_stateful_set_with_the_old_data(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(stateful_set())
    claim = cluster.get("pvc", "data-shop-web-0", "store")
    deploy(stateful_set(data="1Gi", more="1Gi"), of=service(volumes=(Volume("data", "/d"), Volume("more", "/m"))))
    assert "deleted and created again" in deploy.told
    assert cluster.get("pvc", "data-shop-web-0", "store")["metadata"]["uid"] == claim["metadata"]["uid"]
    assert cluster.names("pvc") == ["data-shop-web-0", "more-shop-web-0"]


def test_broken_pods_of_a_stateful_set_make_room_for_the_mended_ones(deploy: Deployer, cluster: Cluster) -> None:
    cluster.pods("web:broken", then="image")
    deploy(stateful_set("web:broken"), of=volume())
    deploy(stateful_set("web:2"), of=volume())
    [pod] = cluster.objects("Pod", "store")
    assert pod["spec"]["containers"][0]["image"] == "web:2"


CLASSES: dict[str, tuple[list[str], str | None, str]] = {
    "none at all": ([], None, "no storage classes"),
    "no default": (["fast", "slow"], None, "no default one. It has fast, slow"),
    "another": (["fast", "slow"], "silver", "wants storage class silver, which the cluster has not. It has fast, slow"),
    "a default": (["standard", "fast"], None, ""),
    "the named one": (["fast"], "fast", ""),
}


@pytest.mark.parametrize("case", CLASSES)
def test_storage_classes_are_checked_first(case: str, ctl: Kubectl, cluster: Cluster) -> None:
    there, wanted, complaint = CLASSES[case]
    for name in there:
        default = CLASS["metadata"]["annotations"] if name == "standard" else {}  # type: ignore[index]
        cluster.put(CLASS | {"metadata": {"name": name, "annotations": default}})
    if not complaint:
        return preflight(ctl, volume(storage_class=wanted))
    with pytest.raises(PreflightError, match=complaint):
        preflight(ctl, volume(storage_class=wanted))
    return None


def test_who_may_not_look_at_storage_classes_is_trusted(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.fail("GET", "*/storageclasses", 403)
    preflight(ctl, volume())


def test_a_cluster_that_cannot_be_reached_is_known_before_anything_is_built(
    ctl: Kubectl, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "kubeconfig").write_text(cluster.kubeconfig.read_text().replace(cluster.url, "http://127.0.0.1:1"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with pytest.raises(PreflightError, match="cannot be reached"):
        preflight(ctl, service())


def test_a_kubectl_that_knows_no_cluster_is_told_to_be_that(
    ctl: Kubectl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    with pytest.raises(PreflightError, match="there is no kubeconfig, or it has no current context"):
        preflight(ctl, service())


def test_a_missing_kubectl_is_told_to_be_that(ctl: Kubectl) -> None:
    ctl.program = "/nowhere/kubectl"
    with pytest.raises(PreflightError, match="/nowhere/kubectl cannot be started"):
        preflight(ctl, service())


@pytest.mark.parametrize("code", [429, 503])
def test_a_cluster_that_is_too_busy_is_told_to_be_that(code: int, ctl: Kubectl, cluster: Cluster) -> None:
    cluster.fail("*", "*", code)
    with pytest.raises(PreflightError, match="is overloaded, or not quite up"):
        preflight(ctl, service())


def test_credentials_that_the_cluster_does_not_take_are_named(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.fail("*", "*", 401)
    with pytest.raises(PreflightError, match="does not accept the credentials"):
        preflight(ctl, service())


def test_an_archived_service_is_woken_by_a_deployment(deploy: Deployer, cluster: Cluster) -> None:
    deploy.has(deployment(replicas=2))
    archive(deploy.ctl, "shop", deploy.talk)
    assert cluster.names("Pod", "store") == []
    deploy(deployment(replicas=2))
    assert len(cluster.names("Pod", "store")) == 2
    assert deploy(deployment(replicas=2)) == []
