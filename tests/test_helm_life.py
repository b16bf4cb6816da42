"""The life of a release, script by script: the real helm and kubectl before a cluster of tests/kube."""

import base64
import json
import os
import signal

import pytest
from conftest import eventually

from lib.owners import Owners, is_volume_of
from lib.scalable import ARCHIVED

pytestmark = pytest.mark.thorough  # `make test` has tests/test_helm_suite.py, through the server

NS = "staging"


def replicas(cluster, kind="deployment", name="orange"):
    return cluster.get(kind, name, NS)["spec"]["replicas"]


def remains(cluster):
    """What is in the namespace beside what every namespace has."""
    kinds = ("pod", "deployment", "statefulset", "daemonset", "job", "service", "ingress", "pvc", "secret", "configmap")
    found = {kind: cluster.names(kind, NS) for kind in kinds}
    found["configmap"] = [name for name in found["configmap"] if name != "kube-root-ca.crt"]
    return {kind: names for kind, names in found.items() if names}


# create and update


def test_create_installs_what_was_asked_for(suite, cluster):
    said = suite.do("create", "web", app={"replicas": "3", "greeting": "a,b={c}"})
    assert "Installing orange with the chart web-1.0.0." in said and "a,b={c}, this is orange." in said
    item = cluster.get("deployment", "orange", NS)
    assert item["spec"]["replicas"] == 3
    assert item["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "GREETING", "value": "a,b={c}"}]


def test_address_is_the_deployments_own_whatever_a_user_says(suite, cluster):
    suite.do("create", "web", app={"ingress.hostname": "evil.example", "ingress.paths[0]": "/app"})
    [rule] = cluster.get("ingress", "orange", NS)["spec"]["rules"]
    assert rule["host"] == "orange.cactus.example"
    assert rule["http"]["paths"][0]["path"] == "/app"
    assert "ingress.hostname" not in suite.pairs("application_config", "web")
    assert "ingress.hostname" not in suite.do("application_config_keys", "web").split()


def test_key_of_the_address_can_be_another_or_none(suite, cluster):
    suite.env["INGRESS_HOST_KEY"] = "podAnnotations.host"
    suite.do("create", "web")
    annotations = cluster.get("deployment", "orange", NS)["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"host": "orange.cactus.example"}
    assert cluster.get("ingress", "orange", NS)["spec"]["rules"][0]["host"] == "web.local"
    suite.env["INGRESS_HOST_KEY"] = ""
    suite.do("update", "web")
    assert not cluster.get("deployment", "orange", NS)["spec"]["template"]["metadata"].get("annotations")


def test_update_forgets_what_is_not_asked_for_any_more(suite, cluster):
    suite.do("create", "web", app={"replicas": "3"})
    suite.do("update", "web")
    assert replicas(cluster) == 2


def test_create_and_update_can_be_repeated(suite, cluster):
    for script in ("create", "create", "update", "update"):
        suite.do(script, "web")
    assert suite.verdict("web")[0] == 0


def test_unused_keys_are_named(suite):
    assert "Not used by this suite: branch." in suite.do("create", "web", branch="main")


def test_hooks_run(suite, cluster):
    suite.do("create", "hooks")
    assert cluster.find("job", "orange-migrate", NS) and cluster.find("configmap", "orange-made-by-hook", NS)
    assert suite.verdict("hooks") == (0, "Runs hooks-1.0.0, and all of it is ready: 0 of 0.")


def test_failing_hook_fails_the_deployment_with_its_last_words(suite, cluster):
    cluster.pods("registry.example.com/migrate:1", then="crash", log="column email is missing")
    said = suite.refused("create", "hooks")
    assert "orange could not be deployed: " in said.splitlines()[-1]
    assert "column email is missing" in said


def test_kinds_of_the_chart_are_defined_first(suite, cluster):
    suite.do("create", "crd")
    assert cluster.get("Toy", "orange", NS)["spec"] == {"count": 4}


def test_failed_creation_is_undone_and_says_why(suite, cluster):
    suite.env["HELM_TIMEOUT"] = "3"
    cluster.pods("*web:1.0", then="crash", log="no database at db:5432")
    said = suite.refused("create", "web")
    assert "Deployment orange is not ready: 0 of 2" in said and "CrashLoopBackOff" in said
    assert "no database at db:5432" in said
    assert said.splitlines()[-1].startswith("orange could not be deployed: it was not ready within 3 s.")
    assert remains(cluster) == {}


def test_failed_update_goes_back_to_what_worked(suite, cluster):
    suite.do("create", "web")
    suite.env["HELM_TIMEOUT"] = "3"
    cluster.pods("*web:bad", then="image")
    said = suite.refused("update", "web", app={"image.tag": "bad"})
    assert "ImagePullBackOff" in said and "Going back to revision 1." in said
    [container] = cluster.get("deployment", "orange", NS)["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(":1.0")
    assert suite.verdict("web")[0] == 0
    code, sentence = suite.verdict("web", app={"image.tag": "bad"})
    assert code == 3
    assert sentence == (
        "Deployment orange runs registry.example.com/shop/web:1.0 as web, not registry.example.com/shop/web:bad: update it."
    )


def test_slow_start_is_told_and_waited_for(suite, cluster):
    cluster.pods("*web:1.0", then="ready after 10 looks")
    suite.do("create", "web")
    assert suite.verdict("web")[0] == 0


@pytest.mark.parametrize("before", [False, True])
def test_killed_helm_is_taken_over(suite, cluster, before):
    """A killed helm leaves its release pending, which would refuse every other helm for ever."""
    if before:
        suite.do("create", "web")
    cluster.pods("*web:slow", then="never ready")
    process = suite.start("update", "web", app={"image.tag": "slow"})
    state = "pending-upgrade" if before else "pending-install"
    cluster.wait_for(lambda: cluster.objects("secret", NS, f"owner=helm,status={state}"), "helm at work")
    cluster.wait_for(lambda: len([p for p in cluster.objects("pod", NS) if "slow" in str(p["spec"])]) > 0, "its pods")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert suite.verdict("web")[0] == 1
    assert state in suite.verdict("web")[1]
    said = suite.do("update", "web", app={"image.tag": "2.0"})
    assert f"A helm was interrupted ({state}): going on from there." in said
    assert suite.verdict("web", app={"image.tag": "2.0"})[0] == 0


def test_default_that_a_user_has_taken_away_is_gone(suite, cluster):
    pairs = suite.pairs("application_config", "types")
    del pairs["number"], pairs["map.deep.er.still"]
    suite.env["OCTOPOD_DEPLOYMENT"] = "orange"
    suite.do("create", "types", app=pairs)
    got = json.loads(cluster.get("configmap", "orange", NS)["data"]["values.json"])
    assert "number" not in got and got["map"]["deep"]["er"] == {}
    assert got["fraction"] == 1.5


def test_taken_away_default_stays_away_when_the_server_has_moved(suite, cluster):
    pairs = suite.pairs("application_config", "types")
    del pairs["number"]
    suite.env["OCTOPOD_DEPLOYMENT"] = "orange"
    suite.do("create", "types", app=pairs)
    before = cluster.get("configmap", "orange", NS)["data"]
    suite.env["OCTOPOD_SUITE_DATA"] += "-new"
    suite.do("update", "types", app=pairs)
    assert cluster.get("configmap", "orange", NS)["data"] == before
    assert "number" not in json.loads(before["values.json"])


def test_nothing_is_taken_away_when_somebody_runs_a_script_with_a_few_values(suite, cluster):
    suite.pairs("application_config", "types")
    suite.do("create", "types", app={"text": "mine"})
    got = json.loads(cluster.get("configmap", "orange", NS)["data"]["values.json"])
    assert got["number"] == 1 and got["text"] == "mine"


# check


def test_check_says_partial_when_some_is_unwell(suite, cluster):
    suite.do("create", "mixed")
    cluster.pods("orange-agent-*", then="crash")
    code, sentence = suite.verdict("mixed")
    assert code == 2
    assert "DaemonSet orange-agent is not ready: 0 of 1." in sentence and "CrashLoopBackOff" in sentence


def test_check_says_failure_when_all_is_unwell(suite, cluster):
    suite.do("create", "web")
    cluster.pods("orange-*", then="never ready")
    assert suite.verdict("web")[0] == 1


def test_check_does_not_trust_counts_of_before_a_change(suite, cluster):
    suite.do("create", "web")
    with cluster.controllers_paused():
        cluster.patch("deployment", "orange", {"spec": {"replicas": 3}, "metadata": {"generation": 99}}, NS)
        code, sentence = suite.verdict("web")
    assert code == 1 and "has not been looked at by its controller" in sentence


def test_check_misses_what_somebody_deleted(suite, cluster):
    suite.do("create", "mixed")
    cluster.delete("daemonset", "orange-agent", NS)
    assert suite.verdict("mixed") == (2, "DaemonSet orange-agent is gone.")


def test_check_notices_an_image_that_somebody_changed(suite, cluster):
    suite.do("create", "store")
    item = cluster.get("statefulset", "orange-db", NS)
    item["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.com/db:99"
    cluster.put(item, NS)
    code, sentence = suite.verdict("store")
    assert code == 3 and "StatefulSet orange-db runs registry.example.com/db:99 as db" in sentence


def test_check_notices_another_version_of_the_chart(suite, repository):
    config = {"chart_repo_url": repository.url, "chart_name": "web"}
    suite.do("create", **config, chart_version="1.0.0")
    assert suite.verdict(**config, chart_version="1.0.0")[0] == 0
    suite.run("config_check", **config, chart_version="1.1.0")  # as before each update; check itself fetches nothing
    assert suite.verdict(**config, chart_version="1.1.0") == (3, "Runs the chart web-1.0.0, not web-1.1.0: update it.")


def test_check_needs_no_repository_that_is_away(suite, repository):
    config = {"chart_repo_url": repository.url, "chart_name": "web", "chart_version": "1.0.0"}
    suite.do("create", **config)
    repository.site.stop()
    assert suite.verdict(**config)[0] == 0
    suite.env["OCTOPOD_SUITE_DATA"] += "-new"  # the server has moved, and has no copy of the chart
    done = suite.run("check", **config)
    assert done.returncode == 0 and "is not compared" in done.stderr


def test_check_of_what_is_not_there(suite):
    assert suite.verdict("web") == (1, "There is no release orange in staging.")


def test_chart_without_workloads_is_well(suite):
    suite.do("create", "types")
    assert suite.verdict("types")[0] == 0


# archive and unarchive


def test_archive_remembers_every_count_and_unarchive_gives_it_back(suite, cluster):
    suite.do("create", "web", app={"replicas": "3"})
    for _ in range(2):
        suite.do("archive", "web")
        assert replicas(cluster) == 0
        assert suite.do("archive_check", "web") == "No pod of it is left.\n"
        assert suite.verdict("web") == (1, "Deployment orange is archived.")
    for _ in range(2):
        suite.do("unarchive", "web")
        assert replicas(cluster) == 3
    assert suite.verdict("web", app={"replicas": "3"})[0] == 0
    assert ARCHIVED not in cluster.get("deployment", "orange", NS)["metadata"]["annotations"]


def test_count_that_a_person_has_set_comes_back(suite, cluster):
    suite.do("create", "web")
    cluster.patch("deployment", "orange", {"spec": {"replicas": 5}}, NS)
    suite.do("archive", "web")
    suite.do("unarchive", "web")
    assert replicas(cluster) == 5


def test_archive_keeps_volumes(suite, cluster):
    suite.do("create", "store")
    suite.do("archive", "store")
    suite.do("archive_check", "store")
    assert len(cluster.names("pvc", NS)) == 3
    suite.do("unarchive", "store")
    assert suite.verdict("store")[0] == 0


def test_autoscalers_and_cron_jobs_are_suspended(suite, cluster):
    app = {"autoscaling": "true", "nightly": "true"}
    suite.do("create", "web", app=app)
    suite.do("archive", "web", app=app)
    assert cluster.get("cronjob", "orange-nightly", NS)["spec"]["suspend"] is True
    behavior = cluster.get("hpa", "orange", NS)["spec"]["behavior"]
    assert {behavior[way]["selectPolicy"] for way in ("scaleUp", "scaleDown")} == {"Disabled"}
    suite.do("unarchive", "web", app=app)
    assert not cluster.get("cronjob", "orange-nightly", NS)["spec"].get("suspend")
    assert "Disabled" not in json.dumps(cluster.get("hpa", "orange", NS)["spec"])


def test_all_kinds_of_pods_go_and_come_back(suite, cluster):
    suite.do("create", "mixed")
    suite.do("archive", "mixed")
    suite.do("archive_check", "mixed")
    assert cluster.names("pod", NS) == []
    suite.do("unarchive", "mixed")
    assert suite.verdict("mixed")[0] == 0
    assert "orange-bare" in cluster.names("pod", NS)
    suite.do("update", "mixed")


def test_jobs_that_a_cron_job_has_started_are_ended(suite, cluster):
    suite.do("create", "web", app={"nightly": "true"})
    owner = cluster.get("cronjob", "orange-nightly", NS)
    reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "orange-nightly", "uid": owner["metadata"]["uid"]}
    metadata = {"name": "orange-nightly-1", "namespace": NS, "ownerReferences": [reference]}
    cluster.pods("registry.example.com/shop/jobs:1.0", then="never ready")
    cluster.put(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": owner["spec"]["jobTemplate"]["spec"]},
        NS,
    )
    assert suite.run("archive_check", "web").returncode == 1
    suite.do("archive", "web", app={"nightly": "true"})
    suite.do("archive_check", "web", app={"nightly": "true"})
    assert cluster.names("job", NS) == []


def test_operators_kinds_are_archived(suite, cluster):
    suite.do("create", "crd")
    labels = {"strimzi.io/cluster": "orange-kafka", "app": "kafka"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "kafka", "image": "kafka:1"}]}}
    spec = {"replicas": 3, "serviceName": "x", "selector": {"matchLabels": labels}, "template": template}
    cluster.put(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "brokers", "labels": labels},
            "spec": spec,
        },
        NS,
    )
    assert "3 of its pods are left" in suite.refused("archive_check", "crd")
    suite.do("archive", "crd")
    assert cluster.get("postgresql", "orange-pg", NS)["spec"]["numberOfInstances"] == 0
    kafka = cluster.get("Kafka", "orange-kafka", NS)
    assert kafka["metadata"]["annotations"]["strimzi.io/pause-reconciliation"] == "true"
    assert replicas(cluster, "statefulset", "brokers") == 0
    suite.do("archive_check", "crd")
    suite.do("unarchive", "crd")
    assert cluster.get("postgresql", "orange-pg", NS)["spec"]["numberOfInstances"] == 2
    assert "strimzi.io/pause-reconciliation" not in cluster.get("Kafka", "orange-kafka", NS)["metadata"]["annotations"]
    assert replicas(cluster, "statefulset", "brokers") == 3


