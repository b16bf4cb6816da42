"""Runs of control scripts: their output, their end, and what outlives what."""

import base64
import json
import os
import re
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest
from answers import problem
from conftest import Gate, Server, eventually
from hypothesis import example, given
from hypothesis import strategies as some
from test_life import accepted, act, hang, verdict

from octopod import runs
from octopod.keeper import MASK, FileSegments, Mask, Output, Segments

MARKER = re.compile(r"\n\[… ([\d,]+) bytes left out …\]\n")


def logs(server: Server, action: int, stream: str = "stdout") -> str:
    return server.get(f"/actions/{action}/logs", params={"stream": stream}).text


def written(server: Server, action: int, text: str) -> str:
    """The output of a running action, once this text is in it."""
    return eventually(lambda: (found := logs(server, action)) and text in found and found, f"{text!r} in the log")


def run_directory(server: Server, action: int, attempt: int = 1) -> Path:
    return server.directory / f"data/runs/{action}-{attempt}"


def hold_after(server: Server, name: str, script: str, bash: str, then: str = "") -> Gate:
    """Let a script do something, then wait at a gate, then do something else."""
    gate = server.board.hold(name, script)
    server.board.write(name, script, f"{bash}; read -r _ <{gate.path}; {then}")
    return gate


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def keeper_of(server: Server) -> int:
    """The pid of the process that starts the scripts of a server."""
    assert server.process
    mine = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return next(int(pid) for pid in mine if b"keeper.py" in Path(f"/proc/{pid}/cmdline").read_bytes())


# --- output ---


def test_output_that_is_too_long_keeps_its_head_and_its_tail(new_server):
    server = new_server(OUTPUT_LIMIT="4096").start()
    gate = hold_after(server, "orange", "create", "seq 1 200000; seq 5 >&2", "echo the end")
    action = accepted(server.create("orange"))
    written(server, action, "\n200000\n")
    files = list(run_directory(server, action).glob("stdout.*"))
    assert 0 < sum(file.stat().st_size for file in files) <= 4096, "bounded on the disk while it runs"
    gate.open()
    server.finished(action)
    stored = logs(server, action)
    head, left_out, tail = MARKER.split(stored)
    everything = "".join(f"{number}\n" for number in range(1, 200001)) + "the end\n"
    assert everything.startswith(head) and everything.endswith(tail)
    assert len(head) == 2048 and 1024 <= len(tail) <= 2048
    assert int(left_out.replace(",", "")) == len(everything) - len(head) - len(tail)
    assert logs(server, action, "stderr") == "1\n2\n3\n4\n5\n"
    server.settled("orange", "Running")
    server.board.write("orange", "config_check", "head -c 9000000 /dev/zero | tr '\\0' x; exit 1")
    detail = problem(act(server, "orange", "update"), 422)["detail"]
    assert MARKER.search(detail) and len(detail) < 4200, "that of quick scripts too"


def test_bytes_that_are_no_text_are_replaced(server, board, name):
    board.write(name, "create", r"printf 'a\0b\xffc\xc3\xa9\n'; printf '\xf0\x9f\n' >&2; exit 1")
    board.write(name, "check", r"printf 'x\0y\xff'; exit 2")
    action = accepted(server.create(name))
    assert server.finished(action)["exit_code"] == 1
    assert logs(server, action) == "a\ufffdb\ufffdcé\n"
    assert logs(server, action, "stderr") == "\ufffd\n"
    assert verdict(server, name)["output"] == "x\ufffdy\ufffd"


TOKEN, PASSWORD = "s3cr3t/t0ken+value", "first line of it\nsecond line of it"
LEAKS = (TOKEN, *PASSWORD.splitlines(), base64.b64encode(TOKEN.encode()).decode().rstrip("="), quote(TOKEN, safe=""))
SAID = [
    f"echo is {TOKEN} .",
    f"base64 <<<{TOKEN}",
    f"echo {quote(TOKEN, safe='')}",
    f"printf '%s\\n' {shlex.quote(PASSWORD)} >&2",
    "printf '%s\\n' \"$@\"",
    f"(set -x; : {TOKEN})",
]


