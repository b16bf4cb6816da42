"""The verbs: a request in, an object out."""

import copy
from typing import Any

from . import discovery, errors, tables
from .conversions import convert, scale_of
from .kinds import Kind
from .patches import PATCHES, applied
from .paths import Object, dig
from .request import Request, Target
from .state import State

APPLY = "application/apply-patch+yaml"


def discover(state: State, request: Request) -> Any:
    """Answers about the server itself; None when the request is about objects."""
    words = request.path.strip("/").split("/")
    kinds = state.store.kinds
    match words:
        case ["version"]:
            return discovery.version(state.version)
        case ["healthz" | "readyz" | "livez"]:
            return b"ok"
        case ["openapi", "v2"]:
            wants_message = "proto" in request.headers.get("Accept", "")
            return discovery.schema_message(kinds) if wants_message else discovery.schema(kinds)
        case ["api"]:
            return discovery.core_versions()
        case ["apis"]:
            return discovery.groups(kinds)
        case ["api", "v1"]:
            return discovery.resources(kinds, "", "v1")
        case ["apis", group] if group in kinds.groups():
            return discovery.group(group, kinds.groups()[group])
        case ["apis", group, version] if version in kinds.groups().get(group, []):
            return discovery.resources(kinds, group, version)
        case ["api" | "apis", _, _, *_] if not (words[0] == "apis" and len(words) < 4):
            return None
    raise errors.not_found_path()


def serve(state: State, request: Request, target: Target) -> tuple[int, Object]:
    """Do what a request about objects asks for: the code and the body of the answer."""
    one = bool(target.name)
    verbs = {
        ("GET", True): get,
        ("GET", False): list_,
        ("POST", False): create,
        ("PUT", True): replace,
        ("PATCH", True): patch,
        ("DELETE", True): delete,
        ("DELETE", False): delete_all,
    }
    verb = verbs.get((request.method, one))
    if verb is None or (request.method in ("POST", "DELETE") and target.subresource):
        raise errors.not_allowed()
    if target.subresource and target.subresource not in target.kind.marks:
        raise errors.not_found_path()
    return verb(state, request, target)


def shown(target: Target, item: Object) -> Object:
    """An object in the version that was asked for."""
    return convert(target.kind, item, target.version)


def get(state: State, request: Request, target: Target) -> tuple[int, Object]:
    item = state.store.get(target.kind, target.namespace, target.name)
    if target.subresource == "scale":
        return 200, scale_of(target.kind, item)
    if request.form:
        return 200, formed(request, target, [item], item["metadata"]["resourceVersion"], single=True)
    return 200, shown(target, item)


def list_(state: State, request: Request, target: Target) -> tuple[int, Object]:
    items = state.store.select(target.kind, target.namespace, request.selects())
    return 200, formed(request, target, items, str(state.store.version))


def formed(request: Request, target: Target, items: list[Object], version: str, single: bool = False) -> Object:
    """Objects as the client wants to see them: a table, metadata only, or a list."""
    items = [shown(target, item) for item in items]
    if request.form == "Table":
        return tables.table(target.kind, items, version, request.query.get("includeObject", "Metadata"))
    kind, api_version = f"{target.kind.name}List", target.kind.api_version(target.version)
    if request.form == "PartialObjectMetadata":
        items = [tables.metadata_only(item) for item in items]
        kind, api_version = "PartialObjectMetadataList", "meta.k8s.io/v1"
    if single:
        return items[0]
    return {"kind": kind, "apiVersion": api_version, "metadata": {"resourceVersion": version}, "items": items}


def received(request: Request, target: Target, item: Object) -> Object:
    """An object from a request, in the version that is stored. Raises Refusal when it is not what the path says."""
    api_version = target.kind.api_version(target.version)
    given = item.get("apiVersion", api_version), item.get("kind", target.kind.name)
    if given != (api_version, target.kind.name):
        message = f"does not match the expected one ({target.kind.name}, {api_version})"
        raise errors.bad_request(f"the object provided is {given[1]}, {given[0]}, which {message}")
    item = copy.deepcopy(item) | {"apiVersion": api_version, "kind": target.kind.name}
    metadata = item["metadata"] = item.get("metadata") or {}
    if target.name and metadata.setdefault("name", target.name) != target.name:
        message = f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})"
        raise errors.bad_request(message)
    if target.kind.namespaced and metadata.setdefault("namespace", target.namespace) != target.namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return convert(target.kind, item, target.kind.versions[0])


def create(state: State, request: Request, target: Target) -> tuple[int, Object]:
    if "ask" in target.kind.marks:
        return 201, request.object | {"status": {"allowed": True}}
    if target.kind.namespaced and not target.namespace:
        raise errors.not_allowed()
    item = received(request, target, request.object)
    return 201, shown(target, state.store.create(target.kind, item, request.dry))


