"""What is started instead of what the image would start."""

from collections.abc import Iterator

from ...service import Context, Service
from ..model import CONTAINER, Snippet, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    yield Snippet(workload(service), f"{CONTAINER}.command", service.start_command[:1])
    yield Snippet(workload(service), f"{CONTAINER}.args", service.start_command[1:])
