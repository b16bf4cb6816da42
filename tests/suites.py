"""Suites in Python, run as the server runs them."""

import csv
import io
import subprocess
from pathlib import Path
from typing import Any

GENERAL = ["--project-name", "Cactus store", "--base-domain", "cactus.example", "--namespace", "staging"]
ABOUT_ONE = ["create", "update", "unarchive", "archive", "cleanup", "check", "archive_check", "config_check", "info"]


class Scripts:
    """The scripts of a suite, with a state directory of their own."""

    directory: Path

    def __init__(self, data: Path, environment: dict[str, str]) -> None:
        self.data = data
        self.cluster: Any = None
        self.env = environment | {"OCTOPOD_SUITE_DATA": str(data)}

    def arguments(self, script: str, name: str = "orange", app: Any = (), **deployment: str) -> list[str]:
        """As the server would pass them."""
        words = [*GENERAL, "--name", name] if script in ABOUT_ONE else list(GENERAL)
        words += [word for key, value in dict(app).items() for word in ("--application-config", f"{key}={value}")]
        words += [word for key, value in deployment.items() for word in ("--deployment-config", f"{key}={value}")]
        return [str(self.directory / script), *([] if script == "init" else words)]

    def command(self, script: str, *_: str, **config: Any) -> list[str]:
        return self.arguments(script, **config)

    def run(self, script: str, *what: str, env: dict[str, str] | None = None, **config: Any) -> Any:
        return subprocess.run(
            self.command(script, *what, **config), env=self.env | (env or {}), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=90,
        )  # fmt: skip

    def do(self, script: str, *what: str, **config: Any) -> str:
        """What the script printed on stdout; it must succeed."""
        done = self.run(script, *what, **config)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, script: str, *what: str, **config: Any) -> str:
        """What the script printed; it must fail, with code 1."""
        done = self.run(script, *what, **config)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    def start(self, script: str, *what: str, **config: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(script, *what, **config), env=self.env, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def verdict(self, *what: str, **config: Any) -> tuple[int, str]:
        """What `check` says: code and sentence."""
        done = self.run("check", *what, **config)
        assert "Traceback" not in done.stderr
        assert done.stdout.count("\n") == 1, done.stdout + done.stderr
        return done.returncode, done.stdout.strip()

    def pairs(self, script: str, *what: str, **config: Any) -> dict[str, str]:
        return dict(csv.reader(io.StringIO(self.do(script, *what, **config), newline="")))
