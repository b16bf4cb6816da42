"""What holds for every page and every template: sound documents, nothing but text from scripts and people, no code in them."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, Element, Page, parse
from conftest import ROOT, SUITE, clean_environment, numbers

from octopod.schemas import ROWS

TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
PARTIALS = [path for path in TEMPLATES if path.name.startswith("_")]
# A partial is one element with one id, named like its file. These are not:
OTHER_IDS = {
    "deployments/_row.html": ["deployment-…"],  # one of many
    "deployments/_gone.html": ["deployment", "live"],  # takes the place of both
    "actions/_row.html": ["action-…"],
    "actions/_rows.html": ["actions"],
    "actions/_log.html": ["log-…"],  # one of two
    "_toast.html": [None],  # is put beside others
}
REFERENCES = ("aria-describedby", "aria-labelledby", "for", "list", "form")
EVIL = "</pre></textarea></td></template><script>alert(1)</script><img src=x onerror=alert(1)><b>\"'{{ 7*7 }}"


@pytest.fixture
def browser(server) -> Browser:
    return Browser(server.url)


@pytest.fixture(scope="module")
def every_page(server) -> Iterator[list[Page]]:
    """Every kind of page there is, with something on it."""
    browser, board, name = Browser(server.url), server.board, "every-page"
    board.write(name, "create", "echo output; echo error >&2; exit 1")
    board.write(name, "check", "exit 1")
    overrides = {"A": "1", "B": "2", "C": "3", "D": "4", "GREETING": "changed", "API_TOKEN": None, "GONE": None}
    action_id = server.create(name, overrides, {"image.pull": "always"}).json()["action"]["id"]
    server.finished(action_id)
    faulty = browser.get(f"/deployments/{name}/edit").form.add("application", "A", "").add("deployment", "", "x").look()
    stale = browser.get(f"/deployments/{name}/edit").form
    server.finished(server.act(name, "update", application={"set": {"A": "2"}}).json()["id"])
    server.archived(f"{name}-a")
    paths = [
        "/deployments",
        f"/deployments?q={name}&status=GenericFailure",
        "/deployments?q=nothing-is-named-so",
        "/deployments?limit=1&archived=all",
        f"/deployments/{name}",
        f"/deployments/{name}-a",
        f"/deployments/{name}/edit",
        *(f"/deployments/{name}/confirm/{kind}" for kind in ("archive", "cleanup", "delete")),
        "/new",
        "/actions",
        f"/actions?deployment={name}&limit=1",
        f"/actions/{action_id}",
        "/docs",
        "/no-such-page",
        "/deployments/no-such-one",
        "/deployments?status=nonsense",
    ]
    refused = browser.get("/new").form.fill("name", "-").add("application", "a=b", "1").submit("Create")
    yield [browser.get(path) for path in paths] + [faulty.page, stale.submit("Save"), refused]
    server.forget(name)


def owns_no_code(page: Page) -> None:
    """Nothing on the page is code, or comes from elsewhere."""
    for element in page.root.all():
        assert not [name for name in element.attributes if name.startswith("on") or name == "style"], page.address
    for script in page.root.all("script"):
        assert script["src"].startswith("/static/") and not script.text
    assert not list(page.root.all("style", "iframe", "object", "embed", "base"))


def test_pages_are_sound(every_page, browser):
    for page in every_page:
        ids = [element["id"] for element in page.root.all() if element.get("id") is not None]
        assert len(set(ids)) == len(ids), f"{page.address}: {sorted(ids)}"
        assert all(re.fullmatch(r"[a-zA-Z][\w-]*", id) for id in ids) or page.path == "/docs", ids
        for element in page.root.all():
            named = [word for reference in REFERENCES for word in (element.get(reference) or "").split()]
            assert set(named) <= set(ids), f"{page.address}: {element.attributes}"
        assert len(list(page.root.all("h1"))) == len(list(page.root.all("main"))) == 1
        assert page.root.texts("title")[0].endswith("– Octopod")
        assert next(page.root.all("html"))["lang"] == "en"
        assert "charset" in next(page.root.all("meta")).attributes
    titles = {page.path: page.root.texts("title")[0] for page in every_page}
    assert len(set(titles.values())) >= 7, "pages can be told apart by their titles"


def test_pages_need_no_scripts_and_nothing_from_elsewhere(every_page, browser):
    loaded = set()
    for page in every_page:
        owns_no_code(page)
        for form in page.root.all("form"):
            assert form.get("method") == "dialog" or (form.get("action") and form.get("method"))
        loaded |= {
            found.get("src") or found.get("href") or "" for found in page.root.all("link", "img", "script", "use")
        }
    assert all(address.startswith("/static/") for address in loaded)
    for address in sorted(loaded):
        path, _, symbol = address.partition("#")
        answer = browser.http.get(browser.url + path, timeout=30)
        assert answer.status_code == 200, address
        assert not symbol or f'id="{symbol}"' in answer.text, address


def test_everything_on_the_pages_can_be_told_by_its_name(every_page):
    """Without looking: fields, buttons, links, tables, pictures."""
    for page in every_page:
        labelled = {label["for"] for label in page.root.all("label") if label.get("for")}
        inside = {id(field) for label in page.root.all("label") for field in label.all("input")}
        for field in page.root.all("input", "textarea", "select"):
            named = field.get("aria-label") or field.get("id") in labelled or id(field) in inside
            assert named or field.get("type") == "hidden", f"{page.address}: {field.attributes}"
        for found in page.root.all("button", "a", "summary"):
            assert found.label, f"{page.address}: {found.attributes}"
        for table in page.root.all("table"):
            assert table.get("aria-label")
            assert all(head.words and head["scope"] == "col" for head in table.all("th"))
        assert all(image.get("alt") is not None for image in page.root.all("img"))
        assert all(symbol["aria-hidden"] == "true" for symbol in page.root.all("svg"))


@pytest.mark.parametrize(
    "path",
    [
        "/no-such-page",
        "/deployments/no-such-one",
        "/deployments/no-such-one/edit",
        "/deployments/no-such-one/confirm/archive",
        "/actions/999999999",
        "/actions/0",
    ],
)
def test_what_is_not_there_is_said_on_a_page(browser, path):
    page = browser.get(path)
    assert page.status == 404
    assert page.alert
    assert page.follow("All deployments").path == "/deployments"


@pytest.mark.parametrize("path", ["edit", "actions", "check", "delete"])
def test_what_is_not_there_cannot_be_changed(browser, path):
    page = browser.post(f"/deployments/no-such-one/{path}", [("kind", "archive"), ("typed", "no-such-one")])
    assert page.status == 404
    assert "no deployment named 'no-such-one'" in page.alert


# --- hostile content


def test_whatever_scripts_and_people_write_is_shown_as_text(server, browser, board, name):
    said = f"cat <<'END'\n{EVIL}\nEND\ncat >&2 <<'END'\n{EVIL}\nEND\n"
    for script in ("create", "check"):
        board.write(name, script, f"{said}exit 1")
    quoted = EVIL.replace('"', '""')
    board.write(name, "info", f'cat <<\'END\'\n"{quoted}","https://x/{quoted}"\n"{quoted}","{quoted}"\nEND')
    evil_key = EVIL.replace("=", ":").replace(".", ":")
    overrides = {evil_key: EVIL, "GREETING": EVIL, "NESTED.x": EVIL, f"NESTED.{evil_key}": "1"}
    action_id = server.create(name, overrides, {evil_key: EVIL}).json()["action"]["id"]
    server.finished(action_id)
    board.write(name, "update", f"{said}exit 1")
    server.finished(server.act(name, "update", application={"set": {"GREETING": f"{EVIL}2"}, "unset": []}).json()["id"])
    page = browser.get(f"/deployments/{name}").press("Check now")
    assert page.status == 200
    board.write(name, "config_check", f"{said}exit 1")
    edit = browser.get(f"/deployments/{name}/edit")
    look = browser.get(f"/deployments/{name}/edit").form.set("application", "GREETING", f"{EVIL}3")
    stale = browser.get(f"/deployments/{name}/edit").form
    refused = edit.form.submit("Save")
    board.clear(name, "config_check")
    server.finished(server.act(name, "update", deployment={"set": {f"{evil_key}2": EVIL}}).json()["id"])
    shown = {
        "list": browser.get(f"/deployments?q={name}"),
        "found": browser.get("/deployments", params={"q": EVIL}),
        "similar": browser.get("/deployments", params={"q": EVIL.replace("alert", "aelrt")[:200]}),
        "page": browser.get(f"/deployments/{name}"),
        "log": browser.get(f"/actions/{action_id}"),
        "history": browser.get(f"/actions?deployment={name}"),
        "nobody's history": browser.get("/actions", params={"deployment": EVIL}),
        "edit": edit,
        "look": look.look().page,
        "refused": refused,
        "meanwhile": stale.submit("Save"),
        "new": browser.get("/new").form.fill("name", EVIL).add("application", f"{evil_key}=", EVIL).submit("Create"),
        "not there": browser.get("/deployments/%3Cb%3E"),
        "no such kind": browser.get("/deployments", params={"status": EVIL}),
    }
    for label, page in shown.items():
        assert "49" not in page.text.split(), label
        assert list(page.root.all("b")) == [], label
        assert [image["src"].partition("?")[0] for image in page.root.all("img")] == ["/static/icon.svg"], label
        owns_no_code(page)
    for label in (
        "list",
        "found",
        "page",
        "log",
        "history",
        "edit",
        "look",
        "refused",
        "meanwhile",
        "nobody's history",
    ):
        assert EVIL in shown[label].root.text, label
    assert shown["edit"].form.rows("application")["GREETING"] == f"{EVIL}2"
    assert shown["edit"].form.rows("application")[evil_key] == EVIL
    assert shown["look"].form.changes == [f"GREETING {EVIL}2 → {EVIL}3"]
    assert shown["refused"].status == 422 and EVIL in shown["refused"].alert
    assert shown["meanwhile"].status == 412 and f"{evil_key}2 default → {EVIL}" in shown["meanwhile"].alert
    assert shown["found"].forms[0].values("q") == [EVIL]
    assert set(EVIL.split()) <= set(shown["found"].row(name).texts("mark"))
    assert shown["new"].form.values("name") == [EVIL]
    assert shown["page"].config[f"NESTED.{evil_key}"] == ("1", "custom")
    assert shown["page"].links[EVIL] == f"https://x/{EVIL}"
    assert {pre.text for pre in shown["log"].root.all("pre")} == {f"{EVIL}\n"}
    assert "<b>" in shown["not there"].alert


BAD_LINKS = [
    "javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x",
    "//evil.example", "vbscript:x", "file:///etc/passwd", "\x01javascript:alert(1)", "ftp://example.org", "httpx://x", "",
]  # fmt: skip


def test_link_that_is_none_cannot_be_followed(server, browser, board, name):
    lines = [f'click me {number},"{url}"' for number, url in enumerate(BAD_LINKS)]
    good = ["fine,https://example.org/", "shouted,HTTPS://EXAMPLE.ORG/", "plain,http://example.org/"]
    board.write(name, "info", "cat <<'END'\n" + "\n".join(lines + good) + "\nEND")
    server.running(name)
    for page in (browser.get(f"/deployments/{name}"), browser.get(f"/deployments?q={name}")):
        for number, url in enumerate(BAD_LINKS):
            assert f"click me {number}: {' '.join(url.split())}".strip() in page.text
        assert not [text for text in page.links if "click me" in text]
        for label, address in (line.split(",") for line in good):
            [link] = [link for link in page.root.all("a") if link.words == label]
            assert link["href"] == address
            assert {"noopener", "noreferrer"} <= set(link["rel"].split())
        assert not [link["href"] for link in page.root.all("a") if not re.match(r"(?i)https?://|/|#", link["href"])]


# --- the templates themselves


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT / "templates"))


@pytest.mark.parametrize("template", TEMPLATES, ids=relative)
def test_template_says_first_what_it_needs(template: Path):
    first = template.read_text().partition("\n")[0]
    if template.name == "base.html":
        assert first == "<!doctype html>"
    else:
        assert re.fullmatch(r"\{# Needs: .+\. #\}", first), first


@pytest.mark.parametrize("template", TEMPLATES, ids=relative)
def test_template_escapes_everything_and_scripts_nothing(template: Path):
    text = re.sub(r"\{%.*?%\}", "", template.read_text())
    assert "|safe" not in text.replace(" ", "")
    assert "autoescape" not in text and "Markup" not in text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|\shx-on|\sjs:|hx-vals=|javascript:", text)


def elements(template: Path) -> Element:
    """What a template consists of, without its macros; every condition is met, every loop has one turn."""
    text = re.sub(r"(?s)\{% macro .*?%\}.*?endmacro -?%\}|\{#.*?#\}", "", template.read_text())
    text = re.sub(r"(?s)\{%.*?%\}", "", re.sub(r"(?s)\{\{.*?\}\}", "…", text))
    return parse(text)


@pytest.mark.parametrize("template", PARTIALS, ids=relative)
def test_partial_is_one_element_with_one_id_named_like_its_file(template: Path):
    roots = [child for child in elements(template).children if isinstance(child, Element)]
    named = template.stem.removeprefix("_")
    assert [root.get("id") for root in roots] == OTHER_IDS.get(relative(template), [named])


def test_every_exception_is_one():
    assert set(OTHER_IDS) <= set(map(relative, PARTIALS))


@pytest.mark.parametrize("template", TEMPLATES, ids=relative)
def test_form_of_a_template_works_without_htmx(template: Path):
    """Whatever asks by htmx asks the same address without it."""
    for element in elements(template).all():
        for verb in ("hx-get", "hx-post"):
            if element.get(verb):
                plain = [element.get(name) for name in ("action", "formaction", "href")]
                assert plain.count(element[verb]) == 1, element.attributes


# --- what pages cost


@pytest.fixture(scope="module")
def costs(database, new_database, scratch) -> dict[str, list[dict[str, int]]]:
    """Path to what the page costs for one deployment and for fifty."""
    directory = scratch / f"costs-{next(numbers)}"
    directory.mkdir()
    env = clean_environment() | {
        "BOARD": str(directory / "board"),
        "OCTOPOD_DATA_DIR": str(directory / "data"),
        "OCTOPOD_DATABASE_URL": new_database(database),
        "OCTOPOD_CONTROL_SCRIPTS": str(SUITE),
    }
    command = [sys.executable, str(ROOT / "tests/page_costs.py")]
    done = subprocess.run(command, env=env, cwd=directory, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    names = ("queries", "bytes", "rows")
    return {
        path: [dict(zip(names, one, strict=True)) for one in pair] for path, pair in json.loads(done.stdout).items()
    }


def test_every_page_needs_as_many_queries_for_one_deployment_as_for_fifty(costs):
    for path, (little, much) in costs.items():
        assert little["queries"] == much["queries"], path
        assert much["queries"] <= 8, path
        assert little["queries"] or path == "/new"
        assert (little["rows"], much["rows"]) == ((1, ROWS) if re.match(r"/deployments(\?|$)", path) else (0, 0))


def test_every_page_weighs_less_than_150_kb(costs):
    """Of a list of fifty, what it begins with: the others come when one scrolls, or asks for more."""
    weights = {path: much["bytes"] for path, (_, much) in costs.items()}
    assert max(weights.values()) < 150_000, weights
