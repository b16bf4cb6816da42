"""Contracts of the project with itself: which module may import which, settings and their documentation."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, clean_environment

from octopod.settings import SETTINGS, BadSettings, Settings, as_markdown, without_settings

# Imports point one way: a module may import what stands in its row, and every row only names modules of rows above it.
MAY_IMPORT = {
    "__init__": "",
    "errors": "",
    "keeper": "",
    "lifecycle": "",
    "log": "",
    "metrics": "",
    "settings": "",
    "cli": "",
    "bundle.__init__": "",
    "bundle.aes": "",
    "bundle.archive": "",
    "bundle.signature": "",
    "bundle.variables": "",
    "bundle.driver": "bundle.aes bundle.archive",
    "db": "errors settings",
    "overrides": "errors",
    "paging": "errors",
    "pool": "errors log",
    "runs": "keeper",
    "gunicorn.conf": "settings",
    "events": "db",
    "models": "db lifecycle",
    "passes": "db models",
    "tokens": "db errors log models settings",
    "suite": "errors keeper overrides runs settings",
    "defaults": "errors models overrides pool settings suite",
    "servers": "db keeper models settings",
    "bundles": "bundle.archive bundle.driver bundle.signature bundle.variables db errors keeper lifecycle log metrics models passes pool runs servers settings suite tokens",
    "notifications": "db events lifecycle log models servers suite",
    "outcomes": "db events lifecycle log metrics models notifications runs suite",
    "search": "",
    "queries": "db errors events lifecycle models paging search suite",
    "refusals": "db errors lifecycle models queries",
    "checks": "db defaults errors events lifecycle metrics models notifications outcomes queries refusals runs servers settings suite",
    "deployments": "db defaults errors events lifecycle log metrics models notifications outcomes overrides queries refusals settings suite tokens",
    "auth": "deployments errors models passes settings",
    "monitor": "checks db deployments errors events lifecycle log models notifications pool settings tokens",
    "schemas": "checks defaults deployments errors lifecycle models overrides suite tokens",
    "worker": "bundle.driver bundles checks db defaults errors events keeper lifecycle log metrics models notifications outcomes pool runs servers settings suite",
    "server": "db errors events keeper log models monitor pool runs servers settings suite tokens worker",
    "servo": "auth bundle.variables bundles errors events lifecycle models passes pool queries server settings",
    "draining": "server",
    "tree": "overrides",
    "pages": "db deployments errors lifecycle models overrides queries schemas search settings tree",
    "forms": "defaults deployments errors lifecycle models overrides queries refusals schemas",
    "logs": "events models queries runs",
    "api": "__init__ auth checks defaults deployments errors keeper lifecycle logs models overrides queries schemas settings tokens",
    "web": "auth checks deployments errors forms keeper lifecycle logs models pages queries schemas",
    "pushes": "models pages queries schemas",
    "channels": "events pool pushes",
    "live": "auth channels errors events keeper log logs metrics models pages pushes queries schemas",
    "app": "__init__ api auth errors live log metrics overrides schemas server servo settings web",
    "wsgi": "app server settings",
}  # fmt: skip
MODULES = {
    path.stem: path
    for path in [
        *ROOT.glob("octopod/*.py"),
        *(ROOT / name for name in ("app.py", "wsgi.py", "gunicorn.conf.py", "cli.py")),
    ]
} | {f"bundle.{path.stem}": path for path in ROOT.glob("octopod/bundle/*.py")}
# Which libraries only some modules know.
KNOWN_TO = {
    "gevent": {"app", "wsgi", "pool", "draining"},
    "psycogreen": {"app", "wsgi"},
    "flask": {"app", "auth", "api", "channels", "live", "pages", "servo", "web"},
    "apiflask": {"app", "api", "live"},
    "werkzeug": {"app", "servo", "web"},
    "pydantic": {"app", "schemas"},
    "peewee": {"bundles", "db", "models", "paging", "deployments", "queries"},
    "playhouse": {"db"},
    "structlog": {"log", "app"},
    "requests": {"cli"},
    "cryptography": {"bundle.aes"},
}
# The names that installations of the original set without our prefix.
UNPREFIXED = [
    "PROJECT_NAME",
    "BASE_DOMAIN",
    "NAMESPACE",
    "CREATION_COMMAND",
    "UPDATE_COMMAND",
    "ARCHIVE_COMMAND",
    "UNARCHIVE_COMMAND",
    "CLEANUP_COMMAND",
    "CHECKING_COMMAND",
    "ARCHIVE_CHECKING_COMMAND",
    "CONFIG_CHECKING_COMMAND",
    "INFO_COMMAND",
    "NOTIFICATION_COMMAND",
    "DEPLOYMENT_CONFIG_COMMAND",
    "DEPLOYMENT_KEYS_COMMAND",
    "APPLICATION_CONFIG_COMMAND",
    "APPLICATION_KEYS_COMMAND",
    "CONTROL_SCRIPT_TIMEOUT",
    "STATUS_UPDATE_TIMEOUT",
    "ARCHIVE_RETENTION",
    "CACHE_UPDATE_TIME",
    "CACHE_INVALIDATION_TIME",
    "POWER_AUTHORIZATION_HEADER",
]


# --- imports


def imported(path: Path) -> set[str]:
    """The full names of everything that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(path: Path) -> set[str]:
    """The modules of ours that a file imports."""
    found = set()
    for name in imported(path):
        top, _, rest = name.partition(".")
        if top == "octopod":
            first, second = (*rest.split("."), "")[:2]
            found.add(next((module for module in (f"{first}.{second}", first) if module in MODULES), "__init__"))
        elif top == "app":
            found.add("app")
    return found


