"""From what was applied last to what is wanted now: patches and replacements. Pure functions."""

import copy
import json
from typing import Any

from .. import names
from .inventory import annotation, is_workload, kind_of
from .kubectl import Object

LIMIT = 256 * 1024  # bytes of all annotations of an object, as the API has it
SECRET = ("data", "stringData")  # of a Secret: never in an annotation
ASSIGNED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort", "loadBalancerClass")
ARCHIVED = "hyscale.io/archived-replicas"
Patch = list[dict[str, Any]]


def remembered(manifest: Object) -> str:
    """The text of the annotation that the next deployment compares with."""
    secret = SECRET if kind_of(manifest) == "Secret" else ()
    return json.dumps({key: value for key, value in manifest.items() if key not in secret}, separators=(",", ":"))


def annotated(manifest: Object, now: str) -> Object:
    """The manifest with our annotations; without the one for comparing if all would be longer than the API takes."""
    annotations = dict(manifest["metadata"].get("annotations") or {}) | {names.LAST_UPDATED: now}
    with_memory = annotations | {names.LAST_APPLIED: remembered(manifest)}
    fits = sum(len(f"{key}{text}".encode()) for key, text in with_memory.items()) <= LIMIT
    return manifest | {"metadata": manifest["metadata"] | {"annotations": with_memory if fits else annotations}}


def is_comparable(manifest: Object) -> bool:
    return names.LAST_APPLIED in annotated(manifest, "-" * 19)["metadata"]["annotations"]


def last_applied(live: Object) -> Object | None:
    """The manifest that the object was made from; None when it does not say, or not so that it could be read."""
    try:
        value = json.loads(annotation(live, names.LAST_APPLIED))
    except ValueError:
        return None
    if not isinstance(value, dict) or value.get("kind") != live["kind"] or not isinstance(value.get("metadata"), dict):
        return None
    kept = {key: live[key] for key in SECRET if key in live} if kind_of(live) == "Secret" else {}
    return value | kept


def patch(live: Object, manifest: Object, now: str, *, is_scaled: bool = False) -> Patch | None:
    """What to change (RFC 6902), empty when nothing; None when the live object is not what the patch starts from.

    With `is_scaled`, somebody else rules over the number of replicas: it is left alone, and forgotten.
    """
    manifest = uncounted(manifest) if is_scaled else manifest
    source = last_applied(live)
    if source is None or not is_comparable(manifest):
        return None
    changed = difference(_even(source), _even(manifest))
    steps = [step for step in changed if not (is_scaled and step["path"] == "/spec/replicas")]
    steps += waking(live, manifest)
    if not fits(live, source, steps):
        return None
    notes = {names.LAST_APPLIED: remembered(manifest), names.LAST_UPDATED: now} if changed or steps else {}
    return steps + [
        {"op": "add", "path": f"/metadata/annotations/{escape(key)}", "value": text} for key, text in notes.items()
    ]


def difference(source: Object, target: Object) -> Patch:
    """RFC 6902: what makes the one the other. All values are the target's: a move would carry along a live one."""
    import jsonpatch  # here: only who deploys needs it
    from jsonpointer import resolve_pointer

    steps: Patch = []
    state = copy.deepcopy(source)
    for step in jsonpatch.make_patch(source, target).patch:
        if step["op"] == "move":
            value = copy.deepcopy(resolve_pointer(state, step["from"]))
            steps += [{"op": "remove", "path": step["from"]}, {"op": "add", "path": step["path"], "value": value}]
        else:
            steps.append(step)
        jsonpatch.apply_patch(state, [step], in_place=True)
    return steps


def _even(manifest: Object) -> Object:
    """With annotations, even if there are none: those that others have set must not be replaced as a whole."""
    annotations = manifest["metadata"].get("annotations") or {}
    return manifest | {"metadata": manifest["metadata"] | {"annotations": annotations}}


