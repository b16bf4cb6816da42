"""The ports that the container listens at, and the same ones of the Service."""

from collections.abc import Iterator

from ...service import Context, Service
from ..containers import container_ports, service_ports
from ..model import CONTAINER, Snippet, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    yield Snippet(workload(service), f"{CONTAINER}.ports", container_ports(service))
    yield Snippet("Service", "spec.ports", service_ports(service))