def test_kinds_of_ones_own_are_archived(suite, cluster, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('[Toy]\ngroup = "example.com"\nset."/spec/count" = 0\n')
    suite.env["SCALABLE"] = str(mine)
    suite.do("create", "crd")
    suite.do("archive", "crd")
    assert cluster.get("Toy", "orange", NS)["spec"]["count"] == 0
    suite.do("unarchive", "crd")
    assert cluster.get("Toy", "orange", NS)["spec"]["count"] == 4


def test_archive_is_not_done_while_a_pod_lingers(suite, cluster):
    suite.do("create", "web")
    cluster.pods("orange-*", then="lingering")
    suite.do("archive", "web")
    assert "2 of its pods are left: orange-" in suite.refused("archive_check", "web")


def test_archive_goes_on_where_it_was_interrupted(suite, cluster):
    suite.do("create", "mixed")
    cluster.fail("PATCH", "*/daemonsets/*", 500)
    said = suite.refused("archive", "mixed")
    assert "Cannot change DaemonSet orange-agent" in said and "Archived Job orange-once." in said
    cluster.heal()
    suite.do("archive", "mixed")
    suite.do("archive_check", "mixed")


def test_change_is_made_again_when_somebody_else_was_faster(suite, cluster):
    suite.do("create", "web")
    cluster.fail("PATCH", "*/deployments/*", 409, times=2)
    suite.do("archive", "web")
    assert replicas(cluster) == 0


def test_update_of_what_was_half_archived_brings_all_of_it_back(suite, cluster):
    app = {"autoscaling": "true", "nightly": "true"}
    suite.do("create", "web", app=app)
    cluster.patch("deployment", "orange", {"spec": {"replicas": 4}}, NS)
    suite.do("archive", "web", app=app)
    suite.do("update", "web", app=app)
    assert replicas(cluster) == 4
    assert suite.verdict("web", app=app)[0] == 0


def test_archiving_nothing_is_no_error_and_unarchive_then_deploys(suite, cluster):
    assert suite.do("archive", "web") == "There is no release orange: nothing runs.\n"
    suite.do("archive_check", "web")
    suite.do("unarchive", "web")
    assert suite.verdict("web")[0] == 0


# cleanup


@pytest.mark.parametrize("chart", ["web", "store", "hooks", "mixed", "crd"])
def test_cleanup_leaves_nothing(suite, cluster, chart):
    suite.do("create", chart)
    suite.do("archive", chart)
    for _ in range(2):
        assert suite.do("cleanup", chart).endswith("orange is removed, with its volumes.\n")
        assert remains(cluster) == {}
    if chart == "crd":
        assert cluster.find("crd", "toys.example.com"), "others may have objects of that kind"


def test_cleanup_leaves_others_alone(suite, cluster):
    for name in ("orange", "orange-2"):
        suite.do("create", "store", name=name)
    suite.do("cleanup", "store")
    assert suite.verdict("store", name="orange-2")[0] == 0
    assert len(cluster.names("pvc", NS)) == 3


@pytest.mark.parametrize("per_release", ["true", "false"])
@pytest.mark.parametrize("other", ["lime", "orange-2"])
def test_cleanup_spares_releases_with_the_same_labels(suite, cluster, per_release, other):
    app = {"perRelease": per_release}
    suite.do("create", "shared", name=other, app=app)
    before = remains(cluster)
    suite.do("create", "shared", app=app)
    suite.do("cleanup", "shared")
    assert remains(cluster) == before
    assert suite.verdict("shared", name=other, app=app)[0] == 0


@pytest.mark.parametrize("other", ["lime", "orange-2"])
def test_archive_spares_releases_with_the_same_labels(suite, cluster, other):
    suite.do("create", "shared", name=other)
    before = remains(cluster)
    suite.do("create", "shared")
    suite.do("archive", "shared")
    assert suite.do("archive_check", "shared") == "No pod of it is left.\n"
    assert remains(cluster)["pod"] == before["pod"], "the pod of its Job has ended, and is not ours to delete"
    assert suite.run("archive_check", "shared", name=other).returncode == 1


def test_last_words_are_those_of_the_release(suite, cluster):
    suite.do("create", "shared", name="lime")
    suite.env["HELM_TIMEOUT"] = "3"
    cluster.pods("lime-*", then="crash", log="I am lime")
    cluster.pods("orange-*", then="crash", log="I am orange")
    said = suite.refused("create", "shared")
    assert "I am orange" in said and "lime" not in said


def left_behind(kind, owner, name, **labels):
    """A pod whose owner is gone, as it is for a while after a deletion in the background."""
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": "gone", "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NS, "uid": name, "labels": labels, "ownerReferences": [reference]},
        "spec": {"containers": [{"name": "x", "image": "x:1"}]},
        "status": {"phase": "Failed"},
    }


