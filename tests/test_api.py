"""The JSON API: every route keeps to the shapes that it promises, in the models and in the OpenAPI document."""

import json
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema_rs
import pytest
import requests
import schemathesis
from answers import problem
from conftest import Board, Gate, Server, eventually, numbers
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from prometheus_client.parser import text_string_to_metric_families
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from octopod import schemas
from octopod.lifecycle import Kind, State, Status

MASK = "********"
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def spec(server) -> dict[str, Any]:
    """The OpenAPI document."""
    return server.request("GET", "/openapi.json").json()


@pytest.fixture(scope="module")
def broken(server) -> Iterator[dict[str, Any]]:
    """A deployment that failed, with overrides of all sorts: its answers have something in every field."""
    board: Board = server.board
    board.write("broken", "create", "echo going down >&2; echo some text; exit 3")
    board.write("broken", "check", "exit 1")
    overrides = {"GREETING": "hi", "API_TOKEN": None, "MINE": "x"}
    action = server.create("broken", overrides, {"size": "big"}).json()["action"]
    server.finished(action["id"])
    yield server.settled("broken", "GenericFailure")
    server.forget("broken")


def names_in(value: Any) -> Any:
    """The names of an answer's members, at every depth."""
    if isinstance(value, dict):
        return {name: names_in(part) for name, part in value.items()}
    return [names_in(part) for part in value] if isinstance(value, list) else None


def conforms(spec: dict[str, Any], answer: requests.Response, method: str, path: str, model: Any) -> None:
    """The answer has the shape that the document and the model promise, no more and no less."""
    kind = answer.headers["Content-Type"]
    schema = spec["paths"][f"/api/v1{path}"][method.lower()]["responses"][str(answer.status_code)]["content"][kind][
        "schema"
    ]
    validator = jsonschema_rs.Draft202012Validator(schema | {"components": spec["components"]}, validate_formats=True)
    assert [error.message for error in validator.iter_errors(answer.json())] == []
    parsed = model.model_validate_json(answer.content)
    assert names_in(parsed.model_dump(mode="json")) == names_in(answer.json())


# --- shapes

SHAPES = {
    ("GET", "/project"): (None, 200, schemas.ProjectJSON),
    ("GET", "/deployments"): (None, 200, schemas.DeploymentList),
    ("POST", "/deployments"): ({"name": "{new}"}, 202, schemas.DeploymentJSON),
    ("GET", "/deployments/{name}"): (None, 200, schemas.DeploymentJSON),
    ("DELETE", "/deployments/{name}"): (None, 204, None),
    ("GET", "/deployments/{name}/config"): (None, 200, schemas.ConfigJSON),
    ("POST", "/deployments/{name}/actions"): ({"kind": "archive"}, 202, schemas.ActionJSON),
    ("GET", "/deployments/{name}/actions"): (None, 200, schemas.ActionList),
    ("POST", "/deployments/{name}/check"): (None, 200, schemas.VerdictJSON),
    ("GET", "/actions"): (None, 200, schemas.ActionList),
    ("GET", "/actions/{id}"): (None, 200, schemas.ActionJSON),
    ("GET", "/actions/{id}/logs"): (None, 200, None),
    ("POST", "/actions/{id}/cancel"): (None, 202, schemas.ActionJSON),
    ("GET", "/config/deployment"): (None, 200, schemas.DefaultsJSON),
    ("GET", "/config/deployment/keys"): (None, 200, schemas.KeysJSON),
    ("POST", "/config/application"): ({"deployment_overrides": {"size": "big"}}, 200, schemas.DefaultsJSON),
    ("POST", "/config/application/keys"): ({"deployment_overrides": {}}, 200, schemas.KeysJSON),
    ("GET", "/tokens"): (None, 200, schemas.TokenList),
    ("POST", "/tokens"): ({"name": "{new}", "scripts": ["deploy*"]}, 201, schemas.NewTokenJSON),
    ("POST", "/tokens/{name}/rotate"): ({"overlap": 60}, 201, schemas.NewTokenJSON),
    ("DELETE", "/tokens/{name}"): (None, 204, None),
}


def test_shape_of_every_documented_operation_is_tested(spec):
    documented = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, operations in spec["paths"].items()
        for method in operations
        if method in METHODS
    }
    assert documented == set(SHAPES)


