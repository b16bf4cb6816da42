"""Every row of the life-cycle table, from request to settled status."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from answers import problem, steady
from conftest import Board, Server, eventually, numbers

from octopod.deployments import CONFIG_CHECKS_AT_ONCE
from octopod.lifecycle import STEPS, Status

UP = ("Running", "GenericFailure", "TagMismatch", "PartialAvailability")
FAILING = {"GenericFailure": 1, "PartialAvailability": 2, "TagMismatch": 3}  # what check says then
PENDING = ("CreatePending", "UpdatePending", "ArchivePending")
# The contract's table, written down once more: which kinds may start from which status.
ALLOWED = {
    **dict.fromkeys(UP, ("update", "archive")),
    **dict.fromkeys(PENDING, ()),
    "Archived": ("restore", "cleanup"),
    "CleanupFailed": ("cleanup",),
}
MEANWHILE = {
    "create": "CreatePending",
    "update": "UpdatePending",
    "archive": "ArchivePending",
    "restore": "CreatePending",
    "cleanup": "Archived",
}
SCRIPTS = {kind: kind for kind in MEANWHILE} | {"restore": "unarchive"}
DOING = {
    "create": "being created",
    "update": "being updated",
    "archive": "being archived",
    "restore": "being restored",
    "cleanup": "being cleaned up",
}
CHANGE = {"application": {"set": {"A": "1"}}}
SINCE = r"since \d\d:\d\d UTC, asked for by local"


def act(server: Server, name: str, kind: str) -> requests.Response:
    """Ask for an action of any kind, with a body that is right for it."""
    if kind == "create":
        return server.create(name)
    return server.act(name, kind, **(CHANGE if kind == "update" else {}))


def accepted(answer: requests.Response) -> int:
    """The id of the action that was accepted."""
    assert answer.status_code == 202, answer.text
    return int(answer.headers["Location"].rpartition("/")[2])


def done(server: Server, name: str, kind: str, state: str = "succeeded") -> dict[str, Any]:
    """The action, asked for and finished in this state."""
    action = server.finished(accepted(act(server, name, kind)))
    assert action["state"] == state, action
    return action


def verdict(server: Server, name: str) -> dict[str, Any]:
    """What a check says that is run now; asked again when the monitor's own or an action's end came between."""

    def ask() -> Any:
        answer = server.post(f"/deployments/{name}/check")
        return answer.json() if answer.status_code == 200 else None

    return eventually(ask, f"a check of {name}")


def bring(server: Server, name: str, status: str) -> None:
    """Create a deployment and bring it into a status in which it stays."""
    board = server.board
    if status == "CreatePending":
        board.write(name, "check", "exit 1")
        done(server, name, "create")
    elif status == "Archived":
        server.archived(name)
    elif status == "CleanupFailed":
        server.archived(name)
        board.write(name, "cleanup", "exit 1")
        done(server, name, "cleanup", "failed")
    else:
        server.running(name)
    if status in FAILING:
        board.write(name, "check", f"exit {FAILING[status]}")
        verdict(server, name)
    elif status == "UpdatePending":
        board.write(name, "check", "exit 1")
        done(server, name, "update")
    elif status == "ArchivePending":
        board.write(name, "archive_check", "exit 1")
        done(server, name, "archive")
    server.settled(name, status)


def ready_for(server: Server, name: str, kind: str) -> None:
    """A deployment that an action of this kind may start from."""
    if kind in ("restore", "cleanup"):
        server.archived(name)
    elif kind != "create":
        server.running(name)


def history(server: Server, name: str) -> list[str]:
    """The kinds of all actions of a name, newest first."""
    return [action["kind"] for action in server.get("/actions", params={"deployment": name}).json()["items"]]


@pytest.fixture(scope="module")
def standing(server: Server) -> Iterator[Callable[[str], str]]:
    """The name of a deployment in a status, made when first asked for. Only for what changes nothing."""
    names: dict[str, str] = {}

    def find(status: str) -> str:
        if status not in names:
            name = f"standing-{next(numbers)}"
            bring(server, name, status)
            names[status] = name
        return names[status]

    yield find
    for name in names.values():
        server.forget(name)


def hang(then: str = "", first: str = ":") -> str:
    """Bash that never ends by itself; on TERM it does `then`. `first`, when it is ready for that."""
    return f"trap '{then}' TERM; {first}; while :; do sleep 600 & wait $!; done" if then else "exec sleep 600"


# --- the table ---


def test_table_of_these_tests_names_every_status_and_every_kind():
    assert set(ALLOWED) == set(Status)
    assert set(MEANWHILE) == set(STEPS)


@pytest.mark.parametrize("status", ALLOWED)
def test_allowed_actions_are_those_of_the_table(server, standing, status):
    assert tuple(server.deployment(standing(status))["allowed_actions"]) == ALLOWED[status]


REFUSED = [(status, kind) for status in ALLOWED for kind in MEANWHILE if kind not in ALLOWED[status]]


@pytest.mark.parametrize(("status", "kind"), REFUSED)
def test_action_that_the_table_does_not_allow_is_refused_and_changes_nothing(server, standing, status, kind):
    name = standing(status)
    before, actions = server.deployment(name), history(server, name)
    fields = ["name"] if kind == "create" else []
    detail = problem(act(server, name, kind), 409, *fields)["detail"]
    assert name in detail
    if kind == "create":
        assert "already" in detail
    else:
        assert detail.startswith(f"Cannot {kind} {name}: it is {'still being' if status in PENDING else status}")
    if kind != "create" and status in PENDING:
        assert re.search(f"it is still being [a-z]+ {SINCE}$", detail), "who is to blame"
    if kind != "create" and status not in PENDING:
        possible = {status for status in ALLOWED if kind in ALLOWED[status]}
        assert set(detail.partition("possible from ")[2].split(", ")) == possible
    assert steady(server.deployment(name)) == steady(before)
    assert history(server, name) == actions


STARTS = [(status, kind) for status in ALLOWED for kind in ALLOWED[status]]


@pytest.mark.parametrize(("status", "kind"), STARTS)
def test_action_that_the_table_allows_is_carried_out(server, board, name, status, kind):
    bring(server, name, status)
    board.write(name, "check", "exit 0")
    board.write(name, "cleanup", "exit 0")
    done(server, name, kind)
    assert [call.script for call in board.calls(name) if call.script == SCRIPTS[kind]]
    if kind == "cleanup":
        assert server.get(f"/deployments/{name}").status_code == 404
    else:
        server.settled(name, "Archived" if kind == "archive" else "Running")


@pytest.mark.parametrize("kind", MEANWHILE)
def test_nothing_else_is_accepted_while_an_action_runs(server, board, name, kind):
    ready_for(server, name, kind)
    gate = board.hold(name, SCRIPTS[kind])
    action = accepted(act(server, name, kind))
    board.wait_for_call(name, SCRIPTS[kind])
    busy = server.deployment(name)
    assert (busy["status"], busy["allowed_actions"]) == (MEANWHILE[kind], [])
    assert (busy["action"]["id"], busy["action"]["state"]) == (action, "running")
    for other in MEANWHILE:
        detail = problem(act(server, name, other), 409, *(["name"] if other == "create" else []))["detail"]
        assert other == "create" or re.search(f"^Cannot {other} {name}: it is {DOING[kind]} {SINCE}$", detail)
    assert re.search(
        f"it is {DOING[kind]} {SINCE}", problem(server.request("DELETE", f"/api/v1/deployments/{name}"), 409)["detail"]
    )
    problem(server.post(f"/deployments/{name}/check"), 409)
    assert server.deployment(name)["version"] == busy["version"]
    gate.open()
    assert server.finished(action)["state"] == "succeeded"


def test_created_deployment_runs_once_check_says_so(server, board, name):
    board.write(name, "check", "exit 1")
    answer = server.create(name)
    assert answer.status_code == 202
    assert answer.json()["status"] == "CreatePending"
    action = server.finished(answer.json()["action"]["id"])
    assert (action["state"], action["exit_code"]) == ("succeeded", 0)
    board.wait_for_call(name, "check")
    assert server.deployment(name)["status"] == "CreatePending"
    board.write(name, "check", "exit 0")
    assert server.settled(name, "Running")["links"] == [{"name": "app", "url": f"http://localhost/{name}"}]


@pytest.mark.parametrize(("kind", "check"), [("update", "check"), ("restore", "check"), ("archive", "archive_check")])
def test_status_stays_pending_until_its_check_says_so(server, board, name, kind, check):
    ready_for(server, name, kind)
    board.write(name, check, "echo still starting; exit 1")
    done(server, name, kind)
    unconfirmed = "Not confirmed yet: still starting"
    waiting = eventually(lambda: (found := server.deployment(name))["status_reason"] == unconfirmed and found)
    assert waiting["status"] == MEANWHILE[kind]
    board.write(name, check, "exit 0")
    server.settled(name, "Archived" if kind == "archive" else "Running")


@pytest.mark.parametrize("kind", MEANWHILE)
def test_failed_script_settles_the_status_at_once(server, board, name, kind):
    ready_for(server, name, kind)
    board.write(name, SCRIPTS[kind], "echo all is lost >&2; exit 7")
    board.write(name, "check", "exit 1")
    action = done(server, name, kind, "failed")
    assert action["exit_code"] == 7
    assert "exit code 7" in action["reason"] and "all is lost" in action["reason"]
    assert action["output_tail"] == "all is lost"
    deployment = server.deployment(name)
    assert deployment["status"] == ("CleanupFailed" if kind == "cleanup" else "GenericFailure")
    assert "all is lost" in deployment["status_reason"]


def test_whole_life_from_create_to_cleanup(server, board, name):
    server.archived(name)
    assert server.deployment(name)["archived_at"]
    assert server.act(name, "restore").status_code == 202
    assert server.settled(name, "Running")["archived_at"] is None
    assert server.act(name, "archive").status_code == 202
    server.settled(name, "Archived")
    action = server.act(name, "cleanup").json()
    assert server.finished(action["id"])["state"] == "succeeded"
    assert server.get(f"/deployments/{name}").status_code == 404
    assert history(server, name) == ["cleanup", "archive", "restore", "archive", "create"]
    assert server.create(name).status_code == 202, "the name is free again"


def test_failed_cleanup_can_be_tried_again_until_nothing_is_left(server, board, name):
    bring(server, name, "CleanupFailed")
    board.write(name, "cleanup", "echo volume is busy >&2; exit 3")
    done(server, name, "cleanup", "failed")
    assert "volume is busy" in server.settled(name, "CleanupFailed")["status_reason"]
    board.write(name, "cleanup", "exit 0")
    done(server, name, "cleanup")
    assert server.get(f"/deployments/{name}").status_code == 404
    assert history(server, name)[:3] == ["cleanup", "cleanup", "cleanup"]


def test_deployment_comes_back_from_the_archive_with_its_configuration(server, board, name):
    overrides = {"application": {"GREETING": "hi", "EXTRA": "1"}, "deployment": {"size": None, "region": "eu"}}
    server.running(name, **overrides)
    done(server, name, "archive")
    before = server.settled(name, "Archived")
    done(server, name, "restore")
    after = server.settled(name, "Running")
    for level in ("application_overrides", "deployment_overrides"):
        assert after[level] == before[level] == overrides[level.partition("_")[0]]
    created, restored = board.calls(name, "create")[0], board.calls(name, "unarchive")[0]
    assert restored.arguments == created.arguments


# --- updates that did not succeed ---


def spoil_by_failing(server: Server, name: str) -> None:
    server.board.write(name, "update", "exit 1")
    done(server, name, "update", "failed")


def spoil_by_cancelling(server: Server, name: str) -> None:
    server.board.write(name, "update", hang())
    action = accepted(act(server, name, "update"))
    server.board.wait_for_call(name, "update")
    assert server.post(f"/actions/{action}/cancel").status_code == 202
    assert server.finished(action)["state"] == "cancelled"


@pytest.mark.parametrize("spoil", [spoil_by_failing, spoil_by_cancelling])
def test_healthy_deployment_is_a_mismatch_after_an_unsuccessful_update(server, board, name, spoil):
    server.running(name)
    board.write(name, "check", "exit 1")
    spoil(server, name)
    assert server.deployment(name)["status"] == "GenericFailure"
    board.write(name, "check", "exit 0")
    assert (verdict(server, name)["exit_code"], verdict(server, name)["status"]) == (0, "TagMismatch")
    assert "the last update did not succeed" in server.settled(name, "TagMismatch")["status_reason"]
    assert verdict(server, name)["reason"] == server.deployment(name)["status_reason"]
    board.write(name, "update", "exit 0")
    done(server, name, "update")
    server.settled(name, "Running")
    assert verdict(server, name)["status"] == "Running"


def test_healthy_deployment_is_a_mismatch_after_an_update_took_too_long(hasty, name):
    hasty.running(name)
    hasty.board.write(name, "update", hang())
    action = done(hasty, name, "update", "timed_out")
    assert "took longer than" in action["reason"]
    hasty.settled(name, "TagMismatch")
    hasty.board.write(name, "update", "exit 0")
    # On a slow machine a second may be too short for any script: then it is a mismatch still, and tried again.
    eventually(lambda: hasty.finished(accepted(act(hasty, name, "update")))["state"] == "succeeded", "an update")
    hasty.settled(name, "Running")


def test_restoring_does_not_make_up_for_an_update_that_failed(server, board, name):
    server.running(name)
    spoil_by_failing(server, name)
    done(server, name, "archive")
    server.settled(name, "Archived")
    done(server, name, "restore")
    server.settled(name, "TagMismatch")


@pytest.mark.parametrize("kind", ["archive", "restore"])
def test_other_actions_that_fail_leave_no_mismatch(server, board, name, kind):
    ready_for(server, name, kind)
    board.write(name, SCRIPTS[kind], "exit 1")
    done(server, name, kind, "failed")
    server.settled(name, "Running")


# --- checks ---

EXITS = [
    ("exit 0", 0, "Running"),
    ("exit 1", 1, "GenericFailure"),
    ("exit 2", 2, "PartialAvailability"),
    ("exit 3", 3, "TagMismatch"),
    ("exit 4", 4, "GenericFailure"),
    ("exit 127", 127, "GenericFailure"),
    ("exit 255", 255, "GenericFailure"),
    ("kill -KILL $$", -9, "GenericFailure"),
    ("kill -TERM $$", -15, "GenericFailure"),
]


@pytest.mark.parametrize(("bash", "code", "status"), EXITS)
def test_check_names_the_status_by_its_exit_code(server, board, name, bash, code, status):
    bring(server, name, "TagMismatch" if status == "GenericFailure" else "GenericFailure")
    board.write(name, "check", f"echo the words of the check; {bash}")
    found = verdict(server, name)
    assert (found["exit_code"], found["status"], found["output"]) == (code, status, "the words of the check")
    deployment = server.settled(name, status)
    assert "the words of the check" in deployment["status_reason"]
    assert deployment["checked_at"] >= found["checked_at"]
    assert (f"signal {-code}" in deployment["status_reason"]) == (code < 0)


def test_check_that_hangs_is_a_failure_whatever_it_says_when_stopped(hasty, name):
    endings = {f"{name}-{number}": bash for number, bash in enumerate(["", "exit 0", "exit 2", "exit 3"])}
    for one, bash in endings.items():
        hasty.running(one)
        hasty.board.write(one, "check", hang(bash))
    for one, bash in endings.items():
        assert "took longer than" in hasty.settled(one, "GenericFailure")["status_reason"], bash


def test_monitor_moves_a_deployment_to_and_fro_between_running_and_failures(hasty, name):
    hasty.running(name)
    for code, status in [(2, "PartialAvailability"), (3, "TagMismatch"), (0, "Running")]:
        hasty.board.write(name, "check", f"exit {code}")
        hasty.settled(name, status)
    assert history(hasty, name) == ["create"]


def test_archived_deployment_cannot_be_checked(server, standing):
    for status in ("Archived", "CleanupFailed"):
        assert status in problem(server.post(f"/deployments/{standing(status)}/check"), 409)["detail"]


def test_check_that_fails_soon_after_a_failed_action_does_not_hide_why_that_failed(server, board, name):
    board.write(name, "create", "echo quota exceeded >&2; exit 1")
    board.write(name, "check", "echo not found; exit 1")
    done(server, name, "create", "failed")
    verdict(server, name)
    reason = server.deployment(name)["status_reason"]
    assert "quota exceeded" in reason and "not found" in reason


# The status that a pending one becomes, when its check has gone on to exit with a code for too long.
OVERDUE = [
    ("create", 1, "GenericFailure"),
    ("create", 2, "PartialAvailability"),
    ("update", 3, "TagMismatch"),
    ("restore", 2, "PartialAvailability"),
    ("archive", 1, "GenericFailure"),
    ("archive", 2, "GenericFailure"),
    ("archive", 3, "GenericFailure"),
]


@pytest.mark.parametrize(("kind", "code", "status"), OVERDUE)
def test_pending_status_ends_as_the_failure_that_the_check_names(hasty, name, kind, code, status):
    ready_for(hasty, name, kind)
    check = "archive_check" if kind == "archive" else "check"
    hasty.board.write(name, check, f"echo not there yet; exit {code}")
    hasty.finished(accepted(act(hasty, name, kind)))
    reason = hasty.settled(name, status)["status_reason"]
    assert reason.endswith("not there yet")


def test_check_begun_before_the_script_ended_does_not_count(server, board, name):
    server.running(name)
    stale = board.hold(name, "check", "exit 0")
    stale.reached()
    count = len(board.calls(name, "check"))
    board.write(name, "check", "exit 1")  # from here on
    done(server, name, "update")
    board.wait_for_call(name, "check", count + 1)
    stale.open()
    board.wait_for_call(name, "check", count + 2)
    assert server.deployment(name)["status"] == "UpdatePending"
    board.write(name, "check", "exit 0")
    server.settled(name, "Running")


def test_no_check_runs_during_an_action(server, board, name):
    server.running(name)
    last = board.hold(name, "check", "exit 3")
    last.reached()  # so none is about to begin
    count = len(board.calls(name, "check"))
    script = board.hold(name, "update")
    action = accepted(act(server, name, "update"))
    board.wait_for_call(name, "update")
    last.open()
    witness = f"{name}-w"
    server.running(witness)
    board.wait_for_call(witness, "check", len(board.calls(witness, "check")) + 1)  # others are checked meanwhile
    assert len(board.calls(name, "check")) == count
    assert server.deployment(name)["status"] == "UpdatePending", "what the last check said does not count"
    board.write(name, "check", "exit 0")
    script.open()
    server.finished(action)
    server.settled(name, "Running")


# --- at the same moment ---


def at_once(count: int, ask: Callable[[], requests.Response]) -> list[requests.Response]:
    with ThreadPoolExecutor(count) as threads:
        return [future.result() for future in [threads.submit(ask) for _ in range(count)]]


def all_at_the_gate(
    server: Server, name: str, count: int, method: Callable[[], requests.Response]
) -> list[requests.Response]:
    """Let requests wait in config_check, or for their turn at it, where each still thinks that it is alone; then let go
    of all at once.
    """
    gate = server.board.hold(name, "config_check")
    before = len(server.board.calls(name, "config_check"))
    with ThreadPoolExecutor(count) as threads:
        futures = [threads.submit(method) for _ in range(count)]
        server.board.wait_for_call(name, "config_check", before + min(count, CONFIG_CHECKS_AT_ONCE))
        gate.open()
        return [future.result() for future in futures]


def test_one_of_two_simultaneous_creates_of_a_name_wins(server, board, name):
    url, body = f"{server.url}/api/v1/deployments", {"name": name}
    answers = all_at_the_gate(server, name, 2, lambda: requests.post(url, json=body, timeout=30))
    assert sorted(answer.status_code for answer in answers) == [202, 409]
    loser = max(answers, key=lambda answer: answer.status_code)
    problem(loser, 409, "name")
    server.settled(name, "Running")
    assert len(board.calls(name, "create")) == 1
    assert history(server, name) == ["create"]


def test_one_of_twenty_simultaneous_actions_wins(server, board, name):
    server.running(name)
    script = board.hold(name, "update")
    url = f"{server.url}/api/v1/deployments/{name}/actions"
    answers = all_at_the_gate(
        server, name, 20, lambda: requests.post(url, json={"kind": "update"} | CHANGE, timeout=30)
    )
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 19
    losers = [answer for answer in answers if answer.status_code == 409]
    for answer in losers:
        assert re.search(
            rf"Cannot update {name}: it is (waiting to be|being) updated {SINCE}", problem(answer, 409)["detail"]
        )
    script.open()
    server.settled(name, "Running")
    assert len(board.calls(name, "update")) == 1
    assert history(server, name) == ["update", "create"]


def test_one_of_twenty_simultaneous_requests_without_config_check_wins(server, board, name):
    server.running(name)
    script = board.hold(name, "archive")
    url = f"{server.url}/api/v1/deployments/{name}/actions"
    answers = at_once(20, lambda: requests.post(url, json={"kind": "archive"}, timeout=30))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 19
    script.open()
    server.settled(name, "Archived")
    assert len(board.calls(name, "archive")) == 1


# --- forgetting, history, retention ---


def scripts_of(board: Board, name: str) -> list[str]:
    """The scripts of actions that were called for a deployment, in their order."""
    return [call.script for call in board.calls(name) if call.script in {*SCRIPTS.values(), "info"}]


def test_delete_is_allowed_in_every_status_and_runs_no_script(server, board, name):
    for number, status in enumerate(ALLOWED):
        one = f"{name}-{number}"
        bring(server, one, status)
        before = scripts_of(board, one)
        assert server.request("DELETE", f"/api/v1/deployments/{one}").status_code == 204, status
        assert server.get(f"/deployments/{one}").status_code == 404
        assert server.request("DELETE", f"/api/v1/deployments/{one}").status_code == 404
        actions = history(server, one)
        board.write(one, "check", "exit 0")
        server.running(one)  # the name is free again, and what is called for it from here on is the new one's
        assert scripts_of(board, one) == before + ["info", "create", "info"], status
        assert history(server, one) == ["create", *actions]


def test_history_of_a_removed_deployment_stays_readable(server, board, name):
    board.write(name, "cleanup", "echo swept")
    server.archived(name)
    cleanup = done(server, name, "cleanup")
    assert server.get(f"/deployments/{name}/actions").status_code == 404
    assert history(server, name) == ["cleanup", "archive", "create"]
    again = server.get(f"/actions/{cleanup['id']}").json()
    assert (again["deployment"], again["kind"], again["state"]) == (name, "cleanup", "succeeded")
    assert server.get(f"/actions/{cleanup['id']}/logs").text == "swept\n"
    server.running(name)
    assert history(server, name) == ["create", "cleanup", "archive", "create"], "both lives of the name"
    mine = server.get(f"/deployments/{name}/actions").json()["items"]
    assert [action["kind"] for action in mine] == ["create"], "the present one's only"


def test_long_archived_deployments_are_cleaned_up_a_few_at_a_time(new_server):
    server = new_server(ARCHIVE_RETENTION="0.5", CHECK_INTERVAL="0.2").start()
    board = server.board
    names = [f"old-{number}" for number in range(5)]
    gates = {name: board.hold(name, "cleanup") for name in names}
    server.running("young")
    for name in names:
        server.running(name)
        accepted(act(server, name, "archive"))

    def begun() -> list[str]:
        return [name for name in names if board.calls(name, "cleanup")]

    first = eventually(lambda: begun() if len(begun()) == 4 else None, "four cleanups")
    fourth = max(board.calls(name, "cleanup")[0].at for name in first)
    eventually(lambda: board.calls("young", "check")[-1].at > fourth + 2.5)  # long enough for two more looks
    assert begun() == first, "the fifth waits for its turn"
    (fifth,) = set(names) - set(first)
    assert server.settled(fifth, "Archived")
    action = server.deployment(first[0])["action"]
    assert (action["kind"], action["requested_by"]) == ("cleanup", "retention")
    for gate in gates.values():
        gate.open()
    for name in names:
        eventually(lambda name=name: server.get(f"/deployments/{name}").status_code == 404, f"the end of {name}")
        assert history(server, name) == ["cleanup", "archive", "create"]
    assert server.deployment("young")["status"] == "Running"


def test_deployment_restored_in_time_is_not_cleaned_up(server, board, name):
    """Retention counts from the last time it was archived: the moment is forgotten by a restore."""
    first = server.archived(name)["archived_at"]
    done(server, name, "restore")
    assert server.settled(name, "Running")["archived_at"] is None
    done(server, name, "archive")
    assert server.settled(name, "Archived")["archived_at"] > first
