r"""Values of a chart, by dotted path. Pure functions.

A path is what `helm --set` takes: `image.tag`, `hosts[0].name`, `annotations.example\.com/role`; where the chart has a
list, `hosts.0.name` will do as well. What a person typed stays a string unless the chart's default, or its schema, is of
another type: then it is read as YAML of that type, or refused. A string on purpose is put in double quotes.
"""

import copy
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from lib.documents import load

Path = tuple[str | int, ...]
Values = dict[str, Any]
Pairs = list[tuple[str, str]]

MISSING = object()
MOST_REFERENCES = 20  # in a row, in a schema
LONGEST_DEFAULT = 100_000  # bytes; a longer one could not be passed to a script as an argument
STEP = re.compile(r"((?:\\.|[^\\\[]|\\$)*)((?:\[\d+\])*)", re.DOTALL)
EXPECTED = {
    "boolean": "true or false",
    "number": "a number",
    "array": 'a list, like ["a", "b"]',
    "object": 'a map, like {"a": "b"}',
    "null": "null",
}


class Refused(ValueError):
    """A value that does not fit; the message is for the person who typed it."""


def parse_path(key: str) -> Path:
    """The steps of a dotted path. Raises Refused."""
    path: list[str | int] = []
    for segment in segments(key):
        match = STEP.fullmatch(segment)
        if not match or not (match[1] or match[2]):
            raise Refused(f"{key} is not a path of values: write it like image.tag or hosts[0].name.")
        path += [re.sub(r"\\([.\[\\])", r"\1", match[1])] if match[1] else []
        path += [int(index) for index in re.findall(r"\d+", match[2])]
    return tuple(path)


def segments(key: str) -> list[str]:
    """What is between the dots that have no backslash before them; a backslash may itself have one."""
    dots = [match.start() for match in re.finditer(r"\\.|\.", key, re.DOTALL) if match[0] == "."]
    return [key[begin + 1 : end] for begin, end in zip([-1, *dots], [*dots, len(key)], strict=True)]


def write_path(path: Path) -> str:
    """The dotted path that leads there; what parse_path reads back."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else "." + re.sub(r"([.\[\\])", r"\\\1", step)
    return text.removeprefix(".")


def child(node: Any, step: str | int) -> Any:
    """What is below a node of values, or MISSING."""
    if isinstance(node, dict):
        return node.get(step, MISSING)
    if isinstance(node, list) and str(step).isdecimal():
        return node[int(step)] if int(step) < len(node) else MISSING
    return MISSING


def find(values: Any, path: Path) -> Any:
    for step in path:
        values = child(values, step)
    return values


def kind_of(value: Any) -> str:
    """The type of a value, as JSON Schema names it; `number` for whole ones too."""
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null")


def schema_kinds(schema: Any, path: Path) -> set[str]:
    """The types that a chart's schema allows at a path; none when it does not say. Raises Refused when it is wrong."""
    root = schema
    for step in path:
        schema = resolved(schema, root)
        if not isinstance(schema, dict):
            return set()
        properties = schema.get("properties") or {}
        if not isinstance(properties, dict):
            raise Refused("The chart's values.schema.json is wrong: what it has as properties is no object.")
        others = schema.get("additionalProperties")
        schema = schema.get("items") if isinstance(step, int) else properties.get(step, others)
    schema = resolved(schema, root)
    kinds = schema.get("type") if isinstance(schema, dict) else None
    told = kinds if isinstance(kinds, list) else [kinds]
    return {"number" if kind == "integer" else kind for kind in told if isinstance(kind, str)}


def resolved(schema: Any, root: Any) -> Any:
    """What a schema refers to in the same document; None when that leads nowhere or round in circles."""
    for _ in range(MOST_REFERENCES):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str):
            return schema
        if not reference.startswith("#"):
            return None
        schema = root
        for step in filter(None, reference[1:].split("/")):
            schema = child(schema, step.replace("~1", "/").replace("~0", "~"))
    return None


def parse_value(key: str, text: str, default: Any = MISSING, schema: Any = None) -> Any:
    """What was typed, as the chart expects it. Raises Refused."""
    kinds = {kind_of(default)} - {"null"} if default is not MISSING else set()
    if kinds == {"string"}:
        return text
    kinds |= schema_kinds(schema, parse_path(key))
    if not kinds - {"string", "null"}:
        return text
    value = _read(text)
    if not is_finite(value):
        raise Refused(f"{key} must not hold NaN or an infinite number: a chart cannot have one.")
    if kind_of(value) in kinds - {"string"} or value is None or (isinstance(value, str) and text.strip()[:1] in "\"'"):
        return value
    if "string" in kinds:
        return text
    raise Refused(_complaint(key, text, default, kinds))


def is_finite(value: Any) -> bool:
    """Whether JSON has a way to write a value."""
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    return (
        all(map(is_finite, value)) if isinstance(value, list) else not isinstance(value, float) or math.isfinite(value)
    )