def test_secrets_are_masked_in_stored_output(server, board, name):
    bash = "; ".join(SAID)
    board.write(name, "create", f"{bash}; echo failed with {TOKEN} >&2; exit 1")
    board.write(name, "check", f"echo check {TOKEN}; exit 1")
    action = accepted(
        server.create(name, application={"API_TOKEN": TOKEN, "db.password": PASSWORD, "GREETING": "hello"})
    )
    finished = server.finished(action)
    board.wait_for_call(name, "check")
    verdict(server, name)
    shown = [
        logs(server, action, "all"),
        server.get(f"/actions/{action}").text,
        server.get(f"/deployments/{name}").text,
    ]
    for text in shown:
        assert not [leak for leak in LEAKS if leak in text]
    assert "is ******** ." in shown[0] and "API_TOKEN=********" in shown[0] and "GREETING=hello" in shown[0]
    assert finished["output_tail"].endswith("failed with ********")
    assert not [leak for leak in LEAKS if leak in server.log.read_text()]


def test_secrets_are_masked_while_the_script_runs_even_when_written_in_pieces(server, board, name):
    half = len(TOKEN) // 2
    gate = hold_after(server, name, "create", f"echo begin; printf {TOKEN[:half]}", f"echo {TOKEN[half:]}; echo end")
    action = accepted(server.create(name, application={"API_TOKEN": TOKEN}))
    assert written(server, action, "begin\n") == "begin\n"
    files = run_directory(server, action).glob("stdout.*")
    assert b"".join(file.read_bytes() for file in files) == b"begin\n", "half a secret is held back"
    gate.open()
    server.finished(action)
    assert logs(server, action) == "begin\n********\nend\n"


def test_output_can_be_read_while_the_script_runs(server, board, name):
    gate = hold_after(server, name, "create", "echo so far", "echo and on")
    action = accepted(server.create(name))
    assert written(server, action, "so far") == "so far\n"
    gate.open()
    server.finished(action)
    assert logs(server, action) == "so far\nand on\n"


# --- the end of a run ---


@pytest.mark.parametrize("leave", ["sleep 600 &", "setsid sleep 600 &"])
def test_grandchild_that_holds_the_output_open_holds_nothing_up(server, board, name, leave):
    board.write(name, "create", f"{leave} echo $!")
    board.write(name, "check", f'{leave} echo $! >>"$BOARD/left.{name}"; echo fine')
    action = accepted(server.create(name))
    assert server.finished(action)["state"] == "succeeded"
    assert verdict(server, name)["output"] == "fine"
    left = [int(logs(server, action)), *map(int, (board.directory / f"left.{name}").read_text().split())]
    assert all(map(is_alive, left)), "what a script leaves behind on purpose goes on"
    board.write(name, "check", "exit 0")
    for pid in left:
        os.kill(pid, signal.SIGKILL)


STUBBORN = "trap '' TERM; (while :; do sleep 600; done) & echo $$ $!; wait"


def test_script_that_takes_too_long_is_stopped(hasty, name):
    hasty.board.write(name, "create", STUBBORN)
    action = hasty.finished(accepted(hasty.create(name)))
    assert action["state"] == "timed_out"
    assert re.match(r"The create script failed: it took longer than \d+ s and was stopped", action["reason"])
    assert not any(is_alive(int(word)) for word in logs(hasty, action["id"]).split())
    assert hasty.deployment(name)["status"] in ("GenericFailure", "Running")  # as its check has it by now


@pytest.mark.parametrize("number", ["0", "9"])
def test_script_is_told_to_end_before_it_is_killed(server, board, name, number):
    board.write(name, "create", hang(f"echo told to end; exit {number}", "echo begun"))
    action = accepted(server.create(name))
    written(server, action, "begun")
    assert server.post(f"/actions/{action}/cancel").status_code == 202
    finished = server.finished(action)
    assert (finished["state"], finished["exit_code"]) == ("cancelled", int(number)), "whatever its exit code"
    assert logs(server, action) == "begun\ntold to end\n"