@pytest.mark.parametrize(("method", "path"), SHAPES)
def test_answer_has_the_promised_shape(server, board, spec, broken, name, method, path):
    body, status, model = SHAPES[method, path]
    if path.startswith("/tokens/{name}"):
        server.post("/tokens", {"name": name})
    elif method in ("POST", "DELETE") and "{name}" in path:
        server.running(name)
    if path.endswith("/cancel"):
        board.hold(name, "create")
        action_id = server.create(name).json()["action"]["id"]
    else:
        action_id = server.get("/deployments/broken/actions").json()["items"][0]["id"]
    target = path.format(name=name if method in ("POST", "DELETE") else "broken", id=action_id)
    body = body and {key: name if value == "{new}" else value for key, value in body.items()}
    answer = server.request(method, f"/api/v1{target}", json=body)
    assert answer.status_code == status, answer.text
    if status == 204:
        assert answer.content == b""
    elif model is None:
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.text == "some text\ngoing down\n"
    else:
        conforms(spec, answer, method, path, model)


def test_project_tells_the_settings_that_scripts_get(server):
    project = server.get("/project").json()
    assert project.pop("version")
    assert project == {"name": "Octopod", "base_domain": "localhost", "namespace": "default", "suite": "suite"}


def test_deployment_tells_everything_about_itself(server, broken):
    assert broken["name"] == "broken"
    assert broken["application_overrides"] == {"GREETING": "hi", "API_TOKEN": None, "MINE": "x"}
    assert broken["deployment_overrides"] == {"size": "big"}
    assert broken["action"] is None
    assert broken["allowed_actions"] == ["update", "archive"]
    assert broken["links"] == [{"name": "app", "url": "http://localhost/broken"}]
    assert broken["version"] == 1
    assert "going down" in broken["status_reason"] or broken["checked_at"]
    assert broken["archived_at"] is None


