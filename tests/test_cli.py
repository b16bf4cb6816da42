"""The octo CLI as its users have it: the real program, the real server, what it prints and the code it exits with."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from conftest import ROOT, Server, clean_environment, free_port, numbers

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # makes no difference to the CLI


@pytest.fixture(autouse=True)
def on_sqlite(database: str) -> None:
    """For the mark above, which wants every test to know of `database`."""


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Octo:
    """The CLI, told where the server is and what else is in its environment."""

    def __init__(self, url: str, **environment: str) -> None:
        own = {"OCTOPOD_URL": url, "TERM": "xterm", "NO_PROXY": "*"}
        kept = {key: value for key, value in clean_environment().items() if key not in ("COLUMNS", "NO_COLOR")}
        self.environment = kept | own | environment

    def __call__(self, *arguments: str | bytes, typed: str = "", **options: Any) -> Outcome:
        with self.start(*arguments, **options) as process:
            out, err = process.communicate(typed.encode())
        return Outcome(process.returncode, out.decode(), err.decode())

    def start(self, *arguments: str | bytes, **options: Any) -> subprocess.Popen[bytes]:
        """The CLI under way; capital letters: of the environment."""
        environment = self.environment | {key: options.pop(key) for key in list(options) if key.isupper()}
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options
        command = [sys.executable, str(ROOT / "cli.py"), *arguments]
        return subprocess.Popen(command, env=environment, preexec_fn=obey_ctrl_c, **streams)

    def on_terminal(self, *arguments: str, typed: str = "") -> tuple[int, str]:
        """The exit code, and everything that a terminal of 80 columns got to see."""
        ours, its = pty.openpty()
        shown = b""
        with self.start(*arguments, stdin=its, stdout=its, stderr=its) as process:
            os.close(its)
            os.write(ours, typed.encode())
            with suppress(OSError):  # it is closed at the other end
                while piece := os.read(ours, 65536):
                    shown += piece
            os.close(ours)
        return process.returncode, shown.decode()

    @contextmanager
    def waiting(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """The CLI in the middle of a --wait, for an action that runs."""
        with self.start(*arguments, "--wait") as process:
            assert process.stderr
            while b"running" not in (line := process.stderr.readline()):
                assert line, "ended too early"
            yield process


def obey_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who starts the tests in the background ignores it


@pytest.fixture
def octo(server: Server) -> Octo:
    return Octo(server.url)


@pytest.fixture
def nobody() -> Octo:
    """The CLI when no server listens."""
    return Octo(f"http://127.0.0.1:{free_port()}")


@pytest.fixture(scope="module")
def guarded(new_database: Callable[[str], str], scratch: Any) -> Iterator[Server]:
    """A server with logins, and with an admin header for scripts."""
    directory = scratch / f"server-guarded-{next(numbers)}"
    directory.mkdir()
    logins = {"UI_BASIC_AUTH": "user:secret", "POWER_AUTHORIZATION_HEADER": "Bearer octopus"}
    server = Server(directory, new_database("sqlite"), **logins).start()
    server.http.headers["Authorization"] = "Bearer octopus"
    yield server
    server.stop()


class Asked(NamedTuple):
    """A request that somebody got."""

    method: str
    path: str
    headers: dict[str, str]


class Stranger(Octo):
    """The CLI, and somebody who is no server, but answers it."""

    def __init__(self, port: int) -> None:
        super().__init__(f"http://127.0.0.1:{port}")
        self.asked: list[Asked] = []


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[Stranger]:
    """The CLI, and somebody who gives the same answer to everything; status 0: none at all."""
    with answering_in_turn((status, body, headers)) as octo:
        yield octo


@contextmanager
def answering_in_turn(*answers: tuple[int, bytes, dict[str, str]], port: int = 0) -> Iterator[Stranger]:
    """The CLI, and somebody who gives one of these answers after the other, and the last one for ever."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            octo.asked.append(Asked(self.command, self.path, dict(self.headers)))
            status, body, headers = answers[min(len(octo.asked), len(answers)) - 1]
            if not status:
                return
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as stranger:
        octo = Stranger(stranger.server_port)
        thread = threading.Thread(target=stranger.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield octo
        stranger.shutdown()
        thread.join()


def overrides(server: Server, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    deployment = server.deployment(name)
    return deployment["application_overrides"], deployment["deployment_overrides"]


def newest(server: Server, name: str) -> dict[str, Any]:
    return server.get("/actions", params={"deployment": name, "limit": 1}).json()["items"][0]


# --- Every command --------------------------------------------------------------------------------------------------


def test_whole_life_of_a_deployment(server, octo, name):
    assert octo("create", "-n", name, "--wait")[:2] == (0, f"app\thttp://localhost/{name}\n")
    assert octo("status", "-n", name).out.startswith("Running: ")
    assert octo("list", "-q", name, "--names").out == f"{name}\n"
    assert octo("update", "-n", name, "-e", "A=1", "--wait")[:2] == (0, f"app\thttp://localhost/{name}\n")
    assert octo("archive", "-n", name, "--wait")[:2] == (0, "")
    assert octo("list", "-q", name, "--archived", "false", "--names").out == ""
    assert octo("list", "-q", name, "--names").out == f"{name}\n"
    assert octo("restore", "-n", name, "--wait").code == 0
    assert octo("archive", "-n", name, "--wait").code == 0
    assert octo("cleanup", "-n", name, "--wait")[:2] == (0, "")
    assert octo("info", "-n", name).code == 3
    kinds = [action["kind"] for action in server.get("/actions", params={"deployment": name}).json()["items"]]
    assert kinds == ["cleanup", "archive", "restore", "archive", "update", "create"]


def test_without_wait_the_action_is_printed_and_goes_on(server, octo, name):
    code, out, err = octo("create", "-n", name)
    assert code == 0
    assert out == f"{newest(server, name)['id']}\n"
    assert f"octo logs --follow -a {out.strip()}" in err
    server.settled(name, "Running")


def test_info_shows_overrides_links_and_actions(server, octo, name):
    server.running(name, application={"LEVEL": "debug", "GREETING": None}, deployment={"size": "big"})
    out = octo("info", "-n", name).out
    assert out.startswith(f"{name}: Running\n")
    assert re.search(r"^  LEVEL +debug$", out, re.M)
    assert re.search(r"^  GREETING +<<REMOVED>>$", out, re.M)
    assert re.search(r"^  size +big$", out, re.M)
    assert f"  app\thttp://localhost/{name}\n" in out
    assert re.search(rf"^  {newest(server, name)['id']} +create +succeeded +local ", out, re.M)


def test_config_tells_where_each_value_comes_from(server, octo, name):
    server.running(name, application={"LEVEL": "debug", "GREETING": None}, deployment={"size": "big"})
    out = octo("config", "-n", name).out
    assert re.search(r"^  LEVEL +debug +custom$", out, re.M)
    assert re.search(r"^  GREETING +removed +hello$", out, re.M)
    assert re.search(r"^  size +big +override +small$", out, re.M)
    assert re.search(r"^  image.tag +v1 +default$", out, re.M)


def test_config_without_a_name_tells_defaults_and_keys_for_deployment_overrides(board, octo, name):
    out = octo("config", "-o", f"size={name}").out
    assert re.search(r"^  GREETING +hello$", out, re.M)
    assert re.search(r"^  DEBUG$", out, re.M)
    assert re.search(r"^  region$", out, re.M)
    assert any(f"size={name}" in call.arguments for call in board.calls("_", "application_config"))


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ([], "to stdout\nto stderr\n"),
        (["-l", "all"], "to stdout\nto stderr\n"),
        (["-l", "both"], "to stdout\nto stderr\n"),
        (["-l", "stdout"], "to stdout\n"),
        (["--log-type", "out"], "to stdout\n"),
        (["--log-type", "stderr"], "to stderr\n"),
        (["-l", "err"], "to stderr\n"),
    ],
)
def test_logs_prints_what_was_written_to_a_stream(server, octo, logged, flags, shown):
    assert octo("logs", "-n", logged, *flags) == (0, shown, "")
    assert octo("logs", "--action", str(newest(server, logged)["id"]), *flags) == (0, shown, "")


