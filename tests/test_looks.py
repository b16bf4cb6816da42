"""Every page in Chromium, wide and light, narrow and dark: no errors, no scrolling sideways, nothing grave that axe finds."""

from collections.abc import Callable, Iterator

import pytest
from axe import violations
from chromium import Visitor, sticking_out
from playwright.sync_api import Page

PAGES = {
    "list": "/deployments?q=looks&archived=all",
    "similar": "/deployments?q=loocks",
    "empty-list": "/deployments?q=nothing-is-named-so",
    "new": "/new",
    "deployment": "/deployments/looks",
    "failed-deployment": "/deployments/looks-bad",
    "busy-deployment": "/deployments/looks-busy",
    "archived-deployment": "/deployments/looks-old",
    "edit": "/deployments/looks/edit",
    "archive": "/deployments/looks/confirm/archive",
    "cleanup": "/deployments/looks-old/confirm/cleanup",
    "delete": "/deployments/looks/confirm/delete",
    "history": "/actions",
    "empty-history": "/actions?deployment=nothing-is-named-so",
    "logs": "/actions/{failed}",
    "live-logs": "/actions/{busy}",
    "docs": "/docs",
    "no-such-page": "/no-such-page",
}
LONG = "https://a-very-long-name.example.org/" + "and-a-very-long-path" * 10


def open_menu(page: Page) -> None:
    page.goto("/deployments?q=looks")
    page.locator("tr", has_text="looks-bad").locator(".menu summary").click()


def open_reason(page: Page) -> None:
    page.goto("/deployments?q=looks")
    page.locator("tr", has_text="looks-bad").locator(".status").focus()


def open_new(page: Page) -> None:
    page.goto("/deployments")
    page.get_by_role("link", name="New deployment").click()
    page.locator("#name").fill("-")
    page.locator("#name-error").wait_for()


def open_edit(page: Page) -> None:
    page.goto("/deployments/looks")
    page.get_by_role("link", name="Edit").click()
    page.locator("#deployment-level").get_by_role("button", name="Add an override").click()
    page.locator("#deployment-own-0-key").fill("a..b")
    page.get_by_label("Take image.tag away").click()
    page.locator(".invalid-feedback").first.wait_for()
    page.locator(".changes").wait_for()


def open_archive(page: Page) -> None:
    page.goto("/deployments/looks")
    page.get_by_role("link", name="Move to archive").click()
    page.locator("dialog #confirm").wait_for()


def open_unsaved(page: Page) -> None:
    open_edit(page)
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="Discard what you have typed?").wait_for()


def show_toasts(page: Page) -> None:
    page.goto("/deployments/looks")
    page.get_by_label("More").click()
    page.get_by_role("button", name="Check now").click()
    page.locator("[data-toast]").wait_for()
    page.evaluate("toast('That did not work (500)')")


OPENINGS = [open_menu, open_reason, open_new, open_edit, open_archive, open_unsaved, show_toasts]

# What a page looks like does not depend on the database.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session")
LOOKS = [{"width": "wide", "colors": "light"}, {"width": "narrow", "colors": "dark"}]
in_both_looks = pytest.mark.parametrize("visitor", LOOKS, indirect=True, ids=lambda look: "-".join(look.values()))


@pytest.fixture(scope="module")
def actions(server) -> Iterator[dict[str, int]]:
    """The actions of a deployment that failed and of one that goes on; beside these, one that runs and an archived one."""
    board = server.board
    board.write("looks-bad", "create", f"echo working; echo '{LONG}' >&2; exit 1")
    board.write("looks-bad", "check", "exit 1")
    board.write("looks-busy", "create", f"echo '{LONG}'; sleep 600")
    board.write("looks", "info", f"printf '%s\\n' 'app,{LONG}' ',{LONG}' 'log,file:///{LONG}'")
    server.running(
        "looks", application={"ADDRESS": LONG, "GREETING": None, "A.b": "1", "A.c": "2"}, deployment={"size": "big"}
    )
    server.archived("looks-old")
    failed, busy = (server.create(name).json()["action"]["id"] for name in ("looks-bad", "looks-busy"))
    server.settled("looks-bad", "GenericFailure")
    yield {"failed": failed, "busy": busy}
    server.post(f"/actions/{busy}/cancel")
    server.finished(busy)
    server.forget("looks")


@in_both_looks
@pytest.mark.parametrize("name", PAGES)
def test_page_can_be_read(visitor: Visitor, actions: dict[str, int], name: str):
    if name == "no-such-page":
        visitor.expect_errors("GET /no-such-page was answered with 404")
    visitor.page.goto(PAGES[name].format(**actions))
    assert_readable(visitor.page)


@in_both_looks
@pytest.mark.parametrize("opening", OPENINGS, ids=lambda opening: opening.__name__)
def test_what_opens_on_a_page_can_be_read(visitor: Visitor, actions: dict[str, int], opening: Callable[[Page], None]):
    opening(visitor.page)
    assert_readable(visitor.page)


def assert_readable(page: Page) -> None:
    found = sticking_out(page) + violations(page)
    assert not found, "\n".join(found)