def test_every_module_is_in_the_table():
    assert set(MODULES) == set(MAY_IMPORT)


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_what_it_may(module):
    assert ours(MODULES[module]) <= set(MAY_IMPORT[module].split())


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_imports_point_one_way(module):
    above = list(MAY_IMPORT)[: list(MAY_IMPORT).index(module)]
    assert set(MAY_IMPORT[module].split()) <= set(above)


def test_migrations_know_the_types_of_columns_only():
    """What a migration does must not change when a model does."""
    paths = list(ROOT.glob("octopod/migrations/[0-9]*.py"))
    assert paths
    assert all(ours(path) <= {"db"} for path in paths)


# Of octopod/hspec, which knows nothing of the above: modules and packages, the lowest first, with what they may import.
HSPEC_MAY_IMPORT = {
    "__init__": "",
    "errors": "",
    "home": "errors",
    "contents": "",
    "quantities": "",
    "talk": "",
    "service": "errors",
    "names": "service",
    "processes": "errors",
    "spec": "contents errors quantities service",
    "images": "errors home processes service talk",
    "manifests": "contents errors names quantities service spec",
    "cluster": "errors manifests names processes quantities service talk",
    "workflow": "cluster errors home images manifests names service spec talk",
    "commands": "cluster errors home manifests spec talk workflow",
    "__main__": "commands errors",
}
HSPEC_PARTS = [
    (path.relative_to(ROOT / "octopod/hspec").parts[0].removesuffix(".py"), path)
    for path in sorted(ROOT.glob("octopod/hspec/**/*.py"))
]


