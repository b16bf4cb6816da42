"""The pipeline of examples/cd, run as a CI job runs it: against a real server with the suite `local`."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, SERVO_TOKEN, Server, clean_environment

PIPELINE = ROOT / "examples/cd/pipeline.sh"
PASSWORD = 'it\'s a "secret" & 100% $HOME'


@pytest.fixture
def pipeline(local_server: Server, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the pipeline on a machine that has `octo`."""
    octo = tmp_path / "octo"
    octo.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/cli.py" "$@"\n')
    octo.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    own = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TMPDIR": str(tmp_path / "tmp"), "BUILD_TAG": "build 7"}
    own |= {"OCTOPOD_URL": local_server.url, "SERVO_TOKEN": SERVO_TOKEN, "APP_PASSWORD": PASSWORD, "NO_PROXY": "*"}

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PIPELINE, *arguments], env=clean_environment() | own | environment, cwd=tmp_path, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=100,
        )  # fmt: skip

    return run


both_ways = pytest.mark.parametrize("way", ["octo", "curl"])


def history(server: Server, name: str) -> list[tuple[str, str, str]]:
    """Kind, state and requester of a deployment's actions, oldest first."""
    items = server.get("/actions", params={"deployment": name}).json()["items"]
    return [(item["kind"], item["state"], item["requested_by"].split(" ")[0]) for item in reversed(items)]


@both_ways
def test_pipeline_deploys_tests_and_takes_down(
    way: str, pipeline: Callable[..., subprocess.CompletedProcess[str]], local_server: Server, name: str, tmp_path: Path
) -> None:
    done = pipeline(way, name)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    expected = [
        f"$NAME = {name}", "decrypted settings.env.aes", f"create of {name}: action ", "deploy.py ran in ",
        "GET http://localhost:", "test.py ran in ", f'[passed] "cleanup -n {name} --wait"', "teardown.py ran in ",
    ]  # fmt: skip
    found = [next(i for i, line in enumerate(lines) if line.startswith(start)) for start in expected]
    assert found == sorted(found), done.stdout
    kinds = ("create", "archive", "cleanup")
    assert history(local_server, name) == [(kind, "succeeded", "servo") for kind in kinds]
    assert local_server.get(f"/deployments/{name}").status_code == 404
    assert PASSWORD not in done.stdout + done.stderr
    assert list((tmp_path / "tmp").iterdir()) == [], "the settings are not left lying about"


@both_ways
def test_deployment_that_is_there_already_is_updated(
    way: str, pipeline: Callable[..., subprocess.CompletedProcess[str]], local_server: Server, name: str
) -> None:
    local_server.running(name)
    done = pipeline(way, name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [kind for kind, *_ in history(local_server, name)] == ["create", "update", "archive", "cleanup"]


@both_ways
def test_failing_test_fails_the_pipeline_and_is_cleaned_up_after(
    way: str, pipeline: Callable[..., subprocess.CompletedProcess[str]], local_server: Server, name: str
) -> None:
    done = pipeline(way, name, BUILD_TAG="<b>")  # the page shows it escaped, so it is not what test.py looks for
    assert done.returncode != 0
    assert "does not say 'Hello from <b>'" in done.stdout
    assert "failure (test.py exited with code 1)" in done.stdout
    assert [kind for kind, *_ in history(local_server, name)] == ["create", "archive", "cleanup"]


@both_ways
def test_deployment_that_cannot_be_created_fails_the_pipeline(
    way: str, pipeline: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = pipeline(way, "No Name")
    assert done.returncode != 0
    assert "failure (deploy.py exited with code 1)" in done.stdout
    assert "there is no No Name" in done.stdout
    assert "test.py ran" not in done.stdout


@both_ways
def test_wrong_token_fails_the_pipeline(
    way: str, pipeline: Callable[..., subprocess.CompletedProcess[str]], name: str
) -> None:
    done = pipeline(way, name, SERVO_TOKEN="another")
    assert done.returncode == {"octo": 4, "curl": 22}[way]
    assert "ran in" not in done.stdout


def test_pipeline_says_what_it_needs(pipeline: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert "octo or curl, and not ftp" in pipeline("ftp", "orange").stderr
    assert "the name of the deployment" in pipeline("octo").stderr
    assert "APP_PASSWORD" in pipeline("octo", "orange", APP_PASSWORD="").stderr


def test_scripts_and_pipeline_hold_no_secret() -> None:
    files = subprocess.run(
        ["git", "ls-files", "examples"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not [file for file in files if file.endswith((".env", ".aes", ".tgz"))]
