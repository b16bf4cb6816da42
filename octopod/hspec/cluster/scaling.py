"""Change the number of replicas of a service."""

from .. import names
from ..errors import ApplyError
from ..talk import Talk
from .changes import ARCHIVED
from .inventory import annotation
from .kubectl import Forbidden, Kubectl, Object, resource, title
from .waiting import asked


def scale(
    kubectl: Kubectl, app: str, service_name: str, *, to: int | None = None, by: int | None = None, talk: Talk
) -> int:
    """Set the number of replicas, or change it by so many; the number there are to be now. Raises ApplyError."""
    selector = names.selector_of(app, service_name)
    workload = next(iter(kubectl.get("deployments.apps,statefulsets.apps", "--selector", selector)), None)
    if workload is None:
        raise ApplyError(f"Service {service_name} of app {app} is not deployed{kubectl.place}: nothing to scale.")
    now = asked(workload)
    wanted = _wanted(now, to, by)
    _check(workload, wanted, _autoscalers(kubectl, selector))
    if wanted == now:
        talk.say(f"{title(workload)}: has {now} replicas already")
        return now
    what = f"Cannot scale {title(workload)}"
    expected = [f"--current-replicas={now}"] if by else []
    kubectl.do(what, "scale", resource(workload), workload["metadata"]["name"], f"--replicas={wanted}", *expected)
    talk.say(f"{title(workload)}: scaled from {now} to {wanted} replicas")
    return wanted


def _wanted(now: int, to: int | None, by: int | None) -> int:
    if (to is None) == (by is None):
        raise ValueError("either `to` or `by`")
    wanted = to if to is not None else now + (by or 0)
    if wanted < 0:
        raise ApplyError(f"There are {now} replicas: there cannot be {wanted}.")
    return wanted


def _autoscalers(kubectl: Kubectl, selector: str) -> list[Object]:
    """None for whoever may not see them: they may scale all the same."""
    try:
        return kubectl.get("horizontalpodautoscalers.autoscaling", "--selector", selector)
    except Forbidden:
        return []


def _check(workload: Object, wanted: int, autoscalers: list[Object]) -> None:
    """Raise ApplyError when somebody else would undo it."""
    if annotation(workload, ARCHIVED):
        raise ApplyError(f"{title(workload)} is archived: restore it first, or deploy it again.")
    for item in autoscalers:
        if item["spec"]["scaleTargetRef"]["name"] != _name(workload):
            continue
        low, high = item["spec"].get("minReplicas", 1), item["spec"]["maxReplicas"]
        if not low <= wanted <= high:
            raise ApplyError(
                f"{title(workload)} is scaled by an autoscaler between {low} and {high} replicas: "
                f"{wanted} are out of its range. Change `replicas` in the spec, and deploy."
            )


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])