def test_moments_are_rfc_3339_in_utc(server, broken):
    action = server.get("/deployments/broken/actions").json()["items"][0]
    moments = [
        broken["created_at"],
        broken["updated_at"],
        *(action[f"{word}_at"] for word in ("requested", "started", "finished")),
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", moment) for moment in moments)
    parsed = [datetime.fromisoformat(moment) for moment in moments]
    assert abs(datetime.now(UTC) - parsed[0]) < timedelta(minutes=5)
    assert parsed[2] <= parsed[3] <= parsed[4]


def test_unfinished_action_is_shown_with_its_deployment(server, board, name):
    gate = board.hold(name, "create")
    action = server.create(name).json()["action"]
    board.wait_for_call(name, "create")
    shown = server.deployment(name)
    assert (shown["action"]["id"], shown["action"]["state"]) == (action["id"], "running")
    assert shown["allowed_actions"] == []
    listed = server.get("/deployments", params={"q": name}).json()["items"]
    assert [item["action"]["id"] for item in listed] == [action["id"]]
    gate.open()


# --- where to look next, and what changed meanwhile


def test_location_leads_to_the_action(server, board, name):
    board.hold(name, "create")
    created = server.create(name)
    action = created.json()["action"]
    assert created.headers["Location"] == f"/api/v1/actions/{action['id']}"
    cancelled = server.post(f"/actions/{action['id']}/cancel")
    assert cancelled.headers["Location"] == created.headers["Location"]
    assert server.finished(action["id"])["state"] == "cancelled"
    archived = server.act(name, "archive")
    assert archived.headers["Location"] == f"/api/v1/actions/{archived.json()['id']}"
    assert server.request("GET", archived.headers["Location"]).json()["kind"] == "archive"


def test_change_on_the_version_that_was_seen_is_accepted(server, name):
    server.running(name)
    tag = server.get(f"/deployments/{name}").headers["ETag"]
    assert tag == '"1"'
    headers = {"If-Match": tag}
    body = {"kind": "update", "application": {"set": {"A": "1"}}}
    assert server.post(f"/deployments/{name}/actions", body, headers=headers).status_code == 202
    assert server.get(f"/deployments/{name}").headers["ETag"] == '"2"'


def test_change_on_an_older_version_is_refused_and_says_what_happened(server, board, name):
    server.running(name)
    tag = server.get(f"/deployments/{name}").headers["ETag"]
    server.act(name, "update", application={"set": {"A": "1"}})
    server.settled(name, "Running")
    answer = server.post(f"/deployments/{name}/actions", {"kind": "archive"}, headers={"If-Match": tag})
    assert re.search("update at .*asked for by local", problem(answer, 412)["detail"])
    assert board.calls(name, "archive") == []
    answer = server.post(f"/deployments/{name}/actions", {"kind": "archive"}, headers={"If-Match": "*"})
    assert answer.status_code == 202


def test_checks_do_not_change_the_version(server, name):
    server.running(name)
    tag = server.get(f"/deployments/{name}").headers["ETag"]
    assert server.post(f"/deployments/{name}/check").status_code == 200
    assert server.get(f"/deployments/{name}").headers["ETag"] == tag


# --- lists


@pytest.fixture(scope="module")
def seven(server) -> Iterator[list[str]]:
    """Seven deployments in the order of their creation, of which the third was changed last."""
    names = [f"seven-{letter}" for letter in "dbgacfe"]
    for name in names:
        server.running(name)
    assert server.act(names[2], "update", application={"set": {"COLOUR": "Purple", "SAYING": "fifty % _more_"}}).ok
    server.settled(names[2], "Running")
    yield names
    server.forget("seven")


def paged(server: Server, path: str, limit: int, **query: Any) -> Iterator[list[dict[str, Any]]]:
    """The pages of a list."""
    cursor = None
    for _ in range(1000):
        page = server.get(path, params={**query, "limit": limit, "cursor": cursor}).json()
        yield page["items"]
        cursor = page["next"]
        if cursor is None:
            return
    pytest.fail("the list does not end")


@pytest.mark.parametrize("limit", [1, 3, 7, 8])
@pytest.mark.parametrize("sort", ["name", "created", "changed"])
@pytest.mark.parametrize("descending", [False, True])
def test_pages_have_every_deployment_once_and_in_order(server, seven, limit, sort, descending):
    order = {"name": sorted(seven), "created": seven, "changed": [*seven[:2], *seven[3:], seven[2]]}[sort]
    pages = list(paged(server, "/deployments", limit, q="seven-", sort="-" * descending + sort))
    assert [item["name"] for page in pages for item in page] == (order[::-1] if descending else order)
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert 0 < len(pages[-1]) <= limit


def test_pages_do_not_shift_when_something_is_added(server, seven):
    first = server.get("/deployments", params={"q": "seven-", "sort": "-created", "limit": 3}).json()
    server.running("seven-new")
    rest = paged(server, "/deployments", 3, q="seven-", sort="-created")
    after = server.get(
        "/deployments", params={"q": "seven-", "sort": "-created", "limit": 3, "cursor": first["next"]}
    ).json()
    assert [item["name"] for item in first["items"] + after["items"]] == seven[::-1][:6]
    assert next(rest)[0]["name"] == "seven-new"
    assert server.request("DELETE", "/api/v1/deployments/seven-new").status_code == 204


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("seven-a", {"seven-a"}),
        ("SEVEN-A", {"seven-a"}),
        ("seven- purple", {"seven-g"}),
        ("colour seven", {"seven-g"}),
        ("localhost/seven-b", {"seven-b"}),
        ("seven- % _more", {"seven-g"}),
        ("seven- __", set()),
        ("seven- %a", set()),
        ("seven-a seven-b", set()),
        ("seven-a' or '1'='1", set()),
    ],
)
def test_search_finds_every_word_in_names_overrides_and_links(server, seven, q, found):
    items = server.get("/deployments", params={"q": q, "limit": 500}).json()["items"]
    assert {item["name"] for item in items} == found


def names_found(server: Server, q: str, **query: Any) -> list[str]:
    """The names of the deployments that a search finds, exactly or else nearly."""
    asked = {"q": q, "sort": "name", "limit": 500, "similar": "true", **query}
    answer = server.get("/deployments", params=asked).json()
    assert set(answer) == {"items", "next", "similar"}
    return [item["name"] for item in answer["items"]]


def test_similar_ones_are_found_when_nothing_is_exact(server, name):
    mine = f"{name}-papaya"
    server.running(mine, application={"STORE_BACKEND": "couchbase"}, deployment={"image.pullPolicy": "Sometimes"})
    for q in ("paapya", "PPAYA", "STOER_BACKEND", "cuochbase", "imgae.pullpolicy", "papaya cuochbase"):
        assert names_found(server, q) == [mine], q
    for q in ("lemon", "papaya pineapple", "paapya pineapple", "papaya-x"):
        assert names_found(server, q) == [], q
    assert server.get("/deployments", params={"q": "paapya", "similar": "true"}).json()["similar"]
    assert not server.get("/deployments", params={"q": "papaya", "similar": "true"}).json()["similar"]
    assert server.get("/deployments", params={"q": "paapya"}).json()["items"] == [], (
        "who does not ask gets what is exact"
    )


