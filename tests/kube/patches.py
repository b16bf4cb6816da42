"""The four ways to patch an object."""

import copy
from collections.abc import Callable
from typing import Any

from .errors import Refusal
from .paths import Object

# How lists of objects merge, by the name of the list; all others are replaced as a whole. `ports` of a container and
# of a service differ: the first key that an element has counts.
MERGE_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "ports": ("containerPort", "port"),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey",),
    "resourceClaims": ("name",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "secrets": ("name",),
    "taints": ("key",),
}
SETS = ("finalizers",)


def strategic(target: Any, patch: Any, name: str = "") -> Any:
    """A strategic merge patch, with its directives, as kubectl and helm send it for the kinds that come with Kubernetes."""
    if isinstance(patch, list):
        return _merge_lists(target if isinstance(target, list) else [], patch, name)
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None or (isinstance(value, dict) and value.get("$patch") == "delete"):
            merged.pop(key, None)
        else:
            merged[key] = strategic(merged.get(key), value, key)
    return _directives(merged, patch)


def _directives(merged: Object, patch: Object) -> Object:
    for key, value in patch.items():
        directive, _, name = key.partition("/")
        if directive == "$retainKeys":
            merged = {kept: merged[kept] for kept in merged if kept in value}
        elif directive == "$deleteFromPrimitiveList":
            merged[name] = [item for item in merged.get(name, []) if item not in value]
        elif directive == "$setElementOrder" and name in merged:
            merged[name] = _ordered(merged[name], value, name)
    return merged


def _merge_lists(target: list[Any], patch: list[Any], name: str) -> list[Any]:
    if name in SETS:
        return target + [item for item in patch if item not in target]
    directives = [item for item in patch if isinstance(item, dict) and item.get("$patch") == "replace"]
    if name not in MERGE_KEYS or directives or not all(isinstance(item, dict) for item in patch):
        return [strategic(None, item) for item in patch if item not in directives]
    merged = list(target)
    for item in patch:
        identity = _identity(item, name)
        position = next((at for at, known in enumerate(merged) if _identity(known, name) == identity), None)
        if item.get("$patch") == "delete":
            merged = [known for known in merged if _identity(known, name) != identity]
        elif position is None:
            merged.append(strategic(None, item))
        else:
            merged[position] = strategic(merged[position], item)
    return merged


def _identity(item: Any, name: str) -> Any:
    if not isinstance(item, dict):
        return item
    for key in MERGE_KEYS[name]:
        if key in item:
            return item[key]
    keys = MERGE_KEYS[name]
    raise Refusal(500, "InternalError", f"map: {item} does not contain declared merge key: {keys[0]}")


def _ordered(items: list[Any], order: list[Any], name: str) -> list[Any]:
    """In the order asked for; what it does not mention stays behind what it stood behind."""
    wanted = [_identity(item, name) if name in MERGE_KEYS else item for item in order]
    places: dict[int, float] = {}
    last = -1.0
    for at, item in enumerate(items):
        identity = _identity(item, name) if name in MERGE_KEYS else item
        last = wanted.index(identity) if identity in wanted else last + 0.001
        places[at] = last
    return [items[at] for at in sorted(places, key=places.__getitem__)]


def merge(target: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def json_patch(target: Object, patch: list[Object]) -> Object:
    """A JSON patch (RFC 6902). Raises Refusal 422 when it does not fit."""
    document = {"": copy.deepcopy(target)}
    for step in patch:
        try:
            _operate(document, step)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            message = f"the server rejected our request due to an error in our request: {step} ({error!r})"
            raise Refusal(422, "Invalid", message) from None
    return document[""]


def _operate(document: Object, step: Object) -> None:
    operation, path = step["op"], step["path"]
    if operation == "test":
        if _at(document, path) != step["value"]:
            raise ValueError("testing value failed")
    elif operation in ("add", "replace"):
        _set(document, path, copy.deepcopy(step["value"]), operation == "replace")
    elif operation == "remove":
        _remove(document, path)
    elif operation in ("move", "copy"):
        value = copy.deepcopy(_at(document, step["from"]))
        if operation == "move":
            _remove(document, step["from"])
        _set(document, path, value)
    else:
        raise ValueError("unknown operation")


def _keys(path: str) -> list[str]:
    return [key.replace("~1", "/").replace("~0", "~") for key in path.split("/")]


def _walk(value: Any, keys: list[str]) -> Any:
    for key in keys:
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def _at(document: Object, path: str) -> Any:
    return _walk(document, _keys(path))


def _set(document: Object, path: str, value: Any, must_exist: bool = False) -> None:
    *parents, last = _keys(path)
    parent = _walk(document, parents)
    if must_exist:
        _walk(parent, [last])
    if not isinstance(parent, list):
        parent[last] = value
    elif must_exist:
        parent[int(last)] = value
    else:
        position = len(parent) if last == "-" else int(last)
        if position > len(parent):
            raise IndexError(position)
        parent.insert(position, value)


def _remove(document: Object, path: str) -> None:
    *parents, last = _keys(path)
    parent = _walk(document, parents)
    del parent[int(last) if isinstance(parent, list) else last]


def applied(target: Object | None, patch: Object, before: Object | None) -> Object:
    """A server-side apply: merged, without what the same manager had applied `before` and now does not mention."""
    return strategic(_without(target or {}, before or {}, patch), patch)


def _without(target: Any, before: Any, patch: Any) -> Any:
    if not (isinstance(target, dict) and isinstance(before, dict) and isinstance(patch, dict)):
        return target
    kept = {key: value for key, value in target.items() if key not in before or key in patch}
    return {key: _without(value, before.get(key), patch.get(key)) for key, value in kept.items()}


PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    "application/json-patch+json": json_patch,
    "application/merge-patch+json": merge,
    "application/strategic-merge-patch+json": strategic,
}
