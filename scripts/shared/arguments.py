"""The arguments of the contract (scripts/README.md)."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from shared.output import SECRET_KEY, Failure, hide

FIELDS = {"--project-name": "project", "--base-domain": "base_domain", "--namespace": "namespace", "--name": "name"}


class Request(NamedTuple):
    """What a script was called with."""

    project: str = ""
    base_domain: str = ""
    namespace: str = "default"
    name: str = ""
    application: tuple[tuple[str, str], ...] = ()
    deployment: tuple[tuple[str, str], ...] = ()

    def unused_keys(self, known: Iterable[str]) -> list[str]:
        """Keys of the deployment configuration that mean nothing to a suite that knows these."""
        return sorted({key for key, _ in self.deployment} - set(known))

    def deployment_value(self, key: str) -> str:
        return next((value for name, value in self.deployment if name == key), "")


def parse(argv: list[str], named: bool = True) -> Request:
    """The request, its secrets hidden from all output. Raises Failure."""
    request = Request()
    if len(argv) % 2:
        raise Failure(f"The argument {argv[-1]} has no value.")
    for flag, value in zip(argv[::2], argv[1::2], strict=True):
        request = _with(request, flag, value)
    hide(value for key, value in (*request.application, *request.deployment) if SECRET_KEY.search(key))
    if named and not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", request.name):
        raise Failure(f'"{request.name}" cannot be the name of a deployment.')
    return request


def _with(request: Request, flag: str, value: str) -> Request:
    if flag == "--application-config":
        return request._replace(application=(*request.application, parse_pair(value)))
    if flag == "--deployment-config":
        return request._replace(deployment=(*request.deployment, parse_pair(value)))
    if flag in FIELDS:
        return Request(**(request._asdict() | {FIELDS[flag]: value}))
    raise Failure(f"The argument {flag} is not known.")


def parse_pair(pair: str) -> tuple[str, str]:
    """KEY=VALUE; the key ends at the first =. Raises Failure."""
    key, equals, value = pair.partition("=")
    if not key or not equals:
        raise Failure(f'A configuration is KEY=VALUE, not "{key}".')
    return key, value
