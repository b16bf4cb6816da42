"""Where generated files and logs are: `~/.hyscale/hyscale/apps/<app>/<service>/…`, or below HYSCALE_HOME."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from .errors import HspecError


def home() -> Path:
    return Path(os.environ.get("HYSCALE_HOME") or Path.home() / ".hyscale/hyscale").absolute()


def app_directory(app: str) -> Path:
    return home() / "apps" / app


class Workspace(NamedTuple):
    """The directory of one service. Others cannot read it: manifests hold secrets."""

    directory: Path

    @classmethod
    def of(cls, app: str, service: str) -> "Workspace":
        """Both names must have been checked: they become parts of a path."""
        return cls(app_directory(app) / service)

    @property
    def dockerfiles(self) -> Path:
        return self.directory / "generated-files/dockerfiles"

    @property
    def manifests(self) -> Path:
        return self.directory / "generated-files/manifests"

    def log(self, name: str) -> Path:
        """`build`, `push`, `deploy` or `service`."""
        return self.directory / "logs" / f"{name}.log"

    def make(self) -> None:
        """Make it, for its owner only."""
        for path in (self.dockerfiles, self.manifests, self.directory / "logs"):
            path.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)

    def clean(self) -> None:
        """Begin anew: nothing of an earlier deployment stays."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.make()


@contextmanager
def locked(app: str, service: str | None, say: Callable[[str], object]) -> Iterator[None]:
    """One at a time works on a service, or, without one, on a whole app: whoever comes second is told so, and waits.

    The files are beside what an undeployment removes, and never go: a lock that is held could else be taken again. The
    kernel lets go when a process dies. Raises HspecError when a file cannot be made.
    """
    with ExitStack() as held:
        if service:
            held.enter_context(_lock(app, fcntl.LOCK_SH, app, say))
        held.enter_context(_lock(f"{app}.{service}" if service else app, fcntl.LOCK_EX, service or app, say))
        yield


@contextmanager
def _lock(name: str, mode: int, what: str, say: Callable[[str], object]) -> Iterator[None]:
    path = home() / "locks" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise HspecError(f"{path} cannot be written: {error.strerror}.") from None
    with file:
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another deployment of {what} is running: waiting for it.")
            fcntl.flock(file, mode)
        yield
