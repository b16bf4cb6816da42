"""Remove a release for good, with its volumes and whatever else it has left."""

import time

from lib import archiving
from lib.deployment import INSTANCE, Deployment, unique
from lib.files import locked
from lib.kube import Object, labels, title
from lib.output import Failure, say

LEFT = "persistentvolumeclaims,secrets,configmaps,jobs"
PAUSE = 1.0


def clean(deployment: Deployment) -> None:
    """Leave nothing. The release's record goes last, so that whoever is interrupted finds out again what there was."""
    with locked(deployment.settings.data / "deployments" / deployment.name):
        kept = [*deployment.objects, *deployment.hooks]
        selectors = unambiguous(deployment)
        remove(deployment, kept, selectors)
        if deployment.release:
            uninstall(deployment)
        remove(deployment, kept, selectors)
        wait_until_gone(deployment, kept, selectors)
    say(f"{deployment.name} is removed, with its volumes.")


def unambiguous(deployment: Deployment) -> list[str]:
    """The labels that only things of this release carry."""
    return [one for one in deployment.selectors() if not one.startswith("job-name=")] + volume_labels(
        deployment.objects
    )


def volume_labels(objects: list[Object]) -> list[str]:
    """The labels that StatefulSets put on their volumes beside those of their pods."""
    templates = [
        template
        for item in objects
        if item["kind"] == "StatefulSet"
        for template in item["spec"].get("volumeClaimTemplates") or []
    ]
    found = [(template.get("metadata") or {}).get("labels") for template in templates]
    return [labels({"matchLabels": one}) for one in found if one]


def remove(deployment: Deployment, kept: list[Object], selectors: list[str]) -> None:
    """Delete volumes, what hooks have left, and, once helm has done its part, what it was told to keep."""
    problems: list[str] = []
    archiving.attempt(problems, lambda: deployment.kube.delete(leftovers(deployment, selectors)))
    hooks = [item for item in deployment.hooks if item["kind"] != "CustomResourceDefinition"]
    archiving.attempt(problems, lambda: deployment.kube.delete(hooks))
    archiving.attempt(problems, lambda: deployment.kube.delete(item for item in kept if is_kept(item)))
    archiving.give_up(problems)


def is_kept(item: Object) -> bool:
    """Whether helm leaves it where it is. Definitions of kinds are: others may have objects of theirs."""
    annotations = item["metadata"].get("annotations") or {}
    return annotations.get("helm.sh/resource-policy") == "keep" and item["kind"] != "CustomResourceDefinition"


def leftovers(deployment: Deployment, selectors: list[str]) -> list[Object]:
    """What carries the release's labels and is not helm's to remove."""
    volumes = [item for one in selectors for item in deployment.kube.get("persistentvolumeclaims", "--selector", one)]
    marked = deployment.kube.get(LEFT, "--selector", f"{INSTANCE}={deployment.name}")
    return unique([*volumes, *marked])


def uninstall(deployment: Deployment) -> None:
    done = deployment.helm.run("uninstall", deployment.name, timeout=deployment.settings.timeout)
    if not done.ok and "not found" not in done.complaint:
        raise Failure(f"helm cannot uninstall {deployment.name}: {done.complaint}")
    say(done.out)


def wait_until_gone(deployment: Deployment, kept: list[Object], selectors: list[str]) -> None:
    """Return when nothing is left. Raises Failure, naming what is, when the time is up."""
    deadline = time.monotonic() + deployment.settings.timeout
    while left := remaining(deployment, kept, selectors):
        if time.monotonic() > deadline:
            raise Failure(f"Still there: {', '.join(sorted(title(item) for item in left)[:8])}.")
        time.sleep(PAUSE)


def remaining(deployment: Deployment, kept: list[Object], selectors: list[str]) -> list[Object]:
    pods = [pod for one in selectors for pod in deployment.kube.pods(one)]
    known = [item for item in kept if item["kind"] not in ("CustomResourceDefinition", "Namespace")]
    return unique([*pods, *leftovers(deployment, selectors), *deployment.kube.live(known)])
