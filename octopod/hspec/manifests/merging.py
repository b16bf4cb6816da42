"""The strategic merge of a snippet of the user's into a generated manifest."""

from typing import Any

from ..errors import SpecError
from ..spec.merge import MergeError, merge
from .tree import InjectionError

KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ports": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
}


def merged(source: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """A new manifest; both stay as they are. Raises InjectionError for lists whose elements nothing tells apart."""
    try:
        return merge(source, patch, KEYS)
    except (MergeError, SpecError) as error:
        raise InjectionError(str(error)) from None
