"""The form of a configuration without JavaScript: rows and their buttons, errors, defaults that depend, what will change."""

from collections.abc import Callable, Iterator

import pytest
from browser import Browser, Form
from conftest import Server, eventually, numbers

MASK = "********"
LEVELS = ["deployment", "application"]
# Of each level: a key with a default, that, and a secret with a default.
KNOWN = {"deployment": ("size", "small", "registry.password"), "application": ("GREETING", "hello", "API_TOKEN")}
# What depends on the deployment configuration: other defaults and suggestions for v2, none for a tag that there is not.
APPLICATION_CONFIG = r"""
case " $* " in
  *" image.tag=v2 "*) printf '%s\n' GREETING,hi API_TOKEN,second-token NEW,thing ;;
  *" image.tag=lines "*) printf 'TEXT,"one\ntwo"\r\nTOKEN,"three\nfour"\nCARRIAGE,"five\r\nsix"\n' ;;
  *" image.tag=none "*) ;;
  *" image.tag=broken "*) echo 'there is no <b>such</b> tag' >&2; exit 4 ;;
  *) printf '%s\n' GREETING,hello API_TOKEN,first-token ;;
esac"""
APPLICATION_KEYS = r"""
case " $* " in
  *" image.tag=v2 "*) printf '%s\n' NEW LATER ;;
  *) printf '%s\n' GREETING DEBUG API_TOKEN '<b>"odd"' ;;
esac"""


@pytest.fixture(scope="module")
def server(database: str, new_database: Callable[[str], str], scratch) -> Iterator[Server]:
    """A server whose application defaults depend on the deployment configuration."""
    directory = scratch / f"server-forms-{next(numbers)}"
    directory.mkdir()
    server = Server(directory, new_database(database))
    server.board.write("_", "deployment_config", "printf '%s\\n' image.tag,v1 size,small registry.password,geheim")
    server.board.write("_", "deployment_config_keys", "printf '%s\\n' region size zone")
    server.board.write("_", "application_config", APPLICATION_CONFIG)
    server.board.write("_", "application_config_keys", APPLICATION_KEYS)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def browser(server) -> Browser:
    return Browser(server.url)


@pytest.fixture
def new(browser) -> Form:
    return browser.get("/new").form


def focused(form: Form) -> list[tuple[str, str]]:
    """The fields that somebody could go on typing into: name and value."""
    return [(found["name"], found["value"]) for found in form.page.root.all() if "autofocus" in found.attributes]


# --- rows and their buttons


def test_form_begins_with_the_defaults_and_nothing_else(new):
    assert new.rows("deployment") == {"image.tag": "v1", "size": "small", "registry.password": MASK}
    assert new.rows("application") == {"GREETING": "hello", "API_TOKEN": MASK}
    for level in LEVELS:
        assert set(new.origins(level).values()) == {"default"}
    assert list(new.element.all("input", type="checkbox")) == []
    assert focused(new) == [("name", "")]
    [name] = new.page.root.all("input", name="name")
    assert "2 to 16 small letters" in new.page.description(name)
    assert new.page.alert == "" and new.changes == []


@pytest.mark.parametrize("level", LEVELS)
def test_default_can_be_changed_and_the_change_undone(server, browser, name, level):
    key, default, secret = KNOWN[level]
    form = browser.get("/new").form
    assert form.line(level, key).button == f"Take {key} away"
    form.set(level, key, "typed").set(level, secret, "typed too").look()
    assert form.line(level, key) == (key, "typed", "changed", default, "", f"Undo the change of {key}")
    assert form.line(level, secret) == (secret, "typed too", "changed", MASK, "", f"Undo the change of {secret}")
    form.click(f"Undo the change of {key}")
    assert form.line(level, key) == (key, default, "default", "", "", f"Take {key} away")
    assert form.origins(level)[secret] == "changed", "the others stay as they are"
    form.click(f"Undo the change of {secret}")
    assert form.line(level, secret) == (secret, MASK, "default", "", "", f"Take {secret} away")
    form.set(level, key, "typed").look().set(level, key, default).look()
    assert form.origins(level)[key] == "default", "who types the default has it"