@pytest.mark.parametrize(
    ("kind", "owner", "name", "labels", "certain", "doubtful"),
    [
        ("StatefulSet", "orange-db", "x", {}, True, True),
        ("StatefulSet", "lime-db", "lime-db-0", {"app": "web"}, False, False),
        ("ReplicaSet", "orange-web-5d9", "x", {}, False, True),
        ("ReplicaSet", "lime-web-5d9", "lime-web-5d9-x", {"app": "web"}, False, False),
        ("ReplicaSet", "old-5d9", "orange-old-x", {"app": "web"}, False, True),
        ("ReplicaSet", "old-5d9", "x", {"app": "web", "rel": "orange"}, False, True),
        ("ReplicaSet", "old-5d9", "orange-old-x", {"app": "other"}, False, False),
        ("ReplicaSet", "old-5d9", "x", {"app.kubernetes.io/instance": "orange"}, True, True),
    ],
)
def test_pod_whose_owner_is_gone(kind, owner, name, labels, certain, doubtful):
    web = {"selector": {"matchLabels": {"app": "web"}}, "template": {}}
    objects = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "orange-web"}, "spec": web},
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "orange-db"}, "spec": {}},
    ]
    owners = Owners("orange", NS, objects, [left_behind(kind, owner, name, **labels)])
    assert bool(owners.pods(doubtful=False)) == certain
    assert bool(owners.pods(doubtful=True)) == doubtful


