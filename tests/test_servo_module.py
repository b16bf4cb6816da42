"""What scripts of a bundle import: real scripts, started as the server starts them, against a real server."""

import json
import os
import pty
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from bundling import Client
from conftest import ROOT, Board, Server, free_port
from test_cli import STOPPING, answering_in_turn

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # makes no difference to a client
BUNDLE = ROOT / "octopod/bundle"


@pytest.fixture(autouse=True)
def on_sqlite(database: str) -> None:
    """For the mark above, which wants every test to know of `database`."""


class Outcome(NamedTuple):
    """How a script ended."""

    code: int
    out: str
    err: str


class Script:
    """Runs what a test writes as a script, in a directory and an environment like those of a bundle."""

    def __init__(self, directory: Path, url: str) -> None:
        self.path = directory / "deploy.py"
        self.environment = {
            "PATH": f"{BUNDLE}/bin:/usr/bin:/bin",
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(BUNDLE / "lib"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OCTOPOD_URL": url,
        }

    def __call__(self, text: str, stdin: int = subprocess.DEVNULL, **environment: str) -> Outcome:
        self.path.write_text("import json, sys\nfrom servo import servo\n" + textwrap.dedent(text))
        done = subprocess.run(
            [sys.executable, self.path.name], cwd=self.path.parent, env=self.environment | environment, stdin=stdin,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout, done.stderr)

    def block(self, *lines: str, arguments: str = "", **environment: str) -> Outcome:
        """A script that has these lines in its with-block."""
        return self(f"with servo({arguments}) as proxy:\n" + textwrap.indent("\n".join(lines), "    "), **environment)

    def answer(self, cmdline: str | list[Any]) -> Any:
        """What a strict proxy answers to a command that succeeds."""
        done = self.block(f"print(json.dumps(proxy({cmdline!r})))")
        assert (done.code, done.err) == (0, ""), done
        return json.loads(done.out)


@pytest.fixture
def script(server: Server, tmp_path: Path) -> Script:
    return Script(tmp_path, server.url)


@pytest.fixture
def links(board: Board, name: str) -> Callable[..., None]:
    """Let deployments have these links: `links(app="http://…")`."""

    def links(about: str = name, **urls: str) -> None:
        lines = " ".join(f"'{key},{url}'" for key, url in urls.items())
        board.write(about, "info", f"printf '%s\\n' {lines}")

    return links


# --- commands


def test_whole_life_of_a_deployment(script: Script, server: Server, name: str) -> None:
    done = script(f"""
        with servo() as proxy:
            created = proxy("create -n {name} -e GREETING=hi --wait")
            assert (created["kind"], created["state"]) == ("create", "succeeded"), created
            assert proxy("info -n {name}")["application_overrides"] == {{"GREETING": "hi"}}
            assert "{name}" in [item["name"] for item in proxy("list")["items"]]
            assert proxy("update -n {name} -e GREETING=ho --wait")["kind"] == "update"
            config = {{item["key"]: item["value"] for item in proxy("config -n {name}")["application"]}}
            assert config["GREETING"] == "ho", config
            assert proxy("archive -n {name} --wait")["state"] == "succeeded"
            assert proxy("restore -n {name} --wait")["state"] == "succeeded"
            assert proxy("status -n {name}")["status"] == "Running"
            proxy("archive -n {name} --wait")
            assert proxy("cleanup -n {name} --wait")["state"] == "succeeded"
            print("all", "done")
    """)
    assert done == (0, "all done\n", "")
    assert server.get(f"/deployments/{name}").status_code == 404


def test_ls_is_list(script: Script, server: Server, name: str) -> None:
    server.running(name)
    assert [item["name"] for item in script.answer(f"ls -q {name} --status Running")["items"]] == [name]


def test_logs_are_text_and_json_in_them_stays_text(script: Script, server: Server, name: str) -> None:
    server.board.write(name, "create", r"""printf '{"a": "caf\xc3\xa9"}\r\n\xff'""")
    server.running(name)
    assert script.answer(f"logs -n {name} -l out") == '{"a": "café"}\r\n\N{REPLACEMENT CHARACTER}'


def test_status_is_answered_whatever_it_is(script: Script, server: Server, name: str) -> None:
    server.archived(name)
    assert script.answer(f"status -n {name}")["status"] == "Archived"


def test_status_of_nothing_fails(script: Script, name: str) -> None:
    done = script.block(f"proxy('status -n {name}')")
    assert (done.code, done.out.startswith("failure -> ")) == (1, True)
    assert name in done.out


def test_answer_without_content_is_empty_and_not_none(script: Script, server: Server, name: str) -> None:
    server.running(name)
    assert script.answer(f"delete -n {name}") == {}


def test_help_is_text(script: Script) -> None:
    assert script.answer("list --help").startswith("usage: octo list")


def test_nobody_is_asked_on_a_terminal(script: Script, server: Server, name: str) -> None:
    server.archived(name)
    ours, its = pty.openpty()
    try:
        done = script(f"with servo() as proxy:\n proxy('cleanup -n {name} --wait')", stdin=its)
    finally:
        os.close(ours), os.close(its)
    assert done == (0, "", "")


def test_output_of_the_script_goes_where_it_went_before(script: Script) -> None:
    done = script.block("print('one')", "proxy('list')", "print('two')", "print('three', file=sys.stderr)")
    assert done == (0, "one\ntwo\n", "three\n")


def test_commands_of_threads_wait_for_each_other(script: Script, server: Server, name: str) -> None:
    server.running(name)
    done = script(f"""
        from concurrent.futures import ThreadPoolExecutor
        with servo() as proxy, ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(proxy, ["info -n {name}"] * 8 + ["list -q {name}"] * 8))
            print({{answer["name"] for answer in answers[:8]}}, {{len(answer["items"]) for answer in answers[8:]}})
    """)
    assert done == (0, f"{{'{name}'}} {{1}}\n", "")


# --- how a line becomes arguments

VALUES = ["hello wide  world", "it's", 'say "hi"', "$HOME `id` *", "a=b", "ünï", "two\nlines", "back\\slash"]


@pytest.mark.parametrize("value", VALUES)
def test_list_of_arguments_is_taken_as_it_is(script: Script, server: Server, name: str, value: str) -> None:
    script.answer(["create", "-n", name, "-e", f"GREETING={value}"])
    assert server.deployment(name)["application_overrides"] == {"GREETING": value}


def test_list_may_hold_numbers(script: Script, server: Server, name: str, links: Callable[..., None]) -> None:
    links(app="http://localhost:1234/")
    server.running(name)
    assert script.answer(["port", 1234, name])


def test_line_is_split_as_by_a_shell_and_nothing_is_expanded(script: Script, server: Server, name: str) -> None:
    script.answer(f"""create  -n {name} -e 'GREETING=hello  "wide" $HOME' -e "DEBUG=it's *" """)
    expected = {"GREETING": 'hello  "wide" $HOME', "DEBUG": "it's *"}
    assert server.deployment(name)["application_overrides"] == expected


def test_open_quote_is_an_unexpected_failure(script: Script) -> None:
    done = script.block('proxy("info -n \'orange")')
    assert (done.code, done.out) == (1, "unexpected failure -> deploy.py:4: ValueError: No closing quotation\n")


# --- port and poll

LINKS = {
    "http://127.0.0.1:34567/": (80, "127.0.0.1", "34567"),
    "http://orange.example.com": (80, "orange.example.com", "80"),
    "https://orange.example.com/path?q": (443, "orange.example.com", "443"),
    "https://orange.example.com:8443/": (443, "orange.example.com", "8443"),
    "https://Orange.example.com:8443/x": (8443, "orange.example.com", "8443"),
    "http://user:secret@localhost:8080/": (8080, "localhost", "8080"),
    "postgresql://db.example.com:5432/x": (5432, "db.example.com", "5432"),
    "http://[::1]:81/": (81, "::1", "81"),
}


@pytest.mark.parametrize("url", LINKS)
def test_port_finds_a_link(url: str, script: Script, server: Server, name: str, links: Callable[..., None]) -> None:
    number, host, port = LINKS[url]
    links(app=url)
    server.running(name)
    assert script.answer(f"port {number} {name}") == {f"{name} #1": {"ip": host, "public": host, "ports": port}}


@pytest.mark.parametrize(
    "url", ["http://localhost:8080/", "file:///tmp/app.log", "http://localhost:99999/", "http://[::1/", "mailto:a@b"]
)
def test_port_passes_over_other_links(
    url: str, script: Script, server: Server, name: str, links: Callable[..., None]
) -> None:
    links(app=url)
    server.running(name)
    assert script.answer(f"port 443 {name}") == {}


def test_port_numbers_the_addresses_and_names_each_once(
    script: Script, server: Server, name: str, links: Callable[..., None]
) -> None:
    links(app="http://a.example/", admin="http://a.example/admin", log="file:///log", mails="http://b.example:8025")
    server.running(name)
    assert script.answer(f"port 80 {name}") == {
        f"{name} #1": {"ip": "a.example", "public": "a.example", "ports": "80"},
        f"{name} #2": {"ip": "b.example", "public": "b.example", "ports": "8025"},
    }


def test_port_and_poll_take_all_whose_names_match(
    script: Script, server: Server, name: str, links: Callable[..., None]
) -> None:
    for suffix in ("web", "api", "db"):
        links(f"{name}-{suffix}", app=f"http://{suffix}.example:8080/")
        server.running(f"{name}-{suffix}")
    assert list(script.answer(f"port 80 {name}-?[ep]*")) == [f"{name}-api #1", f"{name}-web #1"]
    assert list(script.answer(f"poll {name}-*")) == [f"{name}-api", f"{name}-db", f"{name}-web"]
    assert f"{name}-db #1" in script.answer("port 8080")
    assert f"{name}-db" in script.answer("poll")


def test_port_leaves_out_what_is_archived_and_poll_does_not(
    script: Script, server: Server, name: str, links: Callable[..., None]
) -> None:
    links(app="http://localhost:8080/")
    server.archived(name)
    assert script.answer(f"port 80 {name}") == {}
    assert script.answer(f"poll {name}")[name]["status"] == "Archived"


def test_poll_says_how_a_deployment_is(script: Script, server: Server, board: Board, name: str) -> None:
    board.write(name, "check", "echo all is well")
    now = server.running(name)
    assert (
        script.answer(f"poll {name}")[name].items()
        >= {
            "status": "Running",
            "reason": "all is well",
            "action": None,
            "created_at": now["created_at"],
            "archived_at": None,
        }.items()
    )
    gate = board.hold(name, "update")
    assert server.act(name, "update", deployment={}).status_code == 202
    gate.reached()
    assert script.answer(f"poll {name}")[name]["action"] == "update"
    gate.open()


@pytest.mark.parametrize("line", ["port", "port http", "port 80 web* more", "port -1", "port ٣"])
def test_wrong_arguments_of_port_are_refused(script: Script, line: str) -> None:
    assert script.block(f"proxy({line!r})") == (1, "failure -> usage: port N [GLOB]\n", "")


# --- exit codes

ENDS: dict[str, tuple[list[str], int, str]] = {  # the block, the exit code, stdout
    "normal end": (["pass"], 0, ""),
    "after a command": (["proxy('list')"], 0, ""),
    "assertion": (["assert 1 > 2, 'it is %d' % 1"], 1, "failure -> it is 1\n"),
    "assertion that says nothing": (["assert 1 > 2"], 1, "failure -> deploy.py:4\n"),
    "exception": (["{}['app']"], 1, "unexpected failure -> deploy.py:4: KeyError: 'app'\n"),
    "exception in a library": (["json.loads('{')"], 1, "unexpected failure -> deploy.py:4: JSONDecodeError: "),
    "strange characters": (["assert 0, 'caf\\xe9 \\udcff'"], 1, "failure -> café \\udcff\n"),
    "exit": (["sys.exit()"], 0, ""),
    "exit with a code": (["sys.exit(7)"], 7, ""),
    "exit with a text": (["sys.exit('enough')"], 1, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
def test_end_of_the_block_is_the_end_of_the_script(script: Script, case: str) -> None:
    lines, code, out = ENDS[case]
    done = script("with servo() as proxy:\n    " + "\n    ".join(lines) + "\nprint('never')")
    assert done.code == code
    assert done.out == out if out.endswith("\n") or not out else done.out.startswith(out)
    assert ("Traceback" in done.err) is out.startswith("unexpected")


def test_what_a_script_cleans_up_is_still_done(script: Script) -> None:
    done = script("""
        try:
            with servo() as proxy:
                assert False, "no"
        except Exception:
            print("an exit is none of these")
        finally:
            print("cleaned up")
    """)
    assert done == (1, "failure -> no\ncleaned up\n", "")


def test_set_up_that_fails_is_an_unexpected_failure(script: Script, tmp_path: Path) -> None:
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    (lonely / "servo.py").write_bytes((BUNDLE / "lib/servo.py").read_bytes())
    done = script.block("print('never')", PYTHONPATH=str(lonely))
    assert done.code == 1
    assert done.out.startswith("unexpected failure -> ")
    assert "FileNotFoundError" in done.out
    assert "never" not in done.out


def test_diagnosis_names_the_line_of_the_script_that_a_helper_of_it_failed_in(script: Script, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def help(answer):\n    return answer['nothing']\n")
    done = script("import helper\nwith servo() as proxy:\n    helper.help({})")
    assert done.out == "unexpected failure -> helper.py:2: KeyError: 'nothing'\n"


# --- strict and verbose


def test_failure_says_what_octo_said(script: Script) -> None:
    done = script.block("proxy('info -n nowhere')")
    assert (done.code, done.err) == (1, "")
    assert done.out == "failure -> There is no deployment named 'nowhere'\n"


def test_failure_of_what_was_waited_for_says_why_and_shows_the_last_lines(
    script: Script, board: Board, name: str
) -> None:
    board.write(name, "create", "echo no disk left; exit 3")
    done = script.block(f"proxy('create -n {name} --wait')")
    assert done.code == 1
    assert done.out.startswith(f"failure -> the create of {name} (action ")
    assert "\n  no disk left\n" in done.out
    assert "queued" not in done.out, "progress is not a reason"


@pytest.mark.parametrize("line", ["create", "fly -n orange", "", "list --sideways", "create -n"])
def test_wrong_arguments_are_a_failure(script: Script, line: str) -> None:
    done = script.block(f"proxy({line!r})")
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("failure -> error: ")


def test_server_that_cannot_be_reached_is_a_failure(script: Script) -> None:
    done = script.block("proxy('list')", OCTOPOD_URL=f"http://127.0.0.1:{free_port()}")
    assert done.code == 1
    assert done.out.startswith("failure -> cannot reach http://127.0.0.1:")


CLEAN_UP = """
    with servo() as proxy:
        try:
            assert False, "the test failed"
        except AssertionError:
            proxy("archive -n orange")
"""


def test_server_that_cannot_be_reached_is_a_failure_of_what_is_cleaned_up_too(script: Script) -> None:
    done = script(CLEAN_UP, OCTOPOD_URL=f"http://127.0.0.1:{free_port()}", OCTO_PATIENCE="1")
    assert done.code == 1
    assert re.fullmatch("failure -> cannot reach .* refused\n", done.out), done.out


@pytest.mark.parametrize("line", ["poll", "update -n orange --wait", "port 80"])
def test_server_that_is_about_to_stop_is_asked_again(script: Script, line: str) -> None:
    refusal = (403, b'{"title": "Not authorised", "detail": "It is there again"}', {})
    with answering_in_turn(STOPPING, refusal) as stranger:
        url = stranger.environment["OCTOPOD_URL"]
        done = script.block(f"proxy({line!r})", OCTOPOD_URL=url, OCTO_PATIENCE="120")
    assert done.out.startswith("failure -> It is there again\n")
    assert (done.code, len(stranger.asked)) == (1, 2)


@pytest.mark.parametrize("line", ["info -n nowhere", "create", "port", "cleanup -n nowhere --wait", "logs -n nowhere"])
def test_proxy_that_is_not_strict_answers_none(script: Script, line: str) -> None:
    done = script.block(f"print(proxy({line!r}))", arguments="strict=False")
    assert done == (0, "None\n", "")


def test_assertions_count_without_strict_too(script: Script) -> None:
    done = script.block("assert proxy('info -n nowhere'), 'it is gone'", arguments="strict=False")
    assert done == (1, "failure -> it is gone\n", "")


def test_verbose_proxy_says_what_passed_and_what_failed(script: Script) -> None:
    lines = ["proxy('ls')", "proxy('port  80 no*')", "proxy(['info', '-n', 'no where'])"]
    done = script.block(*lines, arguments="strict=False, verbose=True")
    assert done == (0, '[passed] "ls"\n[passed] "port  80 no*"\n[failed] "info -n \'no where\'"\n', "")


def test_strict_and_verbose_proxy_says_both(script: Script) -> None:
    done = script.block("proxy('poll a b')", arguments="verbose=True")
    assert done == (1, '[failed] "poll a b"\nfailure -> usage: poll [GLOB]\n', "")


# --- beside Python


def test_octo_is_a_link_to_the_cli() -> None:
    octo = BUNDLE / "bin/octo"
    assert os.readlink(octo) == "../../../cli.py"
    assert octo.resolve() == ROOT / "cli.py"
    assert os.access(octo, os.X_OK)


def test_octo_in_a_bundle_runs_with_the_python_of_the_server(server: Server, tmp_path: Path) -> None:
    """What octo needs is installed there, and perhaps nowhere else."""
    text = "import shutil\nfor name in ('octo', 'python3'):\n    print(shutil.which(name))"
    log = Client(server, tmp_path).run(text).json()["log"]
    assert log[1:3] == [str(BUNDLE / "bin/octo"), str(Path(sys.executable).with_name("python3"))]


def test_module_needs_only_the_standard_library_and_what_the_cli_needs() -> None:
    code = "import sys; before = set(sys.modules); import servo; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(BUNDLE / "lib")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {name.partition(".")[0] for name in done.stdout.split()} <= sys.stdlib_module_names | {"servo"}
