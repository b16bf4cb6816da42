"""Scale an app to nothing and back, or remove it for good. A second run mends what a killed one has left."""

from typing import Any

from .. import names
from ..errors import ApplyError
from ..talk import Talk
from . import inventory, undeploying
from .changes import ARCHIVED
from .inventory import annotation
from .kubectl import Kubectl, Object, Refusal, title
from .waiting import asked


def archive(kubectl: Kubectl, app: str, talk: Talk) -> None:
    """Scale all workloads of an app to nothing; each remembers how many replicas it had. Autoscalers leave them so."""
    _change(kubectl, app, talk, "archived", _archiving)


def restore(kubectl: Kubectl, app: str, talk: Talk) -> None:
    """Undo `archive`."""
    _change(kubectl, app, talk, "restored", _restoring)


def _change(kubectl: Kubectl, app: str, talk: Talk, done: str, change: Any) -> None:
    """All that can be changed is, before ApplyError says what could not."""
    problems: list[str] = []
    for workload in kubectl.get("deployments.apps,statefulsets.apps", "--selector", names.selector_of(app)):
        patch = change(workload)
        if patch is None:
            continue
        try:
            kubectl.patch(workload, patch, "merge")
        except Refusal as refusal:
            problems.append(str(refusal))
        else:
            talk.say(f"{title(workload)}: {done}")
    if problems:
        raise ApplyError(*problems)


def _archiving(workload: Object) -> Object | None:
    """One patch for both: there is no moment at which the number is lost."""
    count = asked(workload)
    if count == 0:
        return None
    known = annotation(workload, ARCHIVED)
    notes = {} if known else {"metadata": {"annotations": {ARCHIVED: str(count)}}}
    return notes | {"spec": {"replicas": 0}}


def _restoring(workload: Object) -> Object | None:
    known = annotation(workload, ARCHIVED)
    if not known:
        return None
    forget = {"metadata": {"annotations": {ARCHIVED: None}}}
    if asked(workload):  # somebody else has scaled it meanwhile
        return forget
    return forget | {"spec": {"replicas": int(known) if known.isdigit() else 1}}


def remove(kubectl: Kubectl, app: str, talk: Talk) -> None:
    """Undeploy an app and delete its volumes. Returns when nothing is left; else raises ApplyError that names it."""
    found = inventory.take(kubectl, names.selector_of(app))
    undeploying.clear(kubectl, app, found, talk)
    kubectl.delete(found.claims)
    for claim in found.claims:
        talk.say(f"{title(claim)}: deleted, with its data")
    left = remaining(kubectl, app)
    if left:
        raise ApplyError(f"Still there: {', '.join(map(title, left))}.")


def remaining(kubectl: Kubectl, app: str) -> list[Object]:
    """What there is of an app; pods and volumes, too."""
    selector = names.selector_of(app)
    found, pods = inventory.take(kubectl, selector), kubectl.get("pods", "--selector", selector)
    return undeploying.without_shared(kubectl, app, found.items) + found.claims + pods