@pytest.fixture(scope="module")
def logged(server: Server) -> Iterator[str]:
    server.board.write("logged", "create", "echo to stdout; echo to stderr >&2")
    server.running("logged")
    yield "logged"
    server.forget("logged")


def test_logs_of_a_name_are_its_newest_actions_even_if_the_deployment_is_gone(server, board, octo, name):
    board.write(name, "cleanup", "echo swept")
    server.archived(name)
    assert octo("cleanup", "-n", name, "--wait").code == 0
    assert octo("logs", "-n", name).out == "swept\n"


def test_logs_follow_prints_as_it_is_written(server, board, octo, name):
    gate = board.hold(name, "create", "echo second")
    board.write(name, "create", "echo first; " + (board.directory / "do" / name / "create").read_text())
    server.create(name)
    with octo.start("logs", "--follow", "-n", name) as process:
        assert process.stdout.readline() == b"first\n"
        gate.open()
        assert process.stdout.read() == b"second\n"
        assert b"succeeded" in process.stderr.read()
    assert process.returncode == 0


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("echo half of it; exit 2", 1)])
def test_status_tells_by_its_exit_code_whether_it_is_running(server, board, octo, name, script, code):
    server.running(name)
    board.write(name, "check", script)
    status = ["Running", "PartialAvailability"][code]
    checked = octo("status", "-n", name, "--check")
    assert (checked.code, checked.out.split(":")[0].strip()) == (code, status)
    assert "half of it" in checked.out + checked.err or not code
    server.settled(name, status)
    assert octo("status", "-n", name).code == code


