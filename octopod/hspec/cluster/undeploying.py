"""Remove a service or an app. Volumes stay, and so does the namespace."""

from .. import names
from ..errors import ApplyError
from ..talk import Talk
from . import inventory, volumes
from .inventory import AUTOSCALER, USUAL_KINDS, WORKLOADS, Inventory, kind_of, label
from .kubectl import Kubectl, Object, Refusal, title

FIRST = (AUTOSCALER, *WORKLOADS)


def undeploy(kubectl: Kubectl, app: str, service_name: str | None, talk: Talk) -> list[str]:
    """Remove all that carries the labels, in whatever environment: what was removed, as "Kind name".

    Raises ApplyError that says what is left. The claims that are kept are warned of.
    """
    found = inventory.take(kubectl, names.selector_of(app, service_name))
    removed = clear(kubectl, app, found, talk)
    if not removed:
        talk.say("nothing to undeploy")
    if found.claims:
        talk.warn(volumes.retained(sorted(claim["metadata"]["name"] for claim in found.claims)))
    return removed


def clear(kubectl: Kubectl, app: str, found: Inventory, talk: Talk) -> list[str]:
    """Remove what was found, but no claims."""
    removed = []
    for doomed in in_order(without_shared(kubectl, app, found.items)):
        _delete(kubectl, doomed)
        removed += [title(item) for item in doomed]
        for item in doomed:
            talk.detail(f"{title(item)}: deleted")
    if found.unknown:
        talk.warn(f"The cluster does not let us look for {found.unseen}: if there are any, they are still there.")
    return removed


def _delete(kubectl: Kubectl, doomed: list[Object]) -> None:
    try:
        kubectl.delete(doomed)
    except Refusal as refusal:
        left = [title(item) for item in kubectl.live(doomed)]
        if left:
            raise ApplyError(f"Not deleted: {', '.join(left)}. {refusal.complaint}") from None


def in_order(items: list[Object]) -> list[list[Object]]:
    """What is unusual first: only the workloads know that it is there. Then autoscalers, workloads, what these need."""
    unusual = [item for item in items if kind_of(item) not in USUAL_KINDS]
    rest = [item for item in items if item not in unusual]
    return [
        unusual,
        sorted(rest, key=lambda item: FIRST.index(kind_of(item)) if kind_of(item) in FIRST else len(FIRST)),
    ]


def without_shared(kubectl: Kubectl, app: str, items: list[Object]) -> list[Object]:
    """What only this app uses: the Secret for pulling images is one for all apps that use a registry."""
    shared = [item for item in items if kind_of(item) == "Secret" and not label(item, names.SERVICE)]
    if not shared:
        return items
    others = f"{names.APP},{names.APP}!={names.label_value(app)}"
    used = {
        secret["name"]
        for item in kubectl.get("deployments.apps,statefulsets.apps", "--selector", others)
        for secret in item["spec"]["template"]["spec"].get("imagePullSecrets") or []
    }
    return [item for item in items if item not in shared or item["metadata"]["name"] not in used]