def test_keys_are_found_as_a_whole(server, name):
    server.running(name, deployment={"durian.size": "7"}, application={"jackfruit": "1"})
    for q in ("durian.size", "an.si", "durain.size"):
        assert names_found(server, q) == [name], q
    for q in ("durian.jackfruit", "durian.size=7"):
        assert names_found(server, q) == [], q


def test_exact_ones_hide_similar_ones_within_the_same_filters(server, name):
    right, wrong = f"{name}-quince", f"{name}-qiunce"
    server.running(right)
    server.archived(wrong)
    assert names_found(server, "qiunce", archived="all") == [wrong]
    assert names_found(server, "qiunce", status="Archived") == [wrong]
    assert names_found(server, "qiunce") == [right]
    assert names_found(server, "quince") == [right]
    assert names_found(server, "quunce", archived="all") == [wrong, right]


def test_later_pages_of_similar_ones_have_similar_ones(server, name):
    names = [f"{name}-{letter}" for letter in "abcd"]
    for one in names[:3]:
        server.running(one, application={"FRUIT": "tamarillo"})
    query = {"q": "tamarilol", "sort": "name", "limit": 1, "similar": "true"}
    pages = [server.get("/deployments", params=query).json()]
    server.running(names[3], application={"FRUIT": "tamarilol"})
    while cursor := pages[-1]["next"]:
        pages.append(server.get("/deployments", params={**query, "cursor": cursor}).json())
    assert [[item["name"] for item in page["items"]] for page in pages] == [[one] for one in names]
    assert names_found(server, "tamarilol") == names[3:]


def test_later_pages_of_exact_ones_have_exact_ones(server, name):
    names = [f"{name}-{letter}" for letter in "abc"]
    for one, fruit in zip(names, ("feijoa", "feijoa", "feijao"), strict=True):
        server.running(one, application={"FRUIT": fruit})
    query = {"q": "feijoa", "sort": "name", "limit": 1, "similar": "true"}
    first = server.get("/deployments", params=query).json()
    assert [item["name"] for item in first["items"]] == names[:1]
    for one in names[:2]:
        assert server.request("DELETE", f"/api/v1/deployments/{one}").status_code == 204
    assert names_found(server, "feijoa") == names[2:]
    assert server.get("/deployments", params={**query, "cursor": first["next"]}).json()["items"] == []


def test_search_does_not_look_into_secrets(server, name):
    server.running(name, application={"API_TOKEN": f"hush-{name}-kumquat", "PLAIN": f"loud-{name}-lychee"})
    for q in (f"hush-{name}-kumquat", f"hush-{name}", "kumquat", "kumquta", "kmquat", f"{name} kumquta"):
        assert names_found(server, q) == [], q
    for q in (f"loud-{name}", "lychee", "lyhcee", f"{name} api_token", f"{name} api_tokne"):
        assert names_found(server, q) == [name], q


def test_archived_deployments_are_listed_on_demand(server, name):
    server.archived(name)

    def listed(**query: str) -> bool:
        return [item["name"] for item in server.get("/deployments", params={"q": name, **query}).json()["items"]] == [
            name
        ]

    assert not listed()
    assert not listed(archived="false")
    assert listed(archived="true")
    assert listed(archived="all")
    assert listed(status="Archived")
    assert not listed(status="Running")


def test_status_filter_lists_only_that_status(server, broken):
    for status in Status:
        items = server.get("/deployments", params={"status": status, "limit": 500}).json()["items"]
        assert {item["status"] for item in items} <= {status}
        assert ("broken" in [item["name"] for item in items]) == (status is Status.GENERIC_FAILURE)


def test_history_of_a_deployment_is_paged_newest_first(server, name):
    server.running(name)
    for number in range(4):
        server.act(name, "update", application={"set": {"N": str(number)}})
        server.settled(name, "Running")
    pages = list(paged(server, f"/deployments/{name}/actions", 2))
    entries = [entry for page in pages for entry in page]
    assert [entry["application_overrides"].get("N") for entry in entries] == ["3", "2", "1", "0", None]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [entry["id"] for entry in entries] == sorted((entry["id"] for entry in entries), reverse=True)


