"""The pod's volumes of props and of secrets. Those that hold data are claimed by volume_templates."""

from collections.abc import Iterator

from ... import names
from ...service import Context, Service
from .. import data
from ..model import POD, Snippet, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    name = names.resource_name(context.app, service.name)
    yield Snippet(workload(service), f"{POD}.volumes", data.volumes(service, name))