def test_status_is_not_running_when_archived(server, octo, name):
    server.archived(name)
    code, out, _ = octo("status", "-n", name)
    assert (code, out.split(":")[0]) == (1, "Archived")
    assert octo("status", "-n", name, "--check").code == 5


def test_cancel_stops_the_unfinished_action_of_a_name(server, board, octo, name):
    board.hold(name, "create")
    server.create(name)
    board.wait_for_call(name, "create")
    assert octo("cancel", "-n", name, "--wait").code == 0
    assert newest(server, name)["state"] == "cancelled"
    nothing = octo("cancel", "-n", name)
    assert (nothing.code, nothing.out) == (5, "")
    assert octo("cancel", "-a", str(newest(server, name)["id"])).code == 5


def test_delete_forgets_without_any_script(server, board, octo, name):
    server.running(name)
    assert octo("delete", "-n", name)[:2] == (0, "")
    assert octo("status", "-n", name).code == 3
    assert not board.calls(name, "cleanup")


def test_version_tells_the_servers_too_but_does_not_need_it(server, octo, nobody):
    assert re.match(r"octo \S+\nserver \S+ \(Octopod, suite suite\) at ", octo("version").out)
    alone = nobody("version")
    assert alone.code == 0
    assert re.fullmatch(r"octo \S+\n", alone.out)
    assert "cannot reach" in alone.err
    assert json.loads(octo("version", "--json").out)["server"] == server.get("/project").json()


def test_list_filters_and_sorts(server, octo, name):
    server.create(f"{name}-b")
    server.running(f"{name}-a")
    server.settled(f"{name}-b", "Running")
    both = ["list", "-q", name, "--names"]
    assert octo(*both, "--sort", "name").out == f"{name}-a\n{name}-b\n"
    assert octo(*both, "--sort=-name").out == f"{name}-b\n{name}-a\n"
    assert octo(*both, "--status", "Archived").out == ""
    assert octo(*both, "--archived", "true") == (0, "", "")
    assert re.fullmatch(rf"NAME +STATUS +CHANGED +ACTION\n{name}-a +Running .*\n", octo("list", "-q", f"{name}-a").out)


def test_list_shows_all_pages(new_server):
    server = new_server(MAX_RUNNING_ACTIONS="1").start()
    gate = server.board.hold("many-0", "create")
    names = [f"many-{number}" for number in range(52)]
    for one in names:  # one more page than the default; all but the first wait for their turn
        assert server.create(one).status_code == 202
    octo = Octo(server.url)
    assert sorted(octo("list", "--names").out.split()) == sorted(names)
    listed = json.loads(octo("list", "--json").out)
    assert len(listed["items"]) == 52
    assert listed["next"] is None
    server.stop()
    gate.open()


# --- Overrides ------------------------------------------------------------------------------------------------------


def test_update_keeps_the_overrides_that_it_does_not_name(server, octo, name):
    server.running(name, application={"A": "1", "B": "2", "C": "3"}, deployment={"D": "4", "E": "5"})
    assert octo("update", "-n", name, "-e", "A=new", "--wait").code == 0
    assert overrides(server, name) == ({"A": "new", "B": "2", "C": "3"}, {"D": "4", "E": "5"})
    assert octo("update", "-n", name, "-E", "B", "-O", "E", "-o", "F=6", "--wait").code == 0
    assert overrides(server, name) == ({"A": "new", "C": "3"}, {"D": "4", "F": "6"})


def test_flags_of_the_original_stay(server, octo, name):
    short = ["-n", name, "-e", "A=1", "-o", "D=1"]
    long = ["--set-app-config", "B=2", "--set-deployment-config", "E=2", "--set-app-config", "C=3", "-o", "F=3"]
    assert octo("create", *short, *long, "--wait").code == 0
    assert overrides(server, name) == ({"A": "1", "B": "2", "C": "3"}, {"D": "1", "E": "2", "F": "3"})
    app = ["-E", "A", "--unset-app-config", "B", "--unset-app-env-override", "C"]
    deployment = ["-O", "D", "--unset-deployment-config", "E", "--unset-deployment-override", "F"]
    assert octo("update", "--name", name, *app, *deployment, "--wait").code == 0
    assert overrides(server, name) == ({}, {})


def test_values_reach_the_script_as_they_were_given(server, board, octo, name):
    values = ["a=b=c", "=", "line 1\nline 2\n", "🦑 ünï", "  spaces  ", "$(id) `id` \\ '\"", "x" * 100_000]
    given = [f"K{number}={value}" for number, value in enumerate(values)]
    assert octo("create", "-n", name, *(part for pair in given for part in ("-e", pair)), "--wait").code == 0
    assert set(given) <= set(board.calls(name, "create")[0].arguments)
    assert list(overrides(server, name)[0].values()) == values


