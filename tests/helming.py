"""The suite `helm`, run as the server runs it, and what its tests need around it: repositories and a registry."""

import csv
import io
import json
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from conftest import ROOT

SCRIPTS = ROOT / "scripts/helm"
CHARTS = ROOT / "tests/charts"
GENERAL = ["--project-name", "Cactus store", "--base-domain", "cactus.example", "--namespace", "staging"]
ABOUT_ONE = ["create", "update", "unarchive", "archive", "cleanup", "check", "archive_check", "config_check", "info"]
SUBCHARTS = ("web", "store", "parent", "hooks", "crd", "schema", "types", "broken", "mixed")


class Suite:
    """The scripts, with a state directory of their own."""

    def __init__(self, data: Path, environment: dict[str, str]) -> None:
        self.data = data
        self.env = environment | {"OCTOPOD_SUITE_DATA": str(data), "CHECK_IMAGES": "false", "HELM_TIMEOUT": "20"}

    def command(self, script: str, chart: str = "", name: str = "orange", app: Any = (), **deployment: str) -> list[str]:
        """`chart`: the name of one of tests/charts, unless `deployment` says where it is."""
        arguments = [*GENERAL, "--name", name] if script in ABOUT_ONE else list(GENERAL)
        arguments += [word for key, value in dict(app).items() for word in ("--application-config", f"{key}={value}")]
        if chart:
            deployment = {"chart_repo_url": str(CHARTS), "chart_name": chart} | deployment
        arguments += [word for key, value in deployment.items() for word in ("--deployment-config", f"{key}={value}")]
        return [str(SCRIPTS / script), *([] if script == "init" else arguments)]

    def run(self, script: str, *chart: str, env: dict[str, str] | None = None, **config: Any) -> Any:
        return subprocess.run(
            self.command(script, *chart, **config), env=self.env | (env or {}), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=90,
        )  # fmt: skip

    def do(self, script: str, *chart: str, **config: Any) -> str:
        """What the script printed on stdout; it must succeed."""
        done = self.run(script, *chart, **config)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, script: str, *chart: str, **config: Any) -> str:
        """What the script printed; it must fail, with code 1."""
        done = self.run(script, *chart, **config)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def start(self, script: str, *chart: str, **config: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(script, *chart, **config), env=self.env, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def verdict(self, *chart: str, **config: Any) -> tuple[int, str]:
        """What `check` says: code and sentence."""
        done = self.run("check", *chart, **config)
        assert "Traceback" not in done.stderr
        assert done.stdout.count("\n") == 1, done.stdout + done.stderr
        return done.returncode, done.stdout.strip()

    def pairs(self, script: str, *chart: str, **config: Any) -> dict[str, str]:
        return dict(csv.reader(io.StringIO(self.do(script, *chart, **config), newline="")))
