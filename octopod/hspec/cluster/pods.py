"""How pods are, and what keeps them from being ready. Pure functions over what the cluster says."""

import os
import re
from datetime import datetime
from typing import NamedTuple

from .kubectl import Object

RESTARTS = 3  # after so many a container is not expected to come up any more
NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
NO_CONFIGURATION = ("CreateContainerConfigError",)
NO_START = ("CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun")
HOPELESS = re.compile(
    r"InvalidImageName|ErrImageNeverPull|not ?found|couldn't find key|manifest unknown", re.IGNORECASE
)
ON_THE_WAY = (None, "ContainerCreating", "PodInitializing")


class Trouble(NamedTuple):
    """What is wrong with a pod. `kind`: image, configuration, start, crash, schedule, ready, or empty: not much."""

    pod: str
    kind: str
    text: str
    container: str = ""

    @property
    def is_fatal(self) -> bool:
        """Whether it does not pass by waiting, unless a registry or a node had a hiccup."""
        return self.kind in ("image", "configuration", "start", "crash")

    @property
    def is_certain(self) -> bool:
        """Whether it was not even a hiccup."""
        return self.kind == "crash" or (self.is_fatal and bool(HOPELESS.search(self.text)))

    @property
    def place(self) -> tuple[str, str]:
        """Where it is, by pod and container."""
        return self.pod, self.container


def name(item: Object) -> str:
    return str(item["metadata"]["name"])


def status_of(pod: Object) -> Object:
    status: Object = pod.get("status") or {}
    return status


def condition(status: Object, kind: str) -> Object:
    return next((one for one in status.get("conditions") or [] if one.get("type") == kind), {})


def is_ready(pod: Object) -> bool:
    return condition(status_of(pod), "Ready").get("status") == "True"


def is_running(pod: Object) -> bool:
    """Running, and ready."""
    return status_of(pod).get("phase") == "Running" and is_ready(pod)


def is_going(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_over(pod: Object) -> bool:
    """Whether it has ended for good: evicted, or done. Something else takes its place."""
    return status_of(pod).get("phase") in ("Succeeded", "Failed")


def restarts(pod: Object) -> int:
    return sum(one.get("restartCount", 0) for one in _containers(pod))


def restart_limit() -> int:
    text = os.environ.get("HYS_POD_RESTART_COUNT", "")
    return int(text) if text.isdigit() and int(text) else RESTARTS


def trouble(pod: Object) -> Trouble | None:
    """What keeps a pod from being ready; None when it is, or when it is on its way out."""
    if is_ready(pod) or is_going(pod):
        return None
    status = status_of(pod)
    scheduled = condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return Trouble(name(pod), "schedule", _sentence(scheduled.get("reason", "Unschedulable"), scheduled))
    found = [one for container in _containers(pod) if (one := _trouble_of(pod, container))]
    worst = sorted(found, key=lambda one: not one.is_fatal)
    if worst:
        return worst[0]
    if status.get("phase") == "Failed":
        return Trouble(name(pod), "", _sentence(status.get("reason", "Failed"), status))
    return _unready(pod)


def _trouble_of(pod: Object, container: Object) -> Trouble | None:
    """What is wrong with one container, apart from not being ready."""
    state = container.get("state") or {}
    waiting, ended, label = state.get("waiting") or {}, state.get("terminated") or {}, container["name"]
    word = waiting.get("reason")
    for kind, reasons in (("image", NO_IMAGE), ("configuration", NO_CONFIGURATION), ("start", NO_START)):
        if word in reasons:
            return Trouble(name(pod), kind, _sentence(str(word), waiting), label)
    last = ended or (container.get("lastState") or {}).get("terminated") or {}
    count = container.get("restartCount", 0)
    if not container.get("ready") and count >= restart_limit() and last:
        return Trouble(name(pod), "crash", f"{word or 'Crashed'}: {_ending(last)}, restarted {count} times", label)
    if ended.get("exitCode"):
        return Trouble(name(pod), "", f"{ended.get('reason', 'Error')}: {_ending(ended)}", label)
    return Trouble(name(pod), "", _sentence(word, waiting), label) if word not in ON_THE_WAY else None


def _unready(pod: Object) -> Trouble | None:
    running = [
        one["name"] for one in _containers(pod) if not one.get("ready") and "running" in (one.get("state") or {})
    ]
    if running:
        return Trouble(name(pod), "ready", f"NotReady: {', '.join(running)} runs, but is not ready", running[0])
    waits = [one["name"] for one in _containers(pod) if "waiting" in (one.get("state") or {})]
    return Trouble(name(pod), "", f"ContainerCreating: {', '.join(waits)} is being made") if waits else None


def _sentence(word: str, about: Object) -> str:
    message = str(about.get("message") or "").strip()
    return f"{word}: {message}" if message else str(word)


def _ending(ended: Object) -> str:
    text = f"exit code {ended['exitCode']}" if "exitCode" in ended else "it ended"
    return text if ended.get("reason") in (None, "Error", "Completed") else f"{ended['reason']}, {text}"


def _containers(pod: Object) -> list[Object]:
    """The states of the containers; of those that prepare the pod, as long as they have not ended well."""
    status = status_of(pod)
    first = [one for one in status.get("initContainerStatuses") or [] if not _ended_well(one)]
    return first + list(status.get("containerStatuses") or [])


def _ended_well(container: Object) -> bool:
    return ((container.get("state") or {}).get("terminated") or {}).get("exitCode") == 0


def seconds_since(text: str | None, now: datetime) -> int | None:
    """Of a time as the API writes it."""
    if not text:
        return None
    return max(0, int((now - datetime.fromisoformat(text.replace("Z", "+00:00"))).total_seconds()))


# Workloads and their pods


def is_noticed(workload: Object) -> bool:
    """Whether what the cluster says of it is about it as it is now, not as it was before the last change."""
    seen: int = status_of(workload).get("observedGeneration", 0)
    return seen >= workload["metadata"].get("generation", 1)


def is_owned(item: Object, owner: Object) -> bool:
    owners = item["metadata"].get("ownerReferences") or []
    return any(one.get("uid") == owner["metadata"]["uid"] for one in owners)


def current_pods(workload: Object, found: list[Object]) -> list[Object]:
    """Those made from the workload as it is now; `found` has the ReplicaSets, too."""
    pods = [item for item in found if item["kind"] == "Pod"]
    if workload["kind"] == "StatefulSet":
        revision = status_of(workload).get("updateRevision")
        own = [pod for pod in pods if is_owned(pod, workload)]
        return [pod for pod in own if (pod["metadata"].get("labels") or {}).get("controller-revision-hash") == revision]
    sets = [item for item in found if item["kind"] == "ReplicaSet" and is_owned(item, workload)]
    newest = [one for one in sets if _revision(one) == _revision(workload)]
    return [pod for pod in pods if any(is_owned(pod, one) for one in newest)]


def _revision(item: Object) -> str | None:
    revision: str | None = (item["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision")
    return revision
