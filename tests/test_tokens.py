"""Servo tokens: made, shown once, limited, exchanged, removed."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from answers import problem
from bundling import Client
from conftest import Server, numbers

ECHO = "print('hello')\n"
PROXY = "from servo import servo\nwith servo() as proxy:\n    "


@pytest.fixture(scope="module")
def server(new_database: Callable[[str], str], scratch: Path) -> Iterator[Server]:
    """A server with logins of both roles. What tokens may does not depend on the database."""
    directory = scratch / f"server-tokens-{next(numbers)}"
    directory.mkdir()
    logins = {"UI_BASIC_AUTH": "rita:secret", "UI_ADMIN_BASIC_AUTH": "ada:secret"}
    server = Server(directory, new_database("sqlite"), **logins).start()
    server.http.auth = ("ada", "secret")
    yield server
    server.stop()


@pytest.fixture
def new_client(server: Server, scratch: Path) -> Callable[..., Client]:
    """Make a token with these limits, and be who has it."""

    def new(**limits: Any) -> Client:
        answer = server.post("/tokens", {"name": f"token-{next(numbers)}", **limits})
        assert answer.status_code == 201, answer.text
        client = Client(server, scratch, answer.json()["token"])
        client.token = answer.json()["name"]
        return client

    return new


def tokens(server: Server, name: str) -> list[dict[str, Any]]:
    return [token for token in server.get("/tokens").json()["items"] if token["name"] == name]


def test_secret_is_shown_once(server, new_client):
    client = new_client(role="admin", scripts=["deploy*"], deployments=["review-*"])
    [token] = tokens(server, client.token)
    assert token.pop("created_at")
    assert token == {
        "name": client.token,
        "role": "admin",
        "scripts": ["deploy*"],
        "deployments": ["review-*"],
        "created_by": "ada",
        "expires_at": None,
        "last_used_at": None,
    }
    assert len(client.key) >= 43  # 256 bits
    for path in ("/tokens", "/actions", "/project"):
        assert client.key not in server.get(path).text
    assert client.key not in server.log.read_text()


def test_use_is_noted(server, new_client):
    client = new_client()
    assert client.run(ECHO).json()["ok"] == 1
    [token] = tokens(server, client.token)
    assert token["last_used_at"] > token["created_at"]


@pytest.mark.parametrize(
    ("limits", "script", "ok"),
    [
        ({"scripts": ["a.py"]}, "a.py", True),
        ({"scripts": ["b.py", "a.*"]}, "a.py", True),
        ({"scripts": ["a.*"]}, "a.py+b.py", False),
        ({"scripts": ["A.PY"]}, "a.py", False),
        ({"scripts": []}, "a.py+b.py", True),
    ],
)
def test_token_is_for_its_scripts(new_client, limits, script, ok):
    client = new_client(**limits)
    answer = client.send(script, client.pack(a_py=ECHO, b_py=ECHO)).json()
    assert answer["ok"] == ok
    if not ok:
        [line] = answer["log"]
        assert line.startswith(f"failure (the token {client.token} may run ")


def test_token_is_for_its_deployments(server, new_client):
    number = next(numbers)
    client = new_client(deployments=[f"review-{number}-*", "other"])
    mine, others = f"review-{number}-a", f"prod-{number}"
    server.running(others)
    for command in (f"create -n {mine} --wait", f"archive -n {mine} --wait", f"info -n {others}", "list"):
        assert client.run(f"{PROXY}proxy('{command}')").json()["ok"] == 1, command
    for command in (f"create -n prod-{number}x", f"update -n {others} -e A=b", f"archive -n {others}"):
        log = client.run(f"{PROXY}proxy('{command}')").json()["log"]
        assert f"may change deployments named review-{number}-* or other only" in "\n".join(log), command
    assert server.deployment(others)["status"] == "Running"


def test_cancelling_is_changing(server, new_client):
    name = f"held-{next(numbers)}"
    gate = server.board.hold(name, "create")
    action_id = server.create(name).json()["action"]["id"]
    gate.reached()
    client = new_client(deployments=["review-*"], role="admin")
    log = client.run(f"{PROXY}proxy('cancel -a {action_id}')").json()["log"]
    assert "may change deployments named review-* only" in "\n".join(log)
    gate.open()
    server.settled(name, "Running")


@pytest.mark.parametrize(("role", "ok"), [("user", 0), ("admin", 1)])
def test_scripts_have_the_role_of_the_token(server, new_client, role, ok):
    name = f"role-{next(numbers)}"
    server.running(name)
    answer = new_client(role=role).run(f"{PROXY}proxy('delete -n {name}')").json()
    assert answer["ok"] == ok, answer
    assert ok or "needs the admin role" in "\n".join(answer["log"])


def test_token_is_exchanged_while_the_old_secret_is_still_good(server, new_client):
    old = new_client(scripts=["a.py"])
    answer = server.post(f"/tokens/{old.token}/rotate", {"overlap": 3600})
    new = Client(server, old.scratch, answer.json()["token"])
    assert new.key != old.key
    assert answer.json()["scripts"] == ["a.py"]
    for client in (old, new):
        assert client.run(ECHO).json()["ok"] == 1
    newest, oldest = tokens(server, old.token)
    assert newest["expires_at"] is None and oldest["expires_at"]
    server.post(f"/tokens/{old.token}/rotate", {"overlap": 0})
    for client in (old, new):
        assert client.run(ECHO).status_code == 403
    assert len(tokens(server, old.token)) == 1


def test_removed_token_is_good_for_nothing(server, new_client):
    client = new_client()
    server.post(f"/tokens/{client.token}/rotate", {})
    assert server.request("DELETE", f"/api/v1/tokens/{client.token}").status_code == 204
    assert client.run(ECHO).status_code == 403
    assert tokens(server, client.token) == []
    problem(server.request("DELETE", f"/api/v1/tokens/{client.token}"), 404)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"name": "servo"}, 409, "name"),
        ({"name": "taken"}, 409, "name"),
        ({"name": "Capital"}, 422, "name"),
        ({"name": "x" * 33}, 422, "name"),
        ({"name": ""}, 422, "name"),
        ({"name": "ok", "scripts": ["a b"]}, 422, "scripts"),
        ({"name": "ok", "scripts": [""]}, 422, "scripts"),
        ({"name": "ok", "deployments": ["a"] * 51}, 422, "deployments"),
        ({"name": "ok", "deployments": ["é"]}, 422, "deployments"),
        ({"name": "ok", "role": "owner"}, 422, "role"),
        ({"name": "ok", "rights": "all"}, 422, "rights"),
        ({}, 422, "name"),
    ],
)
def test_token_that_cannot_be_made_is_refused_with_a_sentence(server, body, status, field):
    server.post("/tokens", {"name": "taken"})
    problem(server.post("/tokens", body), status, field)


@pytest.mark.parametrize("overlap", [-1, 1e9, "soon", None])
def test_overlap_that_makes_no_sense_is_refused(server, new_client, overlap):
    problem(server.post(f"/tokens/{new_client().token}/rotate", {"overlap": overlap}), 422, "overlap")


@pytest.mark.parametrize(("method", "path"), [("POST", "/servo/rotate"), ("DELETE", "/servo"), ("DELETE", "/none")])
def test_token_of_the_settings_is_not_changed_here(server, method, path):
    found = problem(server.request(method, f"/api/v1/tokens{path}", json={} if method == "POST" else None), 404)
    assert ("OCTOPOD_SERVO_TOKEN" in found["detail"]) == ("servo" in path)


def test_tokens_are_for_admins(server):
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/x/rotate"), ("DELETE", "/x")):
        answer = requests.request(
            method, f"{server.url}/api/v1/tokens{path}", json={}, auth=("rita", "secret"), timeout=30
        )
        assert answer.status_code == 403


def test_token_of_the_settings_is_made_once_and_readable_by_its_owner_only(server):
    path = server.directory / "data/servo-token"
    before = path.read_text()
    assert len(before.strip()) >= 43
    assert os.stat(path).st_mode & 0o777 == 0o600
    server.stop()
    server.start()
    server.http.auth = ("ada", "secret")
    assert path.read_text() == before


def test_token_may_be_a_setting(new_server, scratch):
    server = new_server(SERVO_TOKEN="edAZR8atfOahd7tfPnVo3xpJX+ks6wsV").start()
    assert Client(server, scratch).run(ECHO).json()["ok"] == 1
    assert not (server.directory / "data/servo-token").exists()
    assert Client(server, scratch, "other").run(ECHO).status_code == 403
