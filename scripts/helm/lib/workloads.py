"""How workloads are: by generation, and by updated and ready replicas. Pure functions over what the cluster says."""

from collections.abc import Callable
from typing import Any, NamedTuple

from lib.kube import Object, title
from lib.scalable import ARCHIVED


class Health(NamedTuple):
    """`problem` is empty when it is as it should be."""

    title: str
    problem: str

    @property
    def ok(self) -> bool:
        return not self.problem

    def __str__(self) -> str:
        return f"{self.title} {self.problem or 'is ready'}"


def health(item: Object) -> Health:
    """How a Deployment, StatefulSet, DaemonSet or Job is."""
    if ARCHIVED in (item["metadata"].get("annotations") or {}):
        return Health(title(item), "is archived")
    status = item.get("status") or {}
    if item["kind"] != "Job" and status.get("observedGeneration", 0) < item["metadata"].get("generation", 1):
        return Health(title(item), "has not been looked at by its controller since it was changed")
    return Health(title(item), PROBLEMS[item["kind"]](item["spec"], status))


def deployment(spec: Object, status: Object) -> str:
    asked = spec.get("replicas", 1)
    refused, stuck = condition(status, "ReplicaFailure"), condition(status, "Progressing")
    if refused.get("status") == "True":
        return f"cannot make its pods: {refused.get('message', '')}"
    if stuck.get("reason") == "ProgressDeadlineExceeded":
        return f"does not get ready: {stuck.get('message', 'its deadline is over')}"
    return (
        few(status.get("updatedReplicas", 0), asked, "is being updated")
        or few(status.get("readyReplicas", 0), asked, "is not ready")
        or few(status.get("availableReplicas", 0), asked, "is not available")
        or surplus(status.get("replicas", 0), asked)
    )


def stateful_set(spec: Object, status: Object) -> str:
    asked = spec.get("replicas", 1)
    strategy = spec.get("updateStrategy") or {}
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    updated = status.get("updatedReplicas", 0)
    if status.get("currentRevision") == status.get("updateRevision"):
        updated = status.get("replicas", 0)  # it is not counted once the update is over
    by_itself = strategy.get("type", "RollingUpdate") == "RollingUpdate"
    return (
        few(updated, max(0, asked - partition) if by_itself else 0, "is being updated")
        or few(status.get("readyReplicas", 0), asked, "is not ready")
        or surplus(status.get("replicas", 0), asked)
    )


def daemon_set(spec: Object, status: Object) -> str:
    asked = status.get("desiredNumberScheduled", 0)
    by_itself = (spec.get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    return few(status.get("updatedNumberScheduled", 0), asked if by_itself else 0, "is being updated") or few(
        status.get("numberReady", 0), asked, "is not ready"
    )


def job(spec: Object, status: Object) -> str:
    failed = condition(status, "Failed")
    if failed.get("status") == "True":
        return f"has failed: {failed.get('message') or failed.get('reason') or 'it does not say why'}"
    if condition(status, "Complete").get("status") == "True":
        return ""
    if spec.get("suspend"):
        return "is suspended"
    active = status.get("active", 0)
    if not active:
        return "has not begun"
    ready: Any = status.get("ready", active)  # clusters older than 1.24 do not say
    return few(ready, active, "is not ready")


PROBLEMS: dict[str, Callable[[Object, Object], str]] = {
    "Deployment": deployment,
    "StatefulSet": stateful_set,
    "DaemonSet": daemon_set,
    "Job": job,
}


def few(there: int, asked: int, what: str) -> str:
    return f"{what}: {there} of {asked}" if there < asked else ""


def surplus(there: int, asked: int) -> str:
    return f"has {there - asked} old pods left" if there > asked else ""


def condition(status: Object, kind: str) -> dict[str, Any]:
    return next((one for one in status.get("conditions") or [] if one.get("type") == kind), {})


# Reasons


def trouble(pod: Object) -> str:
    """What keeps a pod from being ready, in a few words; empty when nothing does, or it does not say."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return ""
    scheduled = condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"{scheduled.get('reason', 'Unschedulable')}: {scheduled.get('message', '')}".rstrip(": ")
    for container in containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        ended = (container.get("state") or {}).get("terminated") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{container['name']}: {waiting['reason']} {waiting.get('message', '')}".rstrip()
        if ended.get("exitCode"):
            return f"{container['name']}: {ended.get('reason', 'Error')}, exit code {ended['exitCode']}"
    if status.get("phase") == "Failed":
        return f"{status.get('reason', 'Failed')} {status.get('message', '')}".rstrip()
    unready = [
        one["name"] for one in containers(status) if not one.get("ready") and "running" in (one.get("state") or {})
    ]
    return f"{', '.join(unready)} not ready" if unready else ""


def containers(status: Object) -> list[dict[str, Any]]:
    """The states of a pod's containers that matter: those that initialize it as long as they have not ended well."""
    first = [one for one in status.get("initContainerStatuses") or [] if not is_over(one)]
    return first + (status.get("containerStatuses") or [])


def is_over(container: dict[str, Any]) -> bool:
    return ((container.get("state") or {}).get("terminated") or {}).get("exitCode") == 0


def broken_containers(pod: Object) -> list[str]:
    """The containers of a pod whose logs may tell why it does not work: those that have run and have ended badly."""
    return [
        one["name"]
        for one in containers(pod.get("status") or {})
        if one.get("restartCount") or ((one.get("state") or {}).get("terminated") or {}).get("exitCode")
    ]
