"""Whose a pod or a volume is. Pure functions over what the cluster says.

Names of workloads are unique in a namespace, so whoever is owned by one of ours by kind and name is ours, even when the
owner is gone. Labels are not unique: other releases of the chart may have the same.
"""

import re
from collections.abc import Iterable

from lib.kube import Object

INSTANCE = "app.kubernetes.io/instance"
MAKERS = {"ReplicaSet": ("apps", "Deployment"), "Job": ("batch", "CronJob")}

Key = tuple[str, str, str]  # group, kind, name


class Owners:
    """The pods of a namespace, what stands between them and the objects of a release, and these objects."""

    def __init__(self, release: str, namespace: str, objects: Iterable[Object], found: Iterable[Object]) -> None:
        self.release = release
        self.objects = [item for item in objects if lies_in(namespace, item)]
        self.keys = {key(item, item["metadata"]) for item in self.objects}
        self.found = {item["metadata"]["uid"]: item for item in found}

    def pods(self, doubtful: bool) -> list[Object]:
        pods = [item for item in self.found.values() if item["kind"] == "Pod"]
        return [pod for pod in pods if self.owns(pod) or (doubtful and self.may_own(pod))]

    def owns(self, pod: Object) -> bool:
        marked = (pod["metadata"].get("labels") or {}).get(INSTANCE) == self.release
        return marked or any(key(one, one) in self.keys for one in self.chain(pod))

    def may_own(self, pod: Object) -> bool:
        """Whether the owner is gone, but was ours by its name, or the pod fits a workload of ours and has our name."""
        chain = self.chain(pod)
        if not chain:
            return self.fits(pod)
        last = chain[-1]
        if last["kind"] not in MAKERS:
            return False
        maker = (*MAKERS[last["kind"]], last["name"].rpartition("-")[0])
        return maker in self.keys or (last["uid"] not in self.found and self.fits(pod))

    def chain(self, item: Object | None) -> list[Object]:
        """References to the owner of an object, the owner's owner and so on, as far as they are known."""
        chain: list[Object] = []
        while item and (reference := controller(item)):
            chain.append(reference)
            item = self.found.get(reference["uid"])
        return chain

    def fits(self, pod: Object) -> bool:
        names = [pod["metadata"]["name"], *(pod["metadata"].get("labels") or {}).values()]
        named = any(f"{name}-".startswith(f"{self.release}-") for name in names)
        return named and any(selects(item, pod) for item in self.objects)


def lies_in(namespace: str, item: Object) -> bool:
    return (item["metadata"].get("namespace") or namespace) == namespace


def key(item: Object, named: Object) -> Key:
    return item["apiVersion"].rpartition("/")[0], item["kind"], named["name"]


def controller(item: Object) -> Object | None:
    references = item["metadata"].get("ownerReferences") or []
    return next((one for one in references if one.get("controller")), references[0] if references else None)


def selects(item: Object, pod: Object) -> bool:
    """Whether a pod has all the labels that a workload asks of its own."""
    if "template" not in (item.get("spec") or {}):
        return False
    selector = item["spec"].get("selector") or {}
    labels = pod["metadata"].get("labels") or {}
    if "matchLabels" not in selector and "matchExpressions" not in selector:  # a ReplicationController's, or none
        return bool(selector) and selector.items() <= labels.items()
    equal = (selector.get("matchLabels") or {}).items() <= labels.items()
    return equal and all(holds(rule, labels) for rule in selector.get("matchExpressions") or [])


def holds(rule: Object, labels: dict[str, str]) -> bool:
    value, values = labels.get(rule["key"]), rule.get("values") or []
    operators = {
        "Exists": value is not None,
        "DoesNotExist": value is None,
        "In": value in values,
        "NotIn": value not in values,
    }
    return operators[rule["operator"]]


def is_volume_of(claim: Object, objects: Iterable[Object]) -> bool:
    """Whether a claim was made for a StatefulSet: `<template>-<StatefulSet>-<ordinal>`, its labels say nothing."""
    return any(
        re.fullmatch(rf"{re.escape(template['metadata']['name'])}-{re.escape(item['metadata']['name'])}-[0-9]+", name)
        for name in [claim["metadata"]["name"]]
        for item in objects
        if item["kind"] == "StatefulSet"
        for template in item["spec"].get("volumeClaimTemplates") or []
    )
