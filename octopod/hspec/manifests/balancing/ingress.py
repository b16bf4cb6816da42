"""An Ingress of `networking.k8s.io/v1`, with the annotations that ingress-nginx and Traefik (2 and 3) understand."""

import re
from collections.abc import Iterator
from typing import Any

from ... import names
from ...service import Context, LoadBalancer, Service
from ..model import Snippet, main_head, name_of
from .headers import checked

NGINX, TRAEFIK = "nginx.ingress.kubernetes.io", "traefik.ingress.kubernetes.io"
STICKY_SECONDS = 1800
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~%@:,+-]*")


def snippets(service: Service, context: Context, balancer: LoadBalancer) -> Iterator[Snippet]:
    is_nginx = balancer.provider == "nginx"
    annotations = _nginx(balancer) if is_nginx else _traefik(service, context, balancer)
    yield from main_head("Ingress", service, context, annotations)
    for key, value in balancer.labels.items():
        yield Snippet("Ingress", f'metadata.labels."{key}"', value)
    yield Snippet("Ingress", "spec", _spec(service, balancer))
    if not is_nginx:
        yield from _traefik_others(service, context, balancer)


def _spec(service: Service, balancer: LoadBalancer) -> dict[str, Any]:
    kind = "ImplementationSpecific" if _has_patterns(balancer) else "Prefix"
    paths = [
        {"path": path, "pathType": kind, "backend": _backend(service, mapping.port)}
        for mapping in balancer.mapping
        for path in mapping.context_paths
    ]
    tls = {"tls": [{"hosts": [balancer.host], "secretName": balancer.tls_secret}]} if balancer.tls_secret else {}
    rules = [{"host": balancer.host, "http": {"paths": paths}}]
    return {"ingressClassName": balancer.class_name or balancer.provider, "rules": rules, **tls}


def _backend(service: Service, port: int) -> dict[str, Any]:
    return {"service": {"name": names.normalize(service.name), "port": {"number": port}}}


def _has_patterns(balancer: LoadBalancer) -> bool:
    """Whether a path is a regular expression, which only nginx takes."""
    paths = [path for mapping in balancer.mapping for path in mapping.context_paths]
    return balancer.provider == "nginx" and not all(map(_PLAIN_PATH.fullmatch, paths))


def _nginx(balancer: LoadBalancer) -> dict[str, str]:
    annotations = {f"{NGINX}/ssl-redirect": "true" if balancer.tls_secret else "false"}
    if _has_patterns(balancer):
        annotations[f"{NGINX}/use-regex"] = "true"
    if balancer.sticky:
        annotations |= {f"{NGINX}/affinity": "cookie", f"{NGINX}/session-cookie-max-age": str(STICKY_SECONDS)}
    if balancer.headers:
        lines = [f"proxy_set_header {name} {_quoted(value)};" for name, value in checked(balancer.headers).items()]
        annotations[f"{NGINX}/configuration-snippet"] = "\n".join(lines)
    return annotations


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _traefik(service: Service, context: Context, balancer: LoadBalancer) -> dict[str, str]:
    annotations = {f"{TRAEFIK}/router.entrypoints": "websecure" if balancer.tls_secret else "web"}
    if balancer.tls_secret:
        annotations[f"{TRAEFIK}/router.tls"] = "true"
    if balancer.headers:
        middleware = f"{context.namespace or 'default'}-{name_of('Middleware', service, context)}@kubernetescrd"
        annotations[f"{TRAEFIK}/router.middlewares"] = middleware
    return annotations


def _traefik_others(service: Service, context: Context, balancer: LoadBalancer) -> Iterator[Snippet]:
    """Traefik keeps headers in a resource of its own, and stickiness at the Service."""
    if balancer.headers:
        yield from main_head("Middleware", service, context)
        yield Snippet("Middleware", "spec.headers.customRequestHeaders", checked(balancer.headers))
    if balancer.sticky:
        yield Snippet("Service", f'metadata.annotations."{TRAEFIK}/service.sticky.cookie"', "true")
