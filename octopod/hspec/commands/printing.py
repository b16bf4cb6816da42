"""Results on stdout: as text, JSON or YAML. Talk goes to stderr."""

import json
from collections.abc import Sequence
from typing import Any

from ..errors import HspecError


def print_data(data: Any, form: str) -> None:
    """As `json` or `yaml`."""
    if form == "json":
        print(json.dumps(data, indent=2, ensure_ascii=False))
        return
    from ..manifests import dumped

    print(dumped(data), end="")


def print_table(titles: Sequence[str], rows: Sequence[tuple[Sequence[str], str]]) -> None:
    """Rows of cells below titles; what there is to say of a row comes below it."""
    cells = [tuple(titles), *(tuple(cell or "-" for cell in row) for row, _ in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line, note in zip(cells, ["", *(note for _, note in rows)], strict=True):
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
        for part in note.splitlines():
            print(f"    {part}")


def age(seconds: float | None) -> str:
    """45 s, 12 min, 3 h, 5 d"""
    if seconds is None:
        return ""
    for limit, unit, divisor in ((100, "s", 1), (100 * 60, "min", 60), (48 * 3600, "h", 3600)):
        if seconds < limit:
            return f"{int(seconds // divisor)} {unit}"
    return f"{int(seconds // 86400)} d"


def problems(error: HspecError) -> list[dict[str, Any]]:
    """For JSON: message, field, file and line, as far as they are known."""
    return [
        {key: value for key, value in problem._asdict().items() if value} | {"message": problem.message}
        for problem in error.problems
    ]
