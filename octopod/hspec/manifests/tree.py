"""Put a piece of data into a tree of dicts and lists, at a path: `spec.template.spec.containers[0].image`.

A key that holds dots, or brackets, is written in double quotes: `metadata.annotations."hyscale.io/checksum"`.
"""

import re
from collections.abc import Mapping
from typing import Any

from ..errors import ManifestError

_SEGMENT = re.compile(r'(?:"([^"]+)"|([^."\[\]]+))(?:\[([0-9]{1,6})\])?(\.|$)')
MOST = 1000  # elements that a list is filled up to; no manifest has more
PLAIN = (str, int, float, bool, type(None))

Step = str | int


class InjectionError(ManifestError):
    """A piece that does not fit into its tree; the tree is as it was."""


def parse(path: str) -> list[Step]:
    """The steps of a path: keys, and indexes from 0. Raises InjectionError."""
    steps: list[Step] = []
    position, more = 0, True
    while more:
        found = _SEGMENT.match(path, position)
        if not found:
            raise InjectionError(f'"{path}" is no path: write key.key[0].key, and keys with dots in double quotes.')
        quoted, bare, index, dot = found.groups()
        steps += [quoted or bare] + ([int(index)] if index else [])
        position, more = found.end(), bool(dot)
    if any(isinstance(step, int) and step >= MOST for step in steps):
        raise InjectionError(f'"{path}" goes beyond the {MOST} elements that a list may have.')
    return steps


def plain(content: Any) -> Any:
    """A copy of plain data that shares nothing with it; tuples become lists. Raises InjectionError for other things."""
    if isinstance(content, PLAIN):
        return content
    if isinstance(content, Mapping) and all(isinstance(key, str) for key in content):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    raise InjectionError(
        f"A {type(content).__name__} is no plain data: texts, numbers, lists, and dicts with texts as keys."
    )


def inject(tree: dict[str, Any], path: str, content: Any) -> None:
    """Put `content` at `path`, growing what is missing on the way; lists are filled up with `{}`.

    A path of one key replaces what is there. At the end of a longer one, a list takes `content` (each of its elements,
    when it is a list itself) at its end; anything else is replaced whole. Raises InjectionError.
    """
    steps, content = parse(path), plain(content)
    if len(steps) == 1:
        tree[str(steps[0])] = content
        return
    node: Any = tree
    for depth, step in enumerate(steps[:-1]):
        below = _child(node, step, path)
        if below is None:
            _put(node, step, _grown(steps[depth + 1 :], content))
            return
        node = below
    _put_leaf(node, steps[-1], content, path)


def _put_leaf(node: Any, step: Step, content: Any, path: str) -> None:
    present = _child(node, step, path)
    if isinstance(present, list):
        present.extend(content if isinstance(content, list) else [content])
    else:
        _put(node, step, content)


def _child(node: Any, step: Step, path: str) -> Any:
    """What is there, or None. Raises InjectionError when the node cannot have such a child."""
    if isinstance(step, str):
        if not isinstance(node, dict):
            raise InjectionError(f'"{path}": there is a {_noun(node)} where "{step}" would need a map.')
        return node.get(step)
    if not isinstance(node, list):
        raise InjectionError(f'"{path}": there is a {_noun(node)} where [{step}] would need a list.')
    return node[step] if step < len(node) else None


def _noun(node: Any) -> str:
    return "map" if isinstance(node, dict) else "list" if isinstance(node, list) else "value"


def _put(node: Any, step: Step, value: Any) -> None:
    if isinstance(step, int):
        node.extend({} for _ in range(step + 1 - len(node)))
    node[step] = value


def _grown(steps: list[Step], content: Any) -> Any:
    """`content`, wrapped into what the steps lead through."""
    for step in reversed(steps):
        content = {step: content} if isinstance(step, str) else [*({} for _ in range(step)), content]
    return content
