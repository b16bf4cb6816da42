"""The websocket: an open page becomes, by what is pushed to it, what a reload would make of it, whatever else goes on."""

import itertools
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import requests
from conftest import PATIENCE, ROOT, Gate, Server, clean_environment, eventually, numbers
from open_page import Document, OpenPage, Refused, Socket
from test_auth import ADMIN, PROXY, USER, ask, basic

from octopod import events
from octopod.channels import MOST_PENDING, Viewer
from octopod.pushes import Partial
from tests.faults.harness import Postgres

RESTARTING = 1012
AS_USER, AS_ADMIN = basic(USER), basic(ADMIN)
QUIET = {"CHECK_INTERVAL": "86400"}  # what a page shows changes when a test changes it, and not in between


class UnderGunicorn(Server):
    """The same server, as gunicorn runs it."""

    def start(self) -> "UnderGunicorn":
        command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "wsgi:app"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.env, cwd=ROOT, stdout=log, stderr=log)
        eventually(self._is_up, "the server")
        return self


both_ways = pytest.mark.parametrize("kind", [Server, UnderGunicorn])


def process_of(server: Server) -> psutil.Process:
    """The process that serves."""
    process = psutil.Process(server.process.pid)
    return process.children()[0] if isinstance(server, UnderGunicorn) else process


def assert_undisturbed(server: Server) -> None:
    """Nothing happened in it that was not foreseen."""
    log = server.log.read_text(errors="replace")
    for sign in ("Traceback", '"exception"', "unforeseen"):
        assert sign not in log, "\n".join(line[:2000] for line in log.splitlines() if sign in line)


@pytest.fixture
def start(new_database: Callable[[str], str], scratch: Path) -> Iterator[Callable[..., Server]]:
    """Start a server of one's own. When the test is over nothing must have gone wrong in it."""
    servers: list[Server] = []

    def start(kind: type[Server] = Server, url: str = "", like: Server | None = None, **settings: str) -> Server:
        """`like`: on the database of that one, with the same scripts."""
        directory = scratch / f"server-live-{next(numbers)}"
        directory.mkdir()
        url = like.env["OCTOPOD_DATABASE_URL"] if like else url or new_database("sqlite")
        server = kind(directory, url, **QUIET | settings)
        if like:
            server.board, server.env["BOARD"] = like.board, like.env["BOARD"]
        servers.append(server.start())
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()
        assert_undisturbed(server)


@pytest.fixture(scope="module")
def server(database: str, new_database: Callable[[str], str], scratch: Path) -> Iterator[Server]:
    """The server of most tests here, once per database."""
    directory = scratch / f"server-live-{database}-{next(numbers)}"
    directory.mkdir()
    server = Server(directory, new_database(database), OUTPUT_LIMIT=str(64 * 2**20), **QUIET).start()
    yield server
    server.stop()
    assert_undisturbed(server)


@pytest.fixture(scope="module")
def secured(new_database: Callable[[str], str], scratch: Path) -> Iterator[Server]:
    """A server with logins. Who may do what does not depend on the database, so there is one kind only."""
    directory = scratch / f"server-live-secured-{next(numbers)}"
    directory.mkdir()
    logins = {"UI_BASIC_AUTH": USER, "UI_ADMIN_BASIC_AUTH": ADMIN}
    proxy = {"TRUSTED_USER_HEADER": "X-Auth-Email", "TRUSTED_PROXIES": PROXY}
    server = Server(directory, new_database("sqlite"), **logins, **proxy, **QUIET).start()
    server.http.headers.update(AS_ADMIN)
    yield server
    server.stop()
    assert_undisturbed(server)


@pytest.fixture
def visit() -> Iterator[Callable[..., OpenPage]]:
    """Open a page and keep it open until the end of the test."""
    opened: list[OpenPage] = []

    def visit(server: Server, path: str, *login: Any, connect: bool = True, **options: Any) -> OpenPage:
        opened.append(OpenPage(server, path, *login, **options))
        return opened[-1].connect() if connect else opened[-1]

    yield visit
    for page in opened:
        page.close()


def say(server: Server, name: str, text: str) -> None:
    """Change what a deployment shows: have it checked, and let the check say this. Pages are told when this returns."""
    server.board.write(name, "check", f"echo '{text}'")
    assert server.post(f"/deployments/{name}/check").status_code == 200


def forget(server: Server, name: str) -> None:
    assert server.request("DELETE", f"/api/v1/deployments/{name}").status_code == 204


def open_pages(server: Server) -> float:
    numbers = requests.get(f"{server.url}/metrics", timeout=PATIENCE).text
    return sum(map(float, re.findall(r"^octopod_open_pages(?:{.*})? (\S+)$", numbers, re.MULTILINE)))