@pytest.mark.parametrize(("environment", "key"), [({}, "tag"), ({"OCTO_TAG_KEY": "image.tag"}, "image.tag")])
def test_tag_is_short_for_a_deployment_override(server, board, octo, name, environment, key):
    assert octo("create", "-n", name, "-t", "v2", **environment).code == 0
    assert f"{key}=v2" in board.wait_for_call(name, "create").arguments
    assert octo("update", "-n", name, "-t", "v2", "-o", f"{key}=v3", **environment).code == 2
    server.settled(name, "Running")
    assert octo("update", "-n", name, "--tag", "v3", "--wait", **environment).code == 0
    assert overrides(server, name) == ({}, {key: "v3"})


def test_remove_takes_a_default_away(server, board, octo, name):
    removals = ["--remove-app-config", "GREETING", "--remove-deployment-config", "size"]
    assert octo("create", "-n", name, *removals, "--wait").code == 0
    assert not {"GREETING=hello", "size=small"} & set(board.calls(name, "create")[0].arguments)
    assert overrides(server, name) == ({"GREETING": None}, {"size": None})
    assert octo("update", "-n", name, "-E", "GREETING", "-O", "size", "--wait").code == 0
    assert {"GREETING=hello", "size=small"} <= set(board.calls(name, "update")[0].arguments)


# --- Exit codes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["create", "update", "archive", "restore", "cleanup"])
def test_failed_action_is_1_with_the_reason_and_the_last_lines(server, board, octo, name, kind):
    script = "unarchive" if kind == "restore" else kind
    if kind != "create":
        (server.running if kind in ("update", "archive") else server.archived)(name)
    board.write(name, script, "seq 100; echo the disk is full >&2; exit 7")
    code, out, err = octo(kind, "-n", name, "--wait")
    assert (code, out) == (1, "")
    assert f"the {kind} of {name}" in err
    assert "exit code 7" in err
    assert "Last lines of its output:" in err
    assert "  the disk is full" in err
    assert "\n  1\n" not in err


def test_deployment_that_never_gets_healthy_is_1_with_what_check_says(new_server):
    server = new_server(STATUS_UPDATE_TIMEOUT="1").start()
    server.board.write("sick", "check", "echo one of two pods; exit 2")
    code, _, err = Octo(server.url)("create", "-n", "sick", "--wait")
    assert code == 1
    assert "PartialAvailability: one of two pods" in err


USAGE = [
    [],
    ["frobnicate"],
    ["create"],
    ["create", "-n", ""],
    ["create", "-n", ".."],
    ["create", "-n", "orange", "-e", "NOVALUE"],
    ["create", "-n", "orange", "-e", "EMPTY="],
    ["create", "-n", "orange", "-o", "=value"],
    ["create", "-n", "orange", "-e", "A=1", "-e", "A=2"],
    ["create", "-n", "orange", "-o", "A=1", "-o", " A =2"],
    ["create", "-n", "orange", "-o", "tag=1", "-t", "2"],
    ["create", "-n", "orange", "-e", "A=1", "--remove-app-config", "A"],
    ["create", "-n", "orange", "-E", "A"],
    ["update", "-n", "orange", "-e", "A=1", "-E", "A"],
    ["update", "-n", "orange", "--wait", "--timeout", "soon"],
    ["update", "-n", "orange", "--timeout", "10s"],
    ["archive", "-n", "orange", "--wai"],
    ["logs"],
    ["logs", "-n", "orange", "-a", "1"],
    ["logs", "-a", "one"],
    ["logs", "-n", "orange", "-l", "everything"],
    ["cancel"],
    ["list", "orange"],
    ["config", "-n", "orange", "-o", "A=1"],
    ["create", "-n", "orange", "-e", b"A=\xff"],
]


@pytest.mark.parametrize("arguments", USAGE, ids=lambda arguments: repr(arguments))
def test_wrong_usage_is_2_before_anything_is_sent(nobody, arguments):
    code, out, err = nobody(*arguments)
    assert (code, out) == (2, "")
    assert "octo" in err and "Traceback" not in err


@pytest.mark.parametrize(
    "environment",
    [{"OCTOPOD_URL": "octopod.example.com"}, {"OCTO_AUTHORIZATION_HEADER": "Basic x\nX-Other: y"}],
    ids=str,
)
def test_bad_environment_is_2(nobody, environment):
    code, _, err = nobody("list", **environment)
    assert code == 2
    assert next(iter(environment)) in err


