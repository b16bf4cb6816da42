"""Run control scripts: argument list in, exit code and bounded output out. See `keeper` for who starts them."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from octopod import keeper
from octopod.keeper import Order, process_identity

Segment = tuple[int, bytes]  # position of the first byte in the stream, bytes
POLL_INTERVAL = 0.1
TAIL_LINES = 12
LOST = "lost"
UNPRINTABLE = re.compile(r"\x00")


class Result(NamedTuple):
    """How a run ended. `outcome`: exited, timed_out, cancelled, unstartable or, of a quick one, lost; times are Unix time.

    A script ended by signal n has exit code -n; one that could not be started 127.
    """

    outcome: str
    exit_code: int
    reason: str
    started_at: float
    finished_at: float
    stdout: str = ""
    stderr: str = ""

    @property
    def ok(self) -> bool:
        return self.outcome == "exited" and self.exit_code == 0

    @property
    def was_killed(self) -> bool:
        """Whether somebody else has killed the script, the system when short of memory perhaps: it is not to blame."""
        return self.outcome == "exited" and self.exit_code == -signal.SIGKILL

    @property
    def why(self) -> str:
        """What went wrong, for the end of a sentence."""
        if self.reason:
            return self.reason
        if self.outcome == "timed_out":
            return f"it took longer than {self.finished_at - self.started_at:.0f} s and was stopped"
        if self.exit_code < 0:
            return f"it was ended by signal {-self.exit_code}"
        return f"exit code {self.exit_code}"


class Keeper:
    """The keeper of this process: started when it is first needed, and again when it has died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._owner = 0

    def connect(self, nature: bytes) -> socket.socket:
        """A connection to whoever will attend to one run; `nature`: keeper.QUICK or keeper.LASTING."""
        ours, theirs = socket.socketpair()
        with theirs:
            control = self._connected()
            try:
                socket.send_fds(control, [nature], [theirs.fileno()])
            except OSError:  # it has died: once more, with a new one
                self._forget(control)
                socket.send_fds(self._connected(), [nature], [theirs.fileno()])
        return ours

    def close(self) -> None:
        """End the keeper, and the quick runs under way; lasting ones go on."""
        if self._control:
            self._forget(self._control)

    def _forget(self, control: socket.socket) -> None:
        with self._lock:
            control.close()
            if self._control is control:  # or somebody else has noticed before
                self._control = None

    def _connected(self) -> socket.socket:
        with self._lock:
            if self._control is None or self._owner != os.getpid():
                self._control, self._owner = self._start(), os.getpid()
            return self._control

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            subprocess.Popen(
                [sys.executable, "-I", "-S", keeper.__file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={},
                cwd="/",
            )
        return ours


the_keeper = Keeper()


def run(order: Order) -> Result:
    """Run a quick script, its output in memory. Once more when it was lost: such scripts only ask."""
    result = _run(order)
    return _run(order) if result.outcome == LOST else result


def _run(order: Order) -> Result:
    with the_keeper.connect(keeper.QUICK) as connection, connection.makefile("rb") as answers:
        try:
            _send(connection, order)
            result = json.loads(answers.readline())
            streams = [render([(at, answers.read(size)) for at, size in cuts]) for cuts in result.pop("segments")]
        except (ValueError, OSError) as error:
            now = time.time()
            return Result(LOST, 127, f"its keeper has died: {error}", now, now)
        return Result(**result, stdout=streams[0], stderr=streams[1])


class LastingRun:
    """A run that outlives this process. `pid` and `started` tell its keeper from any other process, now and later."""

    def __init__(self) -> None:
        try:
            self.pid, self.started = self._connect()
        except (OSError, ValueError):  # our keeper has died just now: once more, with a new one
            self.pid, self.started = self._connect()

    def _connect(self) -> tuple[int, str]:
        self._connection = the_keeper.connect(keeper.LASTING)
        with self._connection.makefile("rb") as answers:
            hello = json.loads(answers.readline())
        return hello["pid"], hello["started"]

    def order(self, order: Order) -> None:
        """Start the script. Up to now nothing has happened, and nothing will if this process dies.

        When the order comes too late for the keeper there will be no result, and no sign that anything was started.
        """
        with self._connection, suppress(OSError):
            _send(self._connection, order)

    def abandon(self) -> None:
        """Start nothing."""
        self._connection.close()


def _send(connection: socket.socket, order: Order) -> None:
    connection.sendall(json.dumps(order).encode() + b"\n")


def wait(pid: int, started: str, timeout: float | None = None) -> bool:
    """Wait until that process is gone, whoever started it; False when the time is up before."""
    deadline = None if timeout is None else time.monotonic() + timeout
    handle = _handle(pid)
    try:
        while process_identity(pid) == started:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            _pause(handle, left)
        return True
    finally:
        if handle is not None:
            os.close(handle)


def _handle(pid: int) -> int | None:
    """A file descriptor that becomes readable when the process ends, where the system has such a thing."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _pause(handle: int | None, timeout: float | None) -> None:
    if handle is None:
        time.sleep(POLL_INTERVAL)
        return
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.poll(None if timeout is None else timeout * 1000)


def cancel(pid: int, started: str) -> None:
    """Tell a run's keeper to end it. Does nothing when that process is gone."""
    handle = _handle(pid)
    if handle is None:
        if process_identity(pid) == started:
            os.kill(pid, signal.SIGTERM)
        return
    try:
        if process_identity(pid) == started:  # checked with the handle held: the pid cannot be re-used in between
            signal.pidfd_send_signal(handle, signal.SIGTERM)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def was_started(directory: Path) -> bool:
    """Whether a run's script may have executed anything."""
    return (directory / keeper.STARTED).exists()


def end_orphan(directory: Path, grace: float) -> None:
    """End the script of a run whose keeper is gone, with its whole process group: nobody would learn how it ended."""
    try:
        script = json.loads((directory / keeper.STARTED).read_text())
        pid, started = script["pid"], script["started"]
    except (FileNotFoundError, ValueError, KeyError):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        if started is None or process_identity(pid) != started:
            return
        os.killpg(pid, number)
        wait(pid, started, grace)


def find_result(directory: Path) -> Result | None:
    """The result a run has left in its directory, with its output; None when there is none (yet)."""
    try:
        result = json.loads((directory / keeper.RESULT).read_text())
    except (FileNotFoundError, ValueError):  # after the machine has crashed a file may be empty
        return None
    return Result(**result, stdout=read_output(directory, "stdout"), stderr=read_output(directory, "stderr"))


def read_output(directory: Path, stream: str) -> str:
    """What is kept of a stream so far, with a marker where something was left out."""
    return render(list(_segments(directory, stream)))


def _segments(directory: Path, stream: str, position: int = 0) -> Iterator[Segment]:
    """The segments in the run's directory that reach beyond `position`."""
    for at, path in sorted((int(path.suffix[1:]), path) for path in directory.glob(f"{stream}.*")):
        try:
            if at + path.stat().st_size > position:
                yield at, path.read_bytes()
        except FileNotFoundError:  # dropped while we looked: it is left out
            continue


def render(segments: list[Segment]) -> str:
    """Segments as text: invalid UTF-8 and NUL are replaced, and gaps are marked."""
    data, position = b"", 0
    for at, piece in segments:
        data += left_out(at - position) + piece
        position = at + len(piece)
    return as_text(data)


def left_out(size: int) -> bytes:
    return f"\n[… {size:,} bytes left out …]\n".encode() if size > 0 else b""


def as_text(data: bytes) -> str:
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", data.decode(errors="replace"))


def read_since(directory: Path, stream: str, position: int) -> tuple[bytes, int]:
    """What was written to a stream since `position`, and the position after it."""
    data = b""
    for at, piece in _segments(directory, stream, position):
        data += left_out(at - position) + piece[max(0, position - at) :]
        position = at + len(piece)
    return data, position


def last_lines(*texts: str, lines: int = TAIL_LINES) -> str:
    """The end of the first text that has something to say."""
    for text in texts:
        if text.strip():
            return "\n".join(text.rstrip().splitlines()[-lines:])[-2000:]
    return ""