# --- the handshake

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
OURS = "http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/ws", AS_USER, 101),
        ("/ws?q=a&status=Running&archived=all&sort=name", AS_USER, 101),
        ("/ws?history=&state=failed", AS_USER, 101),
        ("/ws", AS_USER | {"Origin": OURS}, 101),
        ("/ws", AS_USER | {"Origin": OURS, "Sec-Fetch-Site": "same-origin"}, 101),
        ("/ws", {}, 401),
        ("/ws", basic("rita:wrong"), 401),
        ("/ws?action=1", {}, 401),
        ("/ws", AS_USER | {"Origin": "http://evil.example"}, 403),
        ("/ws", AS_USER | {"Origin": "http://127.0.0.1:1"}, 403),
        ("/ws", AS_USER | {"Origin": "null"}, 403),
        ("/ws", AS_USER | {"Sec-Fetch-Site": "cross-site"}, 403),
        ("/ws", AS_USER | {"Sec-Fetch-Site": "same-site"}, 403),
        ("/ws?action=1", AS_USER, 403),
        ("/ws?action=", AS_USER, 403),
        ("/ws?action=999999", AS_ADMIN, 404),
        ("/ws?action=x", AS_ADMIN, 404),
        ("/ws?deployment=nobody", AS_USER, 404),
        ("/ws?deployment=", AS_USER, 404),
        ("/ws?status=Nonsense", AS_USER, 422),
        ("/ws?sort=size", AS_USER, 422),
        ("/ws?sort=red", AS_USER, 422),
        ("/ws?q=" + "x" * 201, AS_USER, 422),
        ("/ws?q=%00", AS_USER, 422),
        ("/ws?history=&state=nonsense", AS_USER, 422),
        ("/ws", AS_USER | {"Upgrade": "", "Connection": ""}, 426),
        ("/ws", AS_USER | {"Upgrade": "h2c"}, 426),
        ("/ws", AS_USER | {"Connection": "keep-alive"}, 426),
        ("/ws", AS_USER | {"Sec-WebSocket-Key": ""}, 426),
        ("/ws", AS_USER | {"Sec-WebSocket-Version": "8"}, 426),
        ("/ws", AS_USER | {"Sec-WebSocket-Version": ""}, 426),
        ("/ws?deployment=nobody", {"Upgrade": "", "Connection": ""}, 401),
    ],
)
def test_handshake_is_answered_with_a_status(secured, path, headers, status):
    sent = {name: value.format(port=secured.port) for name, value in (HANDSHAKE | headers).items() if value}
    answer = requests.get(secured.url + path, headers={"Connection": "close"} | sent, timeout=PATIENCE)
    assert answer.status_code == status, answer.text
    if status != 101:
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        answer = requests.get(secured.url + path, headers=sent | {"Accept": "*/json"}, timeout=PATIENCE)
        assert answer.json()["status"] == status


def test_page_asks_for_a_path_because_browsers_may_know_the_server_by_another_scheme_and_name(secured):
    """A page that came by https, through a proxy, must not ask for ws://."""
    for path in ("/deployments", "/actions"):
        assert OpenPage(secured, path, AS_USER).address.startswith("/ws")


def test_nothing_is_compressed(server, name):
    """That would take 100 KB of memory per page, and each would need bytes of its own."""
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    answer = requests.get(server.url + "/ws", headers=HANDSHAKE | offer, timeout=PATIENCE)
    assert (answer.status_code, answer.headers.get("Sec-WebSocket-Extensions")) == (101, None)


# --- what is pushed

PLACES = {"/deployments?q={name}": "rows", "/deployments/{name}": "deployment", "/actions?deployment={name}": "actions"}


@pytest.mark.parametrize(("path", "part"), PLACES.items())
def test_page_is_brought_up_to_date_when_it_connects(server, visit, name, path, part):
    """Something may have changed since it was loaded, or while the connection was lost."""
    server.running(name)
    page = visit(server, path.format(name=name), connect=False)
    before = page.content(part)
    server.act(name, "archive")
    server.settled(name, "Archived")
    page.connect()
    page.catches_up(part)
    assert page.content(part) != before


def test_change_is_pushed_to_every_page_that_shows_it(server, visit, name):
    gate = server.board.hold(name, "create")
    deployments = visit(server, f"/deployments?q={name}")
    history = visit(server, f"/actions?deployment={name}")
    action_id = server.create(name).json()["action"]["id"]
    page = visit(server, f"/deployments/{name}")
    gate.reached()
    page.shows("Creating", "The create script is running")
    deployments.eventually(lambda list: "Creating" in list.row(name))
    history.shows("running", part=f"action-{action_id}")
    gate.open()
    server.settled(name, "Running")
    page.shows("Running")
    for open_page, part in zip((deployments, page, history), PLACES.values(), strict=True):
        open_page.catches_up(part)


def test_pages_are_told_at_once(server, visit, name):
    """Within a second, of which nothing is spent on waiting for the next look."""
    server.running(name)
    pages = [visit(server, f"/deployments?q={name}"), visit(server, f"/deployments/{name}")]
    delays = []
    for number in range(7):
        say(server, name, f"number {number}")
        stored = time.monotonic()
        for page in pages:
            page.shows(f"number {number}")
        delays.append(time.monotonic() - stored)
    assert statistics.median(delays) < 1, delays


def test_row_appears_where_it_belongs_and_goes(server, visit, name):
    for letter in "bd":
        server.running(f"{name}-{letter}")
    page = visit(server, f"/deployments?q={name}&sort=name")
    for letters in ("bd", "abd", "abcd", "abcde", "abcdef"):
        for letter in letters:
            if f"{name}-{letter}" not in page.rows:
                server.running(f"{name}-{letter}")
        page.eventually(lambda page, letters=letters: list(page.rows) == [f"{name}-{letter}" for letter in letters])
    for letter in "adf":
        forget(server, f"{name}-{letter}")
    page.eventually(lambda page: list(page.rows) == [f"{name}-{letter}" for letter in "bce"])
    page.catches_up("rows")


def test_several_rows_that_appear_at_once_are_in_order(server, visit, name):
    """Each is put after one that is only just there."""
    page = visit(server, f"/deployments?q={name}&sort=-name")
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(server.create, [f"{name}-{letter}" for letter in "badcfe"]))
    for letter in "abcdef":
        server.settled(f"{name}-{letter}", "Running")
    page.catches_up("rows")
    assert list(page.rows) == [f"{name}-{letter}" for letter in "fedcba"]


