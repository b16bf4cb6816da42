"""The contract of control scripts, seen from the scripts: which, when, with which arguments and environment."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from answers import problem
from conftest import PATIENCE, ROOT, SUITE, Server, eventually
from test_life import accepted, act, done, hang, verdict

from octopod.settings import SCRIPT_SETTINGS, SETTINGS

PROJECT = ["--project-name", "Octopod", "--base-domain", "localhost", "--namespace", "default"]
ABOUT_ONE = (
    *("config_check", "info", "create", "check", "update", "archive", "archive_check", "unarchive", "cleanup"),
    "notifications",
)


def flags(level: str, *pairs: str) -> list[str]:
    return [word for pair in pairs for word in (f"--{level}-config", pair)]


def live(server: Server, name: str, **overrides: dict) -> None:
    """Let a deployment have all there is in a life, so that every script is called for it."""
    server.running(name, **overrides)
    for kind, status in [
        ("update", "Running"),
        ("archive", "Archived"),
        ("restore", "Running"),
        ("archive", "Archived"),
    ]:
        accepted(server.act(name, kind, **({"application": {}} if kind == "update" else {})))
        server.settled(name, status)
    done(server, name, "cleanup")


def defaults(server: Server, level: str = "deployment") -> requests.Response:
    if level == "deployment":
        return server.get("/config/deployment")
    return server.post("/config/application", {})


# --- arguments ---


def test_every_script_gets_its_arguments_exactly_in_order(server, board, name):
    live(server, name, application={"EXTRA": "1", "GREETING": "hi"}, deployment={"zone": name, "size": None})
    config = flags("application", "EXTRA=1", "GREETING=hi", "API_TOKEN=default-token")
    deployment = flags("deployment", f"zone={name}", "image.tag=v1")
    for script in ABOUT_ONE[:-1]:
        calls = board.calls(name, script)
        assert calls, script
        for call in calls:
            assert call.arguments == PROJECT + ["--name", name] + config + deployment, script
    for script in ("deployment_config", "init"):
        for call in board.calls("_", script):
            assert call.arguments == ([] if script == "init" else PROJECT)
    asked = [call.arguments for call in board.calls("_", "application_config")]
    assert PROJECT + deployment in asked


def test_suggestion_scripts_get_the_arguments_of_the_defaults_scripts(server, board, name):
    answer = server.post("/config/application/keys", {"deployment_overrides": {"zone": name, "size": None}})
    assert answer.json()["items"] == ["GREETING", "API_TOKEN", "DEBUG"]
    expected = PROJECT + flags("deployment", f"zone={name}", "image.tag=v1")
    assert expected in [call.arguments for call in board.calls("_", "application_config_keys")]
    assert server.get("/config/deployment/keys").json()["items"] == ["image.tag", "size", "region"]
    assert {tuple(call.arguments) for call in board.calls("_", "deployment_config_keys")} == {tuple(PROJECT)}


def test_application_defaults_are_asked_for_with_the_effective_deployment_configuration(server, board, name):
    board.write(
        "_",
        "application_config",
        'for word; do case $word in zone=*) echo "ZONE,${word#zone=}" ;; esac; done; echo GREETING,hello; echo API_TOKEN,default-token',
    )
    answer = server.post("/config/application", {"deployment_overrides": {"zone": name}})
    board.clear("_", "application_config")
    assert {"key": "ZONE", "value": name} in answer.json()["items"]


VALUES = {
    "spaces": "  two  words ",
    "equals": "a=b==c",
    "quotes": 'it\'s "quoted" `so`',
    "newlines": "one\ntwo\r\n\nlast\n",
    "emoji": "🐙 naïve 漢字",
    "shell": "$(touch pwned) ${HOME} ; rm -rf * | \\ & > x",
    "option": "--name",
    "comma": "a,b,,c",
    "control": "\x01\x1b[31m\t\x7f",
    "long": "x" * 100_000,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values_reach_the_script_byte_for_byte(server, board, name, value):
    deployment = server.running(name, application={"A": value}, deployment={"D": value})
    for script in ("config_check", "create", "info", "check"):
        assert {f"A={value}", f"D={value}"} <= set(board.calls(name, script)[0].arguments)
    assert deployment["application_overrides"] == {"A": value}
    assert deployment["deployment_overrides"] == {"D": value}


def test_configuration_that_no_script_could_be_called_with_is_refused(server, board, name):
    """Each value fits into an argument, all of them do not."""
    answer = server.create(name, application={f"K{number}": "x" * 100_000 for number in range(30)})
    assert "Argument list too long" in problem(answer, 422)["detail"]
    assert server.get(f"/deployments/{name}").status_code == 404


# --- surroundings ---


def test_scripts_see_nothing_that_belongs_to_the_server(new_server):
    secrets = {"POWER_AUTHORIZATION_HEADER": "Bearer power-power", "OCTOPOD_UI_BASIC_AUTH": "bob:basic-basic"}
    bare = {"PROJECT_NAME": "Fruit", "STATUS_UPDATE_TIMEOUT": "600", "CREATION_COMMAND": str(SUITE / "create")}
    server = new_server()
    server.env |= secrets | bare | {"HOME": "/nonexistent", "TEAM": "green"}
    server.http.headers["Authorization"] = "Bearer power-power"
    server.start()
    live(server, "orange")
    calls = server.board.calls("orange") + server.board.calls("_")
    assert {call.script for call in calls} >= {*ABOUT_ONE, "init", "deployment_config", "application_config"}
    allowed = {"OCTOPOD_ACTION_ID", "OCTOPOD_DEPLOYMENT", "OCTOPOD_SUITE_DATA"}
    for call in calls:
        assert {name for name in call.environment if name.startswith("OCTO")} == allowed, call.script
        assert not {setting.name for setting in SETTINGS} & set(call.environment), call.script
        values = "\n".join(call.environment.values())
        assert "power-power" not in values and "basic-basic" not in values, call.script
        assert (call.environment["TEAM"], call.environment["HOME"]) == ("green", "/nonexistent"), (
            "the rest is the server's"
        )
        assert call.environment["PATH"] == server.env["PATH"]


def test_scripts_are_told_action_deployment_and_a_place_for_their_state(server, board, name):
    server.running(name)
    action = done(server, name, "update")
    call = board.calls(name, "update")[0]
    assert call.environment["OCTOPOD_ACTION_ID"] == str(action["id"])
    for script in ("update", "check", "info", "config_check", "notifications"):
        call = board.wait_for_call(name, script)
        assert call.environment["OCTOPOD_DEPLOYMENT"] == name
        assert Path(call.environment["OCTOPOD_SUITE_DATA"]).is_dir()
    check = board.calls(name, "check")[0].environment
    assert check["OCTOPOD_ACTION_ID"] == ""
    whole_suite = board.calls("_", "deployment_config")[0].environment
    assert (whole_suite["OCTOPOD_DEPLOYMENT"], whole_suite["OCTOPOD_ACTION_ID"]) == ("", "")
    assert whole_suite["OCTOPOD_SUITE_DATA"] == check["OCTOPOD_SUITE_DATA"]


def test_state_that_a_script_keeps_is_there_for_the_next(server, board, name):
    board.write(name, "create", 'echo kept >"$OCTOPOD_SUITE_DATA/$OCTOPOD_DEPLOYMENT"')
    board.write(name, "update", 'cat "$OCTOPOD_SUITE_DATA/$OCTOPOD_DEPLOYMENT"')
    server.running(name)
    assert server.get(f"/actions/{done(server, name, 'update')['id']}/logs").text == "kept\n"


def test_standard_input_of_scripts_is_empty(server, board, name):
    for script in ("create", "check", "config_check"):
        board.write(name, script, 'said=$(cat); echo "<$said>"; [ -z "$said" ]')
    action = accepted(server.create(name))
    server.settled(name, "Running")
    assert server.get(f"/actions/{action}/logs").text == "<>\n"
    assert verdict(server, name)["output"] == "<>"


# --- info ---


def test_links_are_asked_for_before_the_script_and_again_after_it(server, board, name):
    board.write(name, "info", "echo logs,http://localhost/logs")
    gate = board.hold(name, "create")
    action = accepted(server.create(name))
    gate.reached()
    assert server.deployment(name)["links"] == [{"name": "logs", "url": "http://localhost/logs"}]
    board.write(
        name,
        "info",
        'echo \'the app, or so\',x; printf \'app,http://localhost/?a=1,2\\n\\n"q ""x""",http://localhost/q\\n\'',
    )
    gate.open()
    server.finished(action)
    assert server.deployment(name)["links"] == [
        {"name": "the app", "url": " or so,x"},
        {"name": "app", "url": "http://localhost/?a=1,2"},
        {"name": 'q "x"', "url": "http://localhost/q"},
    ]
    assert [call.script for call in board.calls(name)[1:4]] == ["info", "create", "info"]