@pytest.mark.parametrize(
    "arguments",
    [
        *(f"{kind} -n nowhere" for kind in ("update", "archive", "restore", "cleanup", "delete")),
        *(f"{command} -n nowhere" for command in ("info", "status", "config")),
        "logs -n nowhere",
        "logs -a 999999",
        "cancel -n nowhere",
        "cancel -a 999999",
        "info -n a/../b",
    ],
)
def test_what_is_not_there_is_3(octo, arguments):
    code, out, err = octo(*arguments.split())
    assert (code, out) == (3, "")
    assert err.startswith("octo: ")


@pytest.mark.parametrize("header", ["", "Basic d3Jvbmc6d3Jvbmc=", "Bearer nobody"])
def test_unknown_credentials_are_4_and_name_the_variable(guarded, header):
    code, out, err = Octo(guarded.url)("list", OCTO_AUTHORIZATION_HEADER=header)
    assert (code, out) == (4, "")
    assert "OCTO_AUTHORIZATION_HEADER" in err


def test_user_may_neither_read_logs_nor_delete(guarded):
    user = Octo(guarded.url, OCTO_AUTHORIZATION_HEADER="Basic dXNlcjpzZWNyZXQ=")
    assert user("create", "-n", "users", "--wait").code == 0
    for arguments in (["logs", "-n", "users"], ["delete", "-n", "users"]):
        code, out, err = user(*arguments)
        assert (code, out) == (4, "")
        assert "admin" in err
    assert guarded.deployment("users")["status"] == "Running"


def test_admin_header_is_sent_as_it_is_whatever_netrc_says(guarded, tmp_path):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    netrc.chmod(0o600)
    admin = Octo(guarded.url, OCTO_AUTHORIZATION_HEADER="Bearer octopus", HOME=str(tmp_path))
    guarded.running("admins")
    assert admin("logs", "-n", "admins").code == 0
    assert admin("delete", "-n", "admins").code == 0


def test_busy_deployment_is_5_and_says_who_is_at_it(server, board, octo, name):
    server.running(name)
    gate = board.hold(name, "update")
    assert octo("update", "-n", name).code == 0
    code, out, err = octo("archive", "-n", name)
    assert (code, out) == (5, "")
    assert "asked for by local" in err
    assert octo("restore", "-n", name).code == 5
    assert octo("create", "-n", name).code == 5
    gate.open()


def test_refused_configuration_is_6_with_the_words_of_config_check(server, board, octo, name):
    board.write(name, "config_check", "echo 'no such size: XXL'; exit 1")
    code, out, err = octo("create", "-n", name, "-o", "size=XXL")
    assert (code, out) == (6, "")
    assert "no such size: XXL" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("create -n Not_A_Name", "name"),
        ("create -n {name}-new -e A..B=1", "application_overrides.A..B"),
        ("update -n {name} -E NEVER -O neither", "application.unset.NEVER"),
        ("list --status Sleeping", "status"),
        ("list --sort size", "sort"),
    ],
)
def test_invalid_request_is_6_and_names_the_field(server, octo, logged, arguments, words):
    code, out, err = octo(*arguments.format(name=logged).split())
    assert (code, out) == (6, "")
    assert words in err


def test_time_that_is_up_is_7_and_the_action_goes_on(server, board, octo, name):
    gate = board.hold(name, "create")
    code, out, err = octo("create", "-n", name, "--wait", "--timeout", "1")
    assert (code, out) == (7, "")
    assert f"octo cancel -a {newest(server, name)['id']}" in err
    gate.open()
    server.settled(name, "Running")


def test_time_that_is_up_before_it_is_healthy_is_7(server, board, octo, name):
    board.write(name, "check", "echo pulling the image; exit 1")
    code, _, err = octo("create", "-n", name, "--wait", "--timeout", "2s")
    assert code == 7
    assert "CreatePending" in err
    board.write(name, "check", "exit 0")


def test_action_that_somebody_cancels_during_wait_is_8(server, board, octo, name):
    board.hold(name, "create")
    with octo.waiting("create", "-n", name) as process:
        assert server.post(f"/actions/{newest(server, name)['id']}/cancel").status_code == 202
        out, err = process.communicate()
    assert (process.returncode, out) == (8, b"")
    assert b"Cancelled by local" in err


def test_nobody_listening_is_9_and_says_where(nobody):
    code, out, err = nobody("list")
    assert (code, out) == (9, "")
    assert nobody.environment["OCTOPOD_URL"] in err
    assert "Connection refused" in err


def test_server_that_does_not_come_back_during_wait_is_9(new_server):
    server = new_server().start()
    gate = server.board.hold("lonely", "create")
    with Octo(server.url).waiting("create", "-n", "lonely", "--timeout", "3") as process:
        server.stop(signal.SIGKILL)
        _, err = process.communicate()
    gate.open()
    assert process.returncode == 9
    assert b"is not known" in err