@pytest.mark.parametrize("level", LEVELS)
def test_default_can_be_taken_away_and_brought_back(server, board, browser, name, level):
    key, default, secret = KNOWN[level]
    form = browser.get("/new").form.fill("name", name)
    form.click(f"Take {key} away").set(level, secret, "typed").click(f"Take {secret} away")
    assert form.line(level, key) == (key, default, "removed", "", "", f"Bring {key} back")
    assert form.line(level, secret) == (secret, MASK, "removed", "", "", f"Bring {secret} back")
    with pytest.raises(AssertionError, match="nobody could type"):
        form.set(level, key, "typed")
    assert form.click(f"Bring {key} back").line(level, key).origin == "default"
    form.click(f"Take {key} away").submit("Create")
    arguments = board.wait_for_call(name, "create").arguments
    assert not [word for word in arguments if word.startswith((f"{key}=", f"{secret}="))]
    server.settled(name, "Running")
    form = browser.get(f"/deployments/{name}/edit").form
    assert form.origins(level)[key] == form.origins(level)[secret] == "removed"
    form.click(f"Bring {secret} back").click(f"Bring {key} back").submit("Save")
    assert f"{key}={default}" in board.wait_for_call(name, "update").arguments
    assert server.settled(name, "Running")[f"{level}_overrides"] == {}


@pytest.mark.parametrize("level", LEVELS)
def test_row_of_ones_own_can_be_added_and_deleted(server, browser, name, level):
    form = browser.get("/new").form.fill("name", name).add(level, "MINE", "1").add(level, "OTHER.word", "2")
    form.look()
    assert form.lines(level)[:2] == [
        ("MINE", "1", "custom", "", "", "Delete MINE"),
        ("OTHER.word", "2", "custom", "", "", "Delete OTHER.word"),
    ], "in the order of their making, before the defaults"
    assert focused(form) == []
    form.click("Delete MINE")
    assert "MINE" not in form.rows(level) and form.rows(level)["OTHER.word"] == "2"
    assert server.get(f"/deployments/{name}").status_code == 404, "nothing is stored by looking"
    form.submit("Create")
    assert server.settled(name, "Running")[f"{level}_overrides"] == {"OTHER.word": "2"}
    browser.get(f"/deployments/{name}/edit").form.click("Delete OTHER.word").submit("Save")
    assert server.settled(name, "Running")[f"{level}_overrides"] == {}


def test_new_row_is_blank_and_has_the_focus(new):
    new.add("application", "", "")
    assert new.lines("application")[0] == ("", "", "custom", "", "", "Delete this row")
    assert focused(new) == [("application.key", "")]
    assert new.page.alert == "" and new.page.status == 200
    new.click("Delete this row")
    assert "" not in new.rows("application")


def test_new_row_has_the_focus_after_those_that_were_there(server, browser, name):
    server.running(name, application={"GONE": None, "A": "1"})
    form = browser.get(f"/deployments/{name}/edit").form.add("application", "", "")
    assert focused(form) == [("application.key", "")]


def test_new_row_has_the_focus_when_another_becomes_the_change_of_a_default(new):
    new.add("application", "GREETING", "x").add("application", "", "")
    assert focused(new) == [("application.key", "")]


@pytest.mark.parametrize("level", LEVELS)
def test_null_of_a_key_without_default_is_kept_until_it_is_undone(server, browser, name, level):
    server.running(name, **{level: {"GONE": None}})
    form = browser.get(f"/deployments/{name}/edit").form
    assert form.line(level, "GONE") == ("GONE", "", "removed", "", "", "Bring GONE back")
    form.submit("Save")
    assert server.settled(name, "Running")[f"{level}_overrides"] == {"GONE": None}
    form = browser.get(f"/deployments/{name}/edit").form.click("Bring GONE back")
    assert "GONE" not in form.rows(level)
    form.submit("Save")
    assert server.settled(name, "Running")[f"{level}_overrides"] == {}