def test_doubt_about_a_pod_keeps_it_and_keeps_archive_check_false(suite, cluster):
    suite.do("create", "shared")
    suite.do("archive", "shared")
    orphan = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "orange-lost", "namespace": NS, "labels": {"app": "web"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x:1"}]},
    }
    cluster.put(orphan, NS)
    suite.do("archive", "shared")
    assert "1 of its pods are left: orange-lost." in suite.refused("archive_check", "shared")


@pytest.mark.parametrize(
    ("claim", "ours"),
    [
        ("data-orange-db-0", True),
        ("data-orange-db-12", True),
        ("data-orange-db", False),
        ("data-orange-db-2-0", False),
        ("data-orange-db-0-old", False),
        ("other-orange-db-0", False),
        ("my-data-orange-db-0", False),
    ],
)
def test_volume_is_known_by_its_stateful_set(claim, ours):
    template = {"metadata": {"name": "data", "labels": {"tier": "storage"}}}
    item = {"kind": "StatefulSet", "metadata": {"name": "orange-db"}, "spec": {"volumeClaimTemplates": [template]}}
    assert is_volume_of({"metadata": {"name": claim, "labels": {"tier": "storage"}}}, [item]) == ours


def test_cleanup_removes_what_was_made_at_run_time(suite, cluster):
    suite.do("create", "web")
    labels = {"app.kubernetes.io/instance": "orange"}
    cluster.put(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "made-later", "namespace": NS, "labels": labels}},
        NS,
    )
    suite.do("cleanup", "web")
    assert remains(cluster) == {}


