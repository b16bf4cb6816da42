"""What the replicas of a service have written: shown, followed, and kept in a file."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from .. import names
from ..errors import HspecError, LogsError
from ..processes import Done
from . import pods
from .complaints import complaint, explained
from .kubectl import Kubectl, Object

KEPT_LINES, KEPT_BYTES = 1000, 1_000_000  # of each container, after a deployment
SHOWN_BYTES, READING = 100_000_000, 120  # and seconds; of what is not followed
KEPT_PODS = 20


def logs(
    kubectl: Kubectl, app: str, service_name: str, *, replica: str | None, lines: int, follow: bool, file: Path,
    out: TextIO,
) -> None:  # fmt: skip
    """Print the last lines of a replica, the first by name unless another is asked for, with their times; all that is
    printed is in the file, too. With `follow`, until the replica ends, or Ctrl-C. Raises LogsError.
    """
    pod = choose(replicas_of(kubectl, app, service_name), replica, app, service_name)
    container = container_of(pod, service_name)
    with _fresh(file) as kept:
        for text in _earlier(kubectl, pod, container, lines):
            _write(text, kept, out)
        try:
            for text in _lines(kubectl, pod, container, lines, follow):
                _write(text, kept, out)
        except KeyboardInterrupt:
            if not follow:
                raise


def replicas_of(kubectl: Kubectl, app: str, service_name: str) -> list[Object]:
    """Its pods, by name."""
    return sorted(kubectl.get("pods", "--selector", names.selector_of(app, service_name)), key=pods.name)


def choose(found: list[Object], wanted: str | None, app: str, service_name: str) -> Object:
    if not found:
        raise LogsError(
            f"Service {service_name} of app {app} has no replicas: it is not deployed, or scaled to nothing."
        )
    if wanted is None:
        return found[0]
    known = {pods.name(pod): pod for pod in found}
    if wanted not in known:
        raise LogsError(f"Service {service_name} has no replica {wanted}. There are: {', '.join(known)}.")
    return known[wanted]


def container_of(pod: Object, service_name: str) -> str:
    """The service's own: it has its name."""
    known = [str(one["name"]) for one in pod["spec"]["containers"]]
    return service_name if service_name in known else known[0]


def _fresh(file: Path) -> TextIO:
    """An empty file that only its owner can read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    return open(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="utf-8", errors="replace")


def _write(text: str, *files: TextIO) -> None:
    for file in files:
        file.write(text)
        file.flush()


def _earlier(kubectl: Kubectl, pod: Object, container: str, lines: int) -> Iterator[str]:
    """What a container wrote that has crashed and been started again, as long as it is not ready."""
    if pods.is_ready(pod) or not pods.restarts(pod):
        return
    done = _told(kubectl, pod, container, lines, "--previous")
    if done.ok and done.out.strip():
        yield f"--- before the last restart of {container}\n"
        yield done.out
        yield f"--- since the last restart of {container}\n"


def _told(kubectl: Kubectl, pod: Object, container: str, lines: int, *options: str) -> Done:
    """What a container has written, or why that cannot be had."""
    try:
        done = kubectl.run(*_question(pod, container, lines), f"--limit-bytes={KEPT_BYTES}", *options)
    except HspecError as error:
        return Done(1, "", str(error))
    return done._replace(out=done.out + _cut(len(done.out.encode()), KEPT_BYTES))


def _question(pod: Object, container: str, lines: int) -> list[str]:
    return ["logs", pods.name(pod), f"--container={container}", f"--tail={lines}", "--timestamps"]


def _cut(size: int, most: int) -> str:
    return f"\n--- more than {most:,} bytes: the rest is left out\n" if size >= most else ""


def _lines(kubectl: Kubectl, pod: Object, container: str, lines: int, follow: bool) -> Iterator[str]:
    """Line after line, as it comes; followed for as long, and for as much, as it takes."""
    bounds = [f"--limit-bytes={SHOWN_BYTES}", f"--request-timeout={READING}s"]
    argv = kubectl.command(*_question(pod, container, lines), *(["--follow"] if follow else bounds))
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
        )
    except OSError as error:
        raise LogsError(f"{argv[0]} cannot be started: {error.strerror}.") from None
    with process:
        assert process.stdout and process.stderr
        try:
            yield from process.stdout
            told = process.stderr.read()
        finally:
            process.terminate()  # whoever follows may have seen enough
    if process.returncode > 0:
        raise _no_logs(pod, container, told)


def _no_logs(pod: Object, container: str, told: str) -> LogsError:
    trouble = pods.trouble(pod)
    why = trouble.text if trouble else explained(Done(1, "", told))
    return LogsError(f"Container {container} of {pods.name(pod)} has no logs: {why}")


def save_logs(kubectl: Kubectl, app: str, service_name: str, file: Path) -> None:
    """Keep what all replicas have written, or why they have not. Never raises for lack of logs."""
    try:
        found = replicas_of(kubectl, app, service_name)
    except HspecError as error:
        found, text = [], f"{error}\n"
    else:
        text = "" if found else f"Service {service_name} of app {app} has no replicas.\n"
    with _fresh(file) as kept:
        kept.write(text)
        for pod in found[:KEPT_PODS]:
            for part in _saved(kubectl, pod):
                _write(part, kept)
        if len(found) > KEPT_PODS:
            kept.write(f"==> {len(found) - KEPT_PODS} more replicas are left out <==\n")


def _saved(kubectl: Kubectl, pod: Object) -> Iterator[str]:
    """The logs of all containers of a pod, each below its name."""
    for container in [one["name"] for one in pod["spec"]["containers"]]:
        yield f"==> {pods.name(pod)} {container} <==\n"
        yield from _earlier(kubectl, pod, container, KEPT_LINES)
        done = _told(kubectl, pod, container, KEPT_LINES)
        yield done.out if done.ok else f"{complaint(done)}\n"