def test_own_row_for_a_key_with_a_default_stays_where_it_was_typed_and_becomes_its_change(server, browser, name):
    form = browser.get("/new").form.fill("name", name).add("application", "GREETING", "mine").look()
    [row] = [row for row in form.lines("application") if row.key == "GREETING"]
    assert (row.value, row.origin) == ("mine", "custom")
    form.submit("Create")
    server.settled(name, "Running")
    form = browser.get(f"/deployments/{name}/edit").form
    assert [row for row in form.lines("application") if row.key == "GREETING"] == [
        ("GREETING", "mine", "changed", "hello", "", "Undo the change of GREETING")
    ]


def test_every_button_keeps_what_was_typed_everywhere(server, browser, name):
    server.running(name, application={"A": "1", "GONE": None, "API_TOKEN": "s3cret"}, deployment={"zone": "a"})
    for button in ("Delete A", "Bring GONE back", "Undo the change of API_TOKEN", "Take size away", "Delete zone", "Look at the changes"):  # fmt: skip
        form = browser.get(f"/deployments/{name}/edit").form
        form.add("application", "OWN_TOKEN", " <typed>\n& more ").set("application", "GREETING", "\ntyped ")
        form.set("deployment", "image.tag", "v9").add("deployment", "größe.x", "ü").click(button)
        assert form.rows("application")["OWN_TOKEN"] == " <typed>\n& more "
        assert form.rows("application")["GREETING"] == "\ntyped "
        assert form.rows("deployment")["image.tag"] == "v9"
        assert form.rows("deployment")["größe.x"] == "ü"
    assert server.deployment(name)["version"] == 1, "nothing is stored by looking"


def test_enter_saves(server, browser, name):
    """The first button of a form is what Enter presses; it must not be one of a row."""
    for path in ("/new", f"/deployments/{server.running(name)['name']}/edit"):
        first = browser.get(path).form.buttons[0]
        assert first.get("name") is None and first.get("formaction") is None


def test_form_leads_back_without_doing_anything(server, browser, name):
    server.running(name)
    assert browser.get(f"/deployments/{name}/edit").follow("Cancel").path == f"/deployments/{name}"
    assert browser.get("/new").follow("Cancel").path == "/deployments"
    assert server.deployment(name)["version"] == 1


# --- what is stored


def test_unchanged_form_changes_nothing(server, browser, board, name):
    overrides = {
        "API_TOKEN": "0verridden",
        "GREETING": None,
        "GONE": None,
        "HTML": '<b>"&amp;"</b>',
        "LINES": "\n\ntwo before, one after\n",
        "OWN_PASSWORD": "0wn",
        "SPACES": "  x ",
        "QUOTES'\"": "=",
    }
    server.running(name, application=overrides, deployment={"size": "big", "größe": "ü", "registry.password": None})
    for press in ("Save", "Look at the changes"):
        form = browser.get(f"/deployments/{name}/edit").form
        if press != "Save":
            assert form.look().changes == [] and "Nothing is changed yet" in form.page.text
        assert form.submit("Save").status == 200
        deployment = server.settled(name, "Running")
        assert deployment["application_overrides"] == overrides | {"API_TOKEN": MASK, "OWN_PASSWORD": MASK}
        assert deployment["deployment_overrides"] == {"size": "big", "größe": "ü", "registry.password": None}
        arguments = board.calls(name, "update")[-1].arguments
        assert {"API_TOKEN=0verridden", "OWN_PASSWORD=0wn"} <= set(arguments)


def test_unchanged_form_keeps_line_breaks_of_programs(server, browser, name):
    server.running(name, application={"PROGRAM": "one\r\ntwo"})
    browser.get(f"/deployments/{name}/edit").form.submit("Save")
    assert server.settled(name, "Running")["application_overrides"] == {"PROGRAM": "one\r\ntwo"}


