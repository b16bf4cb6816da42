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

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench/results"
PARALLEL = 8
SCRIPTS_PER_CREATE = 5  # config_check, info, create, info, check
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
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        status, body = self._ask(self.local.connection, "POST", "/api/v1/deployments", {"name": name})
        assert status == 202, body
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
            lambda: memory(base / "memory", actions),
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
