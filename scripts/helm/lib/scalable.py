"""What archive does to each kind of object, and how unarchive undoes it: the table in scalable.toml.

What an object was before is kept in an annotation of its own, so nothing else has to be remembered, and it does not
matter how often archive and unarchive are run, or where they were interrupted.
"""

import json
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from lib.kube import Object
from shared.output import Failure

ARCHIVED = "octopod/archived"
SUITE = Path(__file__).resolve().parent.parent / "scalable.toml"
FIELDS = {"group": str, "set": dict, "workloads": str, "pods": str, "delete": bool}
MISSING = object()


class Row(NamedTuple):
    """How a kind is archived.

    `set`: JSON pointer → value while archived. `workloads`, `pods`: selectors of what an operator has made for it: the
    workloads that are archived too, and the pods that have to be gone. `delete`: deleted, and made again.
    """

    kind: str
    group: str
    set: dict[str, Any]
    workloads: str = ""
    pods: str = ""
    delete: bool = False


def load(more: Path | None) -> dict[tuple[str, str], Row]:
    """The table by kind and group: the suite's, and on top of it a user's. Raises Failure."""
    return {(row.kind, row.group): row for path in (SUITE, more) if path for row in read(path)}


def read(path: Path) -> list[Row]:
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Failure(f"{path} cannot be read as a table of kinds: {error}") from None
    return [parse_row(path, kind, fields) for kind, fields in table.items()]


def parse_row(path: Path, kind: str, fields: Any) -> Row:
    fields = fields if isinstance(fields, dict) else {"": fields}
    wrong = [key for key, value in fields.items() if not isinstance(value, FIELDS.get(key, ()))]
    wrong += [pointer for pointer in fields.get("set") or {} if not pointer.startswith("/")]
    if wrong:
        raise Failure(f"{path}: [{kind}] has {wrong[0]!r}, which is not understood.")
    return Row(kind, **({"group": "", "set": {}} | fields))


def group(item: Object) -> str:
    return item["apiVersion"].rpartition("/")[0]


def steps(pointer: str) -> list[str]:
    """The steps of a JSON pointer (RFC 6901)."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]


def look(item: Any, pointer: str) -> Any:
    """What is there, None when nothing is."""
    for step in steps(pointer):
        item = item.get(step) if isinstance(item, dict) else None
    return item


def change(values: dict[str, Any]) -> Object:
    """A merge patch that sets each pointer to its value; None takes away."""
    patch: Object = {}
    for pointer, value in values.items():
        node = patch
        *above, last = steps(pointer)
        for step in above:
            node = node.setdefault(step, {})
        node[last] = value
    return patch


def with_annotation(patch: Object, value: str | None) -> Object:
    metadata = patch.setdefault("metadata", {})
    metadata.setdefault("annotations", {})[ARCHIVED] = value
    return patch


def archived(item: Object) -> dict[str, Any] | None:
    """What was remembered of an object when it was archived; None when it is not."""
    text = (item["metadata"].get("annotations") or {}).get(ARCHIVED)
    return None if text is None else json.loads(text)


def archiving(item: Object, row: Row) -> Object | None:
    """The patch that archives an object; None when it is archived.

    What is remembered from before stays, so that a second run does not take the zeros of the first for the counts.
    """
    before = archived(item)
    if before is not None and all(look(item, pointer) == value for pointer, value in row.set.items()):
        return None
    kept = before if before is not None else {pointer: look(item, pointer) for pointer in row.set}
    patch = with_annotation(change(row.set), json.dumps(kept))
    patch["metadata"]["resourceVersion"] = item["metadata"].get("resourceVersion")
    return patch


def restoring(item: Object) -> Object | None:
    """The patch that makes an object what it was before it was archived; None when it is not archived."""
    kept = archived(item)
    return None if kept is None else with_annotation(change(kept), None)
