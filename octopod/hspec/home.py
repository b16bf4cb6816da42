"""Where generated files and logs are: `~/.hyscale/hyscale/apps/<app>/<service>/…`, or below HYSCALE_HOME."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


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
    def locked(self) -> Iterator[None]:
        """One deployment of a service at a time: whoever comes second waits. The kernel lets go when a process dies."""
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        with open(self.directory.parent / f".{self.directory.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
