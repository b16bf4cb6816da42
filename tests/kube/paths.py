"""Reading nested objects by dotted paths."""

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]


def dig(value: Any, path: str, default: Any = None) -> Any:
    """What is at `path`; `default` when there is nothing, or null."""
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return default if value is None else value


def fill(value: Object, path: str, content: Any) -> Any:
    """What is at `path`, after `content` was put there if there was nothing."""
    *parents, last = path.split(".")
    for key in parents:
        if value.get(key) is None:
            value[key] = {}
        value = value[key]
    if value.get(last) is None:
        value[last] = content
    return value[last]


def each(value: Any, path: str, at: str = "") -> Iterator[tuple[str, Any]]:
    """Everything at `path` and where it was, `*` being any key, and lists being passed through: (`ports[0].port`, 80)."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from each(item, path, f"{at}[{index}]")
    elif not path:
        if value is not None:
            yield at.lstrip("."), value
    elif isinstance(value, dict):
        key, _, rest = path.partition(".")
        for name in value if key == "*" else [key]:
            yield from each(value.get(name), rest, f"{at}.{name}")


def tidy(value: Any) -> Any:
    """A copy without the nulls, which are no values to a server."""
    if isinstance(value, dict):
        return {key: tidy(content) for key, content in value.items() if content is not None}
    return [tidy(content) for content in value] if isinstance(value, list) else value


def number_of(value: Any, total: int, up: bool) -> int:
    """What an int-or-percent such as `25%` means of `total`, rounded `up` or down."""
    if isinstance(value, str):
        share = int(value.rstrip("%")) * total
        return -(-share // 100) if up else share // 100
    return int(value or 0)
