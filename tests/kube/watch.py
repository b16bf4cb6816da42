"""What is told as it happens: changes of objects, and the logs of pods."""

import json
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from . import errors
from .api import formed, shown
from .controller import finished
from .paths import Object, dig
from .request import Request, Target
from .state import State
from .store import Event

Gone = Callable[[], bool]  # whether the client has had enough
BREATH = 0.5  # seconds after which a watch looks whether anybody still listens


def changes(state: State, request: Request, target: Target, gone: Gone) -> Iterator[bytes]:
    """The events of a watch, from the version that the client knows on, or from what there is. The first part is empty."""
    deadline = monotonic() + float(request.query.get("timeoutSeconds") or 3600)
    selects = request.selects(target.name)
    with state.store.lock:
        known = int(request.query.get("resourceVersion") or 0)
        present = [] if known else state.store.select(target.kind, target.namespace, selects)
        known = known or state.store.version
    yield b""
    if known < state.forgotten:
        yield _line({"type": "ERROR", "object": errors.expired(known).status})
        return
    for item in present:
        yield _event("ADDED", request, target, item)
    while monotonic() < deadline and not gone():
        for event in _next(state, known):
            known = event.version
            if type_ := _type(event, target, selects):
                yield _event(type_, request, target, event.item)


def _next(state: State, known: int) -> list[Event]:
    """What happened after the version that is known, waiting a moment for it. Waiting is looking, too."""
    with state.store.lock:
        if not (new := state.since(known)):
            if looking := state.kubelet.look():
                state.settle()
            state.store.changed.wait(0 if looking else BREATH)
            new = state.since(known)
        return new


def _type(event: Event, target: Target, selects: Callable[[Object], Any]) -> str | None:
    """What an event is for somebody who sees only a part of the objects."""
    metadata = event.item["metadata"]
    if event.kind.resource != target.kind.resource or target.namespace not in ("", metadata.get("namespace")):
        return None
    before = event.before is not None and selects(event.before)
    after = event.after is not None and selects(event.after)
    return {(True, True): "MODIFIED", (False, True): "ADDED", (True, False): "DELETED"}.get((before, after))


def _event(type_: str, request: Request, target: Target, item: Object) -> bytes:
    version = item["metadata"]["resourceVersion"]
    form = formed(request, target, [item], version, single=True) if request.form else shown(target, item)
    return _line({"type": type_, "object": form})


def _line(event: Object) -> bytes:
    return json.dumps(event).encode() + b"\n"


def log(state: State, request: Request, target: Target, gone: Gone) -> Iterator[bytes]:
    """The log of a pod; with `follow`, until the pod has ended."""
    with state.store.lock:
        text = _log(state, request, target)
    yield _tail(text, request).encode()
    while request.flag("follow") and "follow" in request.query and not gone():
        with state.store.lock:
            pod = state.store.find(target.kind, target.namespace, target.name)
            if not pod or finished(pod):
                return
            state.store.changed.wait(BREATH)
            told = state.kubelet.log(pod)
        yield told[len(text) :].encode()
        text = told


def _log(state: State, request: Request, target: Target) -> str:
    pod = state.store.get(target.kind, target.namespace, target.name)
    names = [one["name"] for one in [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]]
    name = request.query.get("container") or names[0]
    if name not in names:
        raise errors.bad_request(f"container {name} is not valid for pod {target.name}")
    for container in dig(pod, "status.containerStatuses", [{"name": name, "state": {}}]):
        waiting = dig(container, "state.waiting.reason", "" if dig(pod, "spec.nodeName") else "Pending")
        if container["name"] == name and waiting not in ("", "CrashLoopBackOff"):
            message = f'container "{name}" in pod "{target.name}" is waiting to start: {WAITING.get(waiting, waiting)}'
            raise errors.bad_request(message)
    return state.kubelet.log(pod)


WAITING = {"ImagePullBackOff": "trying and failing to pull image"}


def _tail(text: str, request: Request) -> str:
    lines = text.splitlines(keepends=True)
    count = int(request.query.get("tailLines", len(lines)))
    return "".join(lines[-count:] if count > 0 else [])
