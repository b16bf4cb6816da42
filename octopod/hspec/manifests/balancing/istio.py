"""Istio: a Gateway that opens the host, a VirtualService that leads to the ports, a DestinationRule for stickiness."""

from collections.abc import Iterator
from typing import Any

from ... import names
from ...service import Context, LoadBalancer, Service
from ..model import Snippet, main_head, name_of
from .headers import checked

COOKIE = {"name": "DEFAULT_COOKIE", "ttl": "1800s"}


def snippets(service: Service, context: Context, balancer: LoadBalancer) -> Iterator[Snippet]:
    yield from _whole("Gateway", service, context, _gateway(balancer))
    yield from _whole("VirtualService", service, context, _routes(service, context, balancer))
    if balancer.sticky:
        policy = {"loadBalancer": {"consistentHash": {"httpCookie": COOKIE}}}
        yield from _whole("DestinationRule", service, context, {"host": _host(service), "trafficPolicy": policy})


def _whole(kind: str, service: Service, context: Context, spec: dict[str, Any]) -> Iterator[Snippet]:
    yield from main_head(kind, service, context)
    yield Snippet(kind, "spec", spec)


def _host(service: Service) -> str:
    return names.normalize(service.name)


def _gateway(balancer: LoadBalancer) -> dict[str, Any]:
    """The labels are those of the pods of Istio's gateway."""
    server: dict[str, Any] = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [balancer.host]}
    if balancer.tls_secret:
        server["port"] = {"number": 443, "name": "https", "protocol": "HTTPS"}
        server["tls"] = {"mode": "SIMPLE", "credentialName": balancer.tls_secret}
    return {"selector": dict(balancer.labels), "servers": [server]}


def _routes(service: Service, context: Context, balancer: LoadBalancer) -> dict[str, Any]:
    """Istio takes the first route that fits: the longest paths come first."""
    pairs = [(path, mapping.port) for mapping in balancer.mapping for path in mapping.context_paths]
    routes = [_route(service, path, port, balancer) for path, port in sorted(pairs, key=lambda pair: -len(pair[0]))]
    return {"hosts": [balancer.host], "gateways": [name_of("Gateway", service, context)], "http": routes}


def _route(service: Service, path: str, port: int, balancer: LoadBalancer) -> dict[str, Any]:
    headers = {"headers": {"request": {"set": checked(balancer.headers)}}} if balancer.headers else {}
    destination = {"host": _host(service), "port": {"number": port}}
    return {"match": [{"uri": {"prefix": path}}], **headers, "route": [{"destination": destination}]}