def test_rows_stay_where_they_are_when_they_change(server, visit, name):
    """Nothing moves below a pointer, though a reload would sort anew."""
    for letter in "abc":
        server.running(f"{name}-{letter}")
    page = visit(server, f"/deployments?q={name}&sort=changed")
    order = list(page.rows)
    server.act(f"{name}-a", "update", application={"set": {"GREETING": "hi"}})
    server.settled(f"{name}-a", "Running")
    page.eventually(lambda page: page.rows == page.reloaded().rows)
    assert list(page.rows) == order != list(page.reloaded().rows)


def test_row_comes_and_goes_with_what_the_list_is_about(server, visit, name):
    running = visit(server, f"/deployments?q={name}&status=Running")
    archived = visit(server, f"/deployments?q={name}&archived=true")
    usual = visit(server, f"/deployments?q={name}")
    everything = visit(server, f"/deployments?q={name}&archived=all")
    nothing = visit(server, f"/deployments?q={name}+zzzzzz")
    searched = visit(server, f"/deployments?q={name}+hello-there")
    pages = running, archived, usual, everything, nothing, searched

    def shown_in(*chosen: OpenPage) -> None:
        for page in pages:
            page.catches_up("rows")
            assert (name in page.rows) == (page in chosen), page.path

    server.running(name)
    shown_in(running, usual, everything)
    gate = server.board.hold(name, "update")
    server.act(name, "update", application={"set": {"GREETING": "hello-there"}})
    gate.reached()
    shown_in(usual, everything, searched)
    gate.open()
    server.settled(name, "Running")
    shown_in(running, usual, everything, searched)
    server.act(name, "archive")
    server.settled(name, "Archived")
    shown_in(archived, everything)
    server.act(name, "restore")
    server.settled(name, "Running")
    shown_in(running, usual, everything, searched)
    forget(server, name)
    shown_in()


def test_rows_of_later_pages_are_kept_up_to_date_where_they_are_loaded(server, visit, name):
    for letter in "acdefg":
        server.running(f"{name}-{letter}")
    whole, part = (paged(visit, server, f"q={name}&sort=name&limit=2") for _ in range(2))
    whole.more()

    def show(all_of_them: str, the_first: str) -> None:
        for page, letters in ((whole, all_of_them), (part, the_first)):
            page.eventually(lambda page, letters=letters: list(page.rows) == [f"{name}-{letter}" for letter in letters])

    show("acdefg", "ac")
    say(server, f"{name}-e", "changed on a later page")
    whole.eventually(lambda page: "changed on a later page" in page.row(f"{name}-e"))
    forget(server, f"{name}-d")
    show("acefg", "ac")
    server.running(f"{name}-b")
    show("abcefg", "abc")
    forget(server, f"{name}-a")
    forget(server, f"{name}-b")
    show("cefg", "c")
    say(server, f"{name}-c", "changed on the first page")
    for page in (whole, part):
        page.eventually(lambda page: "changed on the first page" in page.row(f"{name}-c"))
    show("cefg", "c")
    part.more()
    assert list(part.rows.values()) == list(whole.rows.values())


def paged(visit: Callable[..., OpenPage], server: Server, query: str) -> OpenPage:
    """A list that is shown by fewer rows at a time than people see, and connected."""
    page = visit(server, f"/deployments?{query}", connect=False)
    page.find("live").attributes["ws-connect"] = f"/ws?{query}"
    page.connect()
    page.eventually(lambda page: page.messages)
    return page


@pytest.mark.parametrize("sort", ["name", "-created", "-changed"])
def test_viewers_who_came_at_different_times_see_the_same(server, visit, name, sort):
    chance = random.Random(sort)
    pages = [visit(server, f"/deployments?q={name}&sort={sort}")]
    here: list[str] = []
    for number in range(24):
        what = chance.choice(["create", "create", "say", "say", "forget", "come", "go"])
        if what == "create":
            here.append(f"{name}-{chance.randrange(1000):03}")
            server.create(here[-1])
        elif what == "come":
            pages.append(visit(server, f"/deployments?q={name}&sort={sort}"))
        elif what == "go" and len(pages) > 1:
            pages.pop(chance.randrange(len(pages))).close()
        elif what == "say" and here:
            server.settled(one := chance.choice(here), "Running")
            say(server, one, f"number {number}")
        elif what == "forget" and here:
            server.settled(one := here.pop(chance.randrange(len(here))), "Running")
            forget(server, one)
    for one in here:
        server.settled(one, "Running")
    for page in pages:
        page.eventually(lambda page: page.rows == page.reloaded().rows, "the rows that a reload would show")
        if sort != "-changed":
            page.catches_up("rows")


def test_history_has_what_its_filter_asks_for_in_order(server, visit, name):
    running, failed = (visit(server, f"/actions?state={state}") for state in ("running", "failed"))

    def shown(**expected: list[str]) -> None:
        for page, letters in ((running, expected["running"]), (failed, expected["failed"])):
            page.catches_up("actions")
            rows = [row.text for row in page.find("actions").all("tr") if name in row.text]
            assert [next(letter for letter in "ab" if f"{name}-{letter}" in row) for row in rows] == letters

    gate = server.board.hold(f"{name}-a", "create", "exit 1")
    older = server.create(f"{name}-a").json()["action"]["id"]
    gate.reached()
    eventually(lambda: server.get(f"/actions/{older}").json()["state"] == "running", "it to run")
    shown(running=["a"], failed=[])
    server.board.write(f"{name}-b", "create", "exit 1")
    server.finished(server.create(f"{name}-b").json()["action"]["id"])
    shown(running=["a"], failed=["b"])
    gate.open()
    server.finished(older)
    shown(running=[], failed=["b", "a"])


