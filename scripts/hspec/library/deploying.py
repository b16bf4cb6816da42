"""Bring all services of a deployment to what is asked for."""

from collections.abc import Sequence

from octopod.hspec.workflow import Outcome, SpecFile
from shared.files import locked
from shared.output import Failure, say

from library import checking, namespaces
from library.deployment import Deployment
from library.running import new_talk
from library.settings import KNOWN_KEYS
from octopod.hspec import cluster, workflow
from octopod.hspec.talk import Talk


def deploy(deployment: Deployment) -> None:
    """Deploy, wait until all of it runs, and remove services that are not asked for any more. Raises Failure."""
    if unused := deployment.request.unused_keys(KNOWN_KEYS):
        say(f"Not used by this suite: {', '.join(unused)}.")
    with locked(deployment.home):
        names = [service.name for service in deployment.services]
        say(f"Deploying {', '.join(names)} from {deployment.shown_version}.")
        namespaces.make(deployment)
        talk = new_talk()
        report(run(deployment, talk))
        remove_others(deployment, names, talk)
        deployment.remember(commit=deployment.commit, services=names, images=checking.images(deployment))


def run(deployment: Deployment, talk: Talk) -> list[Outcome]:
    files = [
        SpecFile(found.path, found.profile, deployment.overrides[found.path], deployment.root)
        for found in deployment.specs
    ]
    timeout = deployment.settings.timeout
    return workflow.deploy(files, deployment.name, deployment.namespace, talk, timeout=timeout, wait=True)


def report(outcomes: Sequence[Outcome]) -> None:
    """Raise Failure when a service is not as it should be; last comes which, and why."""
    failed = [outcome for outcome in outcomes if outcome.code]
    if failed:
        reasons = [f"{outcome.name} is not deployed: {outcome.message}" for outcome in failed]
        raise Failure("\n".join(reasons))
    say(f"{'All' if len(outcomes) > 1 else 'It'} {'run' if len(outcomes) > 1 else 'runs'}.")


def remove_others(deployment: Deployment, names: Sequence[str], talk: Talk) -> None:
    """Remove services that an earlier deployment had, and that the source has no more. Their volumes stay."""
    for status in cluster.statuses(deployment.kubectl, deployment.name):
        if status.name not in names:
            say(f"Removing {status.name}, which the source has no more.")
            cluster.undeploy(deployment.kubectl, deployment.name, status.name, talk)
