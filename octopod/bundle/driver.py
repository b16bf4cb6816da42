"""The driver of a bundle: runs its scripts one after the other, in a home of their own that is gone afterwards.

Started by a keeper as `python -I driver.py HOME`, in a session of its own. HOME holds `bundle.tgz` and `plan.json` (see
`Plan`); the bundle is unpacked to HOME/work, where scripts run. What this program prints is the log of the run: the
variables, what was decrypted, what the scripts print, how long each took, and at most one line about a failure at the end.
Exits with 0 when all scripts did, 1 when something has failed, 2 when something unforeseen has.

Scripts share our process group, which the keeper signals to cancel a run. After SIGTERM no further script starts, and
whatever still runs is killed in time for us to end as usual, before the keeper loses its patience with us. We are told the
same when the keeper itself has died.
"""

import ctypes
import json
import math
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

ROOT = Path(__file__).resolve().parent.parent.parent
PLAN, ARCHIVE, WORK = "plan.json", "bundle.tgz", "work"
CHUNK = 65536
FULL_PIPE = 1 << 20  # the most a pipe of an unprivileged process can hold
MASK = "********"
GRACE = 2.0  # seconds between TERM and KILL for what the scripts have left running
KILL_POLL = 0.02
OUR_TIME = 1.0  # of the seconds that the keeper gives to a run that it has told to end, those that we need ourselves
LONGEST_WAIT = 3600.0  # poll() cannot wait for more than 24 days
LAST_WAIT = 10.0  # seconds for killed processes to be gone; who is still there then cannot die
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
OUTSIDE = re.compile(r"(\A|/)(\.\.)?(/|\Z)|[\x00-\x1f\x7f]")  # an empty step, one upwards, or what no name has


class Plan(TypedDict):
    """What to run, and how."""

    scripts: list[str]
    variables: dict[str, str]
    masked: list[str]  # variables whose values are not shown
    key: str  # that .aes files were encrypted with
    environment: dict[str, str]  # of scripts, but for HOME and the variables
    python: str
    grace: float  # seconds between the keeper's TERM and its KILL
    limits: dict[str, int]  # see archive.Limits


class Failure(Exception):
    """Why a run has failed, as its log says it."""


