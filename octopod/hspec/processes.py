"""Run programs: argument lists only, never a shell, output bounded."""

import os
import subprocess
from collections.abc import Mapping
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


def run(
    argv: list[str], *, stdin: str = "", timeout: float | None = None, cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Done:  # fmt: skip
    """Run a program to its end. `env` is added to ours. Raises HspecError when it cannot be started or takes too long."""
    try:
        done = subprocess.run(
            argv, input=stdin, timeout=timeout, cwd=cwd, env={**os.environ, **(env or {})},
            capture_output=True, text=True, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise HspecError(f"{argv[0]} gave no answer within {timeout:.0f} s.") from None
    except OSError as error:
        raise HspecError(f"{argv[0]} cannot be started: {error.strerror}.") from None
    return Done(done.returncode, done.stdout, done.stderr)


def run_logged(argv: list[str], log: Path, *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Done:
    """Run a program; all it prints is appended to a file that only its owner can read, the last of it returned."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(log, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600), "r+b") as file:
        start = file.seek(0, os.SEEK_END)
        try:
            code = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, cwd=cwd,
                env={**os.environ, **(env or {})},
            ).returncode  # fmt: skip
        except OSError as error:
            raise HspecError(f"{argv[0]} cannot be started: {error.strerror}.") from None
        end = file.seek(0, os.SEEK_END)
        file.seek(max(start, end - TAIL))
        return Done(code, file.read().decode(errors="replace"))