def _read(text: str) -> Any:
    """JSON first: PyYAML does not take all of it."""
    for read in (json.loads, load):
        try:
            return read(text)
        except (ValueError, yaml.YAMLError):
            continue
    return text


def _complaint(key: str, text: str, default: Any, kinds: set[str]) -> str:
    expected = " or ".join(EXPECTED[kind] for kind in EXPECTED if kind in kinds - {"null"})
    origin = "" if default is MISSING or default is None else f", as in the chart ({shorten(write_value(default))})"
    return f"{key} must be {expected}{origin}. To pass text on purpose, put it in double quotes."


def shorten(text: str, room: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= room else line[: room - 1] + "…"


def write_value(value: Any) -> str:
    """A value as a person would type it; parse_value reads it back."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def assign(node: Any, path: Path, value: Any, default: Any = MISSING) -> Any:
    """`node` with `value` at `path`. A list of which an element is set begins as the chart's. Raises Refused."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    known = node if isinstance(node, list) else default
    if isinstance(step, int) or (isinstance(known, list) and step.isdecimal() and not isinstance(node, dict)):
        return _assign_element(known, int(step), rest, value)
    if not isinstance(node, dict) and node is not MISSING and node is not None:
        raise Refused(f"{write_path(path)} cannot be set below a value that is no map.")
    below = dict(node) if isinstance(node, dict) else {}
    below[step] = assign(below.get(step, MISSING), rest, value, child(default, step))
    return below


def _assign_element(known: Any, index: int, rest: Path, value: Any) -> list[Any]:
    items = copy.deepcopy(known) if isinstance(known, list) else []
    if index > len(items):
        raise Refused(f"There is no element {index} to set: the list has {len(items)}, the next is [{len(items)}].")
    old = items[index] if index < len(items) else MISSING
    return [*items[:index], assign(old, rest, value, old), *items[index + 1 :]]


def nested(pairs: Pairs, defaults: Values, schema: Any = None) -> Values:
    """The values that pairs ask for, those left out that are the chart's own. Raises Refused, with a line per problem."""
    tree: Any = {}
    problems = []
    for key, text in sorted(pairs, key=_depth):
        try:
            path = parse_path(key)
            tree = assign(tree, path, parse_value(key, text, find(defaults, path), schema), defaults)
        except Refused as refused:
            problems.append(str(refused))
    if problems:
        raise Refused("\n".join(dict.fromkeys(problems)))
    return without_defaults(tree, defaults)


def _depth(pair: tuple[str, str]) -> int:
    """Parents first: what is set below a map or a list counts on top of what is set as its whole."""
    try:
        return len(parse_path(pair[0]))
    except Refused:
        return 0


def without_defaults(values: Values, defaults: Any) -> Values:
    """The values that differ from the defaults; types count, so 1 is not true."""
    kept = {}
    for key, value in values.items():
        default = child(defaults, key)
        if isinstance(value, dict) and isinstance(default, dict):
            below = without_defaults(value, default)
            if below:
                kept[key] = below
        elif default is MISSING or json.dumps(value, sort_keys=True) != json.dumps(default, sort_keys=True):
            kept[key] = value
    return kept


def leaves(values: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """All values with their paths, to any depth. Lists, and maps that are empty or have unwritable keys, are leaves."""
    if not isinstance(values, dict) or (path and (not values or not all(map(is_writable, values)))):
        yield path, values
        return
    for key, value in values.items():
        if is_writable(key):
            yield from leaves(value, (*path, key))


def is_writable(key: Any) -> bool:
    """Whether the server could take a key: no blank segments, no control characters, no =."""
    segments = str(key).split(".")
    return all(segment and segment == segment.strip() for segment in segments) and not re.search(
        r"[=\x00-\x1f\x7f-\x9f]", str(key)
    )


def as_pairs(values: Values) -> Pairs:
    """Defaults for a form: what has a value, as a person would type it."""
    pairs = ((write_path(path), write_value(value)) for path, value in leaves(values) if is_finite(value))
    return [(key, text) for key, text in pairs if text and len(text.encode()) <= LONGEST_DEFAULT and "\0" not in text]


def keys(values: Values) -> list[str]:
    return [write_path(path) for path, _ in leaves(values)]


def merge(below: Any, above: Any) -> Any:
    """Two trees of values as helm merges them: maps are merged, null takes away, all else replaces."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    merged = below | {key: merge(below.get(key), value) for key, value in above.items()}
    return {key: value for key, value in merged.items() if value is not None or key not in above}


def with_strings(values: Any) -> Any:
    """The tree with strings as keys, as helm has it: YAML allows numbers."""
    if isinstance(values, dict):
        return {key if isinstance(key, str) else write_value(key): with_strings(value) for key, value in values.items()}
    return [with_strings(value) for value in values] if isinstance(values, list) else values


def taken_away(keys: Iterable[str], passed: Pairs) -> Values:
    """null for each of the keys of which nothing was passed: helm then drops the chart's default."""
    given = {key for key, _ in passed}
    tree: Any = {}
    for key in keys:
        if key not in given:
            tree = assign(tree, parse_path(key), None)
    return tree
