"""The labels of the pods."""

from collections.abc import Iterator

from ... import names
from ...service import Context, Service
from ..model import Snippet, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    yield Snippet(workload(service), "spec.template.metadata.labels", names.labels(context, service))
