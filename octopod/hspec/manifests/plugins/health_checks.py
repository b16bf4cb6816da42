"""When the container is ready, and when it is to be restarted: the health check of its ports."""

from collections.abc import Iterator

from ...service import Context, Service
from ..containers import probes
from ..model import CONTAINER, Snippet, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    for field, probe in probes(service).items():
        yield Snippet(workload(service), f"{CONTAINER}.{field}", probe)