def test_history_is_filtered_by_deployment_kind_state_and_moment(server, board, name):
    server.running(name)
    board.write(name, "update", "exit 1")
    action = server.act(name, "update", application={"set": {"A": "1"}}).json()
    server.finished(action["id"])
    server.act(name, "archive")
    server.settled(name, "Archived")

    def kinds(**query: str) -> list[str]:
        items = server.get("/actions", params={"deployment": name, **query}).json()["items"]
        return [item["kind"] for item in items]

    assert kinds() == ["archive", "update", "create"]
    assert kinds(kind="update") == ["update"]
    assert kinds(state="failed") == ["update"]
    assert kinds(state="succeeded") == ["archive", "create"]
    assert kinds(state="succeeded", kind="create") == ["create"]
    assert kinds(since=action["requested_at"]) == ["archive", "update"]
    there = datetime.fromisoformat(action["requested_at"]).astimezone(
        datetime.fromisoformat("2026-01-01T00:00:00+05:30").tzinfo
    )
    assert kinds(since=there.isoformat()) == ["archive", "update"]
    assert kinds(since="2099-01-01T00:00:00Z") == []
    assert kinds(deployment="no-such-one") == []


def test_history_of_everything_is_paged_without_gaps(server, seven):
    whole = server.get("/actions", params={"limit": 500, "kind": "create"}).json()["items"]
    pages = paged(server, "/actions", 3, kind="create")
    some = [entry["id"] for _, page in zip(range(3), pages, strict=False) for entry in page]
    newest = [entry["id"] for entry in whole]
    at = newest.index(some[-1])
    assert newest[at - len(some) + 1 : at + 1] == some


def test_history_of_a_removed_deployment_stays_readable(server, name):
    server.running(name)
    assert server.request("DELETE", f"/api/v1/deployments/{name}").status_code == 204
    problem(server.get(f"/deployments/{name}"), 404)
    [entry] = server.get("/actions", params={"deployment": name}).json()["items"]
    assert server.get(f"/actions/{entry['id']}").json() == entry
    assert server.get(f"/actions/{entry['id']}/logs").status_code == 200


# --- waiting and following


def test_answer_is_held_until_the_action_is_finished(server, board, name):
    gate = board.hold(name, "create")
    action = server.create(name).json()["action"]
    board.wait_for_call(name, "create")
    answers: list[dict[str, Any]] = []

    def wait() -> None:
        answer = requests.get(f"{server.url}/api/v1/actions/{action['id']}", params={"wait": 30}, timeout=60)
        answers.append(answer.json())

    waiter = threading.Thread(target=wait)
    waiter.start()
    began = time.monotonic()
    assert server.get(f"/actions/{action['id']}", params={"wait": 0.3}).json()["state"] == "running"
    assert time.monotonic() - began >= 0.3
    assert answers == []
    gate.open()
    waiter.join(20)
    assert [answer["state"] for answer in answers] == ["succeeded"]


def test_follower_sees_output_before_the_script_has_ended(server, board, name):
    gate = Gate(board.directory / f"gate.{name}")
    board.write(name, "create", f"echo first; echo aside >&2; read -r _ <{gate.path}; echo second")
    action = server.create(name).json()["action"]
    board.wait_for_call(name, "create")
    address = f"/api/v1/actions/{action['id']}/logs"
    with requests.get(
        server.url + address, params={"follow": "true", "stream": "stdout"}, stream=True, timeout=30
    ) as answer:
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
        assert next(lines) == "first"
        assert server.get(f"/actions/{action['id']}").json()["state"] == "running"
        gate.open()
        assert list(lines) == ["second"]
    assert server.finished(action["id"])["state"] == "succeeded"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, "first\nsecond\naside\n"),
        ({"stream": "all"}, "first\nsecond\naside\n"),
        ({"stream": "stdout"}, "first\nsecond\n"),
        ({"stream": "stderr"}, "aside\n"),
        ({"follow": "true"}, "first\nsecond\naside\n"),
    ],
)
def test_logs_of_a_finished_action_are_what_its_script_wrote(server, board, name, query, text):
    board.write(name, "create", "echo first; echo aside >&2; echo second")
    action = server.create(name).json()["action"]
    server.finished(action["id"])
    assert server.get(f"/actions/{action['id']}/logs", params=query).text == text


