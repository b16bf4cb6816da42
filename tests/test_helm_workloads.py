"""How workloads are told to be: by generation, updated and ready replicas. And the table of what can be archived."""

import json

import pytest

from lib import addresses, scalable, workloads
from shared.output import Failure


def item(kind, spec=None, status=None, generation=2, **metadata):
    return {
        "kind": kind,
        "metadata": {"name": "x", "generation": generation, **metadata},
        "spec": spec or {},
        "status": status or {},
    }


def status(observed=2, **counts):
    return {"observedGeneration": observed, **counts}


def deployment(asked=2, **changed):
    well = dict.fromkeys(["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"], asked)
    return item("Deployment", {"replicas": asked}, status(**(well | changed)))


def stateful_set(spec=None, **changed):
    well = {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 3, "currentRevision": "a", "updateRevision": "b"}
    return item("StatefulSet", {"replicas": 3} | (spec or {}), status(**(well | changed)))


def daemon_set(**changed):
    return item(
        "DaemonSet",
        {},
        status(**({"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberReady": 2} | changed)),
    )


def job(*conditions, spec=None, **counts):
    return item(
        "Job",
        spec,
        {"conditions": [{"type": kind, "status": "True", "message": "so"} for kind in conditions], **counts},
    )


@pytest.mark.parametrize(
    "well",
    [
        deployment(),
        deployment(0),
        stateful_set(),
        stateful_set(updatedReplicas=0, currentRevision="b"),
        stateful_set({"updateStrategy": {"type": "OnDelete"}}, updatedReplicas=0),
        stateful_set({"updateStrategy": {"rollingUpdate": {"partition": 2}}}, updatedReplicas=1),
        daemon_set(),
        daemon_set(desiredNumberScheduled=0, updatedNumberScheduled=0, numberReady=0),
        job("Complete"),
        job(active=1, ready=1),
        job(active=1),
    ],
)
def test_well(well):
    assert workloads.health(well).problem == ""


@pytest.mark.parametrize(
    ("unwell", "problem"),
    [
        (deployment(observedGeneration=1), "has not been looked at by its controller since it was changed"),
        (item("Deployment", {"replicas": 1}), "has not been looked at by its controller since it was changed"),
        (deployment(updatedReplicas=1), "is being updated: 1 of 2"),
        (deployment(readyReplicas=1), "is not ready: 1 of 2"),
        (deployment(availableReplicas=1), "is not available: 1 of 2"),
        (deployment(asked=2, replicas=3), "has 1 old pods left"),
        (item("Deployment", {}, status()), "is being updated: 0 of 1"),
        (stateful_set(observedGeneration=1), "has not been looked at by its controller since it was changed"),
        (stateful_set(updatedReplicas=1), "is being updated: 1 of 3"),
        (stateful_set(readyReplicas=2), "is not ready: 2 of 3"),
        (stateful_set(replicas=4), "has 1 old pods left"),
        (daemon_set(updatedNumberScheduled=1), "is being updated: 1 of 2"),
        (daemon_set(numberReady=1), "is not ready: 1 of 2"),
        (job("Failed"), "has failed: so"),
        (job(), "has not begun"),
        (job(spec={"suspend": True}), "is suspended"),
        (job(active=2, ready=1), "is not ready: 1 of 2"),
        (deployment() | {"metadata": {"name": "x", "annotations": {scalable.ARCHIVED: "{}"}}}, "is archived"),
    ],
)
def test_unwell(unwell, problem):
    assert workloads.health(unwell).problem == problem


def pod(**status):
    return {"kind": "Pod", "metadata": {"name": "p"}, "status": status}


def container(name="main", ready=False, **state):
    return {"name": name, "ready": ready, "state": state}


@pytest.mark.parametrize(
    ("pod", "trouble"),
    [
        (pod(phase="Running", containerStatuses=[container(ready=True, running={})]), ""),
        (pod(phase="Running", containerStatuses=[container(running={})]), "main not ready"),
        (pod(containerStatuses=[container(waiting={"reason": "ContainerCreating"})]), ""),
        (pod(containerStatuses=[container(waiting={"reason": "ImagePullBackOff", "message": "no x"})]), "main: ImagePullBackOff no x"),
        (pod(containerStatuses=[container(terminated={"reason": "OOMKilled", "exitCode": 137})]), "main: OOMKilled, exit code 137"),
        (pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}]), "Unschedulable: no room"),
        (pod(phase="Failed", reason="Evicted", message="disk"), "Evicted disk"),
        (
            pod(
                initContainerStatuses=[container("init", waiting={"reason": "CrashLoopBackOff"})],
                containerStatuses=[container(waiting={"reason": "PodInitializing"})],
            ),
            "init: CrashLoopBackOff",
        ),
    ],
)  # fmt: skip
def test_trouble_of_a_pod_is_told_in_a_few_words(pod, trouble):
    assert workloads.trouble(pod) == trouble


