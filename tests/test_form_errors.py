"""What is wrong with a form, said where it is wrong; and forms that no page of ours has."""

import pytest
from browser import Browser, Form

MASK = "********"
LEVELS = ["deployment", "application"]
NAME_RULE = "must be 2 to 16 characters: small letters, digits and hyphens"


@pytest.fixture
def browser(server) -> Browser:
    return Browser(server.url)


@pytest.fixture
def new(browser) -> Form:
    return browser.get("/new").form


# --- rows


BAD_ROWS = {
    "empty segment": ("a..b", "1", "empty segment"),
    "control character": ("a\x07b", "1", "control character"),
    "equals sign": ("a=b", "1", "= in it"),
    "empty value": ("A.b", "", "the value is empty"),
    "hidden value that there is not": ("A", MASK, "none is stored"),
    "odd letters": ("<b>\"'.", "1", "empty segment"),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("bad", BAD_ROWS)
def test_what_is_wrong_with_a_row_is_said_beside_it(server, browser, name, level, bad):
    key, value, message = BAD_ROWS[bad]
    form = browser.get("/new").form.fill("name", name).add(level, "GOOD", "1").add(level, key, value)
    form.look()
    assert message in form.line(level, key).error
    assert [row.key for row in form.lines(level) if row.error] == [key]
    other = LEVELS[1 - LEVELS.index(level)]
    assert not [row for row in form.lines(other) if row.error]
    faulty = [field["name"] for field in form.element.all() if field.get("aria-invalid") == "true"]
    assert faulty == [f"{level}.value"]
    assert form.page.alert == "", "on top it is said only when it was to be saved"
    page = form.submit("Create")
    assert page.status == 422
    assert message in page.form.line(level, key).error and message in page.alert
    assert server.get(f"/deployments/{name}").status_code == 404
    page.form.click(f"Delete {key}").submit("Create")
    assert server.settled(name, "Running")[f"{level}_overrides"] == {"GOOD": "1"}


@pytest.mark.parametrize("level", LEVELS)
def test_value_without_a_key_is_an_error_of_its_level(server, browser, name, level):
    form = browser.get("/new").form.fill("name", name).add(level, " ", "typed").look()
    assert form.level(level).texts(role="alert") == ["the key is empty"]
    assert form.rows(level)[" "] == "typed"
    page = form.submit("Create")
    assert page.status == 422 and page.form.level(level).texts(role="alert") == ["the key is empty"]


def test_blank_rows_are_not_there(server, browser, name):
    form = browser.get("/new").form.fill("name", name).add("application", "", "").add("deployment", " ", "")
    assert form.submit("Create").path == f"/deployments/{name}"
    deployment = server.settled(name, "Running")
    assert deployment["application_overrides"] == deployment["deployment_overrides"] == {}


@pytest.mark.parametrize("twice", ["X", "GREETING"])
def test_key_that_is_there_twice_is_said_beside_its_rows(server, browser, name, twice):
    form = browser.get("/new").form.fill("name", name).set("application", "GREETING", "0")
    form.add("application", "X", "1").add("application", twice, "2").look()
    rows = [row for row in form.lines("application") if row.key == twice]
    assert {row.value for row in rows} == {"1" if twice == "X" else "0", "2"}
    assert all(row.error == "the key is there twice" for row in rows)


def test_emptied_default_is_an_error_that_says_what_to_do(server, browser, name):
    form = browser.get("/new").form.fill("name", name).set("application", "GREETING", "").look()
    [row] = [row for row in form.lines("application") if row.key == "GREETING" and row.value == ""]
    assert row.error == "the value is empty; to take a default away, remove the key instead"
    assert form.submit("Create").status == 422


def test_emptied_default_stays_where_it_is(new):
    before = [row.key for row in new.lines("application")]
    new.set("application", "GREETING", "").look()
    assert [row.key for row in new.lines("application")] == before
    new.click("Undo the change of GREETING")
    assert new.rows("application")["GREETING"] == "hello"


# --- names


BAD_NAMES = ["A", "Aa", "a", "1a", "-a", "a-", "a" * 17, "a_b", "a.b", "a b", "../x", "größe", "ａｂ"]


@pytest.mark.parametrize("bad", BAD_NAMES)
def test_bad_name_is_said_beside_the_field(server, new, bad):
    new.fill("name", bad)
    assert new.refused == ["name"], "a browser does not even send it"
    for page in (new.look().page, new.submit("Create")):
        [field] = page.root.all("input", name="name")
        assert NAME_RULE in page.description(field)
        assert field["aria-invalid"] == "true"
        assert page.form.values("name") == [bad]
    assert page.status == 422 and NAME_RULE in page.alert


@pytest.mark.parametrize("good", ["ab", "a" * 16, "a-b", "a1", "a--1"])
def test_good_name_is_not_complained_about(new, good):
    assert new.refused == ["name"], "a name is needed"
    new.fill("name", good)
    assert new.refused == []
    [field] = new.look().page.root.all("input", name="name")
    assert field.get("aria-invalid") is None
    assert "must be" not in new.page.description(field)


def test_name_is_not_complained_about_before_it_is_typed(new):
    new.add("application", "", "")
    [field] = new.page.root.all("input", name="name")
    assert field.get("aria-invalid") is None
    assert new.submit("Create").status == 422


def test_taken_name_is_said_beside_the_field(server, browser, name):
    server.running(name)
    form = browser.get("/new").form.fill("name", f" {name} ").add("application", "X", "typed").look()
    for page in (form.page, form.submit("Create")):
        [field] = page.root.all("input", name="name")
        assert "this name is taken" in page.description(field)
        assert page.form.rows("application")["X"] == "typed"
    assert page.status == 409
    assert f"There is already a deployment named {name}" in page.alert


# --- the whole


def test_what_config_check_says_is_on_top_of_the_form(server, browser, board, name):
    board.write(name, "config_check", "printf 'No <b>such</b> tag\nTry v1\n'; exit 1")
    form = browser.get("/new").form.fill("name", name).set("deployment", "image.tag", "v9").add("application", "X", "1")
    page = form.submit("Create")
    assert page.status == 422
    assert page.alert == "No <b>such</b> tag\nTry v1"
    assert page.form.values("name") == [name]
    assert page.form.rows("deployment")["image.tag"] == "v9" and page.form.rows("application")["X"] == "1"
    board.clear(name, "config_check")
    page.form.submit("Create")
    server.settled(name, "Running")
    board.write(name, "config_check", "echo no >&2; exit 1")
    page = browser.get(f"/deployments/{name}/edit").form.set("application", "X", "2").submit("Save")
    assert (page.status, page.alert) == (422, "no")
    assert page.form.rows("application")["X"] == "2"
    assert server.deployment(name)["version"] == 1


@pytest.mark.parametrize(
    "pressed",
    ["nonsense", "application", "application.", "application.explode.0", "secret.add", "application.remove.x",
     "application.remove.-1", "application.remove.99", "application.undo.2", "application.remove.²"],
)  # fmt: skip
def test_button_that_no_form_has_is_refused_with_a_page(server, browser, new, pressed):
    page = browser.post("/new", [*new.data(), ("do", pressed)])
    assert page.status == 422
    assert "The form has no" in page.alert


@pytest.mark.parametrize("column", ["key", "value", "default", "origin"])
def test_form_with_half_a_row_is_refused_with_a_page(server, browser, new, column):
    data = new.data()
    data.remove(next(pair for pair in data if pair[0] == f"application.{column}"))
    for path in ("/new", "/deployments"):
        page = browser.post(path, data)
        assert page.status == 422 and "Each row of the form needs" in page.alert
