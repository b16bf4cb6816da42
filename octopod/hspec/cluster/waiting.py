"""Wait until what was applied runs: all pods of the new version ready, none of the old left to answer in their place."""

import time
from collections import Counter
from typing import NamedTuple

from ..errors import ClusterError, WaitError
from ..service import Context, Service
from ..talk import Talk
from . import pods
from .kubectl import Forbidden, Kubectl, Object
from .looking import Sight, look, pause
from .pods import Trouble

PER_REPLICA = 120  # seconds
ATTEMPTS = 4  # at a look, in a row
LASTING = 15  # looks in a row at a container that cannot be started: it is no hiccup
LINES = 10  # of the log of a container that has crashed


class Progress(NamedTuple):
    """How far a rollout is. `held_up`: why it does not go on, if that is known."""

    is_done: bool
    text: str
    held_up: str = ""


def wait(
    kubectl: Kubectl, service: Service, context: Context, talk: Talk, timeout: float | None = None,
) -> None:  # fmt: skip
    """Return when the service runs as applied. Raises WaitError as soon as it is known not to, or when time is up."""
    started, told, looks = time.monotonic(), "", Counter[tuple[str, str]]()
    while True:
        sight = _patient_look(kubectl, service, context)
        workload = sight.workload
        if workload is None:
            raise WaitError(f"Service {service.name} of app {context.app} is not there any more{kubectl.place}.")
        progress = progress_of(workload, sight)
        if progress.is_done:
            if not asked(workload):
                talk.warn(f"{service.name} is scaled to no replicas: nothing of it runs.")
            return
        looks = Counter({one.place: looks[one.place] + 1 for one in sight.troubles if one.is_fatal})
        _fail_fast(kubectl, service, context, sight, looks)
        if progress.held_up not in ("", told):
            told = progress.held_up
            talk.say(f"Held up: {told}")
        talk.progress(progress.text)
        limit = PER_REPLICA * max(1, asked(workload)) if timeout is None else timeout
        if time.monotonic() - started >= limit:
            raise _too_late(kubectl, service, context, sight, progress, limit)
        time.sleep(pause())


def _patient_look(kubectl: Kubectl, service: Service, context: Context) -> Sight:
    """A cluster that gives no answer once may well give one the next time."""
    for _ in range(ATTEMPTS - 1):
        try:
            return look(kubectl, context.app, service.name)
        except Forbidden:
            raise
        except ClusterError:
            time.sleep(pause())
    return look(kubectl, context.app, service.name)


def asked(workload: Object) -> int:
    count: int = (workload.get("spec") or {}).get("replicas", 1)
    return count


def progress_of(workload: Object, sight: Sight) -> Progress:
    """How far the rollout is, by generation, and by the pods of the newest revision."""
    status, wanted = pods.status_of(workload), asked(workload)
    if not pods.is_noticed(workload):
        return Progress(False, "the cluster has not noticed the change yet")
    ready = sum(map(pods.is_ready, sight.current))
    text = f"{ready} of {wanted} pods ready"
    old = status.get("replicas", 0) - wanted
    if ready >= wanted and _is_complete(workload, status):
        return Progress(True, text)
    if ready >= wanted and old > 0:
        return Progress(False, f"{text}, old ones to go: {old}")
    return Progress(False, text, _held_up(status, sight))


def _is_complete(workload: Object, status: Object) -> bool:
    """Whether the controller, too, counts only new pods, and all of them."""
    wanted = asked(workload)
    if status.get("replicas", 0) != wanted or status.get("readyReplicas", 0) < wanted:
        return False
    if workload["kind"] == "StatefulSet":
        return (
            status.get("currentRevision") == status.get("updateRevision") or status.get("updatedReplicas", 0) >= wanted
        )
    return status.get("updatedReplicas", 0) >= wanted and status.get("availableReplicas", 0) >= wanted


def _held_up(status: Object, sight: Sight) -> str:
    refused = pods.condition(status, "ReplicaFailure")
    if refused.get("status") == "True":
        return f"pods cannot be made: {refused.get('message', '')}"
    found = [trouble for trouble in sight.troubles if trouble.kind == "schedule"]
    if not found:
        return ""
    names = ", ".join(trouble.pod for trouble in found[:3])
    return f"no node takes {names}: {found[0].text}"


