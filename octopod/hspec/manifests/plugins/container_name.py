"""The container has the name of the service: logs and status look for it."""

from collections.abc import Iterator

from ...service import Context, Service
from ..model import CONTAINER, Snippet, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    yield Snippet(workload(service), f"{CONTAINER}.name", service.name)
