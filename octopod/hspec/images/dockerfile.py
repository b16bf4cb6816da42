"""The Dockerfile of a service that puts something on top of a stack image, and the files that belong beside it."""

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import DockerfileError
from ..home import Workspace
from ..service import BuildSpec, Service
from ..talk import Skipped, Talk

SCRIPTS = "/hyscale/init_scripts"  # in the image
HEAD = "#!/bin/sh\nset -e\nset -x\n"
PLAIN_WORD = re.compile(r"[\w./:@+,=~%${}][\w./:@+,=~%${}-]*", re.ASCII)  # needs no quotes in a Dockerfile


class Script(NamedTuple):
    """A script of the image: commands of the spec, or a file of the user's."""

    name: str
    commands: str | None
    file: Path | None


def write_dockerfile(service: Service, workspace: Workspace, talk: Talk) -> Path:
    """Write the Dockerfile and all it copies. Raises Skipped where none is needed, DockerfileError."""
    spec = wanted(service)
    directory = workspace.dockerfiles
    problems = list(_problems(spec))
    if problems:
        raise DockerfileError(*problems)
    directory.mkdir(parents=True, exist_ok=True)
    for script in filter(None, (configuring(spec), running(spec))):
        talk.progress(f"copying {script.name}")
        _put_script(script, directory / script.name)
    for artifact in spec.artifacts:
        talk.progress(f"copying {artifact.source.name}")
        _put_file(artifact.source, directory / "artifacts" / artifact.name / artifact.source.name)
    return _write(directory / "Dockerfile", text(spec))


def wanted(service: Service) -> BuildSpec:
    """What a Dockerfile is to be made of. Raises Skipped."""
    spec = service.image.build_spec
    if service.image.dockerfile:
        raise Skipped("the spec brings a Dockerfile")
    if spec is None:
        raise Skipped("the image is there already")
    if spec.is_plain:
        raise Skipped("the stack image is used as it is")
    return spec


def configuring(spec: BuildSpec) -> Script | None:
    return _script("configure.sh", spec.config_commands, spec.config_script)


def running(spec: BuildSpec) -> Script | None:
    return _script("run.sh", spec.run_commands, spec.run_script)


def _script(name: str, commands: str | None, file: Path | None) -> Script | None:
    if commands:
        return Script(name, commands, None)
    return Script(file.name, None, file) if file else None


def text(spec: BuildSpec) -> str:
    """The Dockerfile."""
    configure, run = configuring(spec), running(spec)
    lines = [f"FROM {spec.stack_image}"]
    lines += [
        f"COPY {_words(_literal(f'artifacts/{artifact.name}/{artifact.source.name}'), _destination(artifact.destination))}"
        for artifact in spec.artifacts
    ]
    if configure:
        lines.append(f"ADD {_words(_literal(configure.name), f'{SCRIPTS}/')} ")  # with the original's blank at the end
    if run:
        lines.append(f"ADD {_words(_literal(run.name), f'{SCRIPTS}/')}")
    if configure or run:
        lines.append(f"RUN chmod -R 755 {SCRIPTS}/")
    if configure:
        lines.append(f"RUN {shlex.quote(f'{SCRIPTS}/{configure.name}')}")
    if run:
        lines.append(f"ENTRYPOINT {_json('/bin/sh', f'{SCRIPTS}/{run.name}')}")
    return "\n".join(lines) + "\n"


def _literal(path: str) -> str:
    """A path in the build context that is to be taken as it is: neither a pattern nor with variables in it."""
    exact = path.replace("\\", "\\\\").replace("[", "[[]")
    return re.sub(r"""([$"'\\])""", r"\\\1", exact)


def _destination(path: str) -> str:
    """A path in the image. It may name variables of the stack image."""
    return re.sub(r"""(["'])""", r"\\\1", path)


def _words(*words: str) -> str:
    """Arguments of an instruction, in its JSON form where they are not plain words."""
    return " ".join(words) if all(map(PLAIN_WORD.fullmatch, words)) else _json(*words)


def _json(*words: str) -> str:
    return json.dumps(words, ensure_ascii=False, separators=(",", ":"))


def _problems(spec: BuildSpec) -> Iterator[str]:
    """What can be said before anything is written."""
    scripts = [script for script in (configuring(spec), running(spec)) if script]
    files = [script.file for script in scripts if script.file] + [artifact.source for artifact in spec.artifacts]
    for file in files:
        if not file.is_file():
            yield f"{file} cannot be copied into the image: {_what_is(file)}."
        if not file.name.isprintable():
            yield f"{str(file)!r} cannot be copied into the image: its name has characters that no Dockerfile can hold."
    for artifact in spec.artifacts:
        if artifact.name in ("", ".", "..") or "/" in artifact.name or not artifact.name.isprintable():
            yield f"{artifact.name!r} cannot be the name of an artifact: it becomes a directory's."


def _what_is(file: Path) -> str:
    if file.is_dir():
        return "it is a directory, and only files can be"
    return "it is no ordinary file" if file.exists() else "there is no such file"


def _put_script(script: Script, path: Path) -> None:
    if script.file:
        _put_file(script.file, path)
        return
    body = script.commands or ""
    _write(path, HEAD + body + ("" if body.endswith("\n") else "\n"))
    path.chmod(0o755)


def _put_file(source: Path, path: Path) -> None:
    """A second name for the file where that is possible, however large it is; otherwise a copy."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        try:
            os.link(source.resolve(), path)  # resolved: of a link, the link itself would be linked
        except OSError:
            shutil.copy2(source, path)
    except OSError as error:
        raise DockerfileError(f"{source} cannot be copied to {path}: {error.strerror}.") from None


def _write(path: Path, content: str) -> Path:
    try:
        path.unlink(missing_ok=True)  # it may be a second name of a file of the user's
        path.write_text(content)
    except OSError as error:
        raise DockerfileError(f"{path} cannot be written: {error.strerror}.") from None
    return path
