"""Run helm, kubectl and others: argument lists only, never a shell, never a secret among the arguments."""

import os
import re
import subprocess
import time
from collections.abc import Mapping
from typing import NamedTuple

from shared.output import Failure, Unreachable

# Ours, and what would make helm talk or look elsewhere.
NOT_PASSED_ON = {"HELM_USER", "HELM_PASS", "HELM_BIN", "HELM_DEBUG", "HELM_NAMESPACE", "DEFAULTS"}
CANNOT_REACH = re.compile(
    r"cluster unreachable|connection refused|connection reset|no such host|no route to host|network is unreachable|"
    r"unable to connect to the server|i/o timeout|TLS handshake timeout|Client\.Timeout|context deadline exceeded|"
    r"timed out waiting for the server|currently unable to handle|server closed|unexpected EOF|: EOF|http2: |"
    r"x509|Unauthorized|must be logged in|invalid configuration|no configuration has been provided|"
    r"internal error occurred|ServiceUnavailable|too many requests|etcdserver",
    re.IGNORECASE,
)
TIMED_OUT = re.compile(
    r"i/o timeout|TLS handshake timeout|Client\.Timeout|deadline exceeded|timed out|gave no answer", re.I
)
FORBIDDEN = re.compile(r"forbidden", re.IGNORECASE)


ALL_IN_ALL = 50.0  # seconds for a script that the server gives 60


class Limit:
    """How long a script may take, in all; and whether the cluster has let it wait for nothing."""

    def __init__(self, seconds: float = float("inf")) -> None:
        self.end = time.monotonic() + seconds
        self.is_set = seconds != float("inf")
        self.cluster_is_silent = False

    def within(self, seconds: float) -> float:
        """What is left of these seconds. Raises Unreachable when nothing is."""
        left = min(seconds, self.end - time.monotonic())
        if left <= 0:
            raise Unreachable("The time for an answer is up.")
        return left


limit = Limit()


def set_limit(seconds: float = ALL_IN_ALL) -> None:
    """From now on all that this script asks has to be answered within so many seconds."""
    global limit
    limit = Limit(seconds)


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def complaint(self) -> str:
        """What it complained about, without the decoration."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        said = [line for line in lines if not line.startswith(("WARNING:", "Warning:"))]
        return "\n".join(said).removeprefix("Error: ").removeprefix("error: ") or f"exit code {self.code}"


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON} | more


def ask_cluster(argv: list[str], timeout: float, stdin: str = "", env: Mapping[str, str] | None = None) -> "Done":
    """Run what speaks to the cluster. Under a limit, whoever has not answered once is not asked again: Unreachable."""
    if limit.is_set and limit.cluster_is_silent:
        raise Unreachable("The cluster cannot be asked: it gave no answer before.")
    try:
        done = run(argv, timeout, stdin, env)
    except Unreachable:
        limit.cluster_is_silent = True
        raise
    limit.cluster_is_silent = not done.ok and bool(TIMED_OUT.search(done.complaint))
    return done


def run(argv: list[str], timeout: float, stdin: str = "", env: Mapping[str, str] | None = None) -> Done:
    """Run a command to its end. Raises Failure when it cannot be started, Unreachable when it takes too long."""
    timeout = limit.within(timeout)
    try:
        done = subprocess.run(
            argv, input=stdin, env=environment() if env is None else env, timeout=timeout,
            capture_output=True, text=True, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{argv[0]} {argv[1]} gave no answer within {timeout:.0f} s.") from None
    except OSError as error:
        raise Failure(f"{argv[0]} cannot be started: {error.strerror}.") from None
    return Done(done.returncode, done.stdout, done.stderr)


def failure(what: str, done: Done) -> Failure:
    """The Failure that a complaint about a change amounts to."""
    why = reason(done.complaint)
    return Unreachable(f"{what}: {why}. {done.complaint}") if why else Failure(f"{what}: {done.complaint}")


def no_answer(what: str, done: Done) -> Unreachable:
    """The Failure that a complaint about a question amounts to: whatever it is, nothing is known."""
    why = reason(done.complaint) or "the cluster gives no good answer"
    return Unreachable(f"{what}: {why}, which says nothing of the deployment. {done.complaint}")


def reason(complaint: str) -> str:
    """What it says of the cluster, if anything."""
    if FORBIDDEN.search(complaint):
        return "the cluster does not allow it"
    return "cannot reach the cluster" if CANNOT_REACH.search(complaint) else ""
