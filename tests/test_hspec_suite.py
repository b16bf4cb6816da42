"""The suite `hspec`, script by script: the real git and kubectl, before a cluster of tests/kube.

A whole life in `make test` is in test_hspec_portal.py, through the server.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from conftest import ROOT, eventually
from helming import Site, basic
from hspecing import BUILT, CLASS, DB, NS, SCRIPTS, WEB, Repository, Suite, environment, new_shop

from library import addresses, checking, copies, deploying, settings, sources
from library.deployment import Deployment
from octopod.hspec.errors import AddressError, HspecError, WaitError
from octopod.hspec.service import Image, LoadBalancer, PortMapping, Service
from octopod.hspec.talk import Talk
from octopod.hspec.workflow import Job, SpecFile
from octopod.suite import REQUIRED
from shared import files
from shared.output import Failure

ALICE = "https://alice:open-sesame@127.0.0.1:9/shop.git"


@pytest.fixture
def suite(cluster, kubectl, tmp_path):
    """The suite, before a new cluster and with the shop."""
    cluster.put(CLASS)
    suite = Suite(tmp_path / "suite data", environment(cluster.environment, kubectl, tmp_path))
    suite.cluster, suite.shop = cluster, new_shop(tmp_path / "shop")
    return suite


@pytest.fixture
def offline(kubectl, tmp_path):
    """The suite without any cluster."""
    config = {"clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:9"}}], "current-context": "a",
              "contexts": [{"name": "a", "context": {"cluster": "a"}}]}  # fmt: skip
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    nowhere = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "kubeconfig")}
    suite = Suite(tmp_path / "suite data", environment(nowhere, kubectl, tmp_path))
    suite.shop = new_shop(tmp_path / "shop")
    return suite


@pytest.fixture
def here(offline, monkeypatch):
    """Make a deployment in this process, as the scripts do."""
    for name in ("OCTOPOD_SUITE_DATA", "SOURCES_DIR"):
        monkeypatch.setenv(name, offline.env[name])
    monkeypatch.setenv("HYSCALE_HOME", "")  # so that it is as before afterwards
    return lambda **config: Deployment(offline.command("create", **config)[1:])


def container(cluster, kind="deployment", name="orange-web"):
    return cluster.get(kind, name, NS)["spec"]["template"]["spec"]["containers"][0]


def prop(cluster, key, service="web"):
    return cluster.get("configmap", f"orange-{service}", NS)["data"].get(key)


def secret(cluster, service="web"):
    return cluster.get("secret", f"orange-{service}", NS)["data"]


# The whole life


@pytest.mark.thorough
def test_deployment_lives_its_whole_life(suite, cluster):
    said = suite.do("create")
    assert re.search(r"Deploying db, web from [0-9a-f]{10} of .*/shop\.\n", said)
    assert said.splitlines()[-1] == "Runs: db, web."
    assert suite.verdict()[0] == 0
    assert re.fullmatch(r"http://[0-9.]+:8080", suite.pairs("info")["web"])
    assert cluster.get("namespace", NS)["metadata"]["labels"]["octopod/deployment"] == "staging.orange"

    suite.do("archive")
    assert cluster.names("pod", NS) == []
    assert suite.do("archive_check") == "No pod of it is left.\n"
    assert suite.verdict()[0] == 1

    suite.do("unarchive")
    assert cluster.get("deployment", "orange-web", NS)["spec"]["replicas"] == 2
    assert suite.verdict()[0] == 0

    suite.do("archive")
    assert cluster.names("pvc", NS) == ["data-orange-db-0"]
    suite.do("cleanup")
    assert cluster.find("namespace", NS) is None
    assert not (suite.data / "hyscale/apps/orange").exists()


@pytest.mark.thorough
@pytest.mark.parametrize("script", ["create", "update", "archive", "unarchive", "cleanup"])
def test_script_can_be_repeated(suite, script):
    suite.do("create")
    suite.do(script)
    suite.do(script)


@pytest.mark.thorough
def test_scripts_find_nothing_where_nothing_is(suite, cluster):
    assert suite.verdict() == (1, f"Nothing of orange is in the namespace {NS}.")
    suite.do("archive_check")
    suite.do("archive")
    suite.do("cleanup")
    assert cluster.find("namespace", NS) is None


def test_check_does_not_take_a_cluster_that_does_not_answer_for_an_empty_one(offline):
    code, said = offline.verdict()
    assert code == 1 and "the cluster cannot be reached" in said


@pytest.mark.thorough
def test_no_script_takes_a_cluster_that_does_not_answer_for_an_empty_one(offline):
    for script in ("archive_check", "archive", "cleanup", "create", "config_check"):
        assert "the cluster cannot be reached" in offline.refused(script)


# create and update


def test_killed_create_is_repeated(suite, cluster):
    cluster.pods("*shop/web:1.0", then="never ready")
    process = suite.start("create")
    cluster.wait_for(lambda: cluster.find("deployment", "orange-web", NS), "half of it")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    code, said = suite.verdict()
    assert code == 2 and said.startswith("web is not running")
    cluster.pods("*shop/web:1.0", then="ready")
    suite.do("create")
    assert suite.verdict()[0] == 0


@pytest.mark.thorough
def test_create_that_is_told_to_end_does_so_in_peace(suite, cluster):
    cluster.pods("*shop/web:1.0", then="never ready")
    process = suite.start("create")
    cluster.wait_for(lambda: cluster.find("deployment", "orange-web", NS), "half of it")
    os.killpg(process.pid, signal.SIGTERM)
    said = process.communicate()[0]
    assert process.returncode == 143 and "Traceback" not in said


@pytest.mark.thorough
def test_create_that_was_killed_before_a_service_is_ended_by_unarchive(suite, cluster):
    """Nothing would be missed by whoever only looks at what there is."""
    cluster.pods("postgres:15", then="never ready")
    process = suite.start("create")
    cluster.wait_for(lambda: cluster.find("statefulset", "orange-db", NS), "the first half of it")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert "web is gone" in suite.verdict()[1]
    suite.do("archive")
    cluster.pods("postgres:15", then="ready")
    suite.do("unarchive")
    assert suite.verdict()[0] == 0 and cluster.find("deployment", "orange-web", NS)


@pytest.mark.thorough
def test_what_is_asked_for_by_now_is_what_is_restored(suite, cluster):
    suite.do("create")
    suite.do("archive")
    cluster.delete("deployment", "orange-web", NS)
    suite.do("unarchive")
    assert suite.verdict()[0] == 0 and cluster.find("deployment", "orange-web", NS)

    suite.do("archive")
    suite.shop.write({"web.hspec": WEB.replace("info", "debug")})
    suite.do("config_check")
    suite.do("unarchive")
    assert suite.verdict()[0] == 0
    assert cluster.get("configmap", "orange-web", NS)["data"]["LOG"] == "debug"
    assert len(cluster.names("pod", NS)) == 3


@pytest.mark.thorough
def test_locks_of_a_killed_git_do_not_stop_the_next(suite):
    suite.do("create")
    [mirror] = (suite.data / "mirrors").iterdir()
    (mirror / "repository/packed-refs.lock").touch()
    (mirror / "repository/refs/heads/main.lock").touch()
    commit = suite.shop.write({"web.hspec": WEB.replace("info", "debug")})
    assert commit[:10] in suite.do("update")


@pytest.mark.thorough
def test_half_a_checkout_of_a_killed_script_is_not_taken_for_one(suite):
    commit = suite.shop.git("rev-parse", "HEAD")
    suite.do("application_config")
    [checkout] = (suite.data / "checkouts").glob(f"*-{commit}")
    checkout.rename(checkout.with_name("unfinished-x"))
    assert "web.props.LOG" in suite.pairs("application_config")


@pytest.mark.thorough
def test_checkout_that_nobody_used_for_a_day_goes_away(suite):
    suite.do("application_config")
    [old] = (suite.data / "checkouts").glob("*-*")
    os.utime(old, (0, 0))
    suite.shop.write({"web.hspec": WEB})
    suite.do("application_config")
    assert not old.exists() and len(list((suite.data / "checkouts").glob("*-*"))) == 1


@pytest.mark.thorough
def test_update_brings_the_new_commit(suite, cluster):
    suite.do("create")
    suite.shop.write({"web.hspec": WEB.replace("info", "debug")})
    suite.do("update")
    assert prop(cluster, "LOG") == "debug"


@pytest.mark.thorough
def test_service_that_the_source_has_no_more_is_removed_and_its_volume_kept(suite, cluster):
    suite.do("create")
    suite.shop.remove("db.hspec.yaml")
    said = suite.do("update")
    assert "Removing db, which the source has no more." in said and "data-orange-db-0" in said
    assert cluster.names("statefulset", NS) == [] and cluster.names("pvc", NS) == ["data-orange-db-0"]
    assert suite.verdict()[0] == 0


@pytest.mark.thorough
def test_failing_service_is_named_last_and_the_others_are_deployed(suite, cluster):
    cluster.pods("postgres:15", then="crash", log="no space left")
    said = suite.refused("create")
    assert "no space left" in said
    assert said.splitlines()[-1].startswith("db is not deployed: ")
    code, sentence = suite.verdict()
    assert code == 2 and sentence.startswith("db is ")
    assert cluster.find("deployment", "orange-web", NS)


def test_service_that_runs_without_an_address_counts_as_deployed(capsys):
    """Not every cluster gives addresses."""
    jobs = [Job(SpecFile(Path(f"{name}.hspec")), "orange", NS, Talk()) for name in ("db", "web")]
    jobs[1].error = AddressError("No address has been given.")
    deploying.report(jobs)
    assert capsys.readouterr().out == "Runs: db.hspec, web.hspec.\n"
    jobs[0].error = WaitError("It crashes, and its last words are:\n  one\n  no space left")
    with pytest.raises(Failure) as failed:
        deploying.report(jobs)
    assert str(failed.value) == "db.hspec is not deployed: It crashes, and its last words are: … no space left"


@pytest.mark.thorough
def test_wrong_spec_stops_all_before_anything_is_deployed(suite, cluster):
    suite.shop.write({"web.hspec": WEB.replace("replicas: 2", "replicas: two")})
    assert "web.hspec:3" in suite.refused("create")
    assert cluster.find("namespace", NS) is None


@pytest.mark.thorough
def test_namespace_without_a_mark_is_used_when_the_operator_says_so_and_left(suite, cluster):
    cluster.namespace(NS)
    said = suite.refused("config_check")
    assert said.startswith(f"The namespace {NS} is there already") and "USE_EXISTING_NAMESPACES=true" in said
    assert said == suite.refused("cleanup")
    suite.env["USE_EXISTING_NAMESPACES"] = "true"
    said = suite.do("create")
    assert f"The namespace {NS} is not Octopod's own: cleanup will leave it where it is." in said
    suite.do("cleanup")
    assert cluster.find("namespace", NS) and cluster.names("pvc", NS) == []


@pytest.mark.parametrize(
    ("owner", "installation"),
    [("staging-or.ange", "Cactus store at cactus.example"), ("staging.orange", "Aloe store at aloe.example")],
    ids=["a deployment", "an Octopod"],
)
def test_namespace_of_another_is_left_alone(suite, cluster, owner, installation):
    """`staging` and `or-ange` make the same as `staging-or` and `ange`; another Octopod may have the same NAMESPACE."""
    marks = {"labels": {"octopod/deployment": owner}, "annotations": {"octopod/installation": installation}}
    cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS} | marks})
    claim = {"name": "data", "namespace": NS, "labels": {"hyscale.io/app-name": "orange"}}
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    cluster.put({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": claim, "spec": wanted})
    for script in ("config_check", "create", "check", "info", "archive", "archive_check", "cleanup"):
        assert f"is that of the deployment {owner} of {installation}, not of staging.orange" in suite.refused(script)
    assert cluster.names("pvc", NS) == ["data"] and cluster.names("deployment", NS) == []


def test_namespace_that_another_makes_in_the_same_moment_is_left_alone(suite, cluster):
    marks = {"labels": {"octopod/deployment": "staging-or.ange"}}
    cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS} | marks})
    cluster.fail("GET", f"*/namespaces/{NS}", 404, times=1)
    said = suite.refused("create")
    assert f"Making the namespace {NS}." in said and "is that of the deployment staging-or.ange" in said
    assert cluster.names("deployment", NS) == []


@pytest.mark.thorough
def test_whoever_may_not_look_at_namespaces_deploys_into_one_that_is_there(suite, cluster):
    cluster.namespace(NS)
    cluster.fail("GET", f"*/namespaces/{NS}", 403)
    suite.do("create")
    assert suite.verdict()[0] == 0
    assert "the cluster does not allow it" in suite.refused("cleanup")
    cluster.heal()
    suite.env["USE_EXISTING_NAMESPACES"] = "true"
    suite.do("cleanup")


@pytest.mark.thorough
def test_unused_keys_are_named(suite):
    assert "Not used by this suite: branch." in suite.do("create", branch="main")


def test_secrets_are_in_no_log_and_in_no_list_of_processes(suite, cluster, tmp_path):
    """Neither those of a form nor those of a spec, also when a service says them in its last words."""
    spy = tmp_path / "kubectl"
    spy.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/seen\nexec {suite.env["KUBECTL_BIN"]} "$@"\n')
    spy.chmod(0o755)
    suite.shop.write({"web.hspec": WEB.replace("{API_TOKEN: open sesame}", "{API_TOKEN: open sesame, KEY: barley}")})
    cluster.pods("*shop/web:1.0", then="crash", log="refused: from-a-form, barley")
    done = suite.run("create", app={"web.secrets.API_TOKEN": "from-a-form"}, env={"KUBECTL_BIN": str(spy)})
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "refused: ********, ********" in said
    assert not re.search("from-a-form|barley", said + (tmp_path / "seen").read_text())


def test_second_script_for_a_deployment_says_that_it_waits_and_goes_on(here, capsys):
    first, second = here(), here()
    with first.locked():
        thread = threading.Thread(target=enter, args=(second,))
        thread.start()
        eventually(
            lambda: "Another script is at work on orange: waiting for it." in capsys.readouterr().out, "the word"
        )
        assert thread.is_alive()
    thread.join(30)
    assert not thread.is_alive()


def enter(deployment):
    with deployment.locked():
        pass


def test_script_that_has_waited_for_another_long_enough_gives_up(here):
    told = []
    with (
        here().locked(),
        pytest.raises(Failure) as failed,
        files.locked(here().home, files.patience("orange", 0, told.append)),
    ):
        pass
    assert str(failed.value) == "Another script has been at work on orange for 0 s."
    assert told == ["Another script is at work on orange: waiting for it."]


# check


@pytest.mark.thorough
def test_service_that_somebody_removed_is_missed(suite, cluster):
    suite.do("create")
    for kind, name in (("deployment", "orange-web"), ("service", "web")):
        cluster.delete(kind, name, NS)
    cluster.wait_for(lambda: len(cluster.names("pod", NS)) == 1, "the end of its pods")
    assert suite.verdict() == (2, "web is gone.")


@pytest.mark.thorough
def test_broken_service_is_partial_and_all_of_them_are_a_failure(suite, cluster):
    suite.do("create")
    cluster.pods("*shop/web:1.0", then="crash")
    for pod in cluster.names("pod", NS, "hyscale.io/service-name=web"):
        cluster.delete("pod", pod, NS)
    eventually(lambda: suite.verdict()[0] == 2, "the crash")
    assert suite.verdict()[1].startswith("web is ")
    cluster.pods("postgres:15", then="crash")
    cluster.delete("pod", "orange-db-0", NS)
    eventually(lambda: suite.verdict()[0] == 1, "the other crash")


@pytest.mark.thorough
def test_another_image_than_the_deployed_one_is_a_mismatch(suite, cluster):
    suite.do("create")
    image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "evil:1"}]
    command = [suite.env["KUBECTL_BIN"], "patch", "deployment", "orange-web", "-n", NS, "--type=json"]
    subprocess.run([*command, "-p", json.dumps(image)], env=suite.env, check=True, capture_output=True)
    eventually(lambda: suite.verdict()[0] == 3, "the mismatch")
    assert suite.verdict()[1] == "web runs evil:1, not registry.example.com/shop/web:1.0: update it."


@pytest.mark.thorough
def test_new_commit_is_a_mismatch_once_it_is_known(suite):
    suite.do("create", ref="main")
    old = suite.shop.git("rev-parse", "--short=10", "HEAD")
    new = suite.shop.write({"web.hspec": WEB})[:10]
    assert suite.verdict(ref="main")[0] == 0, "no repository is asked"
    suite.do("application_config", ref="main")
    assert suite.verdict(ref="main") == (3, f"Runs {old}, not {new} (main): update it.")
    suite.do("update", ref="main")
    assert suite.verdict(ref="main")[0] == 0


@pytest.mark.thorough
def test_update_that_failed_is_a_mismatch_until_one_succeeds(suite):
    """What is asked for is not what runs, and no commit is named as running that is not."""
    suite.do("create")
    old = suite.shop.git("rev-parse", "--short=10", "HEAD")
    new = suite.shop.write({"web.hspec": WEB.replace('tag: "1.0"', 'tag: "2.0"')})[:10]
    suite.cluster.pods("*shop/web:2.0", then="image")
    suite.refused("update")
    said = f"The update to {new} has not come to its end, and {old} may still run: update it."
    assert suite.verdict()[0] == 3 and suite.verdict()[1].startswith(said)
    suite.cluster.pods("*shop/web:2.0", then="ready")
    suite.do("update")
    assert suite.verdict()[0] == 0 and new in suite.verdict()[1]


def test_commit_that_was_only_wanted_is_not_said_to_run(here):
    deployment = here()
    deployment.remember(services=["db", "web"], commit="a" * 40, wanted="b" * 40)
    assert checking.running(deployment) == "a" * 10
    assert checking.another(deployment, {}) == [
        "The update to bbbbbbbbbb has not come to its end, and aaaaaaaaaa may still run: update it"
    ]
    deployment.remember(services=["db", "web"], wanted="b" * 40)
    assert checking.another(deployment, {}) == [], "nothing else can run before the first one has succeeded"


@pytest.mark.thorough
def test_other_tag_of_a_service_that_is_built_here_is_a_mismatch(suite):
    """What runs is said by the spec it was deployed with; the image itself may be known by its digest only."""
    suite.do("create")
    suite.cluster.patch("deployment", "orange-web", annotated(BUILT), NS)
    assert suite.verdict(tag="1.0")[0] == 0
    assert suite.verdict(tag="2.0") == (3, "web runs the tag 1.0, not 2.0: update it.")


def annotated(spec):
    import yaml

    return {"metadata": {"annotations": {"hyscale.io/service-spec": json.dumps(yaml.safe_load(spec))}}}


@pytest.mark.thorough
def test_lingering_pods_are_named(suite, cluster):
    suite.do("create")
    assert "3 of its pods are left: orange-db-0, orange-web-" in suite.refused("archive_check")


@pytest.mark.thorough
def test_service_that_rests_by_its_spec_is_well(suite):
    suite.shop.write({"db.hspec.yaml": DB + "replicas: 0\n"})
    suite.do("create")
    assert suite.verdict()[0] == 0


# Sources


@pytest.mark.thorough
@pytest.mark.parametrize("ref", ["", "main", "v1", "other", "COMMIT"])
def test_ref_is_a_branch_a_tag_a_commit_or_the_default_branch(suite, ref):
    first = suite.shop.git("rev-parse", "HEAD")
    suite.shop.git("tag", "v1")
    suite.shop.git("branch", "other")
    suite.shop.write({"web.hspec": WEB.replace("info", "debug")})
    ref = first if ref == "COMMIT" else ref
    config = {"ref": ref} if ref else {}
    wanted = "debug" if ref in ("", "main") else "info"
    assert suite.pairs("application_config", **config)["web.props.LOG"] == wanted


@pytest.mark.thorough
def test_branch_is_as_it_is_now_also_when_it_was_written_anew(suite):
    suite.do("application_config")
    suite.shop.git("reset", "--quiet", "--hard", "HEAD")
    suite.shop.git("checkout", "--quiet", "--orphan", "anew")
    suite.shop.write({"web.hspec": WEB.replace("info", "anew")})
    suite.shop.git("branch", "--force", "main")
    assert suite.pairs("application_config", ref="main")["web.props.LOG"] == "anew"


def test_plain_directory_is_a_source(suite, tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/web.hspec").write_text("name: web\nimage: {name: shop/web, tag: 1.10}\n")
    suite.do("create", source=str(tmp_path / "plain"))
    assert container(suite.cluster)["image"] == "shop/web:1.10"
    assert "has no ref main" in suite.refused("config_check", source=str(tmp_path / "plain"), ref="main")


@pytest.fixture
def plain(tmp_path):
    """A plain directory with all kinds of things."""
    directory = tmp_path / "plain"
    (directory / "conf").mkdir(parents=True)
    (directory / "web.hspec").write_text("name: web\nimage: {name: shop/web}\nprops: {a: file(conf/a)}\n")
    (directory / "conf/a").write_text("inside")
    (directory / "run").touch()
    (directory / "run").chmod(0o755)
    (directory / "again").symlink_to("conf")
    os.mkfifo(directory / "pipe")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a").write_text("outside-text")
    return directory


def test_plain_directory_is_worked_with_as_it_was_when_it_was_looked_at(here, plain):
    """Whoever may write there must not exchange a file for a link to what only the server may read."""
    deployment = here(source=str(plain))
    [service] = deployment.services
    (plain / "conf/a").unlink()
    (plain / "conf/a").symlink_to(plain.parent / "outside/a")
    assert service.props["a"].file.read_text() == "inside"


def test_copy_of_a_directory_has_its_files_and_links_and_nothing_else(plain, tmp_path):
    copies.copy(plain, tmp_path / "copy")
    found = {str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*")}
    assert found == {"web.hspec", "conf", "conf/a", "run", "again"}
    assert os.readlink(tmp_path / "copy/again") == "conf"
    assert [oct((tmp_path / "copy" / name).stat().st_mode & 0o100) for name in ("run", "web.hspec")] == ["0o100", "0o0"]


def test_directory_that_was_exchanged_for_another_is_not_copied(plain, tmp_path):
    """Only its last part would be refused as a link by the system itself."""
    (tmp_path / "link").symlink_to(plain)
    with pytest.raises(Failure, match="has just been exchanged for another"):
        copies.copy(tmp_path / "link/conf", tmp_path / "copy")


@pytest.mark.parametrize("link", ["conf/a", "conf", "web.hspec"])
def test_link_out_of_a_plain_directory_is_refused(here, plain, link):
    path = plain / link
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to(plain.parent / ("outside" if link == "conf" else "outside/a"))
    with pytest.raises((Failure, HspecError)) as refused:
        _ = here(source=str(plain)).services
    assert "leads out of the " in str(refused.value) or "lies outside of the directory" in str(refused.value)


def test_copy_goes_when_the_script_ends(offline, plain):
    assert "props.a" in offline.do("application_config_keys", source=str(plain))
    assert [path.name for path in (offline.data / "checkouts").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "A source is needed"),
        ("/etc", "A directory of this machine must be one below SOURCES_DIR: /etc is not."),
        ("file:///etc", "A directory of this machine must be one below SOURCES_DIR: /etc is not."),
        ("/nowhere/../etc", "must be one below SOURCES_DIR"),
        ("ext::sh -c 'touch hacked'", "The source must be the URL of a git repository"),
        ("fd::17", "The source must be the URL of a git repository"),
        ("--upload-pack=touch hacked", "The source must be a URL"),
        ("-x", "The source must be a URL"),
        ("ftp://example.com/x", "The source must begin with https://, http://, ssh://, git://, not ftp://."),
        ("ssh://-oProxyCommand=touch/x", "host or login cannot be right"),
        ("https://a b\nc/x", "without line breaks"),
        ("https:///x", "host or login cannot be right"),
        ("shop", "The source must be the URL of a git repository"),
    ],
)
def test_source_that_cannot_be_one_is_refused(tmp_path, source, said):
    with pytest.raises(Failure) as refused:
        sources.find(source, settings.load({"OCTOPOD_SUITE_DATA": "/data", "SOURCES_DIR": str(tmp_path)}))
    assert said in str(refused.value)


def test_directory_cannot_be_reached_by_a_link_out_of_the_permitted_one(offline, tmp_path):
    (tmp_path / "link").symlink_to("/etc")
    assert "must be one below SOURCES_DIR" in offline.refused("config_check", source=str(tmp_path / "link"))


def test_without_sources_dir_only_the_directory_of_the_defaults_is_a_source(offline):
    shop = str(offline.shop.directory)
    offline.env["SOURCES_DIR"] = ""
    assert "must be one below SOURCES_DIR" in offline.refused("application_config")
    offline.env["DEFAULTS"] = json.dumps({"source": shop})
    assert "web.props.LOG" in offline.pairs("application_config")


@pytest.mark.thorough
@pytest.mark.parametrize("ref", ["--output=x", "-x", "main\n", "no-such", "main..main"])
def test_ref_that_cannot_be_one_is_refused(offline, ref):
    said = offline.refused("config_check", ref=ref)
    assert "cannot be the name of a branch" in said or ("has no branch, tag or commit" in said and "main" in said)


def test_login_of_a_url_is_neither_shown_nor_among_arguments(offline, tmp_path):
    spy = tmp_path / "bin/git"
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/seen\nexec {shutil.which("git")} "$@"\n')
    spy.chmod(0o755)
    offline.env["PATH"] = f"{spy.parent}:{offline.env['PATH']}"
    said = offline.refused("config_check", source=ALICE)
    assert said.startswith("Cannot read https://127.0.0.1:9/shop.git: ")
    assert "open-sesame" not in said + (tmp_path / "seen").read_text()
    assert not [file for file in offline.data.rglob("*") if file.is_file() and b"open-sesame" in file.read_bytes()]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "by-configuration"),
        ({"GIT_SSH": "by-the-old-variable"}, "by-configuration"),
        ({"GIT_SSH_COMMAND": "by-variable"}, "by-variable"),
        ({"GIT_SSH": "by-the-old-variable", "GIT_CONFIG_GLOBAL": "/dev/null"}, "by-the-old-variable"),
    ],
)
def test_ssh_is_the_one_that_is_set_up_for_git(offline, tmp_path, given, wanted):
    for name in ("by-configuration", "by-variable", "by-the-old-variable"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/seen\nexit 255\n')
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".gitconfig").write_text(f"[core]\n    sshCommand = {tmp_path}/by-configuration\n")
    given = {key: value if "CONFIG" in key else str(tmp_path / value) for key, value in given.items()}
    done = offline.run("config_check", source="ssh://git@shop.test/shop.git", env=given)
    assert done.returncode == 1
    assert (tmp_path / "seen").read_text().startswith(f"{wanted} -oBatchMode=yes -oConnectTimeout=10 ")


class Guarded(SimpleHTTPRequestHandler):
    """Files, for those who know the password."""

    def do_GET(self):
        self.site.seen.append(("GET", self.path, self.headers.get("Authorization", "")))
        if self.headers.get("Authorization") == basic("ann", "open sesame"):
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="shop"')
        self.send_header("Content-Length", "0")
        return self.end_headers()


@pytest.fixture
def site(tmp_path):
    """The shop, behind HTTP and a password."""
    bare = tmp_path / "bare"
    site = Site(Guarded)
    site.handler.__init__ = lambda handler, *rest: super(site.handler, handler).__init__(*rest, directory=str(bare))
    yield site
    site.stop()


@pytest.mark.thorough
def test_login_of_a_url_opens_the_repository(offline, site, tmp_path):
    bare = tmp_path / "bare/shop.git"
    offline.shop.git("clone", "--quiet", "--bare", ".", str(bare))
    offline.shop.git(f"--git-dir={bare}", "update-server-info")
    source = site.url.replace("//", "//ann:open%20sesame@") + "/shop.git"
    assert "web.props.LOG" in offline.pairs("application_config", source=source)
    wrong = source.replace("sesame", "barley")
    assert "Cannot read" in offline.refused("application_config", source=wrong)
    assert "Cannot read" in offline.refused("application_config", source=f"{site.url}/shop.git")


@pytest.mark.thorough
def test_submodules_are_not_fetched_and_hooks_not_run(suite, tmp_path):
    hook = suite.shop.directory / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    other = Repository(tmp_path / "other", secret="x")
    suite.shop.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.directory), "sub")
    suite.shop.write({})
    suite.do("application_config")
    [checkout] = (suite.data / "checkouts").glob("*-*")
    assert list((checkout / "sub").iterdir()) == [] and not (tmp_path / "hooked").exists()


@pytest.mark.parametrize("link", ["conf/app.conf", "web.hspec", "profiles/stage-web.hprof"])
def test_link_out_of_the_source_is_refused(offline, tmp_path, link):
    (tmp_path / "outside").write_text("name: outside-text\n")
    path = offline.shop.directory / link
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(tmp_path / "outside")
    offline.shop.write({})
    said = offline.refused("application_config", **({"profile": "stage"} if "profiles" in link else {}))
    assert "leads out of the " in said or "lies outside of the directory" in said
    assert "outside-text" not in said


@pytest.mark.thorough
def test_many_scripts_read_one_repository_at_once(offline):
    offline.shop.write({f"{n}.hspec": f"name: s{n}\nimage: {{name: x}}\n" for n in range(3)})
    processes = [offline.start("application_config") for _ in range(6)]
    answers = {process.communicate()[0] for process in processes}
    assert len(answers) == 1 and "web.props.LOG,info" in answers.pop()


# Specs and profiles


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("*.hspec*", "db, web"),
        ("web.hspec", "web"),
        ("more/*.hspec", "far"),
        ("**/*.hspec", "far, web"),
        ("**/*", "db, far, web"),
    ],
)
def test_spec_is_a_pattern(suite, spec, found):
    suite.shop.write({"more/far.hspec": "name: far\nimage: {name: far}\n", "stage-web.hprof": "environment: stage\n"})
    suite.shop.remove("conf/app.conf")
    suite.shop.write({"web.hspec": re.sub("  app.conf.*\n", "", WEB)})
    assert f"Runs: {found}." in suite.do("create", spec=spec)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("/etc/*", "spec is a pattern for paths in the source"),
        ("../*", "spec is a pattern for paths in the source"),
        ("x**y", "spec is no pattern that can be used"),
        ("*.yml", "It has: db.hspec.yaml, web.hspec."),
    ],
)
def test_spec_that_finds_nothing_says_what_there_is(offline, spec, said):
    assert said in offline.refused("config_check", spec=spec)


@pytest.mark.thorough
def test_two_specs_of_one_service_are_refused(offline):
    offline.shop.write({"again.hspec": WEB})
    said = offline.refused("config_check")
    assert "The service web is described twice: again.hspec and web.hspec." in said


@pytest.mark.thorough
def test_profile_is_merged(suite, cluster):
    profile = "environment: stage\noverrides: {service}\nprops: {{LOG: staged}}\n"
    suite.shop.write({f"profiles/stage-{service}.hprof": profile.format(service=service) for service in ("web", "db")})
    assert suite.pairs("application_config", profile="stage")["web.props.LOG"] == "staged"
    suite.do("create", profile="stage")
    assert prop(cluster, "LOG") == "staged"
    labels = cluster.get("deployment", "orange-web", NS)["metadata"]["labels"]
    assert labels["hyscale.io/environment-name"] == "stage"
    assert "prod-db.hprof" in suite.refused("config_check", profile="prod")


# The application configuration


def test_application_config_is_what_the_specs_say(offline):
    assert offline.pairs("application_config") == {
        "db.props.LOG": "warn",
        "web.replicas": "2",
        "web.memory": "64Mi-128Mi",
        "web.props.LOG": "info",
        "web.props.DB_HOST": "endpoint(db)",
        "web.props.LITERAL": "string(file(x))",
        "web.secrets.API_TOKEN": "open sesame",
    }
    assert offline.pairs("application_config", spec="web.hspec")["props.LOG"] == "info"
    assert offline.run("application_config", source="").stdout == ""


def test_keys_are_what_can_be_set(offline):
    keys = offline.do("application_config_keys").split()
    assert keys == [
        "db.replicas", "db.memory", "db.cpu", "db.props.LOG",
        "web.replicas", "web.memory", "web.cpu",
        "web.props.LOG", "web.props.DB_HOST", "web.props.LITERAL", "web.props.app.conf", "web.secrets.API_TOKEN",
        "props.LOG",
    ]  # fmt: skip
    assert "props.LOG" in offline.do("application_config_keys", spec="web.hspec").split()


def test_what_is_asked_for_is_deployed(suite, cluster):
    app = {"web.replicas": "3", "web.memory": "256Mi", "web.cpu": "100m-500m", "web.props.LOG": "a,b={c} \n d",
           "web.secrets.API_TOKEN": "sesame, open", "props.LOG": "both"}  # fmt: skip
    suite.do("create", app=app)
    assert cluster.get("deployment", "orange-web", NS)["spec"]["replicas"] == 3
    assert container(cluster)["resources"] == {
        "limits": {"memory": "256Mi", "cpu": "500m"},
        "requests": {"cpu": "100m"},
    }
    assert prop(cluster, "LOG") == "a,b={c} \n d"
    assert prop(cluster, "LOG", "db") == "both"
    assert secret(cluster)["API_TOKEN"] == "c2VzYW1lLCBvcGVu"


@pytest.mark.thorough
def test_names_of_secrets_get_values_all_of_them_or_none(suite, cluster):
    suite.shop.write({"web.hspec": "name: web\nimage: {name: web}\nsecrets: [USER, PASSWORD]\n"})
    said = suite.refused("config_check", spec="web.hspec", app={"secrets.USER": "ann"})
    assert said == "The secrets of web need all a value, or none: secrets.PASSWORD is missing.\n"
    suite.do("create", spec="web.hspec", app={"secrets.USER": "ann", "secrets.PASSWORD": "open sesame"})
    assert set(secret(cluster)) == {"USER", "PASSWORD"}


@pytest.mark.thorough
def test_defaults_that_come_back_are_no_overrides(suite, cluster):
    """So that a new commit is not held back by what a form began with."""
    pairs = suite.pairs("application_config")
    suite.shop.write({"web.hspec": WEB.replace("info", "debug")})
    suite.do("create", app=pairs | {"web.props.DB_HOST": "elsewhere"}, env={"OCTOPOD_DEPLOYMENT": "orange"})
    assert (prop(cluster, "LOG"), prop(cluster, "DB_HOST")) == ("debug", "elsewhere")


def test_default_that_is_taken_away_is_refused(suite):
    pairs = suite.pairs("application_config")
    del pairs["web.props.LOG"]
    suite.env["OCTOPOD_DEPLOYMENT"] = "orange"
    said = suite.refused("config_check", app=pairs)
    assert said == "web.props.LOG cannot be taken away: the spec has it. Give it another value.\n"
    suite.shop.write({"web.hspec": WEB.replace("  LOG: info\n", "")})
    suite.do("config_check", app=pairs)


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ({"web.props.LOGG": "x"}, "web.props.LOGG cannot be set. Did you mean web.props.LOG?"),
        ({"zzz": "x"}, "zzz cannot be set. These can: db.replicas, "),
        ({"web.replicas": "two"}, 'web.replicas must be a whole number, not "two".'),
        ({"web.memory": "much"}, "memory"),
        ({"web.props.app.conf": "file(../../etc/passwd)"}, "props.app.conf"),
    ],
)
def test_configuration_that_cannot_be_is_refused(here, app, said):
    with pytest.raises((Failure, HspecError)) as refused:
        _ = here(app=app).services
    assert said in str(refused.value)


def test_all_that_is_wrong_is_said_at_once(offline):
    offline.shop.write({"web.hspec": WEB.replace("8080/http", "99999"), "db.hspec.yaml": DB.replace("5432", "x")})
    said = offline.refused("config_check")
    assert re.search(r"^web\.hspec:6: ports\[0\]\.port: ", said, re.MULTILINE)
    assert re.search(r"^db\.hspec\.yaml:3: ports\[0\]\.port: ", said, re.MULTILINE)
    assert str(offline.data) not in said


def test_schema_describes_the_configuration(offline):
    schema = json.loads(offline.do("config_schema"))["properties"]
    web = schema["web"]["properties"]
    assert web["replicas"]["type"] == "integer" and web["replicas"]["default"] == 2
    assert web["memory"]["default"] == "64Mi-128Mi" and web["memory"]["description"]
    assert web["props"]["properties"]["LOG"]["default"] == "info"
    token = web["secrets"]["properties"]["API_TOKEN"]
    assert token["writeOnly"] is True and "default" not in token
    assert "open sesame" not in json.dumps(schema)


# registry and tag


def test_registry_and_tag_are_those_of_services_that_are_built_here(here, offline):
    offline.shop.write({"web.hspec": BUILT, "Dockerfile": "FROM scratch\n"})
    db, web = here(registry="registry.internal:5000", tag="2.0").services
    assert web.image.reference == "registry.internal:5000/shop/web:2.0"
    assert db.image.reference == "postgres:15"


@pytest.mark.thorough
def test_missing_builder_is_told_before_anything_is_deployed(suite):
    suite.shop.write({"web.hspec": BUILT, "Dockerfile": "FROM scratch\n"})
    suite.env["IMAGE_BUILDER"] = "/nowhere/docker"
    assert "There is no program that can build images here." in suite.refused("config_check")


# info


@pytest.mark.thorough
def test_links_are_addresses_of_external_services(suite):
    assert suite.pairs("info") == {}
    suite.do("create")
    assert re.fullmatch(r"http://[0-9.]+:8080", suite.pairs("info")["web"])


@pytest.mark.thorough
@pytest.mark.parametrize(("tls", "scheme"), [("", "http"), ("    tlsSecret: certificate\n", "https")])
def test_hosts_of_load_balancers_are_known_before_they_are_there(suite, tls, scheme):
    balancer = f"""\
