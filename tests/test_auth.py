"""Who is asking, and may they: every route, every way to log in, and the requests that browsers are made to send."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from answers import problem
from conftest import ROOT, Server, clean_environment, eventually, numbers
from requests.adapters import HTTPAdapter

from octopod import auth
from octopod.settings import BadSettings, Settings

POWER = "Token Sésame-öffne+dich/="
USER, ADMIN = "rita:pass:with:colons", "ada:pässwörd"
PROXY = "127.0.0.9"  # Linux answers, and lets one ask, from all of 127/8

ANONYMOUS: dict[str, str] = {}


def basic(pair: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


@pytest.fixture(scope="module")
def start(new_database: Callable[[str], str], scratch) -> Iterator[Callable[..., Server]]:
    """Start a server with settings. Who may do what does not depend on the database, so there is one kind only."""
    servers = []

    def start(**settings: str) -> Server:
        directory = scratch / f"server-auth-{next(numbers)}"
        directory.mkdir()
        servers.append(Server(directory, new_database("sqlite"), **settings).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def secured(start) -> Server:
    """A server with every way to log in."""
    return start(
        POWER_AUTHORIZATION_HEADER=POWER,
        UI_BASIC_AUTH=USER,
        UI_ADMIN_BASIC_AUTH=ADMIN,
        TRUSTED_USER_HEADER="X-Auth-Email",
        TRUSTED_GROUPS_HEADER="X-Auth-Groups",
        ADMIN_GROUPS="ops, admins",
        TRUSTED_PROXIES=f"10.0.0.0/8, {PROXY}",
    )


@pytest.fixture(scope="module")
def anonymous(start) -> Server:
    """A server without any login, on loopback."""
    return start(ALLOWED_HOSTS="staging.example, octopod")


class From(HTTPAdapter):
    """Ask from another address of this machine."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, source_address=(self.address, 0))


def ask(
    server: Server,
    headers: dict[str, str],
    method: str = "GET",
    path: str = "/api/v1/project",
    peer: str = "",
    **options: Any,
):
    sent = {name: value.encode() if isinstance(value, str) else value for name, value in headers.items()}
    with requests.Session() as http:
        if peer:
            http.mount("http://", From(peer))
        return http.request(method, server.url + path, headers=sent, timeout=30, allow_redirects=False, **options)


def role(server: Server, headers: dict[str, str], peer: str = "") -> str | None:
    """The role that these headers give; None: they are refused."""
    allowed = ask(server, headers, peer=peer)
    if allowed.status_code == 401:
        return None
    assert allowed.status_code == 200, allowed.text
    admin = ask(server, headers, path="/api/v1/actions/999999999/logs", peer=peer).status_code
    return {403: auth.USER, 404: auth.ADMIN}[admin]


def name_of(server: Server, headers: dict[str, str], peer: str = "") -> tuple[str, str]:
    """Who asked, and from where, as an action records it."""
    body = {"name": f"who-{next(numbers)}"}
    answer = ask(server, headers, "POST", "/api/v1/deployments", peer, json=body)
    assert answer.status_code == 202, answer.text
    action = answer.json()["action"]
    return action["requested_by"], action["requested_from"]


# --- the table of roles


@pytest.fixture(scope="module")
def routes() -> dict[str, tuple[str, str]]:
    """Endpoint to method and path, of every route there is; paths lead to what does not exist."""
    script = (
        "from octopod.settings import settings; settings.load({}); from app import create_app; import json;"
        "print(json.dumps([[r.endpoint, sorted(r.methods - {'HEAD', 'OPTIONS'}), r.rule] for r in create_app().url_map.iter_rules()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=clean_environment(), capture_output=True, check=True
    )
    found = {}
    for endpoint, [method], rule in json.loads(done.stdout):
        path = re.sub(r"<int:\w+>", "999999999", re.sub(r"<path:\w+>", "octopod.css", rule))
        found[endpoint] = method, re.sub(r"<\w+>", "no-such-one", path)
    return found


def test_every_route_has_a_role_and_every_role_a_route(routes):
    assert set(routes) == set(auth.ROLES)


