"""What was done: the history of one deployment and of everything, and the logs of each action."""

import re

import pytest
from browser import Browser, Element, Page

from octopod import pages

MASK = "********"


@pytest.fixture
def browser(server) -> Browser:
    return Browser(server.url)


def changes_of(entry: Element) -> list[str]:
    """What an entry of the history says that it has changed."""
    lists = [part for part in entry.all("ul", class_="overrides") if part.parent and part.parent.tag != "details"]
    return [change for part in lists for change in part.texts("li")]


def entries(page: Page) -> list[dict[str, str]]:
    """The history page: each action's cells by their titles."""
    heads = page.root.texts("th")
    return [
        dict(zip(heads, row.texts("td"), strict=True)) for row in page.root.all("tr") if len(list(row.all("td"))) > 1
    ]


# --- of one deployment


def test_history_says_what_each_action_changed(server, browser, name):
    server.running(name, application={"A": "1", "B": "1", "API_TOKEN": "s3cret-1"})
    changes = {"set": {"A": "2", "GREETING": None, "NEW": "<b>", "API_TOKEN": "s3cret-2"}, "unset": ["B"]}
    server.act(name, "update", application=changes, deployment={"set": {"size": "big"}})
    server.settled(name, "Running")
    server.act(name, "archive")
    server.settled(name, "Archived")
    page = browser.get(f"/deployments/{name}")
    archive, update, create = page.history
    assert [entry.texts("strong") for entry in page.history] == [["Archive"], ["Update"], ["Create"]]
    assert "succeeded · local" in update.words
    assert re.search(r"took \d+\.\d s", update.words)
    assert sorted(changes_of(update)) == [
        "A 1 → 2",
        "API_TOKEN changed (hidden)",
        "B 1 → default",
        "GREETING default → removed",
        "NEW default → <b>",
        "size default → big",
    ]
    assert changes_of(archive) == changes_of(create) == []
    assert "s3cret" not in page.answer.text
    [then] = create.all("details")
    assert sorted(then.texts("li")) == ["A: 1", f"API_TOKEN: {MASK}", "B: 1"]


def test_history_of_a_deployment_has_the_newest_and_leads_to_all(server, browser, board, name):
    server.running(name)
    board.write(name, "update", "exit 1")
    for number in range(pages.HISTORY + 1):
        server.finished(server.act(name, "update", application={"set": {"N": str(number)}}).json()["id"])
    page = browser.get(f"/deployments/{name}")
    assert len(page.history) == pages.HISTORY
    last = page.history[-1]
    assert changes_of(last) == ["N 0 → 1"], "the one before is not shown, but is compared with"
    everything = page.follow("All")
    assert everything.heading == f"History of {name}"
    assert [entry["Action"].split()[0] for entry in entries(everything)] == ["Update"] * (pages.HISTORY + 1) + [
        "Create"
    ]


def test_history_does_not_repeat_what_is_long(server, browser, board, name):
    server.running(name, application={"LONG": "a" * 20_000})
    board.write(name, "update", "exit 1")
    for letter in "bcdef":
        changed = server.act(name, "update", application={"set": {"LONG": letter * 20_000}})
        server.finished(changed.json()["id"])
    assert len(browser.get(f"/deployments/{name}").answer.content) < 100_000


# --- of everything


