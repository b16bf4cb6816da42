"""Which profile belongs to which service: those given, or those that have the name of an environment."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import InvalidSpec, Problem, ProfileError, UsageError
from .nodes import Node
from .profiles import Profile, read_profile
from .reading import read
from .report import quoted

NAME = re.compile("[-a-zA-Z0-9]{2,30}")
ENDING = r"\.hprof(\.ya?ml)?"


def choose_profiles(
    specs: Sequence[Path], files: Sequence[Path] = (), name: str | None = None
) -> dict[Path, Path | None]:
    """The profile of each spec.

    Files are each the profile of the service they say; a service can be without. By name, every service must have one,
    `<name>-<service>.hprof` beside its spec or in `profiles/` there. Raises UsageError, ProfileError with all that is
    wrong, or SpecError for a spec that cannot be read.
    """
    if files and name is not None:
        raise UsageError("Profiles are given as files or by name, not both.")
    if name is not None:
        return _by_name(specs, name)
    return _of_files(specs, files) if files else dict.fromkeys(specs)


def _services(specs: Sequence[Path]) -> dict[str, Path]:
    """The specs by the names of their services."""
    services: dict[str, Path] = {}
    for spec in specs:
        name = read(spec).value.get("name")
        if not name or not name.text:
            raise InvalidSpec(Problem("This is required, and missing.", "name", str(spec)))
        if (first := services.setdefault(name.text, spec)) != spec:
            raise UsageError(f"Both {first} and {spec} describe the service {quoted(name.text)}.")
    return services


def _of_files(specs: Sequence[Path], files: Sequence[Path]) -> dict[Path, Path | None]:
    services = _services(specs)
    chosen: dict[Path, Path | None] = dict.fromkeys(specs)
    problems: list[Problem] = []
    for file in dict.fromkeys(files):
        service = _profile(file, problems).service
        spec = services.get(service)
        if service and spec is None:
            problems.append(_about(file, f"This is a profile of {quoted(service)}; given are: {', '.join(services)}."))
        elif spec and chosen[spec]:
            problems.append(_about(file, f"{quoted(service)} has a profile already, {chosen[spec]}; it can have one."))
        elif spec:
            chosen[spec] = file
    return _unless(problems, chosen)


def _about(file: Path, message: str) -> Problem:
    return Problem(message, "overrides", str(file))


def _by_name(specs: Sequence[Path], name: str) -> dict[Path, Path | None]:
    if not NAME.fullmatch(name):
        raise UsageError(f"{quoted(name)} cannot be the name of a profile: it must be 2 to 30 letters, digits and `-`.")
    problems: list[Problem] = []
    chosen = {spec: _named(spec, service, name, problems) for service, spec in _services(specs).items()}
    return _unless(problems, chosen)


def _named(spec: Path, service: str, name: str, problems: list[Problem]) -> Path | None:
    """The one profile of a name for a spec; None, and problems, where there is none or more than one."""
    profiles = [_profile(file, problems) for file in _candidates(spec, name, service)]
    if not profiles:
        problems.append(Problem(f"There is no {name}-{service}.hprof beside it or in profiles/.", file=str(spec)))
        return None
    if len(profiles) > 1:
        files = ", ".join(str(profile.file) for profile in profiles)
        problems.append(Problem(f"There is more than one profile for it: {files}.", file=str(spec)))
    problems += [problem for profile in profiles for problem in _mismatches(profile, service, name)]
    return profiles[0].file


def _candidates(spec: Path, name: str, service: str) -> list[Path]:
    """Files with the name, and those with more behind it that say they are of the service."""
    exact = re.compile(re.escape(f"{name}-{service}") + ENDING)
    longer = re.compile(re.escape(f"{name}-{service}") + f".+{ENDING}", re.DOTALL)
    places = [place for place in (spec.parent, spec.parent / "profiles") if place.is_dir()]
    files = sorted(file for place in places for file in place.iterdir())
    return [
        file
        for file in files
        if exact.fullmatch(file.name) or (longer.fullmatch(file.name) and _profile(file, []).service == service)
    ]


def _mismatches(profile: Profile, service: str, name: str) -> Iterator[Problem]:
    said = (("environment", profile.environment, name), ("overrides", profile.service, service))
    for field, value, wanted in said:
        if value and value != wanted:
            message = f"{quoted(value)} is not allowed: it must be {quoted(wanted)}, as the file is called."
            yield Problem(message, field, str(profile.file))


def _profile(file: Path, problems: list[Problem]) -> Profile:
    """The profile; where it cannot be read, or says not what it is of, one of no service, and problems."""
    try:
        profile = read_profile(file)
    except ProfileError as error:
        problems += error.problems
        return Profile(file, "", "", Node({}), [])
    problems += [problem for problem in profile.problems if problem.field in ("environment", "overrides")]
    return profile


def _unless(problems: list[Problem], chosen: dict[Path, Path | None]) -> dict[Path, Path | None]:
    if problems:
        raise ProfileError(*dict.fromkeys(problems))
    return chosen
