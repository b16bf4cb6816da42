"""What there is of an app or a service, found by its labels."""

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from .. import names
from .kubectl import Forbidden, Kubectl, Object, UnknownKind, resource

# What every service may have. A service without the optional ones can be deployed by somebody who may not see them.
CLAIMS = "persistentvolumeclaims"
USUAL = ("configmaps", "secrets", "services", "deployments.apps", "statefulsets.apps", CLAIMS)
OPTIONAL = (
    "horizontalpodautoscalers.autoscaling", "networkpolicies.networking.k8s.io", "ingresses.networking.k8s.io",
)  # fmt: skip
CLAIM, AUTOSCALER = "PersistentVolumeClaim", "HorizontalPodAutoscaler.autoscaling"
WORKLOADS = ("Deployment.apps", "StatefulSet.apps")
USUAL_KINDS = {
    "ConfigMap", "Secret", "Service", *WORKLOADS, CLAIM, AUTOSCALER, "NetworkPolicy.networking.k8s.io",
    "Ingress.networking.k8s.io",
}  # fmt: skip
ISTIO = ("Gateway.networking.istio.io", "VirtualService.networking.istio.io", "DestinationRule.networking.istio.io")
KNOWN = USUAL_KINDS | {*ISTIO, "Middleware.traefik.io"}
MADE = KNOWN - {CLAIM}  # by the engine: they hold nothing but what it wrote
USUAL_WORDS = USUAL_KINDS | {kind.partition(".")[0] for kind in USUAL_KINDS}


class Inventory(NamedTuple):
    """What may be removed, apart from the claims; `unknown`: kinds that we are not allowed to look for."""

    items: list[Object]
    claims: list[Object]
    unknown: list[str]

    @property
    def unseen(self) -> str:
        """`ingresses, networkpolicies`: of these there may be some."""
        return ", ".join(kind.partition(".")[0] for kind in self.unknown)

    @property
    def workloads(self) -> list[Object]:
        return [item for item in self.items if is_workload(item)]


def take(kubectl: Kubectl, selector: str, more: Iterable[str] = ()) -> Inventory:
    """All of the namespace that carries the labels: of the usual kinds, of `more`, and of those that the workloads
    remember. What is in no namespace may be another one's, too.
    """
    found, unknown = _usual(kubectl, selector)
    remembered = {kind for item in found if is_workload(item) for kind in applied_kinds(item)}
    for kind in sorted(remembered | set(more)):
        found += _of_kind(kubectl, selector, kind)
    once = list({key(item): item for item in found if item["metadata"].get("namespace")}.values())
    claims = [item for item in once if kind_of(item) == CLAIM]
    return Inventory([item for item in once if kind_of(item) != CLAIM and not is_controlled(item)], claims, unknown)


def _usual(kubectl: Kubectl, selector: str) -> tuple[list[Object], list[str]]:
    try:
        return kubectl.get(",".join(USUAL + OPTIONAL), "--selector", selector), []
    except Forbidden:
        pass
    found, unknown = kubectl.get(",".join(USUAL), "--selector", selector), []
    for kind in OPTIONAL:
        try:
            found += kubectl.get(kind, "--selector", selector)
        except Forbidden:
            unknown.append(kind)
    return found, unknown


def _of_kind(kubectl: Kubectl, selector: str, kind: str) -> list[Object]:
    """None when the cluster has no such kind: then there is nothing of it either."""
    try:
        return kubectl.get(kind, "--selector", selector)
    except UnknownKind:
        return []


def kind_of(item: Object) -> str:
    """Its kind with the group, whatever the version: `Deployment.apps`, `Service`; others have a Service, too."""
    group = item["apiVersion"].rpartition("/")[0]
    return f"{item['kind']}.{group}" if group else str(item["kind"])


def is_workload(item: Object) -> bool:
    return kind_of(item) in WORKLOADS


def is_controlled(item: Object) -> bool:
    """Whether something else makes it, and would make it again."""
    return any(owner.get("controller") for owner in item["metadata"].get("ownerReferences") or [])


def applied_kinds(item: Object) -> list[str]:
    """The unusual kinds of which something was applied together with this workload, as kubectl takes them."""
    text = annotation(item, names.APPLIED_KINDS) or "[]"
    try:
        kinds = json.loads(text)
    except ValueError:
        kinds = text.split(",")
    wanted = kinds if isinstance(kinds, list) else []
    return [kind for one in wanted if (kind := str(one).strip()) and not _is_usual(kind)]


def _is_usual(kind: str) -> bool:
    """Of a kind as kubectl takes it, with or without version and group."""
    return re.sub(r"\.v\d+\w*(?=\.|$)", "", kind, count=1) in USUAL_WORDS


def unusual(items: Iterable[Object]) -> list[str]:
    """The kinds that have to be remembered to be found again."""
    return sorted({resource(item) for item in items if kind_of(item) not in USUAL_KINDS})


def annotation(item: Object, key: str) -> str:
    text = (item["metadata"].get("annotations") or {}).get(key)
    return text if isinstance(text, str) else ""


def label(item: Object, key: str) -> str:
    return str((item["metadata"].get("labels") or {}).get(key, ""))


def key(item: Object) -> tuple[str, str]:
    """What tells an object from others of its namespace, whatever version of the API it was read with."""
    return kind_of(item), item["metadata"]["name"]


def is_foreign(wanted: Object, live: Object) -> bool:
    """Whether an object of the name belongs to another app or service. The pull secret is shared by all apps."""
    shared = not label(wanted, names.SERVICE)
    if shared:
        return not label(live, names.APP)
    return any(label(live, key) != label(wanted, key) for key in (names.APP, names.SERVICE))
