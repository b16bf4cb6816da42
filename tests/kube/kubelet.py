"""The scheduler and the one node: what becomes of pods."""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .events import complain
from .paths import Object, dig
from .references import missing
from .store import Store, now

NODE = "node-1"


@dataclass
class Behaviour:
    """What pods of a name or an image do."""

    glob: str
    then: str
    log: str = ""
    looks: int = 0  # until the pods are ready

    def is_about(self, pod: Object) -> bool:
        images = [container.get("image", "") for container in pod["spec"]["containers"]]
        return any(fnmatch.fnmatchcase(known, self.glob) for known in [pod["metadata"]["name"], *images])


FATES = ("usual", "ready", "never ready", "crash", "image", "pending", "done", "failed", "lingering")


class Kubelet:
    """Runs pods, as far as anybody can see. Without further notice they are ready at once, or done if they are to end."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.behaviours: list[Behaviour] = []
        self.logs: list[tuple[str, str]] = []  # a glob for the names of pods, and a text

    @property
    def kind(self) -> Any:
        return self.store.kinds.named("Pod")

    def behaviour(self, pod: Object) -> Behaviour:
        """The last one that is about the pod."""
        found = (known for known in reversed(self.behaviours) if known.is_about(pod))
        return next(found, Behaviour("*", "usual"))

    def look(self) -> bool:
        """Somebody looks: whether anything was waiting for that."""
        waiting = [behaviour for behaviour in self.behaviours if behaviour.looks > 0]
        for behaviour in waiting:
            behaviour.looks -= 1
        return bool(waiting)

    def reconcile(self) -> None:
        for pod in self.store.select(self.kind):
            behaviour = self.behaviour(pod)
            if "deletionTimestamp" in pod["metadata"]:
                if behaviour.then != "lingering" and not pod["metadata"].get("finalizers"):
                    self.store.drop(self.kind, pod)
            elif dig(pod, "status.phase") not in ("Succeeded", "Failed"):
                self._run(pod, behaviour)

    def _run(self, pod: Object, behaviour: Behaviour) -> None:
        then, message = self._fate(pod, behaviour)
        spec = pod["spec"] if then == "pending" else pod["spec"] | {"nodeName": NODE}
        pod = self.store.put(self.kind, pod | {"spec": spec, "status": self._status(pod, then, message)})
        if then in COMPLAINTS:
            reason, text = COMPLAINTS[then]
            image = pod["spec"]["containers"][0]["image"]
            complain(self.store, self.kind, pod, reason, message or text.format(image=image))

    def _fate(self, pod: Object, behaviour: Behaviour) -> tuple[str, str]:
        """What becomes of a pod, and why if it is not for the test to say."""
        once = pod["spec"]["restartPolicy"] == "Never"
        if behaviour.looks > 0:
            return "never ready", ""
        if behaviour.then == "usual":
            starts = dig(pod, "status.phase") == "Pending" and missing(self.store, pod)
            lasts = pod["spec"]["restartPolicy"] == "Always"
            return starts or ("ready" if lasts else "done", "")
        return {("crash", True): "failed", ("lingering", once): "ready"}.get((behaviour.then, once), behaviour.then), ""

    def _status(self, pod: Object, then: str, message: str) -> Object:
        old = pod.get("status", {})
        started = old.get("startTime") or now()
        conditions = self._conditions(pod, then, message)
        status: Object = {"phase": PHASES[then], "qosClass": "BestEffort", "conditions": conditions}
        if then == "pending":
            return status
        number = int(pod["metadata"]["uid"][:4], 16)
        status |= {"hostIP": "192.0.2.1", "podIP": f"10.244.{number // 256}.{number % 256}", "startTime": started}
        status["podIPs"] = [{"ip": status["podIP"]}]
        containers, initial = pod["spec"]["containers"], pod["spec"].get("initContainers")
        status["containerStatuses"] = [_container(container, then, started, message) for container in containers]
        if initial:
            fate = then if then in ("image", "config", "mount") else "done"
            status["initContainerStatuses"] = [_container(container, fate, started, message) for container in initial]
        return status

    @staticmethod
    def _conditions(pod: Object, then: str, message: str) -> list[Object]:
        old = {condition["type"]: condition for condition in dig(pod, "status.conditions", [])}
        return [_condition(old.get(type_), type_, *rest) for type_, *rest in _facts(then, pod, message)]

    def log(self, pod: Object) -> str:
        """What the pod has written so far."""
        behaviour = self.behaviour(pod)
        told = [text for glob, text in self.logs if fnmatch.fnmatchcase(pod["metadata"]["name"], glob)]
        return "".join(f"{text.rstrip()}\n" for text in [behaviour.log, *told] if text)


PHASES = {
    "ready": "Running",
    "never ready": "Running",
    "crash": "Running",
    "image": "Pending",
    "config": "Pending",
    "mount": "Pending",
    "pending": "Pending",
    "done": "Succeeded",
    "failed": "Failed",
}
COMPLAINTS = {
    "never ready": ("Unhealthy", "Readiness probe failed: connection refused"),
    "crash": ("BackOff", "Back-off restarting failed container"),
    "image": ("Failed", 'Failed to pull image "{image}": not found'),
    "config": ("Failed", ""),
    "mount": ("FailedMount", ""),
    "pending": ("FailedScheduling", "0/1 nodes are available: 1 Insufficient memory."),
}


def _facts(then: str, pod: Object, message: str) -> Iterator[tuple[str, ...]]:
    if then == "pending":
        yield "PodScheduled", "False", "Unschedulable", message or COMPLAINTS["pending"][1]
        return
    yield "Initialized", "True", "PodCompleted" if then == "done" else ""
    names = " ".join(container["name"] for container in pod["spec"]["containers"])
    unready = f"containers with unready status: [{names}]"
    for type_ in ("Ready", "ContainersReady"):
        if then == "ready":
            yield type_, "True"
        else:
            yield type_, "False", "PodCompleted" if then == "done" else "ContainersNotReady", unready
    yield "PodScheduled", "True"


def _condition(old: Object | None, type_: str, status: str, reason: str = "", message: str = "") -> Object:
    same = old and old["status"] == status
    condition = {"type": type_, "status": status, "lastProbeTime": None}
    condition["lastTransitionTime"] = old["lastTransitionTime"] if old and same else now()
    return condition | {key: text for key, text in (("reason", reason), ("message", message)) if text}


def _container(container: Object, then: str, started: str, message: str) -> Object:
    image = container["image"]
    over = {"startedAt": started, "finishedAt": started}
    states: dict[str, Object] = {
        "ready": {"running": {"startedAt": started}},
        "never ready": {"running": {"startedAt": started}},
        "crash": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}},
        "image": {"waiting": {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'}},
        "config": {"waiting": {"reason": "CreateContainerConfigError", "message": message}},
        "mount": {"waiting": {"reason": "ContainerCreating"}},
        "done": {"terminated": {"exitCode": 0, "reason": "Completed", **over}},
        "failed": {"terminated": {"exitCode": 1, "reason": "Error", **over}},
    }
    last = {"terminated": {"exitCode": 1, "reason": "Error", **over}} if then == "crash" else {}
    return {
        "name": container["name"],
        "image": image,
        "imageID": "" if PHASES[then] == "Pending" else f"{image}@sha256:{'0' * 64}",
        "ready": then == "ready",
        "started": then in ("ready", "never ready"),
        "restartCount": 5 if then == "crash" else 0,
        "state": states[then],
        "lastState": last,
    }


def restarts(pod: Object) -> int:
    return sum(one["restartCount"] for one in dig(pod, "status.containerStatuses", []))
