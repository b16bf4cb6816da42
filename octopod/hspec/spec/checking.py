"""Values against the model: each as its field wants it, all that is wrong reported."""

import re
from difflib import get_close_matches
from functools import cache
from typing import Any

from .kinds import Boolean, Either, Group, Kind, ListOf, MapOf, Text, Whole, walk
from .model import SPEC
from .nodes import Node, Path, write_path
from .report import Report, quoted, shown

HINTS = 20  # unknown fields in one place that are worth comparing with all that are known


def check(node: Node, kind: Kind, path: Path, report: Report) -> Any:
    """The value as texts, numbers, booleans, lists and mappings; None where it is absent or wrong."""
    return _CHECKS[type(kind)](node, kind, path, report)


def _refuse(node: Node, kind: Kind, path: Path, report: Report, reason: str = "") -> Any:
    """Report a value, and None in its place."""
    is_hidden = getattr(kind, "is_secret", False)
    value = "This" if is_hidden and node.is_scalar else shown(node)
    report.error(path, f"{value} is not allowed: {reason or f'it must be {kind.allowed}'}.")
    return None


def _text(node: Node, kind: Text, path: Path, report: Report) -> str | None:
    if not node.is_scalar:
        return _refuse(node, kind, path, report)
    text = "" if node.is_null else node.text
    if (kind.longest and len(text) > kind.longest) or not kind.regex.fullmatch(text):
        return _refuse(node, kind, path, report)
    if kind.complaint and (complaint := kind.complaint(text)):
        return _refuse(node, kind, path, report, complaint)
    return text


def _whole(node: Node, kind: Whole, path: Path, report: Report) -> int | None:
    text = node.text if node.is_scalar else ""
    if re.fullmatch(kind.pattern, text) and kind.least <= int(text) <= kind.most:
        return int(text)
    return _refuse(node, kind, path, report)


def _boolean(node: Node, kind: Boolean, path: Path, report: Report) -> bool | None:
    word = node.text if node.is_scalar else ""
    return word in kind.true if word in kind.true + kind.false else _refuse(node, kind, path, report)


def _group(node: Node, kind: Group, path: Path, report: Report) -> dict[str, Any] | None:
    if not node.is_mapping:
        return _refuse(node, kind, path, report)
    _warn_of_unknown(node, kind, path, report)
    values = {}
    for field in kind.fields:
        child = node.value.get(field.name)
        if is_absent(child, field.kind):
            if field.is_required:
                report.error((*path, field.name), f"This is required, and missing. {field.help}")
            elif child and isinstance(field.kind, Group):
                report.warn((*path, field.name), "Nothing is written here, and it is ignored; `{}` would not be.")
            continue
        values[field.name] = check(child, field.kind, (*path, field.name), report)
    return values


def is_absent(node: Node | None, kind: Kind) -> bool:
    """Whether a field is not there, or there with nothing in it."""
    if node is None or node.is_null:
        return True
    return isinstance(kind, Text) and not kind.may_be_blank and node.is_scalar and not node.text.strip()


def _warn_of_unknown(node: Node, kind: Group, path: Path, report: Report) -> None:
    unknown = [name for name in node.value if name not in kind.by_name]
    for position, name in enumerate(unknown):
        hint = nearest(name, kind) if position < HINTS else ""
        report.warn((*path, name), f"There is no such field; it is ignored.{hint}")


def nearest(name: str, kind: Group) -> str:
    """A hint at the field that may have been meant, or nothing."""
    known = {field.lower(): field for field in kind.by_name}
    if found := get_close_matches(name.lower()[:100], known, 1):
        return f" Did you mean `{known[found[0]]}`?"
    return f" There is `{_everywhere()[name]}`." if name in _everywhere() else ""


@cache
def _everywhere() -> dict[str, str]:
    """All fields by their names; of those with one name the one closest to the root."""
    paths = sorted((write_path(path) for path, _ in walk(SPEC)), key=lambda path: (path.count("."), path))
    return {path.rpartition(".")[2]: path for path in reversed(paths)}


def _list(node: Node, kind: ListOf, path: Path, report: Report) -> list[Any] | None:
    if not node.is_list:
        return _refuse(node, kind, path, report)
    if len(node.value) < kind.least:
        report.error(path, "The list is empty; there must be something in it.")
    values = [check(item, kind.item, (*path, index), report) for index, item in enumerate(node.value)]
    if kind.key or kind.is_set:
        _refuse_twice(values, kind, path, report)
    return values


def _refuse_twice(values: list[Any], kind: ListOf, path: Path, report: Report) -> None:
    """What a list may have only once. Ports are compared by number and transport, elsewhere."""
    if kind.key == "port":
        return
    first: dict[str, int] = {}
    for index, value in enumerate(values):
        identity = value.get(kind.key) if isinstance(value, dict) else value
        if identity is not None and first.setdefault(identity, index) != index:
            where = (*path, index, kind.key) if kind.key else (*path, index)
            line = report.place((*path, first[identity])).line
            report.error(where, f"{quoted(identity)} is there twice{f', first in line {line}' if line else ''}.")


def _map(node: Node, kind: MapOf, path: Path, report: Report) -> dict[str, str | None] | None:
    if not node.is_mapping:
        return _refuse(node, kind, path, report)
    for key in node.value:
        if len(key) > (kind.key.longest or len(key)) or not kind.key.regex.fullmatch(key):
            report.error((*path, key), f"The key {quoted(key)} is not allowed: it must be {kind.key.allowed}.")
    return {key: _text(child, kind.value, (*path, key), report) for key, child in node.value.items()}


def _either(node: Node, kind: Either, path: Path, report: Report) -> Any:
    chosen: Kind | None = kind.mapping if node.is_mapping else kind.list if node.is_list else kind.scalar
    return check(node, chosen, path, report) if chosen else _refuse(node, kind, path, report)


_CHECKS: dict[type, Any] = {
    Text: _text, Whole: _whole, Boolean: _boolean, Group: _group, ListOf: _list, MapOf: _map, Either: _either,
}  # fmt: skip
