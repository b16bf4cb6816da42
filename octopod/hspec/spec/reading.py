"""YAML to a tree of nodes. Refuses what is ambiguous, too large, or no YAML, each with its line."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import HspecError, Problem, SpecError
from .nodes import DEEPEST, MOST, UNPRINTABLE, Node, Place, scalar

LARGEST = 1_048_576  # bytes of a file
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")}


def read(path: Path, failure: type[HspecError] = SpecError) -> Node:
    """The mapping a file consists of. Raises `failure` with all that prevents reading it."""
    return parse(read_text(path, failure), str(path), failure)


def read_text(path: Path, failure: type[HspecError] = SpecError) -> str:
    """The text of a small file. Raises `failure`."""
    if not os.path.exists(path):
        raise failure(Problem("There is no such file.", file=str(path)))
    if not os.path.isfile(path):
        raise failure(Problem("This is no file.", file=str(path)))
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise failure(Problem(f"The file cannot be read: {error.strerror}.", file=str(path))) from None
    if len(content) > LARGEST:
        raise failure(Problem("The file is larger than 1 MiB.", file=str(path)))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise failure(Problem("The file is not UTF-8 text.", file=str(path), line=line)) from None


def parse(text: str, file: str, failure: type[HspecError] = SpecError) -> Node:
    """The mapping a text consists of; `file` is what messages say of it. Raises `failure`."""
    if bad := UNPRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        raise failure(Problem(f"There is a control character (U+{ord(bad[0]):04X}).", file=file, line=line))
    composer = _Composer(file)
    try:
        composer.compose(text)
    except _Refused as refused:
        composer.problem(str(refused), refused.line)
    except yaml.YAMLError as error:
        composer.problem(*_syntax(error, text))
    if composer.problems:
        raise failure(*composer.problems)
    if composer.root is None or composer.root.is_null:
        raise failure(Problem("The file is empty.", file=file))
    if not composer.root.is_mapping:
        raise failure(
            Problem("A mapping is expected, lines of `key: value`.", file=file, line=composer.root.place.line)
        )
    return composer.root


def _syntax(error: yaml.YAMLError, text: str) -> tuple[str, int]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else 0
    lines = text.split("\n")
    if 0 < line <= len(lines) and "\t" in re.match(r"\s*", lines[line - 1])[0]:  # type: ignore[index]
        return "The line is indented with a tab; YAML is indented with blanks.", line
    parts = (getattr(error, "context", None), getattr(error, "problem", None) or "it cannot be parsed")
    return f"This is no valid YAML: {', '.join(part for part in parts if part)}.", line


class _Refused(Exception):
    """Valid YAML that is not read on."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been seen."""

    node: Node
    anchor: str | None
    before: int  # values seen before it
    key: Node | None = None
    merged: list[Node] = field(default_factory=list)  # what `<<` names


class _Composer:
    """Builds the tree from events, without recursion: neither depth nor aliases can exhaust anything."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self.seen = 0
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int]] = {}

    def problem(self, message: str, line: int) -> None:
        self.problems.append(Problem(message, file=self.file, line=line))

    def compose(self, text: str) -> None:
        for event in yaml.parse(text, Loader=LOADER):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event, line)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._start(event, line)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event.anchor, line)
            elif isinstance(event, yaml.DocumentStartEvent) and self.root:
                raise _Refused("A second document begins; one file describes one service.", line)

    def _count(self, values: int, line: int) -> None:
        self.seen += values
        if self.seen > MOST:
            raise _Refused(f"There are more than {MOST:,} values, aliases written out.", line)

    def _check_tag(self, tag: str | None, line: int) -> None:
        if tag and tag != "!" and tag not in TAGS:
            self.problem("A tag is not supported here; a text that begins with ! needs quotes.", line)

    def _scalar(self, event: Any, line: int) -> None:
        self._check_tag(event.tag, line)
        text = event.value
        if not text.isprintable() and UNPRINTABLE.search(text):
            self.problem("There is an escaped control character in the text.", line)
        is_plain = event.implicit[0] and not event.style  # "" or None with one loader or the other
        self._count(1, line)
        node = Node(scalar(text) if is_plain else text, text, Place(self.file, line))
        if is_plain and text == "<<" and self._awaits_key():
            node = Node(_MERGE, text, node.place)
        self._add(node, event.anchor, 1)

    def _start(self, event: Any, line: int) -> None:
        self._check_tag(event.tag, line)
        if len(self.open) >= DEEPEST:
            raise _Refused(f"The values are nested deeper than {DEEPEST} levels.", line)
        self._count(1, line)
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.open.append(_Open(Node(value, place=Place(self.file, line)), event.anchor, self.seen - 1))

    def _end(self) -> None:
        ended = self.open.pop()
        # What the mapping itself says wins, then what is named first.
        for merged in ended.merged:
            ended.node.value = {**merged.value, **ended.node.value}
        self._add(ended.node, ended.anchor, self.seen - ended.before)

    def _alias(self, anchor: str, line: int) -> None:
        if anchor not in self.anchors:
            raise _Refused(
                "An alias stands for nothing that ends before it; a text that begins with * needs quotes.", line
            )
        node, size = self.anchors[anchor]
        self._count(size, line)
        self._add(Node(node.value, node.text, Place(self.file, line)), None, size)

    def _awaits_key(self) -> bool:
        return bool(self.open) and self.open[-1].node.is_mapping and self.open[-1].key is None

    def _add(self, node: Node, anchor: str | None, size: int) -> None:
        if anchor:
            self.anchors[anchor] = node, size
        if not self.open:
            self.root = node
            return
        around = self.open[-1]
        if around.node.is_list:
            around.node.value.append(node)
        elif around.key is None:
            around.key = self._checked_key(node)
        else:
            self._pair(around, around.key, node)
            around.key = None

    def _checked_key(self, node: Node) -> Node:
        if not node.is_scalar or node.is_null:
            raise _Refused("A key must be a text, not a list, a mapping or nothing.", node.place.line)
        return node

    def _pair(self, around: _Open, key: Node, node: Node) -> None:
        if key.value is _MERGE:
            self._merge(around, node)
        elif key.text in around.node.value:
            first = around.node.value[key.text].place.line
            self.problem(f'The key "{_short(key.text)}" is there twice, first in line {first}.', key.place.line)
        else:
            # An error in what a key stands for is looked for where the key is.
            node.place = key.place
            around.node.value[key.text] = node

    def _merge(self, around: _Open, node: Node) -> None:
        sources = node.value if node.is_list else [node]
        if not all(source.is_mapping for source in sources):
            raise _Refused("`<<` takes a mapping, or a list of mappings.", node.place.line)
        around.merged += sources


_MERGE = object()


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