def parts_imported(path: Path) -> set[str]:
    """The modules and packages of octopod/hspec that a file imports; anything else of ours as it is."""
    package = ("octopod", *path.relative_to(ROOT / "octopod").parent.parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            whole = [*base, *(node.module or "").split(".")] if node.module else [*base]
            found |= {".".join([*whole, alias.name]) for alias in node.names}
    names = {name for name in found if name.startswith("octopod")}
    return {name.split(".")[2] if name.startswith("octopod.hspec.") else name for name in names}


@pytest.mark.parametrize(("part", "path"), HSPEC_PARTS, ids=[str(path.relative_to(ROOT)) for _, path in HSPEC_PARTS])
def test_service_spec_engine_imports_downwards_and_nothing_of_the_server(part, path):
    assert parts_imported(path) - {part} <= set(HSPEC_MAY_IMPORT[part].split())
    above = list(HSPEC_MAY_IMPORT)[: list(HSPEC_MAY_IMPORT).index(part)]
    assert set(HSPEC_MAY_IMPORT[part].split()) <= set(above)


@pytest.mark.parametrize("library", KNOWN_TO)
def test_library_is_known_to_its_modules_only(library):
    users = {name for name, path in MODULES.items() if library in {found.partition(".")[0] for found in imported(path)}}
    assert users == KNOWN_TO[library]


def test_keeper_needs_only_the_standard_library():
    tops = {name.partition(".")[0] for name in imported(MODULES["keeper"])}
    assert tops <= sys.stdlib_module_names


def test_cli_imports_only_the_standard_library_before_it_has_parsed_its_arguments():
    tree = ast.parse(MODULES["cli"].read_text())
    names = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


# --- settings


def test_settings_are_documented():
    assert as_markdown() in (ROOT / "docs/settings.md").read_text()


def test_every_setting_has_a_help_text_and_one_name():
    assert all(setting.help.endswith(".") for setting in SETTINGS)
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


def test_names_of_the_original_are_read_without_prefix():
    assert {setting.name for setting in SETTINGS if setting.bare} == set(UNPREFIXED)


def load(**environ: str) -> Settings:
    settings = Settings()
    settings.load(environ)
    return settings


@pytest.mark.parametrize("name", ["PROJECT_NAME", "BASE_DOMAIN", "NAMESPACE"])
def test_prefixed_name_counts_before_the_other(name):
    assert getattr(load(**{name: "bare"}), name) == "bare"
    assert getattr(load(**{name: "bare", f"OCTOPOD_{name}": "prefixed"}), name) == "prefixed"
    assert getattr(load(**{name: "bare", f"OCTOPOD_{name}": ""}), name) == "bare"


def test_names_of_ours_are_not_read_without_prefix():
    settings = load(PORT="1", HOST="0.0.0.0", DATABASE_URL="mysql://", DATA_DIR="/nowhere", UI_BASIC_AUTH="a:b")
    assert (settings.PORT, settings.HOST, settings.UI_BASIC_AUTH) == (8000, "127.0.0.1", None)
    assert settings.DATABASE_URL == "sqlite:///var/octopod.db"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_default_can_be_read(setting):
    settings = load()
    assert hasattr(settings, setting.name)
    assert getattr(load(**{f"OCTOPOD_{setting.name}": ""}), setting.name) == getattr(settings, setting.name)


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("PORT", "1", 1),
        ("PORT", "65535", 65535),
        ("KILL_GRACE", "0.5", 0.5),
        ("CHECK_INTERVAL", "15", 15.0),
        ("MAX_RUNNING_ACTIONS", "1", 1),
        ("ALLOW_ANONYMOUS", "TRUE", True),
        ("ALLOW_ANONYMOUS", "False", False),
        ("ADMIN_GROUPS", " ops, ,admins ", ("ops", "admins")),
        ("UI_BASIC_AUTH", "a:b:c", "a:b:c"),
        ("CONTROL_SCRIPTS_CONTRACT", "1", 1),
        ("DATABASE_URL", "postgres://u:p@h/n", "postgres://u:p@h/n"),
    ],
)
def test_good_value_is_read(name, raw, value):
    assert getattr(load(**{f"OCTOPOD_{name}": raw}), name) == value


BAD = {
    "PORT": ["0", "65536", "-1", "http", "80.0"],
    "DATABASE_URL": ["mysql://localhost/x", "octopod.db", "sqlite://x"],
    "CONTROL_SCRIPT_TIMEOUT": ["0", "-5", "10s", "inf", "nan", "1e3", "0.0"],
    "MAX_RUNNING_ACTIONS": ["0", "-1", "1.5", "many", "0x10"],
    "ALLOW_ANONYMOUS": ["yes", "1", "on"],
    "CONTROL_SCRIPTS_CONTRACT": ["3", "0", "two"],
    "UI_BASIC_AUTH": ["rita", ":pass", "rita:", ":"],
    "UI_ADMIN_BASIC_AUTH": ["ada"],
    "TRUSTED_PROXIES": ["300.1.1.1", "proxy.example", "10.0.0.0/33"],
    "SECRET_KEYS": ["(", "*"],
}


@pytest.mark.parametrize(("name", "raw"), [(name, raw) for name, values in BAD.items() for raw in values])
def test_bad_value_is_refused_with_one_line(name, raw):
    with pytest.raises(BadSettings) as refused:
        load(**{f"OCTOPOD_{name}": raw})
    [line] = str(refused.value).splitlines()
    assert line.startswith(f"OCTOPOD_{name} must ")
    secret = next(setting.secret for setting in SETTINGS if setting.name == name)
    assert (repr(raw) in line) is not secret