def test_secret_is_masked_and_can_be_replaced_or_taken_away(server, browser, board, name):
    server.running(name, application={"API_TOKEN": "f1rst", "MY_KEY": "0wn"})
    form = browser.get(f"/deployments/{name}/edit").form
    assert form.line("application", "API_TOKEN")[:4] == ("API_TOKEN", MASK, "changed", MASK)
    assert form.rows("application")["MY_KEY"] == MASK
    assert not [secret for secret in ("f1rst", "0wn", "first-token", "geheim") if secret in form.page.answer.text]
    form.set("application", "API_TOKEN", "s3cond").submit("Save")
    assert {"API_TOKEN=s3cond", "MY_KEY=0wn"} <= set(board.wait_for_call(name, "update").arguments)
    page = browser.shown(name, "Running")
    assert page.config["API_TOKEN"] == (MASK, "changed")
    form = page.follow("Edit").form.click("Undo the change of API_TOKEN").click("Take API_TOKEN away")
    form.submit("Save")
    assert not [word for word in board.wait_for_call(name, "update", 2).arguments if word.startswith("API_TOKEN=")]
    form = browser.shown(name, "Running").follow("Edit").form.click("Bring API_TOKEN back")
    form.submit("Save")
    assert "API_TOKEN=first-token" in board.wait_for_call(name, "update", 3).arguments


def test_default_of_several_lines_stays_a_default(server, browser, board, name):
    form = browser.get("/new").form.fill("name", name).set("deployment", "image.tag", "lines").look()
    assert form.rows("application")["TEXT"] == "one\ntwo"
    assert set(form.look().origins("application").values()) == {"default"}
    form.submit("Create")
    assert server.settled(name, "Running")["application_overrides"] == {}
    arguments = board.wait_for_call(name, "create").arguments
    assert {"TEXT=one\ntwo", "CARRIAGE=five\r\nsix", "TOKEN=three\nfour"} <= set(arguments)


# --- suggestions and defaults


def test_suggestions_are_those_without_default_or_row(server, new):
    assert new.suggestions("deployment") == ["region", "zone"]
    assert new.suggestions("application") == ['<b>"odd"', "DEBUG"]
    for level in LEVELS:
        new.add(level, "x", "")
        [field] = [key for key in new.element.all("input", name=f"{level}.key") if key.get("type") != "hidden"]
        assert field["list"] == f"{level}-keys"
        assert [part["id"] for part in new.level(level).all("datalist")] == [f"{level}-keys"]
    new.add("application", "DEBUG", "1").add("deployment", "zone", "a").look()
    assert new.suggestions("application") == ['<b>"odd"']
    assert new.suggestions("deployment") == ["region"]
    new.set("deployment", "image.tag", "v2").look()
    assert new.suggestions("application") == ["LATER"]


def test_defaults_follow_the_deployment_configuration_and_nothing_typed_is_lost(server, browser, board, name):
    form = browser.get("/new").form.fill("name", name)
    form.set("application", "GREETING", "mine").add("application", "OWN", "1").click("Take API_TOKEN away")
    form.set("deployment", "image.tag", "v2").look()
    assert [row[:4] for row in form.lines("application")] == [
        ("OWN", "1", "custom", ""),
        ("GREETING", "mine", "changed", "hi"),
        ("API_TOKEN", MASK, "removed", ""),
        ("NEW", "thing", "default", ""),
    ]
    form.set("application", "NEW", "typed").set("deployment", "image.tag", "v1").look()
    assert [row[:4] for row in form.lines("application")] == [
        ("OWN", "1", "custom", ""),
        ("NEW", "typed", "custom", ""),
        ("GREETING", "mine", "changed", "hello"),
        ("API_TOKEN", MASK, "removed", ""),
    ]
    form.set("deployment", "image.tag", "none").look()
    assert {row.key: (row.value, row.origin) for row in form.lines("application")} == {
        "OWN": ("1", "custom"),
        "NEW": ("typed", "custom"),
        "GREETING": ("mine", "custom"),
        "API_TOKEN": ("", "removed"),
    }
    form.click("Undo the change of image.tag").set("application", "GREETING", "hello").submit("Create")
    deployment = server.settled(name, "Running")
    assert deployment["application_overrides"] == {"OWN": "1", "NEW": "typed", "API_TOKEN": None}
    assert deployment["deployment_overrides"] == {}