def test_similar_ones_are_shown_as_long_as_there_is_nothing_exact(server, visit, name):
    page = visit(server, "/deployments?q=wonderfl&sort=name")
    assert not page.find("similar")
    for letter, greeting in (("b", "wonderful"), ("a", "wonderfull"), ("c", "wonderfl")):
        server.running(f"{name}-{letter}", application={"GREETING": greeting})
        page.catches_up("rows")
        assert bool(page.find("similar")) == (letter != "c")
    assert list(page.rows) == [f"{name}-c"]
    forget(server, f"{name}-c")
    page.catches_up("rows")
    assert list(page.rows) == [f"{name}-a", f"{name}-b"]


def test_page_of_a_deployment_that_is_gone_says_so_and_lets_go(server, visit, name):
    server.running(name)
    page = visit(server, f"/deployments/{name}")
    forget(server, name)
    page.shows("This deployment has been removed")
    assert page.address is None


# --- toasts


def test_only_who_has_asked_is_told_on_the_list_that_it_is_done(secured, visit, name):
    """And on the page of the deployment everybody is."""
    secured.running(name)
    theirs, other = (visit(secured, f"/deployments?q={name}", login) for login in (AS_ADMIN, AS_USER))
    pages = [visit(secured, f"/deployments/{name}", login) for login in (AS_ADMIN, AS_USER)]
    gate = secured.board.hold(name, "update")
    secured.act(name, "update", application={"set": {"GREETING": "hi"}})
    gate.reached()
    for page in (theirs, other):
        page.eventually(lambda page: "Updating" in page.row(name))
    for page in pages:
        page.shows("Updating")
    gate.open()
    secured.settled(name, "Running")
    for page in (theirs, *pages):
        page.eventually(lambda page: f"{name}: Running" in page.toasts)
    say(secured, name, "and on it goes")
    other.eventually(lambda page: "and on it goes" in page.row(name))
    assert other.toasts == ""
    for page in (theirs, *pages):
        page.catches_up("main")
        assert page.toasts.count(name) == 1


def test_who_has_asked_is_told_even_when_it_leaves_the_list(server, visit, name):
    server.running(name)
    gate = server.board.hold(name, "archive")
    page = visit(server, f"/deployments?q={name}")
    server.act(name, "archive")
    page.eventually(lambda page: "Archiving" in page.row(name))
    gate.open()
    page.eventually(lambda page: f"{name}: Archived" in page.toasts)
    assert name not in page.rows


def test_what_only_left_the_list_is_not_said_to_be_done(server, visit, name):
    server.running(name)
    gate = server.board.hold(name, "update")
    page = paged(visit, server, f"q={name}&limit=1&sort=-created")
    server.act(name, "update", application={"set": {"GREETING": "hi"}})
    gate.reached()
    page.eventually(lambda page: any("Updating" in message for message in page.messages))
    server.running(f"{name}-b")
    page.eventually(lambda page: f"{name}-b: Running" in page.toasts or f"{name}-b" in page.rows)
    say(server, f"{name}-b", "and on it goes")
    page.eventually(lambda page: "and on it goes" in page.row(f"{name}-b"))
    assert f"{name}: " not in page.toasts
    gate.open()
    page.eventually(lambda page: f"{name}: Running" in page.toasts)


# --- logs


def held(server: Server, name: str, first: str, then: str) -> Gate:
    """Let `create` do something, wait at the gate, then do more."""
    gate = server.board.hold(name, "create")
    server.board.write(name, "create", f"{first}; read -r _ <{gate.path}; {then}")
    return gate


def log_of(page: OpenPage, stream: str = "stdout") -> str:
    return page.find(f"log-{stream}").text


def test_log_is_pushed_as_it_is_written_and_then_how_it_ended(server, visit, name):
    second = server.board.directory / f"second-{name}"
    os.mkfifo(second)
    then = f"echo more; echo oops >&2; read -r _ <{second}; echo the end; exit 3"
    gate = held(server, name, "echo at first", then)
    action_id = server.create(name).json()["action"]["id"]
    gate.reached()
    page = visit(server, f"/actions/{action_id}")
    page.eventually(lambda page: log_of(page) == "at first\n")
    gate.open()
    page.eventually(lambda page: (log_of(page), log_of(page, "stderr")) == ("at first\nmore\n", "oops\n"))
    assert "running" in page.text("action")
    second.write_text("go\n")
    page.eventually(lambda page: "exit code 3" in page.text("action"))
    assert log_of(page) == "at first\nmore\nthe end\n"
    page.catches_up("action", "log-stdout", "log-stderr")
    assert page.address is None, "it would connect for ever"


def test_page_of_a_log_that_was_away_gets_the_rest_when_it_is_back(server, visit, name):
    """The script has ended meanwhile, and its run's directory is gone."""
    gate = held(server, name, "echo one", "echo two")
    action_id = server.create(name).json()["action"]["id"]
    gate.reached()
    page = visit(server, f"/actions/{action_id}", connect=False)
    gate.open()
    server.settled(name, "Running")
    for directory in Path(server.env["OCTOPOD_DATA_DIR"]).glob(f"runs/{action_id}-*"):
        shutil.rmtree(directory)
    page.connect()
    page.eventually(lambda page: "succeeded" in page.text("action"))
    page.catches_up("action", "log-stdout")
    assert log_of(page) == "one\ntwo\n"


