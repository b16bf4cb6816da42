"""What people do with the pages in a real browser, with JavaScript: nobody reloads anything."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from bundling import Client, waits_at
from chromium import Visitor, at_both_widths
from conftest import Board, Gate, Server, numbers
from playwright.sync_api import Locator, Page, expect

# What a browser does does not depend on the database.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session")

FORM_REFUSED = "POST /deployments.* was answered with 4"


def row(page: Page, name: str) -> Locator:
    return page.locator("#rows tr", has=page.get_by_role("link", name=name, exact=True))


def status(page: Page, name: str | None = None) -> Locator:
    """The status in the list, or on the page of a deployment."""
    return (row(page, name) if name else page.locator("#deployment")).locator(".status")


def choose(page: Page, name: str, what: str) -> None:
    """From the menu of a row."""
    row(page, name).locator(".menu summary").click()
    row(page, name).locator(".dropdown-item", has_text=what).click()


def value_of(page: Page, level: str, key: str) -> Locator:
    return page.locator(f"#{level}-level").get_by_role("textbox", name=key, exact=True)


def override_of(page: Page, level: str, key: str) -> Locator:
    return page.locator(f"#{level}-level .override", has=page.get_by_text(key, exact=True))


def toasts(page: Page) -> Locator:
    return page.locator("#toasts")


# --- a whole life


@at_both_widths
def test_whole_life(visitor: Visitor, board: Board, name: str):
    page = visitor.page
    page.goto("/deployments")
    page.get_by_role("link", name="New deployment").click()
    expect(page.locator("#name")).to_be_focused()
    page.keyboard.type(name)
    value_of(page, "application", "GREETING").fill("hi")
    expect(override_of(page, "application", "GREETING")).to_contain_text("changed")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url(f"**/deployments/{name}")
    expect(status(page)).to_have_text(re.compile("Running"))
    assert "GREETING=hi" in board.wait_for_call(name, "create").arguments

    page.get_by_role("link", name="Edit").click()
    value_of(page, "deployment", "image.tag").fill("v2")
    expect(page.locator(".changes")).to_contain_text(re.compile(r"image.tag\s+v1\s+→\s+v2"))
    gate = board.hold(name, "update")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#dialog")).to_be_hidden()
    expect(toasts(page)).to_contain_text(f"{name} is being updated")
    expect(status(page)).to_have_text(re.compile(r"Updating\s+\d+:\d\d"))
    expect(page.get_by_role("button", name="Cancel update")).to_be_visible()
    gate.open()
    expect(status(page)).to_have_text(re.compile("Running"))
    expect(toasts(page)).to_contain_text(f"{name}: Running")
    expect(page.locator("#deployment")).to_contain_text(re.compile(r"image.tag\s+default\s+→\s+v2"))

    page.get_by_role("link", name="Move to archive").click()
    expect(page.locator("#dialog #confirm")).to_contain_text("kept until")
    page.locator("#confirm").get_by_role("button", name="Move to archive").click()
    expect(status(page)).to_have_text(re.compile("Archived"))
    page.get_by_role("button", name="Restore").click()
    expect(status(page)).to_have_text(re.compile("Running"))
    page.get_by_role("link", name="Move to archive").click()
    page.locator("#confirm").get_by_role("button", name="Move to archive").click()
    expect(status(page)).to_have_text(re.compile("Archived"))

    page.get_by_role("link", name="Remove for good").click()
    expect(page.locator("#typed")).to_be_focused()
    page.keyboard.type("something else")
    page.keyboard.press("Enter")
    assert page.locator("#typed").evaluate("input => input.validity.patternMismatch")
    page.locator("#typed").fill(name)
    page.keyboard.press("Enter")
    expect(page.locator("#deployment")).to_contain_text("This deployment has been removed")


@at_both_widths
def test_list_does_all_that_a_page_does(visitor: Visitor, server: Server, name: str):
    server.running(name)
    page = visitor.page
    page.goto(f"/deployments?q={name}")
    choose(page, name, "Edit")
    value_of(page, "application", "GREETING").fill("hi")
    page.get_by_role("button", name="Save").click()
    expect(row(page, name)).to_contain_text("GREETING: hi")
    expect(status(page, name)).to_have_text(re.compile("Running"))
    choose(page, name, "Move to archive")
    page.locator("#confirm").get_by_role("button", name="Move to archive").click()
    expect(row(page, name)).to_have_count(0)
    page.get_by_label("Show archived").check()
    expect(status(page, name)).to_have_text(re.compile("Archived"))
    choose(page, name, "Restore")
    expect(status(page, name)).to_have_text(re.compile("Running"))
    choose(page, name, "Move to archive")
    page.locator("#confirm").get_by_role("button", name="Move to archive").click()
    expect(status(page, name)).to_have_text(re.compile("Archived"))
    choose(page, name, "Remove for good")
    page.locator("#typed").fill(name)
    page.locator("#confirm").get_by_role("button", name="Remove for good").click()
    expect(row(page, name)).to_have_count(0)


# --- the list


def test_search_answers_while_it_is_typed_and_is_in_the_address(visitor: Visitor, server: Server, name: str):
    server.running(f"{name}-lemon", application={"COLOUR": "yellow"})
    server.running(f"{name}-lime")
    page = visitor.page
    page.goto("/deployments")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type(f"{name} YELL")
    expect(row(page, f"{name}-lemon").locator("mark", has_text="yell")).to_be_visible()
    expect(row(page, f"{name}-lime")).to_have_count(0)
    expect(page).to_have_url(re.compile(rf"q={name}(\+|%20)YELL"))
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.reload()
    expect(page.get_by_role("searchbox")).to_have_value(f"{name} YELL")
    expect(page.locator("#rows tr")).to_have_count(1)
    page.get_by_role("searchbox").fill("nothing-is-named-so")
    expect(page.get_by_text("No deployments here")).to_be_visible()
    page.get_by_role("searchbox").fill(f"{name}-lmon")
    expect(page.get_by_text("These are similar")).to_be_visible()
    expect(row(page, f"{name}-lemon")).to_be_visible()


def test_what_is_created_while_one_looks_fits_the_search_or_is_not_shown(visitor: Visitor, server: Server, name: str):
    page = visitor.page
    page.goto(f"/deployments?q={name}-a")
    expect(page.get_by_text("No deployments here")).to_be_visible()
    server.running(f"{name}-b")
    server.running(f"{name}-a")
    expect(status(page, f"{name}-a")).to_have_text(re.compile("Running"))
    expect(row(page, f"{name}-b")).to_have_count(0)
    page.get_by_role("searchbox").fill(name)
    expect(page.locator("#rows tr")).to_have_count(2)
    server.running(f"{name}-c")
    expect(row(page, f"{name}-c")).to_be_visible()


def test_headers_sort_and_the_way_back_leads_back(visitor: Visitor, server: Server, name: str):
    for letter in "ab":
        server.running(f"{name}-{letter}")
    page = visitor.page
    page.goto(f"/deployments?q={name}-")
    names = page.locator("#rows .name > a")
    expect(names).to_have_text([f"{name}-b", f"{name}-a"])
    page.get_by_role("link", name="Name").click()
    expect(names).to_have_text([f"{name}-a", f"{name}-b"])
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("link", name="Name").click()
    expect(names).to_have_text([f"{name}-b", f"{name}-a"])
    page.get_by_role("link", name="Name").click()
    expect(names).to_have_text([f"{name}-a", f"{name}-b"])
    page.go_back()
    expect(names).to_have_text([f"{name}-b", f"{name}-a"])


def test_more_comes_when_one_scrolls(visitor: Visitor, server: Server, name: str):
    for letter in "abc":
        server.running(f"{name}-{letter}")
    page = visitor.page
    page.goto(f"/deployments?q={name}-&sort=name&limit=2")
    expect(page.locator("#rows tr")).to_have_count(3)
    expect(page.locator("#more")).to_have_count(0)
    server.act(f"{name}-c", "update", application={"set": {"NEW": "1"}})
    expect(row(page, f"{name}-c")).to_contain_text("NEW: 1")


def test_row_is_a_link_wherever_it_is_clicked(visitor: Visitor, server: Server, name: str):
    server.running(name)
    page = visitor.page
    page.goto(f"/deployments?q={name}")
    with page.context.expect_page() as opened:
        row(page, name).locator(".when").first.click(modifiers=["ControlOrMeta"], force=True)
    assert opened.value.url.endswith(f"/deployments/{name}")
    row(page, name).locator(".when").first.click(force=True)  # what gets the click is the link, which covers the row
    page.wait_for_url(f"**/deployments/{name}")


def test_menu_by_keyboard_stays_open_and_focused_while_the_row_changes(
    visitor: Visitor, server: Server, board: Board, name: str
):
    server.running(name)
    page = visitor.page
    page.goto(f"/deployments?q={name}")
    menu = row(page, name).locator(".menu")
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(menu.get_by_role("link", name="Edit")).to_be_visible()
    board.write(name, "check", "echo one pod is missing; exit 2")
    server.post(f"/deployments/{name}/check")
    expect(status(page, name)).to_have_text(re.compile("Partly working"))
    expect(menu.get_by_role("link", name="Edit")).to_be_visible()
    expect(menu.locator("summary")).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu.get_by_role("link", name="Edit")).to_be_hidden()
    expect(menu.locator("summary")).to_be_focused()
    page.keyboard.press("Enter")
    page.locator("h1").click()
    expect(menu.get_by_role("link", name="Edit")).to_be_hidden()


def test_reason_is_shown_on_hover_and_on_focus(visitor: Visitor, server: Server, board: Board, name: str):
    board.write(name, "check", "echo '<b>2 of 2</b> pods are ready'")
    server.running(name)
    page = visitor.page
    page.goto(f"/deployments?q={name}")
    tip = row(page, name).get_by_role("tooltip")
    expect(tip).to_be_hidden()
    status(page, name).hover()
    expect(tip).to_have_text("<b>2 of 2</b> pods are ready")
    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()
    row(page, name).get_by_role("link", name=name).focus()
    page.keyboard.press("Tab")
    expect(tip).to_be_visible()


# --- the form


def test_rows_say_what_they_are_and_buttons_change_that(visitor: Visitor, server: Server, name: str):
    server.running(name)
    page = visitor.page
    page.goto(f"/deployments/{name}")
    page.get_by_role("link", name="Edit").click()
    size = override_of(page, "deployment", "size")
    value_of(page, "deployment", "size").fill("big")
    expect(size).to_contain_text("default: small")
    size.get_by_role("button", name="Undo").click()
    expect(value_of(page, "deployment", "size")).to_have_value("small")
    expect(size).not_to_contain_text("changed")
    size.get_by_role("button", name="Take size away").click()
    expect(size).to_contain_text("removed")
    expect(page.locator(".changes")).to_contain_text(re.compile(r"size\s+small\s+→\s+not set"))
    size.get_by_role("button", name="Bring size back").click()
    expect(page.locator(".changes")).to_have_count(0)

    page.locator("#application-level").get_by_role("button", name="Add an override").click()
    key = page.locator("#application-own-0-key")
    expect(key).to_be_focused()
    assert page.locator("#application-keys option").evaluate_all("all => all.map(one => one.value)") == ["DEBUG"]
    page.keyboard.type("A..B")
    page.keyboard.press("Tab")
    page.keyboard.type("1")
    expect(page.locator(".invalid-feedback")).to_have_text("the key has an empty segment between its dots")
    key.fill("A.B")
    expect(page.locator(".invalid-feedback")).to_have_count(0)
    page.locator("#application-level").get_by_role("button", name="Delete A.B").click()
    expect(key).to_have_count(0)


def test_name_is_judged_while_it_is_typed(visitor: Visitor, server: Server, name: str):
    server.running(name)
    page = visitor.page
    page.goto("/deployments")
    page.get_by_role("link", name="New deployment").click()
    page.locator("#name").fill(name)
    expect(page.locator("#name-error")).to_have_text("this name is taken")
    expect(page.locator("#name")).to_have_attribute("aria-describedby", "name-rule name-error")
    page.locator("#name").fill(f"{name}-b")
    expect(page.locator("#name-error")).to_have_count(0)
    expect(page.locator("#name")).to_be_focused()


def test_application_defaults_follow_the_deployment_configuration_and_edits_stay(
    new_server: Callable[..., Server], new_visitor: Callable[..., Visitor]
):
    server = new_server()
    server.board.write(
        "_",
        "application_config",
        'for word; do case $word in size=*) echo "MEMORY,${word#size=} memory";; esac; done; echo GREETING,hello',
    )
    page = new_visitor(server.start().url).page
    page.goto("/new")
    page.locator("#name").fill("dependent")
    value_of(page, "application", "GREETING").fill("typed before")
    value_of(page, "deployment", "size").fill("huge")
    expect(value_of(page, "application", "MEMORY")).to_have_value("huge memory")
    expect(value_of(page, "application", "GREETING")).to_have_value("typed before")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url("**/deployments/dependent")
    arguments = server.board.wait_for_call("dependent", "create").arguments
    assert {"MEMORY=huge memory", "GREETING=typed before", "size=huge"} <= set(arguments)


def test_slow_answer_does_not_overwrite_what_was_typed_since(
    new_server: Callable[..., Server], new_visitor: Callable[..., Visitor]
):
    server = new_server().start()
    page = new_visitor(server.url).page
    page.goto("/new")
    gate = server.board.hold("_", "application_config", "echo MEMORY,much; echo GREETING,hello")
    value_of(page, "deployment", "size").fill("huge")
    value_of(page, "application", "GREETING").focus()  # leaving the field asks for new defaults, which do not come yet
    gate.reached()
    value_of(page, "application", "GREETING").fill("typed while waiting")
    page.locator("#name").fill("patient")
    gate.open()
    expect(value_of(page, "application", "MEMORY")).to_have_value("much")
    expect(value_of(page, "application", "GREETING")).to_have_value("typed while waiting")
    expect(page.locator("#name")).to_have_value("patient")


def test_what_config_check_says_is_shown_and_nothing_is_lost(visitor: Visitor, board: Board, name: str):
    visitor.allow_errors(FORM_REFUSED)
    board.write(name, "config_check", "printf 'No such tag\nTry v1\n'; exit 1")
    page = visitor.page
    page.goto("/deployments")
    page.get_by_role("link", name="New deployment").click()
    page.locator("#name").fill(name)
    value_of(page, "deployment", "image.tag").fill("v9")
    expect(override_of(page, "deployment", "image.tag")).to_contain_text("changed")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#form").get_by_role("alert")).to_have_text("No such tag\nTry v1")
    expect(value_of(page, "deployment", "image.tag")).to_have_value("v9")
    board.clear(name, "config_check")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url(f"**/deployments/{name}")


def test_unsaved_edits_are_not_left_without_a_question(visitor: Visitor, server: Server, name: str):
    server.running(name)
    page = visitor.page
    page.goto(f"/deployments?q={name}")
    choose(page, name, "Edit")
    expect(page.locator("#form")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).to_be_hidden()
    expect(row(page, name).locator("summary")).to_be_focused()

    choose(page, name, "Edit")
    value_of(page, "application", "GREETING").fill("hi")
    expect(page.locator(".changes")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Keep editing").click()
    expect(value_of(page, "application", "GREETING")).to_have_value("hi")
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Discard").click()
    expect(page.locator("#dialog")).to_be_hidden()

    page.goto(f"/deployments/{name}/edit")
    value_of(page, "application", "GREETING").fill("hi")
    expect(page.locator(".changes")).to_be_visible()
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.get_by_role("link", name="History").click()
    expect(value_of(page, "application", "GREETING")).to_have_value("hi")
    assert asked == ["beforeunload"]


def test_form_says_at_once_what_somebody_else_has_saved(visitor: Visitor, server: Server, board: Board, name: str):
    server.running(name)
    page = visitor.page
    page.goto(f"/deployments/{name}")
    page.get_by_role("link", name="Edit").click()
    value_of(page, "application", "GREETING").fill("mine")
    expect(page.locator(".changes")).to_be_visible()
    server.act(name, "update", application={"set": {"THEIRS": "1", "GREETING": "theirs"}})
    banner = page.locator("#form .alert:not(.refusal)")
    expect(banner).to_contain_text("local has saved something meanwhile")
    expect(banner).to_contain_text(re.compile(r"GREETING\s+default\s+→\s+theirs"))
    server.settled(name, "Running")
    expect(value_of(page, "application", "GREETING")).to_have_value("mine")
    expect(page.locator("#application-own-0-key")).to_have_value("THEIRS")
    expect(banner).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#dialog")).to_be_hidden()
    assert {"THEIRS=1", "GREETING=mine"} <= set(board.wait_for_call(name, "update", 2).arguments)


def test_enter_that_opens_the_form_does_not_save_it_too(visitor: Visitor, server: Server, board: Board, name: str):
    server.running(name)
    page = visitor.page
    page.goto(f"/deployments/{name}")
    page.get_by_role("link", name="Edit").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=f"Edit {name}")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#dialog")).to_be_visible()
    assert board.calls(name, "update") == []


def test_enter_saves_and_shift_enter_begins_a_line(visitor: Visitor, server: Server, board: Board, name: str):
    server.running(name)
    page = visitor.page
    page.goto(f"/deployments/{name}")
    page.get_by_role("link", name="Edit").click()
    value_of(page, "application", "GREETING").fill("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(page.locator(".changes")).to_contain_text("one↵")
    value_of(page, "deployment", "size").fill("big")
    page.keyboard.press("Enter")
    expect(page.locator("#dialog")).to_be_hidden()
    assert {"GREETING=one\ntwo", "size=big"} <= set(board.wait_for_call(name, "update").arguments)


def test_nothing_can_be_typed_while_it_is_being_saved(visitor: Visitor, server: Server, board: Board, name: str):
    visitor.allow_errors(FORM_REFUSED)
    server.running(name)
    page = visitor.page
    page.goto(f"/deployments/{name}")
    page.get_by_role("link", name="Edit").click()
    value_of(page, "deployment", "size").fill("big")
    expect(page.locator(".changes")).to_be_visible()
    gate = board.hold(name, "config_check", "echo 'Too big'; exit 1")
    page.get_by_role("button", name="Save").click()
    gate.reached()
    expect(page.locator(".sheet-body")).to_have_js_property("inert", True)
    gate.open()
    expect(page.locator("#form").get_by_role("alert")).to_have_text("Too big")
    expect(page.locator(".sheet-body")).to_have_js_property("inert", False)
    expect(value_of(page, "deployment", "size")).to_have_value("big")


def test_failure_is_said_in_the_dialog_that_covers_everything_else(visitor: Visitor, server: Server, name: str):
    visitor.allow_errors("ERR_INTERNET_DISCONNECTED", "WebSocket", r"\[object", "htmx:")
    server.running(name)
    page = visitor.page
    page.goto(f"/deployments/{name}")
    page.get_by_role("link", name="Edit").click()
    value_of(page, "deployment", "size").fill("big")
    expect(page.locator(".changes")).to_be_visible()
    page.context.set_offline(True)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("dialog .toast")).to_contain_text("The server cannot be reached")
    page.context.set_offline(False)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#dialog")).to_be_hidden()


# --- others, and the connection


@at_both_widths
def test_what_one_does_the_other_sees(
    visitor: Visitor, new_visitor: Callable[..., Visitor], server: Server, board: Board, name: str
):
    here, there = visitor.page, new_visitor(server.url).page
    there.goto(f"/deployments?q={name}")
    board.hold(name, "create").open()
    here.goto("/new")
    here.locator("#name").fill(name)
    gate = board.hold(name, "create")
    here.get_by_role("button", name="Create").click()
    expect(status(there, name)).to_have_text(re.compile("Creating"))
    row(there, name).get_by_role("link", name=name).click()
    expect(status(there)).to_have_text(re.compile("Creating"))
    gate.open()
    expect(status(here)).to_have_text(re.compile("Running"))
    expect(status(there)).to_have_text(re.compile("Running"))


def test_server_that_was_killed_is_missed_and_welcomed_back(
    new_server: Callable[..., Server], new_visitor: Callable[..., Visitor]
):
    server = new_server(CHECK_INTERVAL="600").start()
    server.running("before")
    lost = r"(WebSocket connection to .* failed|net::ERR_CONNECTION|socket hang up|htmx:wsError|\[object)"
    visitors = [new_visitor(server.url) for _ in range(2)]
    for visitor, path in zip(visitors, ["/deployments", "/deployments/before"], strict=True):
        visitor.allow_errors(lost)
        visitor.page.goto(path)
        expect(status(visitor.page).or_(status(visitor.page, "before"))).to_have_text(re.compile("Running"))
    server.stop(signal.SIGKILL)
    for visitor in visitors:
        expect(visitor.page.locator("#connection")).to_contain_text(re.compile("No connection since .*:"))
    visitors[1].page.get_by_label("More").click()
    visitors[1].page.get_by_role("button", name="Check now").click()
    expect(toasts(visitors[1].page)).to_contain_text("The server cannot be reached")
    server.start()
    server.board.write("before", "check", "echo one pod is missing; exit 2")
    server.post("/deployments/before/check")
    server.running("after")
    for visitor in visitors:
        expect(visitor.page.locator("#connection")).to_be_hidden()
    expect(status(visitors[0].page, "before")).to_have_text(re.compile("Partly working"))
    expect(status(visitors[0].page, "after")).to_have_text(re.compile("Running"))
    expect(status(visitors[1].page)).to_have_text(re.compile("Partly working"))


def test_page_of_a_deployment_that_was_removed_while_it_was_away_says_so(
    new_server: Callable[..., Server], new_visitor: Callable[..., Visitor]
):
    server = new_server(CHECK_INTERVAL="600").start()
    server.running("doomed")
    visitor = new_visitor(server.url)
    visitor.allow_errors(r"(WebSocket connection to .* failed|net::ERR_CONNECTION|\[object)")
    visitor.page.goto("/deployments/doomed")
    expect(status(visitor.page)).to_have_text(re.compile("Running"))
    server.stop(signal.SIGKILL)
    expect(visitor.page.locator("#connection")).to_be_visible()
    visitor.context.set_offline(True)
    server.start()
    assert server.request("DELETE", "/api/v1/deployments/doomed").status_code == 204
    visitor.context.set_offline(False)
    expect(visitor.page.locator("#deployment")).to_contain_text("This deployment has been removed")
    expect(visitor.page.locator("#connection")).to_be_hidden()


def test_refusal_is_said(visitor: Visitor, server: Server, board: Board, name: str):
    visitor.allow_errors(FORM_REFUSED)
    server.archived(name)
    page = visitor.page
    page.goto(f"/deployments/{name}")
    board.write(name, "config_check", "echo 'The image is gone'; exit 1")
    page.get_by_role("button", name="Restore").click()
    expect(toasts(page)).to_contain_text("The image is gone")
    toasts(page).get_by_role("button", name="Close").click()
    expect(toasts(page)).to_have_text("")


# --- logs, looks


def test_log_is_written_on_while_one_reads(visitor: Visitor, server: Server, board: Board, name: str):
    gate = board.hold(name, "create", "echo 'second <b>line</b>'; echo trouble >&2; exit 3")
    board.write(name, "create", f"echo first line\n{(board.directory / 'do' / name / 'create').read_text()}")
    board.write(name, "check", "exit 1")
    action = server.create(name).json()["action"]["id"]
    gate.reached()
    page = visitor.page
    page.goto(f"/actions/{action}")
    expect(page.locator("#log-stdout")).to_have_text("first line\n")
    gate.open()
    expect(page.locator("#log-stdout")).to_have_text("first line\nsecond <b>line</b>\n")
    expect(page.locator("#log-stderr")).to_have_text("trouble\n")
    expect(page.locator("#action")).to_contain_text("exit code 3")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_run_of_a_bundle_is_followed_and_cancelled(visitor: Visitor, server: Server, scratch: Path):
    gate = Gate(scratch / f"gate-{next(numbers)}")
    run = Client(server, scratch).start(f"print('first line', flush=True)\n{waits_at(gate)}")
    gate.reached()
    page = visitor.page
    page.goto("/actions")
    page.locator(f"#action-{run.id}").get_by_role("link", name="Run").click()
    expect(page.get_by_role("heading", name="Run of a.py")).to_be_visible()
    expect(page.locator("#log-stdout")).to_contain_text("first line")
    page.get_by_role("button", name="Cancel run").click()
    expect(page.locator(".toast")).to_contain_text("being cancelled")
    expect(page.locator("#action")).to_contain_text("cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    page.get_by_role("link", name="History").first.click()
    expect(page.locator(f"#action-{run.id}")).to_contain_text("Cancelled by")


def test_history_grows_while_one_reads(visitor: Visitor, server: Server, board: Board, name: str):
    page = visitor.page
    page.goto("/actions")
    gate = board.hold(name, "create")
    action = server.create(name).json()["action"]["id"]
    first = page.locator("#actions tr").first
    expect(first).to_have_id(f"action-{action}")
    expect(first).to_contain_text("running")
    gate.open()
    expect(page.locator(f"#action-{action}")).to_contain_text("succeeded")


def test_colours_are_those_of_the_system_until_one_chooses(visitor: Visitor):
    page = visitor.page
    page.goto("/deployments")
    html = page.locator("html")
    expect(html).to_have_attribute("data-bs-theme", "light")
    page.emulate_media(color_scheme="dark")
    expect(html).to_have_attribute("data-bs-theme", "dark")
    page.get_by_role("button", name="Dark or light").click()
    expect(html).to_have_attribute("data-bs-theme", "light")
    page.reload()
    expect(html).to_have_attribute("data-bs-theme", "light")


def test_times_are_shown_as_they_are_here(visitor: Visitor, server: Server, name: str):
    server.running(name)
    page = visitor.page
    page.goto(f"/deployments/{name}")
    time = page.locator("time[data-show=date]").first
    expect(time).to_have_text(re.compile(r"^\d{1,2}:\d{2}( [AP]M)?$"))
    assert re.search(r"\d{4}.*:\d{2}:\d{2}", time.get_attribute("title") or "")
