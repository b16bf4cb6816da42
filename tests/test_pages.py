"""The pages, in a browser without JavaScript: read, fill forms, send them, and nothing that scripts print can harm."""

import re
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, Form, Page
from conftest import ROOT, eventually

from octopod.lifecycle import STEPS, Kind, Status

MASK = "********"
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


@pytest.fixture
def browser(server) -> Browser:
    return Browser(server.url)


def shown(browser: Browser, name: str, status: str) -> Page:
    """The page of a deployment, once it says this status and offers actions again."""

    def look() -> Any:
        page = browser.get(f"/deployments/{name}")
        return page if status in page.text and not any("Cancel" in button for button in page.buttons) else None

    return eventually(look, f"the page to say that {name} is {status}")


def row_of(page: Page, name: str) -> str | None:
    """What the list says about a deployment."""
    for row in page.root.all("tr"):
        cells = [" ".join(cell.text.split()) for cell in row.all("td")]
        if cells and cells[0] == name:
            return " | ".join(cells)
    return None


def config_of(page: Page) -> dict[str, tuple[str, str]]:
    """Of a deployment's page: key to value and origin."""
    rows = ([cell.text for cell in row.all("td")] for row in page.root.all("tr"))
    return {cells[0]: (cells[1], cells[2]) for cells in rows if len(cells) == 3}


# --- a whole life


def test_whole_life_by_forms_only(browser, board, name):
    page = browser.get("/")
    assert page.path == "/deployments"
    page = page.follow("New deployment")
    form = page.form.fill("name", name).set("application", "GREETING", "hi\nthere").set("deployment", "region", "north")
    page = form.submit()
    assert (page.status, page.path, page.heading) == (200, f"/deployments/{name}", name)
    page = shown(browser, name, "Running")
    assert {"GREETING=hi\nthere", "region=north"} <= set(board.wait_for_call(name, "create").arguments)
    assert page.links["app"] == f"http://localhost/{name}"
    assert config_of(page)["GREETING"] == ("hi\nthere", "changed")
    assert config_of(page)["region"] == ("north", "custom")
    assert config_of(page)["size"] == ("small", "default")

    form = page.follow("Edit").form
    assert form.rows("application") == {"GREETING": "hi\nthere", "API_TOKEN": MASK}
    assert form.rows("deployment") == {"region": "north", "image.tag": "v1", "size": "small"}
    form.set("application", "MINE", "new").set("deployment", "image.tag", "v2").tick("deployment.removed", "size")
    assert form.submit().status == 200
    page = shown(browser, name, "Running")
    arguments = board.wait_for_call(name, "update").arguments
    assert {"GREETING=hi\nthere", "MINE=new", "API_TOKEN=default-token", "image.tag=v2", "region=north"} <= set(
        arguments
    )
    assert "size=small" not in arguments
    assert config_of(page)["size"] == ("", "removed")

    form = page.follow("Edit").form
    form.tick("deployment.removed", "size", on=False).tick("application.removed", "MINE")
    form.set("application", "GREETING", "hello").submit()
    page = shown(browser, name, "Running")
    arguments = board.wait_for_call(name, "update", 2).arguments
    assert {"GREETING=hello", "size=small", "image.tag=v2"} <= set(arguments)
    assert "MINE=new" not in arguments
    assert config_of(page)["GREETING"] == ("hello", "default")

    assert page.press("Move to archive").path == f"/deployments/{name}"
    page = shown(browser, name, "Archived")
    assert row_of(browser.get("/deployments"), name) is None
    assert "Edit" not in page.links
    page.press("Restore")
    shown(browser, name, "Running").press("Move to archive")
    shown(browser, name, "Archived").press("Remove for good")
    eventually(lambda: browser.get(f"/deployments/{name}").status == 404, f"{name} to be gone")
    kinds = [call.script for call in board.calls(name) if call.script in {step.script for step in STEPS.values()}]
    assert kinds == ["create", "update", "update", "archive", "unarchive", "archive", "cleanup"]


def test_unchanged_form_changes_nothing(server, browser, board, name):
    overrides = {
        "API_TOKEN": "0verridden",
        "GREETING": None,
        "HTML": '<b>"&amp;"</b>',
        "LINES": "\n\ntwo before, one after\n",
        "OWN_PASSWORD": "0wn",
        "SPACES": "  x ",
    }
    server.running(name, application=overrides, deployment={"size": "big", "größe": "ü"})
    page = browser.get(f"/deployments/{name}/edit").form.submit()
    assert page.status == 200
    board.wait_for_call(name, "update")
    pairs = server.deployment(name)
    assert pairs["application_overrides"] == overrides | {"API_TOKEN": MASK, "OWN_PASSWORD": MASK}
    assert pairs["deployment_overrides"] == {"size": "big", "größe": "ü"}
    assert {"API_TOKEN=0verridden", "OWN_PASSWORD=0wn"} <= set(board.wait_for_call(name, "update").arguments)


