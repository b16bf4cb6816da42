"""Measure the server against what the machine could do at best, in one run: `make bench [ACTIONS=10000]`.

Every figure that matters is a ratio of two measurements of the same run; absolute ones depend on the machine.
"""

import http.client
import json
import os
import platform
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import hspec

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench/results"
PARALLEL = 8
SCRIPTS_PER_CREATE = 5  # config_check, info, create, info, check
PAGES = 500
PUSHES = 20
SCRIPT_NAMES = [
    *("create", "update", "archive", "unarchive", "cleanup", "check", "archive_check", "config_check", "info"),
    *("deployment_config", "deployment_config_keys", "application_config", "application_config_keys"),
]


class Server:
    """A server of its own for one measurement, with a suite whose scripts all do the same."""

    def __init__(self, directory: Path, script: str, check: str = "", **settings: str) -> None:
        self.directory = directory
        self.suite = directory / "suite"
        self.suite.mkdir(parents=True)
        for name in SCRIPT_NAMES:
            write_script(self.suite / name, check if check and name == "check" else script)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.database = directory / "octopod.db"
        env = {name: value for name, value in os.environ.items() if not name.startswith("OCTOPOD_")} | {
            "OCTOPOD_PORT": str(self.port),
            "OCTOPOD_DATA_DIR": str(directory / "data"),
            "OCTOPOD_DATABASE_URL": f"sqlite:///{self.database}",
            "OCTOPOD_CONTROL_SCRIPTS": str(self.suite),
            "OCTOPOD_CHECK_INTERVAL": "86400",
            "BENCH": str(directory),
        }
        env |= {f"OCTOPOD_{name}": value for name, value in settings.items()}
        with (directory / "server.log").open("wb") as log:
            self.process = subprocess.Popen([sys.executable, ROOT / "app.py"], env=env, stdout=log, stderr=log)
        wait_until(self.is_ready)
        self.local = threading.local()

    def is_ready(self) -> bool:
        try:
            return self._ask(http.client.HTTPConnection("127.0.0.1", self.port), "GET", "/readyz")[0] == 200
        except OSError:
            return False

    def create(self, name: str) -> float:
        """Ask for a deployment; the moment the answer was there."""
        return self._post("/api/v1/deployments", {"name": name}, 202)

    def say(self, name: str, text: str) -> float:
        """Change what pages show of a deployment, whose `check` says what it finds; the moment it was stored."""
        (self.directory / "said").write_text(text)
        return self._post(f"/api/v1/deployments/{name}/check", None, 200)

    def _post(self, path: str, body: Any, expected: int) -> float:
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        status, answer = self._ask(self.local.connection, "POST", path, body)
        assert status == expected, answer
        return time.time()

    @staticmethod
    def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        connection.request(
            method, path, body and json.dumps(body), {"Content-Type": "application/json"} if body else {}
        )
        answer = connection.getresponse()
        return answer.status, answer.read()

    def create_all(self, names: Iterable[str], parallel: int) -> dict[str, float]:
        """Ask for all of them, `parallel` at a time; when each was answered."""
        names = list(names)
        with ThreadPoolExecutor(parallel) as pool:
            return dict(zip(names, pool.map(self.create, names), strict=True))

    def count(self, where: str) -> int:
        with sqlite3.connect(self.database, timeout=30) as connection:
            return connection.execute(f"select count(*) from deployment where {where}").fetchone()[0]

    def execute(self, statement: str) -> None:
        with sqlite3.connect(self.database, timeout=30) as connection:
            connection.execute(statement)

    def fill(self, count: int) -> None:
        """Have that many deployments in the database, of which nothing runs."""
        columns = (
            "name, status, status_reason, status_since, deployment_overrides, application_overrides, links, version"
        )
        values = """'other-' || n, 'Running', 'fine', at, '{"image.tag": "v1.2.3"}', '{"KEY": "value"}', '[]', 1"""
        numbers = f"with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {count})"
        moment = "(select '2026-01-01T00:00:00.000000Z' as at)"
        self.execute(
            f"insert into deployment ({columns}, unapplied, created_at, updated_at) "
            f"{numbers} select {values}, 0, at, at from numbers, {moment}"
        )

    def cpu(self) -> float:
        """Seconds that the server process has computed."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident megabytes of the server and its keeper."""
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return sum(resident(int(pid)) for pid in [self.process.pid, *children])

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def write_script(path: Path, body: str) -> None:
    path.write_text(f"#!/usr/bin/env bash\nset -e\n{body}\n")
    path.chmod(0o755)


def resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def wait_until(condition: Callable[[], bool], limit: float = 600, pause: float = 0.05) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "the benchmark does not get anywhere"
        time.sleep(pause)


def xargs(script: Path, runs: int) -> float:
    """Runs of a script per second by `xargs -P`, the least that could start them."""
    began = time.monotonic()
    subprocess.run(
        ["xargs", "-P", str(PARALLEL), "-n", "1", str(script)],
        input="\n".join(map(str, range(runs))),
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return runs / (time.monotonic() - began)


def throughput(directory: Path, creates: int) -> dict[str, Any]:
    """Whole path: request → config_check → queue → info, create, info → check → stored as Running."""
    limits = {"MAX_RUNNING_ACTIONS": str(PARALLEL), "MAX_RUNNING_CHECKS": str(PARALLEL)}
    server = Server(directory, "", **limits)
    server.create_all((f"warm-{i}" for i in range(10)), PARALLEL)
    wait_until(lambda: server.count("status = 'Running'") == 10)
    began = time.monotonic()
    server.create_all((f"a{i}" for i in range(creates)), PARALLEL)
    wait_until(lambda: server.count("status = 'Running'") == creates + 10, pause=0.02)
    ours = creates * SCRIPTS_PER_CREATE / (time.monotonic() - began)
    server.stop()
    best = xargs(server.suite / "create", creates * SCRIPTS_PER_CREATE)
    return {"name": "empty bash scripts/s: whole path, and xargs", "ours": ours, "best": best, "ratio": ours / best}


def latency(directory: Path) -> dict[str, Any]:
    """From the 202 in the client's hands to the script's first instruction, 50 creates at once."""
    note = 'if [[ $0 == */create ]]; then echo "$EPOCHREALTIME" > "$BENCH/started.$OCTOPOD_DEPLOYMENT"; fi'
    server = Server(directory, note)
    server.create("warm")
    wait_until(lambda: server.count("status = 'Running'") == 1)
    answered = server.create_all((f"l{i}" for i in range(50)), 50)
    wait_until(lambda: server.count("status = 'Running'") == 51)
    server.stop()
    waits = sorted(
        max(0.0, float((directory / f"started.{name}").read_text()) - moment) * 1000
        for name, moment in answered.items()
    )
    return {"name": "202 to first instruction, 50 at once", "p50_ms": statistics.median(waits), "p95_ms": waits[47]}


def sweep(directory: Path) -> dict[str, Any]:
    """300 deployments due for a check of 0.2 s, 16 at a time."""
    server = Server(directory, "", check='sleep 0.2; echo x >> "$BENCH/checks"')
    server.create_all((f"s{i}" for i in range(300)), PARALLEL)
    wait_until(lambda: server.count("status = 'Running'") == 300)
    (directory / "checks").write_text("")
    began = time.monotonic()
    server.execute("update deployment set check_due_at = created_at")
    wait_until(lambda: (directory / "checks").read_text().count("x") >= 300, pause=0.02)
    took = time.monotonic() - began
    server.stop()
    ideal = 300 * 0.2 / 16
    return {
        "name": "sweep of 300 checks of 0.2 s, 16 at a time",
        "seconds": took,
        "ideal": ideal,
        "ratio": took / ideal,
    }


def memory(directory: Path, actions: int) -> dict[str, Any]:
    server = Server(directory, "")
    before = server.memory()
    server.create_all((f"m{i}" for i in range(actions)), PARALLEL)
    wait_until(lambda: server.count("status = 'Running'") == actions)
    after = server.memory()
    server.stop()
    return {
        "name": f"memory of server and keeper, MB, before and after {actions:,} actions",
        "before": before,
        "after": after,
    }


class Viewers:
    """Many who look at the same page, computed by others than the server."""

    def __init__(self, server: Server, path: str, count: int) -> None:
        command = [sys.executable, "-m", "bench.viewers", str(server.port), path, str(count // 2)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.processes = [subprocess.Popen(command, cwd=ROOT, text=True, **pipes) for _ in range(2)]

    def expect(self, text: str) -> None:
        for process in self.processes:
            print(text, file=process.stdin, flush=True)

    def received(self) -> tuple[float, int]:
        """When all had been sent what is expected, and the bytes that took each."""
        answers = [process.stdout.readline().split() for process in self.processes]
        return max(float(at) for at, _ in answers), max(int(size) for _, size in answers)

    def leave(self) -> None:
        for process in self.processes:
            process.communicate()


def push(directory: Path, name: str, path: str, deployments: int) -> dict[str, Any]:
    """One deployment changes, and all who look are told."""
    server = Server(directory, "", check='cat "$BENCH/said"')
    server.fill(deployments)
    (directory / "said").write_text("said at first")
    server.create("orange")
    wait_until(lambda: server.count("status_reason = 'said at first'") == 1)

    def changes(viewers: Viewers | None = None) -> tuple[float, list[float], int]:
        """Computing time of a change, the delays until all have it, and bytes."""
        before, delays, size = server.cpu(), [], 0
        for number in range(PUSHES):
            text = f"said to {'pages' if viewers else 'nobody'} {number}."
            if viewers:
                viewers.expect(text)
            stored = server.say("orange", text)
            if viewers:
                at, size = viewers.received()
                delays.append(at - stored)
            time.sleep(0.15)  # more than the pause between two pushes: each is one of its own
        return (server.cpu() - before) / PUSHES, delays, size

    alone, _, _ = changes()
    viewers = Viewers(server, path, PAGES)
    viewers.expect("said to nobody")
    viewers.received()
    memory = server.memory()
    watched, delays, size = changes(viewers)
    viewers.leave()
    server.stop()
    return {
        "name": f"push to {PAGES} open pages, {name}, ms of the server's CPU",
        "ours": (watched - alone) * 1000,
        "best": write_all(size, PAGES) * 1000,
        "last_page_has_it_ms": statistics.median(delays) * 1000,
        "kilobytes": size / 1000,
        "memory": memory,
    }


def write_all(size: int, count: int) -> float:
    """CPU seconds for writing that many bytes to that many sockets, which is the least that a push could take."""
    with socket.create_server(("127.0.0.1", 0), backlog=count) as listener:
        pairs = [(socket.create_connection(listener.getsockname()), listener.accept()[0]) for _ in range(count)]
    began = time.process_time()
    for _, page in pairs:
        page.sendall(b"x" * size)
    took = time.process_time() - began
    for pair in pairs:
        for end in pair:
            end.close()
    return took


def line(result: dict[str, Any]) -> str:
    figures = "  ".join(f"{key} {value:,.2f}" for key, value in result.items() if key != "name")
    return f"{result['name']}: {figures}"


def main() -> None:
    actions = int(os.environ.get("ACTIONS", "10000"))
    results = []
    with tempfile.TemporaryDirectory(prefix="octopod-bench-") as scratch:
        base = Path(scratch)
        measurements: list[Callable[[], dict[str, Any]]] = [
            lambda: throughput(base / "throughput", 300),
            lambda: latency(base / "latency"),
            lambda: sweep(base / "sweep"),
            lambda: push(base / "list", "a list of 2,000", "/ws", 2000),
            lambda: push(base / "page", "one deployment", "/ws?deployment=orange", 0),
            lambda: memory(base / "memory", actions),
            lambda: hspec.manifests(base / "hspec"),
            hspec.help_text,
        ]
        for measure in measurements:
            results.append(measure())
            print(line(results[-1]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }
    (RESULTS / "latest.json").write_text(json.dumps(about | {"results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