loadBalancer:
    provider: nginx
    host: shop.example.com
{tls}    mapping: [{{port: 8080, contextPaths: [/, /api]}}]
"""
    suite.shop.write({"web.hspec": WEB + balancer})
    wanted = f"web,{scheme}://shop.example.com\nweb,{scheme}://shop.example.com/api\n"
    assert suite.do("info") == wanted
    suite.do("create")
    assert suite.do("info") == wanted


@pytest.mark.parametrize(
    ("host", "paths", "urls"),
    [
        ("shop.example.com", ["/", "/api", "/"], ["http://shop.example.com", "http://shop.example.com/api"]),
        ("shop.example.com", ["/api/(.*)", "/app[0-9]", "/shop"], ["http://shop.example.com/shop"]),
        ("shop.example.com", ["/api/(.*)"], ["http://shop.example.com"]),
        ("*.shop.example.com", ["/"], []),
    ],
)
def test_links_are_what_a_person_could_open(host, paths, urls):
    balancer = LoadBalancer("nginx", host, (PortMapping(8080, tuple(paths)),))
    service = Service("web", Image("web"), Path("web.hspec"), load_balancer=balancer)
    assert [url for _, url in addresses.of_balancer(service)] == urls


@pytest.mark.thorough
def test_links_are_known_when_the_source_is_gone(suite):
    suite.do("create")
    shutil.rmtree(suite.shop.directory)
    shutil.rmtree(suite.data / "mirrors")
    assert "web" in suite.pairs("info")


# The suite itself


def test_init_says_which_tools_there_are(offline):
    said = offline.do("init", env={"IMAGE_BUILDER": ""})
    assert re.search(r"^git version ", said, re.MULTILINE) and "kubectl: Client Version" in said
    done = offline.run("init", env={"IMAGE_BUILDER": "/nowhere/docker"})
    assert done.returncode == 0 and "Only services whose image is ready can be deployed." in done.stderr
    assert "does not work" in offline.refused("init", env={"KUBECTL_BIN": "/bin/false"})


@pytest.mark.thorough
def test_init_fetches_the_default_source_and_starts_without_it(offline):
    done = offline.run("init", env={"DEFAULTS": json.dumps({"source": str(offline.shop.directory)})})
    assert done.returncode == 0 and len(list((offline.data / "mirrors").iterdir())) == 1
    done = offline.run("init", env={"DEFAULTS": json.dumps({"source": ALICE})})
    assert done.returncode == 0 and "It will be tried again when it is needed." in done.stderr
    assert "open-sesame" not in done.stdout + done.stderr


def test_deployment_config_is_what_the_defaults_say(offline):
    assert offline.pairs("deployment_config") == {"spec": "*.hspec*"}
    offline.env["DEFAULTS"] = json.dumps({"source": "https://example.com/x", "tag": "1", "profile": ""})
    assert offline.pairs("deployment_config") == {"spec": "*.hspec*", "source": "https://example.com/x", "tag": "1"}
    keys = offline.do("deployment_config_keys").split()
    assert keys == ["source", "ref", "spec", "profile", "registry", "tag"]


@pytest.mark.parametrize(
    ("settings_given", "said"),
    [
        ({"DEFAULTS": "{"}, "DEFAULTS is not JSON"),
        ({"DEFAULTS": "[]"}, "DEFAULTS must be a JSON object."),
        ({"DEFAULTS": '{"branch": "x"}'}, "DEFAULTS has keys that are not known: branch."),
        ({"DEFAULTS": '{"ref": 1}'}, "ref in DEFAULTS must be a string."),
        ({"DEPLOY_TIMEOUT": "soon"}, "DEPLOY_TIMEOUT must be a whole number of seconds above 0."),
        ({"OCTOPOD_SUITE_DATA": ""}, "OCTOPOD_SUITE_DATA is not set"),
    ],
)
def test_bad_setting_is_named(settings_given, said):
    with pytest.raises(Failure) as refused:
        settings.load({"OCTOPOD_SUITE_DATA": "/data"} | settings_given)
    assert said in str(refused.value)


def test_suite_is_complete_and_every_script_says_what_it_does():
    scripts = [path for path in SCRIPTS.iterdir() if path.is_file() and os.access(path, os.X_OK)]
    assert {path.name for path in scripts} == {*REQUIRED[2], "init", "config_schema"}
    for path in scripts:
        text = path.read_text()
        assert text.startswith('#!/usr/bin/env python3\n"""Summary: ')
        assert f"\nUsage:   {path.name}" in text


