"""Signed bundles of scripts: what is asked for, what is answered, what is run."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from bundling import Client, Run, digest, pack, run_tool, second_signature, timeless, waits_at
from conftest import PATIENCE, POWERLESS, Gate, Server, eventually, numbers
from test_runs import is_alive, parent

PROXY = "from servo import servo\nwith servo() as proxy:\n    "
ECHO = "print('hello')\n"
FAIL = "raise SystemExit(3)\n"


@pytest.fixture
def client(server: Server, scratch: Path) -> Client:
    return Client(server, scratch)


@pytest.fixture
def gate(scratch: Path) -> Gate:
    return Gate(scratch / f"gate-{next(numbers)}")


def a_while() -> str:
    """Seconds to sleep that nobody else sleeps."""
    return f"1000.{uuid.uuid4().int}"


def runs_still(command: str) -> bool:
    return subprocess.run(["pgrep", "-f", command], stdout=subprocess.DEVNULL).returncode == 0


def curl(*words: str | Path) -> tuple[int, str, str]:
    """Status, Content-Type and body."""
    out = run_tool("curl", "-sS", "-w", "\n%{http_code} %{content_type}", *words)
    body, _, rest = out.rpartition("\n")
    status, _, kind = rest.partition(" ")
    return int(status), kind, body


# --- what is answered: the tables of the original, with its clients


JSON, TEXT = "application/json; charset=utf-8", "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/json", JSON),
        ("application/*", JSON),
        ("*/*", JSON),
        (None, JSON),  # curl's own is */*
        ("text/plain, */*;q=0.5", JSON),
        ("text/html, application/json;q=0.1", JSON),
        ("text/plain", TEXT),
        ("text/*", TEXT),
        ("text/html", TEXT),
        ("application/json;q=0, text/plain", TEXT),
        (";", TEXT),  # empty, says curl
        ("", TEXT),  # none at all
    ],
)
@pytest.mark.parametrize(("script", "ok"), [(ECHO, 1), (FAIL, 0)])
def test_answer_is_json_whenever_that_is_acceptable(client, accept, form, script, ok):
    archive = client.pack(a_py=script)
    header = [] if accept is None else ["-H", "Accept;" if accept == ";" else f"Accept: {accept}"]
    status, kind, body = curl(
        *header, "-F", f"tgz=@{archive}", "-H", f"X-Signature: {digest(archive, client.key, 'sha1')}", f"{client.server.url}/run/a.py"
    )  # fmt: skip
    log = ["hello"] if ok else []
    log += ["a.py ran in 0 seconds"] + ([] if ok else ["failure (a.py exited with code 3)"])
    assert kind == form
    if form == JSON:
        answer = json.loads(body)
        assert (status, answer["ok"], type(answer["ok"])) == (200, ok, int)
        assert timeless(answer["log"][1:]) == log and set(answer) == {"ok", "log"}
    else:
        assert status == (200 if ok else 412)
        assert timeless(body.split("\n")[1:]) == log


def test_recipe_of_the_original_documents_works_once_it_signs(server, client):
    script = """
        mkdir bundle && cd bundle
        echo 'print("deployed")' > deploy.py
        echo 'print(open("data.yml").read())' > test.py
        echo 'a: 1' > data.yml
        tar zcf ../upload.tgz *
        HASH=$(openssl dgst -sha1 -hmac "$SERVO_TOKEN" ../upload.tgz)
        curl -sS -X POST -F tgz=@../upload.tgz -H "X-Signature: sha1=${HASH##* }" "$URL/run/deploy.py+test.py"
    """
    directory = client.scratch / f"recipe-{next(numbers)}"
    directory.mkdir()
    said = run_tool(
        "bash",
        "-ec",
        script,
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "SERVO_TOKEN": client.key, "URL": server.url},
    )
    answer = json.loads(said)
    assert answer["ok"] == 1
    assert timeless(answer["log"][1:]) == [
        "deployed",
        "deploy.py ran in 0 seconds",
        "a: 1",
        "",
        "test.py ran in 0 seconds",
    ]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: None,
        lambda _: "",
        lambda _: "sha1=",
        lambda _: "sha256=",
        lambda _: "sha1=" + "0" * 40,
        lambda signature: signature.upper(),
        lambda signature: signature.partition("=")[2],
        lambda signature: signature.replace("sha256", "sha1"),
        lambda signature: signature.replace("sha256", "md5"),
        lambda signature: signature[:-1],
        lambda signature: signature + "0",
        lambda signature: signature + "\u00e9",
    ],
)  # fmt: skip
@pytest.mark.parametrize("scripts", ["a.py", "x%2F..%2F..%2Fa.py", "x/", "a.py+"])
def test_who_has_not_signed_is_refused_without_a_word(client, spoil, scripts):
    archive = client.pack(a_py=ECHO)
    signature = spoil(digest(archive, client.key))
    answer = client.send(
        scripts, archive, {"X-Signature": signature and signature.encode("latin-1"), "X-Var-LD-PRELOAD": "x"}
    )
    assert (answer.status_code, answer.content) == (403, b"")


def test_unkeyed_digest_and_that_of_another_key_are_no_signatures(client):
    archive = client.pack(a_py=ECHO)
    unkeyed = run_tool("openssl", "dgst", "-sha256", archive).split()[-1]
    for signature in (f"sha256={unkeyed}", digest(archive, client.key + "x"), digest(archive, "")):
        assert client.send("a.py", archive, {"X-Signature": signature}).status_code == 403


def test_what_cannot_be_a_signature_is_refused_before_the_body_is_there(server):
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        connection.sendall(
            b"POST /run/a.py HTTP/1.1\r\nHost: localhost\r\nX-Signature: x\r\nContent-Length: 9999999\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 403 ")


def test_token_that_is_gone_or_empty_signs_nothing(new_server, scratch):
    server = new_server().start()
    client = Client(server, scratch)
    named = Client(server, scratch, server.post("/tokens", {"name": "named"}).json()["token"])
    path = server.directory / "data/servo-token"
    archive = client.pack(a_py=ECHO)
    for spoil in (lambda: path.write_text("\n"), path.unlink):
        spoil()
        for key in (client.key, ""):
            assert client.send("a.py", archive, {"X-Signature": digest(archive, key)}).status_code == 403
        assert named.run(ECHO).json()["ok"] == 1


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_either_algorithm_will_do(client, algorithm):
    archive = client.pack(a_py=ECHO)
    assert client.send("a.py", archive, {"X-Signature": digest(archive, client.key, algorithm)}).json()["ok"] == 1


@pytest.mark.parametrize(
    "part", [{"data": {"tgz": "x"}}, {"files": {"other": b"x"}}, {"data": b"x"}, {}, {"json": {"tgz": 1}}]
)
def test_without_the_archive_there_is_nothing_that_could_be_signed(server, part):
    answer = server.request("POST", "/run/a.py", headers={"X-Signature": "sha1=" + "0" * 40}, **part)
    assert (answer.status_code, answer.content) == (403, b"")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/run/a.py", 405), ("PUT", "/run/a.py", 405), ("POST", "/run/", 404), ("POST", "/run", 404), ("POST", "/run/a%0Ab.py", 404)])  # fmt: skip
def test_other_methods_and_addresses(server, method, path, status):
    assert server.request(method, path, headers={"X-Signature": "x"}).status_code == status


def test_too_large_an_archive_is_refused_with_a_sentence(new_server, scratch):
    client = Client(new_server(BUNDLE_SIZE="100000").start(), scratch)
    archive = scratch / f"large-{next(numbers)}.tgz"
    archive.write_bytes(b"\0" * 100_001)
    for size in (100_001, 1_000_000):
        archive.write_bytes(b"\0" * size)
        answer = client.send("a.py", archive)
        assert answer.status_code == 413
        assert "100,000 bytes" in answer.json()["detail"]


def test_what_is_no_archive_fails_and_says_so(client):
    archive = client.scratch / f"no-{next(numbers)}.tgz"
    archive.write_bytes(b"this is no archive")
    answer = client.send("a.py", archive)
    assert answer.status_code == 200 and answer.json()["ok"] == 0
    assert answer.json()["log"][-1].startswith("failure (the archive")


# --- what is run


def test_scripts_run_in_order_until_one_fails(client):
    archive = client.pack(a_py=ECHO, b_py="import sys\nprint('to stderr', file=sys.stderr)\nsys.exit(3)\n", c_py=ECHO)
    answer = client.send("a.py+a.py%2Bb.py+c.py", archive).json()
    assert timeless(answer) == {
        "ok": 0,
        "log": [
            "$CALLBACK = ********",
            "hello",
            "a.py ran in 0 seconds",
            "hello",
            "a.py ran in 0 seconds",
            "to stderr",
            "b.py ran in 0 seconds",
            "failure (b.py exited with code 3)",
        ],
    }


def test_missing_script_ends_the_run_when_it_is_its_turn(client):
    log = client.send("a.py+missing.py+a.py", client.pack(a_py=ECHO)).json()["log"]
    assert timeless(log[1:]) == ["hello", "a.py ran in 0 seconds", "failure (missing.py is not in the bundle)"]


@pytest.mark.parametrize("scripts", ["a.py+", "+a.py", "..%2Fa.py", "%2Fetc%2Fpasswd", "x/", "x%2F.", "a.py%2B%2Ba.py"])
def test_names_that_are_no_files_of_the_bundle_fail(client, scripts):
    answer = client.send(scripts, client.pack(a_py=ECHO))
    assert answer.status_code == 200
    assert answer.json()["ok"] == 0
    assert answer.json()["log"][-1].startswith("failure (")


def test_executables_of_any_kind_run_too_and_may_lie_deeper(client):
    files = {"deep/down/run.sh": "#!/bin/bash\npwd -P; ls; octo version --json", "data": "x"}
    log = client.send("deep/down/run.sh", pack(client.scratch, files)).json()["log"]
    assert log[1].endswith("/work")
    assert log[2:4] == ["data", "deep"]
    assert json.loads(log[4])["server"]["suite"] == "suite"


def test_variables_are_in_the_environment_and_nothing_of_the_server_is(client):
    archive = client.pack(a_py="import json, os\nprint(json.dumps(dict(os.environ)))")
    headers = (
        {"X-Var-target-Env": "qa", "x-var-ZÜ".encode("latin-1"): "x"}
        if False
        else {"X-Var-target-Env": "grün".encode()}
    )
    log = client.send("a.py", archive, headers).json()["log"]
    assert log[0] == "$TARGET_ENV = grün"
    found = json.loads(log[2])
    assert found.pop("TARGET_ENV") == "grün"
    assert found.pop("HOME").startswith(str(client.server.directory))
    assert found.pop("CALLBACK") == f"{client.server.url}/callback/********"
    assert found.pop("OCTO_AUTHORIZATION_HEADER") == "Bearer ********"
    assert found.pop("OCTO_PATIENCE") == "120"
    assert found.pop("OCTOPOD_URL") == client.server.url
    assert set(found) == {"PATH", "LANG", "PYTHONPATH", "PYTHONUNBUFFERED", "CALLBACK_DIR", "LC_CTYPE"} & set(found)


@pytest.mark.parametrize(
    "name", ["LD-PRELOAD", "PATH", "PYTHONPATH", "BASH-ENV", "CALLBACK", "OCTOPOD-URL", "1A", "A.B"]
)
def test_variables_that_would_change_how_programs_are_loaded_are_refused(client, name):
    answer = client.send("a.py", client.pack(a_py=ECHO), {f"X-Var-{name}": "x"})
    assert answer.json()["ok"] == 0
    assert len(answer.json()["log"]) == 1
    assert name.replace("-", "_") in answer.json()["log"][0]


def test_values_of_secret_variables_and_the_key_are_never_shown(client):
    text = f"import os\nprint(os.environ['DB_PASSWORD'], os.environ['SHORT_TOKEN'], {client.key!r})"
    log = client.run(text, X_Var_DB_Password="hunter22", X_Var_Short_Token="abc").json()["log"]
    assert sorted(log[:3]) == ["$CALLBACK = ********", "$DB_PASSWORD = ********", "$SHORT_TOKEN = ********"]
    assert log[3] == "******** abc ********"  # three characters are not looked for


def test_encrypted_files_are_decrypted_with_the_key(client):
    files: dict[str, str | bytes] = {"a.py": "print(open('conf/secret.yml').read())"}
    sealed = run_tool(
        "openssl", "enc", "-e", "-base64", "-aes-256-cbc", "-md", "md5", "-k", client.key, input="password: x\n"
    )  # fmt: skip
    log = client.send("a.py", pack(client.scratch, files | {"conf/secret.yml.aes": sealed})).json()["log"]
    assert log[1:4] == ["decrypted conf/secret.yml.aes", "password: x", ""]
    answer = client.send("a.py", pack(client.scratch, files | {"conf/secret.yml.aes": "bm9uc2Vuc2U=\n"})).json()
    assert answer["ok"] == 0
    assert answer["log"][-1].startswith("failure (cannot decrypt conf/secret.yml.aes")


def test_output_is_bounded(new_server, scratch):
    client = Client(new_server(OUTPUT_LIMIT="20000").start(), scratch)
    answer = client.run("for i in range(100000): print(i)").json()
    assert answer["ok"] == 1
    assert answer["log"][1] == "0" and timeless(answer["log"][-1]) == "a.py ran in 0 seconds"
    assert any("bytes left out" in line for line in answer["log"])
    assert len(answer["log"]) < 10000


def test_home_of_a_run_is_always_removed(client):
    for text in (ECHO, FAIL, "import os\nos.chmod('.', 0)", "import os\nos.mkdir('x', 0o000)"):
        client.run(text)
    assert not list((client.server.directory / "data/bundles").iterdir())


def test_run_that_takes_too_long_is_stopped_with_all_that_it_started(new_server, scratch):
    client = Client(new_server(BUNDLE_TIMEOUT="1.5").start(), scratch)
    seconds = a_while()
    answer = client.run(f"import subprocess\nprint('begun', flush=True)\nsubprocess.run(['sleep', '{seconds}'])").json()
    assert answer["ok"] == 0
    assert answer["log"][1] == "begun"
    assert answer["log"][-1].startswith("failure (it took longer than")
    assert not runs_still(f"sleep {seconds}")


# --- calling back


def test_scripts_act_with_the_rights_of_their_token_and_the_history_says_so(client, name):
    answer = client.run(f"{PROXY}proxy('create -n {name} --wait -e GREETING=\"good morning\"')\n")
    assert answer.json()["ok"] == 1, answer.text
    run = answer.headers["Location"].rpartition("/")[2]
    [action] = client.server.get(f"/deployments/{name}/actions").json()["items"]
    assert action["requested_by"] == f"servo (run {run})"
    assert action["application_overrides"] == {"GREETING": "good morning"}


def test_bearer_is_good_while_the_run_lasts_only(client, gate):
    text = f"import os\nopen(os.environ['CALLBACK_DIR'] + '/../../bearer', 'w').write(os.environ['OCTO_AUTHORIZATION_HEADER'])\n{waits_at(gate)}"
    run = client.start(text)
    gate.reached()
    path = client.server.directory / "data/bundles/bearer"
    bearer = {"Authorization": path.read_text()}
    path.unlink()
    assert client.server.get("/project", headers=bearer).status_code == 200
    for method, path in (
        ("GET", "/tokens"),
        ("POST", "/tokens"),
        ("DELETE", "/tokens/x"),
        ("POST", "/tokens/x/rotate"),
    ):
        assert client.server.request(method, f"/api/v1{path}", headers=bearer, json={}).status_code == 403
    gate.open()
    assert run.ended()["state"] == "succeeded"
    assert client.server.get("/project", headers=bearer).status_code == 401


@pytest.mark.timeout(10 * PATIENCE)  # fifty interpreters on two cores
def test_runs_that_call_back_never_wait_for_each_other(new_server, scratch, name):
    """Fifty at once, each wants an action done, and the server does one at a time."""
    server = new_server(MAX_RUNNING_BUNDLES="50", MAX_RUNNING_ACTIONS="1").start()
    client = Client(server, scratch)
    text = (
        f"import os\n{PROXY}proxy('create -n %s --wait' % os.environ['NAME'])\n    print(len(proxy('list')['items']))\n"
    )
    archive = client.pack(a_py=text)
    headers = {"Prefer": "respond-async"}
    runs = [Run(server, client.send("a.py", archive, headers | {"X-Var-Name": f"many-{n}"}).json()) for n in range(50)]
    for run in runs:
        assert run.ended(5 * PATIENCE)["state"] == "succeeded", run.log


def test_runs_hold_up_nothing_that_deployments_do(new_server, scratch, name, gate):
    server = new_server(ARCHIVE_RETENTION="0.2").start()
    run = Client(server, scratch).start(waits_at(gate))
    gate.reached()
    server.running(name)
    assert server.act(name, "archive").status_code == 202
    eventually(lambda: server.get(f"/deployments/{name}").status_code == 404, "the retention")
    gate.open()
    assert run.ended()["state"] == "succeeded"


# --- limits


def test_more_than_may_run_at_a_time_are_told_to_come_again(new_server, scratch, gate):
    client = Client(new_server(MAX_RUNNING_BUNDLES="2").start(), scratch)
    runs = [client.start(waits_at(gate)) for _ in range(2)]
    answer = client.run(ECHO)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert "2 bundles are running" in answer.json()["detail"]
    assert answer.json()["ok"] == 0 and answer.json()["log"][0].startswith("failure (2 bundles are running")
    gate.open()
    for run in runs:
        assert run.ended()["state"] == "succeeded"
    assert eventually(lambda: client.run(ECHO).status_code == 200)


# --- long runs


def test_run_is_followed_with_its_ticket_and_nothing_else_is_done_with_it(client, gate, name):
    run = client.start(f"print('begun')\n{waits_at(gate)}print('done')")
    gate.reached()
    assert (
        run.ask().json() | {"state": "running", "kind": "run", "deployment": None, "scripts": "a.py"}
        == run.ask().json()
    )
    stream = run.ask("/logs", params={"stream": "stdout", "follow": "true"}, stream=True)
    lines = stream.iter_lines(chunk_size=1, decode_unicode=True)
    assert list(itertools.islice(lines, 2)) == ["$CALLBACK = ********", "begun"]
    gate.open()
    assert timeless(list(lines)) == ["done", "a.py ran in 0 seconds"]
    assert run.ended()["state"] == "succeeded"
    other = client.start(ECHO)
    for path in ("/project", "/deployments", f"/actions/{other.id}", f"/actions/{other.id}/logs", "/actions"):
        answer = client.server.get(path, headers=run.headers)
        assert answer.status_code == 403
        assert f"run {run.id} only" in answer.json()["detail"]
    other.ended()


def test_answer_to_who_does_not_want_to_wait(client):
    answer = client.send("a.py", client.pack(a_py=ECHO), {"Prefer": "respond-async, wait=10"})
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert answer.headers["Location"] == answer.json()["url"] == f"/api/v1/actions/{answer.json()['run']}"
    Run(client.server, answer.json()).ended()


def test_run_is_cancelled_with_all_that_it_started(client, gate):
    seconds = a_while()
    run = client.start(f"import subprocess\nsubprocess.Popen(['sleep', '{seconds}'])\n{waits_at(gate)}")
    gate.reached()
    assert run.ask("/cancel", "POST").status_code == 202
    action = run.ended()
    assert (action["state"], action["reason"]) == ("cancelled", "Cancelled by servo")
    assert not runs_still(f"sleep {seconds}")
    assert not (client.server.directory / f"data/bundles/{run.id}").exists()
    answer = run.ask("/cancel", "POST")
    assert answer.status_code == 409


LEAVES_ITS_GROUP = """
import os, signal, subprocess
signal.signal(signal.SIGTERM, signal.{heeds})
child = subprocess.Popen(['sleep', '1000'], start_new_session=True)
print(os.getppid(), os.getpid(), child.pid, flush=True)
"""


def begun(client: Client, gate: Gate, heeds: str) -> tuple[Run, list[int]]:
    """A run whose script waits, and its processes: driver, script, and a child of that in a session of its own."""
    run = client.start(f"{LEAVES_ITS_GROUP.format(heeds=heeds)}{waits_at(gate)}")
    gate.reached()
    line = eventually(lambda: len(lines := run.log.split("\n")) > 2 and lines[1], "the line with the processes")
    return run, [int(pid) for pid in line.split()]


def test_nothing_that_ignores_its_end_survives_it(client, gate):
    run, pids = begun(client, gate, "SIG_IGN")
    run.ask("/cancel", "POST")
    assert run.ended()["state"] == "cancelled"
    assert not [pid for pid in pids if is_alive(pid)]


def test_nothing_survives_a_driver_that_the_keeper_has_to_kill(client, gate):
    run, pids = begun(client, gate, "SIG_IGN")
    os.kill(pids[0], signal.SIGSTOP)
    run.ask("/cancel", "POST")
    assert run.ended()["state"] == "cancelled"
    assert not [pid for pid in pids if is_alive(pid)]


def test_nothing_survives_a_driver_that_somebody_kills(client, gate):
    run, pids = begun(client, gate, "SIG_IGN")
    os.kill(pids[0], signal.SIGKILL)
    assert run.ended()["state"] == "lost"
    assert not [pid for pid in pids if is_alive(pid)]


def test_nothing_survives_its_keeper_even_if_there_is_no_server(new_server, scratch, gate):
    server = new_server(KILL_GRACE="60").start()
    run, pids = begun(Client(server, scratch), gate, "SIG_DFL")
    server.stop(signal.SIGKILL)
    os.kill(parent(pids[0]), signal.SIGKILL)
    eventually(lambda: not [pid for pid in pids if is_alive(pid)], "the end of all processes")
    assert not list((server.directory / "data/bundles").iterdir())
    server.start()
    assert server.finished(run.id)["state"] == "lost"


def test_client_that_goes_away_does_not_stop_its_run(client, gate, name):
    archive = client.pack(a_py=f"{waits_at(gate)}{PROXY}proxy('create -n {name}')\n")
    command = ["curl", "-sS", "-F", f"tgz=@{archive}", "-H", f"X-Signature: {digest(archive, client.key)}"]
    process = subprocess.Popen([*command, f"{client.server.url}/run/a.py"])
    gate.reached()
    process.kill()
    process.wait()
    gate.open()
    eventually(lambda: client.server.get(f"/deployments/{name}").ok, "what the script creates")
    client.server.settled(name, "Running")


def test_run_outlives_its_server(new_server, scratch, gate):
    server = new_server().start()
    client = Client(server, scratch)
    run = client.start(f"print('begun')\n{waits_at(gate)}print('done')")
    gate.reached()
    server.process.kill()
    server.process.wait()
    server.start()
    assert run.ask().json()["state"] == "running"
    gate.open()
    assert run.ended()["state"] == "succeeded"
    assert timeless(run.log.split("\n")[1:4]) == ["begun", "done", "a.py ran in 0 seconds"]
    eventually(lambda: not list((server.directory / "data/bundles").iterdir()))


def test_who_waits_is_told_where_to_look_when_the_server_stops(new_server, scratch, gate):
    server = new_server().start()
    client = Client(server, scratch)
    archive = client.pack(a_py=waits_at(gate))
    command = ["curl", "-sS", "--fail-with-body", "-F", f"tgz=@{archive}"]
    command += ["-H", f"X-Signature: {digest(archive, client.key)}", f"{server.url}/run/a.py"]
    asked = [command, [*command, "-H", "Accept: text/plain"]]
    waiting = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for words in asked]
    for _ in waiting:
        gate.reached()
    eventually(lambda: len(server.get("/actions", params={"state": "running"}).json()["items"]) == 2)
    server.stop()
    said = [process.communicate(timeout=PATIENCE)[0].decode() for process in waiting]
    assert [process.returncode for process in waiting] == [22, 22], "nobody is told that it went well"
    answer = json.loads(said[0])
    assert answer["ok"] == 0 and f"run {answer['run']} goes on" in answer["log"][-1]
    assert re.fullmatch(r"failure \(the server stops; run \d goes on, see /api/v1/actions/\d\)", said[1])
    server.start()
    gate.open()
    assert Run(server, answer).ended()["state"] == "succeeded"


def test_upload_that_was_cut_off_is_gone_with_the_next_start(new_server, scratch):
    server = new_server().start()
    directory = server.directory / "data/bundles"
    server.process.kill()
    dead = server.process.pid
    server.process.wait()
    directory.mkdir(exist_ok=True)
    for pid in (dead, 1):
        (directory / f"upload-{pid}-abc").touch()
    server.start()
    eventually(lambda: [path.name for path in directory.iterdir()] == ["upload-1-abc"])


def test_lost_run_is_not_repeated(new_server, scratch, gate):
    """Only its author knows whether it may be."""
    server = new_server().start()
    run = Client(server, scratch).start(f"import os\nprint(os.getppid(), flush=True)\n{waits_at(gate)}")
    gate.reached()
    driver = run.log.split("\n")[1]
    run_tool("kill", "-9", driver)
    action = run.ended()
    assert (action["state"], action["attempts"]) == ("lost", 1)
    assert not (server.directory / f"data/bundles/{run.id}").exists()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # makes no difference
def test_home_that_nobody_may_look_into_is_removed_all_the_same(new_server, scratch, gate):
    server = new_server()
    if os.geteuid() == 0:
        server.prefix = POWERLESS
    homes = server.directory / "data/bundles"
    (left := homes / "999/work/closed").mkdir(parents=True)
    (left / "file").touch()
    left.chmod(0)
    server.start()
    eventually(lambda: not list(homes.iterdir()), "what was left to be swept")

    closed = "import os\nos.mkdir('x')\nopen('x/file', 'x')\nos.chmod('x', 0)\nprint(os.getppid(), flush=True)\n"
    run = Client(server, scratch).start(f"{closed}{waits_at(gate)}")
    gate.reached()
    run_tool("kill", "-9", run.log.split("\n")[1])
    assert run.ended()["state"] == "lost"
    assert not list(homes.iterdir())


# --- who sees it


def test_runs_are_in_the_history_of_admins_only(new_server, scratch):
    server = new_server(UI_BASIC_AUTH="rita:secret", UI_ADMIN_BASIC_AUTH="ada:secret").start()
    client = Client(server, scratch)
    run = client.start(ECHO)
    run.ended()
    rita, ada = {"auth": ("rita", "secret")}, {"auth": ("ada", "secret")}
    assert [item["id"] for item in server.get("/actions", **ada).json()["items"]] == [run.id]
    assert server.get("/actions", **rita).json()["items"] == []
    for path in ("", "/logs"):
        assert server.get(f"/actions/{run.id}{path}", **ada).status_code == 200
    assert server.get(f"/actions/{run.id}", **rita).status_code == 404
    assert server.get(f"/actions/{run.id}/logs", **rita).status_code == 403
    assert server.request("POST", f"/api/v1/actions/{run.id}/cancel", **rita).status_code == 404
    assert server.request("POST", f"/actions/{run.id}/cancel", **rita).status_code == 403
    for who, seen in ((ada, True), (rita, False)):
        assert ("a.py" in server.request("GET", "/actions", **who).text) == seen
    assert "a.py ran in 0 seconds" in timeless(server.request("GET", f"/actions/{run.id}", **ada).text)


# --- the second signature


@pytest.fixture(scope="module")
def strict(new_database: Callable[[str], str], scratch: Path) -> Iterator[Client]:
    """Of a server that wants the second signature, and SHA-256 only."""
    directory = scratch / f"server-strict-{next(numbers)}"
    directory.mkdir()
    server = Server(directory, new_database("sqlite"), SERVO_REQUIRE_V2="true", SERVO_SHA1="false").start()
    yield Client(server, scratch)
    server.stop()


FIRST = {"X-Var-Target-Env": "qa"}


def signed_twice(client: Client, archive: Path, **changes: Any) -> dict[str, str]:
    values = {"path": "/run/a.py", "moment": time.time(), "nonce": uuid.uuid4().hex} | changes
    return second_signature(values["path"], archive, client.key, values["moment"], values["nonce"], "TARGET_ENV=qa")


def test_second_signature_is_good_for_one_request(strict):
    archive = strict.pack(a_py=ECHO)
    headers = {"X-Var-Target-Env": "qa"} | signed_twice(strict, archive)
    assert strict.send("a.py", archive, headers).json()["ok"] == 1
    again = strict.send("a.py", archive, headers)
    assert again.status_code == 403
    assert "used before" in again.json()["detail"]


def test_request_that_is_told_to_come_again_may(new_server, scratch, gate):
    client = Client(new_server(MAX_RUNNING_BUNDLES="1", SERVO_REQUIRE_V2="true").start(), scratch)
    archive, waiting = client.pack(a_py=ECHO), client.pack(a_py=waits_at(gate))
    assert client.send("a.py", waiting, FIRST | signed_twice(client, waiting) | {"Prefer": "respond-async"}).ok
    gate.reached()
    headers = FIRST | signed_twice(client, archive)
    assert client.send("a.py", archive, headers).status_code == 429
    gate.open()
    eventually(
        lambda: (answer := client.send("a.py", archive, headers)).status_code == 200 and answer.json()["ok"] == 1
    )


@pytest.mark.parametrize("timestamp", ["9" * 400, "9" * 5000, "-1", "1e9", "soon"])
def test_odd_times_are_refused_with_a_sentence(strict, timestamp):
    archive = strict.pack(a_py=ECHO)
    headers = second_signature("/run/a.py", archive, strict.key, timestamp, uuid.uuid4().hex, "TARGET_ENV=qa")
    answer = strict.send("a.py", archive, FIRST | {name: value.encode() for name, value in headers.items()})
    assert answer.status_code == 403
    assert "X-Timestamp" in answer.json()["detail"]


@pytest.mark.parametrize("seconds", [-400, 400, -(10**12)])
def test_second_signature_is_good_for_five_minutes(strict, seconds):
    archive = strict.pack(a_py=ECHO)
    headers = {"X-Var-Target-Env": "qa"} | signed_twice(strict, archive, moment=max(0, time.time() + seconds))
    answer = strict.send("a.py", archive, headers)
    assert answer.status_code == 403
    assert "X-Timestamp" in answer.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Var-Target-Env": "production"},
        {"X-Var-Target-Env": "qa", "X-Var-More": "x"},
        {"X-Var-Target-Env": "qa", "X-Nonce": "0" * 16},
        {"X-Var-Target-Env": "qa", "X-Timestamp": str(int(time.time()) + 1)},
        {"X-Var-Target-Env": "qa", "X-Signature-V2": None},
        {"X-Var-Target-Env": "qa", "X-Signature-V2": "sha256=" + "0" * 64},
    ],
)
def test_second_signature_covers_all_that_is_asked_for(strict, headers):
    archive = strict.pack(a_py=ECHO)
    answer = strict.send("a.py", archive, signed_twice(strict, archive) | headers)
    assert (answer.status_code, answer.content) == (403, b"")


def test_second_signature_is_for_these_scripts_and_this_archive(strict):
    archive, other = strict.pack(a_py=ECHO, b_py=ECHO), strict.pack(a_py=FAIL)
    headers = {"X-Var-Target-Env": "qa"} | signed_twice(strict, archive)
    assert strict.send("a.py+b.py", archive, headers).status_code == 403
    assert strict.send("a.py", other, headers).status_code == 403
    assert strict.send("a.py", archive, headers).json()["ok"] == 1


def test_first_signature_alone_or_by_sha1_will_not_do(strict):
    archive = strict.pack(a_py=ECHO)
    assert strict.send("a.py", archive).status_code == 403
    headers = {"X-Var-Target-Env": "qa"} | signed_twice(strict, archive)
    assert (
        strict.send("a.py", archive, headers | {"X-Signature": digest(archive, strict.key, "sha1")}).status_code == 403
    )


@pytest.mark.parametrize(("nonce", "moment"), [("short", None), ("x" * 65, None), ("not/allowed+here=", None)])
def test_odd_nonces_are_refused_with_a_sentence(strict, nonce, moment):
    archive = strict.pack(a_py=ECHO)
    answer = strict.send("a.py", archive, {"X-Var-Target-Env": "qa"} | signed_twice(strict, archive, nonce=nonce))
    assert answer.status_code == 403
    assert "X-Nonce" in answer.json()["detail"]


# --- callbacks

CALLED_BACK = """
import os, pathlib
print('at', os.environ['CALLBACK'].rpartition('/')[2][:0], flush=True)
pathlib.Path({note!r}).write_text(os.environ['CALLBACK'])
open({gate!r}).readline()
for path in sorted(pathlib.Path(os.environ['CALLBACK_DIR']).iterdir()):
    print(path.name, path.read_bytes())
