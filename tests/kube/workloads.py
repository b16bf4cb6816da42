"""The controllers of ReplicaSets, DaemonSets and Jobs."""

from .controller import Controller, conditions, finished, hash_of, is_ready
from .kubelet import restarts
from .paths import Object, dig
from .store import now


class ReplicaSets(Controller):
    name = "ReplicaSet"

    def reconcile(self, item: Object) -> None:
        pods = [pod for pod in self.owned("Pod", item) if not finished(pod)]
        wanted = item["spec"]["replicas"]
        for _ in range(wanted - len(pods)):
            self.make_pod(item)
        unready_first = sorted(pods, key=is_ready)
        for pod in unready_first[: max(0, len(pods) - wanted)]:
            self.end("Pod", pod)
        pods = [pod for pod in self.owned("Pod", item) if not finished(pod)]
        ready = sum(map(is_ready, pods))
        self.tell(
            item,
            observedGeneration=item["metadata"]["generation"],
            replicas=len(pods),
            fullyLabeledReplicas=len(pods) or None,
            readyReplicas=ready or None,
            availableReplicas=ready or None,
        )


class DaemonSets(Controller):
    """One node, one pod, unless the node is not the one that is asked for."""

    name = "DaemonSet"

    def reconcile(self, item: Object) -> None:
        revision = hash_of(item["spec"]["template"])
        rolling = item["spec"]["updateStrategy"]["type"] == "RollingUpdate"
        wanted = int(self._fits(item))
        for pod in self.owned("Pod", item):
            if not wanted or (rolling and pod["metadata"]["labels"].get("controller-revision-hash") != revision):
                self.end("Pod", pod)
        if wanted and not self.all_pods(item):
            self.make_pod(item, **{"controller-revision-hash": revision, "pod-template-generation": "1"})
        pods = self.owned("Pod", item)
        updated = [pod for pod in pods if pod["metadata"]["labels"].get("controller-revision-hash") == revision]
        ready = sum(map(is_ready, pods))
        self.tell(
            item,
            observedGeneration=item["metadata"]["generation"],
            desiredNumberScheduled=wanted,
            currentNumberScheduled=len(pods),
            numberMisscheduled=0,
            updatedNumberScheduled=len(updated) or None,
            numberReady=ready,
            numberAvailable=ready or None,
            numberUnavailable=max(0, wanted - ready) or None,
        )

    def _fits(self, item: Object) -> bool:
        """Whether the node carries the labels that the pods want."""
        [node] = self.store.select(self.store.kinds.named("Node"))
        wanted = dig(item, "spec.template.spec.nodeSelector") or {}
        return wanted.items() <= (node["metadata"].get("labels") or {}).items()


class Jobs(Controller):
    name = "Job"

    def reconcile(self, item: Object) -> None:
        spec = item["spec"]
        if any(one["type"] in ("Complete", "Failed") for one in dig(item, "status.conditions", [])):
            return
        pods = self.owned("Pod", item)
        active = [pod for pod in pods if not finished(pod)]
        done, failed = _count(pods, "Succeeded"), _count(pods, "Failed")
        crashing = any(restarts(pod) for pod in active)
        has_failed = crashing or failed > spec["backoffLimit"]
        is_done = done >= spec.get("completions", 1)
        if has_failed or is_done or spec["suspend"]:
            for pod in active:
                self.end("Pod", pod)
            active = []
        for _ in range(0 if has_failed or is_done or spec["suspend"] else self._missing(item, done, len(active))):
            self.make_pod(item)
        self._status(item, done, failed + crashing, has_failed, is_done)

    @staticmethod
    def _missing(item: Object, done: int, active: int) -> int:
        return min(item["spec"]["parallelism"], item["spec"].get("completions", 1) - done) - active

    def _status(self, item: Object, done: int, failed: int, has_failed: bool, is_done: bool) -> None:
        facts: list[tuple[str, ...]] = []
        if has_failed:
            facts = [("Failed", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit")]
        elif is_done:
            facts = [("Complete", "True")]
        elif item["spec"]["suspend"]:
            facts = [("Suspended", "True", "JobSuspended", "Job suspended")]
        self.tell(
            item,
            active=sum(not finished(pod) for pod in self.owned("Pod", item)) or None,
            succeeded=done or None,
            failed=failed or None,
            startTime=dig(item, "status.startTime") or (None if item["spec"]["suspend"] else now()),
            completionTime=now() if is_done else None,
            conditions=conditions(item, *facts),
        )


def _count(pods: list[Object], phase: str) -> int:
    return sum(dig(pod, "status.phase") == phase for pod in pods)