def test_cleanup_goes_on_where_it_failed(suite, cluster):
    suite.do("create", "store")
    cluster.fail("DELETE", "*/persistentvolumeclaims/*", 403)
    assert "does not allow it" in suite.refused("cleanup", "store")
    cluster.heal()
    suite.do("cleanup", "store")
    assert remains(cluster) == {}


def test_cleanup_says_zero_only_when_it_is_true(suite, cluster):
    suite.env["HELM_TIMEOUT"] = "2"
    suite.do("create", "web")
    cluster.pods("orange-*", then="lingering")
    assert "Still there: Pod orange-" in suite.refused("cleanup", "web")


# info


def test_addresses_are_known_before_there_is_anything(suite):
    assert suite.do("info", "web") == "orange,http://orange.cactus.example\n"
    assert suite.do("info", "web", app={"ingress.tls": "true"}) == "orange,https://orange.cactus.example\n"


def test_load_balancers_are_listed_once_they_have_an_address(suite, cluster):
    app = {"service.type": "LoadBalancer", "service.port": "443", "ingress.enabled": "false"}
    assert suite.do("info", "web", app=app) == ""
    suite.do("create", "web", app=app)
    cluster.patch("service", "orange", {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}, NS)
    assert suite.do("info", "web", app=app) == "orange,https://192.0.2.7\n"
    assert suite.do("info", "web", app=app | {"service.type": "NodePort"}) == ""