def test_whole_group_of_a_script_that_ignores_term_is_killed(server, board, name):
    board.write(name, "create", STUBBORN)
    action = accepted(server.create(name))
    written(server, action, "\n")
    assert server.post(f"/actions/{action}/cancel").status_code == 202
    assert server.finished(action)["state"] == "cancelled"
    pids = [int(word) for word in logs(server, action).split()]
    assert len(pids) == 2 and not any(map(is_alive, pids))


# A child that stays in the script's group, and its parent, which leaves the group and never asks how the child ended.
NEGLECTFUL = """
import os, time
pid = os.fork()
if pid:
    os.setpgid(0, 0)
    print(os.getpid(), flush=True)
time.sleep(600)
"""


def test_dead_process_that_nobody_buries_does_not_keep_a_run_from_ending(server, board, name):
    board.write(name, "create", f"{sys.executable} -c {shlex.quote(NEGLECTFUL)} & wait; wait")
    action = accepted(server.create(name))
    parent = int(written(server, action, "\n"))
    try:
        assert server.post(f"/actions/{action}/cancel").status_code == 202
        assert server.finished(action)["state"] == "cancelled"
    finally:
        os.kill(parent, signal.SIGKILL)


def test_time_limits_may_be_longer_than_anybody_lives(new_server):
    for_ever = dict.fromkeys(("CONTROL_SCRIPT_TIMEOUT", "CHECK_TIMEOUT", "KILL_GRACE"), "999999999")
    server = new_server(**for_ever).start()
    server.running("orange")
    assert verdict(server, "orange")["status"] == "Running"


# --- cancel and the queue ---


def test_queue_cancel_and_checks_beside_long_actions(new_server):
    server = new_server(MAX_RUNNING_ACTIONS="1", UI_ADMIN_BASIC_AUTH="alice:pw", UI_BASIC_AUTH="bob:pw").start()
    server.http.auth = ("alice", "pw")
    board = server.board
    server.running("lime")
    gate = board.hold("orange", "create")
    first = accepted(server.create("orange"))
    board.wait_for_call("orange", "create")
    second = accepted(server.create("lemon"))

    detail = problem(server.act("lemon", "archive"), 409)["detail"]
    assert re.fullmatch(
        r"Cannot archive lemon: it is waiting to be created since \d\d:\d\d UTC, asked for by alice", detail
    )
    assert server.deployment("lemon")["status_reason"] == "Waiting for its turn"
    assert server.get(f"/actions/{second}").json()["state"] == "queued"

    board.write("lime", "check", "exit 2")
    server.settled("lime", "PartialAvailability")  # checks go on while actions fill the pool

    cancelled = server.post(f"/actions/{second}/cancel", auth=("bob", "pw"))
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    action = server.get(f"/actions/{second}").json()
    assert (action["reason"], action["started_at"], action["attempts"]) == ("Cancelled by bob before it began", None, 0)
    board.write("lemon", "check", "exit 1")

    third = accepted(server.create("cherry"))
    assert server.post(f"/actions/{first}/cancel", auth=("bob", "pw")).status_code == 202
    action = server.finished(first)
    assert (action["state"], action["reason"]) == ("cancelled", "Cancelled by bob")
    assert server.finished(third)["state"] == "succeeded", "the next in the queue had its turn"
    assert board.calls("lemon", "create") == []
    for id in (first, second):
        detail = problem(server.post(f"/actions/{id}/cancel"), 409)["detail"]
        assert re.fullmatch(rf"Cannot cancel action {id}: it is cancelled since \d\d:\d\d UTC", detail)
    assert "succeeded" in problem(server.post(f"/actions/{third}/cancel"), 409)["detail"]
    gate.open()


def test_cancelled_action_settles_like_a_failed_one(server, board, name):
    board.write(name, "check", "exit 1")
    board.write(name, "create", hang())
    action = accepted(server.create(name))
    call = board.wait_for_call(name, "create")
    assert server.post(f"/actions/{action}/cancel").status_code == 202
    assert server.finished(action)["state"] == "cancelled"
    deployment = server.deployment(name)
    assert deployment["status"] == "GenericFailure" and "Cancelled by local" in deployment["status_reason"]
    assert not is_alive(call.pid)


