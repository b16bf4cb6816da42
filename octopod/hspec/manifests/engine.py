"""Run the plugins and put their snippets together, each where it belongs, to whole manifests in a fixed order."""

from collections.abc import Callable
from typing import Any

from .. import names
from ..contents import LARGEST
from ..errors import HspecError, ManifestError
from ..service import Context, Service
from .data import TOO_LARGE, check_files
from .discovery import Plugin, plugins
from .merging import merged
from .model import API_VERSIONS, Manifest, Snippet, group_of, name_of
from .own_yaml import documents
from .tree import InjectionError, inject, plain

ORDER = (
    "Secret", "ConfigMap", "ServiceAccount", "PersistentVolumeClaim", "NetworkPolicy", "Service", "Deployment",
    "StatefulSet", "HorizontalPodAutoscaler", "Middleware", "Ingress", "Gateway", "VirtualService", "DestinationRule",
)  # fmt: skip
PULL_SECRET = "kubernetes.io/dockerconfigjson"

Key = tuple[str, str]  # kind and identifier
Trees = dict[Key, dict[str, Any]]


def generate(service: Service, context: Context, warn: Callable[[str], None]) -> list[Manifest]:
    """The manifests of a service, in the order in which they are to be applied.

    A plugin that fails is warned of, and what others give that does not fit; the rest goes on. Raises ManifestError for
    files of the user's that cannot be used, and for what no cluster would take.
    """
    check_files(service)
    documents(service)
    trees: Trees = {}
    for plugin in plugins(warn):
        for snippet in _snippets(plugin, service, context, warn):
            try:
                _add(trees, snippet)
            except InjectionError as error:
                _refuse_ours(plugin, snippet, error)
                warn(f"The plugin {plugin.name} gives what does not fit into {snippet.kind}: {error}")
    found = [Manifest(kind, identifier, tree) for (kind, identifier), tree in trees.items()]
    whole = [_completed(manifest, service, context) for manifest in found if _is_whole(manifest, warn)]
    _check_sizes(whole)
    _warn_of_namespace(service, context, warn)
    return sorted(whole, key=_rank)


def _warn_of_namespace(service: Service, context: Context, warn: Callable[[str], None]) -> None:
    """All else goes where it is applied to; Traefik is told a namespace in an annotation."""
    balancer = service.load_balancer
    if balancer and balancer.provider == "traefik" and balancer.headers and not context.namespace:
        warn("No namespace is given: Traefik will find the headers of the load balancer in `default` only.")


def _snippets(plugin: Plugin, service: Service, context: Context, warn: Callable[[str], None]) -> list[Snippet]:
    """All that a plugin gives, or nothing when it fails. Mistakes of ours are not hidden, those of others warned of."""
    expected = HspecError if plugin.is_ours else Exception
    try:
        given = [_checked(each) for each in plugin.snippets(service, context) or ()]
        return [snippet for snippet in given if snippet.content not in (None, "", [], (), {})]
    except expected as error:
        what = str(error) if isinstance(error, HspecError) else f"{type(error).__name__}: {error}"
        warn(f"The plugin {plugin.name} failed, and what it would give is missing: {what}")
        return []


def _checked(given: Any) -> Snippet:
    """What is said of it does not tell its content, which may be secret. Raises ManifestError."""
    snippet = Snippet(*given)
    if not snippet.kind or not all(isinstance(text, str) for text in (snippet.kind, snippet.path, snippet.identifier)):
        raise ManifestError("A snippet needs a kind, a path and an identifier that are texts.")
    return snippet


def _add(trees: Trees, snippet: Snippet) -> None:
    key = snippet.kind, snippet.identifier
    tree = trees.get(key, {})
    if snippet.path:
        inject(tree, snippet.path, snippet.content)
    else:
        tree = _patched(tree, plain(snippet.content))
    trees[key] = tree


def _refuse_ours(plugin: Plugin, snippet: Snippet, error: InjectionError) -> None:
    """What ours give is what the spec asks for, or a snippet of the user's: without it, it would be another service."""
    if plugin.is_ours:
        raise ManifestError(f"What the spec says of {snippet.kind} does not fit ({plugin.name}): {error}")


def _patched(tree: dict[str, Any], patch: Any) -> dict[str, Any]:
    """What a manifest is, and its version, is not for a patch to change."""
    if not isinstance(patch, dict):
        raise InjectionError("Only a map can be merged into a whole manifest.")
    ours, version = str(tree.get("apiVersion", "")), str(patch.get("apiVersion", ""))
    if ours and version and group_of(ours) != group_of(version):
        raise InjectionError(f"{version} has another {tree.get('kind')} than {ours}.")
    fixed = {"apiVersion", "kind"} & set(tree)
    return merged(tree, {key: value for key, value in patch.items() if key not in fixed})


def _is_whole(manifest: Manifest, warn: Callable[[str], None]) -> bool:
    if manifest.data.get("kind") == manifest.kind.partition(".")[0] and manifest.data.get("apiVersion"):
        return True
    warn(f"There are snippets for {manifest.kind}, but no plugin gives its kind and apiVersion: it is left out.")
    return False


def _completed(manifest: Manifest, service: Service, context: Context) -> Manifest:
    """By its labels everything of a service is found again, so nothing may be without."""
    metadata = manifest.data.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    labels = metadata.get("labels")
    labels = labels if isinstance(labels, dict) else {}
    name = metadata.get("name") or manifest.identifier or name_of(manifest.kind, service, context)
    if names.APP not in labels:
        labels = {**labels, **names.labels(context, service)}
    return manifest._replace(data={**manifest.data, "metadata": {**metadata, "name": name, "labels": labels}})


def _rank(manifest: Manifest) -> int:
    if manifest.data.get("type") == PULL_SECRET:
        return -1
    is_known = manifest.kind in ORDER and manifest.data["apiVersion"] == API_VERSIONS.get(manifest.kind, "v1")
    return ORDER.index(manifest.kind) if is_known else len(ORDER)


def _check_sizes(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        if manifest.kind in ("ConfigMap", "Secret") and _size(manifest) > LARGEST:
            raise ManifestError(f"The {manifest.kind} {manifest.name} {TOO_LARGE}")


def _size(manifest: Manifest) -> int:
    """In bytes, as the cluster counts them: what base64 stands for."""
    data, binary = _texts(manifest.data.get("data")), _texts(manifest.data.get("binaryData"))
    texts, encoded = (data, binary) if manifest.kind == "ConfigMap" else ([], data)
    decoded = (len(value) * 3 // 4 - value[-2:].count("=") for value in encoded)
    return sum(len(value.encode()) for value in texts) + sum(decoded)


def _texts(data: Any) -> list[str]:
    """Those of a map; what others have put there may be anything."""
    return [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
