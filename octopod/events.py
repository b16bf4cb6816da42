"""“This deployment changed”, “there is something to do”: told to whoever waits for it, in this and in other processes.

Other processes hear it through PostgreSQL's NOTIFY. Nobody relies on hearing: everybody looks from time to time.
"""

import queue
import select
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
import psycopg2.extensions

from octopod import db

action_queued = threading.Event()  # for the worker
cancel_requested = threading.Event()  # for the worker
check_due = threading.Event()  # for the monitor
status_changed = threading.Event()  # for whoever runs `notifications`
stopping = threading.Event()  # for whatever sleeps

CHANNEL = "octopod"
SIGNALS = {"queue": action_queued, "cancel": cancel_requested}
LISTEN_POLL = 5.0

_lock = threading.Lock()
_listeners: dict[int, set[threading.Event]] = defaultdict(set)
_feeds: "set[Feed]" = set()
_outbox: "queue.Queue[str]" = queue.Queue()


def publish(topic: int) -> None:
    """Wake everybody who waits for this deployment, or for the run of a bundle: see `Action.topic`. To be called after the
    change is stored."""
    _wake(topic)
    _tell_others(str(topic))


def stop() -> None:
    """Nobody is to wait for anything any more."""
    stopping.set()
    _wake(None)


def queue_action() -> None:
    action_queued.set()
    _tell_others("queue")


def request_cancel() -> None:
    cancel_requested.set()
    _tell_others("cancel")


@contextmanager
def listening(topic: int) -> Iterator[threading.Event]:
    """An event that is set at every change of that. Begin to listen, then look, then wait: nothing is missed."""
    event = threading.Event()
    with _lock:
        _listeners[topic].add(event)
    try:
        yield event
    finally:
        with _lock:
            _listeners[topic].discard(event)
            if not _listeners[topic]:
                del _listeners[topic]


class Feed:
    """What has changed since one last looked; however often, each topic is there once. To be closed."""

    def __init__(self, only: int | None = None) -> None:
        """`only`: the id of the one deployment that is of interest."""
        self.only = only
        self.changed = threading.Event()
        self._ids: set[int] = set()
        self._missed = False
        with _lock:
            _feeds.add(self)

    def close(self) -> None:
        with _lock:
            _feeds.discard(self)

    def add(self, topic: int | None) -> None:
        if topic is None:
            self._missed = True
        elif self.only in (None, topic):
            self._ids.add(topic)
        else:
            return
        self.changed.set()

    def take(self) -> set[int] | None:
        """The ids since the last time; None when any may have changed, unheard."""
        self.changed.clear()
        ids, missed = self._ids, self._missed
        self._ids, self._missed = set(), False
        return None if missed else ids


def _wake(topic: int | None) -> None:
    """Wake who waits for this; for None, everybody."""
    with _lock:
        for feed in _feeds:
            feed.add(topic)
        chosen = list(_listeners.values()) if topic is None else [_listeners.get(topic, set())]
        for events in chosen:
            for event in events:
                event.set()


def _tell_others(what: str) -> None:
    if not db.is_sqlite():
        _outbox.put(what)


def send() -> None:
    """Tell the other processes what is to be told, several things at once when there are many. One turn of a loop.

    Raises Unavailable; then all of it is still to be told.
    """
    try:
        told = {_outbox.get(timeout=1.0)}
    except queue.Empty:
        return
    while not _outbox.empty() and len(told) < 100:
        told.add(_outbox.get())
    try:
        with db.session():
            for what in told:
                db.database.execute_sql("select pg_notify(%s, %s)", (CHANNEL, what))
    except db.Unavailable:
        for what in told:
            _outbox.put(what)
        raise


def receive() -> None:
    """Hear what other processes tell, until the connection breaks; one turn of a loop."""
    address = db.postgresql_url()
    try:
        with closing(psycopg2.connect(address, connect_timeout=5, application_name="octopod listener")) as connection:
            connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
            connection.cursor().execute(f"listen {CHANNEL}")
            _hear("")  # whatever was told before we listened
            while not stopping.is_set():
                if select.select([connection], [], [], LISTEN_POLL)[0]:
                    connection.poll()
                else:
                    connection.cursor().execute("select 1")  # a dead connection would be silent for ever
                while connection.notifies:
                    _hear(connection.notifies.pop(0).payload)
    except psycopg2.Error as error:
        raise db.Unavailable(f"The database does not answer: {str(error).strip()}") from error


def _hear(what: str) -> None:
    if what in SIGNALS:
        SIGNALS[what].set()
    elif what.removeprefix("-").isdecimal():
        _wake(int(what))
    else:
        for signal in SIGNALS.values():
            signal.set()
        _wake(None)
