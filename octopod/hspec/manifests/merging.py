"""Strategic merge of plain data: a patch over what is there, lists of maps matched by the key of their elements."""

from collections.abc import Mapping
from typing import Any

from .tree import InjectionError

KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ports": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
}


def merged(source: Any, patch: Any, field: str = "") -> Any:
    """A new value. Null in the patch keeps what is there, maps go into maps, other values replace.

    Lists of values become their union. Lists of maps match their elements by the key that KEYS has for the field;
    what matches none is added. Raises InjectionError for a list of maps in a field without such a key.
    """
    if patch is None:
        return source
    if isinstance(source, dict) and isinstance(patch, dict):
        return source | {key: merged(source.get(key), value, key) for key, value in patch.items() if value is not None}
    if isinstance(source, list) and isinstance(patch, list) and source:
        return _lists(source, patch, field)
    return patch


def _lists(source: list[Any], patch: list[Any], field: str) -> list[Any]:
    if not any(isinstance(each, dict) for each in source + patch):
        return source + [value for value in patch if value not in source]
    key = KEYS.get(field)
    if not key:
        raise InjectionError(f'The elements of "{field}" cannot be matched; only those of {", ".join(KEYS)} can.')
    by_key = {_key(each, key, field): each for each in source}
    for each in patch:
        name = _key(each, key, field)
        by_key[name] = merged(by_key.get(name), each)
    return list(by_key.values())


def _key(element: Any, key: str, field: str) -> Any:
    if not isinstance(element, Mapping) or key not in element:
        raise InjectionError(f'An element of "{field}" has no {key}, by which it would be matched.')
    return element[key]
