"""Bring a namespace to what the manifests say: the namespace, what is there, each object, and what has to go."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from .. import names
from ..errors import ApplyError
from ..service import Context, Service
from ..talk import Talk
from . import inventory, volumes
from .inventory import AUTOSCALER, KNOWN, Inventory, is_workload, key, kind_of
from .kubectl import Forbidden, Kubectl, Object, Refusal, title
from .objects import Applying

AT_ONCE = (AUTOSCALER,)  # it would undo the number of replicas that is applied


class Manifest(Protocol):
    """One object to be."""

    @property
    def data(self) -> dict[str, Any]: ...


def apply(
    kubectl: Kubectl, service: Service, context: Context, manifests: Sequence[Manifest], talk: Talk, *, now: str = ""
) -> None:
    """Make the service as its manifests describe it, and remove what it had and has no longer. Raises ApplyError.

    What the service had goes last, so that it keeps running when the cluster refuses what is new.
    """
    refuse_shared(kubectl, [manifest.data for manifest in manifests])
    ensure_namespace(kubectl, talk)
    selector = names.selector_of(context.app, service.name)
    wanted = [placed(manifest.data, kubectl.namespace or context.namespace) for manifest in manifests]
    there = inventory.take(kubectl, selector, inventory.unusual(wanted))
    wanted = [remembering(item, wanted, there) for item in wanted]
    stale = _stale(there, wanted, counted_on(service, context))
    former = next(filter(is_workload, stale), None)
    work = Applying(kubectl, talk, selector, now or datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"), wanted, former)
    live = _live(kubectl, wanted, there)
    for item in wanted:
        work.refuse_foreign(item, live.get(key(item)))
    remove(kubectl, [item for item in stale if kind_of(item) in AT_ONCE], talk)
    for item in wanted:
        work.apply(item, live.get(key(item)))
    remove(kubectl, [item for item in stale if kind_of(item) not in AT_ONCE], talk)
    _tell_of_unknown(there, talk)
    keys = set(map(key, wanted))
    _warn_of_claims(service, context, [claim for claim in there.claims if key(claim) not in keys], talk)


def refuse_shared(kubectl: Kubectl, wanted: list[Object]) -> None:
    """Raise ApplyError for what is in no namespace: whoever deploys to another would change it, or undeploy it."""
    unusual = [item for item in wanted if kind_of(item) not in KNOWN]
    wide = {version: kubectl.cluster_wide(version) for version in sorted({item["apiVersion"] for item in unusual})}
    if shared := [title(item) for item in unusual if item["kind"] in wide[item["apiVersion"]]]:
        raise ApplyError(
            f"{', '.join(shared)}: objects of this kind are in no namespace, all services of the cluster share them. "
            "Create them once by other means, and take them out of k8sSnippets."
        )


def ensure_namespace(kubectl: Kubectl, talk: Talk) -> None:
    """Make the namespace when it is certainly not there. Who may not look for it may well be at home in it."""
    if not kubectl.namespace:
        return
    try:
        if kubectl.get("namespaces", kubectl.namespace):
            return
    except Forbidden:
        return
    item = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kubectl.namespace}}
    try:
        kubectl.create(item)
        talk.say(f"Namespace {kubectl.namespace}: created")
    except Refusal as refusal:
        if refusal.reason != "AlreadyExists":  # somebody else has just made it
            raise


def placed(manifest: Object, namespace: str | None) -> Object:
    """The manifest in the namespace."""
    home = {"namespace": namespace} if namespace else {}
    return manifest | {"metadata": dict(manifest.get("metadata") or {}) | home}


def remembering(item: Object, wanted: list[Object], there: Inventory) -> Object:
    """The workload knows of which unusual kinds there may be something, so that it is found when it has to go."""
    kinds = set(inventory.unusual(wanted)).union(*map(inventory.applied_kinds, [item, *there.workloads]))
    if not is_workload(item) or not kinds:
        return item
    note = {names.APPLIED_KINDS: "[" + ", ".join(f'"{kind}"' for kind in sorted(kinds)) + "]"}
    annotations = dict(item["metadata"].get("annotations") or {}) | note
    return item | {"metadata": item["metadata"] | {"annotations": annotations}}


def _live(kubectl: Kubectl, wanted: list[Object], there: Inventory) -> dict[tuple[str, str], Object]:
    """The objects as they are now; those without our labels, too, which only their names tell."""
    served = {(item["apiVersion"], item["kind"]) for item in wanted}
    known = {key(item): item for item in there.items if (item["apiVersion"], item["kind"]) in served}
    others = [item for item in wanted if key(item) not in known]
    return known | {key(item): item for item in (kubectl.live(others) if others else [])}


def _stale(there: Inventory, wanted: list[Object], kept: set[tuple[str, str]]) -> list[Object]:
    """What the service has and should not, of whatever environment: its names do not tell environments apart."""
    keys = kept.union(map(key, wanted))
    return [item for item in there.items if key(item) not in keys]


def counted_on(service: Service, context: Context) -> set[tuple[str, str]]:
    """The Secrets of which the spec only names the keys: whoever made them, they are not ours to delete."""
    own = {names.resource_name(context.app, service.name): service.secrets}
    every = own | {names.agent_name(service.name, agent.name): agent.secrets for agent in service.agents}
    return {("Secret", name) for name, secrets in every.items() if secrets and secrets.values is None}


def remove(kubectl: Kubectl, items: list[Object], talk: Talk) -> None:
    if items:
        kubectl.delete(items)
        talk.say("\n".join(f"{title(item)}: deleted, the service has it no longer" for item in items))


def _tell_of_unknown(there: Inventory, talk: Talk) -> None:
    if there.unknown:
        talk.warn(
            f"The cluster does not let us look for {there.unseen}: what an earlier deployment left of them stays."
        )


def _warn_of_claims(service: Service, context: Context, claims: list[Object], talk: Talk) -> None:
    workload = names.resource_name(context.app, service.name)
    for sentence in volumes.ignored_changes(service, workload, claims):
        talk.warn(sentence)
    if left := volumes.unused(service, workload, claims):
        talk.warn(volumes.retained(left))