@pytest.mark.parametrize("endpoint", auth.ROLES)
@pytest.mark.parametrize(
    ("headers", "rank"), [(ANONYMOUS, auth.ANYBODY), (basic(USER), auth.USER), (basic(ADMIN), auth.ADMIN), ({"Authorization": POWER}, auth.ADMIN)],
    ids=["nobody", "user", "admin", "power"],
)  # fmt: skip
def test_route_is_open_to_its_role_and_above(secured, routes, endpoint, headers, rank):
    method, path = routes[endpoint]
    json_body = {} if path.startswith("/api/") and method == "POST" else None
    answer = ask(secured, headers, method, path, json=json_body)
    if endpoint == "servo.run":
        assert answer.status_code == 403, "nobody has signed it"
    elif auth.RANK[rank] >= auth.RANK[auth.ROLES[endpoint]]:
        assert answer.status_code not in (401, 403)
        assert answer.status_code < 500
    elif rank == auth.ANYBODY:
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    else:
        assert answer.status_code == 403
        assert "This needs the admin role; rita has the user role" in answer.text


def test_only_health_metrics_and_static_files_are_open_to_anybody():
    assert {name for name, role in auth.ROLES.items() if role == auth.ANYBODY} == {
        "healthz",
        "readyz",
        "metrics",
        "static",
        "servo.run",  # takes a signature
        "servo.callback",  # takes an address that nobody can guess
    }


def test_logs_and_delete_are_for_admins():
    admins = {name for name, role in auth.ROLES.items() if role == auth.ADMIN}
    assert {"api.show_logs", "api.delete_deployment", "web.show_logs"} <= admins
    assert {name for name in auth.ROLES if "token" in name} == auth.NOT_FOR_SCRIPTS <= admins


# --- logging in


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Authorization": POWER}, auth.ADMIN),
        ({"Authorization": POWER.lower()}, None),
        ({"Authorization": POWER + "x"}, None),
        ({"Authorization": POWER[:-1]}, None),
        ({"Authorization": POWER.removeprefix("Token ")}, None),
        ({"Authorization": POWER.replace(" ", "  ")}, None),
        (basic(POWER), None),
        (basic(USER), auth.USER),
        (basic(ADMIN), auth.ADMIN),
        ({"Authorization": basic(USER)["Authorization"].replace("Basic", "bAsIc")}, auth.USER),
        (basic("rita:pass"), None),
        (basic("rita:"), None),
        (basic("rita"), None),
        (basic("ada:pass:with:colons"), None),
        (basic("RITA:pass:with:colons"), None),
        (basic(""), None),
        ({"Authorization": "Basic"}, None),
        ({"Authorization": "Basic ***"}, None),
        ({"Authorization": "Basic /w=="}, None),
        ({"Authorization": "Bearer " + basic(USER)["Authorization"][6:]}, None),
        ({"Authorization": USER}, None),
        ({"Authorization": ""}, None),
        ({"Authorization": "Ünïcode".encode()}, None),
        (ANONYMOUS, None),
    ],
    ids=str,
)
def test_only_the_exact_credentials_log_in(secured, headers, expected):
    assert role(secured, headers) == expected


