"""Logins of registries: where they are looked for, under which keys, and what helpers are asked."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from octopod.hspec.errors import PreflightError
from octopod.hspec.images import credentials_for, pull_credentials
from octopod.hspec.service import Credentials

REGISTRY = "registry.example.test"
HUB = "index.docker.io/v1/"


class Helpers:
    """Real programs on the path: each keeps what it was asked, and knows some logins."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def add(self, name: str, answers: dict[str, object] | None = None, otherwise: str = "") -> None:
        """`answers` by what is asked; `otherwise` is shell, by default what helpers do that have nothing."""
        cases = "".join(f"'{key}') echo '{json.dumps(answer)}';;\n" for key, answer in (answers or {}).items())
        otherwise = otherwise or "echo credentials not found in native keychain; exit 1"
        script = self.directory / f"docker-credential-{name}"
        script.write_text(
            f"#!/bin/sh\nkey=$(cat)\n"
            f'echo "$1 $key" >>{self.directory}/asked\n'
            f'case "$key" in\n{cases}*) {otherwise};;\nesac\n'
        )
        script.chmod(0o755)

    def asked(self) -> list[str]:
        file = self.directory / "asked"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helpers:
    helpers = Helpers(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(helpers.directory), prepend=":")
    return helpers


def configure(directory: Path, config: object, name: str = ".docker/config.json") -> Path:
    file = directory / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(config if isinstance(config, bytes) else json.dumps(config).encode())
    return file


def auth(user: str = "alice", password: str = "pass:word") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def answer(url: str, user: str = "alice", secret: str = "pass:word") -> dict[str, str]:
    return {"ServerURL": url, "Username": user, "Secret": secret}


@pytest.mark.parametrize("registry", ["", None])
def test_no_registry_has_no_login(registry: str | None, home: Path) -> None:
    configure(home, b"not even looked at")
    assert credentials_for(registry) is None


def test_without_any_configuration_there_is_no_login() -> None:
    assert credentials_for(REGISTRY) is None


KEYS = [
    *((REGISTRY, key) for key in (REGISTRY, f"https://{REGISTRY}", f"{REGISTRY}/", f"https://{REGISTRY}/")),
    *(
        (alias, key)
        for alias in ("docker.io", "index.docker.io", "registry-1.docker.io")
        for key in (HUB, f"https://{HUB}", "docker.io")
    ),
    ("localhost:5000", "localhost:5000"),
    (f"{REGISTRY}/team-a", f"{REGISTRY}/team-a"),
    (f"{REGISTRY}/team-a", f"https://{REGISTRY}"),
    ("some-user", f"https://{HUB}"),
]


@pytest.mark.parametrize(("registry", "key"), KEYS)
def test_a_login_is_found_under_each_of_its_keys(registry: str, key: str, home: Path) -> None:
    configure(home, {"auths": {"other.example.test": auth("bob"), key: auth()}})
    assert credentials_for(registry) == Credentials(key, "alice", "pass:word")


@pytest.mark.parametrize(("registry", "key"), KEYS)
def test_a_helper_is_asked_for_each_of_the_keys(registry: str, key: str, home: Path, helpers: Helpers) -> None:
    configure(home, {"credsStore": "store"})
    helpers.add("store", {key: answer(f"https://told/{key}")})
    assert credentials_for(registry) == Credentials(f"https://told/{key}", "alice", "pass:word")
    assert helpers.asked()[-1] == f"get {key}"


def test_the_keys_have_an_order(home: Path) -> None:
    keys = [REGISTRY, f"https://{REGISTRY}", f"{REGISTRY}/", f"https://{REGISTRY}/"]
    while keys:
        configure(home, {"auths": {key: auth(str(number)) for number, key in reversed([*enumerate(keys)])}})
        found = credentials_for(REGISTRY)
        assert found and (found.registry, found.user) == (keys[0], "0")
        del keys[0]


