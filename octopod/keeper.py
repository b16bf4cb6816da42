"""The keeper: a small process that starts control scripts, so that their runs do not depend on the server.

Each server process has one keeper (`python -I -S keeper.py FD`). For each run it sends one byte and one end of a socket
pair over the control socket FD; the run's order (see `Order`) comes over that pair as one line of JSON.

- A **quick** run is attended to by the keeper itself. Its result and its output go back over the pair.
- A **lasting** run is attended to by a fork of the keeper, in a session of its own, which outlives server and keeper. It
  first says who it is, `{"pid": …, "started": …}`; if the pair closes before the order has come, or it does not come
  in time, nothing is started: so the server can store who keeps a run before the script's first instruction. Output and `result.json` go to the order's
  directory. SIGTERM cancels it. Control scripts may leave processes behind, with `setsid`; where the order says `everything`
  there are none when the result is there.

Forking a process of 10 MB costs a tenth of what starting an interpreter or forking the server would. Only the standard
library is used, and nothing of ours, because the server's packages are not there.
"""

import base64
import gc
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, NotRequired, TypedDict
from urllib.parse import quote

CHUNK = 65536
LASTING, QUICK = b"l", b"q"
STOP_POLL = 0.02
SOCKET_TIMEOUT = 10
ORDER_TIMEOUT = 10  # a server paused for longer may have been given up, and its order must not come then
STARTED_SIZE = 256
FULL_DISK_PAUSE = 1.0
FULL_PIPE = 1 << 20  # the most a pipe of an unprivileged process can hold
LONGEST_WAIT = 3600.0  # poll() cannot wait for more than 24 days
LAST_WAIT = 3.0  # seconds that a killed group may take to be gone; who is then still there is dead and not buried, or cannot die
RESULT = "result.json"
STARTED = "started.json"  # of a lasting run: there before the script's first instruction, then with its pid and start
STREAMS = ("stdout", "stderr")
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MASK = b"********"
SHORTEST_SECRET = 4  # anything shorter would blacken half of the text
LONGEST_NEEDLE = 1024


class Order(TypedDict):
    """What to run. Seconds for times, bytes for the limit."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    timeout: float
    kill_grace: float
    output_limit: int
    secrets: list[str]
    directory: str  # of a lasting run
    everything: NotRequired[bool]  # whether what a lasting run has started, wherever it went, must end with it


def process_identity(pid: int) -> str | None:
    """What tells this process from a later one with the same pid: boot and start time. None when it is gone."""
    try:
        state, *fields = _stat(pid)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if state in "ZX" else f"{boot}:{fields[18]}"


def _stat(pid: int) -> list[str]:
    """What Linux says of a process after its name, which may be anything. Raises OSError when it is gone."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


class Mask:
    """Replaces secrets in a stream of bytes, also where a secret is cut in two by reading."""

    def __init__(self, secrets: list[str]) -> None:
        self.needles = sorted(set(_needles(secrets)), key=len, reverse=True)
        self.pattern = re.compile(b"|".join(map(re.escape, self.needles))) if self.needles else None
        self.held = b""

    def feed(self, data: bytes) -> bytes:
        """The part of the stream that is certain by now, masked."""
        if self.pattern is None:
            return data
        raw, out, at = self.held + data, b"", 0
        cut = len(raw) - max(_overlap(raw, needle) for needle in self.needles)
        for match in self.pattern.finditer(raw):
            if match.start() >= cut:
                break
            out += raw[at : match.start()] + MASK
            at = match.end()
        cut = max(cut, at)
        self.held = raw[cut:]
        return out + raw[at:cut]

    def rest(self) -> bytes:
        """What was held back as the possible beginning of a secret, when the stream has ended."""
        return self.pattern.sub(MASK, self.held) if self.pattern else b""


def _overlap(text: bytes, needle: bytes) -> int:
    """Length of the longest end of `text` that begins `needle`, without being all of it."""
    start = max(0, len(text) - len(needle) + 1)
    while (start := text.find(needle[:1], start)) != -1:
        if needle.startswith(text[start:]):
            return len(text) - start
        start += 1
    return 0


def _needles(secrets: list[str]) -> list[bytes]:
    """What to look for: each line of each secret, and its usual encodings. Long lines in pieces."""
    found = []
    for secret in secrets:
        raw = secret.encode()
        found += [
            base64.b64encode(raw).rstrip(b"="),
            quote(secret, safe="").encode(),
            json.dumps(secret)[1:-1].encode(),
        ]
        found += [line.strip() for line in raw.splitlines()]
    pieces = [whole[at : at + LONGEST_NEEDLE] for whole in found for at in range(0, len(whole), LONGEST_NEEDLE)]
    return [piece for piece in pieces if len(piece) >= SHORTEST_SECRET]


