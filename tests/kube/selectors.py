"""Label and field selectors."""

import re
from collections.abc import Callable

from .errors import bad_request
from .paths import Object, dig

Test = Callable[[Object], bool]

SET = re.compile(r"\s*(\S+)\s+(in|notin)\s+\(([^)]*)\)\s*")
EQUAL = re.compile(r"\s*([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)\s*")
PRESENT = re.compile(r"\s*(!?)\s*([^\s=!()]+)\s*")


def by_labels(selector: str) -> Test:
    """What an object's labels must be: `app=web,tier in (a, b),!old`."""
    tests = [_requirement(part) for part in re.split(r",(?![^(]*\))", selector) if part.strip()]
    return lambda item: all(test(dig(item, "metadata.labels", {})) for test in tests)


def _requirement(text: str) -> Test:
    if found := SET.fullmatch(text):
        key, word, values = found[1], found[2], {value.strip() for value in found[3].split(",")}
        return lambda labels: (labels.get(key) in values) == (word == "in")
    if found := EQUAL.fullmatch(text):
        key, sign, value = found.groups()
        return lambda labels: (labels.get(key) == value) != (sign == "!=")
    if found := PRESENT.fullmatch(text):
        return lambda labels: (found[2] in labels) != bool(found[1])
    raise bad_request(f"unable to parse requirement: {text}")


def by_fields(selector: str) -> Test:
    """What an object's fields must be: `metadata.name=web,status.phase!=Running`."""
    tests = []
    for part in filter(None, selector.split(",")):
        if not (found := EQUAL.fullmatch(part)):
            raise bad_request(f"invalid selector: '{selector}'; can't understand '{part}'")
        tests.append(found.groups())
    return lambda item: all((str(dig(item, path, "")) == value) != (sign == "!=") for path, sign, value in tests)


def by_spec(selector: Object | None) -> Test:
    """What the selector of a workload asks of labels: matchLabels and matchExpressions."""
    tests = [f"{key}={value}" for key, value in dig(selector, "matchLabels", {}).items()]
    for rule in dig(selector, "matchExpressions", []):
        values = ",".join(rule.get("values", []))
        words = {"In": f"in ({values})", "NotIn": f"notin ({values})"}
        key, operator = rule["key"], rule["operator"]
        tests.append({"Exists": key, "DoesNotExist": f"!{key}"}.get(operator) or f"{key} {words[operator]}")
    return by_labels(",".join(tests))


def text_of(selector: Object | None) -> str:
    """A workload's selector, as clients write it into a query."""
    return ",".join(f"{key}={value}" for key, value in dig(selector, "matchLabels", {}).items())