def test_long_log_is_never_shown_with_gaps_or_twice(server, visit, name):
    """While it is written as fast as it goes: the page has the end, each line once, and begins anew now and then."""
    enough = server.board.directory / f"enough-{name}"
    more = f"i=20001; until [ -e {enough} ]; do for ((n = 0; n < 500; n++)); do echo $((i++)); done; done"
    gate = held(server, name, "seq 1 20000", more)
    action_id = server.create(name).json()["action"]["id"]
    gate.reached()
    page = visit(server, f"/actions/{action_id}")
    page.eventually(lambda page: log_of(page).endswith("\n20000\n"))
    gate.open()
    begun = 0
    while "succeeded" not in page.text("action"):
        message = page.socket.read(PATIENCE)
        page.take(message)
        lines = [int(line) for line in log_of(page).split("\n")[:-1]]  # of the last one there may be more to come
        assert lines == list(range(lines[0], lines[-1] + 1)), "a line is missing, or there twice"
        assert len(log_of(page)) < 400_000, "the page grows for ever"
        begun += "<pre" in message
        if begun == 5:
            enough.touch()


# --- who sees what


def test_links_to_logs_are_pushed_to_admins_only(secured, visit, name):
    secured.running(name)
    pages = [visit(secured, f"/deployments/{name}", login) for login in (AS_USER, AS_ADMIN)]
    histories = [visit(secured, f"/actions?deployment={name}", login) for login in (AS_USER, AS_ADMIN)]
    action_id = secured.act(name, "archive").json()["id"]
    secured.settled(name, "Archived")
    for page in pages:
        page.catches_up("deployment")
    for page in histories:
        page.catches_up("actions")
    for user, admin in (pages, histories):
        assert f'href="/actions/{action_id}"' not in "".join(user.messages)
        assert f'href="/actions/{action_id}"' in "".join(admin.messages)


HOSTILE = (
    """</pre></tr></table><img src=x onerror=alert(1)><script>alert(2)</script><div id="rows" hx-swap-oob="true">'\""""
)


def test_what_is_pushed_is_escaped(secured, visit, name):
    """Names of people, keys, values, links, reasons and the output of scripts are hostile."""
    board = secured.board
    links = [
        f'"{HOSTILE.replace(chr(34), chr(34) * 2)}",{url}' for url in ("https://x/?<script>", "javascript:alert(3)")
    ]
    (board.directory / "links").write_text("\n".join(links))
    board.write(name, "info", f"cat {board.directory}/links")
    (board.directory / "said").write_text(HOSTILE)
    gate = held(
        secured,
        name,
        f"cat {board.directory}/said",
        f"cat {board.directory}/said; cat {board.directory}/said >&2; exit 1",
    )
    body = {"name": name, "application_overrides": {HOSTILE.replace("=", "-"): HOSTILE}}
    who = {"X-Auth-Email": HOSTILE, "Content-Type": "application/json"}
    deployments = visit(secured, f"/deployments?q={name}", AS_ADMIN)
    answer = ask(secured, who, "POST", "/api/v1/deployments", PROXY, json=body)
    assert answer.status_code == 202, answer.text
    action_id = answer.json()["action"]["id"]
    gate.reached()
    page = visit(secured, f"/deployments/{name}", AS_ADMIN)
    history = visit(secured, f"/actions?deployment={name}", AS_ADMIN)
    log = visit(secured, f"/actions/{action_id}", AS_ADMIN)
    log.eventually(lambda page: page.messages)  # what is written from now on is added to it
    gate.open()
    secured.finished(action_id)
    secured.settled(name, "GenericFailure")
    for open_page, part in ((deployments, "rows"), (page, "deployment"), (history, "actions"), (log, "log-stderr")):
        open_page.catches_up(part)
        assert " ".join(HOSTILE.split()) in open_page.text(part)
        for element in open_page.root.all():
            assert element.tag != "img" or element["src"] != "x"
            assert element.tag != "script" or element.get("src")
            assert not any(attribute.startswith("on") for attribute in element.attributes)
            assert not (element.get("href") or "").startswith("javascript:")
    assert log_of(log) == HOSTILE * 2


# --- readers who are slow, gone, or up to something


def long_winded(server: Server, name: str) -> None:
    """A running deployment that takes 600 KB of each page: its links are very long."""
    links = server.board.directory / "long-links"
    links.write_text("\n".join(f"link-{number},https://x/{'x' * 60_000}" for number in range(10)))
    server.board.write(name, "info", f"cat {links}")
    server.running(name)


def test_slow_readers_miss_what_is_over_and_hold_nobody_up(server, visit, name):
    """They get what is new once they read again, and all that is sent arrives whole."""
    names = [f"{name}-{letter}" for letter in "abcd"]
    for one in names:
        long_winded(server, one)
    path = f"/deployments?q={name}&sort=name"
    slow = [visit(server, path, buffer=65536) for _ in range(2)]
    fast = visit(server, path)
    for number in range(6):
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda one, number=number: say(server, one, f"number {number}."), names))
        for one in names:
            fast.eventually(lambda page, one=one, number=number: f"number {number}." in page.row(one))
        if number == 2:
            server.running(f"{name}-bb")
        elif number == 3:
            server.running(f"{name}-bbb")
            say(server, f"{name}-bb", "once more")
        elif number == 4:
            forget(server, names.pop(1))
    last = server.deployment(names[-1])["status_reason"]
    for page in (fast, *slow):
        page.eventually(lambda page: last in page.row(names[-1]))
        page.catches_up("rows")
    for page in slow:
        assert page.socket.received < fast.socket.received / 2


