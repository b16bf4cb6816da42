"""What is asked about before it is done: archive, cleanup and forgetting, the last two by typing the name."""

from datetime import UTC, datetime, timedelta

import pytest
from answers import steady
from browser import Browser, Page

RETENTION = timedelta(days=14)  # the default of ARCHIVE_RETENTION
LABELS = {"archive": "Move to archive", "cleanup": "Remove for good", "delete": "Forget"}


@pytest.fixture
def browser(server) -> Browser:
    return Browser(server.url)


@pytest.fixture
def archived(server, name) -> str:
    server.archived(name)
    return name


def kept_until(page: Page) -> datetime:
    [time] = page.form.element.all("time")
    assert time.words == f"{datetime.fromisoformat(time['datetime']):%Y-%m-%d %H:%M:%S} UTC"
    return datetime.fromisoformat(time["datetime"])


def test_archive_says_what_is_kept_until_when(server, browser, board, name):
    server.running(name)
    before = datetime.now(UTC).replace(microsecond=0)
    page = browser.get(f"/deployments/{name}").follow("Move to archive")
    assert page.heading == f"Move {name} to the archive?"
    assert before + RETENTION <= kept_until(page) <= datetime.now(UTC) + RETENTION
    assert "Its data and its configuration are kept" in page.text
    assert page.form.values("typed") == [] and page.form.refused == []
    assert page.follow("Cancel").path == f"/deployments/{name}"
    assert server.deployment(name)["status"] == "Running", "asking does nothing"
    assert page.press("Move to archive").path == f"/deployments/{name}"
    page = browser.shown(name, "Archived")
    assert "Kept until" in page.facts
    assert len(board.calls(name, "archive")) == 1


@pytest.mark.parametrize(
    ("kind", "link", "says"),
    [
        ("cleanup", "Remove for good", "This cannot be undone."),
        ("delete", "Forget it", "What it has deployed stays where it is"),
    ],
)
def test_what_cannot_be_undone_says_so_and_needs_the_name(server, browser, board, archived, kind, link, says):
    page = browser.get(f"/deployments/{archived}").follow(link)
    assert page.path == f"/deployments/{archived}/confirm/{kind}"
    assert says in page.text
    [field] = page.root.all("input", name="typed")
    assert [label.words for label in page.root.all("label") if label["for"] == field["id"]] == [
        f"Type {archived} to confirm"
    ]
    assert page.form.refused == ["typed"], "a browser does not even send it"
    assert page.form.fill("typed", archived).refused == []
    assert page.follow("Cancel").path == f"/deployments/{archived}"
    before = steady(server.deployment(archived))
    for wrong in ("", " ", archived.upper(), f"{archived}x", archived[:-1], f"{archived} {archived}", "*"):
        page = page.form.fill("typed", wrong).submit(LABELS[kind])
        assert page.status == 422
        assert f"type {archived} to confirm" in page.alert
        assert page.heading in (f"Remove {archived} for good?", f"Forget {archived}?")
    without = [pair for pair in page.form.data() if pair[0] != "typed"]
    address = page.form.element["action"]
    assert browser.post(address, without).status == 422, "what is not there is wrong too"
    assert steady(server.deployment(archived)) == before
    assert board.calls(archived, "cleanup") == []
    page = page.form.fill("typed", f" {archived} ").submit(LABELS[kind])
    assert page.path == (f"/deployments/{archived}" if kind == "cleanup" else "/deployments")
    assert page.status in (200, 404)  # the cleanup may be that quick


def test_removed_deployment_was_cleaned_up_and_a_forgotten_one_was_not(server, browser, board, archived):
    browser.get(f"/deployments/{archived}/confirm/cleanup").form.fill("typed", archived).submit()
    board.wait_for_call(archived, "cleanup")
    other = f"{archived}-b"
    server.running(other)
    browser.get(f"/deployments/{other}/confirm/delete").form.fill("typed", other).submit()
    assert browser.get(f"/deployments/{other}").status == 404
    assert board.calls(other, "cleanup") == []


def test_name_of_another_deployment_confirms_nothing(server, browser, archived):
    page = browser.get(f"/deployments/{archived}/confirm/cleanup").form.fill("typed", "another-one").submit()
    assert page.status == 422
    assert server.deployment(archived)["action"] is None


@pytest.mark.parametrize("kind", ["update", "restore", "create", "nonsense", "Archive", "archive%20"])
def test_only_what_can_be_asked_about_has_a_page(server, browser, archived, kind):
    assert browser.get(f"/deployments/{archived}/confirm/archive").status == 200
    page = browser.get(f"/deployments/{archived}/confirm/{kind}")
    assert (page.status, page.path) == (404, f"/deployments/{archived}/confirm/{kind}")


@pytest.mark.parametrize("kind", LABELS)
def test_deployment_that_is_gone_cannot_be_confirmed(server, browser, name, kind):
    server.running(name)
    page = browser.get(f"/deployments/{name}/confirm/{kind}")
    server.forget(name)
    form = page.form
    refused = (form if kind == "archive" else form.fill("typed", name)).submit(LABELS[kind])
    assert refused.status == 404
    assert f"no deployment named '{name}'" in refused.alert
    assert browser.get(page.path).status == 404


@pytest.mark.parametrize("kind", ["archive", "cleanup"])
def test_confirmation_of_an_older_version_is_refused_and_the_next_goes_through(server, browser, board, name, kind):
    prepared = server.running if kind == "archive" else server.archived
    prepared(name)
    page = browser.get(f"/deployments/{name}/confirm/{kind}")
    if kind == "archive":
        server.act(name, "update", application={"set": {"A": "1"}})
        server.settled(name, "Running")
    else:
        for again, status in (("restore", "Running"), ("archive", "Archived")):
            server.act(name, again)
            server.settled(name, status)

    def submit(page: Page) -> Page:
        form = page.form
        return (form if kind == "archive" else form.fill("typed", name)).submit(LABELS[kind])

    calls = len(board.calls(name, kind))
    refused = submit(page)
    assert refused.status == 412
    assert "was changed meanwhile" in refused.alert and "asked for by local" in refused.alert
    assert refused.heading == page.heading
    assert len(board.calls(name, kind)) == calls
    assert submit(refused).path == f"/deployments/{name}"
    board.wait_for_call(name, kind, calls + 1)


def test_deployment_with_an_unfinished_action_is_not_forgotten(server, browser, board, name):
    server.running(name)
    page = browser.get(f"/deployments/{name}/confirm/delete")
    gate = board.hold(name, "archive")
    server.act(name, "archive")
    gate.reached()
    refused = page.form.fill("typed", name).submit("Forget")
    assert (refused.status, refused.heading) == (409, f"Forget {name}?")
    assert f"Cannot delete {name}: it is being archived" in refused.alert
    gate.open()
    server.settled(name, "Archived")
    assert refused.form.fill("typed", name).submit("Forget").path == "/deployments"
    assert server.get(f"/deployments/{name}").status_code == 404


def test_what_is_not_possible_now_is_refused_with_the_question_again(server, browser, archived):
    page = browser.get(f"/deployments/{archived}/confirm/archive")
    refused = page.press("Move to archive")
    assert (refused.status, refused.heading) == (409, page.heading)
    assert f"Cannot archive {archived}: it is Archived" in refused.alert
    server.act(archived, "restore")
    server.settled(archived, "Running")
    refused = browser.get(f"/deployments/{archived}/confirm/cleanup").form.fill("typed", archived).submit()
    assert refused.status == 409
    assert f"Cannot cleanup {archived}" in refused.alert
