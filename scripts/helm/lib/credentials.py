"""Credentials of registries, as pull secrets and docker's configuration hold them."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lib.images import DEFAULT_HOST, DOCKER_HUB
from shared.output import hide


class Login(NamedTuple):
    user: str
    password: str

    @property
    def header(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class Keyring(NamedTuple):
    """Logins by registry, or by registry and the beginning of a repository's path."""

    logins: Mapping[str, Login]

    def find(self, host: str, repository: str) -> Login | None:
        """The login for a repository: the one for the longest path that leads to it."""
        full = f"{host}/{repository}/"
        fitting = [key for key in self.logins if full.startswith(f"{key}/")]
        return self.logins[max(fitting, key=len)] if fitting else None


def from_docker_config() -> Keyring:
    """What is in docker's configuration file of whoever runs this; nothing when there is none."""
    directory = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        return from_json((directory / "config.json").read_text())
    except OSError:
        return Keyring({})


def from_json(text: str | bytes) -> Keyring:
    """The logins in a docker configuration, old (`.dockercfg`) or new; what cannot be read is left out."""
    try:
        config = json.loads(text)
    except ValueError:
        return Keyring({})
    entries = config.get("auths", config) if isinstance(config, dict) else {}
    found = {registry(key): _login(entry) for key, entry in entries.items() if isinstance(entry, dict)}
    logins = {key: login for key, login in found.items() if login}
    hide(login.password for login in logins.values())
    return Keyring(logins)


def _login(entry: dict[str, Any]) -> Login | None:
    if entry.get("username"):
        return Login(entry["username"], entry.get("password", ""))
    try:
        user, colon, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
    except ValueError:
        return None
    return Login(user, password) if colon else None


def registry(key: str) -> str:
    """The registry that a key of a configuration is about: `https://index.docker.io/v1/` is docker.io."""
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, _, path = bare.partition("/")
    host = DEFAULT_HOST if host in DOCKER_HUB else host
    return f"{host}/{path}" if path and path not in ("v1", "v2") else host


def from_secret(secret: dict[str, Any]) -> Keyring:
    """The logins in a pull secret of Kubernetes."""
    data = secret.get("data") or {}
    texts = [base64.b64decode(data[key]) for key in (".dockerconfigjson", ".dockercfg") if data.get(key)]
    plain = secret.get("stringData") or {}
    texts += [plain[key].encode() for key in (".dockerconfigjson", ".dockercfg") if plain.get(key)]
    return joined([from_json(text) for text in texts])


def joined(keyrings: list[Keyring]) -> Keyring:
    """One of all; of two logins for the same registry the first counts."""
    return Keyring({key: login for keyring in reversed(keyrings) for key, login in keyring.logins.items()})
