"""Why a request is refused, in a sentence for the person who asked: what is going on, since when, who asked for it."""

from datetime import datetime

from octopod.db import now
from octopod.errors import ChangedMeanwhile, Conflict, FieldError
from octopod.lifecycle import STEPS, Kind, State, Status, is_pending
from octopod.models import Deployment
from octopod.queries import get_deployment, last_action, unfinished_action


def clock(moment: datetime | None) -> str:
    """A moment as people say it; with the day when it is not today's."""
    if moment is None:
        return "?"
    return moment.strftime("%H:%M UTC" if moment.date() == now().date() else "%Y-%m-%d %H:%M UTC")


def why_not(deployment: Deployment, kind: Kind) -> Conflict | None:
    """Why an action of this kind cannot start now; None when it can."""
    action = unfinished_action(deployment)
    if action or deployment.status not in STEPS[kind].allowed:
        return Conflict(f"Cannot {kind} {deployment.name}: {occupation(deployment, kind)}")
    return None


def occupation(deployment: Deployment, kind: Kind | None = None) -> str:
    """What a deployment is busy with, or why its status does not allow that."""
    last = last_action(deployment)
    who = f"asked for by {last.requested_by}" if last else ""
    if last and not last.is_finished:
        since = clock(last.started_at or last.requested_at)
        waiting = "waiting to be" if last.state == State.QUEUED else "being"
        return f"it is {waiting} {STEPS[Kind(last.kind)].doing} since {since}, {who}"
    if is_pending(Status(deployment.status)):
        return f"it is still being {STEPS[Kind(last.kind)].doing} since {clock(deployment.status_since)}, {who}"
    if kind is Kind.CREATE or kind is None:
        return f"it is {deployment.status}"
    return f"it is {deployment.status}, and {kind} is possible from {', '.join(STEPS[kind].allowed)}"


def overtaken(name: str, kind: Kind) -> Conflict:
    """Somebody else was quicker between the check and the act."""
    deployment = get_deployment(name)
    return why_not(deployment, kind) or Conflict(
        f"Cannot {kind} {name}: it was changed at the same moment; look at it and try again"
    )


def name_taken(name: str) -> Conflict:
    return Conflict(f"There is already a deployment named {name}", [FieldError("name", "this name is taken")])


def refuse_if_changed(deployment: Deployment, version: int | None) -> None:
    if version is not None and version != deployment.version:
        last = last_action(deployment)
        raise ChangedMeanwhile(
            f"{deployment.name} was changed meanwhile: {last.kind} at {clock(last.requested_at)}, asked for by {last.requested_by}. "
            "Nothing was done; look at it as it is now and try again"
        )
