"""Whether the Service is open to the world: by itself, or through what a loadBalancer puts before it."""

from collections.abc import Iterator

from ...service import Context, Service
from ..model import Snippet, has_ports


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    if has_ports(service):
        is_open = service.external and not service.load_balancer
        yield Snippet("Service", "spec.type", "LoadBalancer" if is_open else "ClusterIP")