def test_secret_is_masked_in_the_form_and_can_be_replaced_or_removed(server, browser, board, name):
    server.running(name, application={"API_TOKEN": "f1rst"})
    page = browser.get(f"/deployments/{name}/edit")
    assert page.form.rows("application")["API_TOKEN"] == MASK
    assert "f1rst" not in page.answer.text
    page.form.set("application", "API_TOKEN", "s3cond").submit()
    assert "API_TOKEN=s3cond" in board.wait_for_call(name, "update").arguments
    page = shown(browser, name, "Running")
    assert config_of(page)["API_TOKEN"] == (MASK, "changed")
    page.follow("Edit").form.tick("application.removed", "API_TOKEN").submit()
    assert not any(word.startswith("API_TOKEN=") for word in board.wait_for_call(name, "update", 2).arguments)


def test_default_of_several_lines_stays_a_default(new_server):
    server = new_server()
    server.board.write("_", "application_config", r"""printf 'TEXT,"one\ntwo"\r\nTOKEN,"three\nfour"\n'""")
    server.start()
    browser = Browser(server.url)
    browser.get("/new").form.fill("name", "lines").submit()
    assert server.settled("lines", "Running")["application_overrides"] == {}
    assert "TEXT=one\ntwo" in server.board.wait_for_call("lines", "create").arguments


def test_deployment_may_be_named_like_a_page(browser, server):
    page = browser.get("/new").form.fill("name", "new").submit()
    assert (page.path, page.heading) == ("/deployments/new", "new")
    server.settled("new", "Running")
    assert server.request("DELETE", "/api/v1/deployments/new").status_code == 204


# --- the list


def test_list_shows_name_status_reason_and_links(server, browser, board, name):
    board.write(name, "create", "echo 'no room left' >&2; exit 1")
    board.write(name, "check", "exit 1")
    board.write(name, "info", "echo 'my app,https://example.org/x'")
    server.create(name)
    server.settled(name, "GenericFailure")
    page = browser.get(f"/deployments?q={name}")
    row = row_of(page, name) or ""
    assert "GenericFailure" in row
    assert "my app" in row
    assert page.links["my app"] == "https://example.org/x"
    assert page.follow(name).heading == name


def test_filter_finds_and_hides(server, browser, name):
    server.archived(name)
    page = browser.get("/deployments")
    search = page.forms[0]

    def found(**fields: str) -> bool:
        form = Form(page, search.element)
        for field, value in {"q": name, **fields}.items():
            form.fill(field, value)
        answer = form.submit()
        assert answer.status == 200
        again = answer.forms[0]
        assert {field: again.values(field) for field in ("q", *fields)} == {"q": [name]} | {
            field: [value] for field, value in fields.items()
        }
        return row_of(answer, name) is not None

    assert not found()
    assert found(archived="true")
    assert found(archived="all", sort="name")
    assert found(status="Archived")
    assert not found(status="Running", archived="all")


def test_filter_offers_every_status(browser):
    [select] = [found for found in browser.get("/deployments").root.all("select") if found["name"] == "status"]
    assert [option.text for option in select.all("option")] == ["any", *Status]


def test_list_leads_to_its_next_page(server, browser, name):
    for letter in "ab":
        server.running(f"{name}-{letter}")
    first = browser.get(f"/deployments?q={name}-&sort=name&limit=1")
    second = first.follow("More")
    assert row_of(first, f"{name}-a") and not row_of(first, f"{name}-b")
    assert row_of(second, f"{name}-b") and not row_of(second, f"{name}-a")
    assert "More" not in second.links


def test_empty_list_says_what_to_do(browser):
    page = browser.get("/deployments?q=nothing-is-named-so")
    assert "No deployments here" in page.text
    assert page.links["Create one"] == "/new"


# --- one deployment


def test_page_offers_what_the_life_cycle_allows(server, browser, name):
    labels = {Kind.ARCHIVE: "Move to archive", Kind.RESTORE: "Restore", Kind.CLEANUP: "Remove for good"}
    for deployment in (server.running(name), server.archived(f"{name}-a")):
        page = browser.get(f"/deployments/{deployment['name']}")
        offered = {kind for kind, label in labels.items() if label in page.buttons}
        offered |= {Kind.UPDATE} if "Edit" in page.links else set()
        assert offered == set(deployment["allowed_actions"])


