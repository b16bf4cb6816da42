"""Files of a suite's state."""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shared import processes
from shared.output import Failure


def modified(path: Path) -> int:
    """When a file was written, in ns; 0 when there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def age(path: Path) -> float:
    """Seconds since the file was written; very many when there is none."""
    return time.time() - modified(path) / 1e9


def write_privately(path: Path, text: str) -> None:
    """Replace a file at once by one that nobody else may read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    os.replace(file.name, path)


def is_below(path: Path, directory: Path | None) -> bool:
    """Whether a path leads to the directory, or into it, with all links followed. Nothing is below no directory."""
    return directory is not None and path.resolve().is_relative_to(directory.resolve())


@contextmanager
def locked(home: Path, wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    """One process at a time. The kernel lets go of it when the process dies. `wait` raises when it has been enough."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / "lock").open("w") as lock:
        while not taken(lock.fileno()):
            wait()
            time.sleep(0.05)
        yield


def taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def patience(what: str, seconds: float, tell: Callable[[str], object] = lambda _: None) -> Callable[[], object]:
    """For `locked`: tells once that others are at work on it, and raises Failure when they have been for so long, or the
    limit of the script is reached."""
    end, told = time.monotonic() + seconds, False

    def wait() -> None:
        nonlocal told
        if not told:
            tell(f"Another script is at work on {what}: waiting for it.")
        told = True
        if time.monotonic() >= end:
            raise Failure(f"Another script has been at work on {what} for {seconds:.0f} s.")
        processes.limit.within(seconds)

    return wait
