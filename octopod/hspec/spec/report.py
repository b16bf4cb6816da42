"""Collects what is wrong, or worth a warning, each with the line it is about."""

import json
from collections.abc import Sequence
from pathlib import Path as File

from ..errors import Problem
from .nodes import Node, Path, Place, write_path

SHOWN = 60  # characters of a value
LISTED = 20  # values of a list


class Report:
    """Problems and warnings about one tree."""

    def __init__(self, root: Node, file: File) -> None:
        self.root = root
        self.file = file
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def error(self, path: Path, message: str) -> None:
        """Report that what is at this path is wrong."""
        self.problems.append(self._problem(path, message))

    def warn(self, path: Path, message: str) -> None:
        """Report what is at this path, though it can be worked with."""
        self.warnings.append(self._problem(path, message))

    def _problem(self, path: Path, message: str) -> Problem:
        place = self.place(path)
        return Problem(message, write_path(path), place.file, place.line)

    def place(self, path: Path) -> Place:
        """Where the value at a path is written; if it is not there, the closest around it that is."""
        node = self.root
        for part in path:
            try:
                node = node.value[part]
            except (KeyError, IndexError, TypeError):
                break
        return node.place


def shown(node: Node) -> str:
    """A value as messages show it."""
    if node.is_mapping:
        return "A mapping"
    if node.is_list:
        return "A list"
    return quoted(node.text) if not node.is_null else "Nothing"


def quoted(text: str) -> str:
    """A text in quotes, its end cut away when it is long."""
    return json.dumps(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…", ensure_ascii=False)


def listed(texts: Sequence[str]) -> str:
    """The first of them, separated by commas."""
    return ", ".join(texts[:LISTED]) + ("…" if len(texts) > LISTED else "")
