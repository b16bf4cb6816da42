"""What holds for the container of a service and for those of its agents alike: ports and probes."""

from typing import Any

from ..service import Port
from .model import Owner

TIMES = {"initialDelaySeconds": 10, "periodSeconds": 30, "timeoutSeconds": 30, "failureThreshold": 10}


def container_ports(owner: Owner) -> list[dict[str, Any]]:
    return [
        {"containerPort": port.number, "name": port.name, "protocol": port.transport}
        for port in dict.fromkeys(owner.ports)
    ]


def service_ports(owner: Owner) -> list[dict[str, Any]]:
    return [
        {"name": port.name, "port": port.number, "protocol": port.transport, "targetPort": port.number}
        for port in dict.fromkeys(owner.ports)
    ]


def probes(owner: Owner) -> dict[str, dict[str, Any]]:
    """The same probe twice: for being ready, and for being alive. Nothing without a health check."""
    check = _check(owner.ports)
    return {"readinessProbe": check | TIMES, "livenessProbe": check | TIMES} if check else {}


def _check(ports: tuple[Port, ...]) -> dict[str, Any]:
    """The first port with a path is asked for it; without any, the first one that is to be checked is connected to."""
    checked = [port for port in ports if port.is_checked and port.transport == "TCP"]
    for port in checked:
        if port.http_path:
            scheme = {"scheme": "HTTPS"} if port.protocol == "https" else {}
            return {"httpGet": {"path": port.http_path, "port": port.number, **scheme}}
    return {"tcpSocket": {"port": checked[0].number}} if checked else {}
