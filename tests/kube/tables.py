"""What `kubectl get` shows: rows and columns."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from .kinds import Kind
from .kubelet import restarts
from .paths import Object, dig

Column = tuple[str, Callable[[Object], Any]]


def at(path: str, default: Any = "<none>") -> Callable[[Object], Any]:
    return lambda item: dig(item, path, default)


def age(item: Object) -> str:
    created = datetime.strptime(item["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    seconds = int((datetime.now(UTC) - created).total_seconds())
    return f"{seconds}s" if seconds < 120 else f"{seconds // 60}m" if seconds < 7200 else f"{seconds // 3600}h"


def ready(counted: str, wanted: str) -> Callable[[Object], str]:
    return lambda item: f"{dig(item, counted, 0)}/{dig(item, wanted, 0)}"


def _ready_containers(pod: Object) -> str:
    containers = dig(pod, "status.containerStatuses", [])
    return f"{sum(one['ready'] for one in containers)}/{len(pod['spec']['containers'])}"


def _pod_status(pod: Object) -> str:
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    reasons = [
        dig(one, f"state.{state}.reason") for one in dig(pod, "status.containerStatuses", []) for state in STATES
    ]
    return next(filter(None, reasons), None) or dig(pod, "status.phase")


STATES = ("waiting", "terminated")


def _ports(service: Object) -> str:
    return ",".join(f"{port['port']}/{port['protocol']}" for port in dig(service, "spec.ports", [])) or "<none>"


def _external(service: Object) -> str:
    if dig(service, "spec.type") == "LoadBalancer":
        return ",".join(one.get("ip") or one["hostname"] for one in dig(service, "status.loadBalancer.ingress", []))
    return dig(service, "spec.externalName", "<none>")


def _data(item: Object) -> int:
    return len(item.get("data") or {}) + len(item.get("binaryData") or {})


def _hosts(ingress: Object) -> str:
    return ",".join(rule.get("host", "*") for rule in dig(ingress, "spec.rules", [])) or "*"


def _targets(item: Object) -> str:
    target = item["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{target['name']}"


COLUMNS: dict[str, list[Column]] = {
    "ConfigMap": [("Data", _data)],
    "CronJob": [
        ("Schedule", at("spec.schedule")),
        ("Suspend", lambda item: str(item["spec"]["suspend"])),
        ("Active", lambda item: len(dig(item, "status.active", []))),
    ],
    "DaemonSet": [
        ("Desired", at("status.desiredNumberScheduled", 0)),
        ("Ready", at("status.numberReady", 0)),
        ("Up-to-date", at("status.updatedNumberScheduled", 0)),
    ],
    "Deployment": [
        ("Ready", ready("status.readyReplicas", "spec.replicas")),
        ("Up-to-date", at("status.updatedReplicas", 0)),
        ("Available", at("status.availableReplicas", 0)),
    ],
    "Event": [
        ("Type", at("type")),
        ("Reason", at("reason")),
        ("Object", lambda item: f"{item['involvedObject']['kind'].lower()}/{item['involvedObject']['name']}"),
        ("Message", at("message")),
    ],
    "HorizontalPodAutoscaler": [
        ("Reference", _targets),
        ("MinPods", at("spec.minReplicas")),
        ("MaxPods", at("spec.maxReplicas")),
        ("Replicas", at("status.currentReplicas", 0)),
    ],
    "Ingress": [("Class", at("spec.ingressClassName")), ("Hosts", _hosts)],
    "Job": [("Completions", ready("status.succeeded", "spec.completions"))],
    "Namespace": [("Status", at("status.phase"))],
    "PersistentVolumeClaim": [
        ("Status", at("status.phase")),
        ("Volume", at("spec.volumeName")),
        ("Capacity", at("status.capacity.storage")),
    ],
    "Pod": [("Ready", _ready_containers), ("Status", _pod_status), ("Restarts", restarts)],
    "ReplicaSet": [
        ("Desired", at("spec.replicas")),
        ("Current", at("status.replicas", 0)),
        ("Ready", at("status.readyReplicas", 0)),
    ],
    "Secret": [("Type", at("type")), ("Data", _data)],
    "Service": [
        ("Type", at("spec.type")),
        ("Cluster-IP", at("spec.clusterIP")),
        ("External-IP", _external),
        ("Port(s)", _ports),
    ],
    "StatefulSet": [("Ready", ready("status.readyReplicas", "spec.replicas"))],
}


def table(kind: Kind, items: list[Object], version: str, include: str) -> Object:
    """The objects as a Table; `include` says how much of them comes along: None, Metadata or Object."""
    columns = _columns(kind)
    rows = [{"cells": [read(item) for _, read in columns], "object": _part(item, include)} for item in items]
    named = [{"name": name, "type": _type(name), "format": _format(name)} for name, _ in columns]
    definitions = [column | {"description": "", "priority": 0} for column in named]
    identity = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version}}
    return identity | {"columnDefinitions": definitions, "rows": rows}


def _columns(kind: Kind) -> list[Column]:
    own = COLUMNS.get(kind.name, []) if not kind.custom else []
    custom = [
        (column["name"], at(column["jsonPath"].lstrip("."), "")) for column in kind.columns if "jsonPath" in column
    ]
    custom = [column for column in custom if column[0] != "Age"]
    return [("Name", at("metadata.name")), *own, *custom, ("Age", age)]


def _type(name: str) -> str:
    return "integer" if name in ("Data", "Restarts", "Desired", "Current", "Up-to-date", "Available") else "string"


def _format(name: str) -> str:
    return "name" if name == "Name" else ""


def metadata_only(item: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def _part(item: Object, include: str) -> Object | None:
    return {"None": None, "Object": item}.get(include, metadata_only(item))
