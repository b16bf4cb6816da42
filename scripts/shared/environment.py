"""Settings of a suite, each read from the environment and checked. All raise Failure, naming the setting."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.output import Failure


def data(environ: Mapping[str, str]) -> Path:
    """Where the suite keeps its state."""
    name = environ.get("OCTOPOD_SUITE_DATA")
    if not name:
        raise Failure("OCTOPOD_SUITE_DATA is not set: it must name the directory where this suite keeps its state.")
    return Path(name).absolute()


def defaults(environ: Mapping[str, str], strings: tuple[str, ...], others: tuple[str, ...] = ()) -> dict[str, Any]:
    """DEFAULTS, a JSON object of strings, and of others that are for the caller to check."""
    try:
        found = json.loads(environ.get("DEFAULTS") or "{}")
    except ValueError as error:
        raise Failure(f"DEFAULTS is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise Failure("DEFAULTS must be a JSON object.")
    unknown = sorted(set(found) - {*strings, *others})
    if unknown:
        raise Failure(f"DEFAULTS has keys that are not known: {', '.join(unknown)}.")
    wrong = [key for key in strings if not isinstance(found.get(key) or "", str)]
    if wrong:
        raise Failure(f"{wrong[0]} in DEFAULTS must be a string.")
    return found


def flag(environ: Mapping[str, str], name: str, default: bool) -> bool:
    text = environ.get(name, "").strip().lower()
    if text not in ("", "true", "false"):
        raise Failure(f"{name} must be true or false.")
    return text == "true" if text else default


def seconds(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not re.fullmatch(r"[1-9]\d{0,5}", text):
        raise Failure(f"{name} must be a whole number of seconds above 0.")
    return int(text)


def path(environ: Mapping[str, str], name: str) -> Path | None:
    return Path(environ[name]) if environ.get(name) else None


def words(environ: Mapping[str, str], name: str) -> list[str]:
    """A list, with blanks or commas between."""
    return environ.get(name, "").replace(",", " ").split()