class Log:
    """What this program prints: lines of ours, and what comes out of the scripts, in the order in which it comes.

    All scripts and what they leave running write to one pipe, so that nobody has to wait for its end.
    """

    def __init__(self) -> None:
        self.source, self.sink = os.pipe()
        os.set_blocking(self.source, False)
        self.in_line = False

    def say(self, line: str) -> None:
        """Print a line, on a line of its own."""
        self._write(b"\n" * self.in_line + line.encode(errors="surrogateescape") + b"\n")

    def pass_on(self) -> bool:
        """Print some of what has come out of the scripts; whether there may be more."""
        try:
            data = os.read(self.source, CHUNK)
        except BlockingIOError:
            return False
        self._write(data)
        return True

    def drain(self) -> None:
        """Print what has come out so far. Bounded: something in the background may go on printing for ever."""
        for _ in range(FULL_PIPE // CHUNK):
            if not self.pass_on():
                return

    def _write(self, data: bytes) -> None:
        self.in_line = not data.endswith(b"\n")
        rest = memoryview(data)
        with suppress(BrokenPipeError):  # nobody reads it any more: what was begun has to be ended all the same
            while rest:
                rest = rest[os.write(sys.stdout.fileno(), rest) :]


class Processes:
    """Everything that the scripts start. What loses its parent becomes a child of ours, so that nothing gets away."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.cancelled = False
        self.keeper = os.getppid()
        self.patience = math.inf  # seconds that scripts have to end once they are told to
        self.kill_at = math.inf
        self.ended: dict[int, int] = {}
        self.wake, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in STOPPING:
            signal.signal(number, self._cancel)
        self.poll = select.poll()
        for fd in (self.wake, log.source):
            self.poll.register(fd, select.POLLIN)

    def run(self, argv: list[str], directory: Path, environment: dict[str, str]) -> int:
        """Run a script and print what it says until it has ended itself; its exit code, or minus the signal's number."""
        sink, nothing = self.log.sink, subprocess.DEVNULL
        script = subprocess.Popen(argv, cwd=directory, env=environment, stdin=nothing, stdout=sink, stderr=sink)
        if self.cancelled:  # after the group was signalled, perhaps, and before the script was in it
            script.terminate()
        while script.pid not in self.ended:
            self._turn()
            self._bury()
        self.log.drain()
        script.returncode = self.ended[script.pid]
        self.ended.clear()
        return script.returncode

    def end(self) -> None:
        """End whatever is left, and wait until it is gone."""
        self.kill_at = min(self.kill_at, time.monotonic() + GRACE)
        self._signal(signal.SIGTERM, descendants())
        while self._bury() and time.monotonic() < self.kill_at + LAST_WAIT:
            self._turn()
        self.log.drain()

    def _turn(self) -> None:
        """Wait for the next output, end of a process or signal, and print the output; kill everything once it is time."""
        left = self.kill_at - time.monotonic()
        if left <= 0:
            self._signal(signal.SIGKILL, descendants())
            left = KILL_POLL
        for fd, _ in self.poll.poll(min(left, LONGEST_WAIT) * 1000):
            if fd == self.wake:
                os.read(fd, CHUNK)
            else:
                self.log.pass_on()

    def _bury(self) -> bool:
        """Note who has ended; whether anybody is left."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                self.ended[ended[0]] = os.waitstatus_to_exitcode(ended[1])
            return True
        return False

    def _cancel(self, *_: Any) -> None:
        """The keeper has signalled our group, unless it is dead; what it has not told is told by us."""
        self.cancelled = True
        self.kill_at = min(self.kill_at, time.monotonic() + self.patience)
        told = os.getpgrp() if os.getppid() == self.keeper else None
        self._signal(signal.SIGTERM, [pid for pid in descendants() if group_of(pid) != told])

    def _signal(self, number: int, pids: list[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def descendants() -> list[int]:
    """Our children, theirs and so on."""
    parents = {int(entry): parent_of(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()}
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def parent_of(pid: int) -> int | None:
    return _stat(pid, 1)


def group_of(pid: int) -> int | None:
    return _stat(pid, 2)


def _stat(pid: int, field: int) -> int | None:
    """A field of /proc/PID/stat, counted from behind the name; None when the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[field])
    except (FileNotFoundError, ProcessLookupError):
        return None