def test_running_action_can_be_cancelled_by_a_form(server, browser, board, name):
    board.hold(name, "create")
    board.write(name, "check", "exit 1")
    browser.get("/new").form.fill("name", name).submit()
    board.wait_for_call(name, "create")
    page = browser.get(f"/deployments/{name}")
    assert "being created (running), asked for by local" in page.text
    assert page.buttons == ["Cancel create"]
    assert page.press("Cancel create").path == f"/deployments/{name}"
    page = shown(browser, name, "GenericFailure")
    assert "Cancelled by local" in page.text


def test_page_of_a_failed_deployment_shows_why(server, browser, board, name):
    board.write(name, "create", "echo working; echo 'disk is full' >&2; exit 9")
    board.write(name, "check", "exit 1")
    action_id = server.create(name).json()["action"]["id"]
    page = shown(browser, name, "GenericFailure")
    assert "Last lines of the failed create" in page.text
    assert "disk is full" in page.text
    history = next(row for row in page.root.all("tr") if str(action_id) in row.text)
    assert [" ".join(cell.text.split()) for cell in history.all("td")][1:2] == ["create"]
    assert "9" in [cell.text for cell in history.all("td")]


def test_second_form_says_what_is_under_way(server, browser, board, name):
    server.running(name)
    page = browser.get(f"/deployments/{name}")
    gate = board.hold(name, "archive")
    page.press("Move to archive")
    refused = page.press("Move to archive")
    assert refused.status in (409, 412)
    assert "archive" in refused.alert
    board.wait_for_call(name, "archive")
    gate.open()
    server.settled(name, "Archived")
    assert len(board.calls(name, "archive")) == 1


def test_form_of_an_older_version_is_shown_as_a_conflict_and_loses_nothing(server, browser, board, name):
    server.running(name)
    form = (
        browser.get(f"/deployments/{name}/edit")
        .form.set("application", "MINE", "typed")
        .set("deployment", "size", "huge")
    )
    server.act(name, "update", application={"set": {"THEIRS": "1"}})
    server.settled(name, "Running")
    page = form.submit()
    assert page.status == 412
    assert "changed meanwhile" in page.alert
    assert page.form.rows("application")["MINE"] == "typed"
    assert page.form.rows("deployment")["size"] == "huge"
    assert server.deployment(name)["application_overrides"] == {"THEIRS": "1"}
    assert len(board.calls(name, "update")) == 1
    assert page.form.submit().status == 200, "who was told may save it all the same"
    assert server.settled(name, "Running")["application_overrides"] == {"MINE": "typed"}


def test_button_of_an_older_version_is_shown_as_a_conflict(server, browser, board, name):
    server.running(name)
    page = browser.get(f"/deployments/{name}")
    server.act(name, "update", application={"set": {"A": "1"}})
    server.settled(name, "Running")
    refused = page.press("Move to archive")
    assert refused.status == 412
    assert "changed meanwhile" in refused.alert
    assert refused.heading == name
    assert board.calls(name, "archive") == []


def test_what_config_check_says_is_shown_with_the_form(server, browser, board, name):
    board.write(name, "config_check", "printf 'No such tag\nTry v1\n'; exit 1")
    page = browser.get("/new").form.fill("name", name).set("deployment", "image.tag", "v9").submit()
    assert page.status == 422
    assert "No such tag\nTry v1" in page.alert
    assert page.form.rows("deployment")["image.tag"] == "v9"


# --- logs and errors


def test_logs_are_shown_to_admins(server, browser, board, name):
    board.write(name, "create", "echo to stdout; echo to stderr >&2")
    action_id = server.create(name).json()["action"]["id"]
    server.finished(action_id)
    page = browser.get(f"/deployments/{name}").follow(str(action_id))
    assert page.heading == f"Create of {name}"
    assert [pre.text for pre in page.root.all("pre")] == ["to stdout\n", "to stderr\n"]
    assert page.follow(name).heading == name


def test_logs_are_not_shown_to_users(new_server):
    server = new_server(UI_BASIC_AUTH="rita:pass", UI_ADMIN_BASIC_AUTH="ada:pass").start()
    rita, ada = (Browser(server.url, (user, "pass")) for user in ("rita", "ada"))
    rita.get("/new").form.fill("name", "quiet").submit()
    page = shown(rita, "quiet", "Running")
    assert "asked for by" not in page.text and "rita" in page.text
    [number] = [text for text in shown(ada, "quiet", "Running").links if text.isdecimal()]
    assert number not in page.links
    refused = rita.get(f"/actions/{number}")
    assert refused.status == 403
    assert "needs the admin role" in refused.alert
    assert ada.get(f"/actions/{number}").status == 200


