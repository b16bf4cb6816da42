"""The controller of StatefulSets: pods with numbers, made and replaced one after the other, and claims that stay."""

import copy

from .controller import Controller, hash_of, is_ready
from .paths import Object, dig

HASH = "controller-revision-hash"


class StatefulSets(Controller):
    name = "StatefulSet"

    def reconcile(self, item: Object) -> None:
        spec, name = item["spec"], item["metadata"]["name"]
        revision = f"{name}-{hash_of(spec['template'])}"
        pods = {ordinal(pod): pod for pod in self.all_pods(item)}
        one_by_one = spec["podManagementPolicy"] == "OrderedReady"
        if not self._grow(item, revision, pods, one_by_one):
            self._update(item, revision, pods)
        self._stateful_status(item, revision)

    def _grow(self, item: Object, revision: str, pods: dict[int, Object], one_by_one: bool) -> bool:
        """Make the pods that are missing, remove those too many; whether there was or is anything to wait for."""
        wanted, name = item["spec"]["replicas"], item["metadata"]["name"]
        for number in range(wanted):
            if number not in pods:
                self._claims(item, number)
                labels = {HASH: revision, "statefulset.kubernetes.io/pod-name": f"{name}-{number}"}
                self.make_pod(_with_volumes(item, number), f"{name}-{number}", **labels)
            if one_by_one and (number not in pods or not is_ready(pods[number])):
                return True  # even if the pod is broken and the template has been mended: somebody has to delete it
        for number in sorted(pods, reverse=True):
            if number >= wanted:
                self.end("Pod", pods[number])
                return True
        return False

    def _claims(self, item: Object, number: int) -> None:
        for claim in copy.deepcopy(item["spec"].get("volumeClaimTemplates") or []):
            namespace = item["metadata"]["namespace"]
            name = claim_name(claim, item, number)
            labels = dig(item, "spec.selector.matchLabels", {}) | claim["metadata"].get("labels", {})
            metadata = claim["metadata"] | {"name": name, "namespace": namespace, "labels": labels}
            if not self.store.find(self.kind_of("PersistentVolumeClaim"), namespace, name):
                identity = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
                self.store.create(self.kind_of("PersistentVolumeClaim"), claim | identity | {"metadata": metadata})

    def _update(self, item: Object, revision: str, pods: dict[int, Object]) -> None:
        """Replace one pod of another revision, the last first."""
        strategy = item["spec"]["updateStrategy"]
        first = dig(strategy, "rollingUpdate.partition", 0)
        for number in sorted(pods, reverse=True):
            outdated = pods[number]["metadata"]["labels"].get(HASH) != revision
            if outdated and number >= first and strategy["type"] == "RollingUpdate":
                return self.end("Pod", pods[number])
            if not is_ready(pods[number]):
                return None
        return None

    def _stateful_status(self, item: Object, revision: str) -> None:
        pods = self.owned("Pod", item)
        updated = [pod for pod in pods if pod["metadata"]["labels"].get(HASH) == revision]
        ready = sum(map(is_ready, pods))
        before = dig(item, "status.currentRevision") or revision
        done = len(updated) == len(pods) == item["spec"]["replicas"] and all(map(is_ready, updated))
        current = revision if done else before
        hashes = [pod["metadata"]["labels"].get(HASH) for pod in pods]
        self.tell(
            item,
            observedGeneration=item["metadata"]["generation"],
            replicas=len(pods),
            readyReplicas=ready or None,
            availableReplicas=ready,
            currentReplicas=hashes.count(current) or None,
            updatedReplicas=len(updated) or None,
            currentRevision=current,
            updateRevision=revision,
            collisionCount=0,
        )


def ordinal(pod: Object) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])


def claim_name(claim: Object, item: Object, number: int) -> str:
    return f"{claim['metadata']['name']}-{item['metadata']['name']}-{number}"


def _with_volumes(item: Object, number: int) -> Object:
    """The StatefulSet with a template that has its claims among the volumes."""
    item = copy.deepcopy(item)
    spec = item["spec"]["template"]["spec"]
    for claim in item["spec"].get("volumeClaimTemplates") or []:
        volume = {"persistentVolumeClaim": {"claimName": claim_name(claim, item, number)}}
        spec["volumes"] = [*(spec.get("volumes") or []), {"name": claim["metadata"]["name"], **volume}]
    return item
