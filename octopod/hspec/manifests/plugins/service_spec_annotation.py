"""The spec itself, as an annotation of the workload, without its secrets, those of its agents, and what a build is told."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ... import names
from ...errors import ManifestError
from ...service import Context, Service
from ..model import Snippet, workload

LARGEST = 100_000  # bytes; all annotations of an object together may have 256 KiB


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    text = json.dumps(_public(service.source), separators=(",", ":"), ensure_ascii=False, default=str)
    if len(text.encode()) > LARGEST:
        raise ManifestError("The spec is too large to be kept as an annotation; nothing else depends on it.")
    yield Snippet(workload(service), f'metadata.annotations."{names.SERVICE_SPEC}"', text)


def _public(source: Mapping[str, Any]) -> dict[str, Any]:
    public = {key: value for key, value in source.items() if key not in ("secrets", "args")}
    for key in ("image", "dockerfile"):
        if isinstance(inner := public.get(key), Mapping):
            public[key] = _public(inner)
    if isinstance(agents := public.get("agents"), list):
        public["agents"] = [_public(agent) for agent in agents]
    return public
