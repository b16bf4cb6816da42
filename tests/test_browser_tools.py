"""The visitors in Chromium themselves: whatever goes wrong in the browser is noticed, and what is fine is not."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest
from axe import violations
from chromium import Visitor, sticking_out
from conftest import ROOT, clean_environment, eventually
from playwright.sync_api import Error, expect

POLICY = "default-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'"


class Answer(NamedTuple):
    body: str = ""
    status: int = 200
    headers: dict[str, str] = {}


PAGES = {
    "/": Answer("<!doctype html><html lang=en><title>Fine</title><main><h1>Fine</h1></main>"),
    "/inline": Answer("<script>1</script>", headers={"Content-Security-Policy": POLICY}),
    "/reported": Answer("<script>1</script>", headers={"Content-Security-Policy-Report-Only": POLICY}),
    "/style": Answer("<p style='color: red'>", headers={"Content-Security-Policy": POLICY}),
    "/console": Answer("<script>console.error('oh', {a: 1})</script>"),
    "/warning": Answer("<script>console.warn('mind the gap'); console.log('all is well')</script>"),
    "/throws": Answer("<script>setTimeout(() => { throw new Error('thrown') })</script>"),
    "/rejects": Answer("<script>Promise.reject(new TypeError('rejected'))</script>"),
    "/lacks-style": Answer("<link rel=stylesheet href=/no.css>"),
    "/hung-up": Answer("<img src=/hang-up>"),
    "/broken": Answer("broken", 500),
    "/breaks": Answer("<script>fetch('/broken', {method: 'POST'})</script>"),
    "/form": Answer("<form method=post action=/invalid><button>Send</button></form>"),
    "/sends": Answer("<script>fetch('/invalid', {method: 'POST'}).then(() => document.title = 'answered')</script>"),
    "/invalid": Answer("<h1>Mend this</h1>", 422),
    "/leaves": Answer("<a href=/>Home</a><script>fetch('/never')</script>"),
    "/socket": Answer("<script>new WebSocket('/no-such-socket')</script>"),
    "/wide": Answer("<p>narrow</p><p id=wide>" + "wide" * 300),
    "/unlabelled": Answer(
        "<!doctype html><html lang=en><title>x</title><main><h1>x</h1><input id=lonely></main>",
        headers={"Content-Security-Policy": POLICY + "; require-trusted-types-for 'script'"},
    ),
    "/asks": Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}),
}  # fmt: skip


class Site(ThreadingHTTPServer):
    """Answers with `PAGES`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.closing = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        if self.path == "/never":
            self.server.closing.wait()
        if self.path in ("/never", "/hang-up"):
            return
        answer = PAGES.get(self.path, Answer("nothing here", 404))
        if self.headers["Authorization"] == "Basic cml0YTpwYXNz":
            answer = Answer("<h1>Hello Rita</h1>")
        self.send_response(answer.status)
        body = answer.body.encode()
        for name, value in {"Content-Type": "text/html", "Content-Length": str(len(body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield site.url
        site.closing.set()
        site.shutdown()
        thread.join()


@pytest.fixture
def guest(new_visitor, site) -> Visitor:
    return new_visitor(site)


# --- problems


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/inline", "console at /inline:1: Executing inline script violates the following Content Security Policy"),
        ("/reported", "console at /reported:1: Executing inline script violates .*Content Security Policy"),
        ("/style", "Applying inline style violates"),
        ("/console", "error in the console at /console:1: oh {a: 1}"),
        ("/throws", "uncaught exception in /throws: Error: thrown\n    at /throws:1"),
        ("/rejects", "uncaught exception in /rejects: TypeError: rejected"),
        ("/lacks-style", "GET /no.css was answered with 404"),
        ("/hung-up", "GET /hang-up failed: net::ERR_EMPTY_RESPONSE"),
        ("/broken", "GET /broken was answered with 500"),
        ("/breaks", "POST /broken was answered with 500"),
        ("/no-such-page", "GET /no-such-page was answered with 404"),
        ("/socket", "error in the console at /socket:1: WebSocket connection to .* failed"),
    ],
)
def test_what_goes_wrong_is_a_problem_said_once(guest, path, problem):
    guest.page.goto(path)
    assert len(eventually(guest.problems)) == 1
    guest.expect_errors(problem)
    assert guest.problems() == []


def test_problem_of_a_second_page_is_noticed(guest):
    guest.page.goto("/")
    guest.context.new_page().goto("/console")
    guest.page.goto("/")
    guest.expect_errors("oh {a: 1}")
    assert guest.problems() == []


def test_crash_is_a_problem(guest):
    with pytest.raises(Error):
        guest.page.goto("chrome://crash")
    eventually(guest.problems)
    guest.expect_errors("crashed$")


def test_expected_problem_that_does_not_happen_is_a_problem(guest):
    guest.page.goto("/")
    guest.expect_errors("the sky falls")
    assert guest.problems() == ["expected, but it did not happen: the sky falls"]
    guest.expected.clear()
    guest.allow_errors("the sky falls")
    assert guest.problems() == []


@pytest.mark.parametrize("path", ["/", "/warning"])
def test_what_is_fine_is_no_problem(guest, path):
    guest.page.goto(path)


def test_form_may_be_answered_with_4xx(guest):
    guest.page.goto("/form")
    guest.page.get_by_role("button", name="Send").click()
    expect(guest.page.get_by_role("heading")).to_have_text("Mend this")
    guest.page.goto("/sends")
    expect(guest.page).to_have_title("answered")


def test_request_given_up_by_leaving_the_page_is_no_problem(guest):
    with guest.page.expect_request("**/never"):
        guest.page.goto("/leaves")
    with guest.page.expect_event("requestfailed"):
        guest.page.get_by_role("link", name="Home").click()
    expect(guest.page.get_by_role("heading")).to_have_text("Fine")


# --- what visitors have of their own


def test_visitor_may_be_without_javascript(new_visitor, site):
    visitor = new_visitor(site, javascript=False)
    visitor.page.goto("/console")
    assert visitor.page.title() == ""
    with pytest.raises(AssertionError, match="needs a visitor with JavaScript"):
        violations(visitor.page)


def test_visitor_may_log_in(new_visitor, site):
    rita = new_visitor(site, login=("rita", "pass"))
    rita.page.goto("/asks")
    assert rita.page.inner_text("h1") == "Hello Rita"


@pytest.mark.parametrize("colors", ["light", "dark"])
def test_visitor_may_prefer_colors(new_visitor, site, colors):
    page = new_visitor(site, colors=colors).page
    assert page.evaluate(f"matchMedia('(prefers-color-scheme: {colors})').matches")


def test_visitors_share_nothing(new_visitor, site):
    one, other = new_visitor(site), new_visitor(site)
    for visitor in (one, other):
        visitor.page.goto("/")
    one.page.evaluate("document.cookie = 'mine=1'")
    assert other.page.evaluate("document.cookie") == ""


# --- looks


def test_page_that_must_be_scrolled_sideways_is_noticed(guest):
    guest.page.goto("/wide")
    how_wide, element = sticking_out(guest.page)
    assert how_wide.endswith("of which 1280 can be seen")
    assert element.startswith('<p id="wide">')
    guest.page.goto("/")
    assert sticking_out(guest.page) == []


def test_axe_says_what_is_wrong_in_spite_of_a_strict_policy(guest):
    guest.page.goto("/unlabelled")
    [found] = violations(guest.page)
    assert found.startswith(
        'label (critical): Form elements must have labels\n  #lonely  <input id="lonely">\n    Element'
    )
    guest.page.evaluate("document.querySelector('input').ariaLabel = 'Name'")
    assert violations(guest.page) == []
    assert guest.problems() == []
    with pytest.raises(Exception, match="TrustedScript"):
        guest.page.add_script_tag(content="1")
    guest.expect_errors("TrustedScript")


# --- failing


FAILING = """
import pytest

def test_fine(new_visitor):
    new_visitor(SITE).page.goto("/")

def test_expected(new_visitor):
    visitor = new_visitor(SITE)
    visitor.expect_errors("oh")
    visitor.page.goto("/console")

def test_problem(new_visitor):
    new_visitor(SITE)
    new_visitor(SITE).page.goto("/console")

def test_assertion(new_visitor):
    new_visitor(SITE).page.goto("/lacks-style")
    assert 1 == 2

@pytest.mark.timeout(3, func_only=True)
def test_stuck(new_visitor):
    page = new_visitor(SITE).page
    page.goto("/")
    page.evaluate("(() => { while (true); })()")

def test_after_it(new_visitor):
    new_visitor(SITE).page.goto("/")
"""


def test_tests_fail_with_the_problems_and_keep_what_the_pages_look_like(site, tmp_path):
    (tmp_path / "test_failing.py").write_text(f"SITE = {site!r}\n{FAILING}")
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, "-p", "chromium"]
    env = clean_environment() | {"PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(
        [*command, "-rpf", "test_failing.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100
    )
    said = done.stdout.splitlines()
    outcomes = dict(reversed(line.split(" - ")[0].split(" test_failing.py::")) for line in said if "::" in line)
    assert outcomes == {
        "test_fine": "PASSED", "test_expected": "PASSED", "test_after_it": "PASSED",
        "test_problem": "FAILED", "test_assertion": "FAILED", "test_stuck": "FAILED",
    }, done.stdout  # fmt: skip
    kept = tmp_path / ".test-failures"
    assert "in the browser: error in the console at /console:1: oh {a: 1}" in said
    assert f"see {kept}/test_failing.py-test_problem/visitor-2-page-1.png" in said
    assert "E       assert 1 == 2" in said
    assert "E       in the browser: GET /no.css was answered with 404" in said
    assert f"E       see {kept}/test_failing.py-test_assertion/visitor-1-page-1.html" in said
    assert any("Timeout (>3.0s)" in line for line in said)
    assert "<link rel=" in (kept / "test_failing.py-test_assertion/visitor-1-page-1.html").read_text()
    assert {path.name for path in kept.iterdir()} == {"test_failing.py-test_problem", "test_failing.py-test_assertion"}