@pytest.mark.parametrize(
    "path", ["/no-such-page", "/deployments/no-such-one", "/deployments/no-such-one/edit", "/actions/999999999"]
)
def test_what_is_not_there_is_said_on_a_page(browser, path):
    page = browser.get(path)
    assert page.status == 404
    assert page.alert
    assert page.follow("All deployments").path == "/deployments"


def test_pages_need_no_scripts_and_nothing_from_elsewhere(server, browser, name):
    server.running(name)
    for path in ("/deployments", f"/deployments/{name}", f"/deployments/{name}/edit", "/new", "/docs", "/nope"):
        page = browser.get(path)
        loaded = [found.get("src") or found.get("href") for found in page.root.all("link", "img", "script", "iframe")]
        assert all(address and address.startswith("/static/") for address in loaded)
        for element in page.root.all():
            assert not [name for name in element.attributes if name.startswith("on") or name == "style"]
        assert all(form.element.get("action") and form.element.get("method") for form in page.forms)
        assert "charset" in next(page.root.all("meta")).attributes
        assert next(page.root.all("title")).text.strip()


def test_fields_of_the_form_have_labels(browser):
    page = browser.get("/new")
    labelled = {id(field) for label in page.root.all("label") for field in label.all()}
    for field in page.root.all("input", "textarea", "select"):
        assert field.get("type") == "hidden" or id(field) in labelled or field.get("aria-label"), field.attributes


# --- hostile content

EVIL = "</pre></textarea></td><script>alert(1)</script><img src=x onerror=alert(1)>\"'"


def test_whatever_scripts_and_people_write_is_shown_as_text(server, browser, board, name):
    board.write(name, "create", f"cat <<'END'\n{EVIL}\nEND\ncat >&2 <<'END'\n{EVIL}\nEND\nexit 1")
    board.write(name, "check", f"cat <<'END'\n{EVIL}\nEND\nexit 1")
    board.write(name, "info", f'cat <<\'END\'\n"<b>link</b>","https://x/""{EVIL.replace(chr(34), "")}"\nEND')
    board.write(name, "config_check", "exit 0")
    action_id = server.create(name, {EVIL.replace("=", ":"): EVIL, "GREETING": EVIL}).json()["action"]["id"]
    server.finished(action_id)
    board.write(name, "config_check", f"cat <<'END'\n{EVIL}\nEND\nexit 1")
    pages = [
        browser.get(f"/deployments?q={name}"),
        browser.get(f"/deployments/{name}"),
        browser.get(f"/deployments/{name}/edit"),
        browser.get(f"/actions/{action_id}"),
        browser.get(f"/deployments/{name}/edit").form.submit(),
        browser.get("/deployments", params={"q": EVIL}),
        browser.get("/new").form.fill("name", EVIL).set("application", "x", EVIL).submit(),
    ]
    for page in pages:
        assert list(page.root.all("script", "img", "b")) == [], page.address
    assert EVIL in pages[3].root.text
    assert pages[2].form.rows("application")["GREETING"] == EVIL
    assert pages[4].status == 422
    assert EVIL in pages[4].root.text
    assert pages[5].forms[0].values("q") == [EVIL]
    assert pages[6].form.values("name") == [EVIL]


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "//evil", "vbscript:x", "file:///etc"],
)  # fmt: skip
def test_link_that_is_none_cannot_be_followed(server, browser, board, name, url):
    board.write(name, "info", f"cat <<'END'\nclick me,\"{url}\"\nfine,https://example.org/\nEND")
    server.running(name)
    for page in (browser.get(f"/deployments/{name}"), browser.get(f"/deployments?q={name}")):
        assert "click me" in page.text
        assert "click me" not in page.links
        assert page.links["fine"] == "https://example.org/"
        [fine] = [link for link in page.root.all("a") if link.text == "fine"]
        assert "noopener" in fine["rel"]


# --- the templates themselves


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_template_says_first_what_it_needs(template: Path):
    first = template.read_text().partition("\n")[0]
    if template.name == "base.html":
        assert first == "<!doctype html>"
    else:
        assert re.fullmatch(r"\{# Needs: .+\. #\}", first), first


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_template_escapes_everything_and_scripts_nothing(template: Path):
    text = template.read_text()
    assert "|safe" not in text.replace(" ", "")
    assert "autoescape" not in text
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", text)