PROBLEM = b'{"title": "No", "detail": "Not like this", "errors": [{"field": "name", "message": "is odd"}]}'


@pytest.mark.parametrize(
    ("command", "status", "body", "code", "words"),
    [
        ("update", 401, PROBLEM, 4, "OCTO_AUTHORIZATION_HEADER"),
        ("info", 403, PROBLEM, 4, "OCTO_AUTHORIZATION_HEADER"),
        ("info", 404, PROBLEM, 3, "Not like this"),
        ("update", 409, PROBLEM, 5, "Not like this"),
        ("update", 412, PROBLEM, 5, "Not like this"),
        ("update", 413, PROBLEM, 6, "Not like this"),
        ("update", 415, PROBLEM, 6, "Not like this"),
        ("update", 422, PROBLEM, 6, "Not like this"),
        ("info", 429, PROBLEM, 9, "Not like this"),
        ("update", 500, PROBLEM, 9, "Not like this"),
        ("update", 503, PROBLEM, 9, "Not like this"),
        ("info", 502, b"<h1>Bad Gateway</h1>", 9, "not from Octopod"),
        ("info", 404, b"[]", 3, "not from Octopod"),
        ("info", 200, b"<h1>Welcome</h1>", 9, "OCTOPOD_URL"),
        ("info", 200, b"[]", 9, "OCTOPOD_URL"),
        ("info", 200, b"{}", 9, "not understood"),
        ("update", 200, b"{}", 9, "not understood"),
        ("update", 302, b"", 9, "http://login.example.com"),
        ("info", 0, b"", 9, "cannot reach"),
        ("update", 0, b"", 9, "may have been accepted"),
    ],
)
def test_each_answer_has_its_exit_code(command, status, body, code, words):
    headers = {"Location": "http://login.example.com"} if status == 302 else {}
    with answering(status, body, **headers) as octo:
        ended = octo(command, "-n", "orange")
    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err
    assert "Traceback" not in ended.err


# --- Waiting --------------------------------------------------------------------------------------------------------


def test_ctrl_c_ends_the_wait_and_not_the_action(server, board, octo, name):
    gate = board.hold(name, "create")
    with octo.waiting("create", "-n", name) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert f"octo cancel -a {newest(server, name)['id']}".encode() in err
    assert b"Traceback" not in err
    gate.open()
    server.settled(name, "Running")


def test_restart_of_the_server_does_not_end_the_wait(new_server):
    server = new_server().start()
    gate = server.board.hold("steady", "create")
    with Octo(server.url).waiting("create", "-n", "steady") as process:
        server.stop()
        assert b"Trying again" in process.stderr.readline()
        server.start()
        gate.open()
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert out == b"app\thttp://localhost/steady\n"


# --- Patience -------------------------------------------------------------------------------------------------------

STOPPING = (503, b'{"title": "Stopping", "detail": "About to stop"}', {"Retry-After": "1"})
UNAVAILABLE = (503, b'{"title": "Unavailable", "detail": "No database"}', {})
NOT_FOUND = (404, b'{"title": "Not found", "detail": "No such thing"}', {})
SILENCE: tuple[int, bytes, dict[str, str]] = (0, b"", {})


@pytest.mark.parametrize("command", ["info", "update --wait", "status --check"])
def test_who_is_patient_outlasts_a_restart_of_the_server(new_server, command):
    server = new_server().start()
    server.running("steady")
    server.stop(signal.SIGKILL)
    with Octo(server.url).start(*command.split(), "-n", "steady", OCTO_PATIENCE="5m") as process:
        assert b"Trying again: cannot reach" in process.stderr.readline()
        server.start()
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert out


@pytest.mark.parametrize("command", ["info", "update", "delete"])
def test_who_is_patient_asks_again_what_was_not_begun(command):
    with answering_in_turn(STOPPING, STOPPING, NOT_FOUND) as octo:
        code, out, err = octo(command, "-n", "orange", OCTO_PATIENCE="5m")
    assert (code, out, len(octo.asked)) == (3, "", 3)
    assert err == "Trying again: About to stop\nocto: No such thing\n"


@pytest.mark.parametrize("answer", [UNAVAILABLE, SILENCE], ids=["unavailable", "silence"])
def test_patient_or_not_what_may_have_been_begun_is_not_asked_again(answer):
    with answering_in_turn(answer, NOT_FOUND) as octo:
        assert octo("update", "-n", "orange", OCTO_PATIENCE="5m").code == 9
    assert len(octo.asked) == 1
    with answering_in_turn(answer, NOT_FOUND) as octo:
        assert octo("info", "-n", "orange", OCTO_PATIENCE="5m").code == 3
    assert len(octo.asked) == 2


