"""A form that is older than its deployment: what others have saved meanwhile is in it, what was typed comes before that."""

from typing import NamedTuple

import pytest
from browser import Browser, Form, Page

MASK = "********"
ABSENT = "absent"
LEVELS = ["deployment", "application"]


class Case(NamedTuple):
    """A key as it was when the form was opened, as I leave it, as others have left it, and what is to come of it.

    None takes a default away.
    """

    base: str | None
    mine: str | None
    theirs: str | None
    merged: str | None


CASES = {
    "untouched": Case("1", "1", "1", "1"),
    "mine": Case("1", "m", "1", "m"),
    "theirs": Case("1", "1", "t", "t"),
    "both": Case("1", "m", "t", "m"),
    "the.same": Case("1", "x", "x", "x"),
    "new.mine": Case(ABSENT, "m", ABSENT, "m"),
    "new.theirs": Case(ABSENT, ABSENT, "t", "t"),
    "new.both": Case(ABSENT, "m", "t", "m"),
    "new.the.same": Case(ABSENT, "x", "x", "x"),
    "gone.mine": Case("1", ABSENT, "1", ABSENT),
    "gone.theirs": Case("1", "1", ABSENT, ABSENT),
    "gone.both": Case("1", ABSENT, ABSENT, ABSENT),
    "gone.but.theirs": Case("1", ABSENT, "t", ABSENT),
    "gone.but.mine": Case("1", "m", ABSENT, "m"),
    "null": Case(None, None, None, None),
    "null.theirs": Case("1", "1", None, None),
    "null.mine": Case(None, ABSENT, "t", ABSENT),
}
SECRETS = {
    "token.untouched": Case("1", "1", "1", "1"),
    "token.mine": Case("1", "m", "1", "m"),
    "token.theirs": Case("1", "1", "t", "t"),
    "token.both": Case("1", "m", "t", "m"),
    "token.new.mine": Case(ABSENT, "m", ABSENT, "m"),
    "token.new.theirs": Case(ABSENT, ABSENT, "t", "t"),
    "token.gone.mine": Case("1", ABSENT, "1", ABSENT),
    "token.gone.theirs": Case("1", "1", ABSENT, ABSENT),
    "token.gone.but.theirs": Case("1", ABSENT, "t", ABSENT),
    "token.gone.but.mine": Case("1", "m", ABSENT, "m"),
}
DEFAULTS = {  # of the application level; what is absent here is the default
    "GREETING": Case(ABSENT, None, "t", None),
    "API_TOKEN": Case("1", ABSENT, "t", ABSENT),
}
ALL = CASES | SECRETS | DEFAULTS


@pytest.fixture
def browser(server) -> Browser:
    return Browser(server.url)


def present(cases: dict[str, Case], side: str) -> dict[str, str | None]:
    """The overrides of one side."""
    return {key: value for key, case in cases.items() if (value := getattr(case, side)) != ABSENT}


def type_mine(form: Form, level: str, cases: dict[str, Case]) -> None:
    for key, case in cases.items():
        if case.mine == case.base:
            continue
        if case.mine is None:
            form.click(f"Take {key} away")
        elif case.mine != ABSENT:
            form.set(level, key, case.mine)
        else:
            form.click(form.line(level, key).button)


def saved_by_others(server, name: str, level: str, cases: dict[str, Case]) -> None:
    """Somebody else stores their side."""
    theirs = present(cases, "theirs")
    gone = [key for key in present(cases, "base") if key not in theirs]
    changed = {key: value for key, value in theirs.items() if value != cases[key].base}
    server.act(name, "update", **{level: {"set": changed, "unset": gone}})
    server.settled(name, "Running")


def banner(page: Page) -> list[str]:
    """What the page says that others have changed."""
    [warning] = page.root.all("div", class_="alert-warning", role="alert")
    assert "local has saved something meanwhile" in warning.words
    return warning.texts("li")


def said(key: str, case: Case) -> str:
    old, new = ({ABSENT: "default", None: "removed"}.get(value, value) for value in (case.base, case.theirs))
    return f"{key} {old} → {new}"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("press", ["Save", "Look at the changes"])
