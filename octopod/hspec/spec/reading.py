"""YAML to a tree of nodes. Refuses what is ambiguous, too large, or no YAML, each with its line."""

import os
import re
from pathlib import Path

import yaml

from ..errors import HspecError, Problem, SpecError
from .composing import Composer, Refused
from .nodes import UNPRINTABLE, Node

LARGEST = 1_048_576  # bytes of a file


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
    root = _composed(text, Composer(file), failure)
    if root is None or root.is_null:
        raise failure(Problem("The file is empty.", file=file))
    if not root.is_mapping:
        raise failure(Problem("A mapping is expected, lines of `key: value`.", file=file, line=root.place.line))
    return root


def check_documents(text: str, file: str, failure: type[HspecError]) -> None:
    """Raises `failure` unless a text is YAML, of any number of documents, that every loader can read without harm."""
    _composed(text, Composer(file, many=True), failure)


def _composed(text: str, composer: Composer, failure: type[HspecError]) -> Node | None:
    if bad := UNPRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        raise failure(Problem(f"There is a control character (U+{ord(bad[0]):04X}).", file=composer.file, line=line))
    try:
        composer.compose(text)
    except Refused as refused:
        composer.problem(str(refused), refused.line)
    except yaml.YAMLError as error:
        composer.problem(*_syntax(error, text))
    if composer.problems:
        raise failure(*composer.problems)
    return composer.root


def _syntax(error: yaml.YAMLError, text: str) -> tuple[str, int]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else 0
    lines = text.split("\n")
    if 0 < line <= len(lines) and "\t" in re.match(r"\s*", lines[line - 1])[0]:  # type: ignore[index]
        return "The line is indented with a tab; YAML is indented with blanks.", line
    parts = (getattr(error, "context", None), getattr(error, "problem", None) or "it cannot be parsed")
    return f"This is no valid YAML: {', '.join(part for part in parts if part)}.", line
