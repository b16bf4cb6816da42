"""The image: by the digest that has been pushed, where it is known."""

from collections.abc import Iterator

from ...service import Context, Service
from ..model import CONTAINER, Snippet, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    image = service.image
    reference = f"{image.repository}@{context.digest}" if context.digest else image.reference
    yield Snippet(workload(service), f"{CONTAINER}.image", reference)
    yield Snippet(workload(service), f"{CONTAINER}.imagePullPolicy", "Always")