def test_logs_of_a_running_action_are_what_its_script_wrote_so_far(server, board, name):
    gate = Gate(board.directory / f"gate.{name}")
    board.write(name, "create", f"echo first; read -r _ <{gate.path}; echo second")
    action = server.create(name).json()["action"]
    eventually(lambda: server.get(f"/actions/{action['id']}/logs").text == "first\n", "the first line")
    gate.open()
    server.finished(action["id"])
    assert server.get(f"/actions/{action['id']}/logs").text == "first\nsecond\n"


# --- configuration


def test_config_tells_the_origin_of_each_value(server, broken):
    config = server.get("/deployments/broken/config").json()
    assert config["application"] == [
        {"key": "MINE", "value": "x", "origin": "custom", "default": None},
        {"key": "GREETING", "value": "hi", "origin": "override", "default": "hello"},
        {"key": "API_TOKEN", "value": None, "origin": "removed", "default": MASK},
    ]
    assert config["deployment"] == [
        {"key": "image.tag", "value": "v1", "origin": "default", "default": "v1"},
        {"key": "size", "value": "big", "origin": "override", "default": "small"},
    ]


def test_config_is_what_the_script_gets(server, board, broken):
    call = board.wait_for_call("broken", "create")
    config = server.get("/deployments/broken/config").json()
    flags = [
        word
        for level in ("application", "deployment")
        for item in config[level]
        if item["value"] is not None
        for word in (f"--{level}-config", f"{item['key']}={item['value']}")
    ]
    assert call.arguments[-len(flags) :] == flags


def test_application_defaults_follow_the_deployment_configuration(server, board):
    body = {"deployment_overrides": {"size": "from-the-test", "image.tag": None}}
    assert server.post("/config/application", body).status_code == 200
    assert server.post("/config/application/keys", body).status_code == 200
    for script in ("application_config", "application_config_keys"):
        asked = [call for call in board.calls("_", script) if "size=from-the-test" in call.arguments]
        assert [call.arguments[6:] for call in asked] == [["--deployment-config", "size=from-the-test"]]


def test_application_defaults_differ_with_the_deployment_configuration(new_server):
    server = new_server()
    server.board.write(
        "_", "application_config", """case "$*" in *size=big*) echo WORKERS,8 ;; *) echo WORKERS,1 ;; esac"""
    )
    server.start()
    for size, workers in (("big", "8"), ("small", "1")):
        answer = server.post("/config/application", {"deployment_overrides": {"size": size}}).json()
        assert answer == {"items": [{"key": "WORKERS", "value": workers}], "stale": False}


def test_defaults_and_suggestions_are_what_the_suite_says(server):
    assert server.get("/config/deployment").json()["items"] == [
        {"key": "image.tag", "value": "v1"},
        {"key": "size", "value": "small"},
    ]
    assert server.get("/config/deployment/keys").json() == {"items": ["image.tag", "size", "region"], "stale": False}
    assert server.post("/config/application", {}).json()["items"] == [
        {"key": "GREETING", "value": "hello"},
        {"key": "API_TOKEN", "value": MASK},
    ]
    assert server.post("/config/application/keys", {}).json()["items"] == ["GREETING", "API_TOKEN", "DEBUG"]


def test_secrets_are_masked_in_every_answer(server, board, name):
    secret = f"s3cr3t-{name}"
    tell = f"echo key {secret}; echo default-token >&2"  # a default that is in force is as secret
    board.write(name, "create", f"{tell}; exit 4")
    board.write(name, "check", f"{tell}; exit 2")
    board.write(name, "info", f"echo app,http://localhost/?token={secret}")
    action = server.create(name, {"DB_PASSWORD": secret, "X": "plain-x"}, {"db.password": f"{secret}-2"}).json()[
        "action"
    ]
    server.finished(action["id"])
    server.settled(name, "PartialAvailability")
    board.write(name, "config_check", f"{tell}; exit 1")
    answers = [
        server.get(f"/deployments/{name}"),
        server.get("/deployments", params={"q": name}),
        server.get(f"/deployments/{name}/config"),
        server.get(f"/deployments/{name}/actions"),
        server.get("/actions", params={"deployment": name}),
        server.get(f"/actions/{action['id']}"),
        server.get(f"/actions/{action['id']}/logs"),
        server.post(f"/deployments/{name}/check"),
        server.act(name, "update", application={"set": {"X": "2"}}),
        server.act(name, "update", application={"set": {"OTHER_TOKEN": f"{secret}{chr(0)}"}}),
        server.request("GET", f"/deployments/{name}"),
        server.request("GET", f"/deployments/{name}/edit"),
        server.request("GET", f"/actions/{action['id']}"),
        server.request("GET", "/metrics"),
    ]
    assert [answer.status_code for answer in answers] == [200] * 8 + [422] * 2 + [200] * 4
    for answer in answers:
        assert secret not in answer.text, answer.url
        assert "default-token" not in answer.text, answer.url
    assert answers[0].json()["application_overrides"] == {"DB_PASSWORD": MASK, "X": "plain-x"}
    assert answers[0].json()["links"] == [{"name": "app", "url": f"http://localhost/?token={MASK}"}]
    assert answers[6].text == f"key {MASK}\n{MASK}\n"


