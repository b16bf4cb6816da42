"""How many pods, when the spec says so; the fewest, when there is an autoscaler."""

from collections.abc import Iterator

from ...service import Context, Service
from ..model import Snippet, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    if service.replicas:
        yield Snippet(workload(service), "spec.replicas", service.replicas.min)
