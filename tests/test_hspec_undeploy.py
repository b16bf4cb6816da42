"""Take away: undeploy, scale, archive and restore, remove for good."""

from pathlib import Path
from typing import Any

import pytest
from hspec_cluster import (
    Manifest,
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
    stateful_set,
    talk,
    writes,
)
from kube.cluster import Cluster

from octopod.hspec import names
from octopod.hspec.cluster import Kubectl, archive, remove, restore, scale, undeploy
from octopod.hspec.errors import ApplyError, ClusterError
from octopod.hspec.talk import Talk

OTHERS = [deployment(of=labels("db")), network(of=labels("db"))]
FOREIGN = [deployment(of=labels(app="other")), config_map("theirs", {"mine": "1"})]


@pytest.fixture
def ctl(cluster: Cluster, kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    return client(cluster, kubectl, monkeypatch)


def put(cluster: Cluster, *manifests: Manifest) -> None:
    for one in manifests:
        cluster.put(one.data, "store")


# Undeploy


def test_a_service_is_removed_and_nothing_else(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, config_map(), secret(), network(), deployment(), autoscaler(1), pull_secret(), *OTHERS, *FOREIGN)
    assert undeploy(ctl, "shop", "web", talk()) == [
        "HorizontalPodAutoscaler shop-web", "Deployment shop-web", "ConfigMap shop-web", "Secret shop-web", "Service web",
    ]  # fmt: skip
    assert cluster.names("Deployment") == ["other-web", "shop-db"]
    assert cluster.names("Secret") == ["registry-example"]
    assert len(cluster.names("Pod")) == 2


def test_an_app_is_removed_whatever_environment_it_was_deployed_for(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, config_map(of=labels(environment="stage")), deployment(), *OTHERS, pull_secret(), *FOREIGN)
    assert len(undeploy(ctl, "shop", None, talk())) == 5
    assert (cluster.names("Deployment"), cluster.names("ConfigMap")) == (["other-web"], ["theirs"])
    assert cluster.names("Secret") == []


def test_the_secret_that_another_app_pulls_with_stays(ctl: Kubectl, cluster: Cluster) -> None:
    other = deployment(of=labels(app="other"), imagePullSecrets=[{"name": "registry-example"}])
    put(cluster, deployment(), pull_secret(), other)
    assert undeploy(ctl, "shop", None, talk()) == ["Deployment shop-web"]
    assert cluster.names("Secret") == ["registry-example"]


def test_volumes_stay_and_are_told_of(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, stateful_set(replicas=2))
    words = talk()
    undeploy(ctl, "shop", "web", words)
    assert "data-shop-web-0, data-shop-web-1" in words.warnings[0]
    assert "A volume of the same name gets them back" in words.warnings[0]
    assert len(cluster.names("pvc")) == 2
    again = talk()
    assert undeploy(ctl, "shop", "web", again) == []
    assert "nothing to undeploy" in said(again) and again.warnings == words.warnings


def test_a_claim_of_a_snippet_is_told_of_once(ctl: Kubectl, cluster: Cluster) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    workload = deployment()
    workload.data["metadata"]["annotations"] = {names.APPLIED_KINDS: '["PersistentVolumeClaim.v1"]'}
    put(cluster, workload, manifest("PersistentVolumeClaim", "shared", labels(), spec=spec))
    words = talk()
    undeploy(ctl, "shop", "web", words)
    assert words.warnings[0].startswith("Kept with their data: shared.")


def test_what_is_of_an_unusual_kind_goes_too(ctl: Kubectl, cluster: Cluster) -> None:
    gateway = manifest("Gateway", "shop-web", labels(), "networking.istio.io/v1beta1", spec={"servers": []})
    workload = deployment()
    workload.data["metadata"]["annotations"] = {names.APPLIED_KINDS: '["Gateway", "Cactus"]'}
    put(cluster, gateway, workload)
    assert undeploy(ctl, "shop", "web", talk()) == ["Gateway shop-web", "Deployment shop-web"]


def test_what_is_of_an_unusual_kind_is_not_forgotten_when_it_cannot_be_removed(ctl: Kubectl, cluster: Cluster) -> None:
    budget = manifest("PodDisruptionBudget", "shop-web", labels(), "policy/v1", spec={"minAvailable": 1})
    workload = deployment()
    workload.data["metadata"]["annotations"] = {names.APPLIED_KINDS: '["PodDisruptionBudget.v1.policy"]'}
    put(cluster, budget, workload)
    cluster.fail("DELETE", "*/poddisruptionbudgets/*", 403)
    with pytest.raises(ApplyError, match=r"Not deleted: PodDisruptionBudget shop-web\."):
        undeploy(ctl, "shop", "web", talk())
    cluster.heal()
    assert undeploy(ctl, "shop", "web", talk()) == ["PodDisruptionBudget shop-web", "Deployment shop-web"]


def test_kinds_that_we_may_not_look_for_are_told_of(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, deployment())
    cluster.fail("GET", "*/horizontalpodautoscalers", 403)
    words = talk()
    assert undeploy(ctl, "shop", "web", words) == ["Deployment shop-web"]
    assert "does not let us look for horizontalpodautoscalers" in words.warnings[0]


def test_what_cannot_be_removed_is_named_and_the_rest_is_gone(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, config_map(), network(), deployment())
    cluster.fail("DELETE", "*/configmaps/*", 403)
    with pytest.raises(ApplyError, match=r"Not deleted: ConfigMap shop-web\."):
        undeploy(ctl, "shop", "web", talk())
    assert (cluster.names("Service"), cluster.names("Deployment")) == ([], [])


def test_a_cluster_that_cannot_be_asked_has_not_nothing(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.fail("GET", "*/deployments", 500)
    with pytest.raises(ClusterError):
        undeploy(ctl, "shop", "web", talk())


# Scale


SCALES: list[tuple[dict[str, int], int]] = [({"to": 3}, 3), ({"by": 1}, 3), ({"by": -2}, 0), ({"to": 2}, 2)]


@pytest.mark.parametrize(("wanted", "count"), SCALES)
def test_a_service_is_scaled(wanted: Any, count: int, ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, deployment(replicas=2))
    assert scale(ctl, "shop", "web", **wanted, talk=talk()) == count
    assert len(cluster.names("Pod", "store")) == count


def test_who_may_not_look_for_autoscalers_can_scale(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, deployment(replicas=2))
    cluster.fail("GET", "*/horizontalpodautoscalers", 403)
    assert scale(ctl, "shop", "web", to=3, talk=talk()) == 3


REFUSED: list[tuple[list[Manifest], dict[str, int], str]] = [
    ([deployment(replicas=2), autoscaler(2, 4)], {"to": 5}, "between 2 and 4 replicas: 5 are out of its range"),
    ([deployment(replicas=2), autoscaler(2, 4)], {"by": -1}, "1 are out of its range"),
    ([deployment(replicas=2)], {"by": -3}, "there cannot be -1"),
    ([], {"to": 1}, "not deployed in namespace store"),
]


@pytest.mark.parametrize(("there", "wanted", "complaint"), REFUSED)
def test_a_number_that_cannot_be_is_refused(
    there: list[Manifest], wanted: Any, complaint: str, ctl: Kubectl, cluster: Cluster
) -> None:
    put(cluster, *there)
    with pytest.raises(ApplyError, match=complaint):
        scale(ctl, "shop", "web", **wanted, talk=talk())
    assert writes(cluster) == []


# Archive and restore


def counts(cluster: Cluster) -> dict[str, int]:
    found = cluster.objects("Deployment") + cluster.objects("StatefulSet")
    return {item["metadata"]["name"]: item["spec"]["replicas"] for item in found}


def twice(do: Any, ctl: Kubectl, cluster: Cluster) -> Talk:
    """The second run finds nothing to do."""
    words = talk()
    do(ctl, "shop", words)
    before = len(writes(cluster))
    do(ctl, "shop", talk())
    assert len(writes(cluster)) == before
    return words


def test_an_app_is_archived_and_restored(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, stateful_set(replicas=2), deployment(of=labels("db"), replicas=3), deployment(of=labels(app="other")))
    before = counts(cluster)
    twice(archive, ctl, cluster)
    assert counts(cluster) == {"other-web": 1, "shop-db": 0, "shop-web": 0}
    twice(restore, ctl, cluster)
    assert counts(cluster) == before


def test_an_autoscaler_leaves_alone_what_is_archived(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, deployment(replicas=3), autoscaler(2, 4))
    archive(ctl, "shop", talk())
    assert cluster.names("Pod", "store") == []
    restore(ctl, "shop", talk())
    assert counts(cluster) == {"shop-web": 3}


def test_what_is_archived_is_not_scaled(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, deployment())
    archive(ctl, "shop", talk())
    with pytest.raises(ApplyError, match="is archived: restore it first"):
        scale(ctl, "shop", "web", to=2, talk=talk())


def test_a_second_run_archives_what_the_first_could_not(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, deployment(replicas=2), deployment(of=labels("db"), replicas=3))
    cluster.fail("PATCH", "*/shop-db", 500)
    with pytest.raises(ApplyError, match="shop-db"):
        archive(ctl, "shop", talk())
    assert counts(cluster) == {"shop-db": 3, "shop-web": 0}
    cluster.heal()
    archive(ctl, "shop", talk())
    assert counts(cluster) == {"shop-db": 0, "shop-web": 0}
    restore(ctl, "shop", talk())
    assert counts(cluster) == {"shop-db": 3, "shop-web": 2}


def test_what_somebody_else_has_woken_keeps_its_number(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, deployment(replicas=2))
    archive(ctl, "shop", talk())
    cluster.patch("Deployment", "shop-web", {"spec": {"replicas": 1}}, "store")
    twice(restore, ctl, cluster)
    assert counts(cluster) == {"shop-web": 1}


def test_what_never_had_replicas_gets_none(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, deployment(replicas=0))
    archive(ctl, "shop", talk())
    restore(ctl, "shop", talk())
    assert writes(cluster) == []


# Remove for good


def test_an_app_is_removed_with_its_volumes(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, stateful_set(replicas=2), config_map(), network(), *FOREIGN)
    twice(remove, ctl, cluster)
    assert (cluster.names("pvc"), cluster.names("Pod")) == ([], [cluster.names("Pod")[0]])
    assert cluster.names("Deployment") == ["other-web"]


def test_removed_is_only_said_when_all_is_gone(ctl: Kubectl, cluster: Cluster) -> None:
    put(cluster, stateful_set())
    cluster.fail("DELETE", "*/persistentvolumeclaims/*", 403)
    with pytest.raises(ApplyError, match="PersistentVolumeClaim data-shop-web-0"):
        remove(ctl, "shop", talk())
    cluster.heal()
    remove(ctl, "shop", talk())
    assert cluster.names("pvc") == []
