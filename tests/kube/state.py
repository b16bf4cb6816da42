"""A cluster without its network: the store, the controllers, and what tests have ordered."""

from collections.abc import Iterator
from contextlib import contextmanager

from . import housekeeping, workloads
from .defaults import POD_SPECS
from .deployments import Deployments
from .kinds import Kind
from .kubelet import NODE, Kubelet
from .paths import Object
from .statefulsets import StatefulSets
from .store import SYSTEM_NAMESPACES, Event, Store

CONTROLLERS = (
    Deployments,
    workloads.ReplicaSets,
    StatefulSets,
    workloads.DaemonSets,
    workloads.Jobs,
    housekeeping.Namespaces,
    housekeeping.Claims,
    housekeeping.Services,
    housekeeping.Definitions,
    housekeeping.Autoscalers,
    housekeeping.Budgets,
    housekeeping.Garbage,
)
READY = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
CAPACITY = {"cpu": "8", "memory": "16Gi", "pods": "110"}


class State:
    """What requests work on."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.store = Store()
        self.kubelet = Kubelet(self.store)
        self.controllers = [controller(self.store) for controller in CONTROLLERS]
        self.applied: dict[tuple[str, str], Object] = {}  # by the uid of an object and the manager of its fields
        self.unpatchable: set[str] = set()  # kinds
        self.forgotten = 0  # the version up to which nobody can watch any more
        self.paused = False
        self._settled = 0
        with self.store.lock:
            self._begin()

    def _begin(self) -> None:
        for name in SYSTEM_NAMESPACES:
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            self.store.create(self.store.kinds.named("Namespace"), namespace)
        node = self.store.kinds.named("Node")
        metadata = {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}}
        item = self.store.create(node, {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}})
        status = {"conditions": [READY], "capacity": CAPACITY, "allocatable": CAPACITY}
        self.store.put(node, item | {"status": status})
        self.settle()

    def settle(self) -> None:
        """Let everybody do their part until nobody has anything left to do."""
        if self.paused:
            return
        for _ in range(500):
            before = self.store.version
            self.kubelet.reconcile()
            for controller in self.controllers:
                controller.step()
            if self.store.version == before:
                self._settled = before
                return
        raise RuntimeError("the controllers of the test cluster never come to an end")

    @contextmanager
    def changing(self) -> Iterator[Store]:
        """Do something with the store while nobody else does; the controllers follow."""
        with self.store.lock:
            yield self.store
            if self.store.version != self._settled:
                self.settle()

    def look(self, kind: Kind) -> None:
        """Somebody looks at objects of a kind: pods may be waiting for that."""
        if kind.name in POD_SPECS and self.kubelet.look():
            self.settle()

    def since(self, version: int) -> list[Event]:
        """What happened after a version. Every event has one of its own, and none is left out."""
        return self.store.history[version:]