@pytest.mark.parametrize("path", ["/api/v1/project", "/deployments", "/docs", "/openapi.json"])
def test_whoever_is_not_known_is_asked_to_log_in(secured, path):
    for headers in (ANONYMOUS, basic("rita:wrong")):
        answer = ask(secured, {**headers, "Accept": "text/html"}, path=path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="Octopod", charset="UTF-8"'
        assert "no-store" in answer.headers["Cache-Control"]
    problem(ask(secured, basic("rita:wrong")), 401)


@pytest.mark.parametrize(
    ("headers", "peer", "expected"),
    [
        ({"X-Auth-Email": "carol@example.org"}, PROXY, auth.USER),
        ({"X-Auth-Email": "carol@example.org", "X-Auth-Groups": "dev,ops"}, PROXY, auth.ADMIN),
        ({"X-Auth-Email": "carol@example.org", "X-Auth-Groups": "dev , admins ,"}, PROXY, auth.ADMIN),
        ({"X-Auth-Email": "carol@example.org", "X-Auth-Groups": "opsies, Admins"}, PROXY, auth.USER),
        ({"X-Auth-Email": "carol@example.org", "X-Auth-Groups": ""}, PROXY, auth.USER),
        ({"X-Auth-Groups": "ops"}, PROXY, None),
        ({"X-Auth-Email": ""}, PROXY, None),
        ({"X-Auth-Email": "carol@example.org", "X-Auth-Groups": "ops"}, "127.0.0.1", None),
        ({"X-Auth-Email": "carol@example.org"}, "127.0.0.10", None),
        ({"X-Auth-Email": "carol@example.org", "X-Forwarded-For": PROXY}, "127.0.0.1", None),
        ({"X_Auth_Email": "carol@example.org"}, PROXY, None),
    ],
)
def test_proxy_is_believed_only_from_its_address(secured, headers, peer, expected):
    assert role(secured, headers, peer) == expected


def test_admin_header_counts_before_basic_and_basic_before_the_proxy(secured):
    proxied = {"X-Auth-Email": "carol@example.org", "X-Auth-Groups": "ops"}
    assert name_of(secured, {**proxied, "Authorization": POWER}, PROXY)[0] == "admin"
    assert name_of(secured, {**proxied, **basic(USER)}, PROXY)[0] == "rita"
    assert role(secured, {**proxied, **basic(USER)}, PROXY) == auth.USER
    assert role(secured, {**proxied, **basic("rita:wrong")}, PROXY) is None
    assert name_of(secured, proxied, PROXY)[0] == "carol@example.org"


@pytest.mark.parametrize(
    ("headers", "peer", "who"),
    [
        ({"Authorization": POWER}, "127.0.0.3", ("admin", "127.0.0.3")),
        (basic(ADMIN), "127.0.0.1", ("ada", "127.0.0.1")),
        ({**basic(USER), "X-Forwarded-For": "203.0.113.7"}, "127.0.0.1", ("rita", "127.0.0.1")),
        ({**basic(USER), "X-Forwarded-For": "203.0.113.7"}, PROXY, ("rita", "203.0.113.7")),
        ({"X-Auth-Email": "carol", "X-Forwarded-For": "203.0.113.7"}, PROXY, ("carol", "203.0.113.7")),
        (
            {"X-Auth-Email": "carol", "X-Forwarded-For": "6.6.6.6, 203.0.113.7, 10.1.2.3"},
            PROXY,
            ("carol", "203.0.113.7"),
        ),
        ({"X-Auth-Email": "carol", "X-Forwarded-For": ", 10.1.2.3"}, PROXY, ("carol", PROXY)),
        ({"X-Auth-Email": "carol"}, PROXY, ("carol", PROXY)),
        ({"X-Auth-Email": "zoë@example.org"}, PROXY, ("zoë@example.org", PROXY)),
    ],
)
def test_action_records_who_asked_and_from_where(secured, headers, peer, who):
    assert name_of(secured, headers, peer) == who


def test_refusal_names_who_was_there_first(secured):
    body = {"name": "taken-by-rita"}
    assert ask(secured, basic(USER), "POST", "/api/v1/deployments", json=body).status_code == 202
    gate = secured.board.hold("taken-by-rita", "archive")
    power = {"Authorization": POWER}

    def act() -> requests.Response:
        return ask(secured, power, "POST", "/api/v1/deployments/taken-by-rita/actions", json={"kind": "archive"})

    eventually(lambda: act().status_code == 202, "the archive action to be accepted")
    assert "asked for by admin" in problem(act(), 409)["detail"]
    gate.open()


# --- without logins


def test_everybody_on_loopback_is_admin_where_there_is_no_login(anonymous):
    assert role(anonymous, ANONYMOUS) == auth.ADMIN
    assert role(anonymous, ANONYMOUS, "127.0.0.77") == auth.ADMIN
    assert name_of(anonymous, ANONYMOUS) == ("local", "127.0.0.1")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_what_a_proxy_passed_on_is_not_from_this_machine(anonymous, header):
    answer = ask(anonymous, {header: "127.0.0.1"})
    assert "OCTOPOD_UI_BASIC_AUTH" in problem(answer, 401)["detail"]


@pytest.mark.parametrize(
    ("host", "headers", "expected"),
    [
        ("0.0.0.0", ANONYMOUS, auth.USER),
        ("127.0.0.1", ANONYMOUS, auth.ADMIN),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.7"}, auth.USER),
    ],
)
def test_anonymous_beyond_loopback_is_user_where_that_is_allowed(start, host, headers, expected):
    server = start(HOST=host, ALLOW_ANONYMOUS="true")
    assert role(server, headers) == expected


def test_anonymous_is_user_beside_those_who_log_in(start):
    server = start(ALLOW_ANONYMOUS="true", UI_ADMIN_BASIC_AUTH=ADMIN)
    assert role(server, ANONYMOUS) == auth.USER
    assert role(server, basic(ADMIN)) == auth.ADMIN
    assert role(server, basic("ada:wrong")) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_server_refuses_to_listen_beyond_loopback_without_login(host, tmp_path):
    env = clean_environment() | {"OCTOPOD_HOST": host, "OCTOPOD_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, ROOT / "app.py"], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert f"OCTOPOD_HOST is {host}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(tmp_path.iterdir()), "it stopped before it began anything"


@pytest.mark.parametrize(
    "login",
    [
        {"OCTOPOD_UI_BASIC_AUTH": "a:b"},
        {"OCTOPOD_UI_ADMIN_BASIC_AUTH": "a:b"},
        {"OCTOPOD_TRUSTED_USER_HEADER": "X-User", "OCTOPOD_TRUSTED_PROXIES": "10.0.0.1"},
        {"OCTOPOD_ALLOW_ANONYMOUS": "true"},
    ],
)
def test_with_a_login_it_may_listen_anywhere(login):
    settings = Settings()
    settings.load({"OCTOPOD_HOST": "0.0.0.0", **login})
    assert settings.HOST == "0.0.0.0"


def test_admin_header_alone_is_no_login_for_browsers():
    with pytest.raises(BadSettings, match="nobody has to log in"):
        Settings().load({"OCTOPOD_HOST": "0.0.0.0", "OCTOPOD_POWER_AUTHORIZATION_HEADER": "x"})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST", "octopod.localhost"])
def test_loopback_needs_no_login(host):
    Settings().load({"OCTOPOD_HOST": host})


def test_trusted_header_needs_the_proxys_address():
    with pytest.raises(BadSettings, match="OCTOPOD_TRUSTED_PROXIES"):
        Settings().load({"OCTOPOD_TRUSTED_USER_HEADER": "X-User"})


# --- what other sites make a browser send

FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "{url}"},
    {"Sec-Fetch-Site": "rubbish"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://localhost:1"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Origin": "http://["},
    {"Origin": "rubbish"},
]
OURS = [
    {},
    {"Origin": "{url}"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "{url}"},
    {"Referer": "http://evil.example/"},
]
CHANGES = [
    ("POST", "/api/v1/deployments", {"json": {"name": "forged"}}, 202),
    ("DELETE", "/api/v1/deployments/no-such-one", {}, 404),
    ("POST", "/api/v1/deployments/no-such-one/actions", {"json": {"kind": "archive"}}, 404),
    ("POST", "/api/v1/actions/999999999/cancel", {}, 404),
    ("POST", "/deployments", {"data": {"name": "forged"}}, 303),
    ("POST", "/deployments/no-such-one/actions", {"data": {"kind": "archive"}}, 404),
    ("POST", "/actions/999999999/cancel", {}, 404),
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_change_that_another_site_asks_for_is_refused(anonymous, secured, headers):
    for server, login in ((anonymous, {}), (secured, basic(ADMIN))):
        sent = login | {name: value.format(url=server.url) for name, value in headers.items()}
        for method, path, options, _ in CHANGES:
            answer = ask(server, sent, method, path, **options)
            assert answer.status_code == 403, f"{method} {path}"
            assert "another site" in answer.text
        assert ask(server, login, path="/api/v1/deployments/forged").status_code == 404


@pytest.mark.parametrize("headers", OURS, ids=str)
def test_change_that_our_pages_or_programs_ask_for_is_carried_out(anonymous, headers):
    sent = {name: value.format(url=anonymous.url) for name, value in headers.items()}
    for method, path, options, status in CHANGES:
        answer = ask(anonymous, sent, method, path, **options)
        assert answer.status_code == status, f"{method} {path}: {answer.text}"
        if status in (202, 303):
            wait_for = ask(anonymous, {}, path="/api/v1/actions?deployment=forged&limit=1").json()["items"][0]["id"]
            ask(anonymous, {}, path=f"/api/v1/actions/{wait_for}?wait=20")
            assert ask(anonymous, {}, "DELETE", "/api/v1/deployments/forged").status_code == 204


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_looking_is_not_refused(anonymous, headers):
    assert ask(anonymous, headers, path="/deployments").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", "a b", "staging.example.evil"]
)
@pytest.mark.parametrize("path", ["/api/v1/project", "/deployments"])
def test_name_that_is_not_ours_is_refused_where_there_is_no_login(anonymous, host, path):
    answer = ask(anonymous, {"Host": host}, path=path)
    assert answer.status_code == 403
    assert "OCTOPOD_ALLOWED_HOSTS" in answer.text


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "[::1]:8000", "octopod.localhost", "192.168.1.7:8000", "staging.example", "octopod:80", "Staging.Example"]
)  # fmt: skip
def test_name_that_can_only_be_ours_is_answered(anonymous, host):
    assert ask(anonymous, {"Host": host}).status_code == 200


