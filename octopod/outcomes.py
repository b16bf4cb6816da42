"""How an action ended, and what that makes of its deployment; and telling everybody that a status has changed."""

from datetime import datetime
from typing import Any, NamedTuple

from octopod import events, metrics, notifications, runs
from octopod.db import database, now, session
from octopod.lifecycle import SHELVED, STEPS, Kind, State, Status, after_script
from octopod.log import log
from octopod.models import Action, Deployment
from octopod.suite import Config


class Outcome(NamedTuple):
    """What an action's script left behind."""

    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    links: list[dict[str, str]] | None = None
    applied: Config | None = None  # what the deployment was brought up with


NOTHING = Outcome()


def finish_action(action: Action, state: State, reason: str, outcome: Outcome = NOTHING, believed: Any = True) -> bool:
    """Store how an action ended and what that makes of its deployment; False when it is not `believed` any more."""
    moment = now()
    kind, succeeded = Kind(action.kind), state is State.SUCCEEDED
    deployment, status = None, None
    tail = "" if succeeded else runs.last_lines(outcome.stderr, outcome.stdout)
    with session(), database.atomic():
        mine = (Action.id == action.id) & Action.finished_at.is_null() & believed
        ended = Action.update(
            state=state,
            reason=reason,
            finished_at=moment,
            exit_code=outcome.exit_code,
            stdout=outcome.stdout,
            stderr=outcome.stderr,
            output_tail=tail,
        ).where(mine)
        if not ended.execute():
            return False
        if action.deployment_id:
            deployment, status = Deployment.get_by_id(action.deployment_id), after_script(kind, succeeded)
            _leave_behind(deployment, kind, succeeded, status, reason, moment, outcome)
    log.info(
        "action finished",
        action=action.id,
        deployment=deployment and deployment.name,
        kind=kind,
        state=str(state),
        exit_code=outcome.exit_code,
    )
    metrics.actions_finished.labels(kind, state).inc()
    if deployment and status:
        announce(deployment, status)
    else:
        events.publish(action.topic)
    events.check_due.set()
    return True


def _leave_behind(
    deployment: Deployment,
    kind: Kind,
    succeeded: bool,
    status: Status | None,
    reason: str,
    moment: datetime,
    outcome: Outcome,
) -> None:
    """Store what the end of an action's script makes of its deployment."""
    if status:
        notifications.note(deployment, status)
    changes = _left_behind(kind, succeeded, status, reason, moment, outcome)
    Deployment.update(**changes).where(Deployment.id == deployment.id).execute()


def _left_behind(
    kind: Kind, succeeded: bool, status: Status | None, reason: str, moment: datetime, outcome: Outcome
) -> dict[str, Any]:
    """The columns of a deployment that change when an action's script has ended."""
    changes: dict[str, Any] = {"updated_at": moment, "check_due_at": None if status in SHELVED else moment}
    if outcome.links is not None:
        changes["links"] = outcome.links
    if outcome.applied is not None:
        changes["applied_config"] = list(outcome.applied)
    if kind is Kind.UPDATE:
        changes["unapplied"] = not succeeded
    if status is None:
        return changes | {"removed_at": moment, "check_due_at": None}
    waiting = f"The {STEPS[kind].script} script is done; waiting for {STEPS[kind].settled_by} to confirm it"
    return changes | {"status": status, "status_since": moment, "status_reason": waiting if succeeded else reason}


def announce(deployment: Deployment, status: Status) -> None:
    """Tell who waits that the stored status of `deployment`, as read before, is now `status`."""
    events.publish(deployment.id)
    if deployment.status != status:
        log.info("status changed", deployment=deployment.name, old=str(deployment.status), new=str(status))
        events.status_changed.set()
