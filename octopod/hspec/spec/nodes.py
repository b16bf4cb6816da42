"""What a file says, as a tree that still knows where each value was written."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import SpecError

DEEPEST = 60  # levels of lists and mappings
MOST = 20_000  # values, aliases written out
UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Path = tuple[str | int, ...]


class Place(NamedTuple):
    """Where a value is written; nowhere when it comes from no file."""

    file: str = ""
    line: int = 0


NOWHERE = Place()


@dataclass(slots=True)
class Node:
    """A mapping of nodes, a list of nodes, or a scalar, whose `text` is what was written."""

    value: Any  # dict[str, Node], list[Node], or what JSON has: str, int, float, bool, None
    text: str = ""
    place: Place = NOWHERE

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, list)

    @property
    def is_scalar(self) -> bool:
        return not isinstance(self.value, dict | list)

    @property
    def is_null(self) -> bool:
        return self.value is None


def plain(node: Node) -> Any:
    """The same as data that JSON can hold."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def lift(data: Any, levels: int = DEEPEST) -> Node:
    """Plain data as a tree that is written nowhere. Raises SpecError for what JSON cannot hold."""
    if levels < 0:
        raise SpecError(f"The values are nested deeper than {DEEPEST} levels.")
    if isinstance(data, Mapping):
        return Node({_key(key): lift(value, levels - 1) for key, value in data.items()})
    if isinstance(data, list | tuple):
        return Node([lift(item, levels - 1) for item in data])
    if isinstance(data, str):
        return _lift_text(data)
    if data is None:
        return Node(None)
    if isinstance(data, bool | int | float):
        return Node(data, json.dumps(data))
    raise SpecError(f"A {type(data).__name__} cannot be a value of a spec.")


def _lift_text(text: str) -> Node:
    if UNPRINTABLE.search(text):
        raise SpecError("There is a control character in a value.")
    return Node(text, text)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else lift(key, 0).text


def scalar(text: str) -> Any:
    """An unquoted scalar as JSON has it; as text when JSON would write it otherwise: `1.10`, `on`, `007` stay."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if len(text) > 17 or not (text[0].isdigit() or text[0] == "-"):
        return text
    return _number(text)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            if str(kind(text)) == text:
                return kind(text)
        except ValueError:
            pass
    return text


def write_path(path: Path) -> str:
    """`ports[1].healthCheck.httpPath`"""
    written = ""
    for part in path:
        written += f"[{part}]" if isinstance(part, int) else f".{part}" if written else part
    return written
