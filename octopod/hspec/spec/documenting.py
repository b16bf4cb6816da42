"""The field reference, in Markdown."""

import json
from collections.abc import Iterable

from .kinds import Field, Group, walk
from .model import PROFILE_KEYS, SPEC, VERSIONS

HEAD = "| Field | What it holds | Default | Profile | Since | What it is |\n| --- | --- | --- | --- | --- | --- |\n"


def reference() -> str:
    """Tables of all fields of specs and profiles."""
    profile = walk(Group(PROFILE_KEYS))
    overridable = ", ".join(f"`{field.name}`" for field in SPEC.fields if field.is_overridable)
    return (
        "## Service spec\n\n"
        "In **bold**: required, once what is around it is there. *Profile* says whether a profile may override it.\n\n"
        f"{_table(walk(SPEC))}\n"
        "## Profile\n\n"
        f"{_table(profile)}\n"
        f"Beside these, any of {overridable}, with those of their fields that the table above says can be overridden.\n"
    )


def _table(fields: Iterable[tuple[tuple[str, ...], Field]]) -> str:
    since: dict[str, str] = {}  # what is in a field is as old as the field, at most
    rows = ""
    for path, field in fields:
        around = since.get(".".join(path[:-1]).removesuffix("[]"), field.since)
        since[".".join(path)] = max(around, field.since, key=VERSIONS.index)
        rows += _row(".".join(path), field, since[".".join(path)])
    return HEAD + rows


def _row(path: str, field: Field, since: str) -> str:
    name = f"**`{path}`**" if field.is_required else f"`{path}`"
    example = f" Example: `{_example(field)}`" if field.example is not None else ""
    profile = "yes" if field.is_overridable else "no"
    cells = (name, field.kind.allowed, field.default or "–", profile, since, field.help + example)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _example(field: Field) -> str:
    return field.example if isinstance(field.example, str) else json.dumps(field.example)
