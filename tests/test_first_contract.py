"""The first contract: a suite that follows its samples, with stand-ins for helm, kubedog and kubectl."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from answers import problem
from conftest import ROOT, Server, numbers
from test_life import accepted, done, history

HERE = ROOT / "tests/first_contract"
PROJECT = ["--project-name", "Fruit", "--base-domain", "fruit.example", "--namespace", "garden"]
SET_PROJECT = "--set global.project-name=Fruit --set global.base-domain=fruit.example"


@pytest.fixture(scope="session")
def first(database, new_database, scratch) -> Iterator[Server]:
    """A server whose suite follows the first contract. `tag` alone is required."""
    directory = scratch / f"first-{next(numbers)}"
    directory.mkdir()
    project = {"PROJECT_NAME": "Fruit", "BASE_DOMAIN": "fruit.example", "NAMESPACE": "garden"}
    server = Server(
        directory, new_database(database), CONTROL_SCRIPTS=str(HERE / "suite"), CONTROL_SCRIPTS_CONTRACT="1", **project
    )
    server.env |= {"HOME": str(directory), "PATH": f"{HERE / 'bin'}:{server.env['PATH']}"}
    server.start()
    yield server
    server.stop()


@pytest.fixture
def name() -> str:
    return f"first-{next(numbers)}"


def commands(server: Server, name: str) -> list[str]:
    """What the scripts called to change the deployment."""
    lines = (server.directory / "commands").read_text().splitlines()
    return [line for line in lines if name in line.replace("=", " ").split() and not line.startswith("helm status")]


def test_whole_life_with_a_suite_of_the_first_contract(first, name):
    first.running(name, application={"FOO": "two words"}, deployment={"tag": "v1", "BAR": "1"})
    update = first.act(name, "update", deployment={"set": {"tag": "v2"}}, application={"set": {"B": "x=y"}})
    first.finished(accepted(update))
    first.settled(name, "Running")
    done(first, name, "archive")
    first.settled(name, "Archived")
    done(first, name, "restore")
    assert first.settled(name, "Running")["deployment_overrides"] == {"tag": "v2", "BAR": "1"}
    done(first, name, "archive")
    first.settled(name, "Archived")
    done(first, name, "cleanup")
    assert first.get(f"/deployments/{name}").status_code == 404
    assert history(first, name) == ["cleanup", "archive", "restore", "archive", "update", "create"]

    upgrade = f"helm upgrade --install --namespace garden {name} sample-chart {SET_PROJECT}"
    second = f"{upgrade} --set app.tag=v2 --set app.env.FOO=two words --set app.env.B=x=y --set app.BAR=1 --wait --timeout 300"
    assert commands(first, name) == [
        f"{upgrade} --set app.tag=v1 --set app.env.FOO=two words --set app.BAR=1 --wait --timeout 300",
        second,
        f"helm delete {name} --purge",
        second,
        f"helm delete {name} --purge",
        f"kubectl delete pvc -n garden -l app={name}",
    ]


def test_every_script_of_the_first_contract_gets_its_own_arguments(first, name):
    first.running(name, application={"FOO": "1", "BAZ": "2"}, deployment={"BAR": "3", "tag": "v1"})
    first.finished(accepted(first.act(name, "update", application={"unset": ["FOO"]})))
    first.settled(name, "Running")
    for kind, status in [("archive", "Archived"), ("restore", "Running"), ("archive", "Archived")]:
        done(first, name, kind)
        first.settled(name, status)
    done(first, name, "cleanup")
    fixed = [*PROJECT, "--name", name]
    created = [
        *fixed,
        "--tag",
        "v1",
        "--app-env-override",
        "FOO=1",
        "--app-env-override",
        "BAZ=2",
        "--deployment-override",
        "BAR=3",
    ]
    updated = [*fixed, "--tag", "v1", "--app-env-override", "BAZ=2", "--deployment-override", "BAR=3"]
    calls = {script: [call.arguments for call in first.board.calls(name, script)] for script in SCRIPTS}
    assert calls["create"] == [created, updated], "restore runs create once more: the first contract has no unarchive"
    assert calls["update"] == [updated]
    for script in ("archive", "cleanup", "check", "archive_check", "info"):
        assert calls[script] and all(arguments == fixed for arguments in calls[script]), script
    assert calls["tag_check"] == [[*fixed, "--tag", "v1"]] * 3, "before create, update and restore"
    assert [call.arguments for call in first.board.calls("_")] == [[]], (
        "init, and nothing else is not about a deployment"
    )


SCRIPTS = [path.name for path in Path(HERE / "suite").iterdir()]


def test_links_come_from_info(first, name):
    links = first.running(name, deployment={"tag": "v1"})["links"]
    assert links == [
        {"name": "app", "url": f"https://{name}.example.com"},
        {"name": "api", "url": f"https://api.{name}.example.com"},
    ]


def test_unarchive_is_run_where_the_suite_has_one_after_all(new_server, name):
    server = new_server(
        CONTROL_SCRIPTS=str(HERE / "suite"),
        CONTROL_SCRIPTS_CONTRACT="1",
        UNARCHIVE_COMMAND=str(ROOT / "tests/suite/unarchive"),
    )
    server.env |= {"HOME": str(server.directory), "PATH": f"{HERE / 'bin'}:{server.env['PATH']}"}
    server.start()
    server.running(name, deployment={"tag": "v1"})
    for kind, status in [("archive", "Archived"), ("restore", "CreatePending")]:
        done(server, name, kind)
        server.settled(name, status)
    assert [call.arguments[-2:] for call in server.board.calls(name, "unarchive")] == [["--tag", "v1"]]
    assert len(server.board.calls(name, "create")) == 1


def test_tag_that_tag_check_does_not_know_is_refused(first, name):
    answer = first.create(name, deployment={"tag": "v9"})
    assert problem(answer, 422)["detail"] == "There is no tag v9"
    assert first.get(f"/deployments/{name}").status_code == 404
    first.running(name, deployment={"tag": "v1"})
    answer = first.act(name, "update", deployment={"set": {"tag": "v9"}})
    assert problem(answer, 422)["detail"] == "There is no tag v9"
    assert first.deployment(name)["deployment_overrides"] == {"tag": "v1"}
    assert len(first.board.calls(name, "create")) == 1 and not first.board.calls(name, "update")


@pytest.mark.parametrize("overrides", [{}, {"BAR": "1"}, {"tag": None}])
def test_missing_tag_is_refused(first, name, overrides):
    answer = first.create(name, deployment=overrides)
    assert problem(answer, 422, "deployment_overrides.tag")["detail"] == "The tag is missing"
    assert first.board.calls(name) == []


def test_scripts_that_the_first_contract_lacks_are_not_missed(first):
    assert "script missing" not in first.log.read_text()
    assert first.get("/config/deployment").json() == {"items": [], "stale": False}
    assert first.get("/config/deployment/keys").json() == {"items": [], "stale": False}
