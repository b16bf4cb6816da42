"""The controllers around the workloads: garbage, namespaces, claims, load balancers, autoscalers."""

from .controller import Controller, belongs, conditions, is_ready, uid
from .kinds import Kind
from .paths import Object, dig
from .selectors import by_spec
from .store import Store

PROTECTION = "kubernetes.io/pvc-protection"


class Garbage:
    """Deletes what has lost its owners, and does what deleted objects wait for."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def step(self) -> None:
        known = self.store.everything()
        uids = {uid(item) for _, item in known}
        for kind, item in known:
            references = item["metadata"].get("ownerReferences", [])
            if references and not any(reference["uid"] in uids for reference in references):
                self._delete(kind, item)
            for finalizer in item["metadata"].get("finalizers", []) if "deletionTimestamp" in item["metadata"] else ():
                self._finish(kind, item, finalizer, [(k, i) for k, i in known if belongs(i, uid(item))])

    def _delete(self, kind: Kind, item: Object) -> None:
        if "deletionTimestamp" not in item["metadata"]:
            self.store.delete(kind, item)

    def _finish(self, kind: Kind, item: Object, finalizer: str, dependents: list[tuple[Kind, Object]]) -> None:
        if finalizer == "foregroundDeletion" and dependents:
            for dependent_kind, dependent in dependents:
                if "deletionTimestamp" not in dependent["metadata"]:
                    self.store.delete(dependent_kind, dependent, "Foreground")
        elif finalizer in ("foregroundDeletion", "orphan"):
            for dependent_kind, dependent in dependents:
                references = dependent["metadata"]["ownerReferences"]
                kept = [reference for reference in references if reference["uid"] != uid(item)]
                metadata = dependent["metadata"] | {"ownerReferences": kept}
                self.store.put(dependent_kind, dependent | {"metadata": metadata})
            self.store.put(kind, without(item, finalizer))


def without(item: Object, finalizer: str) -> Object:
    """The object, one finalizer less."""
    kept = [one for one in item["metadata"]["finalizers"] if one != finalizer]
    return item | {"metadata": item["metadata"] | {"finalizers": kept}}


class Namespaces(Controller):
    """A namespace comes with a service account, and goes when nothing is left in it."""

    name = "Namespace"

    def step(self) -> None:
        for item in self.store.select(self.kind):
            self.reconcile(item)

    def reconcile(self, item: Object) -> None:
        name = item["metadata"]["name"]
        if "deletionTimestamp" not in item["metadata"]:
            self._furnish("ServiceAccount", name, "default")
            return
        content = [(kind, one) for kind, one in self.store.everything() if one["metadata"].get("namespace") == name]
        for kind, one in content:
            if "deletionTimestamp" not in one["metadata"]:
                self.store.delete(kind, one)
        if content:
            self.store.put(self.kind, item | {"status": {"phase": "Terminating"}})
        else:
            self.store.drop(self.kind, item)

    def _furnish(self, kind: str, namespace: str, name: str) -> None:
        if not self.store.find(self.kind_of(kind), namespace, name):
            item = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}
            self.store.create(self.kind_of(kind), item)


class Claims(Controller):
    """Claims are bound at once, and stay until no pod uses them."""

    name = "PersistentVolumeClaim"

    def step(self) -> None:
        for item in self.store.select(self.kind):
            if "deletionTimestamp" in item["metadata"]:
                self._release(item)
            else:
                self.reconcile(item)

    def reconcile(self, item: Object) -> None:
        spec = item["spec"] | {"volumeName": f"pvc-{uid(item)}"}
        status = {"phase": "Bound", "accessModes": spec["accessModes"], "capacity": spec["resources"]["requests"]}
        self.store.put(self.kind, item | {"spec": spec, "status": status})

    def _release(self, item: Object) -> None:
        metadata = item["metadata"]
        pods = self.store.select(self.kind_of("Pod"), metadata["namespace"])
        used = any(metadata["name"] in _claims_of(pod) for pod in pods)
        if not used and PROTECTION in metadata.get("finalizers", []):
            self.store.put(self.kind, without(item, PROTECTION))


def _claims_of(pod: Object) -> list[str]:
    return [dig(volume, "persistentVolumeClaim.claimName", "") for volume in pod["spec"].get("volumes") or []]


class Services(Controller):
    """Load balancers get an address, and what is selected by a service is listed in its endpoints."""

    name = "Service"

    def reconcile(self, item: Object) -> None:
        if item["spec"]["type"] == "LoadBalancer" and not dig(item, "status.loadBalancer.ingress"):
            address = {"ip": f"203.0.113.{int(uid(item)[:2], 16)}"}
            item = self.store.put(self.kind, item | {"status": {"loadBalancer": {"ingress": [address]}}})
        if item["spec"].get("selector"):
            self._list_endpoints(item)

    def _list_endpoints(self, item: Object) -> None:
        kind, metadata = self.kind_of("Endpoints"), item["metadata"]
        endpoints = self.store.find(kind, metadata["namespace"], metadata["name"])
        if not endpoints:
            about = {"name": metadata["name"], "namespace": metadata["namespace"]}
            owned = about | {"ownerReferences": [self.reference(item)]}
            endpoints = self.store.create(kind, {"apiVersion": "v1", "kind": "Endpoints", "metadata": owned})
        chosen = by_spec({"matchLabels": item["spec"]["selector"]})
        pods = self.store.select(self.kind_of("Pod"), metadata["namespace"], chosen)
        addresses = [{"ip": pod["status"]["podIP"]} for pod in pods if is_ready(pod)]
        ports = [{"port": port["port"], "protocol": port["protocol"]} for port in item["spec"].get("ports") or []]
        subsets = [{"addresses": addresses, "ports": ports}] if addresses else []
        if subsets or "subsets" in endpoints:
            self.store.put(kind, endpoints | {"subsets": subsets})


class Definitions(Controller):
    """Definitions of custom resources are served as soon as they are there."""

    name = "CustomResourceDefinition"

    def reconcile(self, item: Object) -> None:
        names = item["spec"]["names"] | {"listKind": f"{item['spec']['names']['kind']}List"}
        facts = conditions(
            item,
            ("NamesAccepted", "True", "NoConflicts", "no conflicts found"),
            ("Established", "True", "InitialNamesAccepted", "the initial names have been accepted"),
        )
        stored = [version["name"] for version in item["spec"]["versions"] if version.get("storage")]
        status = {"acceptedNames": names, "conditions": facts, "storedVersions": stored}
        self.store.put(self.kind, item | {"status": status})


class Autoscalers(Controller):
    """Without metrics they only keep their targets within the bounds, and leave alone what was scaled to nothing."""

    name = "HorizontalPodAutoscaler"

    def reconcile(self, item: Object) -> None:
        target, spec = item["spec"]["scaleTargetRef"], item["spec"]
        kind = self.store.kinds.owner(target | {"apiVersion": target.get("apiVersion", "apps/v1")})
        scaled = self.store.find(kind, item["metadata"]["namespace"], target["name"]) if kind else None
        count = dig(scaled, "spec.replicas", 0)
        wanted = min(max(count, spec["minReplicas"]), spec["maxReplicas"]) if count else 0
        if kind and scaled and wanted != count:
            self.store.put(kind, scaled | {"spec": scaled["spec"] | {"replicas": wanted}})
        self.store.put(self.kind, item | {"status": {"currentReplicas": count, "desiredReplicas": wanted}})


class Budgets(Controller):
    """Budgets say that they have been seen."""

    name = "PodDisruptionBudget"

    def reconcile(self, item: Object) -> None:
        seen = {"observedGeneration": item["metadata"]["generation"]}
        counts = dict.fromkeys(["currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"], 0)
        self.store.put(self.kind, item | {"status": seen | counts})
