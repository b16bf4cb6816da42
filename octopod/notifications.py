"""Tell the suite's `notifications` of changes of status: at least once each, and of one deployment in their order.

A change is noted in the transaction that makes it, so that none is forgotten when the server dies in between.
"""

from octopod import events, servers, suite
from octopod.db import persist, session
from octopod.lifecycle import Status
from octopod.log import log
from octopod.models import Deployment, ServerProcess, StatusChange

POLL = 1.0  # seconds between two looks for changes, unless one is announced


def note(deployment: Deployment, status: Status) -> None:
    """To be called within the transaction that gives `deployment`, as read before, its new status."""
    if deployment.status != status and suite.find_script("notifications"):
        StatusChange.create(deployment=deployment, old_status=deployment.status, new_status=status)


def tell_next() -> None:
    """Tell of the next change; wait for one when there is none. One turn of a loop.

    What this process has claimed before is left over from a turn that the database broke off.
    """
    events.status_changed.clear()
    with session():
        change = StatusChange.next(servers.me()).first()
        free = change and (StatusChange.id == change.id) & (
            StatusChange.claimed_by.is_null() | (StatusChange.claimed_by == servers.me())
        )
        claimed = change and StatusChange.update(claimed_by=servers.me()).where(free).execute()
    if not claimed:
        events.status_changed.wait(POLL)
        return
    result = suite.notify(change.deployment.name, change.old_status, change.new_status)
    if result and not result.ok:
        log.warning("notification failed", deployment=change.deployment.name, problem=result.why)
    persist(lambda: StatusChange.delete().where(StatusChange.id == change.id).execute())


def release() -> None:
    """Let others tell what servers had begun to tell that are gone."""
    StatusChange.update(claimed_by=None).where(StatusChange.claimed_by.not_in(ServerProcess.alive())).execute()
