"""Visitors in a real Chromium: each in a fresh context, and a test fails with whatever went wrong in theirs.

What counts as a problem: an uncaught exception, an error in the console, a violated Content-Security-Policy (even one
that is only reported), a request that failed, a GET answered with 4xx, anything answered with 5xx, a page that crashed.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from conftest import PATIENCE, Server
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Request,
    Response,
    WebError,
    expect,
    sync_playwright,
)

# Chromium is not to look for anything beyond the server under test, and tests run as root in containers.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = {"wide": (1280, 800), "narrow": (390, 844)}
LAST_LOOK = 5_000.0  # milliseconds for a picture of a page that may be stuck

VISITORS = pytest.StashKey[list["Visitor"]]()

at_both_widths = pytest.mark.parametrize("visitor", [{"width": width} for width in WIDTHS], indirect=True, ids=WIDTHS)


class Visitor:
    """Somebody at Chromium, with cookies and a cache of their own. `page` is their first page."""

    def __init__(
        self,
        browser: Browser,
        url: str,
        *,
        width: Literal["wide", "narrow"] = "wide",
        javascript: bool = True,
        login: tuple[str, str] | None = None,
        colors: Literal["light", "dark"] = "light",
    ) -> None:
        self.url = url
        self.expected: list[str] = []
        self.allowed: list[str] = []
        self.found: list[str] = []
        self.logged: list[ConsoleMessage] = []
        self.judged: set[str] = set()  # addresses of which Chromium's console says what was seen here already
        width_px, height_px = WIDTHS[width]
        self.context = browser.new_context(
            base_url=url,
            viewport={"width": width_px, "height": height_px},
            java_script_enabled=javascript,
            http_credentials={"username": login[0], "password": login[1]} if login else None,
            color_scheme=colors,
            reduced_motion="reduce",  # what fades is neither readable nor where it will be
        )
        self.context.set_default_timeout(PATIENCE * 1000)
        self.context.on("console", self._on_console)
        self.context.on("weberror", self._on_exception)
        self.context.on("requestfailed", self._on_failure)
        self.context.on("response", self._on_response)
        self.context.on("page", lambda page: page.on("crash", self._on_crash))
        self.page = self.context.new_page()

    def expect_errors(self, *patterns: str) -> None:
        """From the start of the test to its end, problems that match one of these are to happen, each at least once."""
        self.expected += patterns

    def allow_errors(self, *patterns: str) -> None:
        """Like `expect_errors`, for what may as well not happen."""
        self.allowed += patterns

    def problems(self) -> list[str]:
        """What went wrong so far and was not expected, and what was expected and did not go wrong."""
        for page in self.context.pages:
            with suppress(Error):
                page.evaluate("0")  # what the page said before this has been heard when it is answered
        return self.unexpected()

    def unexpected(self) -> list[str]:
        """The same, as far as it is known without asking the pages: they may be stuck."""
        found = self.found + [self._in_console(entry) for entry in self.logged if not self._is_known(entry)]
        missing = [pattern for pattern in self.expected if not any(re.search(pattern, each) for each in found)]
        fine = self.expected + self.allowed
        return [each for each in found if not any(re.search(pattern, each) for pattern in fine)] + [
            f"expected, but it did not happen: {pattern}" for pattern in missing
        ]

    def save(self, directory: Path, number: int) -> list[Path]:
        """Write a picture and the HTML of each page to the directory, as far as they can be had."""
        saved = []
        for count, page in enumerate(self.context.pages, 1):
            path = directory / f"visitor-{number}-page-{count}.png"
            with suppress(Error):
                page.screenshot(path=path, full_page=True, timeout=LAST_LOOK)  # fails if the page is stuck; the next
                path.with_suffix(".html").write_text(page.content())  # would wait for it without end
                saved += [path, path.with_suffix(".html")]
        return saved

    def _find(self, problem: str) -> None:
        self.found.append(problem.replace(self.url, ""))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert") or "Content Security Policy" in message.text:
            self.logged.append(message)

    def _on_exception(self, exception: WebError) -> None:
        where = exception.page.url if exception.page else "a worker"
        self._find(f"uncaught exception in {where}: {exception.error.stack or exception.error}")

    def _on_failure(self, request: Request) -> None:
        # This one means that the browser gave up itself: somebody left the page, or it was answered with 204.
        if request.failure != "net::ERR_ABORTED":
            self._find(f"{request.method} {request.url} failed: {request.failure}")
            self.judged.add(request.url)

    def _on_response(self, response: Response) -> None:
        # The answer to a form may well be 4xx: it is for the test to say what should be on that page.
        if response.status >= 400:
            self.judged.add(response.url)
            if response.status >= 500 or response.request.method == "GET":
                self._find(f"{response.request.method} {response.url} was answered with {response.status}")

    def _on_crash(self, page: Page) -> None:
        self._find(f"{page.url} crashed")

    def _in_console(self, entry: ConsoleMessage) -> str:
        where = f"{entry.location['url']}:{entry.location['lineNumber'] + 1}"
        return f"{entry.type} in the console at {where}: {entry.text}".replace(self.url, "")

    def _is_known(self, entry: ConsoleMessage) -> bool:
        """Whether the console only repeats what became of a request."""
        url = entry.location["url"]
        # Chromium asks for this one when it likes, if at all, and says so to nobody but the console.
        is_whim = urlsplit(url).path == "/favicon.ico"
        return entry.text.startswith("Failed to load resource:") and (url in self.judged or is_whim)


def sticking_out(page: Page) -> list[str]:
    """The innermost elements for which the page has to be scrolled sideways; none if it has not."""
    return page.evaluate(
        """() => {
            const { scrollWidth, clientWidth } = document.scrollingElement;
            if (scrollWidth <= clientWidth) return [];
            const sticksOut = (element) => {
                const { left, right } = element.getBoundingClientRect();
                return Math.max(right, left + element.scrollWidth) + scrollX > clientWidth + 1;
            };
            const out = [...document.body.querySelectorAll("*")].filter(sticksOut);
            const innermost = out.filter((element) => ![...element.children].some(sticksOut));
            const seen = `${scrollWidth} pixels wide, of which ${clientWidth} can be seen`;
            return [seen, ...innermost.map((element) => element.outerHTML.slice(0, 200))];
        }"""
    )


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser, one process for the session."""
    program = shutil.which("chromium")
    assert program, "there is no chromium: tools/setup test"
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def new_visitor(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visitor]]:
    """Make a visitor to the server at a URL; see `Visitor` for what they may have of their own."""
    visitors = request.node.stash[VISITORS] = []
    shutil.rmtree(keepsakes(request.node), ignore_errors=True)

    def new(url: str, **own: Any) -> Visitor:
        visitors.append(Visitor(chromium, url, **own))
        return visitors[-1]

    yield new
    for visitor in visitors:
        visitor.context.close()