def test_what_pages_send_is_dropped(server, visit, name):
    server.running(name)
    page = visit(server, f"/deployments?q={name}")
    before = process_of(server).memory_info().rss
    for _ in range(8000):
        page.socket.send("x" * 4000)
    say(server, name, "all the same")
    page.eventually(lambda page: "all the same" in page.row(name))
    assert process_of(server).memory_info().rss - before < 12e6


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x81\x05hello", b"\xff" * 300, b"\x88\x82\0\0\0\0\0\1"]
)
def test_who_does_not_keep_to_the_protocol_is_cut_off(server, visit, sent):
    page = visit(server, "/deployments")
    page.socket.send_raw(sent)
    page.is_closed(1002)


def test_who_sends_too_much_is_cut_off(server, visit):
    page = visit(server, "/deployments")
    page.socket.send("x" * 5000)
    page.is_closed(1009)


@both_ways
def test_pages_that_are_gone_are_forgotten(start, name, kind):
    server = start(kind)
    for letter in "ab":
        long_winded(server, f"{name}-{letter}")
    process, limits = process_of(server), itertools.count(1)

    def come_and_go() -> tuple[int, int]:
        """Many look and leave, some without a word; what is then left: file descriptors and bytes."""
        pages = [Socket(server, f"/ws?limit={next(limits)}") for _ in range(30)]  # each is shown something else
        pages += [Socket(server, f"/ws?deployment={name}-a") for _ in range(15)]
        assert open_pages(server) == 45
        for page in pages[::2]:
            eventually(page.read, "something to be pushed")
        for page, leave in zip(pages, itertools.cycle([Socket.close, Socket.vanish, Socket.crash])):
            leave(page)
        for leave in [Socket.vanish, Socket.crash] * 15:  # some do not even wait for an answer
            leave(Socket(server, "/ws", wait=False))
        eventually(lambda: open_pages(server) == 0, "all pages to be forgotten")
        say(server, f"{name}-a", f"number {next(numbers)}")  # what still runs for them notices that they are gone
        return process.num_fds(), process.memory_info().rss

    at_first = [come_and_go() for _ in range(2)][-1]
    at_last = [come_and_go() for _ in range(3)][-1]
    # Those who did not wait for an answer may still be on their way.
    eventually(lambda: process.num_fds() <= at_first[0] + 2, "no descriptors to be kept")
    assert at_last[1] <= at_first[1] + 50e6, "each time 36 MB of HTML were kept for pages that are no more"


# --- several servers, databases that go away, servers that stop


def test_change_made_through_one_server_is_pushed_by_the_other(start, new_database, visit, name):
    a = start(url=new_database("postgresql"))
    b = start(like=a)
    gate = a.board.hold(name, "create")
    action_id = a.create(name).json()["action"]["id"]
    gate.reached()
    paths = {f"/deployments?q={name}": "rows", f"/deployments/{name}": "deployment", "/actions": "actions"}
    pages = {visit(server, path): part for server in (a, b) for path, part in paths.items()}
    logs = [visit(server, f"/actions/{action_id}") for server in (a, b)]
    gate.open()
    a.settled(name, "Running")
    for page in pages:
        page.shows("Running" if "/actions" not in page.path else "succeeded")
    for page in logs:
        page.shows("succeeded")
    for server in (a, b):
        say(server, name, f"said to {server.port}")
        for page, part in pages.items():
            page.catches_up(part)
    forget(b, name)
    for page, part in pages.items():
        page.eventually(lambda page: name not in page.rows)
        if part == "deployment":
            page.shows("has been removed")


@pytest.fixture
def connect() -> Iterator[Callable[[Server], Any]]:
    """A cursor in the database of a server."""
    connections = []

    def connect(server: Server) -> Any:
        connections.append(psycopg2.connect(server.env["OCTOPOD_DATABASE_URL"]))
        return connections[-1].cursor()

    yield connect
    for connection in connections:
        connection.close()


CUT = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = %s"


def test_page_is_brought_up_to_date_when_something_may_have_gone_unheard(start, new_database, connect, visit, name):
    """The server was not listening when somebody else changed something."""
    server = start(url=new_database("postgresql"))
    server.running(name)
    pages = [visit(server, path) for path in (f"/deployments?q={name}", f"/deployments/{name}")]
    cursor = connect(server)
    cursor.execute("update deployment set status_reason = 'unheard'")
    cursor.execute(CUT, ("octopod listener",))
    cursor.connection.commit()
    for page in pages:
        page.shows("unheard")


def test_change_that_could_not_be_looked_at_is_not_forgotten(start, new_database, connect, visit, name):
    """The server has heard of it, but then its connections were cut."""
    server = start(url=new_database("postgresql"))
    server.running(name)
    page = visit(server, f"/deployments/{name}")
    page.eventually(lambda page: page.messages)
    cursor, other = connect(server), connect(server)
    cursor.execute("update deployment set status_reason = 'heard'")
    cursor.execute("lock table deployment in access exclusive mode")
    cursor.execute("select id from deployment")
    other.execute("select pg_notify('octopod', %s)", (str(cursor.fetchone()[0]),))
    other.connection.commit()

    def put_off() -> bool:
        other.execute(CUT, ("octopod",))
        other.connection.commit()
        return "Channel._pass_on" in server.log.read_text()

    eventually(put_off, "the look to fail")
    cursor.connection.commit()
    page.shows("heard")


