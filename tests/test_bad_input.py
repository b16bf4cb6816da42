"""Bad input: a clear answer, never a failure of the server, and nothing changed afterwards. At both front doors."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from answers import problem, steady
from browser import Browser

MASK = "********"
MOST_BODY = 4 * 1024 * 1024
JSON = {"Content-Type": "application/json"}

# Everything that is no key or no value: typed, and what is said about it.
BAD_PAIRS = {
    "empty key": ("", "1", "the key is empty"),
    "blank key": ("  ", "1", "the key is empty"),
    "empty segment": ("a..b", "1", "empty segment"),
    "blank segment": ("a. .b", "1", "empty segment"),
    "dot at the end": ("a.", "1", "empty segment"),
    "control character": ("a\x07b", "1", "control character"),
    "line break in key": ("a\nb", "1", "control character"),
    "equals sign in key": ("a=b", "1", "= in it"),
    "empty value": ("A", "", "the value is empty"),
    "NUL in value": ("A", "a\0b", "NUL"),
    "200 KB": ("A", "x" * 200_000, "too long: 200,002 bytes"),
}
BAD_NAMES = [
    "", " ", "A", "Aa", "a", "1a", "-a", "a-", "a" * 17, "a_b", "a.b", "a b", "../x", "a/b", "größe", "аbc",
    "ab\n", "\nab", "ab\0", "ab\r\n", "🐙🐙", "ａｂ",
]  # fmt: skip


@pytest.fixture(scope="module")
def stable(server) -> Iterator[dict[str, Any]]:
    """A deployment that is Running, with overrides of both levels, and that nothing here changes."""
    deployment = server.running(
        "bad-input", application={"A": "1", "DB_PASSWORD": "s3cr3t"}, deployment={"size": "big"}
    )
    yield deployment
    assert steady(server.deployment("bad-input")) == steady(deployment)
    assert not server.board.calls("bad-input", "update")
    server.forget("bad-input")


def untouched(server, name: str) -> None:
    """Nothing came of a request to create `name`: no deployment, no history, no script."""
    if name.strip() and name.isprintable() and "/" not in name:
        assert server.get(f"/deployments/{name}").status_code == 404
        assert server.get("/actions", params={"deployment": name}).json()["items"] == []
    assert server.board.calls(name or "_", "create") == []


# --- names


@pytest.mark.parametrize("bad", BAD_NAMES)
def test_bad_name_is_refused(server, bad):
    body = problem(server.create(bad), 422, "name")
    assert "2 to 16 characters" in body["detail"]
    names = [
        item["name"] for item in server.get("/deployments", params={"archived": "all", "limit": 500}).json()["items"]
    ]
    assert bad not in names


@pytest.mark.parametrize("name", ["ab", "a1", "a-b", "a--b", "a" * 16])
def test_name_at_the_edge_of_the_rule_is_accepted(server, name):
    assert server.create(name).status_code == 202
    server.settled(name, "Running")
    assert server.request("DELETE", f"/api/v1/deployments/{name}").status_code == 204


# --- keys and values


@pytest.mark.parametrize("level", ["application", "deployment"])
@pytest.mark.parametrize("bad", BAD_PAIRS)
def test_bad_pair_is_refused_in_a_new_deployment(server, name, level, bad):
    key, value, message = BAD_PAIRS[bad]
    field = f"{level}_overrides.{key}" if key.strip() else f"{level}_overrides"
    body = problem(server.create(name, **{level: {key: value}}), 422, field)
    assert message in body["detail"]
    untouched(server, name)


@pytest.mark.parametrize("level", ["application", "deployment"])
@pytest.mark.parametrize("bad", BAD_PAIRS)
def test_bad_pair_is_refused_in_a_change(server, stable, level, bad):
    key, value, message = BAD_PAIRS[bad]
    field = f"{level}.set.{key}" if key.strip() else f"{level}.set"
    body = problem(server.act(stable["name"], "update", **{level: {"set": {key: value}}}), 422, field)
    assert message in body["detail"]


@pytest.mark.parametrize("bad", BAD_PAIRS)
def test_bad_pair_is_refused_where_defaults_are_asked_for(server, bad):
    key, value, message = BAD_PAIRS[bad]
    for path in ("/config/application", "/config/application/keys"):
        answer = server.post(path, {"deployment_overrides": {key: value}})
        field = f"deployment_overrides.{key}" if key.strip() else "deployment_overrides"
        assert message in problem(answer, 422, field)["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (r'{"name": "NAME", "application_overrides": {"A": "\ud800"}}', "application_overrides.A"),
        (r'{"name": "NAME", "application_overrides": {"\ud800": "1"}}', r"application_overrides.\ud800"),
        (r'{"name": "NAME", "\udfff": 1}', "_schema"),
        (r'{"name": "NAME", "name": "\ud800", "\ud800": 1, "\ud800": 2}', "name"),
    ],
)
def test_half_a_surrogate_pair_is_refused(server, name, body, field):
    problem(server.post("/deployments", data=body.replace("NAME", name), headers=JSON), 422, field)
    untouched(server, name)


@pytest.mark.parametrize("value", [1, 1.5, True, ["a"], {"a": "b"}], ids=str)
def test_value_that_is_no_string_is_refused(server, name, stable, value):
    assert server.create(name, {"A": value}).status_code == 422
    untouched(server, name)
    assert server.act(stable["name"], "update", application={"set": {"A": value}}).status_code == 422


def test_odd_values_arrive_at_the_script_unchanged(server, board, name):
    odd = {
        "EQUALS": "a=b=c",
        "COMMA": "a,b,,c",
        "QUOTES": "\"double\" 'single' `back`",
        "SHELL": "$(touch /tmp/octopod-was-here); $HOME && *",
        "LINES": "one\ntwo\r\nthree\rfour\n",
        "EMOJI": "🐙 größe \u202e",
        "SPACES": "  both  ends\t",
        "DASHES": "--name",
        "LONG": "0123456789" * 10_000,
        "JSON": '{"a": [1]}',
        "größe": "x",
        "with space": "x",
    }
    assert server.create(name, application=odd, deployment={"Ünï.cöde": "ü"}).status_code == 202
    call = board.wait_for_call(name, "create")
    pairs = [call.arguments[at + 1] for at, word in enumerate(call.arguments) if word == "--application-config"]
    assert {f"{key}={value}" for key, value in odd.items()} <= set(pairs)
    assert "Ünï.cöde=ü" in call.arguments
    assert server.deployment(name)["application_overrides"] == odd


def test_everything_wrong_is_said_at_once(server, name):
    answer = server.create("Bad Name", {"": "1", "a=b": "1", "E": ""}, {"x..y": "1", "OK": "1"})
    fields = ("name", "application_overrides", "application_overrides.a=b", "application_overrides.E")
    problem(answer, 422, *fields, "deployment_overrides.x..y")


def test_everything_wrong_in_a_change_is_said_at_once(server, stable):
    changes = {"application": {"set": {"a=b": "1", "E": ""}}, "deployment": {"set": {"": "1"}, "unset": []}}
    answer = server.act(stable["name"], "update", **changes)
    problem(answer, 422, "application.set.a=b", "application.set.E", "deployment.set")


def test_keys_that_are_the_same_once_trimmed_are_refused(server, name):
    body = problem(server.create(name, {"a.b": "1", "a . b": "2"}), 422, "application_overrides.a . b")
    assert "twice" in body["detail"]
    untouched(server, name)


@pytest.mark.parametrize(
    ("body", "twice"),
    [
        ('{"name": "NAME", "name": "other"}', "name"),
        ('{"name": "NAME", "application_overrides": {"A": "1", "A": "2"}}', "A"),
        ('{"name": "NAME", "application_overrides": {"A": "1"}, "application_overrides": {}}', "application_overrides"),
    ],
)
def test_duplicate_member_of_a_json_object_is_refused(server, name, body, twice):
    answer = server.post("/deployments", data=body.replace("NAME", name), headers=JSON)
    assert "twice" in problem(answer, 422, twice)["detail"]
    untouched(server, name)


# --- what is no request of ours


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"name=x", b"{'name': 'x'}", b'{"name": "NAME",}', b'{"name": NaN}', b'{"name": Infinity}', b"\xff\xfe",
        b'{"name": "\xc3"}', b"[" * 100_000, b'{"a":' * 5000, b'{"name": ' + b"9" * 10_000 + b"}", b'{"name": "NAME"} x',
        b'{"name": "a\nb"}',
    ],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_body_that_is_no_json_is_refused(server, name, body):
    answer = server.post("/deployments", data=body.replace(b"NAME", name.encode()), headers=JSON)
    assert "JSON" in problem(answer, 422)["detail"]
    untouched(server, name)


@pytest.mark.parametrize("body", ["[]", '"name"', "1", "true", '[{"name": "ab"}]'])
def test_json_that_is_no_object_is_refused(server, body):
    problem(server.post("/deployments", data=body, headers=JSON), 422, "_schema")


def test_json_null_is_refused(server):
    problem(server.post("/deployments", data="null", headers=JSON), 422, "name")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/deployments", {"name": "NAME", "tag": "v1"}, "tag"),
        ("/deployments", {"name": "NAME", "Name": "x"}, "Name"),
        ("/deployments/bad-input/actions", {"kind": "archive", "force": True}, "force"),
        ("/deployments/bad-input/actions", {"kind": "update", "application": {"add": {}}}, "application.add"),
        ("/config/application", {"application_overrides": {}}, "application_overrides"),
    ],
)
def test_unknown_field_is_refused(server, stable, name, path, body, field):
    problem(server.post(path, json.loads(json.dumps(body).replace("NAME", name))), 422, field)
    untouched(server, name)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("application/x-www-form-urlencoded", "name=NAME"),
        ("text/plain", '{"name": "NAME"}'),
        (
            "multipart/form-data; boundary=x",
            '--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nNAME\r\n--x--\r\n',
        ),
        (None, '{"name": "NAME"}'),
        ("application/xml", "<name>NAME</name>"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_other_media_type_is_refused(server, name, kind, data, chunked):
    body = data.replace("NAME", name).encode()
    answer = server.post("/deployments", data=iter([body]) if chunked else body, headers={"Content-Type": kind})
    assert "application/json" in problem(answer, 415)["detail"]
    untouched(server, name)


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "application/merge-patch+json", "APPLICATION/JSON"]
)
def test_json_under_another_name_is_accepted(server, kind):
    body = '{"deployment_overrides": {}}'
    assert server.post("/config/application", data=body, headers={"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/deployments", "/deployments/bad-input/actions", "/config/application"])
def test_10_mb_are_refused(server, stable, path, chunked):
    body = b'{"name": "ten-mb", "application_overrides": {"A": "' + b"x" * 10_000_000 + b'"}}'
    pieces = (body[at : at + 65536] for at in range(0, len(body), 65536))
    answer = server.post(path, data=pieces if chunked else body, headers=JSON)
    assert "4 MiB" in problem(answer, 413)["detail"]
    assert server.get("/project").status_code == 200, "the connection can be used again"
    untouched(server, "ten-mb")


def test_chunked_body_that_would_be_valid_once_cut_off_is_refused(server, name):
    body = b'{"name": "' + name.encode() + b'"}' + b" " * MOST_BODY + b"garbage"
    problem(server.post("/deployments", data=iter([body]), headers=JSON), 413)
    untouched(server, name)


def test_small_chunked_body_is_accepted(server, name):
    body = json.dumps({"name": name}).encode()
    assert server.post("/deployments", data=iter([body[:5], body[5:]]), headers=JSON).status_code == 202


# --- addresses and queries


@pytest.mark.parametrize(
    "id", ["999999999", str(2**31), str(2**63), str(2**64), "9" * 40, "0", "-1", "x", "1.5", "%00"]
)
def test_action_that_does_not_exist_is_not_found(server, id):
    for method, rest in (("GET", ""), ("GET", "/logs"), ("POST", "/cancel")):
        problem(server.request(method, f"/api/v1/actions/{id}{rest}"), 404)


def routes_of(name: str) -> list[tuple[str, str, Any]]:
    return [
        ("GET", f"/deployments/{name}", None),
        ("DELETE", f"/deployments/{name}", None),
        ("GET", f"/deployments/{name}/config", None),
        ("GET", f"/deployments/{name}/actions", None),
        ("POST", f"/deployments/{name}/actions", {"kind": "archive"}),
        ("POST", f"/deployments/{name}/check", None),
    ]


@pytest.mark.parametrize(
    "bad", ["no-such-one", "A", "a" * 5000, "%20", "%F0%9F%90%99", "%FF", "..%2Fx", "bad-input%0A", "'--"]
)
def test_deployment_that_does_not_exist_is_not_found(server, stable, bad):
    for method, path, body in routes_of(bad):
        problem(server.request(method, f"/api/v1{path}", json=body), 404)


def test_nul_in_an_address_is_refused(server):
    for method, path, body in routes_of("bad-input%00"):
        problem(server.request(method, f"/api/v1{path}", json=body), 422)


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/deployments", {"limit": "0"}, "limit"),
        ("/deployments", {"limit": "501"}, "limit"),
        ("/deployments", {"limit": "-1"}, "limit"),
        ("/deployments", {"limit": "ten"}, "limit"),
        ("/deployments", {"limit": "9" * 5000}, "limit"),
        ("/deployments", {"sort": "status"}, "sort"),
        ("/deployments", {"sort": "--name"}, "sort"),
        ("/deployments", {"status": "running"}, "status"),
        ("/deployments", {"archived": "yes"}, "archived"),
        ("/deployments", {"q": "x" * 201}, "q"),
        ("/deployments", {"page": "2"}, "page"),
        ("/deployments/bad-input/actions", {"limit": "0"}, "limit"),
        ("/actions", {"kind": "destroy"}, "kind"),
        ("/actions", {"state": "done"}, "state"),
        ("/actions", {"since": "yesterday"}, "since"),
        ("/actions", {"since": "2026-02-30T00:00:00Z"}, "since"),
        ("/actions", {"since": "2026-01-01T00:00:00"}, "since"),
        ("/actions", {"since": "0001-01-01T00:00:00+14:00"}, "since"),
        ("/actions", {"since": "9999-12-31T23:59:59-14:00"}, "since"),
        ("/actions", {"user": "alice"}, "user"),
        ("/actions/1", {"wait": "-1"}, "wait"),
        ("/actions/1", {"wait": "61"}, "wait"),
        ("/actions/1", {"wait": "nan"}, "wait"),
        ("/actions/1", {"wait": "long"}, "wait"),
        ("/actions/1/logs", {"stream": "stdin"}, "stream"),
        ("/actions/1/logs", {"follow": "yes"}, "follow"),
    ],
)
def test_bad_query_is_refused(server, stable, path, query, field):
    problem(server.get(path, params=query), 422, field)


@pytest.mark.parametrize("query", ["q=%00", "deployment=%00", "cursor=%00", "%00=1"])
@pytest.mark.parametrize("path", ["/api/v1/deployments", "/api/v1/actions", "/deployments"])
def test_nul_in_a_query_is_refused(server, path, query):
    assert server.request("GET", f"{path}?{query}").status_code == 422


def cursor(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "bad",
    [
        "x", "=", "a b", "é", cursor(None), cursor(1), cursor([]), cursor([1]), cursor({"a": 1, "b": 2}), cursor([None, 1]),
        cursor([[], 1]), cursor([{}, 1]), cursor(["a", "b"]), cursor(["a", None]), cursor(["a", 1.5]), cursor(["a", 2**64]),
        cursor(["\0", 1]), cursor(["\ud800", 1]), cursor([2**64, 1]), cursor([float("inf"), 1]), cursor(["a", float("nan")]),
        cursor([1.5, 1]), cursor([True, True]), base64.urlsafe_b64encode(b"[" * 4000).decode(),
        base64.urlsafe_b64encode(b"\xff").decode(), "A" * 5000,
    ],
    ids=lambda bad: bad[:24],
)  # fmt: skip
def test_bad_cursor_is_refused(server, stable, bad):
    for sort in ("name", "-created", "changed"):
        problem(server.get("/deployments", params={"sort": sort, "cursor": bad}), 422, "cursor")
    for path in ("/actions", "/deployments/bad-input/actions"):
        problem(server.get(path, params={"cursor": bad}), 422, "cursor")


@pytest.mark.parametrize("bad", ["yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", ""])
def test_cursor_with_a_bad_moment_is_refused(server, bad):
    answer = server.get("/deployments", params={"sort": "created", "cursor": cursor([bad, 1])})
    if answer.status_code != 200:  # a database may well know a moment that the other does not
        problem(answer, 422, "cursor")
    else:
        assert bad.startswith(("0001", "9999"))


# --- actions


@pytest.mark.parametrize(
    "bad", ["", '""', "x", '"x"', '"-1"', '"1.5"', 'W/"x"', '"1", "2"', '"１"', '"' + "9" * 5000 + '"']
)
def test_bad_if_match_is_refused(server, stable, bad):
    headers = {"If-Match": bad.encode()}
    answer = server.post(f"/deployments/{stable['name']}/actions", {"kind": "archive"}, headers=headers)
    assert answer.status_code in (412, 422)
    problem(answer, answer.status_code, *(["If-Match"] if answer.status_code == 422 else []))


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["kind"]),
        ({"kind": "create"}, ["kind"]),
        ({"kind": "delete"}, ["kind"]),
        ({"kind": "UPDATE"}, ["kind"]),
        ({"kind": None}, ["kind"]),
        ({"kind": ["archive"]}, ["kind"]),
        ({"kind": "archive", "application_overrides": {}}, ["kind"]),
        ({"kind": "cleanup", "deployment": {"unset": []}}, ["kind"]),
        ({"kind": "update"}, ["application_overrides", "deployment_overrides"]),
        ({"kind": "update", "application_overrides": {}}, ["application_overrides", "deployment_overrides"]),
        (
            {"kind": "update", "application_overrides": {}, "deployment_overrides": {}, "application": {"set": {"X": "1"}}},
            ["application_overrides", "deployment_overrides"],
        ),
        ({"kind": "update", "application": {"unset": ["B"]}}, ["application.unset.B"]),
        ({"kind": "update", "application": {"unset": [""]}}, ["application.unset."]),
        ({"kind": "update", "application": {"unset": ["A", "A"]}}, ["application.unset.A"]),
        ({"kind": "update", "application": {"set": {"A": "2"}, "unset": ["A"]}}, ["application.unset.A"]),
        ({"kind": "update", "application": {"set": {"A": "2"}, "unset": [" A "]}}, ["application.unset. A "]),
        ({"kind": "update", "application": {"set": []}}, ["application.set"]),
        ({"kind": "update", "application": {"unset": "A"}}, ["application.unset"]),
        ({"kind": "update", "application": "A=1"}, ["application"]),
        ({"kind": "update", "deployment": {"unset": ["A"]}}, ["deployment.unset.A"]),
        (
            {"kind": "update", "application": {"unset": ["B"]}, "deployment": {"unset": ["B"]}},
            ["application.unset.B", "deployment.unset.B"],
        ),
    ],
    ids=str,
)  # fmt: skip
def test_bad_action_is_refused(server, stable, body, fields):
    problem(server.post(f"/deployments/{stable['name']}/actions", body), 422, *fields)


def test_half_a_surrogate_pair_to_unset_is_refused(server, stable):
    body = r'{"kind": "update", "application": {"unset": ["\ud800"]}}'
    answer = server.post(f"/deployments/{stable['name']}/actions", data=body, headers=JSON)
    problem(answer, 422, r"application.unset.\ud800")


def test_what_config_check_says_is_the_answer(server, board, name):
    board.write(name, "config_check", "echo 'There is no image v9'; exit 1")
    assert problem(server.create(name), 422)["detail"] == "There is no image v9"
    untouched(server, name)


# --- secrets that were masked


def test_mask_sent_back_keeps_the_stored_secret(server, board, name):
    server.running(name, application={"API_TOKEN": "t0p-s3cr3t", "A": "1"}, deployment={"db.password": "hunter2"})
    shown = server.deployment(name)
    assert shown["application_overrides"] == {"API_TOKEN": MASK, "A": "1"}
    assert shown["deployment_overrides"] == {"db.password": MASK}
    full = {level: shown[level] for level in ("application_overrides", "deployment_overrides")}
    full["application_overrides"]["A"] = "2"
    assert server.act(name, "update", **full).status_code == 202
    arguments = board.wait_for_call(name, "update").arguments
    assert {"API_TOKEN=t0p-s3cr3t", "A=2", "db.password=hunter2"} <= set(arguments)
    server.settled(name, "Running")
    assert server.act(name, "update", application={"set": {"API_TOKEN": MASK}}).status_code == 202
    assert "API_TOKEN=t0p-s3cr3t" in board.wait_for_call(name, "update", 2).arguments


def test_mask_that_stands_for_nothing_is_refused(server, name, stable):
    problem(server.create(name, {"API_TOKEN": MASK}), 422, "application_overrides.API_TOKEN")
    untouched(server, name)
    change = {"application": {"set": {"OTHER_TOKEN": MASK}}, "deployment": {"set": {"DB_PASSWORD": MASK}}}
    answer = server.act(stable["name"], "update", **change)
    problem(answer, 422, "application.set.OTHER_TOKEN", "deployment.set.DB_PASSWORD")


# --- the same at the pages' door


@pytest.fixture
def browser(server) -> Browser:
    return Browser(server.url)


@pytest.mark.parametrize("bad", ["A", "a", "a" * 17, "a-", "größe", "../x", "a b"])
def test_form_with_a_bad_name_is_shown_again_as_it_was(server, browser, bad):
    page = browser.get("/new")
    page = page.form.fill("name", bad).set("application", "MINE", "typed\nhere").submit()
    assert page.status == 422
    assert "2 to 16 characters" in page.alert
    assert page.form.values("name") == [bad]
    assert page.form.rows("application")["MINE"] == "typed\nhere"
    untouched(server, bad)


@pytest.mark.parametrize("level", ["application", "deployment"])
@pytest.mark.parametrize(
    "bad", [name for name in BAD_PAIRS if name not in ("blank key", "line break in key", "200 KB")]
)
def test_form_with_a_bad_pair_is_shown_again_as_it_was(server, browser, name, level, bad):
    key, value, message = BAD_PAIRS[bad]
    form = browser.get("/new").form.fill("name", name)
    form.set("application", "GREETING", "typed <b>here</b>").set("deployment", "API_TOKEN", "typed secret")
    page = form.add(level, key, value).submit()
    assert page.status == 422
    assert message in page.alert
    assert page.form.values("name") == [name]
    assert page.form.rows("application")["GREETING"] == "typed <b>here</b>"
    assert page.form.rows("deployment")["API_TOKEN"] == "typed secret"
    typed = zip(page.form.values(f"{level}.key"), page.form.values(f"{level}.value"), strict=True)
    assert (key, value.replace("\0", "\ufffd")) in [(row[0], row[1].replace("\0", "\ufffd")) for row in typed]
    untouched(server, name)


def test_corrected_form_creates_what_was_typed(server, board, browser, name):
    page = browser.get("/new").form.fill("name", "Wrong").set("application", "API_TOKEN", "typed-secret").submit()
    page = page.form.fill("name", name).submit()
    assert (page.status, page.path) == (200, f"/deployments/{name}")
    assert "API_TOKEN=typed-secret" in board.wait_for_call(name, "create").arguments


def test_form_with_a_value_of_200_kb_is_refused(server, browser, name):
    page = browser.get("/new").form.fill("name", name).set("application", "LONG", "x" * 200_000).submit()
    assert page.status == 422
    assert "too long" in page.alert
    assert page.form.rows("application")["LONG"] == "x" * 200_000
    untouched(server, name)


def test_form_with_a_duplicate_key_is_shown_again(server, browser, name):
    form = browser.get("/new").form.fill("name", name).set("application", "X", "1")
    page = form.add("application", "X", "2").submit()
    assert "twice" in page.alert
    assert page.form.values("application.key").count("X") == 2
    untouched(server, name)


def test_form_for_a_name_that_is_taken_is_shown_again(server, stable, browser):
    page = browser.get("/new").form.fill("name", stable["name"]).set("application", "X", "typed").submit()
    assert page.status == 409
    assert "already a deployment named bad-input" in page.alert
    assert page.form.rows("application")["X"] == "typed"


def test_edit_form_with_a_bad_pair_is_shown_again(server, stable, browser):
    form = (
        browser.get("/deployments/bad-input/edit").form.set("application", "A", "typed").set("deployment", "a=b", "1")
    )
    page = form.submit()
    assert page.status == 422
    assert "= in it" in page.alert
    assert page.form.rows("application")["A"] == "typed"
    assert page.form.rows("deployment")["a=b"] == "1"
    assert page.form.values("version") == form.values("version")


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("/deployments", [], 422),
        ("/deployments", [("name", "ab"), ("application.key", "A")], 422),
        ("/deployments", [("name", "ab"), ("application.key", "A"), ("application.value", "1")], 422),
        ("/deployments/bad-input/actions", [], 422),
        ("/deployments/bad-input/actions", [("kind", "create")], 422),
        ("/deployments/bad-input/actions", [("kind", "destroy")], 422),
        ("/deployments/bad-input/actions", [("kind", "restore")], 409),
        ("/deployments/no-such-one/actions", [("kind", "archive")], 404),
        ("/actions/999999999/cancel", [], 404),
        (f"/actions/{2**70}/cancel", [], 404),
    ],
)
def test_form_that_no_page_of_ours_has_is_refused_with_a_page(server, stable, browser, path, data, status):
    page = browser.post(path, data)
    assert page.status == status
    assert page.alert


@pytest.mark.parametrize("path", ["/deployments?sort=x", "/deployments?limit=0", "/deployments?cursor=x"])
def test_bad_query_of_the_list_is_refused_with_a_page(browser, path):
    page = browser.get(path)
    assert page.status == 422
    assert page.alert


def test_form_of_10_mb_is_refused_with_a_page(server, browser, name):
    page = browser.post(
        "/deployments", [("name", name), ("application.key", "A"), ("application.value", "x" * 10_000_000)]
    )
    assert page.status == 413
    assert "4 MiB" in page.alert
    untouched(server, name)
