"""Run one check of a deployment and draw the conclusion."""

import time
from datetime import datetime, timedelta
from typing import NamedTuple

from octopod import defaults, events, metrics, notifications, queries, runs, servers, suite
from octopod.db import database, now, persist, session
from octopod.errors import Conflict, Unavailable
from octopod.lifecycle import Status, after_check, check_script, is_pending
from octopod.models import Deployment, ServerProcess
from octopod.outcomes import announce
from octopod.refusals import occupation
from octopod.runs import Result
from octopod.settings import settings

LEASE_MARGIN = 30.0  # seconds beyond a check's own time limits after which another server may try
NOW_SAYS = "; check now says: "  # after the reason that a failure began with, which says more than its consequences
NO_VERDICT = -1  # instead of the exit code of a check that did not end by itself
CHECK_POLL = 0.2  # seconds between two looks whether another check has ended
QUICKEST = 0.5  # seconds between two checks of a deployment that somebody is waiting for


class Verdict(NamedTuple):
    """What a check found, and the status that makes of the deployment."""

    status: Status
    exit_code: int
    output: str
    reason: str  # of the status; what the script said is not all there is to say after an update that failed
    checked_at: datetime


def check_now(name: str) -> Verdict:
    """Check a deployment because somebody asks, after the check that is under way, if there is one.

    Raises NotFound, and Conflict while an action is unfinished or when nothing should run.
    """
    deployment = queries.get_deployment(name)
    deadline = time.monotonic() + settings.CHECK_TIMEOUT
    with events.listening(deployment.id) as changed:
        while True:
            if check_script(Status(deployment.status)) is None:
                raise Conflict(f"Cannot check {name}: it is {deployment.status}, so nothing of it should run")
            if queries.unfinished_action(deployment):
                raise Conflict(f"Cannot check {name}: {occupation(deployment)}")
            if deployment.checked_by is None and (lease := claim(deployment)):
                return conclude(deployment, lease)
            if time.monotonic() > deadline:
                raise Conflict(f"Cannot check {name}: another check of it is under way")
            changed.wait(CHECK_POLL)
            changed.clear()
            deployment = queries.get_deployment(name)


def claim(deployment: Deployment) -> datetime | None:
    """Take the check of a deployment for this process; None when somebody else has it or an action was asked for."""
    lease = now() + timedelta(seconds=settings.CHECK_TIMEOUT + settings.KILL_GRACE + LEASE_MARGIN)
    unchanged = (Deployment.id == deployment.id) & (Deployment.check_due_at == deployment.check_due_at)
    with session():
        claimed = Deployment.update(check_due_at=lease, checked_by=servers.me()).where(unchanged).execute()
    return lease if claimed else None


def release() -> None:
    """Let others check what servers had begun to check that are gone."""
    theirs = Deployment.checked_by.not_in(ServerProcess.alive()) & (Deployment.check_due_at > now())
    Deployment.update(check_due_at=now(), checked_by=None).where(theirs).execute()


def conclude(deployment: Deployment, lease: datetime, patient: bool = False) -> Verdict:
    """Run a claimed check and store what follows from it, unless an action was asked for meanwhile.

    When the database is away then: a `patient` caller waits for it, any other gets Unavailable.
    """
    result = _run(deployment)
    moment = now()
    status = Status(deployment.status)
    waited = (moment - deployment.status_since).total_seconds()
    overdue = is_pending(status) and waited > settings.STATUS_UPDATE_TIMEOUT
    # A script that was stopped may end with any code, 0 too; that says nothing about the deployment.
    code = result.exit_code if result.outcome == "exited" else NO_VERDICT
    new = after_check(status, code, overdue, deployment.unapplied)
    reason = _reason(deployment, result, new)
    if patient:
        persist(lambda: _store(deployment, lease, new, reason, moment))
    else:
        _store(deployment, lease, new, reason, moment)
    metrics.checks.labels(new).inc()
    return Verdict(new, result.exit_code, runs.last_lines(result.stdout, result.stderr), reason, moment)


def _run(deployment: Deployment) -> Result:
    script = check_script(Status(deployment.status)) or "check"
    try:
        config = defaults.config_to_keep_it(deployment)
    except Unavailable as problem:
        moment = now().timestamp()
        return Result("unstartable", 1, f"the suite's defaults cannot be had: {problem}", moment, moment)
    return suite.run_for(script, deployment.name, config)


def _store(deployment: Deployment, lease: datetime, new: Status, reason: str, moment: datetime) -> None:
    due = _next(deployment, new, moment)
    changes = {"checked_at": moment, "check_due_at": due, "checked_by": None, "status_reason": reason}
    if new != deployment.status:
        changes |= {"status": new, "status_since": moment}
        if new is Status.ARCHIVED:
            changes["archived_at"] = moment
    with session(), database.atomic():
        believed = (Deployment.id == deployment.id) & (Deployment.check_due_at == lease)
        if not Deployment.update(**changes).where(believed).execute():
            return
        notifications.note(deployment, new)
    if new != deployment.status:
        announce(deployment, new)
    elif reason != deployment.status_reason:
        events.publish(deployment.id)


def _next(deployment: Deployment, new: Status, moment: datetime) -> datetime | None:
    """When to look again: soon while somebody waits for the status to settle, less often the longer it takes."""
    if check_script(new) is None:
        return None
    if not is_pending(new):
        return moment + timedelta(seconds=settings.CHECK_INTERVAL)
    waited = (moment - deployment.status_since).total_seconds()
    return moment + timedelta(seconds=min(settings.CHECK_INTERVAL, max(QUICKEST, waited / 4)))


def _reason(deployment: Deployment, result: Result, new: Status) -> str:
    """Why the deployment has this status, for people."""
    said = runs.last_lines(result.stdout, result.stderr, lines=1)
    if new is Status.TAG_MISMATCH and result.exit_code == 0:
        return "It is healthy, but the last update did not succeed: what runs is not what was asked for"
    if result.ok:
        return (
            said or "The check found it healthy"
            if new is not Status.ARCHIVED
            else "Nothing of it runs any more; its data is kept"
        )
    if result.outcome != "exited" or result.exit_code < 0 or not said:
        said = "; ".join(filter(None, [f"the check failed: {result.why}", said]))
    if is_pending(new):
        return f"Not confirmed yet: {said}"
    began = deployment.status_reason.partition(NOW_SAYS)[0]
    return f"{began}{NOW_SAYS}{said}" if new == deployment.status and began != said else said
