"""Which plugins there are, and their order: ours as `plugins.txt` lists them, then those of installed packages.

HSPEC_PLUGINS names a file to be read instead of `plugins.txt`: a name per line, `#` begins a comment. It may name
plugins of installed packages too; those that it does not name come last, in the order of their names.
"""

import os
import sys
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ManifestError
from ..service import Context, Service

GROUP = "octopod.hspec.plugins"
HERE = Path(__file__).parent
Warn = Callable[[str], None]


class Plugin(NamedTuple):
    """What gives snippets."""

    name: str
    snippets: Callable[[Service, Context], Iterable[Any] | None]
    is_ours: bool


def plugins(warn: Warn) -> list[Plugin]:
    """All, in their order. What cannot be found or loaded is warned of. Raises ManifestError without a list."""
    ours, others = _our_names(), dict(_installed(tuple(sys.path)))
    for name in sorted(ours & set(others)):
        warn(f"The plugin {name} of {_package(others.pop(name))} is left out: one of ours has this name.")
    listed = _listed()
    order = dict.fromkeys([*listed, *sorted(others)])
    found = [_load(name, others.get(name), name in ours, warn) for name in order]
    return [plugin for plugin in found if plugin]


@cache
def _our_names() -> frozenset[str]:
    return frozenset(path.stem for path in (HERE / "plugins").glob("[!_]*.py"))


def _listed() -> list[str]:
    path = Path(os.environ.get("HSPEC_PLUGINS") or HERE / "plugins.txt")
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"The list of plugins, {path}, cannot be read: {error}.") from None
    names = (line.partition("#")[0].strip() for line in lines)
    return [name for name in names if name]


@cache
def _installed(search_path: tuple[str, ...]) -> tuple[tuple[str, EntryPoint], ...]:
    """Looked for once: it reads what every installed package says of itself."""
    return tuple((entry.name, entry) for entry in entry_points(group=GROUP))


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _load(name: str, entry: EntryPoint | None, is_ours: bool, warn: Warn) -> Plugin | None:
    if is_ours:
        return Plugin(name, import_module(f"{__package__}.plugins.{name}").snippets, True)
    if not entry:
        warn(f"The plugin {name} is listed, but neither one of ours nor installed.")
        return None
    try:
        loaded = entry.load()
    except Exception as error:  # the code of others
        warn(f"The plugin {name} cannot be loaded: {type(error).__name__}: {error}.")
        return None
    return Plugin(name, getattr(loaded, "snippets", loaded), False)
