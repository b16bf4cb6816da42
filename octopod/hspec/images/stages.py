"""The stages that make an image and put it into its registry, and what they need to be there before."""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .. import processes
from ..errors import BuildError, HspecError, PreflightError, PushError
from ..home import Workspace
from ..service import Dockerfile, Service
from ..talk import Skipped, Talk
from .builders import Builder, find_builder
from .credentials import credentials_for
from .login import logged_in
from .registry import host_of, is_insecure, qualified, wants_login

PATIENCE = 3600.0  # seconds for each of building, pulling and pushing, unless HSPEC_IMAGE_SECONDS says otherwise
LAST_LINES = 15  # of a log, in an error
REMOVING = 120.0  # seconds
LARGEST = 2**20  # bytes of a Dockerfile that are looked at
VARIABLE = re.compile(r"\$\{?(\w+)\}?")
FROM = re.compile(r"^[ \t]*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE | re.MULTILINE)


def preflight(service: Service) -> None:
    """Whether there is what the other stages need. Raises PreflightError."""
    image = service.image
    if not is_made(service):
        return
    builder = find_builder()
    if not image.registry or credentials_for(image.registry):
        return
    host = host_of(image.registry)
    if wants_login(host):
        raise PreflightError(
            f"{image.registry} wants a login, and there is none. Log in before: {builder.kind} login {host}"
        )


def is_made(service: Service) -> bool:
    """Whether an image has to be built, or at least tagged and pushed."""
    return bool(service.image.dockerfile or service.image.build_spec)


def _is_stack(service: Service) -> bool:
    return bool(service.image.build_spec and service.image.build_spec.is_plain)


def build_tag(service: Service, app: str) -> str:
    """What the image is called until it has been pushed."""
    tag = service.image.tag
    return f"hyscale.io/{app}/{service.name}" + (f":{tag}" if tag else "")


def build(service: Service, app: str, workspace: Workspace, talk: Talk) -> None:
    """Build the image and give it its names. Raises Skipped, BuildError."""
    if not is_made(service):
        raise Skipped("the image is there already")
    if _is_stack(service):
        raise Skipped("the stack image is used as it is")
    generated = Dockerfile(workspace.dockerfiles, workspace.dockerfiles / "Dockerfile")
    dockerfile = service.image.dockerfile or generated
    if not dockerfile.file.is_file():
        raise BuildError(f"The image of {service.name} cannot be built: there is no {dockerfile.file}.")
    builder, tag = find_builder(), build_tag(service, app)
    steps = [
        builder.build(dockerfile, tag, insecure=_has_insecure_base(dockerfile)),
        builder.tag(tag, service.image.reference),
    ]
    talk.progress(f"building with {builder.kind}")
    failure = BuildError(f"The image of {service.name} cannot be built.")
    _run(steps, workspace.log("build"), talk, failure, builder.environment)


def _has_insecure_base(dockerfile: Dockerfile) -> bool:
    """Whether all that is built upon is in registries without TLS: what a builder is told counts for all of them."""
    with dockerfile.file.open("rb") as file:
        text = file.read(LARGEST).decode(errors="replace")
    text = VARIABLE.sub(lambda found: dockerfile.args.get(found[1], found[0]), text)
    stages = FROM.findall(text)
    names = {"scratch", *(name.lower() for _, name in stages)}
    bases = [image for image, _ in stages if image.lower() not in names]
    return bool(bases) and all(is_insecure(qualified(base).partition("/")[0]) for base in bases)


def push(service: Service, app: str, workspace: Workspace, talk: Talk) -> str | None:
    """Push the image; its digest, None when that cannot be found out. Raises Skipped, BuildError, PushError."""
    if not is_made(service):
        raise Skipped("the image is there already")
    builder, image = find_builder(), service.image
    if _is_stack(service):
        _take_stack(service, builder, workspace, talk)
    if not image.registry:
        _forget_build_tag(service, app, builder)
        raise Skipped("the spec names no registry")
    talk.progress(f"pushing {image.reference}")
    digest = _push(service, builder, workspace, talk)
    _forget_build_tag(service, app, builder)
    if not digest:
        talk.warn(f"{builder.kind} does not tell the digest of {image.reference}: it will be referred to by its tag.")
    return digest


def _forget_build_tag(service: Service, app: str, builder: Builder) -> None:
    """The image has another name; a failure harms nobody."""
    if not _is_stack(service):
        with suppress(HspecError):
            processes.run(builder.remove(build_tag(service, app)), timeout=REMOVING)


def _take_stack(service: Service, builder: Builder, workspace: Workspace, talk: Talk) -> None:
    """Let the stack image be the image of the service."""
    assert service.image.build_spec
    stack = qualified(service.image.build_spec.stack_image)
    talk.progress(f"pulling {stack}")
    steps = [builder.pull(stack, is_insecure(stack.partition("/")[0])), builder.tag(stack, service.image.reference)]
    failure = BuildError(f"The stack image of {service.name} cannot be had.")
    _run(steps, workspace.log("push"), talk, failure, builder.environment)


def _push(service: Service, builder: Builder, workspace: Workspace, talk: Talk) -> str | None:
    image, registry = service.image, service.image.registry or ""
    with (
        tempfile.TemporaryDirectory(prefix="hspec-push-") as directory,
        logged_in(builder, registry, credentials_for(registry)) as env,
    ):
        file = Path(directory, "digest")
        step = builder.push(image.reference, file, is_insecure(host_of(registry)))
        _run([step], workspace.log("push"), talk, PushError(f"{image.reference} cannot be pushed."), env)
        return builder.digest(image.reference, image.repository, file)


def _run(steps: Sequence[list[str]], log: Path, talk: Talk, failure: HspecError, env: Mapping[str, str]) -> None:
    """One program after the other. Raises an error like `failure` with the last that the failing one said."""
    for step in steps:
        start = log.stat().st_size if log.exists() else 0
        try:
            done = processes.run_logged(step, log, timeout=_patience(), env=env)
        except HspecError as error:
            raise type(failure)(f"{failure} {error}") from None
        if talk.verbose:
            _tell(log, start, talk)
        if not done.ok:
            last = "\n".join(f"  {line}" for line in done.out.strip().splitlines()[-LAST_LINES:])
            raise type(failure)(f"{failure} The log is {log}; it ends with\n{last}")


def _patience() -> float:
    text = os.environ.get("HSPEC_IMAGE_SECONDS", "")
    return float(text) if re.fullmatch(r"[1-9][0-9]{0,8}", text) else PATIENCE


def _tell(log: Path, start: int, talk: Talk) -> None:
    with log.open(errors="replace") as file:
        file.seek(start)
        for line in file:
            talk.detail(line.rstrip())
