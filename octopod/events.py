"""“This deployment changed”: told to whoever waits for it in this process."""

import queue
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

action_queued = threading.Event()  # for the worker
check_due = threading.Event()  # for the monitor
stopping = threading.Event()  # for whatever sleeps
status_changes: "queue.Queue[tuple[str, str, str]]" = queue.Queue()  # name, old status, new status; for `notifications`

_lock = threading.Lock()
_listeners: dict[int, set[threading.Event]] = defaultdict(set)


def publish(deployment_id: int) -> None:
    """Wake everybody who waits for this deployment. To be called after the change is stored."""
    with _lock:
        for event in _listeners.get(deployment_id, ()):
            event.set()


@contextmanager
def listening(deployment_id: int) -> Iterator[threading.Event]:
    """An event that is set at every change of the deployment. Begin to listen, then look, then wait: nothing is missed."""
    event = threading.Event()
    with _lock:
        _listeners[deployment_id].add(event)
    try:
        yield event
    finally:
        with _lock:
            _listeners[deployment_id].discard(event)
            if not _listeners[deployment_id]:
                del _listeners[deployment_id]
