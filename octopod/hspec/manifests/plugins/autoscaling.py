"""More pods while they compute much, fewer again afterwards."""

from collections.abc import Iterator

from ...service import Context, Replicas, Service
from ..model import API_VERSIONS, Snippet, name_of, workload

KIND = "HorizontalPodAutoscaler"


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    if service.replicas and service.replicas.is_autoscaled:
        kind = workload(service)
        target = {"apiVersion": API_VERSIONS[kind], "kind": kind, "name": name_of(kind, service, context)}
        yield Snippet(KIND, "spec", {"scaleTargetRef": target, **_range(service.replicas)})


def _range(replicas: Replicas) -> dict[str, object]:
    target = {"type": "Utilization", "averageUtilization": replicas.cpu_threshold}
    return {
        "minReplicas": replicas.min,
        "maxReplicas": replicas.max,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
