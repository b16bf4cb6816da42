"""The beginning of everything that a service has by itself: kind, version, name, labels."""

from collections.abc import Iterator

from ...service import Context, Service
from ..model import Snippet, has_ports, has_values, main_head, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    wanted = {
        workload(service): True,
        "ConfigMap": bool(service.props),
        "Secret": has_values(service),
        "Service": has_ports(service),
        "HorizontalPodAutoscaler": bool(service.replicas and service.replicas.is_autoscaled),
    }
    for kind, is_wanted in wanted.items():
        if is_wanted:
            yield from main_head(kind, service, context)
