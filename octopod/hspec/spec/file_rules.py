"""What a spec names must be there: Dockerfile, artifacts, scripts, props that are files, snippets."""

import os
from pathlib import Path as File
from typing import Any

from .nodes import Path
from .report import quoted
from .rules import Draft

SCRIPTS = (("configCommands", "configCommandsScript", "configure.sh"), ("runCommands", "runCommandsScript", "run.sh"))
TAKEN = ("Dockerfile", "artifacts")  # names beside the scripts in the build context


def check_image(draft: Draft) -> None:
    image = draft.data.get("image") or {}
    dockerfile, build_spec = image.get("dockerfile"), image.get("buildSpec")
    if dockerfile is not None and build_spec is not None:
        draft.report.error(("image", "buildSpec"), "This is not allowed together with dockerfile: use one of them.")
    if dockerfile is not None:
        _check_dockerfile(draft, dockerfile)
    if build_spec is not None:
        _check_artifacts(draft, build_spec)
        _check_scripts(draft, build_spec)


def _check_file(draft: Draft, path: Path, text: str | None) -> None:
    if text and (complaint := draft.files.complaint(draft.files.resolve(text))):
        draft.report.error(path, f"{quoted(text)} cannot be used. {complaint}")


def _check_dockerfile(draft: Draft, dockerfile: dict[str, Any]) -> None:
    path = ("image", "dockerfile")
    directory = dockerfile.get("path") or "."
    if complaint := draft.files.complaint(draft.files.resolve(directory), is_directory=True):
        draft.report.error((*path, "path"), f"{quoted(directory)} cannot be used. {complaint}")
    elif complaint := draft.files.complaint(dockerfile_in(draft, dockerfile)):
        written = dockerfile.get("dockerfilePath") or "Dockerfile"
        draft.report.error((*path, "dockerfilePath"), f"{quoted(written)} cannot be used. {complaint}")
    _check_arguments(draft, dockerfile.get("args"))


def _check_arguments(draft: Draft, arguments: Any) -> None:
    seen: set[str] = set()
    for index, argument in enumerate(arguments if isinstance(arguments, list) else []):
        name = (argument or "").partition("=")[0]
        if name in seen:
            draft.report.error(("image", "dockerfile", "args", index), f"{quoted(name)} is there twice.")
        seen.add(name)


def dockerfile_in(draft: Draft, dockerfile: dict[str, Any]) -> File:
    """The Dockerfile: what `dockerfilePath` names, or what is in it if that is a directory."""
    context = draft.files.resolve(dockerfile.get("path") or ".")
    file = draft.files.resolve(str(context / (dockerfile.get("dockerfilePath") or "Dockerfile")))
    return file / "Dockerfile" if draft.files.is_inside(file) and file.is_dir() else file


def _check_artifacts(draft: Draft, build_spec: dict[str, Any]) -> None:
    for index, artifact in enumerate(build_spec.get("artifacts") or []):
        path = ("image", "buildSpec", "artifacts", index)
        _check_file(draft, (*path, "source"), (artifact or {}).get("source"))
        destination = (artifact or {}).get("destination")
        if destination and not destination.startswith("/"):
            draft.report.warn((*path, "destination"), "This is relative to the WORKDIR of the stack image.")


def _check_scripts(draft: Draft, build_spec: dict[str, Any]) -> None:
    path, names = ("image", "buildSpec"), []
    for commands, script, written in SCRIPTS:
        if build_spec.get(commands):
            names.append(written)
            if build_spec.get(script):
                draft.report.warn((*path, script), f"This is not used: {commands} win over it.")
        elif build_spec.get(script):
            _check_file(draft, (*path, script), build_spec[script])
            name = os.path.basename(draft.files.resolve(build_spec[script]))
            if name in (*names, *TAKEN):
                message = f"There is another {quoted(name)} beside the Dockerfile; the script needs another name."
                draft.report.error((*path, script), message)
            names.append(name)


def check_snippets(draft: Draft) -> None:
    for index, text in enumerate(draft.data.get("k8sSnippets") or []):
        _check_file(draft, ("k8sSnippets", index), text)
