"""The pages, in a browser without JavaScript: what they say, what can be done there, and that scripts cannot harm them."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from browser import Browser, Element, Page, said
from conftest import ROOT, eventually

from octopod import pages
from octopod.lifecycle import STEPS, Kind, State, Status

MASK = "********"
DEFAULT_RETENTION = timedelta(days=14)
UTC_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")


@pytest.fixture
def browser(server) -> Browser:
    return Browser(server.url)


def to_the_second(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(microsecond=0)


# --- a whole life


def test_whole_life_by_forms_only(browser, board, name):
    page = browser.get("/")
    assert page.path == "/deployments"
    form = page.follow("New deployment").form
    form.fill("name", name).set("application", "GREETING", "hi\nthere").set("deployment", "region", "north")
    assert form.refused == []
    page = form.submit("Create")
    assert (page.status, page.path, page.heading) == (200, f"/deployments/{name}", name)
    page = browser.shown(name, "Running")
    assert {"GREETING=hi\nthere", "region=north"} <= set(board.wait_for_call(name, "create").arguments)
    assert page.links["app"] == f"http://localhost/{name}"
    assert page.config["GREETING"] == ("hi\nthere", "changed")
    assert page.config["region"] == ("north", "custom")
    assert page.config["size"] == ("small", "default")

    form = page.follow("Edit").form
    assert form.rows("application") == {"GREETING": "hi\nthere", "API_TOKEN": MASK}
    assert form.rows("deployment") == {"region": "north", "image.tag": "v1", "size": "small"}
    form.add("application", "MINE", "new").set("deployment", "image.tag", "v2").click("Take size away")
    assert form.submit("Save").path == f"/deployments/{name}"
    page = browser.shown(name, "Running")
    arguments = board.wait_for_call(name, "update").arguments
    everything = {"GREETING=hi\nthere", "MINE=new", "API_TOKEN=default-token", "image.tag=v2", "region=north"}
    assert everything <= set(arguments)
    assert "size=small" not in arguments
    assert page.config["size"] == ("small", "removed")

    form = page.follow("Edit").form.click("Bring size back").click("Delete MINE")
    form.set("application", "GREETING", "hello").submit("Save")
    page = browser.shown(name, "Running")
    arguments = board.wait_for_call(name, "update", 2).arguments
    assert {"GREETING=hello", "size=small", "image.tag=v2"} <= set(arguments)
    assert "MINE=new" not in arguments
    assert page.config["GREETING"] == ("hello", "default")

    assert page.follow("Move to archive").press("Move to archive").path == f"/deployments/{name}"
    page = browser.shown(name, "Archived")
    assert name not in browser.get("/deployments").names
    assert "Edit" not in page.links
    page.press("Restore")
    browser.shown(name, "Running").follow("Move to archive").press("Move to archive")
    browser.shown(name, "Archived").follow("Remove for good").form.fill("typed", name).submit("Remove for good")
    eventually(lambda: browser.get(f"/deployments/{name}").status == 404, f"{name} to be gone")
    kinds = [call.script for call in board.calls(name) if call.script in {step.script for step in STEPS.values()}]
    assert kinds == ["create", "update", "update", "archive", "unarchive", "archive", "cleanup"]


def test_deployment_may_be_named_like_a_page(browser, server):
    page = browser.get("/new").form.fill("name", "new").submit()
    assert (page.path, page.heading) == ("/deployments/new", "new")
    server.settled("new", "Running")
    assert server.request("DELETE", "/api/v1/deployments/new").status_code == 204


# --- words


def test_every_word_of_the_life_cycle_has_one_for_people():
    for table, words in [(pages.STATUSES, Status), (pages.DOING, STEPS), (pages.KINDS, STEPS), (pages.STATES, State)]:
        assert set(table) == set(words)
        labels = [look.label for look in table.values()]
        assert all(labels) and len(set(labels)) == len(labels)
        assert not set(labels) & {"GenericFailure", "TagMismatch", "timed_out"}


@pytest.mark.parametrize(
    ("exit_code", "state"), [(0, "Running"), (1, "Failed"), (2, "Partly working"), (3, "Wrong version")]
)
def test_check_now_says_how_it_is_and_why(server, browser, board, name, exit_code, state):
    server.running(name)
    checked = browser.get(f"/deployments/{name}").facts["Checked"]
    board.write(name, "check", f"echo 'found: {exit_code} <b>'; exit {exit_code}")
    page = browser.get(f"/deployments/{name}").press("Check now")
    assert (page.status, page.path, page.state) == (200, f"/deployments/{name}", state)
    assert f"found: {exit_code} <b>" in page.facts["Status"]
    assert page.facts["Checked"] >= checked and UTC_MOMENT.fullmatch(page.facts["Checked"])
    listed = browser.get(f"/deployments?q={name}")
    [status] = listed.row(name).all("span", class_="status")
    assert said(status) == state
    assert f"found: {exit_code} <b>" in listed.description(status)
    assert status["tabindex"] == "0", "the reason can be had without a mouse"


def test_deployment_that_is_not_up_yet_is_starting(server, browser, board, name):
    board.write(name, "check", "echo 'one pod of two'; exit 1")
    server.finished(server.create(name).json()["action"]["id"])
    page = browser.shown(name, "Starting")
    page = page.press("Check now")
    assert page.state == "Starting"
    assert "Not confirmed yet: one pod of two" in page.facts["Status"]
    assert page.reloads
    assert "Edit" not in page.links


def test_what_cannot_be_checked_is_refused_on_its_page(server, browser, board, name):
    server.archived(name)
    page = browser.get(f"/deployments/{name}")
    assert page.state == "Archived"
    assert "Check now" not in page.buttons
    refused = browser.post(f"/deployments/{name}/check", [])
    assert (refused.status, refused.heading) == (409, name)
    assert "nothing of it should run" in refused.alert


DOING = {
    Kind.CREATE: "Creating",
    Kind.UPDATE: "Updating",
    Kind.ARCHIVE: "Archiving",
    Kind.RESTORE: "Restoring",
    Kind.CLEANUP: "Removing",
}
LIFE = [Kind.CREATE, Kind.UPDATE, Kind.ARCHIVE, Kind.RESTORE, Kind.ARCHIVE, Kind.CLEANUP]


def test_what_is_being_done_is_said_and_can_only_be_cancelled(server, browser, board, name):
    for kind in LIFE:
        gate = board.hold(name, STEPS[kind].script)
        if kind is Kind.CREATE:
            server.create(name)
        else:
            server.act(name, kind, **({"application": {}} if kind is Kind.UPDATE else {}))
        gate.reached()
        page = browser.get(f"/deployments/{name}")
        assert page.state == DOING[kind]
        assert page.buttons == [f"Cancel {kind}"]
        assert not {"Edit", "Move to archive", "Remove for good", "Forget it"} & set(page.links)
        assert "Asked for by local" in page.text
        assert page.reloads
        row = browser.get("/deployments?archived=all", params={"q": name}).row(name)
        assert [said(status) for status in row.all("span", class_="status")] == [DOING[kind]]
        assert next(row.all("details", class_="menu")).offers == [f"Cancel {kind}"]
        gate.open()
        if kind is not Kind.CLEANUP:
            status = STEPS[kind].done
            assert status
            server.settled(name, status)
            assert not browser.shown(name, pages.STATUSES[status].label).reloads


def test_running_action_can_be_cancelled_by_a_form(server, browser, board, name):
    board.hold(name, "create")
    board.write(name, "check", "exit 1")
    browser.get("/new").form.fill("name", name).submit()
    board.wait_for_call(name, "create")
    assert browser.get(f"/deployments/{name}").press("Cancel create").path == f"/deployments/{name}"
    page = browser.shown(name, "Failed")
    assert "Cancelled by local" in page.history[0].words
    refused = browser.post(f"/actions/{page.history[0]['id'].removeprefix('action-')}/cancel", [])
    assert (refused.status, refused.heading) == (409, name)
    assert "Cannot cancel" in refused.alert


# --- the list


def test_row_has_name_status_links_and_moments(server, browser, board, name):
    board.write(name, "create", "echo 'no room left' >&2; exit 1")
    board.write(name, "check", "exit 1")
    board.write(name, "info", "echo 'my app,https://example.org/x'; echo ',https://example.org/nameless'")
    server.create(name)
    deployment = server.settled(name, "GenericFailure")
    page = browser.get(f"/deployments?q={name}")
    row = page.row(name)
    assert [said(status) for status in row.all("span", class_="status")] == ["Failed"]
    assert deployment["status_reason"] in row.words, "what went wrong is there without pointing at it"
    assert page.links["my app"] == "https://example.org/x"
    assert page.links["https://example.org/nameless"] == "https://example.org/nameless"
    moments = [datetime.fromisoformat(time["datetime"]) for time in row.all("time")]
    assert moments == [to_the_second(deployment[field]) for field in ("created_at", "updated_at")]
    assert all(UTC_MOMENT.fullmatch(text) for text in row.texts("time"))
    assert page.follow(name).heading == name


def test_row_has_the_first_overrides_and_folds_the_others(server, browser, name):
    overrides = {"A": "1", "API_TOKEN": "s3cret", "GREETING": None, "B": "x\ny", "C": "3"}
    server.running(name, application=overrides, deployment={"size": "big"})
    page = browser.get(f"/deployments?q={name}")
    cells = dict(zip(page.root.texts("th"), page.row(name).all("td"), strict=True))
    first, others = cells["Application config"].all("ul")
    assert first.texts("li") == ["A: 1", f"API_TOKEN: {MASK}", "GREETING removed"]
    assert others.texts("li") == ["B: x y", "C: 3"]
    assert others.parent and others.parent.tag == "details"
    assert others.parent.texts("summary") == ["2 more"]
    assert cells["Deployment config"].texts("li") == ["size: big"]
    assert list(cells["Deployment config"].all("details")) == []
    assert "s3cret" not in page.answer.text


def test_list_has_the_beginning_of_what_is_long(server, browser, board, name):
    board.write(name, "info", f"echo '{'l' * 1000},https://example.org/'")
    server.running(name, application={"LONG": "x" * 1000})
    page = browser.get(f"/deployments?q={name}")
    assert page.row(name).texts("li") == [f"LONG: {'x' * pages.MOST_SHOWN}…"]
    assert page.links[f"{'l' * pages.MOST_SHOWN}…"] == "https://example.org/"
    page = page.follow(name)
    assert page.config["LONG"] == ("x" * 1000, "custom")
    assert page.links["l" * 1000] == "https://example.org/"


def test_filter_finds_and_hides(server, browser, name):
    server.archived(name)

    def found(archived: bool = False, **fields: str) -> bool:
        form = browser.get("/deployments").forms[0].tick("archived", archived)
        for field, value in {"q": name, **fields}.items():
            form.fill(field, value)
        answer = form.submit("Show")
        again = answer.forms[0]
        assert {field: again.values(field) for field in ("q", *fields)} == {"q": [name]} | {
            field: [value] for field, value in fields.items()
        }
        assert again.values("archived") == (["all"] if archived else [])
        return name in answer.names

    assert not found()
    assert found(archived=True)
    assert found(status="Archived")
    assert not found(archived=True, status="Running")


def test_filter_offers_every_status_by_its_label(browser):
    [select] = browser.get("/deployments").root.all("select", name="status")
    assert {option["value"]: option.words for option in select.all("option")} == {"": "Any status"} | {
        status: pages.STATUSES[status].label for status in Status
    }


def test_column_headers_sort_and_turn_around(server, browser, name):
    for letter in "bac":
        server.running(f"{name}-{letter}")
    server.act(f"{name}-b", "update", application={"set": {"X": "1"}})
    server.settled(f"{name}-b", "Running")

    def order(page: Page) -> str:
        return "".join(found.removeprefix(f"{name}-") for found in page.names)

    def directions(page: Page) -> dict[str, str]:
        return {head.words: head["aria-sort"] for head in page.root.all("th") if head.get("aria-sort")}

    first = browser.get(f"/deployments?q={name}-&status=Running&archived=all")
    unsorted = {"Name": "none", "Created": "none", "Changed": "none"}
    assert order(first) == "bca" and directions(first) == unsorted | {"Changed": "descending"}
    up, down = "ascending", "descending"
    for column, wanted, begins in [("Name", "abc", up), ("Created", "cab", down), ("Changed", "acb", up)]:
        page = first.follow(column)
        assert order(page) == wanted and directions(page) == unsorted | {column: begins}
        page = page.follow(column)
        assert order(page) == wanted[::-1]
        assert directions(page) == unsorted | {column: down if begins == up else up}
        assert page.forms[0].submit("Show").names == page.names, "searching keeps the order"


def test_list_leads_to_its_next_page(server, browser, name):
    for letter in "ab":
        server.running(f"{name}-{letter}")
    server.running(f"other-{name}")
    try:
        first = browser.get(f"/deployments?q={name}-&sort=name&limit=1&status=Running")
        second = first.follow("More")
        assert (first.names, second.names) == ([f"{name}-a"], [f"{name}-b"])
        assert "More" not in second.links
    finally:
        server.forget(f"other-{name}")


def test_empty_list_says_what_to_do(browser):
    page = browser.get("/deployments?q=nothing-is-named-so")
    [empty] = page.root.all("div", class_="empty")
    assert page.names == []
    assert "No deployments here" in empty.words and "Nothing fits" in empty.words
    assert page.follow("Show all").address == browser.get("/deployments").address
    [empty] = browser.get("/deployments").root.all("div", class_="empty")
    assert "No deployments here yet" in empty.words
    assert [link["href"] for link in empty.all("a")] == ["/new"]


@pytest.mark.parametrize("path", ["/deployments", "/actions"])
def test_only_an_empty_table_says_that_it_is_empty(browser, path):
    [table] = browser.get(path).root.all("table")
    assert len(list(table.all("tbody"))) == 1 and table.parent
    following = [child for child in table.parent.children if isinstance(child, Element)]
    assert [child.get("class") for child in following[following.index(table) + 1 :]] == ["empty"]
    assert "\ntable:has(tbody tr) ~ .empty { display: none; }\n" in (ROOT / "static/octopod.css").read_text()


def test_what_was_searched_for_is_marked(server, browser, name):
    overrides = {"NOTE": f"<Xylophone> in {name}", "PATTERN": "a*b", "API_TOKEN": "xylophone"}
    server.running(name, application=overrides)
    page = browser.get("/deployments", params={"q": f"{name} xylophone *"})
    row = page.row(name)
    assert row.texts("mark") == [name, "Xylophone", name, "*"]
    assert f"NOTE: <Xylophone> in {name}" in row.texts("li")
    assert "Nothing has exactly" not in page.text
    assert name in browser.get("/deployments", params={"q": name}).names
    assert not list(browser.get("/deployments").root.all("mark"))


def test_search_that_finds_similar_ones_only_says_so(server, browser, name):
    server.running(name, application={"NOTE": f"quetzalcoatl of {name}"})
    page = browser.get("/deployments", params={"q": "quetzlacoatl"})
    assert "Nothing has exactly “quetzlacoatl”. These are similar:" in page.text
    assert page.row(name).texts("mark") == ["quetzalcoatl"]


def test_search_does_not_find_secrets(server, browser, name):
    server.running(name, application={"API_TOKEN": f"hidden-{name}", "NOTE": "x"})
    assert browser.get("/deployments", params={"q": f"hidden-{name}"}).names == []
    assert browser.get("/deployments", params={"q": f"{name} api_token"}).names == [name]


# --- one deployment


def test_pages_offer_what_the_life_cycle_allows(server, browser, board, name):
    board.write(f"{name}-c", "cleanup", "exit 1")
    server.archived(f"{name}-c")
    server.act(f"{name}-c", "cleanup")
    for deployment in (
        server.running(name),
        server.archived(f"{name}-a"),
        server.settled(f"{name}-c", "CleanupFailed"),
    ):
        labels = [pages.KINDS[Kind(kind)].label for kind in deployment["allowed_actions"]]
        assert labels
        page = browser.get(f"/deployments/{deployment['name']}")
        known = {look.label for look in pages.KINDS.values()}
        assert [label for label in page.root.offers if label in known] == labels
        row = browser.get("/deployments?archived=all", params={"q": name}).row(deployment["name"])
        [menu] = row.all("details", class_="menu")
        assert menu.texts("summary") == [""] and next(menu.all("summary")).label == f"Actions for {deployment['name']}"
        assert menu.offers == labels


def test_page_of_a_failed_deployment_shows_why(server, browser, board, name):
    board.write(name, "create", "echo working; echo 'disk is full, token default-token' >&2; exit 9")
    board.write(name, "check", "exit 1")
    action_id = server.create(name).json()["action"]["id"]
    page = browser.shown(name, "Failed")
    [output] = page.root.all("pre", class_="output")
    assert "disk is full, token " in output.text
    assert "default-token" not in page.answer.text, "secrets are masked in what scripts print"
    assert "The last words of the create script" in page.text
    [entry] = page.history
    assert entry["id"] == f"action-{action_id}"
    assert "Create failed" in entry.words and "(exit code 9)" in entry.words


def test_configuration_is_a_tree_with_the_origin_of_each_value(server, browser, name):
    server.running(name, deployment={"image.pull": "always", "size": None}, application={"API_TOKEN": "s3cret"})
    page = browser.get(f"/deployments/{name}")
    assert page.config == {
        "image.pull": ("always", "custom"),
        "image.tag": ("v1", "default"),
        "size": ("small", "removed"),
        "API_TOKEN": (MASK, "changed"),
        "GREETING": ("hello", "default"),
    }
    [branch] = [part for tree in page.root.all("ul", class_="tree") for part in tree.all("details")]
    assert branch.texts("summary") == ["image 2, 1 not default"]
    assert "open" in branch.attributes, "what is not default is seen at once"
    assert [leaf.words for leaf in branch.all("span", class_="key")] == ["image", "pull", "tag"]
    assert f"default: {MASK}" in page.text
    assert "s3cret" not in page.answer.text and "default-token" not in page.answer.text


def test_moments_of_a_deployment_are_exact(server, browser, name):
    deployment = server.archived(name)
    page = browser.get(f"/deployments/{name}")
    expected = {"Created": "created_at", "Changed": "updated_at", "Checked": "checked_at"}
    for title, field in expected.items():
        assert page.facts[title] == f"{datetime.fromisoformat(deployment[field]):%Y-%m-%d %H:%M:%S} UTC"
    until = to_the_second(deployment["archived_at"]) + DEFAULT_RETENTION
    eventually(lambda: datetime.now(UTC) + DEFAULT_RETENTION > until + timedelta(seconds=1), "another second")
    page = browser.get(page.address)
    assert page.facts["Kept until"] == f"{until:%Y-%m-%d %H:%M:%S} UTC"
    assert until in [datetime.fromisoformat(time["datetime"]) for time in page.root.all("time")]
    assert "Kept until" not in browser.get(f"/deployments/{server.running(f'{name}-b')['name']}").facts


def test_second_form_says_what_is_under_way(server, browser, board, name):
    server.running(name)
    page = browser.get(f"/deployments/{name}/confirm/archive")
    gate = board.hold(name, "archive")
    page.press("Move to archive")
    refused = page.press("Move to archive")
    assert refused.status in (409, 412)
    assert "archive" in refused.alert
    again = refused.press("Move to archive")
    assert again.status == 409
    assert re.search("it is (waiting to be|being) archived since .*, asked for by local", again.alert)
    gate.open()
    server.settled(name, "Archived")
    assert len(board.calls(name, "archive")) == 1


def test_refused_restore_is_said_on_the_page(server, browser, board, name):
    server.archived(name)
    page = browser.get(f"/deployments/{name}")
    board.write(name, "config_check", "echo 'This tag is <b>gone</b>'; exit 1")
    refused = page.press("Restore")
    assert (refused.status, refused.heading) == (422, name)
    assert refused.alert == "This tag is <b>gone</b>"
    board.clear(name, "config_check")
    page.press("Restore")
    server.settled(name, "Running")
    again = page.press("Restore")
    assert again.status == 412 and "was changed meanwhile" in again.alert
