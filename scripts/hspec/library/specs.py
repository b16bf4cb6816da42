"""Which specs there are in a source, and what they say."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from octopod.hspec import spec
from octopod.hspec.errors import HspecError, InvalidSpec, Problem
from octopod.hspec.service import Service
from shared.files import is_below
from shared.output import Failure

SPEC_NAME = re.compile(r".*\.hspec(\.ya?ml)?")
MOST = 8  # names in a sentence

Overrides = Mapping[str, Mapping[str, Any]]  # by service: what spec.load() takes


class Found(NamedTuple):
    """A spec, and the profile that goes with it."""

    path: Path
    profile: Path | None


def find(root: Path, pattern: str) -> list[Path]:
    """The specs that a pattern means, by the names of the files. Raises Failure when there are none."""
    if pattern.startswith("/") or ".." in pattern.split("/") or "\0" in pattern:
        raise Failure(f'spec is a pattern for paths in the source, not "{pattern}".')
    try:
        paths = [path for path in root.glob(pattern) if ".hprof" not in path.name and ".git" not in path.parts]
    except ValueError as error:  # ** beside other letters
        raise Failure(f'spec is no pattern that can be used: "{pattern}". {error}.') from None
    files = sorted((path for path in paths if path.is_file()), key=lambda path: (path.name, path))
    outside = [path for path in files if not is_below(path, root)]
    if outside:
        raise Failure(f"{outside[0].relative_to(root)} leads out of the source.")
    if not files:
        raise Failure(f'The source has no file that fits spec, which is "{pattern}". {_others(root)}')
    return files


def _others(root: Path) -> str:
    names = sorted(str(path.relative_to(root)) for path in root.glob("**/*") if SPEC_NAME.fullmatch(path.name))
    rest = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return f"It has: {', '.join(names[:MOST])}{rest}." if names else "It has no service spec at all."


def with_profiles(paths: Sequence[Path], name: str, root: Path) -> list[Found]:
    """The specs with their profiles of that name. Raises Failure, HspecError."""
    if not name:
        return [Found(path, None) for path in paths]
    directories = dict.fromkeys(place for path in paths for place in (path.parent, path.parent / "profiles"))
    for file in (file for place in directories for file in place.glob("*.hprof*")):
        if not is_below(file, root):
            raise Failure(f"{file} leads out of the source.")
    chosen: Mapping[Path, Path | None] = spec.choose_profiles(paths, name=name)
    return [Found(path, chosen.get(path)) for path in paths]


def load(
    specs: Sequence[Found], root: Path, overrides: Mapping[Path, Mapping[str, Any]] | None = None
) -> list[Service]:
    """What the specs say. Raises InvalidSpec with all that is wrong with all of them."""
    services: list[Service] = []
    problems: list[Problem] = []
    for path, profile in specs:
        try:
            changes = (overrides or {}).get(path)
            services.append(spec.load(path, profile=profile, overrides=changes or None, root=root))
        except HspecError as error:
            problems += [of(path, problem) for problem in error.problems]
    if problems:
        raise InvalidSpec(*problems)
    check_names(services)
    return services


def of(path: Path, problem: Problem) -> Problem:
    """The problem with the name of its service, where no file says whose it is: a value of the form."""
    service = path.name.partition(".")[0]
    return problem if problem.file else problem._replace(field=f"{service}.{problem.field}".rstrip("."))


def check_names(services: Sequence[Service]) -> None:
    """Raise Failure when two specs are about one service."""
    files: dict[str, Path] = {}
    for service in services:
        first = files.setdefault(service.name, service.file)
        if first != service.file:
            raise Failure(f"The service {service.name} is described twice: {first} and {service.file}.")
