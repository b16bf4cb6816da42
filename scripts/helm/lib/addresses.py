"""Where a deployment is to be found. Pure functions over objects."""

from collections.abc import Iterator
from typing import Any

from lib.deployment import Deployment
from lib.kube import Object
from shared.links import is_wildcard, plain_paths

PLAIN_PATHS = ("Prefix", "Exact", "ImplementationSpecific", None)
SCHEMES = {443: "https", 8443: "https", 80: "http"}
USUAL = {"http": 80, "https": 443}

Link = tuple[str, str]


def of_ingress(ingress: Object, live: Object | None) -> Iterator[Link]:
    """An address for each host and path. A rule without a host is where the ingress itself is, if it is anywhere."""
    spec = ingress.get("spec") or {}
    for rule in spec.get("rules") or [{}]:
        hosts = [rule["host"]] if rule.get("host") else load_balancers(live)
        for host in hosts:
            if is_wildcard(host):
                continue
            for path in paths(rule):
                yield ingress["metadata"]["name"], f"{'https' if is_secure(spec, host) else 'http'}://{host}{path}"


def paths(rule: dict[str, Any]) -> list[str]:
    """The paths that a person could type."""
    return plain_paths(one.get("path") or "/" for one in (rule.get("http") or {}).get("paths") or [])


def is_secure(spec: dict[str, Any], host: str) -> bool:
    """Whether TLS is set for a host: by its name, by a wildcard, or for all."""
    entries = spec.get("tls") or []
    names = [name for entry in entries for name in entry.get("hosts") or []]
    everything = any(not entry.get("hosts") for entry in entries)
    return everything or host in names or f"*.{host.partition('.')[2]}" in names


def of_service(service: Object) -> Iterator[Link]:
    """An address for each port of a load balancer that has been given one."""
    for host in load_balancers(service):
        for port in service["spec"].get("ports") or []:
            scheme = scheme_of(port)
            rest = "" if USUAL.get(scheme) == port["port"] else f":{port['port']}"
            yield service["metadata"]["name"], f"{scheme}://{host}{rest}"


def scheme_of(port: dict[str, Any]) -> str:
    told = (port.get("appProtocol") or port.get("name") or "").lower()
    if told.startswith("https"):
        return "https"
    return SCHEMES.get(port["port"]) or ("http" if told.startswith(("http", "web")) else "tcp")


def load_balancers(item: Object | None) -> list[str]:
    """The addresses that an ingress or a service has been given; IPv6 in brackets."""
    status = ((item or {}).get("status") or {}).get("loadBalancer") or {}
    hosts = [entry.get("hostname") or entry.get("ip") or "" for entry in status.get("ingress") or []]
    return [f"[{host}]" if ":" in host else host for host in hosts if host]


def links(deployment: Deployment) -> list[Link]:
    """The addresses of a deployment: of ingresses as they are asked for, before they are there, and of load balancers
    as they are. Raises Failure."""
    ingresses = [item for item in deployment.rendered if item["kind"] == "Ingress"]
    services = [item for item in deployment.rendered if is_load_balancer(item)]
    nameless = [item for item in ingresses if not all(rule.get("host") for rule in item["spec"].get("rules") or [{}])]
    live = deployment.kube.live([*services, *nameless])
    there = {(item["kind"], item["metadata"]["name"]): item for item in live}
    found = [link for item in ingresses for link in of_ingress(item, there.get(("Ingress", item["metadata"]["name"])))]
    return found + [link for item in live if item["kind"] == "Service" for link in of_service(item)]


def is_load_balancer(item: Object) -> bool:
    return item["kind"] == "Service" and item["spec"].get("type") == "LoadBalancer"
