"""YAML as helm reads it: PyYAML's, without what go-yaml does not know (times, and numbers in base 60)."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from shared.output import Failure


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe, and in C where that was built."""


FORGOTTEN = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in FORGOTTEN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"),
    list("-+0123456789"),
)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"),
    list("-+0123456789."),
)


def load(text: str | bytes) -> Any:
    """The one document in the text. Raises yaml.YAMLError."""
    return yaml.load(text, Loader)


def load_objects(text: str) -> Iterator[dict[str, Any]]:
    """The Kubernetes objects in the text, those in Lists one by one. Documents that are none, comments say, are left out.

    Raises Failure for what is no YAML.
    """
    try:
        for document in yaml.load_all(text, Loader):
            yield from filter(is_object, items(document))
    except yaml.YAMLError as error:
        raise Failure(f"What helm has rendered is not YAML: {error}") from None


def items(document: Any) -> list[Any]:
    is_list = isinstance(document, dict) and isinstance(document.get("items"), list)
    return document["items"] if is_list and str(document.get("kind")).endswith("List") else [document]


def is_object(document: Any) -> bool:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    return isinstance(metadata, dict) and bool(
        metadata.get("name") and document.get("kind") and document.get("apiVersion")
    )
