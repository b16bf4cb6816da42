"""Profiles: what is different in one environment, and what may be."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..errors import Problem, ProfileError
from .checking import check, nearest
from .kinds import Either, Group, Kind, ListOf
from .model import PROFILE_KEYS, SPEC
from .nodes import Node
from .nodes import Path as FieldPath
from .reading import read
from .report import Report, quoted

KEYS = Group(PROFILE_KEYS)


class Profile(NamedTuple):
    """A profile, and what is wrong with it."""

    file: Path
    environment: str
    service: str
    patch: Node
    problems: list[Problem]


def read_profile(file: Path, spec: Node | None = None) -> Profile:
    """A profile, checked; with a spec, that it is the spec's too. Raises ProfileError when it cannot be read."""
    root = read(file, ProfileError)
    report = Report(root, file)
    named = Node({key: value for key, value in root.value.items() if key in KEYS.by_name}, place=root.place)
    keys = check(named, KEYS, (), report) or {}
    patch = Node({key: value for key, value in root.value.items() if key not in KEYS.by_name}, place=root.place)
    check_overridable(patch, report)
    environment, service = keys.get("environment") or "", keys.get("overrides") or ""
    name = spec.value.get("name") if spec else None
    if service and name and name.text != service:
        report.error(("overrides",), f"This is a profile of {quoted(service)}, not of {quoted(name.text)}.")
    return Profile(file, environment, service, patch, report.problems)


def check_overridable(patch: Node, report: Report) -> None:
    """Report every key of a patch that is not a profile's to say."""
    _check_keys(patch, SPEC, (), report)


def _check_keys(node: Node, kind: Kind, path: FieldPath, report: Report) -> None:
    if isinstance(kind, Either):
        _check_either(node, kind, path, report)
    elif isinstance(kind, ListOf) and node.is_list:
        for index, item in enumerate(node.value):
            _check_keys(item, kind.item, (*path, index), report)
    elif isinstance(kind, Group) and node.is_mapping:
        for name, child in node.value.items():
            if name in kind.by_name and kind.by_name[name].is_overridable:
                _check_keys(child, kind.by_name[name].kind, (*path, name), report)
            else:
                report.error((*path, name), _not_overridable(name, kind))


def _check_either(node: Node, kind: Either, path: FieldPath, report: Report) -> None:
    if node.is_mapping and kind.mapping:
        _check_keys(node, kind.mapping, path, report)


def _not_overridable(name: str, kind: Group) -> str:
    possible = ", ".join(field.name for field in kind.fields if field.is_overridable)
    if name in kind.by_name:
        return f"This cannot be overridden; {possible} can."
    return f"There is no such field.{nearest(name, kind)} {possible} can be overridden."


@cache
def merge_keys() -> Mapping[str, str]:
    """What tells the elements of a list apart, by the name of the list's field."""
    return {name: kind.key for name, kind in _lists(SPEC) if kind.key}


@cache
def replaced() -> frozenset[str]:
    """Fields whose list is taken whole."""
    return frozenset(name for name, kind in _lists(SPEC) if kind.is_replaced)


def _lists(kind: Kind) -> Iterator[tuple[str, ListOf]]:
    """The lists a profile can override, with the names of their fields."""
    for field in kind.fields if isinstance(kind, Group) else ():
        if not field.is_overridable:
            continue
        if isinstance(field.kind, ListOf):
            yield field.name, field.kind
            yield from _lists(field.kind.item)
        else:
            yield from _lists(field.kind)