def test_invalid_utf_8_of_a_script_is_replaced(server, board, name):
    board.write(name, "info", r"printf 'app \xff,http://localhost/\xc3\n'")
    board.write(name, "create", r"printf 'a\xffb\0c\n'")
    deployment = server.running(name)
    assert deployment["links"] == [{"name": "app \ufffd", "url": "http://localhost/\ufffd"}]
    action = server.get(f"/deployments/{name}/actions").json()["items"][0]
    assert server.get(f"/actions/{action['id']}/logs").text == "a\ufffdb\ufffdc\n"


@pytest.mark.parametrize(
    ("exit_code", "status"), [(0, "Running"), (1, "GenericFailure"), (2, "PartialAvailability"), (3, "TagMismatch")]
)
def test_check_now_answers_with_the_verdict(server, board, name, exit_code, status):
    server.running(name)
    board.write(name, "check", f"echo looked closely; exit {exit_code}")

    def ask() -> Any:
        answer = server.post(f"/deployments/{name}/check")
        if answer.status_code == 409:  # a periodic check is under way
            return None
        return answer.json()

    verdict = eventually(ask, "a verdict")
    assert (verdict["name"], verdict["exit_code"], verdict["status"]) == (name, exit_code, status)
    assert verdict["output"] == "looked closely"
    shown = server.deployment(name)
    assert shown["status"] == status
    assert shown["checked_at"] >= verdict["checked_at"]


def test_check_of_an_archived_deployment_is_refused(server, name):
    server.archived(name)
    assert "Archived" in problem(server.post(f"/deployments/{name}/check"), 409)["detail"]


# --- HTTP


@pytest.mark.parametrize("path", ["/project", "/no-such-page", "/deployments/no-such-one"])
def test_request_id_is_answered_and_logged(server, path):
    answer = server.get(path, headers={"X-Request-Id": "from-the-test"})
    assert answer.headers["X-Request-Id"] == "from-the-test"
    assert '"request": "from-the-test"' in server.log.read_text()
    own = {server.get(path).headers["X-Request-Id"] for _ in range(3)}
    assert len(own) == 3
    assert all(re.fullmatch(r"[0-9a-f]{16}", id) for id in own)


