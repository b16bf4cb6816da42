"""Values that are written in one text: ports and props."""

import re
from pathlib import Path
from typing import Any, Literal, cast

from ..service import Port, Prop
from .files import Files

FORM = re.compile(r"(file|endpoint|string)\((.*)\)", re.IGNORECASE | re.DOTALL)


def port_of(text: str) -> Port:
    """`8080/http`, as patterns.PORT allows it."""
    number, _, protocol = text.lower().partition("/")
    return Port(int(number), cast(Literal["tcp", "udp", "http", "https"], protocol or "tcp"))


def ports_of(owner: dict[str, Any]) -> list[Port | None]:
    """The ports of a service or an agent; None for one that is wrong."""
    texts = [(port or {}).get("port") for port in owner.get("ports") or []]
    return [port_of(text) if text else None for text in texts]


def prop_of(text: str, files: Files) -> Prop:
    """A prop in one of its forms; the letter case of the form does not matter."""
    match = FORM.fullmatch(text)
    if not match:
        return Prop("string", text)
    kind, inner = match[1].lower(), match[2]
    if kind == "file":
        return Prop("file", inner.strip(), files.resolve(inner.strip()) if inner.strip() else Path())
    return Prop("endpoint", inner.strip()) if kind == "endpoint" else Prop("string", inner)