class Output:
    """One stream of a run, bounded: the head is kept, and of the rest the tail.

    It is kept in segments named by the position of their first byte in the stream. The head is the segment at 0; each later
    one takes a quarter of `limit`, and only the last two of those are kept. So the head takes the other half.
    """

    def __init__(self, limit: int, mask: Mask, segments: "Segments") -> None:
        self.tail = max(1, limit // 4)
        self.head = max(1, limit - 2 * self.tail)
        self.mask = mask
        self.segments = segments
        self.position = self.room = 0

    def write(self, data: bytes) -> None:
        self._store(self.mask.feed(data))

    def close(self) -> None:
        self._store(self.mask.rest())

    def _store(self, data: bytes) -> None:
        while data:
            if not self.room:
                self.room = self.tail if self.position else self.head
                self.segments.open(self.position)
            piece, data = data[: self.room], data[self.room :]
            self.segments.append(piece)
            self.position += len(piece)
            self.room -= len(piece)


class Segments:
    """Segments in memory. `items` is what is kept: position -> bytes."""

    kept_after_head = 2

    def __init__(self) -> None:
        self.items: dict[int, bytearray] = {}

    def open(self, position: int) -> None:
        self.items[position] = bytearray()
        for old in sorted(self.items)[1 : -self.kept_after_head]:
            del self.items[old]

    def append(self, piece: bytes) -> None:
        self.items[max(self.items)].extend(piece)


class FileSegments(Segments):
    """Segments as files `STREAM.POSITION` of a directory, which others read while they are written."""

    def __init__(self, directory: Path, stream: str) -> None:
        super().__init__()
        self.directory, self.stream = directory, stream
        self.paths: dict[int, Path] = {}
        self.file: IO[bytes] | None = None

    def open(self, position: int) -> None:
        if self.file:
            self.file.close()
        self.paths[position] = self.directory / f"{self.stream}.{position}"
        try:
            self.file = self.paths[position].open("wb", buffering=0)
        except OSError:  # the disk is full: the script shall go on all the same
            self.file = None
        for old in sorted(self.paths)[1 : -self.kept_after_head]:
            self.paths.pop(old).unlink(missing_ok=True)

    def append(self, piece: bytes) -> None:
        try:
            if self.file:
                self.file.write(piece)
        except OSError:
            self.file = None


class Loop:
    """What a keeper waits for: bytes on file descriptors, the end of scripts, and the time."""

    def __init__(self) -> None:
        self.handlers: dict[int, Callable[[], object]] = {}
        self.runs: list[Run] = []
        self.poll = select.poll()
        self.wake, writer = os.pipe()
        os.set_blocking(writer, False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self.watch(self.wake, self._signalled)

    def watch(self, fd: int, handler: Callable[[], object]) -> None:
        """Call `handler` whenever there is something to read."""
        self.handlers[fd] = handler
        self.poll.register(fd, select.POLLIN)

    def forget(self, fd: int) -> None:
        if self.handlers.pop(fd, None):
            self.poll.unregister(fd)

    def turn(self) -> None:
        """Wait for the next thing, and see to it."""
        left = min((run.deadline - time.monotonic() for run in self.runs), default=LONGEST_WAIT)
        for fd, _ in self.poll.poll(max(0, int(min(left, LONGEST_WAIT) * 1000) + 1)):
            if fd in self.handlers:
                self.handlers[fd]()
        now = time.monotonic()
        for run in [run for run in self.runs if run.deadline <= now]:
            run.time_is_up()

    def _signalled(self) -> None:
        if signal.SIGTERM in os.read(self.wake, CHUNK):
            for run in self.runs:
                run.stop("cancelled")
        for run in list(self.runs):
            run.look()


class Run:
    """One script from its start to its end. `finished` is called once, with the result.

    The result: `outcome` (exited, timed_out, cancelled or unstartable), `exit_code`, `reason`, and the times.
    """

    def __init__(
        self,
        order: Order,
        kept: "list[Segments]",
        loop: Loop,
        finished: Callable[[dict[str, Any]], None],
        note: Callable[[], None] | None = None,
    ) -> None:
        self.order, self.loop, self.finished = order, loop, finished
        self.outputs = [Output(order["output_limit"], Mask(order["secrets"]), segments) for segments in kept]
        self.pipes: dict[int, Output] = {}
        self.stopping: str | None = None  # timed_out or cancelled, once the group was told to end
        self.started = time.time()
        self.deadline = time.monotonic() + order["timeout"]
        try:
            self.process = self._start(note)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._finish("unstartable", 127, _why_unstartable(order["argv"][0], error))
            return
        loop.runs.append(self)
        self._watch_pipes()

    def _start(self, note: Callable[[], None] | None) -> "subprocess.Popen[bytes]":
        """`note` is called in the new process before the script is there; this process has one thread, so it may be."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.order["argv"],
            env=self.order["env"],
            cwd=self.order["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
            preexec_fn=note,
        )

    def _watch_pipes(self) -> None:
        assert self.process.stdout and self.process.stderr
        for pipe, output in zip((self.process.stdout, self.process.stderr), self.outputs, strict=True):
            fd = pipe.fileno()
            os.set_blocking(fd, False)
            self.pipes[fd] = output
            self.loop.watch(fd, partial(self._read, fd))

    def _read(self, fd: int) -> bool:
        """Move what is in a pipe; whether there may be more."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self.loop.forget(fd)
        self.pipes[fd].write(data)
        return bool(data)

    def look(self) -> None:
        """Has the script ended? A stopped one has only when its whole group has."""
        if self.process.poll() is None or (self.stopping and self._lingers()):
            return
        for fd in self.pipes:
            # A grandchild may hold the pipe open for ever: what is in it by now is all that counts.
            for _ in range(FULL_PIPE // CHUNK):
                if not self._read(fd):
                    break
            self.loop.forget(fd)
        self.loop.runs.remove(self)
        self._finish(self.stopping or "exited", self.process.returncode, "")

    def time_is_up(self) -> None:
        """The script's time, its grace, or the pause between two looks at what is left of its group."""
        if not self.stopping:
            self.stop("timed_out")
        elif time.monotonic() >= self.grace_ends:
            self._signal(signal.SIGKILL)
        self.deadline = time.monotonic() + STOP_POLL
        self.look()

    def stop(self, why: str) -> None:
        """Tell the script's process group to end; what has not after the grace is killed."""
        if not self.stopping:
            self.stopping = why
            self.grace_ends = time.monotonic() + self.order["kill_grace"]
            self.deadline = time.monotonic() + STOP_POLL
            self._signal(signal.SIGTERM)

    def _lingers(self) -> bool:
        """Whether something of a stopped script's group is left that may still be waited for, and is not killed anyway."""
        return not self.order.get("everything") and time.monotonic() < self.grace_ends + LAST_WAIT and self._signal(0)

    def _signal(self, number: int) -> bool:
        """Signal the script's process group; whether there still is one."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _finish(self, outcome: str, exit_code: int, reason: str) -> None:
        for output in self.outputs:
            output.close()
        times = {"started_at": self.started, "finished_at": time.time()}
        self.finished({"outcome": outcome, "exit_code": exit_code, "reason": reason} | times)


def _why_unstartable(script: str, error: Exception) -> str:
    if not os.path.exists(script):
        return f"Cannot run {script}: there is no such file"
    if not os.access(script, os.X_OK):
        return f"Cannot run {script}: it is not executable"
    if isinstance(error, FileNotFoundError):
        return f"Cannot run {script}: the interpreter named in its first line is not on this machine, or its directory is gone"
    return f"Cannot run {script}: {error.strerror if isinstance(error, OSError) else error}"


class Keeper:
    """Runs what the server orders: quick scripts in this process, lasting ones in a fork of it each.

    When the server is gone nobody wants to know any more what a quick script says, so it is ended.
    """

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.loop = Loop()
        self.forks: set[int] = set()
        self.loop.watch(control.fileno(), self._accept)

    def serve(self) -> None:
        """Until the server is gone; then nobody waits for the quick runs any more, and they end."""
        while self.control.fileno() in self.loop.handlers:
            self.loop.turn()
            self.forks -= {pid for pid in self.forks if os.waitpid(pid, os.WNOHANG)[0]}
        for run in self.loop.runs:
            run.stop("cancelled")
        while self.loop.runs:
            self.loop.turn()

    def _accept(self) -> None:
        message, fds, _, _ = socket.recv_fds(self.control, 1, 1)
        if not message:
            self.loop.forget(self.control.fileno())
            for run in self.loop.runs:
                run.stop("cancelled")
            return
        connection = socket.socket(fileno=fds[0])
        connection.settimeout(SOCKET_TIMEOUT)
        if message == LASTING:
            self._fork(connection)
        else:
            run_quick(connection, self.loop)

    def _fork(self, connection: socket.socket) -> None:
        pid = os.fork()
        if pid:
            self.forks.add(pid)
            connection.close()
            return
        try:
            os.setsid()
            os.dup2(connection.fileno(), 3)
            os.closerange(4, 65536)  # the pipes and sockets of everybody else's runs
            run_lasting(socket.socket(fileno=3))
        finally:
            os._exit(0)


def run_quick(connection: socket.socket, loop: Loop) -> None:
    """Start what is ordered; the result goes to the connection."""
    order = _read_order(connection)
    if order:
        kept = [Segments() for _ in STREAMS]
        Run(order, kept, loop, lambda result: _send(result, kept, connection))


def run_lasting(connection: socket.socket) -> None:
    """Say who keeps this run, wait for the order, run it; the result goes to the order's directory."""
    loop = Loop()
    connection.settimeout(ORDER_TIMEOUT)
    connection.sendall(json.dumps(identity_card(os.getpid())).encode() + b"\n")
    order = _read_order(connection)
    connection.close()
    if order:
        directory = Path(order["directory"])
        kept: list[Segments] = [FileSegments(directory, stream) for stream in STREAMS]
        _write(directory / STARTED, "{}".ljust(STARTED_SIZE))
        if order.get("everything"):
            _prctl(PR_SET_CHILD_SUBREAPER, 1)  # what has lost its parents becomes a child of ours
        note = partial(_note_start, order, os.getpid())
        Run(order, kept, loop, partial(_conclude, order), note)
        while loop.runs:
            loop.turn()


def _note_start(order: Order, keeper: int) -> None:
    """In the script's process, before its first instruction: say who it is. Should the keeper be killed, somebody has to
    end it, or it has to see to that itself. When that has happened already, whoever looked has found no script: then
    there must be none.
    """
    path = Path(order["directory"], STARTED)
    with path.open("r+") as started:  # in place: that much room there is, on a full disk too
        started.write(json.dumps(identity_card(os.getpid())))
    if order.get("everything"):
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != keeper:
        os._exit(1)


def _conclude(order: Order, result: dict[str, Any]) -> None:
    """The script has ended, one way or another."""
    if order.get("everything"):
        end_children()
    _store(result, Path(order["directory"]))


def end_children() -> None:
    """Kill our children; those of who dies become ours, so that in the end nobody is left."""
    deadline = time.monotonic() + LAST_WAIT
    with suppress(ChildProcessError):  # there are none any more
        while time.monotonic() < deadline:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
            for pid in filter(_is_child, map(int, filter(str.isdigit, os.listdir("/proc")))):
                with suppress(PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(STOP_POLL)


def _is_child(pid: int) -> bool:
    """It remains one, dead or alive, until we bury it."""
    try:
        return int(_stat(pid)[1]) == os.getpid()
    except OSError:
        return False


def _prctl(option: int, value: int) -> None:
    import ctypes  # only now: few runs need it

    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _read_order(connection: socket.socket) -> Order | None:
    """None when the server went away, or was stopped, before it had ordered anything."""
    try:
        with connection.makefile("rb") as lines:
            line = lines.readline()
    except OSError:
        return None
    return json.loads(line) if line.endswith(b"\n") else None


def _send(result: dict[str, Any], kept: list[Segments], connection: socket.socket) -> None:
    """The result as one line of JSON that says how to cut the bytes that follow it."""
    result["segments"] = [[[at, len(piece)] for at, piece in segments.items.items()] for segments in kept]
    pieces = [bytes(piece) for segments in kept for piece in segments.items.values()]
    try:
        connection.sendall(json.dumps(result).encode() + b"\n" + b"".join(pieces))
    except OSError:  # nobody wants to know any more
        pass
    connection.close()


def identity_card(pid: int) -> dict[str, Any]:
    """A process, told from any other, now and later."""
    return {"pid": pid, "started": process_identity(pid)}


def _store(result: dict[str, Any], directory: Path) -> None:
    """Leave the result in the directory, whole or not at all."""
    unfinished = directory / (RESULT + ".new")
    if _write(unfinished, json.dumps(result)):
        unfinished.rename(directory / RESULT)


def _write(path: Path, text: str) -> bool:
    """Write a small file; a full disk is waited for, unless the directory goes away."""
    while path.parent.is_dir():
        try:
            path.write_text(text)
            return True
        except OSError:
            time.sleep(FULL_DISK_PAUSE)
    return False


if __name__ == "__main__":
    gc.disable()  # a collection would touch, and so copy, every page that the forks share
    Keeper(socket.socket(fileno=int(sys.argv[1]))).serve()
