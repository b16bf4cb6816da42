"""Waiting for what was applied: until it runs, or until it is known why it does not."""

import re
from pathlib import Path
from typing import Any

import pytest
from hspec_cluster import CONTEXT, client, config_map, deployment, said, service, stateful_set, talk
from kube.cluster import Cluster

from octopod.hspec.cluster import Kubectl, wait
from octopod.hspec.errors import ClusterError, WaitError


@pytest.fixture
def ctl(cluster: Cluster, kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    return client(cluster, kubectl, monkeypatch)


def why(ctl: Kubectl, timeout: float = 0) -> str:
    """What keeps the service from running."""
    with pytest.raises(WaitError) as failure:
        wait(ctl, service(), CONTEXT, talk(), timeout)
    return str(failure.value)


@pytest.mark.parametrize("workload", [deployment(replicas=2), stateful_set(replicas=2), deployment(replicas=0)])
def test_what_runs_need_not_be_waited_for(workload: Any, ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(workload.data, "store")
    wait(ctl, service(), CONTEXT, talk())


@pytest.mark.parametrize("workload", [deployment(replicas=2), stateful_set(replicas=2)])
def test_pods_are_waited_for_until_they_are_ready(workload: Any, ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("web:1", then="ready after 3 looks")
    cluster.put(workload.data, "store")
    wait(ctl, service(), CONTEXT, talk())
    assert cluster.get(workload.kind, "shop-web", "store")["status"]["readyReplicas"] == 2


REASONS: dict[str, tuple[str, str]] = {
    "image": ("image of container web cannot be pulled", "Check name and tag"),
    "crash": ("ends again and again: CrashLoopBackOff: exit code 1, restarted 5 times", "no such table"),
    "never ready": ("0 of 1 pods ready", "Readiness probe failed: connection refused"),
    "pending": ("No node|no node takes shop-web", "Insufficient memory"),
}


@pytest.mark.parametrize("fate", REASONS)
def test_what_keeps_a_pod_from_running_is_told(fate: str, ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("web:1", then=fate, log="no such table")
    cluster.put(deployment().data, "store")
    told = why(ctl)
    for part in REASONS[fate]:
        assert re.search(part, told), told


@pytest.mark.parametrize("fate", ["image", "crash"])
def test_what_does_not_pass_is_not_waited_for(fate: str, ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("web:1", then=fate)
    cluster.put(stateful_set().data, "store")
    assert "Not ready after" not in why(ctl, timeout=3600)


MISSING: dict[str, Any] = {
    "configmap": {"configMapKeyRef": {"name": "nowhere", "key": "A"}},
    "secret": {"secretKeyRef": {"name": "nowhere", "key": "A"}},
}


@pytest.mark.parametrize("kind", MISSING)
def test_what_is_missing_is_named(kind: str, ctl: Kubectl, cluster: Cluster) -> None:
    workload = deployment()
    container = workload.data["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "A", "valueFrom": MISSING[kind]}]
    cluster.put(workload.data, "store")
    told = why(ctl, timeout=3600)
    assert f'{kind} "nowhere" not found' in told and "deploy again" in told


STARTS: dict[str, tuple[str, str, bool]] = {
    "a registry that hiccups": ("ErrImagePull", "dial tcp 10.0.0.1:443: i/o timeout", False),
    "a node that is busy": ("CreateContainerError", "context deadline exceeded", False),
    "a cache": ("CreateContainerConfigError", "failed to sync configmap cache: timed out", False),
    "a tag that is not there": ("ErrImagePull", "web:1: not found", True),
    "a key that is not there": ("CreateContainerConfigError", "couldn't find key A in ConfigMap store/shop-web", True),
    "an image that is never pulled": ("ErrImageNeverPull", "Container image is not present", True),
    "a name that is none": ("InvalidImageName", "couldn't parse image reference", True),
    "a program that is not there": ("RunContainerError", "exec: x: executable file not found in $PATH", True),
}


@pytest.mark.parametrize("case", STARTS)
def test_what_may_be_a_hiccup_is_waited_for(case: str, ctl: Kubectl, cluster: Cluster) -> None:
    word, message, is_certain = STARTS[case]
    cluster.pods("web:1", then="never ready")
    cluster.put(deployment().data, "store")
    with cluster.controllers_paused():
        [pod] = cluster.names("Pod", "store")
        state = {"waiting": {"reason": word, "message": message}}
        containers = [{"name": "web", "ready": False, "restartCount": 0, "state": state}]
        cluster.patch("Pod", pod, {"status": {"containerStatuses": containers}}, "store")
        told = why(ctl)
    assert message in told
    assert told.startswith("Not ready after 0 s") is not is_certain


def test_an_evicted_pod_is_no_failure(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("web:1", then="crash")
    cluster.put(deployment().data, "store")
    [pod] = cluster.names("Pod", "store")
    with cluster.controllers_paused():
        cluster.patch("Pod", pod, {"status": {"phase": "Failed", "reason": "Evicted"}}, "store")
        assert why(ctl).startswith("Not ready after 0 s")
    cluster.pods("web:1", then="ready")
    wait(ctl, service(), CONTEXT, talk())


def test_old_pods_are_no_success(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("web:2", then="never ready")
    cluster.put(deployment(replicas=2).data, "store")
    cluster.put(deployment("web:2", replicas=2).data, "store")
    assert "0 of 2 pods ready" in why(ctl)


def test_old_pods_that_fail_are_no_failure_of_the_new_ones(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("web:1", then="crash")
    cluster.put(stateful_set("web:1").data, "store")
    cluster.put(stateful_set("web:2").data, "store")
    assert "ends again and again" not in why(ctl)
    cluster.delete("Pod", "shop-web-0", "store")
    wait(ctl, service(), CONTEXT, talk())


def test_old_pods_that_are_still_counted_are_waited_for(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment().data, "store")
    with cluster.controllers_paused():
        cluster.patch("Deployment", "shop-web", {"status": {"replicas": 2}}, "store")
        assert "1 of 1 pods ready, old ones to go: 1" in why(ctl)


def test_what_the_cluster_has_not_noticed_is_waited_for(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment().data, "store")
    with cluster.controllers_paused():
        cluster.put(deployment("web:2").data, "store")
        assert "has not noticed the change yet" in why(ctl)
    wait(ctl, service(), CONTEXT, talk())


def test_being_held_up_is_said_once(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("web:1", then="pending")
    cluster.put(deployment().data, "store")
    words, looks = talk(), len(cluster.requests)
    with pytest.raises(WaitError):
        wait(ctl, service(), CONTEXT, words, 0.3)
    assert said(words).count("no node takes") == 1
    assert len(cluster.requests) > looks


def test_pods_that_cannot_be_made_are_a_reason(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment().data, "store")
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    with cluster.controllers_paused():
        cluster.patch("Deployment", "shop-web", {"status": {"conditions": [refused], "readyReplicas": 0}}, "store")
        for pod in cluster.names("Pod", "store"):
            cluster.patch("Pod", pod, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, "store")
        assert "pods cannot be made: exceeded quota" in why(ctl)


def test_a_rollout_that_the_cluster_has_given_up_is_not_waited_for(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.pods("web:1", then="never ready")
    cluster.put(deployment().data, "store")
    cluster.pass_deadlines()
    assert "given up waiting" in why(ctl, timeout=3600)


def test_the_number_of_restarts_that_are_too_many_can_be_set(
    ctl: Kubectl, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYS_POD_RESTART_COUNT", "6")
    cluster.pods("web:1", then="crash")
    cluster.put(deployment().data, "store")
    assert "Not ready after 0 s" in why(ctl)


def test_a_service_that_is_not_there_is_not_waited_for(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(config_map().data, "store")
    assert "is not there any more in namespace store" in why(ctl, timeout=3600)


def test_a_cluster_that_gives_no_answer_once_is_asked_again(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.put(deployment().data, "store")
    cluster.fail("GET", "*/pods", 500, times=2)
    wait(ctl, service(), CONTEXT, talk(), 0)


def test_a_cluster_that_cannot_be_asked_is_no_failure_of_the_service(ctl: Kubectl, cluster: Cluster) -> None:
    cluster.fail("GET", "*/pods", 500)
    with pytest.raises(ClusterError):
        wait(ctl, service(), CONTEXT, talk(), 0)
