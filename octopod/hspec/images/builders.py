"""The programs that make images: docker, podman, buildah, and how each says what we want of it.

Whatever comes from a spec stands behind `--` or in the same word as its option, so that no name is taken for an option.
"""

import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from .. import processes
from ..errors import HspecError, PreflightError
from ..service import Dockerfile
from .registry import qualified

PATIENCE = 30.0  # seconds until a builder that does not answer is passed over


class Dialect(NamedTuple):
    """What differs between builders."""

    alive: str  # succeeds when it works
    build: tuple[str, ...]
    names_tls: bool  # has to be told when there is no TLS, and writes digests to files; docker does neither


DIALECTS = {
    "docker": Dialect(alive="version", build=("build",), names_tls=False),
    "podman": Dialect(alive="info", build=("build",), names_tls=True),
    "buildah": Dialect(
        alive="info", build=("bud", "--layers"), names_tls=True
    ),  # so that what has not changed stays the same
}


class Builder(NamedTuple):
    """A builder that is there. Its methods return argument lists."""

    kind: str  # key of DIALECTS
    program: str

    @property
    def dialect(self) -> Dialect:
        return DIALECTS[self.kind]

    @property
    def environment(self) -> dict[str, str]:
        """What it needs besides ours: podman and buildah stop when DOCKER_CONFIG leads to no configuration."""
        directory = os.environ.get("DOCKER_CONFIG")
        is_obstacle = self.dialect.names_tls and directory and not Path(directory, "config.json").exists()
        return {"DOCKER_CONFIG": ""} if is_obstacle else {}

    def _tls(self, insecure: bool) -> list[str]:
        return ["--tls-verify=false"] if insecure and self.dialect.names_tls else []

    def build(self, dockerfile: Dockerfile, tag: str, insecure: bool) -> list[str]:
        options = [f"--build-arg={key}={value}" for key, value in dockerfile.args.items()]
        options += [f"--target={dockerfile.target}"] if dockerfile.target else []
        options += [f"--file={dockerfile.file}", f"--tag={tag}", *self._tls(insecure)]
        return [self.program, *self.dialect.build, *options, "--", str(dockerfile.context)]

    def pull(self, image: str, insecure: bool) -> list[str]:
        return [self.program, "pull", *self._tls(insecure), "--", image]

    def tag(self, image: str, name: str) -> list[str]:
        return [self.program, "tag", "--", image, name]

    def remove(self, name: str) -> list[str]:
        return [self.program, "rmi", "--", name]

    def login(self, registry: str, user: str, insecure: bool) -> list[str]:
        """The password is read from the standard input."""
        options = [f"--username={user}", "--password-stdin", *self._tls(insecure)]
        return [self.program, "login", *options, "--", registry]

    def push(self, reference: str, digest: Path, insecure: bool) -> list[str]:
        if not self.dialect.names_tls:
            return [self.program, "push", "--", reference]
        options = [f"--digestfile={digest}", *self._tls(insecure)]
        return [self.program, "push", *options, "--", reference, f"docker://{qualified(reference)}"]

    def digest(self, reference: str, repository: str, file: Path) -> str | None:
        """Of what has just been pushed; None when the builder does not know."""
        if self.dialect.names_tls:
            return file.read_text().strip() or None if file.exists() else None
        argv = [self.program, "image", "inspect", "--format={{json .RepoDigests}}", "--", reference]
        try:
            asked = processes.run(argv, timeout=PATIENCE)
        except HspecError:
            return None
        return digest_in(asked.out, repository) if asked.ok else None


def digest_in(text: str, repository: str) -> str | None:
    """The digest in a JSON list of `repository@digest`, the last one of this very repository."""
    try:
        names = [str(name).partition("@") for name in json.loads(text) or []]
    except (ValueError, TypeError):
        return None
    digests = [digest for name, _, digest in names if qualified(name) == qualified(repository)]
    return digests[-1] if digests else None


def find_builder() -> Builder:
    """The builder that IMAGE_BUILDER names, or the first that works. Raises PreflightError saying what each lacks."""
    wanted = os.environ.get("IMAGE_BUILDER", "").strip()
    candidates = [_named(wanted)] if wanted else [Builder(kind, kind) for kind in DIALECTS]
    complaints = []
    for builder in candidates:
        try:
            return _working(builder)
        except HspecError as error:
            complaints.append(f"{builder.program}: {error}")
    raise PreflightError("There is no program that can build images here.\n" + "\n".join(complaints))


def _named(program: str) -> Builder:
    """The kind is in the program's name: `/opt/bin/podman-5` is a podman."""
    for kind in DIALECTS:
        if kind in Path(program).name:
            return Builder(kind, program)
    raise PreflightError(f"IMAGE_BUILDER is {program}; it must be docker, podman or buildah, or a path to one of them.")


def _working(builder: Builder) -> Builder:
    """The builder, if it works. Raises HspecError saying why it does not."""
    if not shutil.which(builder.program):
        raise HspecError("it is not installed.")
    done = processes.run([builder.program, builder.dialect.alive], timeout=PATIENCE)
    if not done.ok:
        raise HspecError((done.err.strip() or done.complaint).splitlines()[-1])
    is_podman = builder.kind == "docker" and "podman" in done.out.lower()  # it may go by docker's name
    return builder._replace(kind="podman") if is_podman else builder