def test_history_of_everything_has_what_was_removed_too(server, browser, board, name):
    board.write(name, "archive", "exit 3")
    server.running(name)
    action_id = server.act(name, "archive").json()["id"]
    failed = server.finished(action_id)
    board.clear(name, "archive")
    server.act(name, "archive")
    server.settled(name, "Archived")
    server.finished(server.act(name, "cleanup").json()["id"])
    page = browser.get("/").follow("History")
    assert (page.path, page.heading) == ("/actions", "History")
    mine = [entry for entry in entries(page) if entry["Deployment"] == name]
    assert [entry["Action"].split()[0] for entry in mine] == ["Cleanup", "Archive", "Archive", "Create"]
    assert mine[2]["Result"] == f"failed {failed['reason']}" and mine[1]["Result"] == "succeeded"
    assert {entry["Asked for by"] for entry in mine} == {"local"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", entry["When"]) for entry in mine)
    assert all(re.fullmatch(r"\d+\.\d s", entry["Took"]) for entry in mine)
    only = page.follow(name)
    assert only.heading == f"History of {name}"
    assert entries(only) == mine
    assert only.follow("Of all deployments").address == page.address
    [log] = [text for text, address in page.links.items() if address == f"/actions/{action_id}"]
    assert str(action_id) in log and page.follow(log).heading == f"Archive of {name}"


def test_history_is_filtered_by_its_address(server, browser, board, name):
    server.running(name)
    board.write(name, "update", "exit 1")
    server.finished(server.act(name, "update", application={}).json()["id"])
    between = server.finished(server.act(name, "archive").json()["id"])["requested_at"]

    def kinds(**query: str) -> list[str]:
        page = browser.get("/actions", params={"deployment": name} | query)
        assert page.status == 200
        return [entry["Action"].split()[0] for entry in entries(page)]

    assert kinds() == ["Archive", "Update", "Create"]
    assert kinds(kind="update") == kinds(state="failed") == ["Update"]
    assert kinds(kind="create", state="failed") == []
    assert kinds(since=between) == ["Archive"]
    assert kinds(kind="", state="", since="", cursor="") == ["Archive", "Update", "Create"], "forms send blank fields"
    assert "Nothing has been done" in browser.get(f"/actions?deployment={name}&kind=restore").text
    for bad in ("kind=nonsense", "state=nonsense", "since=yesterday", "limit=0", "cursor=nonsense"):
        page = browser.get(f"/actions?{bad}")
        assert page.status == 422 and page.alert


def collected(browser: Browser, address: str) -> list[dict[str, str]]:
    """What the pages of a history have that has one entry per page."""
    page = browser.get(f"{address}&limit=1")
    found = entries(page)
    assert len(found) == 1
    while "More" in page.links:
        page = page.follow("More")
        found += entries(page)
    return found


def test_history_leads_to_its_next_page(server, browser, name):
    server.running(name)
    for number in "12":
        server.act(name, "update", application={"set": {"N": number}})
        server.settled(name, "Running")
    for query, count in {"": 3, "&kind=update": 2, "&state=succeeded": 3}.items():
        address = f"/actions?deployment={name}{query}"
        everything = entries(browser.get(address))
        assert len(everything) == count
        assert collected(browser, address) == everything


def test_next_page_of_the_history_is_not_older_than_asked_for(server, browser, name):
    server.running(name)
    since = server.act(name, "update", application={"set": {"N": "1"}}).json()["requested_at"]
    server.settled(name, "Running")
    server.act(name, "archive")
    server.settled(name, "Archived")
    found = collected(browser, f"/actions?deployment={name}&since={since}")
    assert [entry["Action"].split()[0] for entry in found] == ["Archive", "Update"]


# --- logs


def test_logs_are_shown_with_what_scripts_wrote(server, browser, board, name):
    board.write(name, "create", "echo to stdout; echo to stderr >&2")
    action_id = server.create(name).json()["action"]["id"]
    server.finished(action_id)
    page = browser.get(f"/deployments/{name}").follow(f"Log of create {action_id}")
    assert page.heading == f"Create of {name}"
    assert "succeeded" in page.text and "asked for by local" in page.text and "exit code 0" in page.text
    assert {pre["id"]: pre.text for pre in page.root.all("pre")} == {
        "log-stdout": "to stdout\n",
        "log-stderr": "to stderr\n",
    }
    assert "the end of it" not in page.text
    assert not page.reloads
    assert page.follow(name).heading == name


def test_log_of_a_running_action_is_what_there_is_so_far(server, browser, board, name):
    gate = board.hold(name, "create", "echo more")
    board.write(name, "create", f"echo begun; read -r _ <{gate.path}; echo more")
    action_id = server.create(name).json()["action"]["id"]
    gate.reached()
    page = browser.get(f"/deployments/{name}").follow("watch the log")
    assert page.path == f"/actions/{action_id}"
    assert [pre.text for pre in page.root.all("pre", id="log-stdout")] == ["begun\n"]
    assert page.buttons == ["Cancel create"]
    assert page.reloads
    gate.open()
    server.finished(action_id)
    assert [pre.text for pre in browser.get(page.path).root.all("pre", id="log-stdout")] == ["begun\nmore\n"]


def test_page_of_a_long_log_has_its_end_and_leads_to_all_of_it(server, browser, board, name):
    board.write(name, "create", "echo short >&2; seq -f 'line %06.0f of many' 1 20000")
    action_id = server.create(name).json()["action"]["id"]
    server.finished(action_id)
    page = browser.get(f"/actions/{action_id}")
    [tail] = [pre.text for pre in page.root.all("pre", id="log-stdout")]
    lines = tail.splitlines()
    assert 1000 < len(lines) < 20000
    assert lines == [f"line {number:06} of many" for number in range(20001 - len(lines), 20001)], "whole lines only"
    assert len(page.answer.content) < 150_000
    assert page.text.count("the end of it") == 1, "the other stream is shown whole"
    [link] = [link["href"] for link in page.root.all("a") if link["href"].endswith("stream=stdout")]
    everything = browser.http.get(browser.url + link, timeout=30).text
    assert everything == "".join(f"line {number:06} of many\n" for number in range(1, 20001))