class Run:
    """One run of a bundle, step by step."""

    def __init__(self, home: Path, log: Log, processes: Processes) -> None:
        self.home, self.work = home, home / WORK
        self.log, self.processes = log, processes

    def carry_out(self) -> None:
        """Unpack, decrypt, and run all scripts. Raises Failure at the first that fails."""
        plan = self._take_plan()
        self.processes.patience = max(plan["grace"] - OUR_TIME, plan["grace"] / 2)
        for name, value in plan["variables"].items():
            self.log.say(f"${name} = {MASK if name in plan['masked'] else value}")
        self._unpack(plan["limits"])
        self._decrypt(plan["key"])
        for name in plan["scripts"]:
            self._run_script(name, plan)

    def _take_plan(self) -> Plan:
        """The plan, which scripts shall not find: the key is in it."""
        path = self.home / PLAN
        plan: Plan = json.loads(path.read_text())
        path.unlink()
        return plan

    def _unpack(self, limits: dict[str, int]) -> None:
        from octopod.bundle.archive import BadArchive, Limits, unpack

        try:
            unpack(self.home / ARCHIVE, self.work, Limits(**limits))
        except BadArchive as error:
            raise Failure(str(error)) from None
        (self.home / ARCHIVE).unlink()

    def _decrypt(self, key: str) -> None:
        found = [path for path in self.work.rglob("*.aes") if path.name != ".aes" and path.is_file()]
        for name in sorted(path.relative_to(self.work).as_posix() for path in found):
            self._decrypt_file(name, key)
            self.log.say(f"decrypted {name}")

    def _decrypt_file(self, name: str, key: str) -> None:
        from octopod.bundle.aes import BadAes, decrypt  # only now: the library behind it takes a while

        try:
            plain = decrypt((self.work / name).read_bytes(), key)
        except BadAes as error:
            raise Failure(f"cannot decrypt {name}: {error}") from None
        clear = self.work / name.removesuffix(".aes")
        if clear.is_dir():
            raise Failure(f"cannot decrypt {name}: there is a directory of that name without .aes")
        fresh = self.home / "clear"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(plain)
        fresh.replace(clear)

    def _run_script(self, name: str, plan: Plan) -> None:
        if self.processes.cancelled:
            raise Failure("the run was cancelled")
        argv = self._command(name, plan["python"])
        environment = plan["environment"] | {"HOME": str(self.work)} | plan["variables"]
        started = time.monotonic()
        try:
            code = self.processes.run(argv, self.work, environment)
        except OSError as error:
            raise Failure(f"{name} cannot be started: {why(error)}") from None
        self.log.say(f"{name} ran in {int(time.monotonic() - started)} seconds")
        if code:
            raise Failure(f"{name} exited with code {code}" if code > 0 else f"{name} was ended by signal {-code}")

    def _command(self, name: str, python: str) -> list[str]:
        """How to run a script, if it is there by now: an earlier one may have made it."""
        path = self.work / name
        if OUTSIDE.search(name) or not os.path.isfile(path):
            raise Failure(f"{name if name and name.isprintable() else repr(name)} is not in the bundle")
        if name.endswith(".py"):
            return [python, "--", name]
        if not os.access(path, os.X_OK):
            raise Failure(f"{name} is not executable")
        return [str(path)]


def why(error: OSError) -> str:
    """What is wrong with a script that does not start."""
    if isinstance(error, FileNotFoundError):
        return "the interpreter named in its first line is not on this machine"
    return error.strerror or str(error)


def attempt(run: Run) -> tuple[int, str]:
    """Carry out a run: our exit code, and the last line of the log when something has failed."""
    try:
        run.carry_out()
    except Failure as failure:
        return 1, f"failure ({failure})"
    except Exception as error:  # whatever it is, its reader cannot look into the server
        return 2, f"unexpected failure ({diagnosis(error)})"
    return 0, ""


def diagnosis(error: Exception) -> str:
    """Where an exception comes from, and what it says, in one line."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "nowhere"
    return f"{where}: {type(error).__name__}: {' '.join(str(error).split())}"


def guard() -> None:
    """Let no script read our memory, in which the key was, and let none of their processes get away from us."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def remove(home: Path) -> None:
    """Remove a run's home, also where a script has taken away the rights to it.

    Somebody may be writing to it still, so some of it may stay: that is for who comes after us, and no failure.
    """
    shutil.rmtree(home, ignore_errors=True)
    for directory in directories(home):
        with suppress(OSError):
            directory.chmod(0o700)
    shutil.rmtree(home, ignore_errors=True)


def directories(top: Path) -> Iterator[Path]:
    """All directories below one and itself. Each before it is looked into."""
    yield top
    for above, names, _ in os.walk(top):
        yield from (Path(path) for name in names if not os.path.islink(path := os.path.join(above, name)))


def main(home: Path) -> int:
    """Run the bundle in its home; our exit code."""
    if not (home / PLAN).is_file():  # nor shall just any directory be removed
        raise SystemExit(f"{home} is not the home of a run: it has no {PLAN}")
    log = Log()
    processes = Processes(log)
    try:
        guard()
        code, verdict = attempt(Run(home, log, processes))
        processes.end()
        if verdict:
            log.say(verdict)
        return code
    finally:
        remove(home)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(Path(sys.argv[1]).resolve()))