def test_what_is_stored_before_it_is_heard_of_is_pushed_in_its_place(start, new_database, connect, visit, name):
    """What others have heard of is put next to it, and when word of it comes at last, nothing is there twice."""
    server = start(url=new_database("postgresql"))
    for letter in "bf":
        server.running(f"{name}-{letter}")
    paths = {f"/deployments?sort={sort}": "rows" for sort in ("name", "-name", "created")} | {"/actions": "actions"}
    pages = {visit(server, path): part for path, part in paths.items()}
    first = paged(visit, server, "sort=name&limit=2")
    for page in pages:
        page.eventually(lambda page: page.messages)
    cursor = connect(server)
    for letter in "dg":
        insert_copy(cursor, name, "b", letter)
    cursor.connection.commit()
    say(server, f"{name}-f", "heard of")
    server.running(f"{name}-e")
    for page, part in pages.items():
        page.catches_up(part)
    first.eventually(lambda page: list(page.rows) == [f"{name}-{letter}" for letter in "bdf"])
    first.eventually(lambda page: "heard of" in page.row(f"{name}-f"))
    cursor.execute(
        "update deployment set status_reason = 'heard of, too' where name in (%s, %s)", (f"{name}-d", f"{name}-g")
    )
    cursor.execute("select pg_notify('octopod', id::text) from deployment where status_reason = 'heard of, too'")
    cursor.connection.commit()
    for page, part in pages.items():
        page.eventually(lambda page, part=part: part == "actions" or "heard of, too" in page.row(f"{name}-g"))
        page.catches_up(part)


def insert_copy(cursor: Any, name: str, of: str, letter: str) -> None:
    """A deployment and its creation, told to nobody."""
    for table, where in (
        ("deployment", "name = %s"),
        ("action", "deployment_id = (select id from deployment where name = %s)"),
    ):
        cursor.execute(
            f"create temporary table copied on commit drop as select * from {table} where {where}", (f"{name}-{of}",)
        )
        cursor.execute("update copied set id = nextval(%s)", (f"{table}_id_seq",))
        if table == "deployment":
            cursor.execute("update copied set name = %s returning id", (f"{name}-{letter}",))
            [id] = cursor.fetchone()
        else:
            cursor.execute("update copied set deployment_id = %s", (id,))
        cursor.execute(f"insert into {table} select * from copied")
        cursor.execute("drop table copied")


def test_what_could_not_be_told_to_the_others_is_told_later(new_database):
    """The database was away for a moment, so that only the teller noticed."""
    url = new_database("postgresql")
    script = """if True:
        import os
        from octopod import db, events
        from octopod.errors import Unavailable
        from octopod.settings import settings
        def use(url):
            settings.load({"OCTOPOD_DATABASE_URL": url})
            db.configure()
        use("postgresql://127.0.0.1:1/nowhere")
        events.publish(17)
        events.publish(18)
        try:
            events.send()
        except Unavailable:
            use(os.environ["URL"])
        events.send()
    """
    listener = psycopg2.connect(url)
    try:
        listener.autocommit = True
        listener.cursor().execute("listen octopod")
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=clean_environment() | {"URL": url}, check=True)
        listener.poll()
        assert {notify.payload for notify in listener.notifies} == {"17", "18"}
    finally:
        listener.close()


@pytest.fixture
def postgres(scratch: Path) -> Iterator[Postgres]:
    """A PostgreSQL that may be stopped."""
    directory = scratch / f"live-{next(numbers)}"
    directory.mkdir(mode=0o700)
    postgres = Postgres(directory)
    yield postgres
    postgres.server.cleanup()


def test_pages_come_back_when_the_database_does(postgres, start, visit, name):
    server = start(url=postgres.new_database())
    gate = server.board.hold(name, "create")
    server.create(name)
    gate.reached()
    pages = [visit(server, path) for path in (f"/deployments?q={name}", f"/deployments/{name}")]
    for page in pages:
        page.shows("Creating")
    late = visit(server, f"/deployments/{name}", connect=False)
    try:
        postgres.stop()
        with pytest.raises(Refused, match="503"):
            late.connect()
        gate.open()
    finally:
        postgres.start()
    eventually(lambda: server.request("GET", "/readyz").ok, "the server to be ready again")
    late.connect()
    for page in (*pages, late):
        page.shows("Running")


@both_ways
def test_pages_are_told_when_the_server_stops(start, visit, name, kind):
    """So that their browsers come again. At once, because the server, which waits for a script here, will not wait long."""
    server = start(kind, DRAIN_TIMEOUT="2")
    server.running(f"{name}-b")
    gate = held(server, name, "echo first", "")
    action_id = server.create(name).json()["action"]["id"]
    gate.reached()
    paths = "/deployments", f"/deployments/{name}", f"/deployments/{name}-b", "/actions", f"/actions/{action_id}"
    pages = [visit(server, path) for path in paths]
    for page in pages:
        page.eventually(lambda page: page.messages)
    server.process.send_signal(signal.SIGTERM)
    for page in pages:
        page.is_closed(RESTARTING)
    assert server.process.wait(PATIENCE) == 0
    gate.open()


# --- what waits to be heard, and to be sent