@pytest.mark.parametrize("command", ["info", "update"])
def test_nobody_is_patient_unasked(command):
    with answering(*STOPPING[:2]) as octo:
        assert octo(command, "-n", "orange") == (9, "", "octo: About to stop\n")
    assert len(octo.asked) == 1


@pytest.mark.parametrize("command", ["info", "update"])
def test_patience_ends(nobody, command):
    code, out, err = nobody(command, "-n", "orange", OCTO_PATIENCE="1")
    assert (code, out) == (9, "")
    assert re.search(r"^octo: cannot reach .* refused\n\Z", err, re.M)


def test_patience_that_is_no_duration_is_2(nobody):
    code, out, err = nobody("list", OCTO_PATIENCE="much")
    assert (code, out) == (2, "")
    assert "OCTO_PATIENCE" in err


# --- Output ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ("list -q {name}", "/deployments?q={name}&archived=all"),
        ("info -n {name}", "/deployments/{name}"),
        ("status -n {name}", "/deployments/{name}"),
        ("config -n {name}", "/deployments/{name}/config"),
        ("logs -n {name}", "/actions/{id}"),
    ],
)
def test_json_is_exactly_what_the_api_says(server, octo, shelved, arguments, path):
    code, out, err = octo(*arguments.format(name=shelved).split(), "--json")
    assert (code, err) == (int(arguments.startswith("status")), "")
    assert out.encode() == server.get(path.format(name=shelved, id=newest(server, shelved)["id"])).content


@pytest.fixture(scope="module")
def shelved(server: Server) -> Iterator[str]:
    """An archived deployment: nothing about it changes by itself."""
    server.running("shelved", application={"ÜBER": "🦑\n\x1b[31m"})
    server.act("shelved", "archive")
    server.settled("shelved", "Archived")
    yield "shelved"
    server.forget("shelved")


def test_json_of_actions_is_the_answer_alone(server, octo, name):
    code, out, err = octo("create", "-n", name, "--json")
    assert (code, json.loads(out)["name"]) == (0, name)
    assert err
    server.settled(name, "Running")
    assert json.loads(octo("update", "-n", name, "--json", "--wait").out) == newest(server, name)
    assert json.loads(octo("archive", "-n", name, "--json").out)["id"] == newest(server, name)["id"]
    assert octo("delete", "-n", name, "--json", "--wait").code == 2
    server.settled(name, "Archived")
    assert octo("delete", "-n", name, "--json").out == ""


def test_json_of_a_failed_wait_is_the_action(server, board, octo, name):
    board.write(name, "create", "exit 7")
    code, out, _ = octo("create", "-n", name, "--json", "--wait")
    assert code == 1
    assert json.loads(out) == newest(server, name)


def test_errors_leave_stdout_empty_with_json_too(octo):
    assert octo("info", "-n", "nowhere", "--json")[:2] == (3, "")


def test_json_of_the_defaults_holds_all_four_answers(server, octo):
    answers = json.loads(octo("config", "--json").out)
    assert answers["deployment"] == server.get("/config/deployment").json()
    assert answers["application_keys"] == server.post("/config/application/keys", {}).json()


@pytest.mark.parametrize("command", ["info -n {name}", "config -n {name}", "config", "list -q {name}"])
def test_tables_keep_within_80_columns_and_lose_nothing(server, octo, wide, command):
    out = octo(*command.format(name=wide).split()).out
    assert max(map(len, out.splitlines())) <= 80
    if wide in command.format(name=wide) and "list" not in command:
        joined = re.sub(r"\s", "", out)
        for text in ("v" * 30, "line-1", "line-2"):
            assert text in joined


@pytest.fixture(scope="module")
def wide(server: Server) -> Iterator[str]:
    application = {f"{'k' * 60}.{number}": "v" * 300 for number in range(3)} | {"LINES": "line-1\nline-2"}
    server.running("wide-wide-widest", application=application, deployment={"o": "v" * 1000})
    yield "wide-wide-widest"
    server.forget("wide-wide-widest")


def test_terminal_is_spared_control_characters(server, board, octo, name):
    hostile = "\x1b]0;title\x07\x1b[2J\x1b[31mred\x07\x9b1m\u202e\rend"
    board.write(name, "create", f"printf '%s\\n' $'{hostile}'")
    server.running(name, application={"K": hostile})
    for command in ("logs", "info", "config"):
        _, shown = octo.on_terminal(command, "-n", name, "--no-color")
        assert "redend" in re.sub(r"1m", "", shown)
        assert not re.search(
            "[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", shown.replace("\r\n", "\n").replace("\t", " ")
        )
        assert "title" not in shown
    assert octo("logs", "-n", name).out == f"{hostile}\n"