def test_what_others_saved_is_taken_over_where_nothing_was_typed(server, browser, board, name, level, press):
    cases = ALL if level == "application" else CASES | SECRETS
    server.running(name, **{level: present(cases, "base")})
    form = browser.get(f"/deployments/{name}/edit").form
    type_mine(form, level, cases)
    saved_by_others(server, name, level, cases)
    page = form.submit(press)
    assert page.status == (412 if press == "Save" else 200)
    assert len(board.calls(name, "update")) == 1, "nothing is done before the result was seen"
    visible = CASES | ({"GREETING": DEFAULTS["GREETING"]} if level == "application" else {})
    expected = [said(key, case) for key, case in visible.items() if case.base != case.theirs]
    assert sorted(set(expected) - set(banner(page))) == []
    hidden = [line for line in banner(page) if line not in expected]
    assert not [line for line in hidden if not line.startswith(("token.", "API_TOKEN"))], "others changed nothing else"
    merged = present(cases, "merged")
    rows = {
        row.key: None if row.origin == "removed" else row.value
        for row in page.form.lines(level)
        if row.origin != "default"
    }
    typed = {key for key, case in cases.items() if case.mine != case.base}
    shown = {key: MASK if key in SECRETS and key not in typed else value for key, value in merged.items()}
    assert rows == shown
    again = page.form.look().page
    assert banner(again) == banner(page), "it is said as long as the form is open"
    assert list(browser.get(f"/deployments/{name}/edit").root.all(class_="alert-warning")) == []
    assert again.form.submit("Save").path == f"/deployments/{name}"
    arguments = board.wait_for_call(name, "update", 2).arguments
    pairs = dict(word.split("=", 1) for word in arguments if word.partition("=")[0] in cases)
    defaults = {"API_TOKEN": "default-token"} if level == "application" else {}
    assert pairs == defaults | {key: value for key, value in merged.items() if value is not None}
    stored = server.settled(name, "Running")[f"{level}_overrides"]
    assert [key for key, value in stored.items() if value is None] == [
        key for key, value in merged.items() if value is None
    ]


@pytest.mark.parametrize("key", ["token.theirs", "token.both", "token.gone.but.theirs"])
def test_secret_that_others_have_changed_is_said(server, browser, name, key):
    case = SECRETS[key]
    server.running(name, application={key: "1"})
    form = browser.get(f"/deployments/{name}/edit").form
    type_mine(form, "application", {key: case})
    saved_by_others(server, name, "application", {key: case})
    page = form.submit("Save")
    assert page.status == 412
    assert banner(page) == [f"{key} changed (hidden)"]


def test_secrets_of_others_are_hidden(server, browser, name):
    server.running(name, application={"token.a": "s3cret-1"})
    form = browser.get(f"/deployments/{name}/edit").form.add("application", "token.mine", "typed")
    server.act(name, "update", application={"set": {"token.a": "s3cret-2", "token.b": "s3cret-3"}})
    server.settled(name, "Running")
    page = form.submit("Save")
    assert f"token.b default → {MASK}" in banner(page)
    assert "s3cret" not in page.answer.text
    assert page.form.rows("application")["token.mine"] == "typed"


def test_form_without_anything_typed_is_as_others_have_saved_it(server, browser, name):
    server.running(name, application={"A": "1"})
    form = browser.get(f"/deployments/{name}/edit").form
    for value in "23":
        server.act(
            name, "update", application={"set": {"A": value, f"B{value}": "1"}}, deployment={"set": {"size": value}}
        )
        server.settled(name, "Running")
    page = form.look().page
    assert sorted(banner(page)) == ["A 1 → 3", "B2 default → 1", "B3 default → 1", "size default → 3"], "of all of them"
    assert page.form.changes == []
    page.form.submit("Save")
    deployment = server.settled(name, "Running")
    assert deployment["application_overrides"] == {"A": "3", "B2": "1", "B3": "1"}
    assert deployment["deployment_overrides"] == {"size": "3"}


def test_others_who_save_again_are_said_again(server, browser, name):
    server.running(name)
    form = browser.get(f"/deployments/{name}/edit").form.add("application", "MINE", "m")
    for value in "12":
        server.act(name, "update", application={"set": {"A": value}})
        server.settled(name, "Running")
        page = form.submit("Save")
        assert page.status == 412
        assert banner(page) == [f"A default → {value}"], "all that is not as it was when the form was opened"
        form = page.form
        assert form.rows("application")["MINE"] == "m"
    form.submit("Save")
    assert server.settled(name, "Running")["application_overrides"] == {"MINE": "m", "A": "2"}


