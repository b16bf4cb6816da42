"""Which profile belongs to which service: those given, or those that have the name of an environment."""

import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import Problem, ProfileError, UsageError
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


def _service(spec: Path) -> str:
    name = read(spec).value.get("name")
    return name.text if name else ""


def _of_files(specs: Sequence[Path], files: Sequence[Path]) -> dict[Path, Path | None]:
    services = {_service(spec): spec for spec in specs}
    chosen: dict[Path, Path | None] = dict.fromkeys(specs)
    problems: list[Problem] = []
    for file in dict.fromkeys(files):
        service = _profile(file, problems).service
        spec = services.get(service)
        if not service:
            continue
        if spec is None:
            given = ", ".join(services)
            problems.append(
                Problem(f"This is a profile of {quoted(service)}; given are: {given}.", "overrides", str(file))
            )
        elif chosen[spec]:
            message = f"{quoted(service)} has a profile already, {chosen[spec]}; it can have one."
            problems.append(Problem(message, "overrides", str(file)))
        else:
            chosen[spec] = file
    return _unless(problems, chosen)


def _by_name(specs: Sequence[Path], name: str) -> dict[Path, Path | None]:
    if not NAME.fullmatch(name):
        raise UsageError(f"{quoted(name)} cannot be the name of a profile: it must be 2 to 30 letters, digits and `-`.")
    chosen: dict[Path, Path | None] = dict.fromkeys(specs)
    problems: list[Problem] = []
    for spec in specs:
        chosen[spec] = _named(spec, name, problems)
    return _unless(problems, chosen)


def _named(spec: Path, name: str, problems: list[Problem]) -> Path | None:
    """The one profile of a name for a spec; None, and problems, where there is none or more than one."""
    service = _service(spec)
    found = [profile for file in _candidates(spec, name, service) if (profile := _profile(file, problems)).service]
    fitting = [profile for profile in found if profile.service == service]
    if len(fitting) == 1:
        problems += _misnamed(fitting[0], name)
        return fitting[0].file
    if not fitting:
        wrong = f"; {found[0].file} is one of {quoted(found[0].service)}" if found else ""
        message = f"There is no {name}-{service}.hprof beside it or in profiles/{wrong}."
    else:
        message = f"There are several profiles for it: {', '.join(str(each.file) for each in fitting)}."
    problems.append(Problem(message, file=str(spec)))
    return None


def _candidates(spec: Path, name: str, service: str) -> list[Path]:
    pattern = re.compile(f"{re.escape(name)}-{re.escape(service)}.*{ENDING}", re.DOTALL)
    places = [spec.parent, spec.parent / "profiles"]
    return sorted(
        file for place in places if place.is_dir() for file in place.iterdir() if pattern.fullmatch(file.name)
    )


def _misnamed(profile: Profile, name: str) -> list[Problem]:
    if not profile.environment or profile.environment == name:
        return []
    message = f"{quoted(profile.environment)} is not what the file is called and asked for as, {quoted(name)}."
    return [Problem(message, "environment", str(profile.file))]


def _profile(file: Path, problems: list[Problem]) -> Profile:
    """The profile; where it cannot be read, or says not what it is of, one of no service, and problems."""
    profile = read_profile(file)
    problems += [problem for problem in profile.problems if problem.field in ("environment", "overrides")]
    return profile


def _unless(problems: list[Problem], chosen: dict[Path, Path | None]) -> dict[Path, Path | None]:
    if problems:
        raise ProfileError(*dict.fromkeys(problems))
    return chosen