def test_bad_value_is_named_as_it_was_set():
    with pytest.raises(BadSettings, match=r"\ACONTROL_SCRIPT_TIMEOUT must"):
        load(CONTROL_SCRIPT_TIMEOUT="never")


def test_unknown_name_is_refused():
    with pytest.raises(BadSettings, match=r"\AOCTOPOD_PROT is not a setting of Octopod\Z"):
        load(OCTOPOD_PROT="8000")


def test_names_of_the_cli_are_not_unknown():
    load(OCTOPOD_URL="http://127.0.0.1:8000", OCTO_AUTHORIZATION_HEADER="x", OCTO_TAG_KEY="tag")


def test_all_problems_are_said_at_once_and_the_server_does_not_start(tmp_path):
    bad = {f"OCTOPOD_{name}": values[0] for name, values in BAD.items()} | {"OCTOPOD_PROT": "1", "OCTOPOD_X": "2"}
    env = clean_environment() | bad
    done = subprocess.run(
        [sys.executable, ROOT / "app.py"], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert done.stdout == ""
    first, *lines = done.stderr.splitlines()
    assert first == "Octopod cannot start:"
    assert sorted(line.split(" ")[0] for line in lines) == sorted(bad)
    for secret in ("mysql://localhost/x", "rita", "'ada'"):
        assert secret not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_would_let_strangers_in_is_said_with_the_rest():
    with pytest.raises(BadSettings) as refused:
        load(OCTOPOD_HOST="0.0.0.0", OCTOPOD_PORT="0", OCTOPOD_X="1")
    assert [line.split(" ")[0] for line in str(refused.value).splitlines()] == [
        "OCTOPOD_PORT",
        "OCTOPOD_HOST",
        "OCTOPOD_X",
    ]
    with pytest.raises(BadSettings) as refused:
        load(OCTOPOD_HOST="0.0.0.0", OCTOPOD_UI_BASIC_AUTH="rita")
    assert [line.split(" ")[0] for line in str(refused.value).splitlines()] == ["OCTOPOD_UI_BASIC_AUTH"]


def test_setting_that_is_not_loaded_is_an_error():
    with pytest.raises(AttributeError, match="PORT"):
        _ = Settings().PORT


def test_scripts_see_nothing_of_ours_in_their_environment():
    names = [
        name for setting in SETTINGS for name in (f"OCTOPOD_{setting.name}", *([setting.name] if setting.bare else []))
    ]
    given = dict.fromkeys(names, "ours") | {"OCTO_AUTHORIZATION_HEADER": "ours", "OCTOPOD_URL": "ours"}
    theirs = {"PATH": "/bin", "HOME": "/root", "KUBECONFIG": "x", "OCTOPUS": "y", "PORT": "80"}
    assert without_settings(given | theirs) == theirs


def test_running_server_reads_the_names_of_the_original_and_hides_them_from_scripts(new_server):
    server = new_server()
    server.env |= {"PROJECT_NAME": "Squid", "BASE_DOMAIN": "sea.example", "NAMESPACE": "deep", "KEPT": "theirs"}
    server.env |= {"POWER_AUTHORIZATION_HEADER": "Token s3sam3", "OCTO_AUTHORIZATION_HEADER": "Token s3sam3"}
    server.start()
    server.http.headers["Authorization"] = "Token s3sam3"
    assert server.get("/project").json()["name"] == "Squid"
    assert server.create("orange").status_code == 202
    call = server.board.wait_for_call("orange", "create")
    expected = ["--project-name", "Squid", "--base-domain", "sea.example", "--namespace", "deep", "--name", "orange"]
    assert call.arguments[:8] == expected
    assert call.environment["KEPT"] == "theirs"
    assert {name for name in call.environment if name.startswith("OCTO")} == {
        "OCTOPOD_ACTION_ID", "OCTOPOD_DEPLOYMENT", "OCTOPOD_SUITE_DATA",
    }  # fmt: skip
    assert not {"PROJECT_NAME", "POWER_AUTHORIZATION_HEADER"} & set(call.environment)
    assert "s3sam3" not in "".join(call.environment.values())


def test_little_javascript_is_ours():
    ours = [path.read_text() for path in (ROOT / "static").glob("*.js")]
    assert sum(len(text.splitlines()) for text in ours) <= 200
