"""Refusals, worded and numbered as the real server does."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .kinds import Kind
    from .paths import Object


class Cause(NamedTuple):
    """What is wrong with one field."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class Refusal(Exception):
    """A Status object that says no."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details

    @property
    def status(self) -> Object:
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message}
        details = {"details": self.details} if self.details else {}
        return status | {"reason": self.reason, "code": self.code} | details


def _about(kind: Kind, name: str) -> Object:
    about = {"name": name, "group": kind.group, "kind": kind.plural}
    return {key: value for key, value in about.items() if value}


def not_found(kind: Kind, name: str) -> Refusal:
    return Refusal(404, "NotFound", f'{kind.resource} "{name}" not found', _about(kind, name))


def not_found_path() -> Refusal:
    return Refusal(404, "NotFound", "the server could not find the requested resource")


def already_exists(kind: Kind, name: str) -> Refusal:
    return Refusal(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', _about(kind, name))


def conflict(kind: Kind, name: str, why: str = "") -> Refusal:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return Refusal(409, "Conflict", message, _about(kind, name))


def invalid(kind: Kind, name: str, causes: list[Cause]) -> Refusal:
    listed = ", ".join(map(str, causes))
    message = f'{kind.qualified} "{name}" is invalid: {f"[{listed}]" if len(causes) > 1 else listed}'
    details = _about(kind, name) | {"kind": kind.name}
    details["causes"] = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    return Refusal(422, "Invalid", message, details)


def forbidden(verb: str, kind: Kind, name: str, why: str = "") -> Refusal:
    why = why or f'User "tester" cannot {verb} resource "{kind.plural}" in API group "{kind.group}"'
    return Refusal(403, "Forbidden", f'{kind.resource} "{name}" is forbidden: {why}', _about(kind, name))


def bad_request(message: str) -> Refusal:
    return Refusal(400, "BadRequest", message)


def unsupported_media(given: str, accepted: list[str]) -> Refusal:
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return Refusal(415, "UnsupportedMediaType", f"{message} (not {given})")


def not_allowed() -> Refusal:
    return Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def expired(version: int) -> Refusal:
    return Refusal(410, "Expired", f"too old resource version: {version}")


def required(field: str, message: str = "") -> Cause:
    return Cause(field, f"Required value: {message}" if message else "Required value", "FieldValueRequired")


def forbidden_field(field: str, message: str) -> Cause:
    return Cause(field, f"Forbidden: {message}", "FieldValueForbidden")