@pytest.mark.parametrize("given", ["x" * 65, "\x1b[31mred", "a b"])
def test_request_id_that_is_no_plain_word_is_replaced(server, given):
    answered = server.get("/project", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{16}", answered)


@pytest.mark.parametrize(
    "path", ["/api/v1/project", "/api/v1/nope", "/deployments", "/nope", "/docs", "/static/octopod.css"]
)
def test_every_answer_has_the_security_headers(server, path):
    headers = server.request("GET", path, headers={"Accept": "text/html"}).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"]
    assert "Server" not in headers


def test_head_is_get_without_the_body(server):
    head, get = (server.request(method, "/api/v1/project") for method in ("HEAD", "GET"))
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Length"] == str(len(get.content))
    assert server.request("HEAD", "/api/v1/deployments/no-such-one").status_code == 404


@pytest.mark.parametrize("path", ["", "/", "/nope", "/project/", "/deployments/a/b", "/actions/x", "/../v1/nope"])
def test_unknown_address_is_a_problem(server, path):
    problem(server.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/project", {"GET", "HEAD", "OPTIONS"}),
        ("PATCH", "/deployments/broken", {"GET", "HEAD", "OPTIONS", "DELETE"}),
        ("DELETE", "/deployments", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("GET", "/deployments/broken/check", {"OPTIONS", "POST"}),
        ("BREW", "/project", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_other_method_is_a_problem_that_names_those_allowed(server, method, path, allowed):
    answer = server.request(method, f"/api/v1{path}")
    problem(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) == allowed


def test_answers_on_an_open_connection_do_not_wait_for_each_other(server):
    def ask() -> float:
        began = time.monotonic()
        assert server.get("/project").status_code == 200
        return time.monotonic() - began

    # Nagle's algorithm would make it 40 ms each time; a busy machine takes as long now and then.
    eventually(lambda: statistics.median(ask() for _ in range(15)) < 0.03, "quick answers")


def test_health_and_readiness_are_plain_text(server):
    for path in ("/healthz", "/readyz"):
        answer = server.request("GET", path)
        assert (answer.status_code, answer.text) == (200, "ok\n")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def metrics(server: Server) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(server.request("GET", "/metrics").text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def test_metrics_count_actions_and_name_no_deployment(server, name):
    asked = ("octopod_actions_requested_total", frozenset({("kind", "create")}))
    done = ("octopod_actions_finished_total", frozenset({("kind", "create"), ("state", "succeeded")}))
    before = metrics(server)
    server.running(name)
    after = metrics(server)
    assert after[asked] == before.get(asked, 0) + 1
    assert after[done] == before.get(done, 0) + 1
    assert name not in server.request("GET", "/metrics").text
    assert any(metric == "octopod_request_seconds_count" for metric, _ in after)


# --- the document


def test_document_is_valid_openapi_3_1(spec):
    assert spec["openapi"] == "3.1.0"
    assert list(OPENAPI_31_VALIDATOR.iter_errors(spec)) == []
    for schema in spec["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema | {"$schema": "https://json-schema.org/draft/2020-12/schema"})


def test_document_has_no_dangling_references(spec):
    text = json.dumps(spec)
    referenced = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert referenced <= set(spec["components"]["schemas"])


def test_every_operation_documents_its_errors(spec):
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            expected = {"401", "403", "422", "503"}
            expected |= {"404"} if "{" in path else set()
            expected |= {"409", "413", "415"} if method != "get" else set()
            expected |= {"412"} if (method, path) == ("post", "/api/v1/deployments/{name}/actions") else set()
            assert {status for status in answers if status >= "400"} == expected, f"{method} {path}"
            for status in expected:
                assert answers[status]["content"] == {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemJSON"}}
                }


def test_words_of_the_life_cycle_are_in_the_document(spec):
    shapes = spec["components"]["schemas"]
    assert shapes["DeploymentJSON.Status"]["enum"] == list(Status)
    assert shapes["ActionJSON.Kind"]["enum"] == list(Kind)
    assert shapes["ActionJSON.State"]["enum"] == list(State)


def test_problems_have_the_documented_shape(server, spec):
    schema = {"$ref": "#/components/schemas/ProblemJSON", "components": spec["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema)
    for answer in (server.get("/nope"), server.create("A"), server.get("/deployments", params={"limit": 0})):
        assert list(validator.iter_errors(answer.json())) == []


def test_docs_page_shows_every_operation(server, spec):
    page = server.request("GET", "/docs").text
    for path, operations in spec["paths"].items():
        for method in operations:
            assert f"{method.upper()} {path}" in page
    for shape in spec["components"]["schemas"]:
        assert f'id="{shape}"' in page


@pytest.fixture(scope="module")
def fuzzed(new_database: Callable[[str], str], scratch) -> Iterator[Server]:
    """A server of its own, with a deployment and an action to be found: what is made up there disturbs nobody."""
    directory = scratch / f"server-fuzzed-{next(numbers)}"
    directory.mkdir()
    server = Server(directory, new_database("sqlite")).start()
    server.running("fuzzed")
    yield server
    server.stop()


@pytest.mark.parametrize("mode", schemathesis.GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("known", [False, True], ids=["any path", "known path"])
def test_no_request_made_up_from_the_document_breaks_a_promise(fuzzed, subtests, mode, known):
    checks = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
    document = schemathesis.openapi.from_url(f"{fuzzed.url}/openapi.json")
    for found in document.get_all_operations():
        operation = found.ok()
        if known and ("{" not in operation.path or operation.method == "delete"):
            continue
        parts = operation.definition.raw
        if mode.is_negative and not ("requestBody" in parts or any(p["in"] == "query" for p in parts["parameters"])):
            continue  # there is nothing to get wrong

        @example_settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            if known:
                case.path_parameters = {"name": "fuzzed", "id": 1}
            case.call_and_validate(checks=checks)

        with subtests.test(operation.label):
            ask()
