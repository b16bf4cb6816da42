"""What becomes of an action whose server is gone: one test per state it can be left in (the table in `Worker.recover`).

Each enters by HTTP and holds a script at a gate until the server has been killed. Where a state lasts for microseconds
only, the row in the database is made to look like it while no server runs.
"""

import itertools
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import requests
from conftest import PATIENCE, ROOT, Server, eventually, free_port, numbers

from tests.faults.harness import Gunicorn, Postgres, kill

PICKED_UP_WITHIN = 5.0  # seconds, by the next server process


def sql(server: Server, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """What the server's own database says."""
    url = server.env["OCTOPOD_DATABASE_URL"]
    if url.startswith("sqlite:"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
    else:
        connection = psycopg2.connect(url)
    try:
        cursor = connection.cursor()
        cursor.execute(statement if not url.startswith("sqlite:") else statement.replace("%s", "?"), values)
        rows = cursor.fetchall() if cursor.description else []
        connection.commit()
        return rows
    finally:
        connection.close()


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def kill_server(server: Server) -> None:
    server.stop(signal.SIGKILL)


def keeper_of(server: Server, action_id: int) -> int:
    """The keeper of a run, as soon as it is stored."""
    return eventually(lambda: sql(server, "select keeper_pid from action where id = %s", action_id)[0][0], "a keeper")


def kill_keeper(server: Server, action_id: int) -> None:
    pid = keeper_of(server, action_id)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(pid), "the end of the keeper")


def kill_script(server: Server, name: str, script: str) -> None:
    pid = server.board.wait_for_call(name, script).pid
    os.killpg(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(pid), "the end of the script")


def held(server: Server, name: str, then: str = "") -> tuple[int, Any]:
    """The action of a creation whose script waits at the gate."""
    gate = server.board.hold(name, "create", then)
    action = server.create(name).json()["action"]
    server.board.wait_for_call(name, "create")
    return action["id"], gate


def unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def assert_done_once(server: Server, name: str, action_id: int, script: str = "create") -> dict[str, Any]:
    action = server.finished(action_id)
    assert (action["state"], action["attempts"]) == ("succeeded", 1), action
    assert len(server.board.calls(name, script)) == 1
    return action


@pytest.fixture
def a(new_server: Callable[..., Server]) -> Server:
    """A server of one's own."""
    return new_server().start()


# --- one test per state ---


def test_queued_action_is_run_by_the_next_server(new_server, name):
    server = new_server(MAX_RUNNING_ACTIONS="1").start()
    first, gate = held(server, name)
    second = server.create(f"{name}-b").json()["action"]["id"]
    assert server.get(f"/actions/{second}").json()["state"] == "queued"
    kill_server(server)
    gate.open()
    server.start()
    assert_done_once(server, name, first)
    assert_done_once(server, f"{name}-b", second)


def test_claimed_action_without_a_keeper_goes_back_to_the_queue(a, name):
    gate = a.board.hold(name, "info")  # it is asked before the script is started
    action = a.create(name).json()["action"]
    a.board.wait_for_call(name, "info")
    assert a.get(f"/actions/{action['id']}").json()["state"] == "running"
    assert sql(a, "select keeper_pid from action where id = %s", action["id"]) == [(None,)]
    kill_server(a)
    gate.open()
    a.start()
    assert_done_once(a, name, action["id"])


def test_script_that_its_keeper_has_not_started_is_started_once(a, name):
    gate = a.board.hold(name, "info")
    action_id = a.create(name).json()["action"]["id"]
    a.board.wait_for_call(name, "info")
    run = Path(a.env["OCTOPOD_DATA_DIR"]) / f"runs/{action_id}-1"
    run.mkdir(parents=True)
    os.mkfifo(run / "started.json")  # the keeper cannot note that it starts the script, so it does not
    gate.open()
    keeper_of(a, action_id)
    kill_server(a)
    kill_keeper(a, action_id)
    (run / "started.json").unlink()
    assert a.board.calls(name, "create") == []
    a.start()
    assert_done_once(a, name, action_id)


def test_running_script_goes_on_and_its_end_is_stored(a, name):
    action_id, gate = held(a, name, "echo the end; exit 3")
    kill_server(a)
    call = a.board.wait_for_call(name, "create")
    assert is_alive(call.pid)
    a.start()
    assert a.get(f"/actions/{action_id}").json()["state"] == "running"
    gate.open()
    action = a.finished(action_id)
    assert (action["state"], action["exit_code"], action["attempts"]) == ("failed", 3, 1)
    assert len(a.board.calls(name, "create")) == 1
    assert a.get(f"/actions/{action_id}/logs").text == "the end\n"


def test_result_that_nobody_has_stored_is_stored_within_seconds(a, name):
    action_id, gate = held(a, name, "echo out; echo err >&2")
    keeper = keeper_of(a, action_id)
    kill_server(a)
    gate.open()
    eventually(lambda: not is_alive(keeper), "the keeper to have left the result")
    a.start()
    ready = time.time()
    action = assert_done_once(a, name, action_id)
    assert unix(action["finished_at"]) < ready + PICKED_UP_WITHIN
    assert a.get(f"/actions/{action_id}/logs", params={"stream": "stderr"}).text == "err\n"


def test_script_whose_keeper_is_gone_is_ended_before_it_is_tried_again(a, name):
    action_id, gate = held(a, name)
    kill_server(a)
    kill_keeper(a, action_id)
    first = a.board.wait_for_call(name, "create")
    assert is_alive(first.pid)
    a.start()
    a.board.wait_for_call(name, "create", 2)
    assert not is_alive(first.pid)
    gate.open()
    action = a.finished(action_id)
    assert (action["state"], action["attempts"]) == ("succeeded", 2)


@pytest.mark.parametrize("server_too", [True, False])
def test_run_that_vanished_is_tried_again_and_then_given_up(a, name, server_too):
    a.board.write(name, "check", "exit 1")
    action_id, _ = held(a, name, "echo never")
    for attempt in (1, 2):
        script = a.board.wait_for_call(name, "create", attempt)
        pid = eventually(
            lambda call=script: (found := keeper_of(a, action_id)) == psutil.Process(call.pid).ppid() and found,
            "the keeper",
        )
        if server_too:
            kill_server(a)
        os.kill(pid, signal.SIGKILL)
        os.killpg(script.pid, signal.SIGKILL)
        if server_too:
            a.start()
    action = a.finished(action_id)
    assert (action["state"], action["attempts"]) == ("lost", 2)
    assert "vanished without a result after 2 attempts" in action["reason"]
    deployment = a.settled(name, "GenericFailure")
    assert action["reason"] in deployment["status_reason"]
    assert "update" in deployment["allowed_actions"]
    assert len(a.board.calls(name, "create")) == 2


def test_script_that_somebody_killed_is_tried_again(a, name):
    action_id, gate = held(a, name)
    kill_script(a, name, "create")
    a.board.wait_for_call(name, "create", 2)
    gate.open()
    action = a.finished(action_id)
    assert (action["state"], action["attempts"]) == ("succeeded", 2)


def test_number_of_attempts_is_a_setting(new_server, name):
    server = new_server(MAX_ATTEMPTS="1").start()
    action_id, _ = held(server, name)
    kill_script(server, name, "create")
    action = server.finished(action_id)
    assert (action["state"], action["attempts"]) == ("lost", 1)
    assert "is not tried again" in action["reason"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_check_in_flight_is_repeated_at_once(a, name, number):
    gate = a.board.hold(name, "check")
    assert a.create(name).status_code == 202
    first = a.board.wait_for_call(name, "check")
    a.stop(number)
    eventually(lambda: not is_alive(first.pid), "the check to end with its server")
    gate.open()
    a.start()  # its lease would last for more than a minute, longer than `settled` waits
    a.settled(name, "Running")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_change_that_was_stored_but_not_notified_is_notified(a, name, number):
    gate = a.board.hold(name, "notifications")
    assert a.create(name).status_code == 202
    a.board.wait_for_call(name, "notifications")
    a.stop(number)
    gate.open()
    a.start()
    a.settled(name, "Running")
    assert a.act(name, "archive").status_code == 202
    a.settled(name, "Archived")
    a.board.wait_for_call(name, "notifications", 4)
    told = [call.arguments[-1] for call in a.board.calls(name, "notifications")]
    assert told == ["Running", "Running", "ArchivePending", "Archived"], "the first twice, all in their order"


def test_cancel_that_a_script_is_just_heeding_is_stored_as_such(new_server, name):
    server = new_server(KILL_GRACE="60").start()
    told, go = server.board.directory / "told", server.board.directory / "go"
    server.board.write(name, "create", f"trap 'touch {told}' TERM; until [ -e {go} ]; do sleep 0.05 || true; done")
    action_id = server.create(name).json()["action"]["id"]
    server.board.wait_for_call(name, "create")
    assert server.post(f"/actions/{action_id}/cancel").status_code == 202
    eventually(told.exists, "the script to be told")
    kill_server(server)
    go.touch()
    server.start()
    action = server.finished(action_id)
    assert (action["state"], action["attempts"]) == ("cancelled", 1)
    assert "Cancelled by" in action["reason"]


def test_cancel_that_nobody_has_passed_on_is_passed_on_by_the_next_server(a, name):
    action_id, _ = held(a, name)
    kill_server(a)
    sql(a, "update action set cancelled_by = 'alice' where id = %s", action_id)  # the last thing it did
    a.start()
    action = a.finished(action_id)
    assert (action["state"], action["reason"], action["attempts"]) == ("cancelled", "Cancelled by alice", 1)
    assert not is_alive(a.board.wait_for_call(name, "create").pid)


def test_cancelled_action_whose_run_vanished_is_not_tried_again(a, name):
    action_id, _ = held(a, name)
    kill_server(a)
    kill_keeper(a, action_id)
    sql(a, "update action set cancelled_by = 'alice' where id = %s", action_id)
    a.start()
    action = a.finished(action_id)
    assert (action["state"], action["reason"]) == ("cancelled", "Cancelled by alice")
    assert len(a.board.calls(name, "create")) == 1


def test_cleanup_that_was_half_done_is_done_again(a, name):
    a.archived(name)
    gate = a.board.hold(name, "cleanup")
    action_id = a.act(name, "cleanup").json()["id"]
    a.board.wait_for_call(name, "cleanup")
    kill_server(a)
    kill_keeper(a, action_id)
    kill_script(a, name, "cleanup")
    gate.open()
    a.start()
    action = a.finished(action_id)
    assert (action["state"], action["attempts"]) == ("succeeded", 2)
    assert a.get(f"/deployments/{name}").status_code == 404
    assert a.get("/actions", params={"deployment": name}).json()["items"][0]["id"] == action_id
    assert a.create(name).status_code == 202


def test_claim_whose_answer_got_lost_is_found_again(new_server, name):
    server = new_server(MAX_RUNNING_ACTIONS="1").start()
    first, gate = held(server, name)
    second = server.create(f"{name}-b").json()["action"]["id"]
    ((claimed_by, started_at),) = sql(server, "select claimed_by, started_at from action where id = %s", first)
    changed = "update action set state = 'running', attempts = 1, claimed_by = %s, started_at = %s where id = %s"
    sql(server, changed, claimed_by, started_at, second)  # as the server did, just before the connection broke
    gate.open()
    assert_done_once(server, name, first)
    assert_done_once(server, f"{name}-b", second)


# --- a run that was picked up is like any other ---


def test_adopted_run_can_be_followed_and_cancelled(a, name):
    a.board.write(name, "create", "echo before; while :; do sleep 0.1; echo more; done")
    action_id = a.create(name).json()["action"]["id"]
    a.board.wait_for_call(name, "create")
    kill_server(a)
    a.start()
    ready = time.time()
    assert a.deployment(name)["action"]["state"] == "running"
    assert a.get(f"/actions/{action_id}/logs").text.startswith("before\n")
    with a.get(f"/actions/{action_id}/logs", params={"follow": "true"}, stream=True) as log:
        lines = log.iter_lines()
        assert next(lines) == b"before"
        assert next(lines) == b"more"
        assert a.post(f"/actions/{action_id}/cancel").status_code == 202
        assert set(lines) == {b"more"}
    action = a.finished(action_id)
    assert action["state"] == "cancelled"
    assert unix(action["finished_at"]) < ready + PICKED_UP_WITHIN + 5  # some of that is the test's own
    assert not is_alive(a.board.wait_for_call(name, "create").pid)


def test_time_limit_of_an_adopted_run_counts_from_its_true_start(new_server, name):
    limit, down = 8.0, 5.0
    server = new_server(CONTROL_SCRIPT_TIMEOUT=str(limit)).start()
    action_id, _ = held(server, name)
    begun = server.board.wait_for_call(name, "create").at
    kill_server(server)
    eventually(lambda: time.time() > begun + down, "a good part of the limit to be over")
    server.start()
    action = server.finished(action_id)
    assert action["state"] == "timed_out"
    assert begun + limit - 1 < unix(action["finished_at"]) < begun + limit + down - 0.5, "it was not counted anew"


def test_time_limit_holds_while_no_server_runs(new_server, name):
    server = new_server(CONTROL_SCRIPT_TIMEOUT="1").start()
    action_id, _ = held(server, name)
    kill_server(server)
    pid = server.board.wait_for_call(name, "create").pid
    eventually(lambda: not is_alive(pid), "the script to be ended")
    server.start()
    assert server.finished(action_id)["state"] == "timed_out"


def test_process_that_has_got_the_pid_of_a_keeper_or_script_is_left_alone(a, name):
    action_id, gate = held(a, name)
    kill_server(a)
    kill_keeper(a, action_id)
    kill_script(a, name, "create")
    gate.open()
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as innocent:
        try:
            sql(a, "update action set keeper_pid = %s, cancelled_by = 'alice' where id = %s", innocent.pid, action_id)
            started = Path(a.env["OCTOPOD_DATA_DIR"]) / f"runs/{action_id}-1/started.json"
            forged = started.read_text()
            pid = a.board.wait_for_call(name, "create").pid
            assert f'"pid": {pid},' in forged
            started.write_text(forged.replace(f'"pid": {pid},', f'"pid": {innocent.pid},'))
            a.start()
            assert a.finished(action_id)["state"] == "cancelled"
            assert innocent.poll() is None
        finally:
            innocent.kill()


# --- SQLite is for one ---


def refusal(server: Server, command: list[str]) -> str:
    ended = subprocess.run(command, env=server.env, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_sqlite_refuses_a_second_server(scratch, new_database):
    directory = scratch / f"server-{next(numbers)}"
    directory.mkdir()
    server = Server(directory, new_database("sqlite")).start()
    try:
        server.env["OCTOPOD_PORT"] = str(free_port())
        assert "in use by another server process, and SQLite is for one only" in refusal(
            server, [sys.executable, "app.py"]
        )
    finally:
        server.stop()


def test_sqlite_refuses_several_workers(scratch, new_database):
    directory = scratch / f"server-{next(numbers)}"
    directory.mkdir()
    server = Server(directory, new_database("sqlite"))
    server.env["WEB_CONCURRENCY"] = "2"
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
    assert "SQLite is for one process, and 2 workers are asked for" in refusal(server, gunicorn)


# --- several servers on one PostgreSQL ---


@pytest.fixture
def pair(new_database: Callable[[str], str], scratch: Path) -> Iterator[Callable[..., tuple[Server, Server]]]:
    """Make two servers on one database, with a data directory each and one board for both; not started yet."""
    made: list[Server] = []

    def new(**settings: str) -> tuple[Server, Server]:
        url = new_database("postgresql")
        for _ in range(2):
            directory = scratch / f"server-{next(numbers)}"
            directory.mkdir()
            made.append(Server(directory, url, **settings))
        made[1].board = made[0].board
        made[1].env["BOARD"] = made[0].env["BOARD"]
        return made[0], made[1]

    yield new
    for server in made:
        if server.process and server.process.poll() is None:
            server.process.send_signal(signal.SIGCONT)
            server.stop()


def test_each_action_is_run_by_exactly_one_of_two_servers(pair, name):
    a, b = (server.start() for server in pair())
    names = [f"{name}-{number}" for number in range(16)]
    ids = {one: (a, b)[number % 2].create(one).json()["action"]["id"] for number, one in enumerate(names)}
    for one, action_id in ids.items():
        assert_done_once(a, one, action_id)
    assert len({host for (host,) in sql(a, "select distinct host from action")}) == 2, "both had something to do"


def test_checks_are_not_doubled_by_a_second_server(pair, name):
    a, _ = (server.start() for server in pair(CHECK_INTERVAL="1"))
    a.running(name)
    begun = len(a.board.calls(name, "check"))
    a.board.wait_for_call(name, "check", begun + 6)
    times = [call.at for call in a.board.calls(name, "check")][begun:]
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) > 0.9, times


def test_run_of_one_server_is_cancelled_by_the_other(pair, name):
    a, b = pair()
    action_id, _ = held(a.start(), name)
    b.start()
    assert b.post(f"/actions/{action_id}/cancel").status_code == 202
    assert b.finished(action_id)["state"] == "cancelled"
    assert not is_alive(a.board.wait_for_call(name, "create").pid)


def test_change_in_one_server_is_told_to_the_other(pair, name):
    a, b = pair()
    a.start(), b.start()
    action_id, gate = held(a, name)
    ((deployment_id,),) = sql(a, "select deployment_id from action where id = %s", action_id)
    listener = psycopg2.connect(a.env["OCTOPOD_DATABASE_URL"])
    try:
        listener.autocommit = True
        listener.cursor().execute("listen octopod")
        gate.open()

        def told() -> bool:
            listener.poll()
            return str(deployment_id) in [notify.payload for notify in listener.notifies]

        eventually(told, "the word to be passed on")
    finally:
        listener.close()


def test_whoever_waits_at_one_server_is_woken_by_the_other(pair, name):
    a, b = (server.start() for server in pair())
    delays = []
    for number in range(7):
        action_id, gate = held(a, f"{name}-{number}")
        ((runner,),) = sql(a, "select host from action where id = %s", action_id)
        other = b if f"/{a.process.pid}/" in runner else a
        waiting = HTTPConnection("127.0.0.1", other.port, timeout=40)
        waiting.request("GET", f"/api/v1/actions/{action_id}?wait=30")
        gate.open()
        action = json.load(waiting.getresponse())
        delays.append(time.time() - unix(action["finished_at"]))
        waiting.close()
    assert statistics.median(delays) < 0.3, f"by looking once a second it would be half a second: {delays}"


def test_retention_cleans_up_once_between_two_servers(pair, name):
    a, b = (server.start() for server in pair(ARCHIVE_RETENTION="1"))
    names = [f"{name}-{number}" for number in range(6)]
    for one in names:
        assert a.create(one).status_code == 202
    for one in names:
        a.settled(one, "Running")
        assert b.act(one, "archive").status_code == 202
    for one in names:
        eventually(lambda one=one: a.get(f"/deployments/{one}").status_code == 404, f"{one} to be cleaned up")
        history = a.get("/actions", params={"deployment": one}).json()["items"]
        assert [entry["kind"] for entry in history] == ["cleanup", "archive", "create"]
        assert history[0]["requested_by"] == "retention"
        assert len(a.board.calls(one, "cleanup")) == 1


# --- several machines ---


class Machine(Server):
    """A server that believes to be on another machine: another host name, and it sees no processes but its own."""

    hostname = "elsewhere"

    def start(self) -> "Machine":
        isolate = [
            "unshare",
            *([] if os.geteuid() == 0 else ["--map-root-user"]),
            "--uts",
            "--pid",
            "--fork",
            "--mount-proc",
        ]
        there = f'hostname {self.hostname} && exec "$0" "$1"'
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*isolate, "sh", "-c", there, sys.executable, str(ROOT / "app.py")],
                env=self.env,
                cwd=self.directory,
                stdout=log,
                stderr=log,
            )
        eventually(self._is_up, "the server elsewhere")
        return self

    def signal(self, number: int) -> None:
        """To the server process; when that is killed, so is everything on its machine."""
        (server,) = psutil.Process(self.process.pid).children()
        server.send_signal(number)

    def scripts(self) -> list[psutil.Process]:
        """The scripts of actions on that machine."""
        data = self.env["OCTOPOD_DATA_DIR"]
        return [
            process for process in psutil.process_iter() if _cwd(process).startswith(data) and is_alive(process.pid)
        ]


