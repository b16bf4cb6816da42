"""Props and secrets as variables of the container. Files never become variables."""

from collections.abc import Iterator

from ... import names
from ...service import Context, Service
from ..data import variables
from ..model import CONTAINER, Snippet, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    name = names.resource_name(context.app, service.name)
    yield Snippet(workload(service), f"{CONTAINER}.env", variables(service, name))
