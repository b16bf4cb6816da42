"""Log in to a registry without touching the configuration of whoever runs this."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .. import processes
from ..errors import HspecError, PushError
from ..service import Credentials
from .builders import Builder
from .credentials import TOKEN_USER, auth_entry, docker_directory, read
from .registry import DOCKER_HUB, host_of, is_insecure

PATIENCE = 120.0  # seconds for a registry to say yes or no
OF_LOGINS = ("auths", "credsStore", "credHelpers")


@contextmanager
def logged_in(builder: Builder, registry: str, credentials: Credentials | None) -> Iterator[Mapping[str, str]]:
    """The environment in which a builder is logged in. Without credentials, the user's own. Raises PushError."""
    if credentials is None:
        yield builder.environment
        return
    host = host_of(registry)
    with tempfile.TemporaryDirectory(prefix="hspec-login-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        file = _write_configuration(directory, host, credentials)
        env = {"DOCKER_CONFIG": str(directory), "REGISTRY_AUTH_FILE": str(file)}
        if credentials.user != TOKEN_USER:  # an identity token is the fruit of a login
            _log_in(builder, host, credentials, env)
        yield env


def _write_configuration(directory: Path, host: str, credentials: Credentials) -> Path:
    """Like the user's, so that docker finds its contexts and plugins, but with this login and no other.

    It is in there already, so that docker does not look for a keychain to put it into.
    """
    config = {key: value for key, value in read(docker_directory() / "config.json").items() if key not in OF_LOGINS}
    keys = ["https://index.docker.io/v1/", "docker.io"] if host in DOCKER_HUB else [host]
    config["auths"] = {key: auth_entry(credentials) for key in keys}
    if docker_directory().is_dir():
        for path in docker_directory().iterdir():
            if path.name != "config.json":
                (directory / path.name).symlink_to(path.absolute())
    file = directory / "config.json"
    with open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as stream:
        json.dump(config, stream)
    return file


def _log_in(builder: Builder, host: str, credentials: Credentials, env: Mapping[str, str]) -> None:
    argv = builder.login(host, credentials.user, is_insecure(host))
    try:
        done = processes.run(argv, stdin=credentials.password, timeout=PATIENCE, env=env)
        complaint = "" if done.ok else done.complaint
    except HspecError as error:
        complaint = str(error)
    if complaint:
        told = complaint.replace(credentials.password, "***") if credentials.password else complaint
        raise PushError(f"{host} does not let {credentials.user} in: {told}")