@pytest.mark.parametrize("key", ["other.example.test", f"http://{REGISTRY}", "example.test", f"x{REGISTRY}"])
def test_logins_of_others_are_not_taken(key: str, home: Path) -> None:
    configure(home, {"auths": {key: auth()}})
    assert credentials_for(REGISTRY) is None


@pytest.mark.parametrize("entry", [{}, {"auth": ""}, {"auth": None}, None, "text", {"email": "alice@example.test"}])
def test_an_entry_without_a_login_is_none(entry: object, home: Path) -> None:
    configure(home, {"auths": {REGISTRY: entry, f"https://{REGISTRY}": auth()}})
    assert credentials_for(REGISTRY) == Credentials(f"https://{REGISTRY}", "alice", "pass:word")


@pytest.mark.parametrize("nothing", [{}, {"auths": None}, {"auths": {}, "credHelpers": None, "credsStore": ""}])
def test_a_configuration_may_be_about_other_things(nothing: object, home: Path) -> None:
    configure(home, nothing)
    assert credentials_for(REGISTRY) is None


def test_where_a_helper_is_responsible_only_the_helper_is_asked(home: Path, helpers: Helpers) -> None:
    configure(home, {"auths": {REGISTRY: auth()}, "credsStore": "store"})
    helpers.add("store")
    assert credentials_for(REGISTRY) is None
    assert helpers.asked() == [
        f"get {key}" for key in (REGISTRY, f"https://{REGISTRY}", f"{REGISTRY}/", f"https://{REGISTRY}/")
    ]


def test_the_helper_of_a_registry_comes_before_the_one_for_all(home: Path, helpers: Helpers) -> None:
    configure(home, {"credHelpers": {REGISTRY: "special"}, "credsStore": "store"})
    helpers.add("special", {REGISTRY: answer("", "robot")})
    helpers.add("store", {REGISTRY: answer("", "alice")})
    assert credentials_for(REGISTRY) == Credentials(REGISTRY, "robot", "pass:word")
    assert helpers.asked() == [f"get {REGISTRY}"]


def test_the_helper_of_another_registry_does_not_hide_an_entry(home: Path, helpers: Helpers) -> None:
    configure(home, {"credHelpers": {"other.example.test": "special"}, "auths": {REGISTRY: auth()}})
    assert credentials_for(REGISTRY) == Credentials(REGISTRY, "alice", "pass:word")


@pytest.mark.parametrize("lacking", ["Username", "Secret"])
def test_a_helper_that_tells_half_a_login_tells_none(lacking: str, home: Path, helpers: Helpers) -> None:
    configure(home, {"credsStore": "store"})
    helpers.add("store", {REGISTRY: answer(REGISTRY) | {lacking: ""}})
    assert credentials_for(REGISTRY) is None


def test_identity_tokens_are_told_apart_from_passwords(home: Path, helpers: Helpers) -> None:
    configure(home, {"auths": {REGISTRY: auth("someone", "") | {"identitytoken": "a token"}}})
    assert credentials_for(REGISTRY) == Credentials(REGISTRY, "<token>", "a token")
    configure(home, {"credsStore": "store"})
    helpers.add("store", {REGISTRY: answer("", "<token>", "another")})
    assert credentials_for(REGISTRY) == Credentials(REGISTRY, "<token>", "another")


def test_docker_may_have_its_configuration_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(home, {"auths": {REGISTRY: auth("of home")}})
    configure(home, {"auths": {REGISTRY: auth("of elsewhere")}}, "elsewhere/config.json")
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "elsewhere"))
    found = credentials_for(REGISTRY)
    assert found and found.user == "of elsewhere"


@pytest.mark.parametrize("file", ["runtime/containers/auth.json", ".config/containers/auth.json", "named.json"])
def test_logins_of_podman_and_buildah_are_found_after_dockers(
    file: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if file == "named.json":
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(home / file))
    configure(home, {"auths": {REGISTRY: auth("podman's"), "docker.io": auth("podman's")}}, file)
    assert [found and found.user for found in map(credentials_for, (REGISTRY, "docker.io"))] == ["podman's"] * 2
    configure(home, {"auths": {REGISTRY: auth("docker's")}})
    assert [found and found.user for found in map(credentials_for, (REGISTRY, "docker.io"))] == ["docker's", "podman's"]


