"""Memory and cpu: a range asks for its lower end and may use up to its upper one."""

from collections.abc import Iterator

from ...quantities import canonical
from ...service import Context, Service
from ..model import CONTAINER, Snippet, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    ranges = {name: each for name, each in (("cpu", service.cpu), ("memory", service.memory)) if each}
    requests = {name: canonical(each.min) for name, each in ranges.items() if each.min}
    limits = {name: canonical(each.max) for name, each in ranges.items()}
    given = {field: amounts for field, amounts in (("requests", requests), ("limits", limits)) if amounts}
    yield Snippet(workload(service), f"{CONTAINER}.resources", given)
