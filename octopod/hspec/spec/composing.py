"""YAML events to a tree of nodes, however wild they are: neither depth nor aliases can exhaust anything."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from ..errors import Problem
from .nodes import DEEPEST, MOST, UNPRINTABLE, Node, Place, scalar
from .report import quoted

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")}
MERGE = object()  # the value of the key `<<`


class Refused(Exception):
    """Valid YAML that is not read on."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class _Anchored(NamedTuple):
    """What aliases may stand for, and what each of them adds."""

    node: Node
    values: int
    levels: int


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been seen."""

    node: Node
    anchor: str | None
    before: int  # values seen before it
    levels: int = 0  # of lists and mappings in it
    key: Node | None = None
    merged: list[Node] = field(default_factory=list)  # what `<<` names


class Composer:
    """Builds the tree from events, without recursion: neither depth nor aliases can exhaust anything."""

    def __init__(self, file: str, many: bool = False) -> None:
        """`many`: there may be several documents; the root is that of the last."""
        self.file = file
        self.many = many
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self.seen = 0
        self.open: list[_Open] = []
        self.anchors: dict[str, _Anchored] = {}

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
            elif isinstance(event, yaml.DocumentStartEvent):
                self._document(line)

    def _document(self, line: int) -> None:
        if self.root and not self.many:
            raise Refused("A second document begins; one file describes one service.", line)
        self.anchors.clear()

    def _count(self, values: int, line: int) -> None:
        self.seen += values
        if self.seen > MOST:
            raise Refused(f"There are more than {MOST:,} values, aliases written out.", line)

    def _check_depth(self, levels: int, line: int) -> None:
        if len(self.open) + levels > DEEPEST:
            raise Refused(f"The values are nested deeper than {DEEPEST} levels, aliases written out.", line)

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
            node = Node(MERGE, text, node.place)
        self._add(_Anchored(node, 1, 0), event.anchor)

    def _start(self, event: Any, line: int) -> None:
        self._check_tag(event.tag, line)
        self._check_depth(1, line)
        self._count(1, line)
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.open.append(_Open(Node(value, place=Place(self.file, line)), event.anchor, self.seen - 1))

    def _end(self) -> None:
        ended = self.open.pop()
        # What the mapping itself says wins, then what is named first.
        for merged in ended.merged:
            ended.node.value = {**merged.value, **ended.node.value}
        self._add(_Anchored(ended.node, self.seen - ended.before, ended.levels + 1), ended.anchor)

    def _alias(self, anchor: str, line: int) -> None:
        if anchor not in self.anchors:
            raise Refused(
                "An alias stands for nothing that ends before it; a text that begins with * needs quotes.", line
            )
        anchored = self.anchors[anchor]
        self._count(anchored.values, line)
        self._check_depth(anchored.levels, line)
        node = Node(anchored.node.value, anchored.node.text, Place(self.file, line))
        self._add(anchored._replace(node=node), None)

    def _awaits_key(self) -> bool:
        return bool(self.open) and self.open[-1].node.is_mapping and self.open[-1].key is None

    def _add(self, anchored: _Anchored, anchor: str | None) -> None:
        node = anchored.node
        if anchor:
            self.anchors[anchor] = anchored
        if not self.open:
            self.root = node
            return
        around = self.open[-1]
        around.levels = max(around.levels, anchored.levels)
        if around.node.is_list:
            around.node.value.append(node)
        elif around.key is None:
            around.key = self._checked_key(node)
        else:
            self._pair(around, around.key, node)
            around.key = None

    def _checked_key(self, node: Node) -> Node:
        if not node.is_scalar or node.is_null:
            raise Refused("A key must be a text, not a list, a mapping or nothing.", node.place.line)
        return node

    def _pair(self, around: _Open, key: Node, node: Node) -> None:
        if key.value is MERGE:
            self._merge(around, node)
        elif key.text in around.node.value:
            first = around.node.value[key.text].place.line
            self.problem(f"The key {quoted(key.text)} is there twice, first in line {first}.", key.place.line)
        else:
            # An error in what a key stands for is looked for where the key is.
            node.place = key.place
            around.node.value[key.text] = node

    def _merge(self, around: _Open, node: Node) -> None:
        sources = node.value if node.is_list else [node]
        if not all(source.is_mapping for source in sources):
            raise Refused("`<<` takes a mapping, or a list of mappings.", node.place.line)
        around.merged += sources
