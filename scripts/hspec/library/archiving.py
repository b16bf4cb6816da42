"""Scale a deployment to nothing, and back to what it was."""

import time

from library import checking, namespaces
from library.deployment import Deployment
from library.running import new_talk
from octopod.hspec import cluster
from octopod.hspec.cluster.looking import pause
from shared.output import Failure, say

PATIENCE = 600  # seconds until all has to run again, unless DEPLOY_TIMEOUT says otherwise


def archive(deployment: Deployment) -> None:
    """Free what it uses; what it stores stays. Raises HspecError."""
    with deployment.locked():
        namespaces.refuse_foreign(deployment)
        cluster.archive(deployment.kubectl, deployment.name, new_talk())
        say(f"{deployment.name} is told to rest.")


def can_be_restored(deployment: Deployment) -> bool:
    """Whether what was archived is all there, and still is what is asked for."""
    found = checking.workloads(deployment)
    is_whole = bool(found) and set(found) >= set(deployment.record.get("services", []))
    return is_whole and not checking.another(deployment, found)


def restore(deployment: Deployment) -> None:
    """Undo `archive`, and wait until all runs. Raises Failure, HspecError."""
    with deployment.locked():
        namespaces.refuse_foreign(deployment)
        cluster.restore(deployment.kubectl, deployment.name, new_talk())
        wait(deployment)
        say(f"{deployment.name} runs again.")


def wait(deployment: Deployment) -> None:
    """Return when all services run; meanwhile it is said, whenever that changes, which do not and why."""
    end, said = time.monotonic() + (deployment.settings.timeout or PATIENCE), ""
    while unwell := troubles(deployment):
        text = "\n".join(unwell)
        if text != said:
            say(text)
        if time.monotonic() > end:
            raise Failure(f"{deployment.name} does not run again yet. {unwell[0]}")
        said = text
        time.sleep(pause())


def troubles(deployment: Deployment) -> list[str]:
    found = cluster.statuses(deployment.kubectl, deployment.name)
    resting = ("Running", "scaled to no replicas")
    return [f"{one.name}: {one.message or one.status}" for one in found if not {one.status, one.message} & {*resting}]