def test_links_are_not_asked_for_after_a_script_that_failed(server, board, name):
    board.write(name, "create", "exit 1")
    done(server, name, "create", "failed")
    assert len(board.calls(name, "info")) == 1


@pytest.mark.parametrize(
    "rubbish", ["echo no comma here", "printf '\"open,x'", "echo app,http://new; exit 1", "kill $$"]
)
def test_info_that_prints_rubbish_leaves_the_old_links(server, board, name, rubbish):
    links = server.running(name)["links"]
    assert links
    board.write(name, "info", rubbish)
    done(server, name, "update")
    assert server.settled(name, "Running")["links"] == links
    assert any(entry.get("event") == "no links" and entry["deployment"] == name for entry in log_of(server))


def log_of(server: Server) -> list[dict]:
    return [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]


# --- init ---


def test_init_runs_once_at_each_start_and_nothing_happens_before_it_has_ended(new_server):
    server = new_server()
    gate = server.board.hold("_", "init")
    with server.log.open("ab") as log:
        server.process = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py")], env=server.env, cwd=server.directory, stdout=log, stderr=log
        )
    gate.reached()
    with pytest.raises(requests.ConnectionError):
        server.get("/project")
    assert [call.script for call in server.board.calls("_")] == ["init"]
    gate.open()
    eventually(server._is_up, "the server")
    server.running("orange")
    assert [call.script for call in server.board.calls("_")].count("init") == 1
    server.stop()
    server.board.clear("_", "init")
    server.start()
    assert [call.script for call in server.board.calls("_")].count("init") == 2