BROKEN: dict[str, tuple[Any, str]] = {
    "no JSON": (b'{"auths": ', "config.json is no JSON: "),
    "no text": (b"\xff", "config.json is no JSON: "),
    "no object": ([1], "config.json must hold a JSON object."),
    "auths that is no object": ({"auths": ["secret"]}, "auths in .*config.json must be a JSON object."),
    "credHelpers that is no object": ({"credHelpers": "x"}, "credHelpers in .*config.json must be a JSON object."),
    "a login that is no base64": ({"auths": {REGISTRY: {"auth": "s€cret"}}}, f"The login for {REGISTRY} in .* is broken"),
    "a login without a colon": ({"auths": {REGISTRY: {"auth": "c2VjcmV0"}}}, f"The login for {REGISTRY} in .* is broken"),
    "a login that is a number": ({"auths": {REGISTRY: {"auth": 7}}}, f"The login for {REGISTRY} in .* is broken"),
    "a helper that is a path": ({"credsStore": "../../evil"}, "names a credentials helper that cannot be"),
    "a helper that is not there": ({"credsStore": "absent"}, "docker-credential-absent cannot be started: No such file"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_configuration_is_told_in_a_sentence_without_secrets(case: str, home: Path) -> None:
    config, sentence = BROKEN[case]
    file = configure(home, config)
    with pytest.raises(PreflightError, match=sentence) as failure:
        credentials_for(REGISTRY)
    assert not re.search("secret|s€cret|c2VjcmV0", str(failure.value))
    assert str(file) in str(failure.value)


ILL = {
    "says why it cannot": ("echo the keychain is locked >&2; exit 1", "the keychain is locked"),
    "says nothing": ("exit 3", "exit code 3"),
    "prints no JSON": ("echo secret; exit 0", "answers with what is no login"),
    "prints something else": ("echo '[\"secret\"]'", "answers with what is no login"),
}


@pytest.mark.parametrize("case", ILL)
def test_a_helper_that_fails_is_told_of(case: str, home: Path, helpers: Helpers) -> None:
    does, told = ILL[case]
    configure(home, {"credHelpers": {REGISTRY: "ill"}})
    helpers.add("ill", otherwise=does)
    with pytest.raises(PreflightError, match=f"docker-credential-ill.*{REGISTRY}.*{told}") as failure:
        credentials_for(REGISTRY)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize("config", [{"credsStore": "gone"}, {"credHelpers": {REGISTRY: "ill"}}, "{", {"auths": 5}])
def test_without_a_login_that_cannot_be_looked_up_there_is_none_for_pulling(
    config: object, home: Path, helpers: Helpers
) -> None:
    configure(home, config)
    helpers.add("ill", otherwise="echo secret; exit 3")
    warnings: list[str] = []
    assert pull_credentials(REGISTRY, warnings.append) is None
    assert len(warnings) == 1
    assert warnings[0].startswith(f"No login for pulling from {REGISTRY} is given to the cluster: ")


def test_an_identity_token_is_none_for_pulling(home: Path) -> None:
    configure(home, {"auths": {REGISTRY: {"identitytoken": "secret"}}})
    warnings: list[str] = []
    assert pull_credentials(REGISTRY, warnings.append) is None
    assert len(warnings) == 1
    assert "identity token" in warnings[0]
    assert "secret" not in warnings[0]


def test_any_other_login_is_one_for_pulling(home: Path) -> None:
    configure(home, {"auths": {REGISTRY: auth()}})
    assert pull_credentials(REGISTRY, pytest.fail) == Credentials(REGISTRY, "alice", "pass:word")


def test_a_configuration_that_may_not_be_read_is_named(home: Path) -> None:
    (home / ".docker/config.json").mkdir(parents=True)
    with pytest.raises(PreflightError, match=r"\.docker/config\.json cannot be read: Is a directory\."):
        credentials_for(REGISTRY)
