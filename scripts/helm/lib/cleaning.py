"""Remove a release for good, with its volumes and whatever else it has left."""

import time

from lib import archiving
from lib.deployment import Deployment, unique
from lib.kube import Object, title
from lib.owners import INSTANCE, is_volume_of, lies_in
from shared.files import locked
from shared.output import Failure, say

CLAIMS = "persistentvolumeclaims"
LEFT = f"{CLAIMS},secrets,configmaps,jobs"
PAUSE = 1.0


def clean(deployment: Deployment) -> None:
    """Leave nothing. The release's record goes last, so that whoever is interrupted finds out again what there was."""
    with locked(deployment.settings.data / "deployments" / deployment.name):
        kept = [*deployment.objects, *deployment.hooks]
        remove(deployment, kept)
        if deployment.release:
            uninstall(deployment)
        remove(deployment, kept)
        wait_until_gone(deployment, kept)
    say(f"{deployment.name} is removed, with its volumes.")


def remove(deployment: Deployment, kept: list[Object]) -> None:
    """Delete volumes, what hooks have left, and, once helm has done its part, what it was told to keep."""
    problems: list[str] = []
    archiving.attempt(problems, lambda: deployment.kube.delete(leftovers(deployment)))
    hooks = [item for item in deployment.hooks if item["kind"] != "CustomResourceDefinition"]
    archiving.attempt(problems, lambda: deployment.kube.delete(hooks))
    archiving.attempt(problems, lambda: deployment.kube.delete(item for item in kept if is_kept(item)))
    archiving.give_up(problems)


def is_kept(item: Object) -> bool:
    """Whether helm leaves it where it is. Definitions of kinds are: others may have objects of theirs."""
    annotations = item["metadata"].get("annotations") or {}
    return annotations.get("helm.sh/resource-policy") == "keep" and item["kind"] != "CustomResourceDefinition"


def leftovers(deployment: Deployment) -> list[Object]:
    """What is the release's and not helm's to remove."""
    here = [item for item in deployment.objects if lies_in(deployment.request.namespace, item)]
    volumes = [claim for claim in deployment.kube.get(CLAIMS) if is_volume_of(claim, here)]
    made = [
        claim
        for one in deployment.made_by_operators(doubtful=False)
        for claim in deployment.kube.get(CLAIMS, "--selector", one)
    ]
    marked = deployment.kube.get(LEFT, "--selector", f"{INSTANCE}={deployment.name}")
    return unique([*volumes, *made, *marked])


def uninstall(deployment: Deployment) -> None:
    done = deployment.helm.run("uninstall", deployment.name, timeout=deployment.settings.timeout)
    if not done.ok and "not found" not in done.complaint:
        raise Failure(f"helm cannot uninstall {deployment.name}: {done.complaint}")
    say(done.out)


def wait_until_gone(deployment: Deployment, kept: list[Object]) -> None:
    """Return when nothing is left. Raises Failure, naming what is, when the time is up."""
    deadline = time.monotonic() + deployment.settings.timeout
    while left := remaining(deployment, kept):
        if time.monotonic() > deadline:
            raise Failure(f"Still there: {', '.join(sorted(title(item) for item in left)[:8])}.")
        time.sleep(PAUSE)


def remaining(deployment: Deployment, kept: list[Object]) -> list[Object]:
    known = [item for item in kept if item["kind"] not in ("CustomResourceDefinition", "Namespace")]
    return unique([*deployment.pods(doubtful=True), *leftovers(deployment), *deployment.kube.live(known)])