def test_deployment_that_was_archived_meanwhile_is_not_updated_and_nothing_is_lost(server, browser, board, name):
    server.running(name)
    form = browser.get(f"/deployments/{name}/edit").form.add("application", "MINE", "m")
    server.act(name, "archive")
    server.settled(name, "Archived")
    page = form.submit("Save")
    assert page.status == 412 and "archive at" in page.alert and "asked for by local" in page.alert
    assert f"Saving is not possible now: Cannot update {name}: it is Archived" in page.alert
    page = page.form.submit("Save")
    assert page.status == 409
    assert f"Cannot update {name}: it is Archived" in page.alert
    server.act(name, "restore")
    server.settled(name, "Running")
    page.form.look().submit("Save")
    assert server.settled(name, "Running")["application_overrides"] == {"MINE": "m"}
    assert len(board.calls(name, "update")) == 1


def test_form_is_refused_while_an_action_is_under_way_and_nothing_is_lost(server, browser, board, name):
    server.running(name)
    gate = board.hold(name, "update")
    server.act(name, "update", application={"set": {"A": "1"}})
    gate.reached()
    form = browser.get(f"/deployments/{name}/edit").form.add("application", "MINE", "m").set("deployment", "size", "x")
    page = form.submit("Save")
    assert page.status == 409
    assert f"Cannot update {name}: it is being updated since" in page.alert
    assert page.form.rows("application")["MINE"] == "m" and page.form.rows("deployment")["size"] == "x"
    gate.open()
    server.settled(name, "Running")
    page.form.submit("Save")
    board.wait_for_call(name, "update", 2)
    assert server.settled(name, "Running")["application_overrides"] == {"A": "1", "MINE": "m"}


def test_deployment_that_is_gone_is_said(server, browser, name):
    server.running(name)
    form = browser.get(f"/deployments/{name}/edit").form.add("application", "MINE", "m")
    server.forget(name)
    for press in ("Save", "Look at the changes"):
        page = form.submit(press)
        assert page.status == 404 and f"no deployment named '{name}'" in page.alert


def test_form_of_a_deployment_that_is_gone_does_not_change_the_next_of_that_name(server, browser, name):
    server.running(name, application={"A": "1"})
    form = browser.get(f"/deployments/{name}/edit").form.set("application", "A", "2")
    server.forget(name)
    server.running(name, application={"THEIRS": "1"})
    page = form.submit("Save")
    assert page.status >= 400
    assert server.deployment(name)["application_overrides"] == {"THEIRS": "1"}


@pytest.mark.parametrize("field", ["version", "began"])
@pytest.mark.parametrize("version", ["0", "-1", "99", "2147483648", "9" * 30])
def test_version_that_there_never_was_loses_nothing(server, browser, name, field, version):
    server.running(name, application={"A": "1"})
    form = browser.get(f"/deployments/{name}/edit").form.set("application", "A", "2")
    [hidden] = [found for found in form.fields if found["name"] == field]
    hidden["value"] = version
    page = form.submit("Save" if field == "version" else "Look at the changes")
    assert page.status == (412 if field == "version" else 200)
    assert page.form.rows("application")["A"] == "2"
    if field == "began":
        assert banner(page) == []
    page.form.submit("Save")
    assert server.settled(name, "Running")["application_overrides"] == {"A": "2"}


@pytest.mark.parametrize("level", LEVELS)
def test_order_of_own_keys_survives(server, browser, name, level):
    server.running(name, **{level: {"Z": "1", "M": "1", "A": "1"}})
    form = browser.get(f"/deployments/{name}/edit").form.add(level, "B", "m")
    server.act(name, "update", **{level: {"set": {"M": "2", "C": "t"}}})
    server.settled(name, "Running")
    form.look().submit("Save")
    stored = list(server.settled(name, "Running")[f"{level}_overrides"])
    assert stored[:4] == ["Z", "M", "A", "B"] and stored[4:] == ["C"]


@pytest.mark.parametrize("key", ["X", ""])
def test_rows_with_the_same_key_survive(server, browser, name, key):
    server.running(name)
    form = browser.get(f"/deployments/{name}/edit").form
    form.add("application", key, "1").add("application", key, "2")
    server.act(name, "update", application={"set": {"THEIRS": "1"}})
    server.settled(name, "Running")
    page = form.submit("Save")
    assert [row.value for row in page.form.lines("application") if row.key == key] == ["1", "2"]
