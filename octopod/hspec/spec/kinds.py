"""What a field can hold. The model is made of these; checking, schemas and the reference read them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any


def _spelled(*words: str) -> tuple[str, ...]:
    return tuple(spelling for word in words for spelling in (word, word.capitalize(), word.upper()))


@dataclass(frozen=True)
class Text:
    """Any scalar, as it is written. `pattern` is for the whole of it and means the same in ECMAScript."""

    allowed: str  # ends the sentence "It must be …"
    pattern: str = ""
    longest: int = 0  # characters; 0: any number
    most: int = 0  # where it may be a bare number; 0: any
    may_be_blank: bool = False  # otherwise blank is the same as absent
    is_secret: bool = False  # never shown
    complaint: Callable[[str], str] | None = None  # says what is wrong beyond the pattern, or ""

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern or r"[\s\S]*")


@dataclass(frozen=True)
class Whole:
    """A whole number, quoted or not."""

    least: int
    most: int
    pattern: str = "0|[1-9][0-9]{0,9}"

    @property
    def allowed(self) -> str:
        if self.most < 2**31 - 1:
            return f"a whole number from {self.least} to {self.most}"
        return f"a whole number, {self.least} or more"


@dataclass(frozen=True)
class Boolean:
    """True or false, in the words of YAML."""

    allowed: str = "true or false"
    true: tuple[str, ...] = _spelled("true", "yes", "on")
    false: tuple[str, ...] = _spelled("false", "no", "off")


@dataclass(frozen=True)
class Group:
    """A mapping whose keys are known."""

    fields: tuple["Field", ...]
    allowed: str = "a mapping"
    is_closed: bool = False  # whether other keys are an error

    @cached_property
    def by_name(self) -> dict[str, "Field"]:
        return {field.name: field for field in self.fields}


@dataclass(frozen=True)
class ListOf:
    """A list of one kind. `key` tells its mappings apart, in a merge as well; `is_replaced`: a merge takes it whole."""

    item: "Kind"
    key: str = ""
    least: int = 0
    is_set: bool = False  # nothing is there twice
    is_replaced: bool = False
    allowed: str = "a list"


@dataclass(frozen=True)
class MapOf:
    """A mapping whose keys are the user's."""

    key: Text
    value: Text
    allowed: str = "a mapping"


@dataclass(frozen=True)
class Either:
    """One of several kinds, each of another shape."""

    allowed: str
    scalar: Text | Whole | None = None
    list: ListOf | None = None
    mapping: Group | MapOf | None = None
    is_secret: bool = False


Kind = Text | Whole | Boolean | Group | ListOf | MapOf | Either


@dataclass(frozen=True)
class Field:
    """One key of a mapping, and what is said about it to its users."""

    name: str
    kind: Kind
    help: str  # sentences
    is_required: bool = False
    default: str = ""  # what holds when it is absent, in words
    since: str = "0.5"  # version of hspec
    is_overridable: bool = False  # a profile may say otherwise
    example: Any = None


def walk(kind: Kind, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Field]]:
    """All fields below a kind, each with the names that lead to it; what is in a list has `[]` behind its list's."""
    if isinstance(kind, Either):
        for chosen in (kind.mapping, kind.list):
            yield from walk(chosen, path) if chosen else ()
    elif isinstance(kind, ListOf):
        yield from walk(kind.item, (*path[:-1], f"{path[-1]}[]"))
    elif isinstance(kind, Group):
        for field in kind.fields:
            yield (*path, field.name), field
            yield from walk(field.kind, (*path, field.name))