def test_nothing_is_kept_for_pages_that_nobody_looks_at(tmp_path):
    script = f"""if True:
        from gevent import monkey
        monkey.patch_all()
        import threading, time
        from app import create_app
        from octopod import channels, events, pushes, schemas, server, settings
        settings.settings.load({{"OCTOPOD_DATABASE_URL": "sqlite:///{tmp_path}/db", "OCTOPOD_DATA_DIR": "{tmp_path}"}})
        server.db.configure(), server.prepare()
        page = lambda: pushes.ListPage(schemas.DeploymentQuery())
        with create_app().app_context():
            with channels.viewing("here", page, channels.Viewer("ada", threading.Event())):
                time.sleep(0)
                with channels.viewing("here", page, channels.Viewer("bob", threading.Event())):
                    assert (len(channels._channels), len(events._feeds)) == (1, 1)
                assert len(channels._channels) == 1
            assert len(channels._channels) == 0
        events.publish(1)
        while events._feeds:
            time.sleep(0)
    """
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=clean_environment(), check=True, timeout=PATIENCE)


def test_feed_has_each_change_once():
    feed = events.Feed()
    try:
        for deployment_id in (3, 1, 3, 2, 1):
            events.publish(deployment_id)
        assert feed.changed.is_set()
        assert feed.take() == {1, 2, 3}
        assert not feed.changed.is_set()
        assert feed.take() == set()
    finally:
        feed.close()


def test_feed_of_one_deployment_hears_nothing_of_others():
    feed = events.Feed(only=2)
    try:
        events.publish(1)
        assert not feed.changed.is_set()
        events.publish(2)
        assert feed.changed.is_set()
        assert feed.take() == {2}
    finally:
        feed.close()


@pytest.mark.parametrize("only", [None, 2])
def test_feed_that_may_have_missed_something_says_so_once(only):
    feed = events.Feed(only)
    try:
        events.publish(2)
        feed.add(None)
        assert feed.changed.is_set()
        assert feed.take() is None
        events.publish(2)
        assert feed.take() == {2}
    finally:
        feed.close()


def test_feed_that_is_closed_hears_nothing():
    feed = events.Feed()
    feed.close()
    events.publish(1)
    assert not feed.changed.is_set()


def row(number: int, says: str = "") -> str:
    return f'<tr id="deployment-{number}"><td><a>{number}</a>{says}</td></tr>'


def change(number: int, says: str = "changed") -> Partial:
    return Partial(f"deployment-{number}", row(number, says))


def put_in(number: int, after: int = 0) -> Partial:
    return Partial(
        f"deployment-{number}", row(number), f"afterend:#deployment-{after}" if after else "afterbegin:#rows"
    )


def drop(number: int) -> Partial:
    return Partial(f"deployment-{number}", f'<tr id="deployment-{number}"></tr>', "delete")


@pytest.mark.parametrize(
    ("waiting", "rows"),
    [
        ([change(1), change(2), change(1, "again")], "1again 2changed"),
        ([put_in(3, 2), change(3)], "1 2 3changed"),
        ([put_in(3, 2), put_in(4, 3), change(3)], "1 2 3changed 4"),
        ([put_in(3), put_in(4), change(3)], "4 3changed 1 2"),
        ([put_in(3, 2), put_in(4, 3), drop(3)], "1 2 4"),
        ([put_in(3, 2), put_in(4, 3), put_in(3)], "3 1 2 4"),
        ([change(2), put_in(3, 2), drop(2)], "1 3"),
        ([change(2), put_in(3, 2), put_in(2)], "2 1 3"),
        ([drop(2), put_in(2)], "2 1"),
        ([put_in(2)], "2 1"),
        ([change(7)], "1 2"),
    ],
)
def test_what_waits_to_be_sent_leads_where_each_of_it_would_have_led(waiting, rows):
    pages = []
    for at_once in (True, False):
        viewer = Viewer("ada", threading.Event())
        page = Document(f'<table><tbody id="rows">{row(1)}{row(2)}</tbody></table>')
        for partial in waiting:
            viewer.put([partial])
            if not at_once:
                receive(page, viewer)
        receive(page, viewer, "".join(row(int(said[0]), said[1:]) for said in rows.split()))
        pages.append(page)
    for page in pages:
        assert [page.text(f"deployment-{said[0]}") for said in rows.split()] == rows.split()
        assert list(page.rows) == [said[0] for said in rows.split()]


def receive(page: Document, viewer: Viewer, whole: str = "") -> None:
    """What the writer of a page does."""
    if viewer.overwhelmed:
        viewer.start_again([Partial("rows", f'<tbody id="rows">{whole}</tbody>')])
    for message in viewer.take():
        page.take(message)


def test_who_has_too_much_waiting_gets_the_whole_anew():
    viewer = Viewer("ada", threading.Event())
    for number in range(10 * MOST_PENDING):
        viewer.put([change(number)])
        assert len(viewer._pending) <= MOST_PENDING
    assert viewer.overwhelmed
    viewer.start_again([Partial("rows", '<tbody id="rows"></tbody>')])
    assert not viewer.overwhelmed
    assert viewer.take()[-1] == '<tbody hx-swap-oob="morph" id="rows"></tbody>'
    assert viewer.take() == []


def test_what_is_for_one_is_not_for_others():
    ada, bob = (Viewer(name, threading.Event()) for name in ("ada", "bob"))
    for viewer in (ada, bob):
        viewer.put([Partial("toast-1", "<p>done</p>", "", only_for="ada")])
    assert (ada.take(), bob.take()) == (["<p>done</p>"], [])