def test_colours_are_for_terminals_that_want_them(server, octo, name):
    server.running(name)
    assert "\x1b[32mRunning\x1b[0m" in octo.on_terminal("status", "-n", name)[1]
    assert "\x1b" not in octo.on_terminal("status", "-n", name, "--no-color")[1]
    assert "\x1b" not in Octo(server.url, NO_COLOR="1").on_terminal("status", "-n", name)[1]
    assert "\x1b" not in octo("status", "-n", name).out


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nothing_is_said_when_nobody_reads_on(server, board, octo, name, unbuffered):
    board.write(name, "create", "seq 100000")
    server.running(name)
    with octo.start("logs", "-n", name, PYTHONUNBUFFERED=unbuffered) as process:
        assert process.stdout.readline() == b"1\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nothing_is_said_when_nobody_reads_at_all(octo, shelved, unbuffered):
    with octo.start("info", "-n", shelved, PYTHONUNBUFFERED=unbuffered) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("command", ["cleanup", "delete"])
def test_what_cannot_be_undone_is_asked_for_on_a_terminal(server, octo, name, command):
    server.archived(name)
    code, shown = octo.on_terminal(command, "-n", name, typed="no\n")
    assert code == 2
    assert f"Type {name} to {command} it" in shown
    assert server.deployment(name)["action"] is None
    assert octo.on_terminal(command, "-n", name, typed=f"{name}\n")[0] == 0


def test_narrow_locale_is_no_error(octo, shelved):
    code, out, err = octo("info", "-n", shelved, PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "")
    assert r"\xdcBER" in out


@pytest.mark.parametrize("command", ["cleanup", "delete"])
def test_yes_answers_beforehand(server, octo, name, command):
    server.archived(name)
    code, shown = octo.on_terminal(command, "-n", name, "--yes")
    assert code == 0
    assert "cannot be undone" not in shown


# --- Help and documentation -----------------------------------------------------------------------------------------

COMMANDS = ["create", "list", "info", "update", "archive", "restore", "cleanup", "delete"]
COMMANDS += ["logs", "status", "config", "cancel", "run", "encrypt", "decrypt", "token", "version"]
TOKEN_COMMANDS = ["token list", "token create", "token rotate", "token remove"]


def helped(*arguments: str) -> str:
    """What --help says in an empty environment, without any package beyond the standard library."""
    command = [sys.executable, "-I", "-S", str(ROOT / "cli.py"), *arguments, "--help"]
    return subprocess.run(command, env={}, check=True, capture_output=True, text=True).stdout


def test_help_names_every_command_and_exit_code():
    text = helped()
    assert re.findall(r"^    (\w+)", text, re.M) == COMMANDS
    assert [f"token {word}" for word in re.findall(r"^    (\w+)", helped("token"), re.M)] == TOKEN_COMMANDS
    assert [int(code) for code in re.findall(r"(?:^|  )(\d) [a-z]", text, re.M)] == list(range(10))


def test_without_requests_only_help_works(tmp_path):
    alone = shutil.copy(ROOT / "cli.py", tmp_path)
    ended = subprocess.run([sys.executable, "-I", "-S", alone, "list"], env={}, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "pip install requests" in ended.stderr


def test_beside_a_prepared_checkout_it_finds_requests(tmp_path):
    beside = shutil.copy(ROOT / "cli.py", tmp_path)
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    nowhere = {"OCTOPOD_URL": f"http://127.0.0.1:{free_port()}"}
    ended = subprocess.run([sys.executable, "-I", "-S", beside, "list"], env=nowhere, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (9, "")


def test_documentation_and_help_name_the_same_commands_options_and_codes():
    documentation = (ROOT / "docs/cli.md").read_text()
    flags = re.compile(r"(?<![\w-])--?[a-zA-Z][a-z-]*")
    helps = {command: helped(*command.split()) for command in [*COMMANDS, *TOKEN_COMMANDS] if command != "token"}
    known = {flag for text in helps.values() for flag in flags.findall(text.split("\nexamples:")[0])}
    documented = {flag for code in re.findall(r"`[^`\n]+`", documentation) for flag in flags.findall(code)}
    assert known - documented == set(), "not documented"
    assert documented - known - {"-KEY"} == set(), "documented, but not there"
    for command, text in helps.items():
        row = re.search(rf"^\| `{command}` \|.*$", documentation, re.M)
        assert row, f"{command} has no row"
        assert f"octo {command}" in text
    assert re.findall(r"^\| (\d) \|", documentation, re.M) == [str(code) for code in range(10)]


def test_examples_in_help_are_accepted_by_the_parser(nobody, tmp_path):
    (tmp_path / "ci").mkdir()
    for script in ("deploy.py", "test.py"):
        (tmp_path / "ci" / script).touch()
    examples = re.findall(r"^  octo (.+)$", helped(), re.M)
    assert len(examples) > 3
    for example in examples:
        assert nobody(*example.split(), "--json", cwd=tmp_path, SERVO_TOKEN="key").code == 9, example