"""


def test_files_are_sent_to_a_run_that_is_not_over(client, gate):
    note = client.scratch / f"note-{next(numbers)}"
    run = client.start(CALLED_BACK.format(note=str(note), gate=str(gate.path)))
    gate.reached()
    url = note.read_text()
    assert url.startswith(client.server.url + "/callback/")
    assert len(url.rpartition("/")[2]) >= 43  # 256 bits
    sent: list[tuple[str, Any, int]] = [
        ("", b"raw \0 bytes", 200),
        ("/result.json", {"form": "kept"}, 200),
        ("/result.json", b"replaced", 200),
        ("/.hidden", b"x", 422),
        ("/" + "x" * 101, b"x", 422),
        ("/a%20b", b"x", 422),
        ("/a%2Fb", b"x", 404),
        ("/large", b"x" * (16 * 2**20 + 1), 413),
    ]
    for path, data, status in sent:
        assert requests.post(url + path, data=data, timeout=PATIENCE).status_code == status, path
    wrong = requests.post(url[:-1] + ("a" if url[-1] != "a" else "b"), timeout=PATIENCE)
    assert (wrong.status_code, wrong.content) == (404, b"")
    gate.open()
    assert run.ended()["state"] == "succeeded"
    assert run.log.split("\n")[2:4] == ["callback.raw b'raw \\x00 bytes'", "result.json b'replaced'"]
    over = requests.post(url, data=b"x", timeout=PATIENCE)
    assert (over.status_code, over.content) == (404, b"")
    assert url.rpartition("/")[2] not in client.server.log.read_text()