def test_untouched_defaults_go_with_the_configuration_they_came_from(server, browser, name):
    form = browser.get("/new").form.fill("name", name).set("deployment", "image.tag", "v2").look()
    assert form.rows("application") == {"GREETING": "hi", "API_TOKEN": MASK, "NEW": "thing"}
    form.set("deployment", "image.tag", "v1").submit("Create")
    deployment = server.settled(name, "Running")
    assert deployment["application_overrides"] == deployment["deployment_overrides"] == {}


def test_configuration_without_application_defaults_is_said_and_nothing_is_lost(server, browser, board, name):
    form = browser.get("/new").form.fill("name", name).set("application", "GREETING", "mine")
    form.set("deployment", "image.tag", "broken").look()
    [said] = form.level("application").texts("pre")
    assert said.startswith("There are no application defaults for this deployment configuration:")
    assert said.endswith("there is no <b>such</b> tag")
    assert form.level("deployment").texts("pre") == []
    assert form.rows("application") == {"GREETING": "mine"}
    page = form.submit("Create")
    assert page.status == 422 and "there is no <b>such</b> tag" in page.alert
    assert page.form.rows("application") == {"GREETING": "mine"}
    assert board.calls(name, "create") == []
    page.form.set("deployment", "image.tag", "v1").submit("Create")
    assert server.settled(name, "Running")["application_overrides"] == {"GREETING": "mine"}


BROKEN = "echo 'the <b>registry</b> is away' >&2; exit 7"


def test_missing_and_stale_defaults_are_said(new_server):
    server = new_server(CACHE_UPDATE_TIME="0.2")
    for script in ("deployment_config", "deployment_config_keys"):
        server.board.write("_", script, BROKEN)
    server.start()
    browser = Browser(server.url)
    form = browser.get("/new").form
    for level in LEVELS:
        [said] = form.level(level).texts("pre")
        assert "deployment_config failed: exit code 7 the <b>registry</b> is away" in said
        assert form.lines(level) == [] and form.suggestions(level) == []
    page = form.fill("name", "orange").add("application", "A", "1").add("deployment", "size", "big").submit("Create")
    assert page.status == 503 and "the <b>registry</b> is away" in page.alert
    assert page.form.rows("application") == {"A": "1"} and page.form.rows("deployment") == {"size": "big"}

    for script in ("deployment_config", "deployment_config_keys"):
        server.board.clear("_", script)
    form = page.form.look()
    assert (
        form.rows("deployment") == {"size": "big", "image.tag": "v1"} and form.origins("deployment")["size"] == "custom"
    )
    assert [part for level in LEVELS for part in form.level(level).texts("pre")] == []
    form.submit("Create")
    server.settled("orange", "Running")

    server.board.write("_", "application_config", BROKEN)
    stale = "These may be out of date: application_config failed: exit code 7 the <b>registry</b> is away"
    path = "/deployments/orange/edit"
    eventually(lambda: browser.get(path).form.level("application").texts("pre") == [stale], "stale defaults")
    form = browser.get(path).form
    assert form.level("deployment").texts("pre") == []
    assert form.rows("application") == {"A": "1", "GREETING": "hello", "API_TOKEN": MASK}, "they are used all the same"
    form.set("application", "A", "2").submit("Save")
    assert server.settled("orange", "Running")["application_overrides"] == {"A": "2"}

    server.stop()
    server.start()  # which has forgotten them
    page = browser.get("/deployments/orange")
    assert page.status == 200 and "the <b>registry</b> is away" in page.alert
    assert page.config == {"A": ("2", "custom"), "size": ("big", "custom")}, "what is known is shown"
    form = browser.get(path).form
    assert form.rows("application") == {"A": "2"}
    assert form.set("application", "A", "3").submit("Save").status in (422, 503)


