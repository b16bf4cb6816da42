"""Run programs: argument lists only, never a shell."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .errors import HspecError

TAIL = 20_000  # characters of what a logged program printed that are kept in memory


class Done(NamedTuple):
    """How a program ended."""

    code: int
    out: str
    err: str = ""

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def complaint(self) -> str:
        """What it complained about, or else its code."""
        return self.err.strip() or self.out.strip() or f"exit code {self.code}"


@contextmanager
def _failures(argv: list[str], timeout: float | None) -> Iterator[None]:
    """In sentences."""
    try:
        yield
    except subprocess.TimeoutExpired:
        raise HspecError(f"{argv[0]} gave no answer within {timeout:g} s.") from None
    except OSError as error:
        raise HspecError(f"{argv[0]} cannot be started: {error.strerror}.") from None


def run(
    argv: list[str], *, stdin: str = "", timeout: float | None = None, cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Done:  # fmt: skip
    """Run a program to its end. `env` is added to ours. Raises HspecError when it cannot be started or takes too long.

    All that it prints is kept in memory: half an answer would be none. Who asks for logs says how much of them.
    """
    with _failures(argv, timeout):
        done = subprocess.run(
            argv, input=stdin, timeout=timeout, cwd=cwd, env={**os.environ, **(env or {})},
            capture_output=True, text=True, errors="replace",
        )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def run_logged(
    argv: list[str], log: Path, *, timeout: float, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Done:
    """Run a program; all it prints is appended to a file that only its owner can read, the last of it returned.

    Raises HspecError when it cannot be started, or has to be stopped as it takes too long.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(log, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600), "r+b") as file:
        start = file.seek(0, os.SEEK_END)
        with _failures(argv, timeout):
            code = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, timeout=timeout, cwd=cwd,
                env={**os.environ, **(env or {})},
            ).returncode  # fmt: skip
        end = file.seek(0, os.SEEK_END)
        file.seek(max(start, end - TAIL))
        return Done(code, file.read().decode(errors="replace"))
