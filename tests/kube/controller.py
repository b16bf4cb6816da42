"""What controllers have in common: finding, making and counting what belongs to an object."""

import copy
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from .errors import Refusal
from .events import complain
from .kinds import Kind
from .paths import Object, dig, fill
from .store import SUFFIX, Store, now


class Controller:
    """Turns objects of one kind into others, step by step, and says in their status how far it got."""

    name: str

    def __init__(self, store: Store) -> None:
        self.store = store
        self.kind = self.kind_of(self.name)

    def kind_of(self, name: str) -> Kind:
        return self.store.kinds.named(name)

    def step(self) -> None:
        """Do for every object what can be done now."""
        for item in self.store.select(self.kind):
            if "deletionTimestamp" not in item["metadata"]:
                self.reconcile(item)

    def reconcile(self, item: Object) -> None:
        raise NotImplementedError

    def owned(self, kind: str, owner: Object) -> list[Object]:
        """Its own, oldest first, without those that are going away."""
        uid, namespace = owner["metadata"]["uid"], owner["metadata"]["namespace"]
        mine = [item for item in self.store.select(self.kind_of(kind), namespace) if belongs(item, uid)]
        return sorted(
            (item for item in mine if "deletionTimestamp" not in item["metadata"]),
            key=lambda item: int(item["metadata"]["resourceVersion"]),
        )

    def all_pods(self, owner: Object) -> list[Object]:
        """Also those that are going away."""
        pods = self.store.select(self.kind_of("Pod"), owner["metadata"]["namespace"])
        return [pod for pod in pods if belongs(pod, uid(owner))]

    def make_pod(self, owner: Object, name: str = "", **labels: str) -> None:
        pod = copy.deepcopy(owner["spec"]["template"])
        metadata = fill(pod, "metadata", {})
        metadata["labels"] = metadata.get("labels", {}) | labels
        metadata["namespace"] = owner["metadata"]["namespace"]
        metadata |= {"name": name} if name else {"generateName": f"{owner['metadata']['name']}-"}
        metadata["ownerReferences"] = [self.reference(owner)]
        try:
            self.store.create(self.kind_of("Pod"), {"apiVersion": "v1", "kind": "Pod", **pod})
        except Refusal as refusal:
            complain(self.store, self.kind, owner, "FailedCreate", f"Error creating: {refusal.message}")

    def end(self, kind: str, item: Object) -> None:
        self.store.delete(self.kind_of(kind), item)

    def tell(self, item: Object, **status: Any) -> None:
        """Write the status of an object as it is now in the store."""
        new = {key: value for key, value in status.items() if value not in (None, [])}
        self.store.put(self.kind, item | {"status": new})

    def reference(self, owner: Object) -> Object:
        """What makes an object one of the owner's."""
        identity = {"apiVersion": self.kind.api_version(), "kind": self.kind.name}
        about = {"name": owner["metadata"]["name"], "uid": uid(owner)}
        return {**identity, **about, "controller": True, "blockOwnerDeletion": True}


def uid(item: Object) -> str:
    return item["metadata"]["uid"]


def belongs(item: Object, owner: str) -> bool:
    return any(reference["uid"] == owner for reference in item["metadata"].get("ownerReferences", []))


def is_ready(pod: Object) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in dig(pod, "status.conditions", []))


def finished(pod: Object) -> bool:
    return dig(pod, "status.phase") in ("Succeeded", "Failed")


def hash_of(template: Object) -> str:
    """Ten characters that stand for a template."""
    number = int.from_bytes(hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()[:8], "big")
    return "".join(SUFFIX[number // len(SUFFIX) ** place % len(SUFFIX)] for place in range(10))


def conditions(item: Object, *wanted: tuple[str, ...]) -> list[Object]:
    """Conditions (type, status, reason, message), with the time when they last became true or false."""
    old = {one["type"]: one for one in dig(item, "status.conditions", [])}
    return list(_conditions(old, wanted))


def _conditions(old: Object, wanted: tuple[tuple[str, ...], ...]) -> Iterator[Object]:
    for type_, status, *texts in wanted:
        same = type_ in old and old[type_]["status"] == status
        since = old[type_]["lastTransitionTime"] if same else now()
        reason, message = [*texts, "", ""][:2]
        texts_given = {key: text for key, text in (("reason", reason), ("message", message)) if text}
        yield {"type": type_, "status": status, "lastTransitionTime": since, **texts_given}
