"""Bring all services of a deployment to what is asked for."""

from collections.abc import Sequence

from library import checking, namespaces
from library.deployment import Deployment
from library.running import new_talk
from library.settings import KNOWN_KEYS
from octopod.hspec import cluster, workflow
from octopod.hspec.errors import AddressError
from octopod.hspec.talk import Talk
from octopod.hspec.workflow import Job, SpecFile
from shared.output import Failure, say


def deploy(deployment: Deployment) -> None:
    """Deploy, wait until all of it runs, and remove services that are not asked for any more. Raises Failure."""
    if unused := deployment.request.unused_keys(KNOWN_KEYS):
        say(f"Not used by this suite: {', '.join(unused)}.")
    with deployment.locked():
        names = [service.name for service in deployment.services]
        say(f"Deploying {', '.join(names)} from {deployment.shown_version}.")
        namespaces.make(deployment)
        deployment.remember(**deployment.record | {"services": names, "wanted": deployment.commit})
        talk = new_talk()
        report(run(deployment, talk))
        remove_others(deployment, names, talk)
        deployment.remember(services=names, commit=deployment.commit, images=checking.images(deployment))


def run(deployment: Deployment, talk: Talk) -> list[Job]:
    files = [
        SpecFile(found.path, found.profile, deployment.overrides[found.path], deployment.root)
        for found in deployment.specs
    ]
    timeout = deployment.settings.timeout
    return workflow.deploy(files, deployment.name, deployment.namespace, talk, timeout=timeout)


def report(jobs: Sequence[Job]) -> None:
    """Raise Failure when a service does not run; last comes which, and why. One without an address may well run."""
    failed = [job for job in jobs if job.error and not isinstance(job.error, AddressError)]
    if failed:
        raise Failure("\n".join(f"{job.name} is not deployed: {reason(job)}" for job in failed))
    say(f"Runs: {', '.join(job.name for job in jobs)}.")


def reason(job: Job) -> str:
    """What is wrong, in a line: of many the first and the last. All of it has been said before."""
    lines = [line.strip() for line in str(job.error).splitlines() if line.strip()]
    return " … ".join(dict.fromkeys([lines[0], lines[-1]])) if lines else "it does not say why."


def remove_others(deployment: Deployment, names: Sequence[str], talk: Talk) -> None:
    """Remove services that an earlier deployment had, and that the source has no more. Their volumes stay."""
    for status in cluster.statuses(deployment.kubectl, deployment.name):
        if status.name not in names:
            say(f"Removing {status.name}, which the source has no more.")
            cluster.undeploy(deployment.kubectl, deployment.name, status.name, talk)
