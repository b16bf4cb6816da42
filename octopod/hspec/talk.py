"""What is told while work goes on: sentences for a person, on stderr. Results are printed by the commands, on stdout."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Skipped(Exception):
    """Ends a stage that has nothing to do; the text says why."""


class Talk:
    """How layers report. They call `say` and `warn`; only the workflow opens stages."""

    def __init__(self, stream: TextIO | None = None, verbose: bool = False) -> None:
        self.stream = stream or sys.stderr
        self.verbose = verbose
        self.warnings: list[str] = []  # all so far, for the summary
        self._stage, self._is_headed = "", False

    @property
    def is_live(self) -> bool:
        """Whether a line may be written over."""
        return self.stream.isatty()

    def _paint(self, text: str, colour: str) -> str:
        plain = not self.is_live or "NO_COLOR" in os.environ
        return text if plain else f"\033[{colour}m{text}\033[0m"

    def _print(self, text: str, end: str = "\n") -> None:
        self._clear()
        print(text, end=end, file=self.stream, flush=True)

    def _clear(self) -> None:
        if self.is_live:
            self.stream.write("\r\033[K")

    def title(self, text: str) -> None:
        self._print(self._paint(text, "1"))

    def say(self, text: str) -> None:
        """Something worth knowing, below the stage that is going on."""
        self._head()
        for line in text.splitlines():
            self._print(f"      {line}")

    def detail(self, text: str) -> None:
        """For those who asked for more."""
        if self.verbose:
            self.say(text)

    def progress(self, text: str) -> None:
        """What is being waited for: replaces the last one where a line can be written over, else nothing."""
        if self.is_live:
            room = shutil.get_terminal_size().columns - 1
            self._clear()
            self.stream.write(self._paint(f"  …   {self._stage}: {text}"[:room], "2"))
            self.stream.flush()

    def _head(self) -> None:
        """Name the stage before the first thing that is said in it."""
        if self._stage and not self._is_headed:
            self._is_headed = True
            self._print(self._paint(f"  …   {self._stage}", "2"))

    def warn(self, text: str) -> None:
        self._head()
        self.warnings.append(text)
        self._print(self._paint("  !   ", "33") + text)

    def fail(self, text: str) -> None:
        for line in text.splitlines():
            self._print(self._paint("  ✗   ", "31") + line)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """One line when it ends: what it was, how it ended, how long it took."""
        self._stage, self._is_headed, started = name, False, time.monotonic()
        self.progress("")
        try:
            yield
        except Skipped as skipped:
            self._print(self._paint(f"  –   {name:<24}{skipped}", "2"))
        except BaseException:
            self._print(self._paint("  ✗   ", "31") + f"{name:<24}failed after {time.monotonic() - started:.1f} s")
            raise
        else:
            self._print(self._paint("  ✓   ", "32") + f"{name:<24}{time.monotonic() - started:.1f} s")
        finally:
            self._stage = ""
