"""Props and secrets: their files, their names as environment variables, and how much Kubernetes takes."""

import os
import re
from collections.abc import Mapping
from typing import Any

from ..contents import ALL_PROPS, ALL_SECRETS, LARGEST, lines
from .nodes import Path
from .patterns import DATA_KEY
from .report import quoted
from .rules import Draft
from .values import prop_of

VARIABLE = re.compile("[-._a-zA-Z][-._a-zA-Z0-9]*")
ALLOWED = "letters, digits, `-`, `_` and `.`, not beginning with a digit"
WHOLE = {"props": ALL_PROPS, "secrets": ALL_SECRETS}


def check_config(draft: Draft) -> None:
    for path, owner in draft.owners():
        variables = _check_props(draft, (*path, "props"), owner)
        secrets = owner.get("secrets") or {}
        for index, name in enumerate(secrets):
            where: Path = (*path, "secrets", name if isinstance(secrets, dict) else index)
            _check_variable(draft, where, name or "")
            if name in variables:
                draft.report.warn(where, f"There is a prop {quoted(name)} too; the secret wins.")
        if isinstance(secrets, dict):
            _check_size(draft, (*path, "secrets"), _size(secrets, owner.get("secretsVolumePath")))
        _check_whole(draft, path, owner)


def _check_props(draft: Draft, path: Path, owner: dict[str, Any]) -> set[str]:
    """The names of those that become environment variables."""
    variables: dict[str, str | None] = {}
    size = 0
    for key, text in (owner.get("props") or {}).items():
        prop = prop_of(text or "", draft.files)
        if prop.kind == "file":
            size += _check_file(draft, (*path, key), prop)
            continue
        if prop.kind == "endpoint" and not re.fullmatch(r"\S+", prop.text):
            draft.report.error((*path, key), f"{quoted(text or '')} is not allowed: it must name one service.")
        _check_variable(draft, (*path, key), key)
        variables[key] = prop.text
    _check_size(draft, path, size + _size(variables, owner.get("propsVolumePath")))
    return set(variables)


def _check_file(draft: Draft, path: Path, prop: Any) -> int:
    """The size of the file; 0 where it cannot be used."""
    if not prop.text:
        draft.report.error(path, "file() names no file.")
        return 0
    if complaint := draft.files.complaint(prop.file):
        draft.report.error(path, f"{quoted(prop.text)} cannot be used. {complaint}")
        return 0
    return os.path.getsize(prop.file)


def _check_variable(draft: Draft, path: Path, name: str) -> None:
    if DATA_KEY.regex.fullmatch(name) and not VARIABLE.fullmatch(name):
        message = f"{quoted(name)} cannot be the name of an environment variable: it must be {ALLOWED}."
        draft.report.error(path, message)


def _size(values: Mapping[str, str | None], mount: str | None) -> int:
    """In bytes; where they are mounted, the file with all of them included."""
    texts = {key: value or "" for key, value in values.items()}
    return sum(len(text.encode()) for text in texts.values()) + (len(lines(texts).encode()) if mount else 0)


def _check_size(draft: Draft, path: Path, size: int) -> None:
    if size > LARGEST:
        draft.report.error(path, f"These are {size:,} bytes in all; Kubernetes takes {LARGEST:,}.")


def _check_whole(draft: Draft, path: Path, owner: dict[str, Any]) -> None:
    """Where they are mounted, one file has them all; no key can have its name."""
    for field, whole in WHOLE.items():
        if owner.get(f"{field}VolumePath") and whole in (owner.get(field) or {}):
            where = (*path, field, whole) if isinstance(owner[field], dict) else (*path, field)
            draft.report.error(
                where, f"With {field}VolumePath, {whole} is the file with all of them; take another name."
            )
