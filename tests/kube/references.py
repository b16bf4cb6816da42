"""What a pod has to find in its namespace before it can start."""

from collections.abc import Iterator
from typing import NamedTuple

from .paths import Object, each
from .store import Store


class Missing(NamedTuple):
    """What a pod waits for, and how it says so."""

    fate: str  # `config`, `mount` or `pending`
    message: str


KEYS = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}
SOURCES = {"secretRef": "Secret", "configMapRef": "ConfigMap"}
VOLUMES = {
    "secret": ("Secret", "secretName", "mount"),
    "configMap": ("ConfigMap", "name", "mount"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName", "pending"),
}


def missing(store: Store, pod: Object) -> Missing | None:
    """The first thing that is not there; None when the pod can start."""
    return next(_missing(store, pod), None)


def _missing(store: Store, pod: Object) -> Iterator[Missing]:
    spec, namespace = pod["spec"], pod["metadata"]["namespace"]
    for field, (kind, key, fate) in VOLUMES.items():
        for _, source in each(spec, f"volumes.{field}"):
            if not source.get("optional") and not _find(store, kind, namespace, source.get(key, "")):
                yield Missing(fate, f'{kind.lower()} "{source.get(key)}" not found')
    for group in ("initContainers", "containers"):
        references = [(kind, f"{group}.envFrom.{field}") for field, kind in SOURCES.items()]
        references += [(kind, f"{group}.env.valueFrom.{field}") for field, kind in KEYS.items()]
        for kind, path in references:
            for _, source in each(spec, path):
                if not source.get("optional"):
                    yield from _unusable(store, kind, namespace, source)


def _unusable(store: Store, kind: str, namespace: str, source: Object) -> Iterator[Missing]:
    found = _find(store, kind, namespace, source.get("name", ""))
    if not found:
        yield Missing("config", f'{kind.lower()} "{source.get("name")}" not found')
    elif "key" in source and source["key"] not in {**found.get("data", {}), **found.get("binaryData", {})}:
        yield Missing("config", f"couldn't find key {source['key']} in {kind} {namespace}/{source['name']}")


def _find(store: Store, kind: str, namespace: str, name: str) -> Object | None:
    return store.find(store.kinds.named(kind), namespace, name)
