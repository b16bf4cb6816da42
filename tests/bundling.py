"""A client of bundles as CD tools are: archives made by `tar`, signatures by `openssl`."""

import json
import re
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import requests
from conftest import PATIENCE, Gate, Server


def run_tool(*words: str | Path, **options: Any) -> str:
    done = subprocess.run(
        list(map(str, words)), check=True, capture_output=True, text=True, timeout=PATIENCE, **options
    )
    return done.stdout


def timeless(said: Any) -> Any:
    """What a log says, but how long scripts took."""
    return json.loads(re.sub(r"ran in \d+ seconds", "ran in 0 seconds", json.dumps(said)))


def pack(directory: Path, files: dict[str, str | bytes]) -> Path:
    """A bundle of these files; those that begin with #! are executable."""
    content = directory / uuid.uuid4().hex
    content.mkdir()
    for name, text in files.items():
        path = content / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(0o755 if path.read_bytes().startswith(b"#!") else 0o644)
    archive = content.with_suffix(".tgz")
    run_tool("tar", "zcf", archive, "-C", content, *sorted({name.split("/")[0] for name in files}))
    return archive


def digest(archive: Path, key: str, algorithm: str = "sha256") -> str:
    """The signature of an archive."""
    return f"{algorithm}={run_tool('openssl', 'dgst', f'-{algorithm}', '-hmac', key, archive).split()[-1]}"


def second_signature(
    path: str, archive: Path, key: str, moment: float | str, nonce: str, *variables: str
) -> dict[str, str]:
    """The headers of the second signature."""
    stamp = moment if isinstance(moment, str) else str(int(moment))
    sha256 = run_tool("openssl", "dgst", "-sha256", archive).split()[-1]
    message = "\n".join(["octopod-v2", "POST", path, stamp, nonce, sha256, *sorted(variables)])
    signed = run_tool("openssl", "dgst", "-sha256", "-hmac", key, input=message).split()[-1]
    return {"X-Timestamp": stamp, "X-Nonce": nonce, "X-Signature-V2": f"sha256={signed}"}


class Client:
    """Who has the key of a server's bundles. Asks for JSON."""

    def __init__(self, server: Server, scratch: Path, key: str = "") -> None:
        self.server, self.scratch = server, scratch
        self.key = key or server.env.get("OCTOPOD_SERVO_TOKEN") or self.own_key()

    def own_key(self) -> str:
        return (self.server.directory / "data/servo-token").read_text().strip()

    def pack(self, **files: str | bytes) -> Path:
        """`deploy_py` is deploy.py."""
        return pack(self.scratch, {name.replace("_", "."): text for name, text in files.items()})

    def send(self, scripts: str, archive: Path, headers: dict[str, str | None] | None = None) -> requests.Response:
        """One that is signed as it should be, but for these headers; None leaves one out."""
        usual = {"Accept": "application/json", "X-Signature": digest(archive, self.key)}
        given = {name: value for name, value in (usual | (headers or {})).items() if value is not None}
        with archive.open("rb") as file:
            return requests.post(
                f"{self.server.url}/run/{scripts}", files={"tgz": file}, headers=given, timeout=2 * PATIENCE
            )

    def run(self, text: str, **headers: str | None) -> requests.Response:
        """Run one script of Python."""
        return self.send(
            "a.py", self.pack(a_py=text), {name.replace("_", "-"): value for name, value in headers.items()}
        )

    def start(self, text: str, scripts: str = "a.py", **files: str) -> "Run":
        """Run one script of Python, without waiting for it."""
        answer = self.send(scripts, self.pack(a_py=text, **files), {"Prefer": "respond-async"})
        assert answer.status_code == 202, answer.text
        return Run(self.server, answer.json())


class Run:
    """A run that is followed with the ticket that its client was given."""

    def __init__(self, server: Server, answer: dict[str, Any]) -> None:
        self.server, self.answer = server, answer
        self.id = self.answer["run"]
        self.headers = {"Authorization": self.answer["authorization"]}

    def ask(self, path: str = "", method: str = "GET", **options: Any) -> requests.Response:
        url = f"{self.server.url}{self.answer['url']}{path}"
        return requests.request(method, url, headers=self.headers, timeout=PATIENCE, **options)

    def ended(self, patience: float = PATIENCE) -> dict[str, Any]:
        deadline = time.monotonic() + patience
        while not (action := self.ask(params={"wait": 10}).json())["finished_at"]:
            assert time.monotonic() < deadline, action
        return action

    @property
    def log(self) -> str:
        return self.ask("/logs", params={"stream": "stdout"}).text


def waits_at(gate: Gate) -> str:
    """Python that waits until the gate is opened."""
    return f"import os\nos.read(os.open({str(gate.path)!r}, os.O_RDONLY), 1)\n"
