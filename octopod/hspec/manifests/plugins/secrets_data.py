"""The secrets, when the spec has their values. Of mere names no Secret is made: it is there already."""

from collections.abc import Iterator

from ...service import Context, Service
from ..data import secret
from ..model import Snippet


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    yield Snippet("Secret", "data", secret(service))
