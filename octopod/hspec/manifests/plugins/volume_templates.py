"""The claims of the volumes: each pod of the StatefulSet has its own."""

from collections.abc import Iterator, Mapping
from typing import Any

from ... import names
from ...quantities import canonical
from ...service import Context, Service, Volume
from ..model import Snippet


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    if not service.is_stateful:
        return
    labels = names.labels(context, service)
    yield Snippet("StatefulSet", "spec.serviceName", names.normalize(service.name))
    yield Snippet("StatefulSet", "spec.volumeClaimTemplates", [_claim(volume, labels) for volume in service.volumes])


def _claim(volume: Volume, labels: Mapping[str, str]) -> dict[str, Any]:
    class_name = {"storageClassName": volume.storage_class} if volume.storage_class else {}
    return {
        "metadata": {"name": volume.name, "labels": {**labels, names.VOLUME: names.label_value(volume.name)}},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            **class_name,
            "resources": {"requests": {"storage": canonical(volume.size)}},
        },
    }
