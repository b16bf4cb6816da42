"""The objects, their versions, and the history that watches are told from."""

import copy
import itertools
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from . import defaults, errors, rules
from .kinds import Kind, Kinds
from .paths import Object, dig, fill, tidy

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # what generated names end with: no vowels, so no words


LINGERING = ("Pod", "Namespace")  # kinds that a controller drops when their time has come


class Event(NamedTuple):
    """What happened to one object. Without `before` it is new, without `after` it is gone."""

    version: int
    kind: Kind
    before: Object | None
    after: Object | None

    @property
    def item(self) -> Object:
        return self.after or self.before or {}


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """Everything in a cluster. Whoever calls holds `lock`; what is read must not be changed, but written back as a copy."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.kinds = Kinds()
        self.history: list[Event] = []
        self.version = 0
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._suffixes = itertools.count(1)

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self._objects.get((kind.resource, namespace, name))

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        if found := self.find(kind, namespace, name):
            return found
        raise errors.not_found(kind, name)

    def select(self, kind: Kind, namespace: str = "", test: Callable[[Object], bool] = bool) -> list[Object]:
        """Those of a kind in a namespace (in all of them, when there is none given), by namespace and name."""
        keys = sorted(key for key in self._objects if key[0] == kind.resource and namespace in ("", key[1]))
        return [self._objects[key] for key in keys if test(self._objects[key])]

    def everything(self) -> list[tuple[Kind, Object]]:
        kinds = {kind.resource: kind for kind in self.kinds.all}
        return [(kinds[key[0]], item) for key, item in list(self._objects.items()) if key[0] in kinds]

    def create(self, kind: Kind, item: Object, dry: bool = False) -> Object:
        """Complete, check and store a new object."""
        item = tidy(item)
        rules.decode(kind, item)
        self._name(kind, item)
        metadata = item["metadata"]
        namespace = metadata.get("namespace", "")
        self._check_namespace(kind, namespace, metadata["name"])
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
        metadata.pop("deletionTimestamp", None)
        if "counted" in kind.marks:
            metadata["generation"] = 1
        if "status" in kind.marks:
            item.pop("status", None)
        defaults.complete(kind, item)
        rules.check(kind, item, None)
        self._check_account(kind, item)
        if self.find(kind, namespace, metadata["name"]):  # after the checks: what is invalid is told to be that
            raise errors.already_exists(kind, metadata["name"])
        return item if dry else self._write(kind, None, item)

    def _name(self, kind: Kind, item: Object) -> None:
        metadata = fill(item, "metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + self.suffix()
        if not metadata.get("name"):
            raise errors.invalid(kind, "", [errors.required("metadata.name", "name or generateName is required")])

    def suffix(self) -> str:
        """Five characters that nobody else in this cluster gets."""
        number, text = next(self._suffixes) * 7_368_787, ""
        for _ in range(5):
            number, digit = divmod(number, len(SUFFIX))
            text += SUFFIX[digit]
        return text

    def _check_namespace(self, kind: Kind, namespace: str, name: str) -> None:
        if not kind.namespaced:
            return
        home = self.get(self.kinds.named("Namespace"), "", namespace)
        if "deletionTimestamp" in home["metadata"]:
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise errors.forbidden("create", kind, name, why)

    def _check_account(self, kind: Kind, pod: Object) -> None:
        """Pods are only admitted with a service account that is there."""
        name, namespace = dig(pod, "spec.serviceAccountName"), pod["metadata"].get("namespace", "")
        if kind.name == "Pod" and name and not self.find(self.kinds.named("ServiceAccount"), namespace, name):
            why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
            metadata = pod["metadata"]
            raise errors.forbidden("create", kind, metadata.get("generateName") or metadata["name"], why)

    def replace(self, kind: Kind, item: Object, subresource: str = "", dry: bool = False) -> Object:
        """Store an object in place of the one that is there; with the subresource `status`, only that part of it.

        Raises Refusal when somebody else has changed it since the sender read it.
        """
        item = tidy(item)
        rules.decode(kind, item)
        metadata = item["metadata"]
        old = self.get(kind, metadata.get("namespace", ""), metadata["name"])
        self._check_version(kind, item, old)
        if subresource == "status":
            item = old | {"status": item.get("status", {})}
        elif "status" in kind.marks:
            item = {key: value for key, value in item.items() if key != "status"}
            item |= {"status": old["status"]} if "status" in old else {}
        item["metadata"] = self._metadata(item["metadata"], old["metadata"], subresource)
        defaults.complete(kind, item)
        if "counted" in kind.marks and _content(item) != _content(old):
            item["metadata"]["generation"] = old["metadata"]["generation"] + 1
        rules.check(kind, item, old)
        return item if dry else self._write(kind, old, item)

    def _check_version(self, kind: Kind, item: Object, old: Object) -> None:
        metadata, name = item["metadata"], item["metadata"]["name"]
        if metadata.get("resourceVersion", old["metadata"]["resourceVersion"]) != old["metadata"]["resourceVersion"]:
            raise errors.conflict(kind, name)
        if metadata.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
            given, known = metadata["uid"], old["metadata"]["uid"]
            why = f"Precondition failed: UID in precondition: {given}, UID in object meta: {known}"
            raise errors.conflict(kind, name, why)

    @staticmethod
    def _metadata(new: Object, old: Object, subresource: str) -> Object:
        """The metadata after a change: what the server rules over stays as it is."""
        if subresource == "status":
            return dict(old)
        ruled = ("uid", "creationTimestamp", "resourceVersion", "generation", "deletionTimestamp", "namespace", "name")
        kept = {key: old[key] for key in ruled if key in old}
        return {key: value for key, value in new.items() if key not in ruled and key != "managedFields"} | kept

    def put(self, kind: Kind, item: Object) -> Object:
        """What a controller does: write an object back as a whole, status included. Nothing happens when it is the same."""
        old = self.get(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"])
        if item == old:
            return old
        item = copy.deepcopy(item)
        if "counted" in kind.marks and _content(item) != _content(old):
            item["metadata"]["generation"] += 1
        return self._write(kind, old, item)

    def delete(self, kind: Kind, item: Object, policy: str = "Background", grace: int | None = None) -> Object:
        """Delete an object, or mark it when somebody has something to do before: finalizers, or a pod's node."""
        metadata = copy.deepcopy(item["metadata"])
        if "deletionTimestamp" not in metadata:
            metadata |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": grace or 0}
            if waits_for := {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(policy):
                metadata["finalizers"] = [*metadata.get("finalizers", []), waits_for]
        on_node = kind.name == "Pod" and dig(item, "spec.nodeName")
        if kind.name == "Pod" and (not on_node or grace == 0) and not metadata.get("finalizers"):
            self.drop(kind, item)
            return item
        if on_node and grace is None:
            metadata["deletionGracePeriodSeconds"] = dig(item, "spec.terminationGracePeriodSeconds", 30)
        return self._write(kind, item, item | {"metadata": metadata})

    def drop(self, kind: Kind, item: Object) -> None:
        """Forget an object at once."""
        key = (kind.resource, item["metadata"].get("namespace", ""), item["metadata"]["name"])
        if self._objects.pop(key, None):
            self.version += 1
            metadata = item["metadata"] | {"resourceVersion": str(self.version)}
            self._tell(Event(self.version, kind, item | {"metadata": metadata}, None))

    def _write(self, kind: Kind, old: Object | None, item: Object) -> Object:
        metadata = item["metadata"]
        if old and item == old:
            return old
        if "deletionTimestamp" in metadata and not metadata.get("finalizers") and kind.name not in LINGERING:
            self.drop(kind, item)
            return item
        self.version += 1
        metadata = {key: value for key, value in metadata.items() if value not in (None, {}, [])}
        item = item | {"metadata": metadata | {"resourceVersion": str(self.version)}}
        self._objects[kind.resource, metadata.get("namespace", ""), metadata["name"]] = item
        self._tell(Event(self.version, kind, old, item))
        return item

    def _tell(self, event: Event) -> None:
        self.history.append(event)
        if event.kind.name == "CustomResourceDefinition":
            self._redefine(event.kind)
        self.changed.notify_all()

    def _redefine(self, kind: Kind) -> None:
        for gone in self.kinds.redefine(self.select(kind)):
            for item in self.select(gone):
                self.drop(gone, item)


def _content(item: Object) -> Object:
    """What of an object counts as another generation when it changes."""
    return {key: value for key, value in item.items() if key not in ("metadata", "status", "apiVersion")}