# The table


ROW = scalable.Row("Deployment", "apps", {"/spec/replicas": 0})


def test_what_an_object_was_is_remembered_once_and_comes_back():
    before = {"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 3}}
    patch = scalable.archiving(before, ROW)
    assert patch["spec"] == {"replicas": 0} and patch["metadata"]["resourceVersion"] == "7"
    archived = {"metadata": patch["metadata"], "spec": {"replicas": 0}}
    assert scalable.archiving(archived, ROW) is None
    scaled_by_somebody = {"metadata": patch["metadata"], "spec": {"replicas": 1}}
    again = scalable.archiving(scaled_by_somebody, ROW)
    assert json.loads(again["metadata"]["annotations"][scalable.ARCHIVED]) == {"/spec/replicas": 3}
    back = scalable.restoring(archived)
    assert back["spec"] == {"replicas": 3} and back["metadata"]["annotations"] == {scalable.ARCHIVED: None}
    assert scalable.restoring(before) is None


def test_what_was_not_set_is_taken_away_again():
    row = scalable.Row("DaemonSet", "apps", {"/spec/template/spec/nodeSelector/octopod~1archived": "true"})
    patch = scalable.archiving({"metadata": {}, "spec": {"template": {"spec": {}}}}, row)
    assert patch["spec"]["template"]["spec"] == {"nodeSelector": {"octopod/archived": "true"}}
    back = scalable.restoring({"metadata": patch["metadata"]})
    assert back["spec"]["template"]["spec"] == {"nodeSelector": {"octopod/archived": None}}


def test_table_has_the_kinds_of_the_cluster_and_the_two_of_operators():
    table = scalable.load(None)
    assert {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "HorizontalPodAutoscaler"} <= {
        kind for kind, _ in table
    }
    assert table["postgresql", "acid.zalan.do"].set == {"/spec/numberOfInstances": 0}
    assert table["Kafka", "kafka.strimzi.io"].workloads == "strimzi.io/cluster={name}"


def test_table_is_extended_by_a_file_of_ones_own(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('[Toy]\ngroup = "example.com"\nset."/spec/count" = 0\n[Job]\ngroup = "batch"\ndelete = true\n')
    table = scalable.load(mine)
    assert table["Toy", "example.com"].set == {"/spec/count": 0}
    assert table["Job", "batch"].delete and not table["Job", "batch"].set


@pytest.mark.parametrize("text", ["[", "x = 1", "[Toy]\nsot = 1", '[Toy]\nset."spec" = 0', "[Toy]\ngroup = 1"])
def test_table_that_is_not_understood_is_refused(tmp_path, text):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(Failure, match=r"bad\.toml"):
        scalable.load(tmp_path / "bad.toml")
    with pytest.raises(Failure, match=r"none\.toml"):
        scalable.load(tmp_path / "none.toml")


# Addresses


def ingress(*rules, tls=()):
    return {"kind": "Ingress", "metadata": {"name": "web"}, "spec": {"rules": list(rules), "tls": list(tls)}}


def rule(host="", *paths):
    return {**({"host": host} if host else {}), "http": {"paths": [{"path": path} for path in paths]}}


@pytest.mark.parametrize(
    ("item", "links"),
    [
        (ingress(rule("a.example", "/")), ["http://a.example"]),
        (ingress(rule("a.example", "/", "/api")), ["http://a.example", "http://a.example/api"]),
        (ingress(rule("a.example", "/api(/|$)(.*)")), ["http://a.example"]),
        (
            ingress(rule("a.example"), rule("b.example"), tls=[{"hosts": ["b.example"]}]),
            ["http://a.example", "https://b.example"],
        ),
        (ingress(rule("a.example"), tls=[{"secretName": "x"}]), ["https://a.example"]),
        (ingress(rule("a.b.example"), tls=[{"hosts": ["*.b.example"]}]), ["https://a.b.example"]),
        (ingress(rule("*.example")), []),
        (ingress(rule()), ["http://10.0.0.1"]),
    ],
)
def test_addresses_of_an_ingress(item, links):
    live = {"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}}
    assert [url for _, url in addresses.of_ingress(item, live)] == links


@pytest.mark.parametrize(
    ("port", "url"),
    [
        ({"port": 80}, "http://lb.example"),
        ({"port": 443}, "https://lb.example"),
        ({"port": 8080, "name": "http"}, "http://lb.example:8080"),
        ({"port": 9443, "name": "https-admin"}, "https://lb.example:9443"),
        ({"port": 5432, "nodePort": 30000}, "tcp://lb.example:5432"),
    ],
)
def test_address_of_a_load_balancer(port, url):
    ready = {"status": {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}}}
    service = {"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer", "ports": [port]}}
    assert list(addresses.of_service(service | ready)) == [("web", url)]
    assert list(addresses.of_service(service | {"status": {}})) == []