def fits(live: Object, source: Object, steps: Patch) -> bool:
    """Whether the patch does to the live object what it does to its source: nobody has changed what it is about."""
    import jsonpatch
    from jsonpointer import JsonPointerException

    try:
        jsonpatch.apply_patch(live, _checks(source, steps) + steps)
    except (jsonpatch.JsonPatchException, JsonPointerException, TypeError, KeyError):
        return False
    return True


def _checks(source: Object, steps: Patch) -> Patch:
    """Lists are patched by position: what the patch finds there must be what it expects."""
    from jsonpointer import resolve_pointer

    lists = {at for step in steps for at in _lists_on(step["path"])}
    known = {at: resolve_pointer(source, at, None) for at in sorted(lists)}
    return [check for at, value in known.items() if isinstance(value, list) for check in _identities(at, value)]


def _lists_on(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:at]) for at, part in enumerate(parts) if part.isdigit() or part == "-"]


def _identities(at: str, items: list[Any]) -> Patch:
    """Of each element its name, or itself if it is no object."""
    checks = []
    for number, item in enumerate(items):
        keys = [key for key in ("name", "mountPath", "port", "host") if isinstance(item, dict) and key in item]
        if keys:
            checks.append({"op": "test", "path": f"{at}/{number}/{keys[0]}", "value": item[keys[0]]})
        elif not isinstance(item, dict | list):
            checks.append({"op": "test", "path": f"{at}/{number}", "value": item})
    return checks


def waking(live: Object, manifest: Object) -> Patch:
    """What makes an archived workload run again."""
    if not annotation(live, ARCHIVED):
        return []
    replicas = manifest["spec"].get("replicas", _count(live))
    return [
        {"op": "remove", "path": f"/metadata/annotations/{escape(ARCHIVED)}"},
        {"op": "add", "path": "/spec/replicas", "value": replicas},
    ]


def escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def replacement(live: Object, manifest: Object) -> Object:
    """The annotated manifest in place of the live object: with its version, and what others have put on it."""
    metadata = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    foreign = {key: text for key, text in (metadata.get("annotations") or {}).items() if not _is_ours(key)}
    metadata |= manifest["metadata"] | {"annotations": foreign | manifest["metadata"]["annotations"]}
    wanted = copy.deepcopy(manifest) | {"metadata": metadata}
    if kind_of(manifest) == "Service":
        kept = {key: live["spec"][key] for key in ASSIGNED if key in live["spec"]}
        wanted["spec"] = kept | wanted["spec"]
    if is_workload(manifest):
        wanted["spec"].setdefault("replicas", _count(live))
    return wanted


def _count(live: Object) -> int:
    """How many replicas a workload has, or had before it was archived."""
    known = annotation(live, ARCHIVED)
    count: int = int(known) if known.isdigit() else live["spec"].get("replicas", 1)
    return count


def _is_ours(key: str) -> bool:
    return key.startswith("hyscale.io/")


def uncounted(manifest: Object) -> Object:
    """A workload that says nothing of the number of its replicas."""
    return manifest | {"spec": {key: value for key, value in manifest["spec"].items() if key != "replicas"}}


def keeping_count(live: Object, manifest: Object) -> Object:
    """A workload with as many replicas as its autoscaler has given it."""
    return manifest | {"spec": manifest["spec"] | {"replicas": _count(live)}}


def keeping_claims(live: Object, manifest: Object) -> Object:
    """A StatefulSet with the claim templates that the live one has, when they are of the same volumes: they are fixed."""
    if kind_of(manifest) != "StatefulSet.apps":
        return manifest
    source = last_applied(live) or live
    old, new = (one["spec"].get("volumeClaimTemplates") or [] for one in (source, manifest))
    if not old or _volumes(old) != _volumes(new):
        return manifest
    return manifest | {"spec": manifest["spec"] | {"volumeClaimTemplates": old}}


def _volumes(templates: list[Object]) -> list[str]:
    return sorted(one["metadata"]["name"] for one in templates)
