"""Overrides: what a user sets on top of the suite's defaults. Pure functions.

An override map is key -> value, or key -> None, which takes the default of that key away. Keys are dotted paths.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from octopod.errors import FieldError, Invalid

Overrides = dict[str, str | None]
Pairs = list[tuple[str, str]]

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
MASK = "********"
# Linux refuses a single argument of 128 KiB (MAX_ARG_STRLEN); the longest flag we put it behind is not part of it.
LONGEST_PAIR = 131_072 - 1


class Change(NamedTuple):
    """A change of one level, merged into what is stored: `set` adds overrides, `unset` drops them."""

    set: Overrides
    unset: list[str]


class Side(NamedTuple):
    """What a key is on one side of a difference: `set` to a value, `removed`, or whatever it is when it is not there."""

    word: str
    value: str = ""


class Difference(NamedTuple):
    """A key that is not the same on both sides."""

    key: str
    old: Side
    new: Side


class Item(NamedTuple):
    """One key of an effective configuration. `origin`: default, override, custom or removed."""

    key: str
    value: str | None
    origin: str
    default: str | None


def parse_key(key: str) -> str:
    """The key with its segments trimmed. Raises ValueError with a message about the key."""
    segments = [segment.strip() for segment in key.split(".")]
    trimmed = ".".join(segments)
    if not trimmed:
        raise ValueError("the key is empty")
    if "" in segments:
        raise ValueError("the key has an empty segment between its dots")
    if CONTROL.search(trimmed):
        raise ValueError("the key has a control character in it")
    if "=" in trimmed:
        raise ValueError("the key has an = in it; it could not be told from the value")
    return trimmed


def check_value(key: str, value: str | None) -> None:
    """Raise ValueError when the pair could not be passed to a script as one argument."""
    if value is None:
        return
    if value == "":
        raise ValueError("the value is empty; to take a default away, remove the key instead")
    if "\0" in value:
        raise ValueError("the value has a NUL character in it")
    try:
        size = len(f"{key}={value}".encode())
    except UnicodeEncodeError:
        raise ValueError("the value is not valid Unicode text") from None
    if size > LONGEST_PAIR:
        raise ValueError(f"the value is too long: {size:,} bytes with its key, at most {LONGEST_PAIR:,} are possible")


def parse_overrides(
    pairs: Iterable[tuple[str, str | None]], field: str, kept: Mapping[str, str | None] | None = None
) -> Overrides:
    """Validated overrides from raw pairs. Raises Invalid with a message per key.

    A value that is the mask stands for the one in `kept`, which the person who sent it was not shown.
    """
    result, errors = sort_out(pairs, field, kept)
    if errors:
        raise Invalid(describe(errors), errors)
    return result


def sort_out(
    pairs: Iterable[tuple[str, str | None]], field: str, kept: Mapping[str, str | None] | None = None
) -> tuple[Overrides, list[FieldError]]:
    """The overrides among raw pairs that are valid, and what is wrong with the others."""
    result: Overrides = {}
    errors = []
    for raw, value in pairs:
        try:
            key = parse_key(raw)
            if key in result:
                raise ValueError("the key is there twice")
            unmasked = _unmasked(key, value, kept or {})
            check_value(key, unmasked)
            result[key] = unmasked
        except ValueError as error:
            errors.append(FieldError(f"{field}.{raw}" if raw.strip() else field, str(error)))
    return result, errors


def describe(errors: list[FieldError]) -> str:
    """One sentence for several field errors."""
    return "; ".join(f"{error.field}: {error.message}" for error in errors)


def _unmasked(key: str, value: str | None, kept: Mapping[str, str | None]) -> str | None:
    if value != MASK:
        return value
    if kept.get(key) is None:
        raise ValueError(f"the value {MASK} stands for a hidden one, but none is stored")
    return kept[key]


def merge(current: Overrides, change: Change, field: str) -> Overrides:
    """`current` with a change applied. Raises Invalid when a key to unset is not overridden."""
    errors = []
    merged = dict(current)
    for raw in change.unset:
        key = ".".join(segment.strip() for segment in raw.split("."))
        if key in change.set:
            errors.append(FieldError(f"{field}.unset.{raw}", "the key is to be set and unset at once"))
        elif key not in merged:
            errors.append(FieldError(f"{field}.unset.{raw}", "the key is not overridden, so there is nothing to unset"))
        else:
            del merged[key]
    if errors:
        raise Invalid(describe(errors), errors)
    return merged | change.set


def rebase(base: Overrides, theirs: Overrides, mine: Overrides) -> Overrides:
    """`mine`, which began as `base`, on top of what others have made of `base`: where I changed nothing, theirs."""
    keys = dict.fromkeys([*mine, *theirs])
    chosen = {key: theirs if _side(mine, key) == _side(base, key) else mine for key in keys}
    return {key: overrides[key] for key, overrides in chosen.items() if key in overrides}


def differences(old: Overrides, new: Overrides, otherwise: str = "default") -> list[Difference]:
    """What `new` has changed, key by key; `otherwise`: what a key is that is not in a map."""
    keys = dict.fromkeys([*new, *old])
    pairs = [Difference(key, _side(old, key, otherwise), _side(new, key, otherwise)) for key in keys]
    return [pair for pair in pairs if pair.old != pair.new]


def _side(overrides: Overrides, key: str, otherwise: str = "default") -> Side:
    if key not in overrides:
        return Side(otherwise)
    value = overrides[key]
    return Side("removed") if value is None else Side("set", value)


def effective(defaults: Pairs, overrides: Overrides) -> Pairs:
    """What a script receives: keys that only overrides have first, in their order, then defaults in theirs."""
    return [(item.key, item.value) for item in explain(defaults, overrides) if item.value is not None]


def explain(defaults: Pairs, overrides: Overrides) -> list[Item]:
    """The effective configuration with the origin of each value, and the defaults that were taken away."""
    known = first_wins(defaults)
    custom = [
        Item(key, value, "custom", None) for key, value in overrides.items() if key not in known and value is not None
    ]
    return custom + [_item(key, default, overrides) for key, default in known.items()]


def _item(key: str, default: str, overrides: Overrides) -> Item:
    if key not in overrides:
        return Item(key, default, "default", default)
    value = overrides[key]
    return Item(key, value, "removed" if value is None else "override", default)


def first_wins(pairs: Pairs) -> dict[str, str]:
    """Pairs as a map; of a key that is there twice the first value counts."""
    result: dict[str, str] = {}
    for key, value in pairs:
        result.setdefault(key, value)
    return result