def _cwd(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except psutil.Error:
        return ""


@pytest.fixture
def machines(pair, scratch, request) -> Iterator[tuple[Machine, Server]]:
    """A server on another machine, and one on this; the former is started. The parameter: LOST_AFTER."""
    lost_after = getattr(request, "param", "6")
    _, b = pair(LOST_AFTER=lost_after)
    directory = scratch / f"machine-{next(numbers)}"
    directory.mkdir()
    a = Machine(directory, b.env["OCTOPOD_DATABASE_URL"], LOST_AFTER=lost_after)
    a.board, a.env["BOARD"] = b.board, b.env["BOARD"]
    yield a.start(), b
    if a.process.poll() is None:
        a.signal(signal.SIGKILL)
        a.process.wait(30)


def test_machine_that_is_gone_has_its_actions_taken_over(machines, name):
    a, b = machines
    action_id, gate = held(a, name, 'echo "$OCTOPOD_SUITE_DATA"')
    b.start()
    a.signal(signal.SIGKILL)
    b.board.wait_for_call(name, "create", 2)
    gate.open()
    action = b.finished(action_id)
    assert (action["state"], action["attempts"]) == ("succeeded", 2)
    assert b.get(f"/actions/{action_id}/logs").text.startswith(b.env["OCTOPOD_DATA_DIR"])


def test_machine_that_is_alive_keeps_its_actions(machines, name):
    a, b = machines
    action_id, gate = held(a, name)
    b.start()
    begun = time.monotonic()
    eventually(lambda: time.monotonic() > begun + 8, "more than LOST_AFTER to pass")
    gate.open()
    assert_done_once(b, name, action_id)


@pytest.mark.parametrize("meanwhile", ["running", "finished"])
def test_server_that_was_only_paused_finds_out_that_it_has_lost(machines, name, meanwhile):
    a, b = machines
    action_id, gate = held(a, name, 'echo "$OCTOPOD_SUITE_DATA"')
    (script,) = [one for one in a.scripts() if one.pid == os.getpgid(one.pid)]
    b.start()
    a.signal(signal.SIGSTOP)
    b.board.wait_for_call(name, "create", 2)
    assert script.is_running(), "its script knows nothing of it"
    if meanwhile == "finished":
        second = b.board.calls(name, "create")[1].pid
        os.killpg(second, signal.SIGTERM)  # the gate is for both, so this one ends otherwise
        assert b.finished(action_id)["state"] == "failed"
    a.signal(signal.SIGCONT)
    eventually(
        lambda: not script.is_running() or script.status() == psutil.STATUS_ZOMBIE, "the end of the script that lost"
    )
    gate.open()
    action = b.finished(action_id)
    assert action["attempts"] == 2
    if meanwhile == "running":
        assert action["state"] == "succeeded"
        assert b.get(f"/actions/{action_id}/logs").text.startswith(b.env["OCTOPOD_DATA_DIR"])
    else:
        assert action["exit_code"] == -signal.SIGTERM
    assert len(b.board.calls(name, "create")) == 2
    assert a.get(f"/actions/{action_id}").json() == action


@pytest.mark.parametrize("machines", ["18"], indirect=True)  # a third of it is what a slow machine has to speak again
def test_servers_do_not_bury_each_other_after_the_database_was_away(machines, name):
    """Neither could speak for longer than LOST_AFTER; whoever is back first must not think that the other is dead."""
    a, b = machines
    action_id, gate = held(a, name)
    b.start()
    for server in (a, b):
        (a.signal if server is a else b.process.send_signal)(signal.SIGSTOP)
    begun = time.monotonic()
    eventually(lambda: time.monotonic() > begun + 20, "more than LOST_AFTER to pass")
    b.process.send_signal(signal.SIGCONT)
    begun = time.monotonic()
    eventually(lambda: time.monotonic() > begun + 0.5, "b to speak first, several times")
    a.signal(signal.SIGCONT)
    gate.open()
    assert_done_once(b, name, action_id)


# --- the database goes away ---


@pytest.fixture(scope="module")
def postgres(scratch: Path) -> Iterator[Postgres]:
    """A PostgreSQL that may be stopped."""
    directory = scratch / f"recovery-{next(numbers)}"
    directory.mkdir(mode=0o700)
    postgres = Postgres(directory)
    yield postgres
    postgres.server.cleanup()


@pytest.fixture
def stoppable(postgres: Postgres, scratch: Path) -> Iterator[Server]:
    """A server on it; when the test is over the database is back."""
    directory = scratch / f"server-{next(numbers)}"
    directory.mkdir()
    server = Server(directory, postgres.new_database()).start()
    yield server
    postgres.start()
    if server.process.poll() is None:
        server.stop()


def test_script_goes_on_and_its_result_is_stored_when_the_database_is_back(postgres, stoppable, name):
    action_id, gate = held(stoppable, name, "echo done")
    keeper = keeper_of(stoppable, action_id)
    postgres.stop()
    for method, path in [("GET", f"/deployments/{name}"), ("POST", "/deployments"), ("GET", f"/actions/{action_id}")]:
        answer = stoppable.request(method, f"/api/v1{path}", json={"name": f"{name}-b"} if method == "POST" else None)
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
        assert int(answer.headers["Retry-After"]) > 0
    assert stoppable.request("GET", "/readyz").status_code == 503
    assert stoppable.request("GET", "/healthz").status_code == 200
    gate.open()
    eventually(lambda: not is_alive(keeper), "the end of the run")
    postgres.start()
    eventually(lambda: stoppable.request("GET", "/readyz").ok, "the server to be ready again")
    assert_done_once(stoppable, name, action_id)
    stoppable.settled(name, "Running")
    stoppable.running(f"{name}-b")


def test_notification_under_way_when_the_database_goes_away_does_not_hold_back_the_next(postgres, stoppable, name):
    gate = stoppable.board.hold(name, "notifications")
    assert stoppable.create(name).status_code == 202
    stoppable.board.wait_for_call(name, "notifications")
    postgres.stop()
    gate.open()
    postgres.start()
    eventually(lambda: stoppable.request("GET", "/readyz").ok, "the server to be ready again")
    stoppable.settled(name, "Running")
    eventually(lambda: stoppable.act(name, "archive").status_code == 202, "the request to be accepted")
    eventually(
        lambda: stoppable.board.calls(name, "notifications")[-1].arguments[-1] == "Archived", "the last notification"
    )


def test_verdict_of_a_check_is_stored_when_the_database_is_back(postgres, stoppable, name):
    gate = stoppable.board.hold(name, "check")
    assert stoppable.create(name).status_code == 202
    stoppable.board.wait_for_call(name, "check")
    postgres.stop()
    gate.open()
    postgres.start()
    eventually(lambda: stoppable.request("GET", "/readyz").ok, "the server to be ready again")
    stoppable.settled(name, "Running")  # a check that was given up would be repeated after its lease, minutes later


def test_server_drains_while_the_database_is_away(postgres, stoppable, name):
    action_id, gate = held(stoppable, name)
    postgres.stop()
    begun = time.monotonic()
    assert stoppable.stop(signal.SIGTERM) == 0
    assert time.monotonic() - begun < PATIENCE / 2
    gate.open()
    postgres.start()
    stoppable.start()
    assert_done_once(stoppable, name, action_id)


def test_worker_that_starts_while_the_database_is_away_works_once_it_is_back(postgres, scratch, tmp_path):
    server = Gunicorn(scratch / f"server-{next(numbers)}", postgres.new_database(), tmp_path, workers=1)
    server.start()
    try:
        eventually(server.is_ready, "the server")
        (old,) = server.workers()
        postgres.stop()
        kill(old)
        eventually(lambda: [one for one in server.workers() if one.pid != old.pid], "another worker")
        eventually(lambda: _status(server, "/readyz") == 503, "it to answer that it is not ready")
        postgres.start()
        eventually(server.is_ready, "it to be ready")
        created = requests.post(f"{server.url}/api/v1/deployments", json={"name": "fault-0"}, timeout=PATIENCE)
        path = created.headers["Location"]
        assert requests.get(server.url + path, params={"wait": 20}, timeout=PATIENCE).json()["state"] == "succeeded"
    finally:
        postgres.start()
        server.signal(signal.SIGTERM)
        server.wait()


def _status(server: Gunicorn, path: str) -> int:
    try:
        return requests.get(server.url + path, timeout=PATIENCE).status_code
    except requests.ConnectionError:
        return 0
