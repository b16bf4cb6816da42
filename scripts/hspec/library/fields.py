"""What the application configuration can say of a service, and how it is written."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from octopod.hspec import spec
from octopod.hspec.service import Prop, Range, Service

SCALARS = ("replicas", "memory", "cpu")
MAPS = ("props", "secrets")
CALL = re.compile(r"(file|endpoint|string)\(.*\)", re.IGNORECASE | re.DOTALL)


class Field(NamedTuple):
    """One thing that can be set. `value`: as the spec has it; None when it has none, or none that could be written."""

    service: str
    part: str  # one of SCALARS and MAPS
    name: str = ""  # in a map
    value: str | None = None
    is_declared: bool = True  # in the spec

    @property
    def key(self) -> str:
        """Without the service."""
        return f"{self.part}.{self.name}" if self.name else self.part

    @property
    def full_key(self) -> str:
        return f"{self.service}.{self.key}"

    @property
    def is_secret(self) -> bool:
        return self.part == "secrets"


def of(service: Service) -> list[Field]:
    """All that can be set of a service. Names that no form could hold are left out."""
    scalars = {"replicas": _replicas(service), "memory": _range(service.memory), "cpu": _range(service.cpu)}
    found = [
        Field(service.name, part, "", value, getattr(service, part) is not None) for part, value in scalars.items()
    ]
    found += [Field(service.name, "props", name, _prop(prop)) for name, prop in service.props.items()]
    found += _secrets(service)
    return [field for field in found if all(part == part.strip() != "" for part in field.key.split("."))]


def _secrets(service: Service) -> Iterator[Field]:
    if service.secrets:
        values = service.secrets.values or {}
        yield from (Field(service.name, "secrets", name, values.get(name)) for name in service.secrets.keys)


def _replicas(service: Service) -> str | None:
    """A range that follows the load has no short form: it is shown as nothing, and a number takes its place."""
    found = service.replicas
    return str(found.min) if found and not found.is_autoscaled else None


def _range(found: Range | None) -> str | None:
    if not found:
        return None
    return f"{found.min}-{found.max}" if found.min else found.max


def _prop(prop: Prop) -> str | None:
    """So that it means the same when it comes back."""
    if prop.kind == "file":
        return None
    if prop.kind == "endpoint":
        return f"endpoint({prop.text})"
    return f"string({prop.text})" if CALL.fullmatch(prop.text.strip()) else prop.text


def schema(field: Field) -> dict[str, Any]:
    """JSON Schema of a field's value."""
    about: dict[str, Any] = {"type": "string", "description": f"{_help(field)} Service {field.service}."}
    if field.part == "replicas":
        about |= {"type": "integer", "minimum": 0}
    elif field.part in SCALARS:
        about |= {key: text for key, text in _published(field.part).items() if key in ("pattern", "examples")}
    if field.is_secret:
        return about | {"writeOnly": True}
    if field.value is None:
        return about
    return about | {"default": int(field.value) if field.part == "replicas" else field.value}


def _help(field: Field) -> str:
    if field.part == "props":
        return f"The prop {field.name}."
    if field.is_secret:
        return f"The secret {field.name}."
    return str(_published(field.part).get("description", field.part))


@cache
def _published(part: str) -> dict[str, Any]:
    """What the schema of specs says of a field."""
    found: dict[str, Any] = spec.json_schema()["properties"].get(part, {})
    return found
