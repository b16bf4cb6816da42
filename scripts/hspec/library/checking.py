"""How a deployment is, whether it is what was asked for, and whether what is asked for can work."""

import json
from functools import partial
from typing import Any

from library import namespaces
from library.deployment import Deployment, short
from octopod.hspec import cluster, names
from octopod.hspec import images as engine_images
from octopod.hspec.cluster import ServiceStatus
from octopod.hspec.errors import HspecError
from octopod.hspec.workflow import check_name
from shared.output import Failure, say

HEALTHY, UNHEALTHY, PARTIAL, ANOTHER = 0, 1, 2, 3
OVER = ("Succeeded", "Failed")

Object = dict[str, Any]


def check(deployment: Deployment) -> int:
    """Say how the deployment is; the exit code of `check`. Raises HspecError, Failure when that cannot be told."""
    namespaces.refuse_foreign(deployment)
    statuses = cluster.statuses(deployment.kubectl, deployment.name)
    if not statuses:
        return report(UNHEALTHY, [f"Nothing of {deployment.name} is in the namespace {deployment.namespace}."])
    found = workloads(deployment)
    unwell = [
        f"{one.name} is {one.status.lower()}{f': {one.message}' if one.message else ''}"
        for one in statuses
        if not is_well(one, found.get(one.name))
    ]
    there = {one.name for one in statuses}
    gone = [f"{name} is gone" for name in deployment.record.get("services", []) if name not in there]
    if len(unwell) == len(statuses):
        return report(UNHEALTHY, unwell + gone)
    other = another(deployment, found)
    if other:
        return report(ANOTHER, other + unwell + gone)
    if unwell or gone:
        return report(PARTIAL, unwell + gone)
    return report(HEALTHY, [f"Runs {running(deployment)}, and all of it is well: {', '.join(sorted(there))}."])


def report(code: int, lines: list[str]) -> int:
    """One line, for it becomes the reason of a status."""
    sentences = [" ".join(line.split()) for line in lines]
    say(" ".join(line if line.endswith(".") else f"{line}." for line in sentences))
    return code


def is_well(status: ServiceStatus, workload: Object | None) -> bool:
    """Whether a service runs, or rests because its spec says so."""
    wanted = spec_of(workload).get("replicas") if workload else None
    least = wanted.get("min") if isinstance(wanted, dict) else wanted
    return status.status == "Running" or (str(least) == "0" and status.message == "scaled to no replicas")


def running(deployment: Deployment) -> str:
    commit = deployment.record.get("commit", "")
    return short(commit) if commit else "what was deployed"


def workloads(deployment: Deployment) -> dict[str, Object]:
    """What runs the services, by service."""
    selector = names.selector_of(deployment.name)
    found = deployment.kubectl.get("deployments.apps,statefulsets.apps", "--selector", selector)
    return {item["metadata"]["labels"].get(names.SERVICE, ""): item for item in found}


def images(deployment: Deployment) -> dict[str, str]:
    """The image that each service runs, as the cluster has been told."""
    return {name: image(item, name) for name, item in workloads(deployment).items()}


def image(workload: Object, service: str) -> str:
    containers = workload["spec"]["template"]["spec"]["containers"]
    return str(next((one.get("image", "") for one in containers if one["name"] == service), ""))


def another(deployment: Deployment, found: dict[str, Object]) -> list[str]:
    """In which way what runs is not what was asked for. What cannot be told here is not wrong."""
    others = _other_commit(deployment) + _other_images(deployment, found)
    return (_unfinished(deployment) or others) + _other_tags(deployment, found)


def _unfinished(deployment: Deployment) -> list[str]:
    """An update that failed, or was killed: what runs is still of the one before, or some of each."""
    record = deployment.record
    if "wanted" not in record or "commit" not in record:
        return []
    update = f"The update to {short(record['wanted'])}" if record["wanted"] else "The last update"
    before = short(record["commit"]) or "what was deployed before"
    return [f"{update} has not come to its end, and {before} may still run: update it"]


def _other_commit(deployment: Deployment) -> list[str]:
    """By the copy of the repository on this machine: no network is asked every few seconds."""
    deployed = deployment.record.get("commit")
    try:
        wanted = deployment.mirror.commit(deployment.asked("ref")) if deployed and deployment.source.remote else ""
    except Failure:
        return []
    ref = f" ({deployment.asked('ref')})" if deployment.asked("ref") else ""
    is_other = wanted and wanted != deployed
    return [f"Runs {short(str(deployed))}, not {short(wanted)}{ref}: update it"] if is_other else []


def _other_images(deployment: Deployment, found: dict[str, Object]) -> list[str]:
    """Somebody may have given a workload another image than it was deployed with."""
    deployed = deployment.record.get("images", {})
    return [
        f"{name} runs {image(item, name)}, not {deployed[name]}: update it"
        for name, item in found.items()
        if name in deployed and image(item, name) != deployed[name]
    ]


def _other_tags(deployment: Deployment, found: dict[str, Object]) -> list[str]:
    asked = deployment.asked("tag")
    tags = {name: str(spec_image(item).get("tag", "")) for name, item in found.items() if has_made_image(item)}
    return [
        f"{name} runs the tag {tag}, not {asked}: update it" for name, tag in tags.items() if asked and tag != asked
    ]


def spec_of(workload: Object) -> dict[str, Any]:
    """The spec that a workload was deployed with, without its secrets."""
    annotations = workload["metadata"].get("annotations") or {}
    try:
        found = json.loads(annotations.get(names.SERVICE_SPEC) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def spec_image(workload: Object) -> dict[str, Any]:
    found = spec_of(workload).get("image")
    return found if isinstance(found, dict) else {}


def has_made_image(workload: Object) -> bool:
    """Whether its image was made from a source."""
    found = spec_image(workload)
    return found.get("dockerfile") is not None or found.get("buildSpec") is not None


def archive_check(deployment: Deployment) -> int:
    """Whether no pod is left. Raises HspecError, Failure when that cannot be told."""
    namespaces.refuse_foreign(deployment)
    pods = deployment.kubectl.get("pods", "--selector", names.selector_of(deployment.name))
    left = sorted(pod["metadata"]["name"] for pod in pods if (pod.get("status") or {}).get("phase") not in OVER)
    if not left:
        say("No pod of it is left.")
        return 0
    say(f"{len(left)} of its pods are left: {', '.join(left[:5])}{' and others' if len(left) > 5 else ''}.")
    return 1


def problems(deployment: Deployment) -> list[str]:
    """What keeps the configuration from working, as far as it can be told. Raises Failure, HspecError."""
    found: list[str] = []
    for service in deployment.services:
        found += attempt(partial(check_name, deployment.name, service))
        found += attempt(partial(engine_images.preflight, service))
    for service in deployment.services:
        if complaints := attempt(partial(cluster.preflight, deployment.kubectl, service)):
            return unique(found + complaints)  # a cluster that does not answer is asked once
    return unique(found + attempt(partial(namespaces.refuse_foreign, deployment)))


def unique(lines: list[str]) -> list[str]:
    return list(dict.fromkeys(lines))


def attempt(step: "partial[None]") -> list[str]:
    """What a step complains about."""
    try:
        step()
    except (HspecError, Failure) as error:
        return [str(error)]
    return []