def test_settings_and_keys_are_documented():
    chapter = (ROOT / "scripts/README.md").read_text().partition("## The suite `hspec`")[2]
    read = (SCRIPTS / "library/settings.py").read_text()
    named = set(re.findall(r'environ(?:\.get\(|\[|, )"([A-Z_]+)"', read)) - {"HYSCALE_HOME"}
    engine = {"DEFAULTS", "IMAGE_BUILDER", "INSECURE_REGISTRIES", "DOCKER_CONFIG", "KUBECONFIG"}
    keys = {"source", "ref", "spec", "profile", "registry", "tag"}
    assert {"SOURCES_DIR", "DEPLOY_TIMEOUT", "KUBECTL_BIN"} <= named
    for name in named | engine | keys:
        assert f"`{name}`" in chapter, name


@pytest.mark.parametrize("suite_name", ["helm", "hspec"])
def test_image_of_a_suite_holds_what_its_scripts_import(suite_name, offline, tmp_path):
    """As the Dockerfile copies it, beside an engine that the Python was installed for."""
    copied = re.findall(
        r"^COPY (scripts/\S+) (/utils\S*)$", (ROOT / f"scripts/{suite_name}/Dockerfile").read_text(), re.M
    )
    for source, target in copied:
        shutil.copytree(ROOT / source, tmp_path / target.lstrip("/"), dirs_exist_ok=True)
    server = tmp_path / "opt/octopod"
    shutil.copytree(ROOT / "octopod/hspec", server / "octopod/hspec")
    (server / "octopod/__init__.py").touch()
    (server / ".venv/bin").mkdir(parents=True)
    python = server / ".venv/bin/python3"
    python.symlink_to(Path(sys.executable).resolve())
    (server / ".venv/pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    env = offline.env | {"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([python, tmp_path / "utils/deployment_config_keys"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