# What goes wrong with the cluster


@pytest.mark.parametrize("script", ["create", "archive", "unarchive", "cleanup", "check", "archive_check"])
def test_cluster_that_is_away_is_told_from_a_deployment_that_is_unwell(offline, script):
    assert "cannot reach the cluster, which says nothing of the deployment" in offline.refused(script, "web")


@pytest.mark.parametrize("script", ["check", "archive_check", "archive", "cleanup"])
@pytest.mark.parametrize("what", [403, 500, "disconnect"])
def test_no_answer_is_never_taken_for_nothing_there(suite, cluster, script, what):
    suite.do("create", "web")
    cluster.fail("*", "*/namespaces/staging/*", what)
    said = suite.refused(script, "web")
    assert "which says nothing of the deployment" in said
    cluster.heal()
    assert suite.verdict("web")[0] == 0


@pytest.mark.parametrize("kind", ["pods", "jobs"])
def test_archive_check_is_false_when_a_part_cannot_be_asked(suite, cluster, kind):
    suite.do("create", "web", app={"nightly": "true"})
    suite.do("archive", "web", app={"nightly": "true"})
    cluster.fail("GET", f"*/{kind}*", 500)
    assert suite.run("archive_check", "web", app={"nightly": "true"}).returncode == 1


def test_check_of_a_silent_cluster_can_be_stopped(suite, cluster):
    suite.do("create", "types")
    cluster.fail("GET", "*/secrets*", "hang")
    process = suite.start("check", "types")
    assert eventually(lambda: [r for r in cluster.requests if "secrets" in r.path])
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate()
    assert process.returncode == -signal.SIGTERM