def test_action_cancelled_while_info_still_runs_never_starts_its_script(server, board, name):
    gate = board.hold(name, "info")
    action = accepted(server.create(name))
    board.wait_for_call(name, "info")
    assert server.post(f"/actions/{action}/cancel").status_code == 202
    gate.open()
    assert server.finished(action)["state"] == "cancelled"
    assert board.calls(name, "create") == []


def test_checks_run_beside_each_other(server, board, name):
    names = [f"{name}-{number}" for number in range(4)]
    for one in names:
        server.running(one)
    gates = [board.hold(one, "check") for one in names]
    for gate in gates:
        gate.reached()
    for one, gate in zip(names, gates, strict=True):
        board.write(one, "check", "exit 0")
        gate.open()


def test_actions_run_beside_each_other(server, board, name):
    names = [f"{name}-{number}" for number in range(4)]
    gates = [board.hold(one, "create") for one in names]
    actions = [accepted(server.create(one)) for one in names]
    for one in names:
        board.wait_for_call(one, "create")
    for action, gate in zip(actions, gates, strict=True):
        gate.open()
        assert server.finished(action)["state"] == "succeeded"


# --- what is killed, and what goes on ---


def test_run_whose_keeper_was_killed_is_tried_again_then_given_up_as_lost(server, board, name):
    gate = board.hold(name, "create")
    board.write(name, "check", "exit 1")
    action = accepted(server.create(name))
    calls = []
    for attempt in (1, 2):
        calls.append(board.wait_for_call(name, "create", attempt))
        assert server.get(f"/actions/{action}").json()["attempts"] == attempt
        assert [call.pid for call in calls if is_alive(call.pid)] == [calls[-1].pid], "never two scripts at a time"
        os.kill(parent(calls[-1].pid), signal.SIGKILL)
    lost = server.finished(action)
    assert (lost["state"], lost["attempts"], lost["exit_code"]) == ("lost", 2, None)
    assert lost["reason"] == "The run of the script vanished without a result after 2 attempts"
    assert server.deployment(name)["status"] == "GenericFailure"
    assert not any(is_alive(call.pid) for call in calls)
    gate.open()


def test_run_that_was_lost_once_can_still_succeed(server, board, name):
    gate = board.hold(name, "create")
    action = accepted(server.create(name))
    os.kill(parent(board.wait_for_call(name, "create").pid), signal.SIGKILL)
    board.wait_for_call(name, "create", 2)
    gate.open()
    finished = server.finished(action)
    assert (finished["state"], finished["attempts"]) == ("succeeded", 2)
    server.settled(name, "Running")


def test_server_starts_a_new_keeper_when_the_old_one_was_killed(new_server):
    server = new_server().start()
    gate = server.board.hold("orange", "create", "echo done")
    action = accepted(server.create("orange"))
    server.board.wait_for_call("orange", "create")
    old = keeper_of(server)
    os.kill(old, signal.SIGKILL)
    server.running("lemon")
    assert keeper_of(server) != old
    gate.open()
    finished = server.finished(action)
    assert (finished["state"], finished["attempts"]) == ("succeeded", 1), "runs under way have keepers of their own"


def test_keeper_closes_what_it_has_opened(new_server):
    server = new_server(CHECK_INTERVAL="60").start()
    server.running("orange")
    keeper = keeper_of(server)

    def open_files() -> int:
        return len(list(Path(f"/proc/{keeper}/fd").iterdir()))

    before = open_files()
    for _ in range(20):
        assert verdict(server, "orange")["status"] == "Running"
    eventually(lambda: open_files() <= before, "the files to be closed")


