"""What happens once around the requests: getting ready, working in the background, stopping."""

import sys
from collections.abc import Callable

from octopod import db, events, log, runs, servers, suite, tokens
from octopod.db import persist, session
from octopod.errors import Stopping, Unavailable
from octopod.keeper import Order
from octopod.models import Action
from octopod.monitor import Monitor
from octopod.pool import forever, spawn
from octopod.settings import settings
from octopod.worker import Worker

ORPHAN_PATIENCE = 5.0  # seconds until the last worker of a gunicorn that was killed has noticed


class CannotStart(Exception):
    """A sentence for whoever starts the server."""


class Server:
    """The background part of one server process."""

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self.monitor: Monitor | None = None
        self.draining = self.stopped = False

    def start(self) -> None:
        """Work in the background from now on, or as soon as the database is there. `prepare` has been called, in this
        process or its parent."""
        self.worker, self.monitor = Worker(), Monitor()
        if not db.is_sqlite():
            forever(events.send, lambda: self.stopped)
            forever(events.receive, events.stopping.is_set)
        spawn(self._work)

    def _work(self) -> None:
        assert self.worker and self.monitor
        persist(servers.sign_of_life)  # before anything is claimed, or it would look as if a dead server had it
        self.worker.start()
        self.monitor.start()

    def run_bundle(self, begin: Callable[[], tuple[Action, Order]]) -> Action:
        """See `Worker.run_bundle`. Raises Stopping while there is no worker, or none that begins anything."""
        if self.worker is None or self.draining:
            raise Stopping("The server is about to stop, or not ready yet; try again in a moment")
        return self.worker.run_bundle(begin)

    def drain(self) -> None:
        """Start nothing new, wait for what runs up to DRAIN_TIMEOUT. Runs that take longer go on without us."""
        self.draining = True
        events.stop()
        if self.worker is None or self.monitor is None:
            return
        self.monitor.draining = True
        log.log.info("draining", running=len(self.worker.pool))
        if not self.worker.drain(settings.DRAIN_TIMEOUT):
            log.log.warning(
                "scripts go on without the server; the next start picks them up", running=len(self.worker.pool)
            )
        self.stopped = True

    def why_not_ready(self) -> str | None:
        """Why requests should go elsewhere; None when they should not."""
        if self.draining:
            return "draining"
        if self.worker is None:
            return "not started"
        try:
            with session():
                pending = db.pending_migrations()
        except Unavailable as problem:
            return str(problem)
        return f"migrations pending: {', '.join(pending)}" if pending else None


server = Server()


def configure() -> None:
    """Settings, logs, database. Raises BadSettings."""
    settings.load()
    log.configure()
    db.configure()


def prepare() -> None:
    """Once per server, before any of its processes serves: directories, schema, the suite's `init`. Raises CannotStart."""
    try:
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
        tokens.prepare()
        own_database(ORPHAN_PATIENCE)
        applied = db.migrate()
    except (OSError, Unavailable) as error:
        raise CannotStart(str(error)) from error
    if applied:
        log.log.info("migrated", applied=applied)
    if not (db.is_sqlite() or settings.SERVO_TOKEN):
        log.log.warning(
            "OCTOPOD_SERVO_TOKEN is not set: every machine makes its own, and bundles signed for one are refused by others"
        )
    _prepare_suite()
    runs.the_keeper.close()


def own_database(patience: float = 0) -> None:
    """Raises CannotStart when another process has the SQLite database for longer than `patience` seconds."""
    if not db.own_sqlite(patience):
        raise CannotStart(
            f"{settings.DATABASE_URL} is in use by another server process, and SQLite is for one only. "
            "Stop that one, or let several share a PostgreSQL: OCTOPOD_DATABASE_URL=postgresql://…"
        )


def _prepare_suite() -> None:
    if not settings.CONTROL_SCRIPTS.is_dir():
        raise CannotStart(f"OCTOPOD_CONTROL_SCRIPTS is {settings.CONTROL_SCRIPTS}, which is not a directory")
    result = suite.run_init()
    if result and not result.ok:
        said = runs.last_lines(result.stderr, result.stdout)
        raise CannotStart(f"The suite's init failed: {result.why}\n{said}".rstrip())
    for script in suite.missing_scripts():
        log.log.warning("script missing", script=script, suite=str(settings.CONTROL_SCRIPTS))


def stop_with(error: Exception) -> None:
    """End the process with a sentence instead of a stack trace."""
    print(f"Octopod cannot start:\n{error}", file=sys.stderr)
    raise SystemExit(1)
