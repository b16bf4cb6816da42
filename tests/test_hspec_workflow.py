"""Stages, services and results: what the commands do, from a file to a cluster."""

import errno
import fcntl
import io
import json
import threading
from argparse import Namespace
from pathlib import Path

import pytest
import yaml
from kube.cluster import Cluster

from octopod.hspec import __main__ as hspec
from octopod.hspec import workflow
from octopod.hspec.commands import changing
from octopod.hspec.errors import BuildError, HspecError, PreflightError
from octopod.hspec.home import Workspace, locked
from octopod.hspec.talk import Skipped, Talk
from octopod.hspec.workflow import Job, SpecFile, Stage

READY = {"image": {"name": "team/web", "tag": "1"}, "ports": [{"port": 8080}], "props": {"COLOUR": "blue"}}
STAGES = ["Dockerfile", "Image build", "Image push", "Manifests", "Deploy", "Wait", "Address"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory where somebody works; generated files and logs go to `home` below it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYSCALE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


@pytest.fixture
def shop(home: Path, cluster: Cluster, kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster that `hspec` speaks to."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    monkeypatch.setenv("KUBECTL_BIN", str(kubectl))
    return cluster


def write(file: str, **fields: object) -> Path:
    path = Path(f"{file}.hspec")
    path.write_text(yaml.safe_dump({"name": file} | READY | fields, sort_keys=False))
    return path


def deploy(*names: str, more: str = "") -> int:
    files = ",".join(f"{name}.hspec" for name in names)
    return hspec.main(f"deploy service -a shop -n dev -f {files} --timeout 1s {more}".split())


def outcomes(capsys: pytest.CaptureFixture[str]) -> dict[str, dict]:
    return {one["name"]: one for one in json.loads(capsys.readouterr().out)["serviceStatus"]}


def job_of(name: str, talk: Talk | None = None) -> Job:
    return Job(SpecFile(Path(f"{name}.hspec")), "shop", "dev", talk or Talk())


def test_stages_are_told_in_order_with_how_they_ended(shop, capsys):
    write("web")
    assert deploy("web") == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line[2:3] in "✓–✗"]
    assert [line[6:30].strip() for line in told] == ["web.hspec", *STAGES]
    assert [line[2] for line in told] == [*"✓–––✓✓✓–"]


def test_deployed_service_runs_with_what_its_spec_says(shop):
    write("web")
    assert deploy("web") == 0
    assert shop.get("ConfigMap", "shop-web", "dev")["data"] == {"COLOUR": "blue"}
    [container] = shop.get("Deployment", "shop-web", "dev")["spec"]["template"]["spec"]["containers"]
    assert (container["name"], container["image"]) == ("web", "team/web:1")


def test_failing_stage_ends_one_service_and_not_the_next(shop, capsys):
    write("web", image={"name": "team/broken"})
    write("stock")
    shop.pods("team/broken", then="image")
    assert deploy("web", "stock", more="-o json") == 135
    found = outcomes(capsys)
    assert [found["web"]["exitCode"], found["stock"]["exitCode"]] == [135, 0]
    assert "ImagePullBackOff" in found["web"]["message"]


def test_nothing_is_touched_while_one_spec_is_wrong(shop, capsys):
    write("web")
    write("stock", ports=[{"port": "none"}])
    assert deploy("web", "stock", more="-o yaml") == 22
    found = {one["name"]: one for one in yaml.safe_load(capsys.readouterr().out)["serviceStatus"]}
    assert (found["web"]["exitCode"], found["web"]["result"]) == (0, "not begun")
    assert found["stock.hspec"]["problems"][0] | {"message": ""} == {
        "field": "ports[0].port", "file": "stock.hspec", "line": 6, "message": "",
    }  # fmt: skip
    assert "dev" not in shop.names("Namespace")
    assert not (Path("home") / "apps/shop/web").exists()


EXITS = [
    (15, "there is no such spec", lambda _: Path("web.hspec").unlink()),
    (15, "it is no YAML", lambda _: Path("web.hspec").write_text("a: [")),
    (22, "a field is wrong", lambda _: write("web", memory="lots")),
    (22, "its name is too long with the app's", lambda _: write("web", name="w" * 60)),
    (22, "its pods' names would be too long", lambda _: write("web", name="w" * 48, volumes=[{"name": "d", "path": "/d"}])),
    (30, "its profile does not fit", lambda _: Path("stage-web.hprof").write_text("environment: x")),
    (45, "the cluster is not there", lambda cluster: cluster.fail("*", "*", 503)),
    (45, "the storage class is not there", lambda _: write("web", volumes=[{"name": "d", "path": "/d", "storageClass": "gold"}])),
    (120, "the cluster refuses", lambda cluster: cluster.fail("POST", "*/configmaps*", 403)),
    (135, "it does not run", lambda cluster: cluster.pods("team/web:1", then="crash", log="no database")),
    (135, "it has no room", lambda cluster: cluster.pods("team/web:1", then="pending")),
]  # fmt: skip


@pytest.mark.parametrize(("code", "why", "break_it"), EXITS, ids=[why for _, why, _ in EXITS])
def test_exit_code_says_which_stage_has_failed(code, why, break_it, shop, capsys):
    write("web")
    break_it(shop)
    profile = "-P stage" if Path("stage-web.hprof").exists() else ""
    assert deploy("web", more=profile) == code
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert said.err.strip()


def test_logs_of_what_does_not_run_are_kept(shop, home):
    write("web")
    shop.pods("team/web:1", then="crash", log="no database")
    assert deploy("web") == 135
    log = Workspace.of("shop", "web").log("deploy")
    assert "no database" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_verbose_prints_what_the_pods_wrote(shop, capsys):
    write("web")
    shop.pods("team/web:1", then="ready", log="listening at 8080")
    deploy("web")
    assert "listening at 8080" not in capsys.readouterr().err
    deploy("web", more="-v")
    assert "listening at 8080" in capsys.readouterr().err


def test_address_of_an_external_service_is_a_result(shop, capsys):
    write("web", external=True)
    assert deploy("web", more="-o json") == 0
    [address] = outcomes(capsys)["web"]["addresses"]
    assert address.endswith(":8080")


def test_external_service_whose_agent_listens_has_an_address_as_well(shop, capsys):
    write("web", external=True, ports=[], agents=[{"name": "proxy", "image": "envoy", "ports": [{"port": 9000}]}])
    assert deploy("web", more="-o json") == 0
    [address] = outcomes(capsys)["web"]["addresses"]
    assert address.endswith(":9000")


def test_two_specs_of_one_service_are_refused(shop, capsys):
    write("web")
    Path("other.hspec").write_text(Path("web.hspec").read_text())
    assert deploy("web", "other") == 2
    assert "Both web.hspec and other.hspec describe the service web." in capsys.readouterr().err


def test_generating_needs_no_cluster_and_no_builder(home, capsys, monkeypatch):
    monkeypatch.setenv("KUBECTL_BIN", "/nonexistent")
    monkeypatch.setenv("IMAGE_BUILDER", "/nonexistent")
    write("web", image={"registry": "registry.test", "name": "web", "buildSpec": {"stackImage": "base"}})
    assert hspec.main(["generate", "service", "manifests", "-a", "shop", "-f", "web.hspec"]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in paths] == ["configmap.yaml", "service.yaml", "deployment.yaml"]
    assert all(path.parent == Workspace.of("shop", "web").manifests and path.exists() for path in paths)


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_generated_manifests_go_to_stdout_for_kubectl(form, shop, kubectl, capsys):
    write("web")
    assert hspec.main(f"generate service manifests -a shop -f web.hspec -o {form}".split()) == 0
    done = shop.run(kubectl, "apply", "--filename", "-", stdin=capsys.readouterr().out)
    assert done.returncode == 0, done.stdout
    assert shop.get("Deployment", "shop-web")


def test_generating_keeps_the_logs_of_the_last_deployment(shop):
    write("web")
    deploy("web")
    log = Workspace.of("shop", "web").log("deploy")
    hspec.main(["generate", "service", "manifests", "-a", "shop", "-f", "web.hspec"])
    assert log.exists()


def test_undeploying_removes_the_files_as_well(shop, capsys):
    write("web")
    deploy("web")
    assert hspec.main(["undeploy", "service", "-s", "web", "-a", "shop", "-n", "dev"]) == 0
    assert "removed Deployment shop-web" in capsys.readouterr().out
    assert not Workspace.of("shop", "web").directory.exists()
    assert hspec.main(["undeploy", "app", "-a", "shop", "-n", "dev"]) == 0
    assert "There is nothing to undeploy" in capsys.readouterr().out


def test_undeploying_goes_on_with_the_next_service_when_one_fails(shop, capsys):
    write("stock")
    write("web")
    deploy("stock", "web")
    shop.fail("DELETE", "*shop-stock*", 403)
    assert hspec.main(["undeploy", "service", "-s", "stock", "-s", "web", "-a", "shop", "-n", "dev"]) == 120
    said = capsys.readouterr()
    assert "removed Deployment shop-web" in said.out and "Not deleted: " in said.err
    assert "nothing to undeploy" not in said.out


def test_what_was_changed_is_printed_for_programs(shop, capsys):
    write("web")
    deploy("web")
    capsys.readouterr()
    about = "-a shop -n dev -o json"
    hspec.main(f"scale service -s web --to 2 {about}".split())
    assert json.loads(capsys.readouterr().out) == {"name": "web", "replicas": 2}
    hspec.main(f"undeploy service -s web {about}".split())
    [outcome] = json.loads(capsys.readouterr().out)
    assert (outcome["name"], outcome["exitCode"]) == ("web", 0) and "Deployment shop-web" in outcome["removed"]
    hspec.main(f"undeploy app {about}".split())
    assert json.loads(capsys.readouterr().out) == [{"name": "shop", "exitCode": 0, "message": "", "removed": []}]


def test_validate_prints_problems_for_programs(home, capsys):
    write("web", memory="lots")
    assert hspec.main(["validate", "-f", "web.hspec", "-o", "json"]) == 22
    [problem] = outcomes(capsys)["web.hspec"]["problems"]
    assert problem["field"] == "memory"


def test_misspelt_field_is_named_beside_what_is_missing_for_it(home, capsys):
    write("web", image={"nam": "team/web"})
    assert hspec.main(["validate", "-f", "web.hspec"]) == 22
    said = capsys.readouterr().err
    assert "image.name: This is required" in said
    assert "image.nam: There is no such field; it is ignored. Did you mean `name`?" in said


@pytest.mark.parametrize("kind", ["spec", "profile"])
def test_schema_is_printed(kind, capsys):
    assert hspec.main(["schema", "--of", kind]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"].endswith("2020-12/schema")


# --- stages and their hooks


def stage_of(calls: list[str], fails: str = "") -> Stage:
    def hook(name: str):
        def call(_: Job) -> None:
            calls.append(name)
            if name == fails:
                raise BuildError(f"{name} has failed.")

        return call

    return Stage("Try", hook("work"), (hook("first"), hook("second")), (hook("after"),), (hook("at end"),))


@pytest.mark.parametrize(
    ("fails", "wanted"),
    [
        ("", ["first", "second", "work", "after", "at end"]),
        ("first", ["first"]),
        ("second", ["first", "second"]),
        ("work", ["first", "second", "work", "at end"]),
        ("after", ["first", "second", "work", "after", "at end"]),
    ],
)
def test_hooks_run_before_after_success_and_at_the_end(fails, wanted, home):
    calls: list[str] = []
    job = job_of("web")
    workflow.go_through(job, [stage_of(calls, fails)])
    assert calls == wanted
    assert bool(job.error) == bool(fails)


def test_stages_behind_a_failed_one_are_left_out(home):
    calls: list[str] = []
    workflow.go_through(job_of("web"), [stage_of(calls, "first"), stage_of(calls)])
    assert calls == ["first"]


def test_skipped_stage_is_no_failure(home):
    def skip(_: Job) -> None:
        raise Skipped("nothing to do")

    calls: list[str] = []
    job = job_of("web")
    workflow.go_through(job, [Stage("Skip", skip), stage_of(calls)])
    assert not job.error
    assert calls[-1] == "at end"


def silent(_: str) -> None:
    pass


def go(job: Job, stage: Stage) -> None:
    workflow.work([job], workflow.VALIDATE, [stage])


def undeploy(*services: str) -> int:
    options = Namespace(app="shop", namespace="dev", services=services, output="text")
    return changing.undeploy_services(options) if services else changing.undeploy_app(options)


def test_second_deployment_of_a_service_says_that_it_waits_for_the_first(home):
    write("web")
    begun, heard = threading.Event(), io.StringIO()
    job = job_of("web", Talk(heard))
    with locked("shop", "web", silent):
        thread = threading.Thread(target=go, args=(job, Stage("Go", lambda _: begun.set())))
        thread.start()
        wait_until_blocked("shop.web", thread)
        assert not begun.is_set()
        assert "Another deployment of web is running: waiting for it." in heard.getvalue()
    thread.join(30)
    assert begun.is_set()


@pytest.mark.parametrize(("services", "lock"), [((), "shop"), (("web",), "shop.web")])
def test_undeploying_waits_for_a_deployment_and_leaves_it_its_files(services, lock, shop):
    file = Workspace.of("shop", "web").log("build")
    with locked("shop", "web", silent):
        Workspace.of("shop", "web").make()
        file.touch()
        thread = threading.Thread(target=undeploy, args=services)
        thread.start()
        wait_until_blocked(lock, thread)
        assert thread.is_alive() and file.exists()
    thread.join(30)
    assert not file.exists()


def test_deployments_of_two_services_of_an_app_do_not_wait_for_each_other(home):
    write("web")
    job = job_of("web")
    with locked("shop", "stock", silent):
        go(job, Stage("Go", lambda _: None))
    assert not job.error


def wait_until_blocked(lock: str, thread: threading.Thread) -> None:
    """The kernel lists who waits for a lock with an arrow."""
    while thread.is_alive() and not is_waited_for(Path("home/locks", lock)):
        thread.join(0.01)


def is_waited_for(path: Path) -> bool:
    inode = path.stat().st_ino if path.exists() else 0
    return any("->" in line and f":{inode} " in line for line in Path("/proc/locks").read_text().splitlines())


def test_lock_ends_with_its_holder_and_its_file_is_never_removed(shop):
    with locked("shop", "web", silent):
        pass
    undeploy()
    with open("home/locks/shop.web") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_lock_that_cannot_be_made_is_told(home):
    Path("home").write_text("no directory")
    with pytest.raises(HspecError, match="home/locks/shop cannot be written: "), locked("shop", "web", silent):
        pass


def test_full_disk_ends_the_work_on_one_service_with_a_sentence(home):
    def fill(_: Job) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/logs/build.log")

    job = job_of("web")
    workflow.go_through(job, [Stage("Fill", fill)])
    assert job.error
    assert str(job.error) == "/logs/build.log: No space left on device."


def test_hook_that_fails_at_the_end_does_not_hide_why_the_stage_has_failed(home):
    def fail(_: Job) -> None:
        raise BuildError("It does not build.")

    def fill(_: Job) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/logs/deploy.log")

    job = job_of("web")
    workflow.go_through(job, [Stage("Build", fail, at_end=(fill,))])
    assert str(job.error) == "It does not build."
    assert job.talk.warnings == ["/logs/deploy.log: No space left on device."]


def test_reader_who_has_seen_enough_is_no_failure_of_a_service(home):
    def close(_: Job) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        workflow.go_through(job_of("web"), [Stage("Talk", close)])


def test_errors_name_all_their_problems():
    error = PreflightError("one", "two")
    assert isinstance(error, HspecError)
    assert str(error) == "one\ntwo"


def test_a_login_that_cannot_be_looked_up_does_not_matter_to_an_image_that_is_there(shop, home, capsys):
    (home / "config.json").write_text(json.dumps({"credsStore": "gone"}))
    write("web", image={"name": "team/web", "registry": "registry.example.test"})
    assert deploy("web") == 0
    told = capsys.readouterr().err
    assert told.count("docker-credential-gone cannot be started") == 1
    assert "imagePullSecrets" not in str(shop.get("Deployment", "shop-web", "dev"))