def test_draining_server_refuses_changes_and_waits_for_what_runs(new_server):
    server = new_server(DRAIN_TIMEOUT="60", MAX_RUNNING_ACTIONS="1").start()
    gate = server.board.hold("orange", "create")
    action = accepted(server.create("orange"))
    server.board.wait_for_call("orange", "create")
    queued = accepted(server.create("lemon"))
    assert server.process
    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: server.request("GET", "/readyz").status_code == 503, "the server to drain")
    assert server.request("GET", "/readyz").text == "draining\n"
    assert server.request("GET", "/healthz").status_code == 200
    requests_for_change = [
        lambda: server.create("cherry"),
        lambda: server.act("orange", "archive"),
        lambda: server.request("DELETE", "/api/v1/deployments/orange"),
        lambda: server.post("/deployments/orange/check"),
    ]
    for ask in requests_for_change:
        answer = ask()
        problem(answer, 503)
        assert int(answer.headers["Retry-After"]) > 0
    assert server.deployment("orange")["status"] == "CreatePending", "reading goes on"
    gate.open()
    assert server.process.wait(30) == 0
    assert server.board.calls("lemon", "create") == [], "nothing new starts"
    server.start()
    assert server.get(f"/actions/{action}").json()["state"] == "succeeded"
    assert server.finished(queued)["state"] == "succeeded"
    assert len(server.board.calls("orange", "create")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_scripts_outlive_their_server_and_the_next_one_stores_what_they_did(new_server, number):
    server = new_server(DRAIN_TIMEOUT="0.1", MAX_RUNNING_ACTIONS="2").start()
    server.running("lime")
    meanwhile, after = (hold_after(server, name, "create", "echo one", "echo two") for name in ("orange", "lemon"))
    names = ("orange", "lemon", "cherry")
    actions = {name: accepted(server.create(name)) for name in names}
    calls = [server.board.wait_for_call(name, "create") for name in names[:2]]
    server.stop(number)
    assert all(is_alive(call.pid) for call in calls)

    meanwhile.open()
    eventually((run_directory(server, actions["orange"]) / "result.json").exists, "the end of orange's script")
    server.start()
    assert server.finished(actions["orange"])["state"] == "succeeded"
    after.open()
    for name, action in actions.items():
        finished = server.finished(action)
        assert (finished["state"], finished["attempts"]) == ("succeeded", 1)
        assert logs(server, action) == ("" if name == "cherry" else "one\ntwo\n")
        assert len(server.board.calls(name, "create")) == 1
        server.settled(name, "Running")
    server.stop()
    server.start()
    stored = server.directory / "data/runs"
    eventually(lambda: not list(stored.iterdir()), "what is stored to be swept")


def test_quick_scripts_end_too_when_their_server_is_gone(new_server):
    server = new_server(CHECK_TIMEOUT="1").start()
    server.running("orange")
    server.board.write("orange", "check", f"echo $$ >$BOARD/pid; {hang()}")
    file = server.board.directory / "pid"
    pid = int(eventually(lambda: file.exists() and file.read_text()))
    server.stop(signal.SIGKILL)
    eventually(lambda: not is_alive(pid), "the end of the check")


def test_action_can_be_cancelled_by_a_later_server(new_server):
    server = new_server(DRAIN_TIMEOUT="0.1").start()
    server.board.write("orange", "create", hang())
    action = accepted(server.create("orange"))
    call = server.board.wait_for_call("orange", "create")
    server.stop(signal.SIGKILL)
    server.start()
    assert server.post(f"/actions/{action}/cancel").status_code == 202
    assert server.finished(action)["state"] == "cancelled"
    assert not is_alive(call.pid)


def test_server_that_finds_more_runs_than_it_has_room_for_works_all_the_same(new_server):
    server = new_server(MAX_RUNNING_ACTIONS="2", DRAIN_TIMEOUT="0.1").start()
    server.running("lime")
    gates = [server.board.hold(name, "create") for name in ("orange", "lemon")]
    actions = [accepted(server.create(name)) for name in ("orange", "lemon")]
    for name in ("orange", "lemon"):
        server.board.wait_for_call(name, "create")
    server.stop(signal.SIGKILL)
    server.env["OCTOPOD_MAX_RUNNING_ACTIONS"] = "1"
    server.start()
    server.board.write("lime", "check", "exit 2")
    server.settled("lime", "PartialAvailability")
    for gate, action in zip(gates, actions, strict=True):
        gate.open()
        assert server.finished(action)["state"] == "succeeded"
    assert server.stop() == 0


# --- units of the keeper ---

ALPHABET = "abc+/\n"  # few letters, so that secrets overlap each other and themselves
secrets = some.lists(some.text(ALPHABET, min_size=1, max_size=9), min_size=1, max_size=4)


@some.composite
def texts_with_secrets(draw):
    """Secrets, and a text made of them, of parts of them, and of anything else, cut into pieces."""
    hidden = draw(secrets)
    parts = some.one_of(
        some.sampled_from(hidden),
        some.sampled_from(hidden).map(lambda one: one[: len(one) // 2 + 1]),
        some.text(ALPHABET + "xé", max_size=5),
    )
    raw = "".join(draw(some.lists(parts, max_size=12))).encode()
    cuts = sorted(draw(some.lists(some.integers(0, len(raw)), max_size=6)))
    return hidden, [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


@given(texts_with_secrets())
def test_mask_hides_every_secret_and_nothing_else_however_the_stream_is_cut(given):
    hidden, pieces = given
    mask = Mask(hidden)
    shown = b"".join(mask.feed(piece) for piece in pieces) + mask.rest()
    lines = {line.strip() for secret in hidden for line in secret.encode().splitlines()}
    for line in lines:
        assert len(line) < 4 or line not in shown
    whole = Mask(hidden)
    assert shown == whole.feed(b"".join(pieces)) + whole.rest(), "cutting changes nothing"
    # What is between the masks is the stream itself, in its order.
    rest = b"".join(pieces)
    for kept in filter(None, shown.split(MASK)):
        _, found, rest = rest.partition(kept)
        assert found == kept
    assert MASK in shown or shown == b"".join(pieces)


@given(some.lists(some.binary(max_size=20)))
def test_mask_without_secrets_passes_everything_on_at_once(pieces):
    mask = Mask(["", "ab"])
    assert [mask.feed(piece) for piece in pieces] == pieces
    assert mask.rest() == b""


@pytest.mark.parametrize("secret", ["päss wörd", 'with "quotes"', "tab\tin it", "a" * 5000, "   spaces around   "])
def test_mask_knows_the_usual_encodings(secret):
    for said in (
        secret,
        base64.b64encode(secret.encode()).decode(),
        quote(secret, safe=""),
        json.dumps(secret),
        repr(secret),
    ):
        mask = Mask([secret])
        shown = (mask.feed(f"<{said}>".encode()) + mask.rest()).decode()
        assert secret.strip() not in shown and MASK.decode() in shown, said


@example(46, [bytes(46)])  # no multiple of 4, and just what fits
@given(some.integers(1, 200), some.lists(some.binary(max_size=300), max_size=12))
def test_bounded_output_keeps_the_head_and_the_tail_and_says_what_is_missing(limit, pieces):
    segments = Segments()
    output = Output(limit, Mask([]), segments)
    for piece in pieces:
        output.write(piece)
        assert sum(map(len, segments.items.values())) <= max(limit, 3)
    output.close()
    whole = b"".join(pieces)
    for at, piece in segments.items.items():
        assert whole[at : at + len(piece)] == piece
    kept = sorted(segments.items.items())
    assert b"".join(bytes(piece) for _, piece in kept[:1]) == whole[: max(1, limit - 2 * max(1, limit // 4))]
    if kept:
        assert kept[-1][0] + len(kept[-1][1]) == len(whole), "the very end is there"
    missing = len(whole) - sum(len(piece) for _, piece in kept)
    assert (runs.left_out(missing) in runs_rendered(kept)) or not missing
    assert len(whole) > limit or not missing, "what fits is kept whole"


def runs_rendered(kept):
    data, position = b"", 0
    for at, piece in kept:
        data += runs.left_out(at - position) + piece
        position = at + len(piece)
    return data


@given(some.integers(1, 100), some.lists(some.binary(max_size=200), max_size=8))
def test_segments_in_files_hold_what_segments_in_memory_hold(limit, pieces):
    with tempfile.TemporaryDirectory() as directory:
        memory = Segments()
        files = FileSegments(Path(directory), "stdout")
        outputs = [Output(limit, Mask([]), memory), Output(limit, Mask([]), files)]
        for piece in pieces:
            for output in outputs:
                output.write(piece)
        if files.file:
            files.file.close()
        assert runs.read_output(Path(directory), "stdout") == runs.render(sorted(memory.items.items()))
        data, position = runs.read_since(Path(directory), "stdout", 0)
        assert runs.as_text(data) == runs.read_output(Path(directory), "stdout")
        assert position == sum(map(len, pieces))
