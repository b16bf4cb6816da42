"""The user's own YAML, merged into the manifest of its kind; a kind that there is not yet is added.

What has a name other than that of the service's main manifest of the kind is an object of its own.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ... import names
from ...errors import ManifestError
from ...service import Context, Service
from ..model import API_VERSIONS, WORKLOADS, Snippet, name_of, workload


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads what looks like a date as the text that it is."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    applied = set()
    for path in service.snippets:
        for document in _documents(path):
            kind = document["kind"]
            _check_workload(kind, path, service)
            version = document.get("apiVersion") or API_VERSIONS.get(kind)
            if not version:
                raise ManifestError(f"{path}: {kind} needs an apiVersion.")
            applied.add(_type(kind, str(version)))
            yield Snippet(kind, "", document | {"apiVersion": version}, _identifier(document, service, context))
    if applied:
        remembered = json.dumps(sorted(applied))
        yield Snippet(workload(service), f'metadata.annotations."{names.APPLIED_KINDS}"', remembered)


def _documents(path: Path) -> list[dict[str, Any]]:
    """All documents of a file that are not empty. Raises ManifestError."""
    try:
        found = list(yaml.load_all(path.read_text(encoding="utf-8"), Loader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ManifestError(f"{path} cannot be read as YAML: {error}") from None
    documents = [document for document in found if document is not None]
    for document in documents:
        if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
            raise ManifestError(f"{path}: a snippet is a map with a kind.")
    return documents


def _check_workload(kind: str, path: Path, service: Service) -> None:
    ours = workload(service)
    if kind in WORKLOADS and kind != ours:
        why = "has volumes" if service.is_stateful else "has no volumes"
        raise ManifestError(f"{path} is about a {kind}; {service.name} {why}, so it is a {ours}.")


def _identifier(document: dict[str, Any], service: Service, context: Context) -> str:
    name = (document.get("metadata") or {}).get("name")
    return "" if name in (None, name_of(document["kind"], service, context)) else str(name)


def _type(kind: str, version: str) -> str:
    """As kubectl takes it: `PodDisruptionBudget.v1.policy`, `ServiceAccount`."""
    group, _, number = version.rpartition("/")
    return f"{kind}.{number}.{group}" if group else kind
