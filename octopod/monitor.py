"""The monitor: checks that are due, retention of archived deployments, notifications of status changes."""

from datetime import datetime, timedelta

from octopod import checks, deployments, events, notifications, tokens
from octopod.db import now, session
from octopod.deployments import Requester
from octopod.errors import Problem
from octopod.lifecycle import Kind
from octopod.log import log
from octopod.models import Action, Deployment
from octopod.pool import Pool, forever, guarded
from octopod.settings import settings

CHECK_POLL = 0.5  # seconds between two looks for due checks, unless one is announced
RETENTION_POLL = 60.0
MOST_RETENTION_CLEANUPS = 4  # at a time: the queue belongs to people
RETENTION = Requester("retention", "octopod")


class Monitor:
    """Checks up to MAX_RUNNING_CHECKS deployments at a time in this process."""

    def __init__(self) -> None:
        self.pool = Pool(settings.MAX_RUNNING_CHECKS)
        self.draining = False

    def start(self) -> None:
        forever(self.check_due, self._stopped)
        forever(self.expire, self._stopped)
        forever(notifications.tell_next, self._stopped)

    def _stopped(self) -> bool:
        return self.draining

    def check_due(self) -> None:
        """Start the checks that are due, as many as there is room for; then wait for more."""
        events.check_due.clear()
        self.pool.wait_available()
        with session():
            due = list(Deployment.due(now()).limit(self.pool.free_count()))
        for deployment in due:
            lease = checks.claim(deployment)
            if lease:
                self.pool.spawn(guarded, self._conclude, deployment, lease)
        if not due:
            events.check_due.wait(CHECK_POLL)

    def _conclude(self, deployment: Deployment, lease: datetime) -> None:
        checks.conclude(deployment, lease, patient=True)
        events.check_due.set()  # there is room again

    def expire(self) -> None:
        """Ask for the cleanup of what was archived long enough ago; forget what has expired."""
        tokens.forget_expired()
        before = now() - timedelta(seconds=settings.ARCHIVE_RETENTION)
        with session():
            under_way = Action.unfinished().where(Action.requested_by == RETENTION.name).count()
            room = max(0, MOST_RETENTION_CLEANUPS - under_way)
            expired = list(Deployment.expired(before).limit(room))
        for deployment in expired:
            try:
                deployments.request_action(deployment.name, Kind.CLEANUP, RETENTION)
            except Problem as problem:
                log.warning("not cleaned up", deployment=deployment.name, problem=str(problem))
        pause = min(RETENTION_POLL, settings.ARCHIVE_RETENTION / 10)
        events.stopping.wait(1.0 if expired else pause)