@pytest.fixture
def visitor(request: pytest.FixtureRequest, server: Server, new_visitor: Callable[..., Visitor]) -> Visitor:
    """A visitor to the server that tests share; parametrise it indirectly to give it something of its own."""
    return new_visitor(server.url, **getattr(request, "param", {}))


def keepsakes(item: pytest.Item) -> Path:
    """Where the pages of a failed test are kept, until it runs again."""
    return item.config.rootpath / ".test-failures" / re.sub(r"[^\w.-]+", "-", item.nodeid)[:200]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail with the problems of the test's visitors, and keep what the pages of a failed test look like."""
    visitors = item.stash.get(VISITORS, [])
    try:
        yield
    except (Exception, pytest.fail.Exception) as failure:
        if report := _report(item, [problem for visitor in visitors for problem in visitor.unexpected()]):
            failure.add_note(report)
        raise
    if problems := [problem for visitor in visitors for problem in visitor.problems()]:
        pytest.fail(_report(item, problems), pytrace=False)


def _report(item: pytest.Item, problems: list[str]) -> str:
    """The problems and where the pages are kept, a line each."""
    visitors = item.stash.get(VISITORS, [])
    kept = [path for number, visitor in enumerate(visitors, 1) for path in visitor.save(keepsakes(item), number)]
    return "\n".join([f"in the browser: {problem}" for problem in problems] + [f"see {path}" for path in kept])