def test_with_logins_any_name_will_do(secured):
    assert ask(secured, {"Host": "staging.example", **basic(USER)}).status_code == 200
    assert ask(secured, {"Host": "staging.example"}).status_code == 401


# --- secrets


def test_no_secret_is_ever_logged(secured):
    board = secured.board
    admin = {"Authorization": POWER}
    secrets = [f"{word}-Kq7-{next(numbers)}" for word in ("one", "two", "three", "four", "five", "six", "seven")]
    tell = f"echo {secrets[0]}; echo {secrets[1]} >&2"
    for script in ("create", "check", "notifications"):
        board.write("hush", script, f"{tell}; exit 1")
    board.write("hush", "info", f"echo {secrets[0]}")
    body = {
        "name": "hush",
        "application_overrides": {"DB_PASSWORD": secrets[0], "KEEP": "x"},
        "deployment_overrides": {"api.token": secrets[1]},
    }
    created = ask(secured, admin, "POST", "/api/v1/deployments", json=body)
    assert created.status_code == 202
    action_id = created.json()["action"]["id"]
    assert ask(secured, admin, path=f"/api/v1/actions/{action_id}?wait=20").json()["state"] == "failed"
    board.wait_for_call("hush", "check")
    board.write("hush", "config_check", f"{tell}; exit 1")
    path = "/api/v1/deployments/hush/actions"
    change = {"kind": "update", "application": {"set": {"DB_PASSWORD": secrets[2], "": "x"}}}
    assert ask(secured, admin, "POST", path, json=change).status_code == 422
    change = {"kind": "update", "application": {"set": {"DB_PASSWORD": secrets[2]}}}
    assert ask(secured, admin, "POST", path, json=change).status_code == 422
    broken = json.dumps(change) + secrets[3]
    json_type = {"Content-Type": "application/json"}
    assert ask(secured, admin | json_type, "POST", path, data=broken).status_code == 422
    assert ask(secured, {"Authorization": secrets[4]}).status_code == 401
    assert ask(secured, basic(f"rita:{secrets[5]}")).status_code == 401
    assert ask(secured, admin, path=f"/api/v1/project?access_token={secrets[6]}").status_code == 200
    form = {"name": "B", "application.key": "API_TOKEN", "application.value": secrets[2], "application.default": ""}
    assert ask(secured, admin, "POST", "/deployments", data=form).status_code == 422
    log = secured.log.read_text()
    assert "hush" in log and '"status": 401' in log
    passwords = [POWER, USER.partition(":")[2], ADMIN.partition(":")[2]]
    for secret in secrets + passwords:
        assert secret not in log
        assert base64.b64encode(f"rita:{secret}".encode()).decode() not in log


@pytest.mark.parametrize("terminal", [False, True])
def test_traceback_in_the_log_has_no_values_of_variables(terminal):
    script = (
        "import sys\n"
        f"sys.stderr.isatty = lambda: {terminal}\n"
        "from octopod.log import configure, log\nconfigure()\n"
        "def fail(password):\n    raise ValueError('of all things')\n"
        "try:\n    fail('hun' + 'ter2')\nexcept ValueError:\n    log.exception('unforeseen')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert "of all things" in done.stderr
    assert "hunter2" not in done.stderr