# Failing


def _fail_fast(
    kubectl: Kubectl, service: Service, context: Context, sight: Sight, looks: Counter[tuple[str, str]]
) -> None:
    """Raise WaitError when waiting does not help."""
    found = sight.troubles
    fatal = next((one for one in found if one.is_certain or looks[one.place] >= LASTING), None)
    if fatal:
        raise WaitError(f"{sentence(fatal)}{_last_lines(kubectl, fatal)}", advice(fatal.kind, service, context))
    stuck = pods.condition(pods.status_of(sight.workload or {}), "Progressing")
    if stuck.get("reason") == "ProgressDeadlineExceeded":
        why = found[0].text if found else stuck.get("message", "")
        raise WaitError(f"The cluster has given up waiting for new pods: {why}", advice("", service, context))


def sentence(trouble: Trouble) -> str:
    """What is wrong, and with what."""
    return SENTENCES.get(trouble.kind, "{pod} is not ready: {text}.").format(
        pod=trouble.pod, container=trouble.container, text=trouble.text.rstrip(".")
    )


SENTENCES = {
    "image": "The image of container {container} cannot be pulled for pod {pod}: {text}.",
    "configuration": "Container {container} of pod {pod} lacks a ConfigMap or a Secret: {text}.",
    "start": "Container {container} of pod {pod} cannot be started: {text}.",
    "crash": "Container {container} of pod {pod} ends again and again: {text}.",
    "schedule": "No node takes pod {pod}: {text}.",
    "ready": "Pod {pod} does not get ready: {text}.",
}


def advice(kind: str, service: Service, context: Context) -> str:
    """What to do next."""
    about = f"-s {service.name} -a {context.app}" + (f" -n {context.namespace}" if context.namespace else "")
    return {
        "image": f"Check name and tag ({service.image.reference}), and that the cluster may pull from the registry.",
        "configuration": "Make what is missing, or mend props and secrets of the spec, and deploy again.",
        "schedule": "Ask for less memory or cpu, or make room in the cluster.",
        "start": "Check startCommand and the image, and deploy again.",
    }.get(kind, f"See what it says: hspec get service logs {about}")


def _last_lines(kubectl: Kubectl, trouble: Trouble) -> str:
    if trouble.kind != "crash":
        return ""
    text = last_words(kubectl, trouble.pod, trouble.container, LINES)
    return f"\nIts last lines:\n{text}" if text else "\nIt has written nothing."


def last_words(kubectl: Kubectl, pod: str, container: str, lines: int) -> str:
    """What a container that has crashed wrote before; empty when that cannot be had."""
    for which in ("--previous=true", "--previous=false"):
        done = kubectl.run("logs", pod, f"--container={container}", f"--tail={lines}", "--limit-bytes=20000", which)
        if done.ok and done.out.strip():
            return done.out.rstrip()
    return ""


def _too_late(
    kubectl: Kubectl, service: Service, context: Context, sight: Sight, progress: Progress, limit: float
) -> WaitError:
    found = sight.troubles
    kind = found[0].kind if found else ""
    why = [progress.held_up] if progress.held_up else [sentence(one) for one in found[:3]]
    if found and kind != "schedule":
        why += _complaints(kubectl, found[0].pod)
    return WaitError(
        f"Not ready after {limit:.0f} s: {progress.text}.", *dict.fromkeys(why), advice(kind, service, context)
    )


def _complaints(kubectl: Kubectl, pod: str) -> list[str]:
    """What the cluster last said about a pod, such as that a probe fails or a volume cannot be mounted."""
    only = f"--field-selector=involvedObject.name={pod},type=Warning"
    done = kubectl.run("get", "events", only, "--output=jsonpath={range .items[*]}{.reason}: {.message}{'\\n'}{end}")
    lines = [line for line in done.out.splitlines() if line.strip()] if done.ok else []
    return [f"The cluster says: {line}" for line in lines[-1:]]
