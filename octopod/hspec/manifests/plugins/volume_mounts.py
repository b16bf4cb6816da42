"""Where the container sees its volumes, its props and its secrets."""

from collections.abc import Iterator

from ... import names
from ...service import Context, Service
from ..data import mounts
from ..model import CONTAINER, Snippet, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    name = names.resource_name(context.app, service.name)
    declared = [
        {"name": volume.name, "mountPath": volume.path, "readOnly": volume.read_only} for volume in service.volumes
    ]
    yield Snippet(workload(service), f"{CONTAINER}.volumeMounts", declared + mounts(service, name))
