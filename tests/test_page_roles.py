"""What the pages show to whom, and what they show only where settings say so: retention, dashboard, name of the project."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from browser import Browser, said
from conftest import Server, numbers

from octopod import pages
from octopod.settings import settings

RITA, ADA = ("rita<b>", "pass"), ("ada", "pass")  # a user, who tries her luck, and an admin
RETENTION = timedelta(hours=36)


@pytest.fixture(scope="module")
def server(database: str, new_database: Callable[[str], str], scratch) -> Iterator[Server]:
    """A server with logins, one action at a time, and everything that settings can change about the pages."""
    directory = scratch / f"server-roles-{next(numbers)}"
    directory.mkdir()
    server = Server(
        directory,
        new_database(database),
        UI_BASIC_AUTH=":".join(RITA),
        UI_ADMIN_BASIC_AUTH=":".join(ADA),
        ARCHIVE_RETENTION=str(RETENTION.total_seconds()),
        KUBERNETES_DASHBOARD_URL_TEMPLATE="https://k8s.example/#/{name}/pods?n={name}",
        PROJECT_NAME="Squid & <b>Co</b>",
        MAX_RUNNING_ACTIONS="1",
    )
    server.http.auth = ADA
    server.start()
    yield server
    server.stop()


@pytest.fixture
def rita(server) -> Browser:
    return Browser(server.url, RITA)


@pytest.fixture
def ada(server) -> Browser:
    return Browser(server.url, ADA)


def test_user_does_everything_but_logs_and_forgetting(server, rita, name):
    """Every form that a user may send, and what every page says to her."""
    page = rita.get("/new").form.fill("name", name).add("application", "A", "1").submit("Create")
    assert (page.status, page.path) == (200, f"/deployments/{name}")
    page = rita.shown(name, "Running")
    assert (page.press("Check now").status, page.press("Check now").path) == (200, page.path)
    form = page.follow("Edit").form.set("application", "A", "2").look()
    assert form.changes == ["A 1 → 2"]
    assert form.submit("Save").status == 200
    rita.shown(name, "Running").follow("Move to archive").press("Move to archive")
    rita.shown(name, "Archived").press("Restore")
    rita.shown(name, "Running").follow("Move to archive").press("Move to archive")
    rita.shown(name, "Archived").follow("Remove for good").form.fill("typed", name).submit()
    server.finished(server.get("/actions", params={"deployment": name}).json()["items"][0]["id"])
    assert rita.get(f"/deployments/{name}").status == 404
    history = rita.get(f"/actions?deployment={name}")
    assert history.text.count("rita<b>") == 6
    assert list(history.root.all("b")) == []
    assert not [href for href in history.links.values() if href.startswith("/actions/")], "no logs for her"
    as_admin = Browser(server.url, ADA).get(history.address)
    assert len([href for href in as_admin.links.values() if href.startswith("/actions/")]) == 6


def test_user_may_cancel(server, rita, name):
    gate = server.board.hold(name, "create")
    rita.get("/new").form.fill("name", name).submit()
    gate.reached()
    page = rita.get(f"/deployments/{name}")
    assert "Asked for by rita<b>" in page.text and "watch the log" not in page.links
    assert "watch the log" in Browser(server.url, ADA).get(f"/deployments/{name}").links
    assert page.press("Cancel create").path == f"/deployments/{name}"
    action = server.get("/actions", params={"deployment": name}).json()["items"][0]
    assert server.finished(action["id"])["reason"] == "Cancelled by rita<b>"


def test_page_of_a_deployment_offers_logs_and_forgetting_to_admins_only(server, rita, ada, name):
    server.running(name)
    for_her, for_admins = (browser.get(f"/deployments/{name}") for browser in (rita, ada))
    assert sorted(set(for_admins.root.offers) - set(for_her.root.offers)) == [
        "Forget it",
        f"Log of create {for_admins.history[0]['id'].removeprefix('action-')}",
    ]
    assert set(for_her.root.offers) < set(for_admins.root.offers)
    assert "Check now" in for_her.buttons


def test_user_is_refused_logs_and_forgetting(server, rita, ada, name):
    deployment = server.running(name)
    [action] = server.get("/actions", params={"deployment": name}).json()["items"]
    sent = ada.get(f"/deployments/{name}/confirm/delete").form.fill("typed", name).data()
    for refused in (rita.get(f"/actions/{action['id']}"), rita.post(f"/deployments/{name}/delete", sent)):
        assert refused.status == 403
        assert "This needs the admin role; rita<b> has the user role" in refused.alert
        assert list(refused.root.all("b")) == []
    assert server.deployment(name)["version"] == deployment["version"]
    assert ada.get(f"/actions/{action['id']}").status == 200
    assert ada.post(f"/deployments/{name}/delete", sent).path == "/deployments"
    assert server.get(f"/deployments/{name}").status_code == 404


def test_user_is_not_asked_whether_to_forget(server, rita, ada, name):
    server.running(name)
    assert ada.get(f"/deployments/{name}/confirm/delete").status == 200
    assert rita.get(f"/deployments/{name}/confirm/archive").status == 200
    assert rita.get(f"/deployments/{name}/confirm/delete").status == 403


def test_nobody_sees_or_does_anything_without_a_login(server, name):
    deployment = server.running(name)
    for login in (None, ("rita<b>", "wrong"), ("ada", "")):
        stranger = Browser(server.url, login)
        for path in ("/deployments", f"/deployments/{name}", "/new", f"/deployments/{name}/edit", "/actions"):
            page = stranger.get(path)
            assert page.status == 401 and name not in page.text
        for path in ("/new", "/deployments", f"/deployments/{name}/edit", f"/deployments/{name}/actions"):
            assert stranger.post(path, [("name", name), ("kind", "archive")]).status == 401
    assert server.deployment(name)["version"] == deployment["version"]


def test_form_says_who_has_saved_meanwhile(server, rita, ada, name):
    rita.get("/new").form.fill("name", name).submit("Create")
    server.settled(name, "Running")
    form = rita.get(f"/deployments/{name}/edit").form.set("application", "GREETING", "mine")
    ada.get(f"/deployments/{name}/edit").form.add("application", "THEIRS", "1").submit("Save")
    server.settled(name, "Running")
    page = form.submit("Save")
    assert page.status == 412
    assert "ada has saved something meanwhile (update, " in page.alert and "asked for by ada" in page.alert


def test_archive_is_kept_as_long_as_the_settings_say(server, ada, name):
    server.running(name)
    before = datetime.now(UTC).replace(microsecond=0)
    page = ada.get(f"/deployments/{name}/confirm/archive")
    [time] = page.form.element.all("time")
    assert before + RETENTION <= datetime.fromisoformat(time["datetime"]) <= datetime.now(UTC) + RETENTION
    page.press("Move to archive")
    page = ada.shown(name, "Archived")
    until = datetime.fromisoformat(server.deployment(name)["archived_at"]) + RETENTION
    assert page.facts["Kept until"] == f"{until:%Y-%m-%d %H:%M:%S} UTC"


def test_details_lead_to_the_dashboard(server, rita, name):
    server.running(name)
    page = rita.get(f"/deployments/{name}")
    [menu] = rita.get("/deployments").row(name).all("details", class_="menu")
    for place in (page.root, menu):
        [link] = [link for link in place.all("a") if link.words == "Details"]
        assert link["href"] == f"https://k8s.example/#/{name}/pods?n={name}"
        assert {"noopener", "noreferrer"} <= set(link["rel"].split())


@pytest.mark.parametrize(
    ("template", "url"),
    [
        (None, None),
        ("https://k8s/{name}/{name}", "https://k8s/orange/orange"),
        ("https://k8s?q=", "https://k8s?q=orange"),
    ],
)
def test_name_is_put_where_the_template_says_or_else_appended(monkeypatch, template, url):
    monkeypatch.setattr(settings, "KUBERNETES_DASHBOARD_URL_TEMPLATE", template, raising=False)
    assert pages.details_url("orange") == url


def test_project_is_named_on_every_page_as_it_is(rita):
    for path in ("/deployments", "/new", "/actions", "/docs"):
        page = rita.get(path)
        assert page.root.texts("span", class_="project") == ["Squid & <b>Co</b>"]
        [title] = page.root.texts("title")
        assert title.endswith("– Squid & <b>Co</b>")
        assert list(page.root.all("b")) == []


def test_action_that_has_to_wait_says_so(server, rita, name):
    gate = server.board.hold(name, "create")
    server.create(name)
    gate.reached()
    other = f"{name}-b"
    server.create(other)
    page = rita.get(f"/deployments/{other}")
    assert page.state == "Waiting: creating"
    assert page.buttons == ["Cancel create"]
    assert "Create waiting" in page.history[0].words
    row = rita.get("/deployments").row(other)
    assert [said(status) for status in row.all("span", class_="status")] == ["Waiting: creating"]
    gate.open()
    server.settled(name, "Running")
    server.settled(other, "Running")
