"""helm, as far as it speaks to the cluster: what a release is, and how it is made, rendered and undone."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from lib.documents import load_objects
from lib.kube import Kube, Object
from lib.settings import Settings
from lib.values import Values
from shared import processes
from shared.files import age, write_privately
from shared.output import Failure, Unreachable
from shared.processes import Done, no_answer

PATIENCE = 25.0  # seconds for a question: check has 60 in all
CAPABILITIES_KEPT = 600.0


class Release(NamedTuple):
    """A release as helm has recorded it."""

    name: str
    revision: int
    status: str
    chart: str  # name and version, joined

    @property
    def is_unfinished(self) -> bool:
        """Whether a helm was interrupted on it."""
        return self.status.startswith("pending")


class Helm:
    """Releases of one namespace."""

    def __init__(self, settings: Settings, namespace: str) -> None:
        self.settings, self.namespace = settings, namespace

    def run(self, *arguments: str, stdin: str = "", timeout: float = PATIENCE) -> Done:
        run = processes.run if arguments[0] == "template" else processes.ask_cluster
        return run(self.command(*arguments), timeout, stdin, self.environment())

    def command(self, *arguments: str) -> list[str]:
        return [self.settings.helm, *arguments, "--namespace", self.namespace]

    def environment(self) -> dict[str, str]:
        """None of the caller's repositories, nor a cache that others write."""
        home = str(self.settings.data / "helm")
        return processes.environment(HELM_CACHE_HOME=home, HELM_CONFIG_HOME=home, HELM_REPOSITORY_CONFIG=f"{home}/none")

    def find(self, name: str) -> Release | None:
        """The release of that name; None when there is none. Raises Failure when that cannot be told."""
        done = self.run("list", "--all", "--filter", f"^{re.escape(name)}$", "--output", "json")
        if not done.ok:
            raise no_answer(f"Cannot ask for the release {name}", done)
        for item in json.loads(done.out or "[]"):
            if item["name"] == name:
                return Release(name, int(item["revision"]), item["status"], item["chart"])
        return None

    def objects(self, name: str, part: str = "manifest") -> list[Object]:
        """What the release consists of, as it was given to the cluster; or its `hooks`. Raises Failure."""
        done = self.run("get", part, name)
        if not done.ok:
            raise no_answer(f"Cannot read the release {name}", done)
        return list(load_objects(done.out))

    def history(self, name: str) -> list[dict[str, Any]]:
        """The revisions that helm remembers, oldest first."""
        done = self.run("history", name, "--output", "json")
        return json.loads(done.out) if done.ok and done.out.strip() else []

    def template(self, name: str, chart: Path, values: Values, capabilities: list[str]) -> str:
        """The chart rendered. Raises Failure with helm's words."""
        arguments = ["template", name, str(chart), "--values", "-", "--include-crds", *capabilities]
        done = self.run(*arguments, stdin=json.dumps(values))
        if not done.ok:
            raise Failure(f"The chart does not render with these values: {done.complaint}")
        return done.out

    def upgrade(self, name: str, chart: Path, values: Values, while_waiting: Callable[[], None]) -> Done:
        """Install or upgrade, and wait until all is ready, or the time is up."""
        limit = ["--wait", "--timeout", f"{self.settings.timeout}s"]
        command = self.command("upgrade", "--install", "--reset-values", name, str(chart), "--values", "-", *limit)
        with subprocess.Popen(
            command, env=self.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:  # fmt: skip
            out, err = communicate(process, json.dumps(values), self.settings.timeout + PATIENCE, while_waiting)
        return Done(process.returncode, out, err)


def communicate(
    process: "subprocess.Popen[str]", stdin: str, limit: float, while_waiting: Callable[[], None]
) -> tuple[str, str]:
    """What a process says until it ends, or is ended at the limit."""
    deadline = time.monotonic() + limit
    given: str | None = stdin
    while True:
        try:
            return process.communicate(given, timeout=5)
        except subprocess.TimeoutExpired:
            given = None
        if time.monotonic() > deadline:
            process.kill()
        while_waiting()


def capabilities(settings: Settings, kube: Kube) -> list[str]:
    """What the cluster can do, as flags for helm; asked every ten minutes. None when it cannot be asked."""
    kept = settings.data / "capabilities.json"
    if age(kept) < CAPABILITIES_KEPT:
        return json.loads(kept.read_text())
    try:
        version, groups = kube.run("version", "--output", "json"), kube.run("api-versions")
        resources = kube.run("api-resources", "--no-headers", "--cached=false")
    except Unreachable:
        return []
    if not (version.ok and groups.ok):
        return []
    server = json.loads(version.out).get("serverVersion") or {}
    names = groups.out.split() + (kinds(resources.out) if resources.ok else [])
    flags = ["--kube-version", server["gitVersion"]] if server.get("gitVersion") else []
    flags += [word for name in names for word in ("--api-versions", name)]
    write_privately(kept, json.dumps(flags))
    return flags


def kinds(table: str) -> list[str]:
    """`apps/v1/Deployment` for each line of `kubectl api-resources`: charts ask for those too."""
    rows = [line.split() for line in table.splitlines()]
    return [f"{row[-3]}/{row[-1]}" for row in rows if len(row) >= 4]