# --- what will change


def test_form_says_what_it_will_change(server, browser, name):
    server.running(name, application={"A": "1", "B": "<b>", "GREETING": "mine"}, deployment={"zone": "a"})
    form = browser.get(f"/deployments/{name}/edit").form
    assert form.changes == [] and "Nothing is changed yet" in form.page.text
    form.set("application", "A", "2").add("application", "NEW", "n").click("Delete B")
    form.click("Undo the change of GREETING").click("Take size away").set("deployment", "zone", "b").look()
    assert sorted(form.changes) == [
        "A 1 → 2",
        "B <b> → not set",
        "GREETING mine → hello",
        "NEW not set → n",
        "size small → not set",
        "zone a → b",
    ]
    assert "Nothing is changed yet" not in form.page.text
    form.set("application", "A", "1").add("application", "B", "<b>").click("Delete NEW").click("Bring size back")
    form.set("application", "GREETING", "mine").set("deployment", "zone", "a").look()
    assert form.changes == []


def test_change_without_effect_is_none(server, browser, name):
    """What a script receives does not change, so there is nothing to tell."""
    server.running(name, application={"GONE": None, "API_TOKEN": "first-token"})
    form = browser.get(f"/deployments/{name}/edit").form
    form.click("Bring GONE back").click("Undo the change of API_TOKEN")
    assert form.changes == []


def test_defaults_that_change_with_the_deployment_configuration_are_among_the_changes(server, browser, board, name):
    server.running(name, application={"OWN": "1"})
    form = browser.get(f"/deployments/{name}/edit").form.set("deployment", "image.tag", "v2").look()
    assert form.changes == [
        "image.tag v1 → v2",
        "GREETING hello → hi",
        "API_TOKEN changed (hidden)",
        "NEW not set → thing",
    ]
    form.set("application", "GREETING", "hello").look()
    assert form.changes == ["image.tag v1 → v2", "API_TOKEN changed (hidden)", "NEW not set → thing"]
    form.submit("Save")
    arguments = board.wait_for_call(name, "update").arguments
    assert {"image.tag=v2", "GREETING=hello", "API_TOKEN=second-token", "NEW=thing", "OWN=1"} <= set(arguments)


def test_secrets_are_hidden_among_the_changes(server, browser, name):
    server.running(name, application={"API_TOKEN": "s3cret-1", "OLD_PASSWORD": "s3cret-2"})
    form = browser.get(f"/deployments/{name}/edit").form
    form.set("application", "API_TOKEN", "s3cret-3").add("application", "NEW_PASSWORD", "s3cret-4")
    form.click("Delete OLD_PASSWORD").click("Take registry.password away")
    assert sorted(form.changes) == [
        "API_TOKEN changed (hidden)",
        f"NEW_PASSWORD not set → {MASK}",
        f"OLD_PASSWORD {MASK} → not set",
        f"registry.password {MASK} → not set",
    ]
    assert "s3cret-1" not in form.page.answer.text and "s3cret-2" not in form.page.answer.text


def test_new_deployment_changes_nothing(new):
    new.fill("name", "orange").set("application", "GREETING", "mine").look()
    assert "This will change" not in new.page.text and "Nothing is changed yet" not in new.page.text


def test_faulty_rows_are_not_among_the_changes(server, browser, name):
    server.running(name)
    form = (
        browser.get(f"/deployments/{name}/edit").form.add("application", "a=b", "1").set("application", "GREETING", "x")
    )
    assert form.look().changes == ["GREETING hello → x"]
