"""The controller: stage after stage for a service, one service after the other.

A stage may have hooks: those `before` it can refuse, those `after` it run when it has succeeded, those `at_end` whatever
became of it. A stage that fails ends the work on its service; the next service is still worked on.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from . import cluster, images, manifests, spec
from .cluster import Kubectl
from .errors import HspecError, InvalidSpec, UsageError
from .home import Workspace, locked
from .manifests import Manifest
from .names import resource_name
from .service import Context, Credentials, Service
from .talk import Skipped, Talk

# What Kubernetes appends to the names of pods, and the label it keeps of a StatefulSet's revision, must fit as well.
LONGEST_NAME, LONGEST_STATEFUL_NAME = 63, 52


class SpecFile(NamedTuple):
    """A service spec, with what changes it."""

    path: Path
    profile: Path | None = None
    overrides: Mapping[str, Any] | None = None  # plain data, merged last
    root: Path | None = None  # no file outside may be read


@dataclass
class Job:
    """A service on its way through the stages, and what they have found out."""

    file: SpecFile
    app: str
    namespace: str | None
    talk: Talk
    timeout: int | None = None  # seconds to wait for it; None: in proportion to its replicas
    service: Service = field(init=False)
    digest: str | None = None
    manifests: list[Manifest] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)
    error: HspecError | None = None
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """The service's; of a spec that could not be read, the file's."""
        return self.service.name if hasattr(self, "service") else self.file.path.name

    @property
    def workspace(self) -> Workspace:
        return Workspace.of(self.app, self.service.name)

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.namespace)

    @property
    def context(self) -> Context:
        environment = self.service.environment or f"{self.app}-dev"
        return Context(self.app, environment, self.namespace, self.credentials, self.digest)

    @cached_property
    def credentials(self) -> Credentials | None:
        """For pulling the image; a helper program may have to be asked."""
        return images.pull_credentials(self.service.image.registry, self.talk.warn)


Work = Callable[[Job], None]


class Stage(NamedTuple):
    name: str
    work: Work
    before: tuple[Work, ...] = ()
    after: tuple[Work, ...] = ()
    at_end: tuple[Work, ...] = ()


def validate(job: Job) -> None:
    """Read the spec. All that is wrong with it is said at once."""
    job.service = spec.load(job.file.path, profile=job.file.profile, overrides=job.file.overrides, root=job.file.root)
    for warning in job.service.warnings:
        job.talk.warn(str(warning))
    check_name(job.app, job.service)


def check_name(app: str, service: Service) -> None:
    """Whether it leaves room for what Kubernetes appends. Raises InvalidSpec."""
    name = resource_name(app, service.name)
    longest = LONGEST_STATEFUL_NAME if service.is_stateful else LONGEST_NAME
    if len(name) > longest:
        raise InvalidSpec(
            f"The name {name} has {len(name)} characters, and no more than {longest} can be used: "
            "shorten the name of the app or of the service."
        )


def look_around(job: Job) -> None:
    """Find out now what would fail later: no builder, no credentials, no cluster, no storage class."""
    images.preflight(job.service)
    cluster.preflight(job.kubectl, job.service)


def write_dockerfile(job: Job) -> None:
    job.files["dockerfile"] = images.write_dockerfile(job.service, job.workspace, job.talk)


def build(job: Job) -> None:
    job.files["build log"] = job.workspace.log("build")
    images.build(job.service, job.app, job.workspace, job.talk)


def push(job: Job) -> None:
    job.files["push log"] = job.workspace.log("push")
    job.digest = images.push(job.service, job.app, job.workspace, job.talk)


def generate(job: Job) -> None:
    job.manifests = manifests.generate(job.service, job.context, job.talk.warn)
    manifests.write(job.manifests, job.workspace.manifests)
    job.files["manifests"] = job.workspace.manifests


def apply(job: Job) -> None:
    cluster.apply(job.kubectl, job.service, job.context, job.manifests, job.talk)


def wait(job: Job) -> None:
    cluster.wait(job.kubectl, job.service, job.context, job.talk, job.timeout)


def save_logs(job: Job) -> None:
    """Keep what the pods have written, above all when they have failed."""
    log = job.workspace.log("deploy")
    cluster.save_logs(job.kubectl, job.app, job.service.name, log)
    job.files["deploy log"] = log
    if job.talk.verbose and log.exists():
        job.talk.detail(log.read_text(errors="replace"))


def find_address(job: Job) -> None:
    service = job.service
    ports = [*service.ports, *(port for agent in service.agents for port in agent.ports)]
    if not ports:
        raise Skipped("it has no ports")
    if service.load_balancer:
        job.addresses = [service.load_balancer.host]
        raise Skipped(service.load_balancer.host)
    if not service.external:
        raise Skipped(f"inside the cluster {service.name}:{ports[0].number}")
    job.addresses = cluster.address(job.kubectl, job.app, service.name)


def clean(job: Job) -> None:
    job.workspace.clean()


def prepare(job: Job) -> None:
    job.workspace.make()


VALIDATE = Stage("Validate", validate)
VALIDATE_AND_LOOK_AROUND = Stage("Validate", validate, after=(look_around,))
MANIFESTS = Stage("Manifests", generate, before=(prepare,))
DEPLOY = (
    Stage("Dockerfile", write_dockerfile, before=(clean,)),
    Stage("Image build", build),
    Stage("Image push", push),
    MANIFESTS,
    Stage("Deploy", apply),
    Stage("Wait", wait, at_end=(save_logs,)),
    Stage("Address", find_address),
)


def run(stage: Stage, job: Job) -> None:
    """One stage with its hooks. Raises HspecError."""
    with job.talk.stage(stage.name):
        for hook in stage.before:
            hook(job)
        try:
            stage.work(job)
            for hook in stage.after:
                hook(job)
        finally:
            for hook in stage.at_end:
                finish(hook, job)


def finish(hook: Work, job: Job) -> None:
    """A hook at the end: what fails there hides nothing of why the stage has failed, and is no failure of its own."""
    try:
        hook(job)
    except BrokenPipeError:
        raise
    except (HspecError, OSError) as error:
        job.talk.warn(str(foreseen(error)))


def foreseen(error: HspecError | OSError) -> HspecError:
    """Also a disk that is full, or a directory that may not be written, ends the work on one service only."""
    if isinstance(error, HspecError):
        return error
    where = f"{error.filename}: " if error.filename else ""
    return HspecError(f"{where}{error.strerror or error}.")


def go_through(job: Job, stages: Iterable[Stage]) -> None:
    """Stage after stage until one fails, which is kept in `job.error`."""
    started = time.monotonic()
    try:
        for stage in stages:
            run(stage, job)
    except BrokenPipeError:
        raise
    except (HspecError, OSError) as error:
        job.error = foreseen(error)
        job.talk.fail(str(job.error))
        for warning in job.error.warnings:
            job.talk.warn(str(warning))
    job.seconds += time.monotonic() - started


def work(jobs: Sequence[Job], first: Stage, stages: Sequence[Stage]) -> None:
    """Take every service through `first`, and if all of them have passed, one after the other through the stages.

    Nothing is built or deployed while one of the specs is known to be wrong: half an app helps nobody.
    """
    for job in jobs[:1]:
        job.talk.title(first.name)
    for job in jobs:
        go_through(job, [first._replace(name=job.file.path.name)])
    if any(job.error for job in jobs):
        return
    refuse_twins(jobs)
    for job in jobs if stages else ():
        job.talk.title(job.name)
        with locked(job.app, job.name, job.talk.say):
            go_through(job, stages)


def refuse_twins(jobs: Iterable[Job]) -> None:
    seen: dict[str, Path] = {}
    for job in jobs:
        if job.name in seen:
            raise UsageError(f"Both {seen[job.name]} and {job.file.path} describe the service {job.name}.")
        seen[job.name] = job.file.path


def deploy(
    specs: Iterable[SpecFile], app: str, namespace: str, talk: Talk, *, timeout: int | None = None
) -> list[Job]:  # fmt: skip
    """Deploy services, and wait until they run; what has become of each. Raises UsageError."""
    jobs = [Job(spec, app, namespace, talk, timeout) for spec in specs]
    work(jobs, VALIDATE_AND_LOOK_AROUND, DEPLOY)
    return jobs
