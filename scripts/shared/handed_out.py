"""What application_config has handed out as defaults, so that a later script can tell them from what a user has said.

A script gets defaults and overrides in one, as pairs, and what a user has taken away is just not passed. Values are kept
as digests: they may be secret.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from shared.arguments import Request
from shared.files import write_privately


def remember(data: Path, request: Request, pairs: Iterable[tuple[str, str]]) -> None:
    """Keep what has been handed out for this deployment configuration."""
    write_privately(_record(data, request), json.dumps({key: digest(value) for key, value in pairs}))


def recall(data: Path, request: Request) -> dict[str, str] | None:
    """Digests by key; None when nothing is known, as after a move of the server."""
    try:
        found = json.loads(_record(data, request).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def is_whole(request: Request, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether what is not passed has been taken away. Only the server passes the whole configuration: nothing is taken
    away when somebody runs a script with a few values of their own."""
    return environ.get("OCTOPOD_DEPLOYMENT") == request.name


def _record(data: Path, request: Request) -> Path:
    key = hashlib.sha256(repr(sorted(request.deployment)).encode()).hexdigest()[:24]
    return data / "defaults" / f"{key}.json"
