"""Between the versions of a kind, and from a kind to its scale."""

import copy

from .kinds import Kind
from .paths import Object, dig
from .selectors import text_of

CPU = "targetCPUUtilizationPercentage"


def convert(kind: Kind, item: Object, version: str) -> Object:
    """The same object in another version. Only autoscaling/v1 differs in more than its name."""
    item = item | {"apiVersion": kind.api_version(version), "kind": kind.name}
    if kind.qualified != "HorizontalPodAutoscaler.autoscaling":
        return item
    spec = dict(item.get("spec", {}))
    if version == "v1" and "metrics" in spec:
        shares = [dig(one, "resource.target.averageUtilization") for one in spec.pop("metrics")]
        spec |= {CPU: shares[0]} if shares and shares[0] else {}
    if version != "v1" and CPU in spec:
        target = {"type": "Utilization", "averageUtilization": spec.pop(CPU)}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    return item | {"spec": spec}


def scale_of(kind: Kind, item: Object) -> Object:
    """The subresource `scale` of an object."""
    wanted, counted = kind.scale
    keys = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    metadata = copy.deepcopy({key: item["metadata"][key] for key in keys if key in item["metadata"]})
    status = {"replicas": dig(item, counted, 0) if counted else 0, "selector": text_of(dig(item, "spec.selector"))}
    spec = {"replicas": dig(item, wanted, 0)}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}
