"""The strategic merge of profiles and snippets: a patch on a source.

Null in a patch says nothing. Mappings are merged key by key, lists of mappings by the key that names their elements,
other lists become a union; of anything else, and where types differ, the patch wins. What the source says comes first.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from .nodes import Node, Path, Place, lift, plain, write_path
from .report import quoted


class MergeError(ValueError):
    """Two lists of mappings that cannot be merged, and where."""

    def __init__(self, message: str, path: Path, place: Place) -> None:
        super().__init__(f"{write_path(path)}: {message}" if path else message)
        self.message, self.path, self.place = message, path, place


def merge(source: Any, patch: Any, keys: Mapping[str, str], replace: Collection[str] = ()) -> Any:
    """Plain data merged with a patch. Neither is changed.

    `keys` says by which key the mappings in a list are told apart, by the name of the field that holds the list; lists
    of fields in `replace` are taken whole. Raises MergeError, a ValueError.
    """
    return plain(merge_nodes(lift(source), lift(patch), keys, replace))


def merge_nodes(
    source: Node, patch: Node, keys: Mapping[str, str], replace: Collection[str] = (), path: Path = ()
) -> Node:
    """The same for nodes; each value of the result is where it has been written. Raises MergeError."""
    if patch.is_null:
        return source
    if patch.is_mapping:
        base = source if source.is_mapping else Node({}, place=patch.place)
        return _merge_mappings(base, patch, keys, replace, path)
    name = path[-1] if path else ""
    if patch.is_list and source.is_list and name not in replace:
        return _merge_lists(source, patch, keys, replace, path)
    return patch


def _merge_mappings(source: Node, patch: Node, keys: Mapping[str, str], replace: Collection[str], path: Path) -> Node:
    merged = dict(source.value)
    for key, value in patch.value.items():
        if key in merged:
            merged[key] = merge_nodes(merged[key], value, keys, replace, (*path, key))
        elif not value.is_null:
            merged[key] = merge_nodes(Node(None), value, keys, replace, (*path, key))
    return Node(merged, place=source.place)


def _merge_lists(source: Node, patch: Node, keys: Mapping[str, str], replace: Collection[str], path: Path) -> Node:
    if not source.value or not patch.value:
        return source if source.value else patch
    if not any(item.is_mapping for item in (*source.value, *patch.value)):
        return Node(_union(source.value, patch.value), place=source.place)
    key = keys.get(str(path[-1])) if path else None
    if key is None:
        raise MergeError("a list of mappings cannot be merged here, no key tells its elements apart", path, patch.place)
    items = list(source.value)
    positions = {_identity(item, key): position for position, item in reversed(list(enumerate(items)))}
    for identity, item in zip(_identities(patch, key, path), patch.value, strict=True):
        position = positions.setdefault(identity, len(items))
        if position == len(items):
            items.append(item)
        else:
            items[position] = merge_nodes(items[position], item, keys, replace, (*path, position))
    return Node(items, place=source.place)


def _identities(patch: Node, key: str, path: Path) -> list[str]:
    """What tells the elements of a patch apart. Raises MergeError where one does not say, or two say the same."""
    identities: dict[str, None] = {}
    for index, item in enumerate(patch.value):
        identity = _identity(item, key)
        if identity is None:
            raise MergeError(f"`{key}` is missing, which says what this is merged with", (*path, index), item.place)
        if identity in identities:
            raise MergeError(f"{quoted(identity)} is there twice", (*path, index), item.place)
        identities[identity] = None
    return list(identities)


def _identity(item: Node, key: str) -> str | None:
    """What tells an element of a list apart; None when it does not say."""
    value = item.value.get(key) if item.is_mapping else None
    return value.text if value and value.is_scalar and not value.is_null else None


def _union(first: list[Node], second: list[Node]) -> list[Node]:
    items: dict[str, Node] = {}
    for item in (*first, *second):
        items.setdefault(json.dumps(plain(item), sort_keys=True), item)
    return list(items.values())
