"""A spec, its profile and further overrides, to a service."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InvalidSpec, Problem, ProfileError, SpecError
from ..service import Service
from . import config_rules, doubts, file_rules, rules
from .building import build
from .checking import check
from .files import Files, absolute
from .merge import MergeError, merge_nodes
from .model import SPEC
from .nodes import Node, lift, plain, write_path
from .profiles import Profile, check_overridable, merge_keys, read_profile, replaced
from .reading import read
from .report import Report

RULES = (
    rules.check_names, file_rules.check_image, rules.check_replicas, rules.check_ports, rules.check_volumes,
    config_rules.check_config, file_rules.check_snippets, rules.check_traffic, rules.check_load_balancer,
    doubts.check_doubts,
)  # fmt: skip


TARGET = {"registry", "tag"}


def load(
    path: Path, *, profile: Path | None = None, overrides: Mapping[str, Any] | None = None, root: Path | None = None
) -> Service:
    """The service a spec describes, merged with a profile, then with overrides, which are plain data.

    Overrides may say what a profile may, and where the image goes: `image.registry` and `image.tag`.

    With a root, no file may lie outside of it. Raises SpecError, InvalidSpec or ProfileError, with all that is wrong.
    """
    files = Files.of(path, root)
    _confine(path, files, SpecError)
    merged = read(path)
    _refuse_profile(merged, path)
    problems: list[Problem] = []
    chosen = None
    if profile is not None:
        _confine(profile, files, ProfileError)
        chosen = read_profile(profile, merged)
        problems += chosen.problems
        merged = _merge(merged, chosen.patch, problems)
    if overrides:
        report = Report(lift(overrides), path)
        check_overridable(_without_target(report.root), report)
        problems += report.problems
        merged = _merge(merged, report.root, problems)
    return _checked(merged, path, files, chosen, problems)


def _refuse_profile(node: Node, path: Path) -> None:
    """It would lack everything; what it is says more."""
    if {"environment", "overrides"} <= set(node.value) and "image" not in node.value:
        service = node.value["overrides"].text
        raise SpecError(Problem(f"This is a profile of the service {service}, no service spec.", file=str(path)))


def _without_target(patch: Node) -> Node:
    """The patch without what it says of the place of the image."""
    image = patch.value.get("image")
    if image is None or not image.is_mapping or set(image.value) - TARGET:
        return patch
    return Node({key: value for key, value in patch.value.items() if key != "image"}, place=patch.place)


def _confine(path: Path, files: Files, failure: type[SpecError] | type[ProfileError]) -> None:
    if not files.is_inside(absolute(path)):
        raise failure(Problem("The file lies outside of the directory that files may be taken from.", file=str(path)))


def _merge(source: Node, patch: Node, problems: list[Problem]) -> Node:
    """Merged; the source alone, and a problem more, where that cannot be."""
    try:
        return merge_nodes(source, patch, merge_keys(), replaced())
    except MergeError as error:
        problems.append(Problem(f"{error.message}.", write_path(error.path), *error.place))
        return source


def _checked(merged: Node, path: Path, files: Files, profile: Profile | None, problems: list[Problem]) -> Service:
    report = Report(merged, path)
    draft = rules.Draft(check(merged, SPEC, (), report) or {}, report, files)
    for rule in RULES:
        rule(draft)
    problems += report.problems
    if problems:
        raise _failure(problems, _sorted(report.warnings), profile)
    return build(
        draft,
        file=absolute(path),
        profile=absolute(profile.file) if profile else None,
        environment=profile.environment if profile else None,
        source=plain(merged),
        warnings=tuple(_sorted(report.warnings)),
    )


def _failure(problems: list[Problem], warnings: list[Problem], profile: Profile | None) -> InvalidSpec | ProfileError:
    """Of the profile, if all that is wrong is in it."""
    problems = _sorted(problems)
    is_profiles = profile is not None and all(problem.file == str(profile.file) for problem in problems)
    failure = ProfileError(*problems) if is_profiles else InvalidSpec(*problems)
    failure.warnings = warnings
    return failure


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line))
