"""How services are, and how their replicas are."""

from datetime import UTC, datetime
from typing import NamedTuple

from .. import names
from . import pods
from .changes import ARCHIVED
from .inventory import annotation, label
from .kubectl import Kubectl, Object
from .looking import Sight, look
from .waiting import asked

RUNNING, NOT_RUNNING, NOT_DEPLOYED = "Running", "Not Running", "Not Deployed"
FAILED, SCALING_DOWN = "Failed", "Scaling Down"
SHOWN = 3  # pods whose troubles are told


class ServiceStatus(NamedTuple):
    """One service. `age` in seconds, None without a pod; `address` as `ip:port,ip:port`, empty without one."""

    name: str
    status: str
    age: int | None
    address: str
    message: str


class Replica(NamedTuple):
    """One pod. `age` in seconds, None before it has started."""

    name: str
    status: str
    age: int | None
    restarts: int
    node: str
    message: str


def statuses(
    kubectl: Kubectl, app: str, service_name: str | None = None, *, now: datetime | None = None
) -> list[ServiceStatus]:
    """Of one service, or of all services of an app, by name; none when the app has none. Raises ClusterError."""
    sight = look(kubectl, app, service_name, ",services")
    found = {label(item, names.SERVICE) for item in sight.items} - {""}
    wanted = [service_name] if service_name else sorted(found)
    return [_status(name, sight.of(name), now or datetime.now(UTC)) for name in wanted]


def _status(name: str, sight: Sight, now: datetime) -> ServiceStatus:
    address = ",".join(text for item in sight.items if item["kind"] == "Service" for text in addresses(item))
    word, message = _verdict(sight)
    starts = [age for pod in sight.pods if (age := _age(pod, now)) is not None]
    return ServiceStatus(name, word, max(starts, default=None), address, message)


def _age(pod: Object, now: datetime) -> int | None:
    return pods.seconds_since(pods.status_of(pod).get("startTime"), now)


def _verdict(sight: Sight) -> tuple[str, str]:
    """Status and message."""
    workload, found = sight.workload, [pod for pod in sight.pods if not pods.is_over(pod)]
    if workload is None or pods.is_going(workload):
        return (SCALING_DOWN, f"{_count(len(found))} to go") if found else (NOT_DEPLOYED, "")
    wanted, staying = asked(workload), [pod for pod in found if not pods.is_going(pod)]
    if not pods.is_noticed(workload):
        return NOT_RUNNING, "the cluster has not noticed the last change yet"
    if wanted == 0 and not found:
        return NOT_RUNNING, "archived" if annotation(workload, ARCHIVED) else "scaled to no replicas"
    if len(found) > wanted and _only_loses(workload, wanted, staying):
        return SCALING_DOWN, f"{_count(len(found) - wanted)} to go"
    if wanted <= len(staying) == sum(map(pods.is_ready, staying)):
        return RUNNING, ""
    return _troubles(workload, staying)


def _only_loses(workload: Object, wanted: int, staying: list[Object]) -> bool:
    """Whether all that is going on is that replicas go: none is missing, and no new version comes."""
    status = pods.status_of(workload)
    is_settled = status.get("updatedReplicas", status.get("replicas", 0)) == status.get("replicas", 0)
    return is_settled and len(staying) >= wanted and all(map(pods.is_ready, staying))


def _count(number: int) -> str:
    return f"{number} replica{'s' if number != 1 else ''}"


def _troubles(workload: Object, staying: list[Object]) -> tuple[str, str]:
    found = [trouble for pod in staying if (trouble := pods.trouble(pod))]
    word = FAILED if any(trouble.is_fatal for trouble in found) else NOT_RUNNING
    refused = pods.condition(pods.status_of(workload), "ReplicaFailure")
    texts = [f"{trouble.pod}: {trouble.text}" for trouble in found[:SHOWN]]
    if refused.get("status") == "True":
        texts.insert(0, str(refused.get("message", "")))
    if len(found) > SHOWN:
        texts.append(f"and {len(found) - SHOWN} more")
    ready = sum(map(pods.is_ready, staying))
    return word, ", ".join(texts) or f"{ready} of {asked(workload)} replicas ready"


def addresses(service: Object) -> list[str]:
    """`ip:port` of each port of a Service that has been given an address from outside."""
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    hosts = [entry.get("ip") or entry.get("hostname") for entry in balancer.get("ingress") or []]
    ports = [port["port"] for port in service["spec"].get("ports") or []]
    return [f"{_bracketed(host)}:{port}" for host in hosts if host for port in ports]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def replicas(kubectl: Kubectl, app: str, service_name: str, *, now: datetime | None = None) -> list[Replica]:
    """The pods of a service, by name. Raises ClusterError."""
    found = kubectl.get("pods", "--selector", names.selector_of(app, service_name))
    return [_replica(pod, now or datetime.now(UTC)) for pod in sorted(found, key=pods.name)]


def _replica(pod: Object, now: datetime) -> Replica:
    trouble = pods.trouble(pod)
    word = FAILED if trouble and trouble.is_fatal else RUNNING if pods.is_ready(pod) else NOT_RUNNING
    if pods.is_going(pod):
        word = SCALING_DOWN
    node = str((pod.get("spec") or {}).get("nodeName") or "")
    return Replica(pods.name(pod), word, _age(pod, now), pods.restarts(pod), node, trouble.text if trouble else "")
