"""The props: texts as they are, files as bytes."""

from collections.abc import Iterator

from ...service import Context, Service
from ..data import config_map
from ..model import Snippet


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    for field, content in config_map(service).items():
        yield Snippet("ConfigMap", field, content)