def test_charts_are_checked_without_a_cluster(offline):
    offline.do("config_check", "web")
    assert "reason must be set" in offline.refused("config_check", "broken")
    offline.do("config_check", "broken", app={"reason": "none"})


def test_template_sees_what_the_cluster_can_do(suite, cluster, tmp_path):
    chart = tmp_path / "able"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: able, version: 1.0.0, kubeVersion: '>= 1.22.0'}")
    (chart / "templates/x.yaml").write_text(
        '{{ if not (.Capabilities.APIVersions.Has "acid.zalan.do/v1/postgresql") }}{{ fail "no operator" }}{{ end }}\n'
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
    )
    suite.env["CHARTS_DIR"] = str(tmp_path)
    suite.do("config_check", chart_repo_url=str(chart))


def test_secrets_are_masked_in_what_is_said(suite, cluster):
    suite.env["HELM_TIMEOUT"] = "2"
    cluster.pods("*web:1.0", then="crash", log="cannot log in with hush-hush")
    done = suite.run("create", "web", app={"apiToken": "hush-hush", "greeting": "hush-hush"})
    assert "hush-hush" not in done.stdout + done.stderr and "cannot log in with ********" in done.stdout
    stored = base64.b64encode(b"hush-hush").decode()
    assert stored not in done.stdout


@pytest.mark.parametrize("script", ["archive", "unarchive", "cleanup"])
def test_script_that_was_killed_is_run_again(suite, cluster, script):
    """Killed while the cluster takes its time over the first change; the lock goes with the process."""
    suite.do("create", "store")
    if script != "archive":
        suite.do("archive", "store")
    method = "DELETE" if script == "cleanup" else "PATCH"
    cluster.fail(method, "*/namespaces/staging/*", "hang")
    process = suite.start(script, "store")
    eventually(lambda: [request for request in cluster.requests if request.method == method], "the first change")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    cluster.heal()
    suite.do(script, "store")
    if script == "cleanup":
        assert remains(cluster) == {}
    else:
        assert replicas(cluster, "statefulset", "orange-db") == (0 if script == "archive" else 3)
