"""How a script of this suite ends, and what the engine says meanwhile."""

import io
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TextIO, cast

from octopod.hspec.errors import HspecError
from octopod.hspec.talk import Talk
from shared import output, processes
from shared.output import Failure, Unreachable, complain, masked

shortened: set[str] = set()  # directories that mean nothing to people


def run(script: Callable[[], int | None], errors_to: Callable[[str], None] = complain) -> None:
    """Run a script to its end. What the engine fails with is said like any other Failure; whoever is told to end still
    removes what is only there meanwhile, logins above all."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def with_plain_errors() -> int | None:
        try:
            return script()
        except HspecError as error:
            raise Failure(plain(str(error))) from None
        except Failure as failure:
            raise type(failure)(plain(str(failure))) from None

    output.run(with_plain_errors, errors_to)


def shorten(directory: Path) -> None:
    """From now on, paths below this directory are shown as they are written in the source."""
    shortened.add(f"{directory}/")


def plain(text: str) -> str:
    for prefix in shortened:
        text = text.replace(prefix, "")
    return text


@contextmanager
def limited(seconds: float = processes.ALL_IN_ALL) -> Iterator[None]:
    """All that is done within has to be done within so many seconds, whoever does it. Raises Unreachable."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise Unreachable("The time for an answer is up.")

    processes.set_limit(seconds)
    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Voice(io.TextIOBase):
    """Where the engine talks to: our stdout, without secrets and without directories of this machine."""

    def write(self, text: str) -> int:
        return sys.stdout.write(masked(plain(text)))

    def flush(self) -> None:
        sys.stdout.flush()

    def isatty(self) -> bool:
        return False


def new_talk() -> Talk:
    return Talk(stream=cast(TextIO, Voice()))
