"""How the workload and the Service find the pods."""

from collections.abc import Iterator

from ... import names
from ...service import Context, Service
from ..model import Snippet, has_ports, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    labels = names.labels(context, service)
    yield Snippet(workload(service), "spec.selector.matchLabels", labels)
    if has_ports(service):
        yield Snippet("Service", "spec.selector", labels)