def test_init_that_fails_stops_the_start_and_says_why(new_server):
    server = new_server()
    server.board.write("_", "init", "echo looking; echo there is no helm here >&2; exit 3")
    ended = subprocess.run(
        [sys.executable, str(ROOT / "app.py")],
        env=server.env,
        cwd=server.directory,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == 1
    assert "The suite's init failed: exit code 3\nthere is no helm here" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [call.script for call in server.board.calls("_")] == ["init"]


# --- notifications ---


def told(server: Server, name: str) -> list[tuple[str, str]]:
    """The status changes that `notifications` was told of so far. They come in order, so a later one shows that all are there."""
    marker = f"{name}-m"
    server.running(marker)
    server.board.wait_for_call(marker, "notifications")
    calls = server.board.calls(name, "notifications")
    for call in calls:
        assert call.arguments[:9] == [*PROJECT, "--name", name, "--old-status"]
        assert call.arguments[10] == "--new-status" and len(call.arguments) == 12
    return [(call.arguments[9], call.arguments[11]) for call in calls]


def test_notifications_tell_every_change_but_creation_and_deletion_in_order(server, board, name):
    server.running(name)
    board.write(name, "check", "exit 2")
    server.settled(name, "PartialAvailability")
    board.write(name, "check", "exit 0")
    server.settled(name, "Running")
    for kind, status in [
        ("update", "Running"),
        ("archive", "Archived"),
        ("restore", "Running"),
        ("archive", "Archived"),
    ]:
        accepted(act(server, name, kind))
        server.settled(name, status)
    board.write(name, "cleanup", "exit 1")
    done(server, name, "cleanup", "failed")
    done(server, name, "cleanup", "failed")
    board.write(name, "cleanup", "exit 0")
    done(server, name, "cleanup")
    assert told(server, name) == [
        ("CreatePending", "Running"),
        ("Running", "PartialAvailability"),
        ("PartialAvailability", "Running"),
        ("Running", "UpdatePending"),
        ("UpdatePending", "Running"),
        ("Running", "ArchivePending"),
        ("ArchivePending", "Archived"),
        ("Archived", "CreatePending"),
        ("CreatePending", "Running"),
        ("Running", "ArchivePending"),
        ("ArchivePending", "Archived"),
        ("Archived", "CleanupFailed"),
    ]


def test_notifications_tell_of_a_creation_that_failed_and_not_of_forgetting(server, board, name):
    board.write(name, "create", "exit 1")
    board.write(name, "check", "exit 1")
    done(server, name, "create", "failed")
    assert server.request("DELETE", f"/api/v1/deployments/{name}").status_code == 204
    assert told(server, name) == [("CreatePending", "GenericFailure")]


def test_notification_that_fails_is_logged_and_holds_nothing_up(server, board, name):
    board.write(name, "notifications", "exit 9")
    server.running(name)

    def logged() -> list[dict]:
        return [
            entry
            for entry in log_of(server)
            if entry.get("event") == "notification failed" and entry["deployment"] == name
        ]

    assert eventually(logged)[0]["problem"] == "exit code 9"
    done(server, name, "update")
    server.settled(name, "Running")


# --- config_check ---

UPDATES = [
    {"application": {"set": {"NEW": "1", "GREETING": None}, "unset": ["EXTRA"]}},
    {"deployment": {"set": {"size": "big", "image.tag": None}, "unset": []}},
    {"application_overrides": {"ONLY": "this"}, "deployment_overrides": {"size": None}},
    {"application": {"unset": ["EXTRA"]}, "deployment": {"unset": ["zone"]}},
]


@pytest.mark.parametrize("change", UPDATES)
def test_config_check_is_asked_about_exactly_what_the_update_then_uses(server, board, name, change):
    server.running(name, application={"EXTRA": "1"}, deployment={"zone": "a"})
    before = board.calls(name, "create")[0].arguments
    server.finished(accepted(server.act(name, "update", **change)))
    asked, used = board.calls(name, "config_check")[-1], board.calls(name, "update")[-1]
    assert asked.arguments == used.arguments != before


def test_config_check_is_asked_about_exactly_what_create_and_restore_then_use(server, board, name):
    server.running(name, application={"EXTRA": "1", "GREETING": None}, deployment={"size": None})
    for kind in ("archive", "restore"):
        done(server, name, kind)
        server.settled(name, "Archived" if kind == "archive" else "Running")
    asked = [call.arguments for call in board.calls(name, "config_check")]
    used = [call.arguments for script in ("create", "unarchive") for call in board.calls(name, script)]
    assert asked == used and len(used) == 2
    done(server, name, "archive")
    server.settled(name, "Archived")
    done(server, name, "cleanup")
    assert len(board.calls(name, "config_check")) == 2, (
        "archive and cleanup are not to be refused for their configuration"
    )


@pytest.mark.parametrize("kind", ["create", "update", "restore"])
def test_what_config_check_refuses_is_answered_in_its_words_and_changes_nothing(server, board, name, kind):
    if kind != "create":
        (server.archived if kind == "restore" else server.running)(name)
        before = server.deployment(name)
    calls = len([call for call in board.calls(name) if call.script in ("create", "update", "unarchive")])
    board.write(name, "config_check", "echo 'There is no tag v9.'; echo 'Try v8.'; echo debug >&2; exit 4")
    assert problem(act(server, name, kind), 422)["detail"] == "There is no tag v9.\nTry v8."
    if kind == "create":
        assert server.get(f"/deployments/{name}").status_code == 404
        assert server.get("/actions", params={"deployment": name}).json()["items"] == []
    else:
        after = server.deployment(name)
        keep = ("status", "application_overrides", "deployment_overrides", "version", "action")
        assert [after[key] for key in keep] == [before[key] for key in keep]
    assert len([call for call in board.calls(name) if call.script in ("create", "update", "unarchive")]) == calls


@pytest.mark.parametrize(
    ("bash", "detail"),
    [
        ("echo only on stderr >&2; exit 1", "only on stderr"),
        ("exit 5", "config_check refused this configuration: exit code 5"),
        ("kill $$", "config_check refused this configuration: it was ended by signal 15"),
    ],
)
def test_config_check_that_says_nothing_on_stdout_refuses_too(server, board, name, bash, detail):
    board.write(name, "config_check", bash)
    assert problem(server.create(name), 422)["detail"] == detail


def test_config_check_that_hangs_refuses_whatever_it_says_when_stopped(hasty, name):
    hasty.board.write(name, "config_check", hang("exit 0"))
    assert "it took longer than" in problem(hasty.create(name), 422)["detail"]


def test_secrets_do_not_come_back_in_a_refusal(server, board, name):
    board.write(name, "config_check", 'echo "bad configuration: $*"; exit 1')
    detail = problem(server.create(name, application={"DB_PASSWORD": "hunter2hunter2"}), 422)["detail"]
    assert "DB_PASSWORD=********" in detail and "hunter2" not in detail


# --- defaults that cannot be had ---

BAD = {
    "failing": "echo A,1; echo no access to the registry >&2; exit 1",
    "one column": "echo A,1; echo no comma",
    "unclosed quote": "printf 'A,\"1'",
    "bad key": "echo '..,1'",
    "killed": "kill -KILL $$",
    "hanging": hang(),
}


def test_defaults_that_cannot_be_had_are_an_error_and_never_none(new_server):
    server = new_server(CHECK_TIMEOUT="1").start()
    for level in ("deployment", "application"):
        script = f"{level}_config"
        for what, bash in BAD.items():
            server.board.write("_", script, bash)
            answer = defaults(server, level)
            assert script in problem(answer, 503)["detail"], what
            assert ("no access to the registry" in answer.text) == (what == "failing")
            assert int(answer.headers["Retry-After"]) > 0
        problem(server.create("orange"), 503)
        assert server.get("/actions").json()["items"] == []
        server.board.write("_", script, "echo A,1")
        # A second may be short for any script on a slow machine.
        eventually(lambda level=level: defaults(server, level).status_code == 200, "the defaults")
        assert defaults(server, level).json() == {"items": [{"key": "A", "value": "1"}], "stale": False}


def test_script_that_prints_nothing_says_that_there_are_no_defaults(new_server):
    server = new_server()
    for level in ("deployment", "application"):
        server.board.write("_", f"{level}_config", "exit 0")
    server.start()
    assert defaults(server).json() == {"items": [], "stale": False}
    server.running("orange", application={"A": "1"})
    assert server.board.calls("orange", "create")[0].arguments == [
        *PROJECT,
        "--name",
        "orange",
        *flags("application", "A=1"),
    ]


def test_changed_defaults_are_in_use_after_a_while_and_the_last_good_ones_stay_when_there_are_none(new_server):
    server = new_server(CACHE_UPDATE_TIME="0.05").start()
    server.running("orange")
    server.board.write("_", "deployment_config", "echo size,huge")
    huge = [{"key": "size", "value": "huge"}]
    eventually(lambda: defaults(server).json() == {"items": huge, "stale": False}, "the new defaults")
    done(server, "orange", "update")
    assert "size=huge" in server.board.calls("orange", "update")[0].arguments

    for level in ("deployment", "application"):
        before = defaults(server, level).json()["items"]
        server.board.write("_", f"{level}_config", BAD["failing"])
        stale = eventually(
            lambda level=level: (found := defaults(server, level).json())["stale"] and found, "stale ones"
        )
        assert stale["items"] == before and before
    server.running("lemon")
    assert {"size=huge", "GREETING=hello"} <= set(server.board.calls("lemon", "create")[0].arguments)


def test_what_has_been_deployed_lets_its_defaults_be_asked_for_again(new_server):
    server = new_server(CACHE_UPDATE_TIME="3600").start()
    server.running("orange")
    server.board.write("_", "application_config", "echo GREETING,hi")
    assert defaults(server, "application").json()["items"] != [{"key": "GREETING", "value": "hi"}]
    done(server, "orange", "update")
    wanted = [{"key": "GREETING", "value": "hi"}]
    eventually(lambda: defaults(server, "application").json()["items"] == wanted, "the new defaults")


def test_defaults_that_could_not_be_refreshed_for_too_long_are_not_used_any_more(new_server):
    server = new_server(CACHE_UPDATE_TIME="0.05", CACHE_INVALIDATION_TIME="0.5").start()
    assert defaults(server).status_code == 200
    server.board.write("_", "deployment_config", BAD["failing"])
    eventually(lambda: defaults(server).status_code == 503, "the end of the old defaults")
    server.board.write("_", "deployment_config", "echo size,huge")
    assert defaults(server).json() == {"items": [{"key": "size", "value": "huge"}], "stale": False}


# --- which file is run ---


@pytest.fixture
def own_suite(tmp_path: Path) -> Path:
    """A copy of the suite that a test may change."""
    return Path(shutil.copytree(SUITE, tmp_path / "suite", symlinks=True))


def test_files_named_as_in_the_original_suites_are_found(new_server, own_suite):
    renamed = {
        "deployment_config": "deployment_overrides",
        "deployment_config_keys": "deployment_keys",
        "application_config": "app_overrides",
        "application_config_keys": "app_keys",
        "notifications": "notification",
    }
    for new, old in renamed.items():
        (own_suite / new).rename(own_suite / old)
    server = new_server(CONTROL_SCRIPTS=str(own_suite))
    for script in renamed.values():
        server.board.write("_", script, f"echo {script},1")
    server.start()
    assert defaults(server).json()["items"] == [{"key": "deployment_overrides", "value": "1"}]
    assert defaults(server, "application").json()["items"] == [{"key": "app_overrides", "value": "1"}]
    assert server.get("/config/deployment/keys").json()["items"] == ["deployment_keys,1"]
    assert server.post("/config/application/keys", {}).json()["items"] == ["app_keys,1"]
    server.running("orange")
    assert server.board.wait_for_call("orange", "notification").arguments[-1] == "Running"
    assert not [entry for entry in log_of(server) if entry.get("event") == "script missing"]


def test_settings_name_a_file_for_each_script_and_win_over_the_suite(new_server, tmp_path):
    bare = {setting.name for setting in SETTINGS if setting.bare}
    server = new_server()
    for script, setting in SCRIPT_SETTINGS.items():
        (tmp_path / f"my-{script}").symlink_to(SUITE / "create")
        server.env[setting if setting in bare else f"OCTOPOD_{setting}"] = str(tmp_path / f"my-{script}")
    server.start()
    live(server, "orange")
    defaults(server, "application")
    server.get("/config/deployment/keys")
    server.post("/config/application/keys", {})
    server.board.wait_for_call("orange", "my-notifications")
    called = {call.script for name in ("orange", "_") for call in server.board.calls(name)}
    assert called == {f"my-{script}" for script in SCRIPT_SETTINGS} - {"my-tag_check"}


def test_script_that_cannot_be_run_fails_with_127_and_the_reason(new_server, own_suite):
    (own_suite / "update").unlink()
    (own_suite / "cleanup").unlink()
    (own_suite / "init").unlink()
    (own_suite / "notifications").unlink()
    (own_suite / "archive").unlink()
    (own_suite / "archive").write_text("#!/bin/sh\n")
    real = (own_suite / "create").read_text()
    for other in own_suite.iterdir():
        if other.is_symlink():
            other.unlink()
            other.write_text(real)
            other.chmod(0o755)
    (own_suite / "create").write_text("#!/no/such/interpreter\n")
    server = new_server(CONTROL_SCRIPTS=str(own_suite)).start()
    missing = {entry["script"] for entry in log_of(server) if entry.get("event") == "script missing"}
    assert missing == {"update", "cleanup"}, "init and notifications are optional"
    warned = [entry for entry in log_of(server) if entry.get("level") in ("warning", "error")]
    assert len([entry for entry in warned if "SERVO_TOKEN" not in entry["event"]]) == 2
    for kind, reason in [
        ("create", f"Cannot run {own_suite}/create: the interpreter named in its first line is not on this machine"),
        ("update", f"Cannot run {own_suite}/update: there is no such file"),
        ("archive", f"Cannot run {own_suite}/archive: it is not executable"),
    ]:
        action = done(server, "orange", kind, "failed")
        assert action["exit_code"] == 127
        assert action["reason"].startswith(reason)


def test_server_does_not_start_without_its_suite(new_server, tmp_path):
    server = new_server(CONTROL_SCRIPTS=str(tmp_path / "nowhere"))
    ended = subprocess.run(
        [sys.executable, str(ROOT / "app.py")],
        env=server.env,
        cwd=server.directory,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == 1
    assert f"OCTOPOD_CONTROL_SCRIPTS is {tmp_path}/nowhere, which is not a directory" in ended.stderr


def test_change_that_names_no_level_is_no_change_of_configuration(server, board, name):
    """An update may be asked for only to run the script again."""
    server.running(name, application={"EXTRA": "1"})
    server.finished(accepted(server.act(name, "update", application={})))
    assert board.calls(name, "update")[0].arguments == board.calls(name, "create")[0].arguments


def test_deployment_whose_defaults_are_gone_can_still_be_checked_archived_and_cleaned_up(new_server):
    server = new_server(CACHE_UPDATE_TIME="1", CACHE_INVALIDATION_TIME="1").start()
    name = "leftover"
    server.running(name, application={"COLOUR": "blue"})
    created_with = server.board.calls(name, "create")[0].arguments
    server.board.write("_", "application_config", "echo the branch is gone >&2; exit 1")
    eventually(lambda: server.post("/config/application", {}).status_code == 503, "the defaults to be gone")
    checked = server.post(f"/deployments/{name}/check").json()
    assert (checked["status"], checked["exit_code"]) == ("Running", 0)
    assert server.act(name, "update", application={"set": {"COLOUR": "red"}}).status_code == 503
    assert server.act(name, "archive").status_code == 202
    server.settled(name, "Archived")
    assert server.board.calls(name, "archive")[0].arguments == created_with
    assert server.act(name, "restore").status_code == 503
    cleanup = server.act(name, "cleanup").json()
    assert server.finished(cleanup["id"])["state"] == "succeeded"
