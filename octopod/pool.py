"""What runs beside the requests: loops, bounded pools and single errands. The one module that knows gevent."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import gevent
from gevent.event import Event
from gevent.pool import Group, Pool

from octopod.errors import Unavailable
from octopod.log import log

__all__ = ["Event", "Group", "Pool", "aside", "forever", "guarded", "spawn", "within"]

T = TypeVar("T")

HICCUP_PAUSE = 2.0  # seconds after a failure, so that no loop runs hot


def guarded(function: Callable[..., Any], *args: Any) -> bool:
    """Call it; a failure is logged and nothing else suffers. Whether it went well."""
    try:
        function(*args)
    except Unavailable as problem:  # nothing is wrong with us; it will be tried again
        log.warning("put off", what=function.__qualname__, problem=str(problem))
        return False
    except Exception as error:
        log.exception("failed", what=function.__qualname__, error=str(error))
        return False
    return True


def aside(function: Callable[..., T], *args: Any) -> T:
    """Call it in another thread, so that nobody else has to wait for what it computes; it must not touch the database."""
    result: T = gevent.get_hub().threadpool.apply(function, args)
    return result


@contextmanager
def within(seconds: float, problem: Exception) -> Iterator[None]:
    """Raises `problem` when what is in it has not ended by then."""
    with gevent.Timeout(seconds, problem):
        yield


def spawn(function: Callable[..., Any], *args: Any) -> None:
    """Call it in the background."""
    gevent.spawn(guarded, function, *args)


def forever(turn: Callable[[], None], until: Callable[[], bool]) -> None:
    """Call `turn` in the background again and again, whatever becomes of it."""

    def loop() -> None:
        while not until():
            if not guarded(turn):
                time.sleep(HICCUP_PAUSE)

    gevent.spawn(loop)
