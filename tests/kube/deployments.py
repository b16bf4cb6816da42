"""The controller of Deployments: a ReplicaSet per template, and the way from one to the next."""

import copy

from .controller import Controller, conditions, hash_of, uid
from .paths import Object, dig, fill, number_of

REVISION = "deployment.kubernetes.io/revision"
AVAILABLE = {
    True: ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
    False: ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
}
PROGRESSING = {
    True: ("True", "NewReplicaSetAvailable", "The ReplicaSet has successfully progressed."),
    False: ("True", "ReplicaSetUpdated", "The ReplicaSet is progressing."),
}


class Deployments(Controller):
    name = "Deployment"

    def reconcile(self, item: Object) -> None:
        sets = self.owned("ReplicaSet", item)
        current = next((one for one in sets if same_template(one, item)), None)
        if item["spec"].get("paused"):
            self._keep(item, sets)
        elif current:
            item = self._number_revision(item, current, sets)
            self._roll(item, current, [one for one in sets if one is not current])
        else:
            current = self._new_set(item)
        self._deployment_status(item, current)

    def _keep(self, item: Object, sets: list[Object]) -> None:
        """Scale what there is: a paused deployment gets nothing new."""
        used = [one for one in sets if one["spec"]["replicas"]] or sets[-1:]
        if len(used) == 1:
            self._scale(used[0], item["spec"]["replicas"])

    def _new_set(self, item: Object) -> Object:
        metadata, spec = item["metadata"], item["spec"]
        hash_ = hash_of(spec["template"])
        label = {"pod-template-hash": hash_}
        template = copy.deepcopy(spec["template"])
        fill(template, "metadata.labels", {}).update(label)
        selector = copy.deepcopy(spec["selector"])
        fill(selector, "matchLabels", {}).update(label)
        return self.store.create(
            self.kind_of("ReplicaSet"),
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{metadata['name']}-{hash_}",
                    "namespace": metadata["namespace"],
                    "labels": template["metadata"]["labels"],
                    "annotations": metadata.get("annotations", {}) | {REVISION: "0"},
                    "ownerReferences": [self.reference(item)],
                },
                "spec": {"replicas": 0, "selector": selector, "template": template},
            },
        )

    def _number_revision(self, item: Object, current: Object, sets: list[Object]) -> Object:
        """The newest template gets the highest number, also when it is an old one come back."""
        numbers = {uid(one): int(dig(one, "metadata.annotations", {}).get(REVISION, 0)) for one in sets}
        number = numbers[uid(current)]
        if number == 0 or number < max(numbers.values()):
            number = max(numbers.values()) + 1
            self.store.put(self.kind_of("ReplicaSet"), _annotated(current, str(number)))
        return self.store.put(self.kind, _annotated(item, str(number)))

    def _roll(self, item: Object, current: Object, olds: list[Object]) -> None:
        """Let the pods of the current template take the place of the others, as far as the strategy allows."""
        wanted = item["spec"]["replicas"]
        count, old_count = current["spec"]["replicas"], sum(one["spec"]["replicas"] for one in olds)
        if item["spec"]["strategy"]["type"] == "Recreate":
            for old in olds:
                self._scale(old, 0)
            lingering = any(self.all_pods(one) for one in olds)
            self._scale(current, 0 if lingering else wanted)
            return
        surge, missing = allowance(item)
        room = max(0, wanted + surge - count - old_count)
        self._scale(current, min(wanted, count + room))
        ready = dig(current, "status.readyReplicas", 0)
        spare = ready + sum(dig(one, "status.readyReplicas", 0) for one in olds) - (wanted - missing)
        for old in olds:
            unready = old["spec"]["replicas"] - dig(old, "status.readyReplicas", 0)
            fewer = min(old["spec"]["replicas"], unready + max(0, spare))
            spare -= max(0, fewer - unready)
            self._scale(old, old["spec"]["replicas"] - fewer)

    def _scale(self, item: Object, replicas: int) -> None:
        item = self.store.get(self.kind_of("ReplicaSet"), item["metadata"]["namespace"], item["metadata"]["name"])
        self.store.put(self.kind_of("ReplicaSet"), item | {"spec": item["spec"] | {"replicas": replicas}})

    def _deployment_status(self, item: Object, current: Object | None) -> None:
        sets = self.owned("ReplicaSet", item)
        count = {field: sum(dig(one, f"status.{field}", 0) for one in sets) for field in ("replicas", "readyReplicas")}
        updated = sum(dig(one, "status.replicas", 0) for one in sets if current and uid(one) == uid(current))
        wanted, ready = item["spec"]["replicas"], count["readyReplicas"]
        done = updated == wanted == count["replicas"] == ready
        self.tell(
            item,
            observedGeneration=item["metadata"]["generation"],
            replicas=count["replicas"] or None,
            updatedReplicas=updated or None,
            readyReplicas=ready or None,
            availableReplicas=ready or None,
            unavailableReplicas=max(0, max(wanted, count["replicas"]) - ready) or None,
            conditions=conditions(
                item,
                ("Available", *AVAILABLE[ready >= wanted - allowance(item)[1]]),
                ("Progressing", *PROGRESSING[done]),
            ),
        )


def same_template(one: Object, item: Object) -> bool:
    """Whether a ReplicaSet is made from the Deployment's template as it is now."""
    template = copy.deepcopy(one["spec"]["template"])
    template["metadata"]["labels"].pop("pod-template-hash", None)
    return template == item["spec"]["template"]


def allowance(item: Object) -> tuple[int, int]:
    """How many pods there may be too many and too few during a rollout."""
    wanted, rolling = item["spec"]["replicas"], dig(item, "spec.strategy.rollingUpdate", {})
    surge = number_of(rolling.get("maxSurge", 0), wanted, up=True)
    missing = number_of(rolling.get("maxUnavailable", 0), wanted, up=False)
    return surge, missing or (0 if surge else 1)


def _annotated(item: Object, number: str) -> Object:
    annotations = dig(item, "metadata.annotations", {}) | {REVISION: number}
    return item | {"metadata": item["metadata"] | {"annotations": annotations}}