def replace(state: State, request: Request, target: Target) -> tuple[int, Object]:
    if target.subresource == "scale":
        return 200, _rescale(state, request, target, request.object)
    item = received(request, target, request.object)
    if target.kind.custom and not item["metadata"].get("resourceVersion"):
        cause = errors.Cause("metadata.resourceVersion", "Invalid value: 0x0: must be specified for an update")
        raise errors.invalid(target.kind, target.name, [cause])
    return 200, shown(target, state.store.replace(target.kind, item, target.subresource, request.dry))


def _rescale(state: State, request: Request, target: Target, scale: Object) -> Object:
    item = state.store.get(target.kind, target.namespace, target.name)
    item = copy.deepcopy(item)
    version = dig(scale, "metadata.resourceVersion")
    item["metadata"]["resourceVersion"] = version or item["metadata"]["resourceVersion"]
    *parents, last = target.kind.scale[0].split(".")
    dig(item, ".".join(parents))[last] = dig(scale, "spec.replicas", 0)
    return scale_of(target.kind, state.store.replace(target.kind, item, dry=request.dry))


def patch(state: State, request: Request, target: Target) -> tuple[int, Object]:
    if target.kind.name in state.unpatchable:
        raise errors.forbidden("patch", target.kind, target.name)
    media, body = request.media_type, request.body
    if not isinstance(body, dict | list):
        raise errors.bad_request("error decoding patch: neither an object nor a list")
    if media == APPLY:
        return _apply(state, request, target, request.object)
    if media not in PATCHES or (media.startswith("application/strategic") and target.kind.custom):
        known = [*PATCHES, APPLY]
        raise errors.unsupported_media(media, [one for one in known if not (target.kind.custom and "strategic" in one)])
    old = state.store.get(target.kind, target.namespace, target.name)
    if target.subresource == "scale":
        return 200, _rescale(state, request, target, PATCHES[media](scale_of(target.kind, old), body))
    return 200, _store(state, request, target, PATCHES[media](copy.deepcopy(shown(target, old)), body))


def _store(state: State, request: Request, target: Target, item: Object) -> Object:
    item = received(request, target, item)
    return shown(target, state.store.replace(target.kind, item, target.subresource, request.dry))


def _apply(state: State, request: Request, target: Target, body: Object) -> tuple[int, Object]:
    """A server-side apply. Fields are remembered per manager, but nobody is asked who else set them."""
    manager = request.query.get("fieldManager")
    if not manager:
        raise errors.bad_request(
            "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply"
        )
    old = state.store.find(target.kind, target.namespace, target.name)
    uid = old["metadata"]["uid"] if old else ""
    merged = applied(copy.deepcopy(shown(target, old)) if old else None, body, state.applied.get((uid, manager)))
    if old:
        answer = 200, _store(state, request, target, merged)
    else:
        answer = 201, shown(target, state.store.create(target.kind, received(request, target, merged), request.dry))
    if not request.dry:
        state.applied[answer[1]["metadata"]["uid"], manager] = body
    return answer


def delete(state: State, request: Request, target: Target) -> tuple[int, Object]:
    item = state.store.get(target.kind, target.namespace, target.name)
    options = request.body or {}
    dry = request.dry or options.get("dryRun")
    for field, wanted in (options.get("preconditions") or {}).items():
        if wanted != item["metadata"].get(field):
            why = (
                f"Precondition failed: {field} in precondition: {wanted}, in object meta: {item['metadata'].get(field)}"
            )
            raise errors.conflict(target.kind, target.name, why)
    if target.kind.name == "Namespace" and target.name in ("default", "kube-system", "kube-public"):
        raise errors.forbidden("delete", target.kind, target.name, "this namespace may not be deleted")
    if not dry:
        item = _delete(state, request, target.kind, item, options)
    if state.store.find(target.kind, target.namespace, target.name):
        return 200, shown(target, item)
    about = {
        "name": target.name,
        "group": target.kind.group,
        "kind": target.kind.plural,
        "uid": item["metadata"]["uid"],
    }
    return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": about}


def _delete(state: State, request: Request, kind: Kind, item: Object, options: Object) -> Object:
    default = "Orphan" if options.get("orphanDependents") else "Background"
    policy = options.get("propagationPolicy") or request.query.get("propagationPolicy") or default
    grace = options.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
    return state.store.delete(kind, item, policy, None if grace is None else int(grace))


def delete_all(state: State, request: Request, target: Target) -> tuple[int, Object]:
    items, options = state.store.select(target.kind, target.namespace, request.selects()), request.body or {}
    for item in () if request.dry or options.get("dryRun") else items:
        _delete(state, request, target.kind, item, options)
    return 200, formed(request, target, items, str(state.store.version))
