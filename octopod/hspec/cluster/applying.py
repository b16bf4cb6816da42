"""Bring a namespace to what the manifests say: create, patch, replace, or delete and create again, and tell which."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from .. import names
from ..errors import ApplyError
from ..service import Context, Service
from ..talk import Talk
from . import changes, inventory, pods, volumes
from .inventory import WORKLOADS, Inventory, key, label
from .kubectl import Forbidden, Kubectl, Object, Refusal, title

REFUSED = ("Invalid", "Conflict", "BadRequest", "UnsupportedMediaType", "MethodNotAllowed")
AT_ONCE = ("HorizontalPodAutoscaler",)  # it would undo the number of replicas that is applied


class Manifest(Protocol):
    """One object to be."""

    @property
    def data(self) -> dict[str, Any]: ...


def apply(
    kubectl: Kubectl, service: Service, context: Context, manifests: Sequence[Manifest], talk: Talk, *, now: str = ""
) -> None:
    """Make the service as its manifests describe it, and remove what it had and has no longer. Raises ApplyError.

    What the service had goes last, so that it keeps running when the cluster refuses what is new.
    """
    ensure_namespace(kubectl, talk)
    selector = names.selector_of(context.app, service.name)
    wanted = [placed(manifest.data, kubectl.namespace or context.namespace) for manifest in manifests]
    there = inventory.take(kubectl, selector, inventory.unusual(wanted))
    wanted = [remembering(item, wanted, there) for item in wanted]
    stale = _stale(there, wanted)
    work = Applying(kubectl, talk, selector, now or datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"), wanted)
    live = _live(kubectl, wanted, there)
    for item in wanted:
        work.refuse_foreign(item, live.get(key(item)))
    remove(kubectl, [item for item in stale if item["kind"] in AT_ONCE], talk)
    for item in wanted:
        work.apply(item, live.get(key(item)))
    remove(kubectl, [item for item in stale if item["kind"] not in AT_ONCE], talk)
    _tell_of_unknown(there, talk)
    _warn_of_claims(service, context, there, talk)


def ensure_namespace(kubectl: Kubectl, talk: Talk) -> None:
    """Make the namespace when it is certainly not there. Who may not look for it may well be at home in it."""
    if not kubectl.namespace:
        return
    try:
        if kubectl.get("namespaces", kubectl.namespace):
            return
    except Forbidden:
        return
    item = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kubectl.namespace}}
    try:
        kubectl.create(item)
        talk.say(f"Namespace {kubectl.namespace}: created")
    except Refusal as refusal:
        if refusal.reason != "AlreadyExists":  # somebody else has just made it
            raise


def placed(manifest: Object, namespace: str | None) -> Object:
    """The manifest in the namespace."""
    home = {"namespace": namespace} if namespace else {}
    return manifest | {"metadata": dict(manifest.get("metadata") or {}) | home}


def remembering(item: Object, wanted: list[Object], there: Inventory) -> Object:
    """The workload knows of which unusual kinds there may be something, so that it is found when it has to go."""
    kinds = set(inventory.unusual(wanted)).union(*map(inventory.applied_kinds, [item, *there.workloads]))
    if item["kind"] not in WORKLOADS or not kinds:
        return item
    note = {names.APPLIED_KINDS: "[" + ", ".join(f'"{kind}"' for kind in sorted(kinds)) + "]"}
    annotations = dict(item["metadata"].get("annotations") or {}) | note
    return item | {"metadata": item["metadata"] | {"annotations": annotations}}


def _live(kubectl: Kubectl, wanted: list[Object], there: Inventory) -> dict[tuple[str, str], Object]:
    """The objects as they are now; those without our labels, too, which only their names tell."""
    served = {(item["apiVersion"], item["kind"]) for item in wanted}
    known = {key(item): item for item in there.items if (item["apiVersion"], item["kind"]) in served}
    others = [item for item in wanted if key(item) not in known]
    return known | {key(item): item for item in (kubectl.live(others) if others else [])}


def _stale(there: Inventory, wanted: list[Object]) -> list[Object]:
    """What the service has and should not, of whatever environment: its names do not tell environments apart."""
    keys = set(map(key, wanted))
    return [item for item in there.items if key(item) not in keys]


def remove(kubectl: Kubectl, items: list[Object], talk: Talk) -> None:
    if items:
        kubectl.delete(items)
        talk.say("\n".join(f"{title(item)}: deleted, the service has it no longer" for item in items))


def _tell_of_unknown(there: Inventory, talk: Talk) -> None:
    if there.unknown:
        kinds = ", ".join(kind.partition(".")[0] for kind in there.unknown)
        talk.warn(f"The cluster does not let us look for {kinds}: what an earlier deployment left of them stays.")


def _warn_of_claims(service: Service, context: Context, there: Inventory, talk: Talk) -> None:
    workload = names.resource_name(context.app, service.name)
    for sentence in volumes.ignored_changes(service, workload, there.claims):
        talk.warn(sentence)
    if left := volumes.unused(service, workload, there.claims):
        talk.warn(volumes.retained(left))


class Applying:
    """One deployment: what is needed to apply each of its objects."""

    def __init__(self, kubectl: Kubectl, talk: Talk, selector: str, now: str, wanted: list[Object]) -> None:
        self.kubectl, self.talk, self.selector, self.now = kubectl, talk, selector, now
        self.has_autoscaler = any(item["kind"] == "HorizontalPodAutoscaler" for item in wanted)

    def is_scaled(self, item: Object) -> bool:
        """Whether an autoscaler rules over the number of its replicas."""
        return self.has_autoscaler and item["kind"] in WORKLOADS

    def patch(self, wanted: Object, live: Object) -> changes.Patch | None:
        return changes.patch(live, wanted, self.now, is_scaled=self.is_scaled(wanted))

    def whole(self, wanted: Object, live: Object) -> Object:
        """What is sent when it cannot be a patch."""
        kept = changes.keeping_count(live, wanted) if self.is_scaled(wanted) else wanted
        return changes.annotated(wanted, self.now) | ({"spec": kept["spec"]} if "spec" in kept else {})

    def refuse_foreign(self, wanted: Object, live: Object | None) -> None:
        """Raise ApplyError when the object is there, and somebody else's."""
        if not live or not inventory.is_foreign(wanted, live):
            return
        owner = " of ".join(filter(None, [label(live, names.SERVICE), label(live, names.APP)])) or "somebody else"
        raise ApplyError(
            f"{title(live)} is there already{self.kubectl.place}, and belongs to {owner}. "
            "It is left alone: choose another name for the service or the app, another namespace, or delete it."
        )

    def apply(self, wanted: Object, live: Object | None) -> None:
        """Create or change one object, and tell what was done."""
        if live and pods.is_going(live):  # an earlier deletion that took too long
            self.kubectl.delete([live])
            live = None
        if live is None:
            self.kubectl.create(changes.annotated(wanted, self.now))
            return self.tell(wanted, "created")
        kept = changes.keeping_claims(live, wanted)
        patch = self.patch(kept, live)
        if patch == []:
            return self.tell(wanted, "unchanged")
        broken = self.broken_pods(live)
        try:
            done = self.change(kept, live, patch)
        except Refusal as refusal:
            return self.make_anew(wanted, live, refusal)
        self.tell(wanted, done)
        self.kubectl.delete(broken, "--wait=false")
        return None

    def tell(self, item: Object, what: str) -> None:
        self.talk.say(f"{title(item)}: {what}")

    def change(self, wanted: Object, live: Object, patch: changes.Patch | None) -> str:
        """Patch or replace; once more, with a fresh look, when somebody else was faster."""
        try:
            return self._change(wanted, live, patch)
        except Refusal as refusal:
            if refusal.reason != "Conflict":
                raise
        fresh = self.kubectl.live([wanted])
        if not fresh:
            self.kubectl.create(changes.annotated(wanted, self.now))
            return "created"
        return self._change(wanted, fresh[0], self.patch(wanted, fresh[0]))

    def _change(self, wanted: Object, live: Object, patch: changes.Patch | None) -> str:
        if patch is not None and self.kubectl.reads_patch_files:
            try:
                self.kubectl.patch(live, patch)
                return "patched"
            except Refusal as refusal:
                if "unknown flag" not in refusal.complaint:
                    raise
                self.kubectl.reads_patch_files = (
                    False  # an old one: its patches would be seen by all in the list of processes
                )
        self.kubectl.replace(changes.replacement(live, self.whole(wanted, live)))
        if patch is not None or not changes.is_comparable(wanted):
            return "replaced"
        return "replaced, because it was not as the last deployment left it"

    def make_anew(self, wanted: Object, live: Object, refusal: Refusal) -> None:
        """Delete and create what cannot be changed. Nothing is deleted that could not be created."""
        if refusal.reason not in REFUSED:
            raise refusal
        item = self.whole(wanted, live)
        try:
            self.kubectl.create(item, "--dry-run=server")
        except Refusal as problem:
            if problem.reason != "AlreadyExists":
                raise problem from None
        self.talk.warn(f"{title(wanted)} is deleted and created again, because: {refusal.complaint}")
        self.kubectl.delete([live])
        try:
            self.kubectl.create(item)
        except Refusal as problem:
            raise ApplyError(f"{problem} It has been deleted to be created again: deploy once more.") from None
        self.tell(wanted, "deleted and created again")

    def broken_pods(self, live: Object) -> list[Object]:
        """The pods of a StatefulSet that are not ready: it would wait for them for ever before it replaces them."""
        if live["kind"] != "StatefulSet":
            return []
        found = self.kubectl.get("pods", "--selector", self.selector)
        return [pod for pod in found if pods.is_owned(pod, live) and not pods.is_running(pod)]
