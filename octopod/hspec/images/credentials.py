"""Logins of registries, from docker's configuration and the helpers it names, or else from podman's and buildah's."""

import base64
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import processes
from ..errors import HspecError, PreflightError
from ..service import Credentials
from .registry import DOCKER_HUB, host_of

TOKEN_USER = "<token>"  # the user of credentials whose password is an identity token
PATIENCE = 60.0  # seconds; a helper may ask a person
NOT_THERE = ("not found", "no credentials")  # how helpers say that they have none


def credentials_for(registry: str | None) -> Credentials | None:
    """The login for a registry, None when there is none. Raises PreflightError when it cannot be looked up."""
    if not registry:
        return None
    for file in files():
        config = read(file)
        for pattern in patterns(registry):
            found = _look_up(config, pattern, file)
            if found:
                return found
    return None


def pull_credentials(registry: str | None, warn: Callable[[str], None]) -> Credentials | None:
    """The login that a cluster can pull with. None, and a warning, where there is one that it cannot be given.

    Nothing fails for it: a cluster may have a login of its own. What a push needs is looked for by `preflight`.
    """
    try:
        found = credentials_for(registry)
    except PreflightError as error:
        warn(f"No login for pulling from {registry} is given to the cluster: {error}")
        return None
    if found and found.user == TOKEN_USER:
        warn(f"No login for pulling from {registry} is given to the cluster: it cannot use an identity token.")
        return None
    return found


def files() -> list[Path]:
    """Where logins are, the most important first; not all need exist."""
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        return [docker_directory() / "config.json", Path(named)]
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.getuid()}"
    lasting = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    runtime_file = Path(runtime, "containers/auth.json" if os.environ.get("XDG_RUNTIME_DIR") else "auth.json")
    return [docker_directory() / "config.json", runtime_file, Path(lasting, "containers/auth.json")]


def docker_directory() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def patterns(registry: str) -> list[str]:
    """The keys under which a login may be, the best first."""
    if registry in DOCKER_HUB:
        return [*_forms("index.docker.io/v1/"), "docker.io"]
    host = host_of(registry)
    return _forms(registry) + ([] if host == registry else patterns(host))


def _forms(name: str) -> list[str]:
    return [name, f"https://{name}", f"{name}/", f"https://{name}/"]


def read(file: Path) -> dict[str, Any]:
    """A configuration; empty when there is none. Raises PreflightError when it is none."""
    try:
        config = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise PreflightError(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise PreflightError(f"{file} is no JSON: {error}.") from None
    if not isinstance(config, dict):
        raise PreflightError(f"{file} must hold a JSON object.")
    for key in ("auths", "credHelpers"):
        if not isinstance(config.get(key) or {}, dict):
            raise PreflightError(f"{key} in {file} must be a JSON object.")
    return config


def _look_up(config: Mapping[str, Any], pattern: str, file: Path) -> Credentials | None:
    """Where a helper is responsible, only the helper is asked."""
    helper = (config.get("credHelpers") or {}).get(pattern) or config.get("credsStore")
    if helper:
        return _ask(str(helper), pattern, file)
    entry = (config.get("auths") or {}).get(pattern)
    return _from_entry(entry, pattern, file) if isinstance(entry, dict) else None


def _from_entry(entry: Mapping[str, Any], pattern: str, file: Path) -> Credentials | None:
    if entry.get("identitytoken"):
        return Credentials(pattern, TOKEN_USER, str(entry["identitytoken"]))
    if not entry.get("auth"):
        plain = entry.get("username"), entry.get("password")
        return Credentials(pattern, str(plain[0]), str(plain[1])) if all(plain) else None
    try:
        user, colon, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    except (ValueError, TypeError):
        colon = ""
    if not colon:
        raise PreflightError(f'The login for {pattern} in {file} is broken: its "auth" is not USER:PASSWORD in base64.')
    return Credentials(pattern, user, password.rstrip("\0"))


def _ask(helper: str, pattern: str, file: Path) -> Credentials | None:
    """What a helper knows of a registry."""
    program = f"docker-credential-{helper}"
    if "/" in helper:
        raise PreflightError(f"{file} names a credentials helper that cannot be: {helper!r}.")
    try:
        done = processes.run([program, "get"], stdin=pattern, timeout=PATIENCE)
    except HspecError as error:
        raise PreflightError(f"{error} {file} says that it knows the login for {pattern}.") from None
    if done.ok:
        return _from_answer(done.out, pattern, program)
    if any(words in (done.out + done.err).lower() for words in NOT_THERE):
        return None
    raise PreflightError(f"{program} cannot tell the login for {pattern}: {done.complaint}")


def _from_answer(answer: str, pattern: str, program: str) -> Credentials | None:
    try:
        told = json.loads(answer)
        user, secret, url = (told.get(key) or "" for key in ("Username", "Secret", "ServerURL"))
    except (ValueError, AttributeError):
        raise PreflightError(f"{program}, asked for the login for {pattern}, answers with what is no login.") from None
    return Credentials(url or pattern, user, secret) if user and secret else None


def auth_entry(credentials: Credentials) -> dict[str, str]:
    """A login as configurations write it below `auths`."""
    if credentials.user == TOKEN_USER:
        return {"auth": replace(credentials, password="").auth, "identitytoken": credentials.password}
    return {"auth": credentials.auth}
