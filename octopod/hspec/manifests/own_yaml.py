"""The files of a spec's k8sSnippets: YAML documents for Kubernetes, each with its kind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..errors import ManifestError, Problem
from ..service import Service
from ..spec.reading import check_documents, read_text
from .model import API_VERSIONS, WORKLOADS, group_of, workload

FORMER_GROUP = "extensions"  # of what is in apps and networking.k8s.io now


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads what looks like a date as the text that it is."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class Document(NamedTuple):
    """A part of a manifest, or a whole one."""

    kind: str
    version: str  # apiVersion
    name: str | None
    content: dict[str, Any]

    @property
    def key(self) -> str:
        """The kind, as snippets have it: with its group where ours of this name is of another one."""
        group = group_of(self.version)
        return self.kind if group == group_of(API_VERSIONS.get(self.kind, self.version)) else f"{self.kind}.{group}"

    @property
    def type(self) -> str:
        """As kubectl takes it: `PodDisruptionBudget.v1.policy`, `ServiceAccount`."""
        group, _, number = self.version.rpartition("/")
        return f"{self.kind}.{number}.{group}" if group else self.kind


def documents(service: Service) -> list[Document]:
    """All documents of all files that are not empty. Raises ManifestError, with everything that is wrong."""
    found: list[Document] = []
    wrong: list[Problem] = []
    for path in service.snippets:
        try:
            found += [_document(each, service) for each in _read(path)]
        except ManifestError as error:
            wrong += error.problems
        except (ValueError, yaml.YAMLError) as error:
            wrong.append(Problem(f"This snippet cannot be used: {error}", file=str(path)))
    if wrong:
        raise ManifestError(*wrong)
    return found


def _read(path: Path) -> Iterator[Any]:
    """What is in a file; of a `List`, what is in the list. Raises ManifestError, ValueError, YAMLError."""
    text = read_text(path, ManifestError)
    check_documents(text, str(path), ManifestError)  # before anything is made of it: depth or aliases could end us
    for each in yaml.load_all(text, Loader):
        if isinstance(each, dict) and each.get("kind") == "List" and isinstance(each.get("items"), list):
            yield from each["items"]
        elif each is not None:
            yield each


def _document(content: Any, service: Service) -> Document:
    """Raises ValueError for what cannot be a part of a manifest of this service."""
    if not isinstance(content, dict) or not isinstance(content.get("kind"), str):
        raise ValueError("Each of its documents has to be a map with a kind.")
    kind, ours = content["kind"], workload(service)
    if kind == "List" or isinstance(content.get("items"), list):
        raise ValueError(f"A {kind} in it holds other objects; each of them has to be a document of its own.")
    version = content.get("apiVersion") or API_VERSIONS.get(kind)
    if not isinstance(version, str):
        raise ValueError(f"{kind} needs an apiVersion.")
    if group_of(version) == FORMER_GROUP:
        version = API_VERSIONS.get(kind, version)
    metadata = content.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    document = Document(kind, version, None if name is None else str(name), content)
    if document.key in WORKLOADS and kind != ours:
        why = "has volumes" if service.is_stateful else "has no volumes"
        raise ValueError(f"It is about a {kind}; {service.name} {why}, so it is a {ours}.")
    return document
