"""How services and their replicas are, and where they can be reached."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hspec_cluster import client, deployment, labels, network, stateful_set, talk
from kube.cluster import Cluster

from octopod.hspec.cluster import Kubectl, ServiceStatus, address, archive, replicas, statuses
from octopod.hspec.cluster.address import patience
from octopod.hspec.errors import AddressError, ClusterError


@pytest.fixture
def ctl(cluster: Cluster, kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    return client(cluster, kubectl, monkeypatch)


def status(ctl: Kubectl) -> ServiceStatus:
    [found] = statuses(ctl, "shop", "web")
    return found


FATES: dict[str, tuple[str, str]] = {
    "ready": ("Running", ""),
    "never ready": ("Not Running", "NotReady: web runs, but is not ready"),
    "crash": ("Failed", "CrashLoopBackOff: exit code 1, restarted 5 times"),
    "image": ("Failed", "ImagePullBackOff"),
    "pending": ("Not Running", "Unschedulable: 0/1 nodes are available"),
}


@pytest.mark.parametrize("fate", FATES)
def test_a_service_is_as_its_pods_are(fate: str, ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("web:1", then=fate)
    cluster.put(deployment().data, "store")
    found, (word, message) = status(ctl), FATES[fate]
    assert (found.name, found.status, found.address) == ("web", word, "")
    assert message in found.message and bool(message) == bool(found.message)


def test_a_service_without_anything_is_not_deployed(ctl: Kubectl) -> None:
    assert status(ctl) == ServiceStatus("web", "Not Deployed", None, "", "")
    assert statuses(ctl, "shop") == []


def test_not_deployed_is_only_said_when_it_is_certain(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.fail("GET", "*/deployments", 500)
    with pytest.raises(ClusterError):
        status(ctl)


def test_all_services_of_an_app_are_listed_by_name(ctl: Kubectl, cluster: Cluster) -> None:
    for item in (
        deployment(),
        deployment(of=labels("db")),
        deployment(of=labels(app="other")),
        network("LoadBalancer"),
    ):
        cluster.put(item.data, "store")
    found = statuses(ctl, "shop")
    assert [(one.name, one.status, bool(one.address)) for one in found] == [
        ("db", "Running", False),
        ("web", "Running", True),
    ]


@pytest.mark.parametrize("workload", [deployment(replicas=0), stateful_set(replicas=0)])
def test_a_service_without_replicas_does_not_run(workload: Any, ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(workload.data, "store")
    assert status(ctl)[1:] == ("Not Running", None, "", "scaled to no replicas")


def test_an_archived_service_says_so(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment().data, "store")
    archive(ctl, "shop", talk())
    assert status(ctl)[1:] == ("Not Running", None, "", "archived")


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 0)])
def test_replicas_that_have_to_go_are_scaling_down(before: int, after: int, ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("web:1", then="lingering")
    cluster.put(deployment(replicas=before).data, "store")
    cluster.put(deployment(replicas=after).data, "store")
    assert (status(ctl).status, status(ctl).message) == ("Scaling Down", "1 replica to go")


def test_a_rollout_whose_old_pods_still_run_is_running_until_a_new_one_is_not_ready(
    ctl: Kubectl, cluster: Cluster
) -> None:
    cluster.put(deployment(replicas=2).data, "store")
    cluster.pods("web:2", then="never ready")
    cluster.put(deployment("web:2", replicas=2).data, "store")
    assert status(ctl).status == "Not Running"


def test_what_the_cluster_has_not_noticed_does_not_run_yet(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment().data, "store")
    with cluster.controllers_paused():
        cluster.put(deployment("web:2").data, "store")
        assert status(ctl)[1:2] == ("Not Running",)
    assert status(ctl).status == "Running"


def test_the_age_is_that_of_the_first_pod(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment(replicas=2).data, "store")
    [one, two] = cluster.names("Pod", "store")
    cluster.patch("Pod", one, {"status": {"startTime": "2026-01-01T00:00:00Z"}}, "store")
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=2)
    [found] = statuses(ctl, "shop", "web", now=now)
    assert found.age == 7200
    ages = {replica.name: replica.age for replica in replicas(ctl, "shop", "web", now=now)}
    assert ages == {one: 7200, two: 0}


def test_replicas_are_listed_by_name(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("shop-web-1", then="crash")
    cluster.put(stateful_set(replicas=3).data, "store")
    found = replicas(ctl, "shop", "web")
    assert [(one.name, one.status, one.restarts, one.node) for one in found] == [
        ("shop-web-0", "Running", 0, "node-1"),
        ("shop-web-1", "Failed", 5, "node-1"),
    ]
    assert found[1].message == "CrashLoopBackOff: exit code 1, restarted 5 times"
    assert replicas(ctl, "shop", "other") == []


# Addresses


def test_an_external_service_has_an_address_per_port(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(network("LoadBalancer", 8080).data, "store")
    [found] = address(ctl, "shop", "web")
    assert found.startswith("203.0.113.") and found.endswith(":8080")


NOWHERE: dict[str, tuple[Any, str]] = {
    "without ports": (deployment(), "has no ports"),
    "internal": (network(), "is not external"),
    "of another app": (network("LoadBalancer", of=labels(app="other")), "has no ports"),
}


@pytest.mark.parametrize("case", NOWHERE)
def test_a_service_without_an_address_says_why_at_once(case: str, ctl: Kubectl, cluster: Cluster) -> None:
    item, complaint = NOWHERE[case]
    cluster.put(item.data, "store")
    with pytest.raises(AddressError, match=complaint):
        address(ctl, "shop", "web", timeout=3600)


def test_a_cluster_that_gives_no_address_is_not_waited_for_for_ever(ctl: Kubectl, cluster: Cluster) -> None:
    with cluster.controllers_paused():
        cluster.put(network("LoadBalancer").data, "store")
        with pytest.raises(AddressError, match=r"no address in 0 s\. What was deployed stays"):
            address(ctl, "shop", "web", timeout=0)


@pytest.mark.parametrize(("text", "seconds"), [("", 90), ("120000", 120), ("500", 0.5), ("soon", 90)])
def test_the_time_for_an_address_can_be_set_in_milliseconds(
    text: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYS_LB_READY_TIMEOUT", text)
    assert patience() == seconds


def test_an_address_is_waited_for_as_long_as_is_set(
    ctl: Kubectl, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYS_LB_READY_TIMEOUT", "10")
    with cluster.controllers_paused():
        cluster.put(network("LoadBalancer").data, "store")
        with pytest.raises(AddressError, match=r"no address in 0\.01 s"):
            address(ctl, "shop", "web")
