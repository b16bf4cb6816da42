"""From what was applied last to what is wanted now: patches and replacements. Pure functions."""

import copy
import json
from typing import Any

from .. import names
from .drift import holds
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

    The number of replicas is changed only from one number of the spec to another: if the spec has none any more, it
    stays. With `is_scaled`, somebody else rules over it: it is left alone, and forgotten.
    """
    manifest = uncounted(manifest) if is_scaled else manifest
    source = last_applied(live)
    if source is None or not is_comparable(manifest) or not holds(live, uncounted(source)):
        return None
    changed = difference(_even(source), _even(manifest))
    steps = [step for step in changed if step["path"] != "/spec/replicas" or not (is_scaled or step["op"] == "remove")]
    steps += waking(live, manifest)
    if not can_be_patched(live, steps):
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


def can_be_patched(live: Object, steps: Patch) -> bool:
    """Whether all is there that the steps take away or replace; a server may have left out what says nothing."""
    import jsonpatch
    from jsonpointer import JsonPointerException

    try:
        jsonpatch.apply_patch(live, steps)
    except (jsonpatch.JsonPatchException, JsonPointerException, TypeError, KeyError):
        return False
    return True


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
    """The manifest without a number of replicas."""
    if "replicas" not in (manifest.get("spec") or {}):
        return manifest
    return manifest | {"spec": {key: value for key, value in manifest["spec"].items() if key != "replicas"}}


def keeping_count(live: Object, manifest: Object) -> Object:
    """A workload with as many replicas as it has, or had before it was archived."""
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
