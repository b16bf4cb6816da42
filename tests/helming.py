"""The suite `helm`, run as the server runs it, and what its tests need around it: repositories and a registry."""

import base64
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from conftest import ROOT
from suites import Scripts

SCRIPTS = ROOT / "scripts/helm"
CHARTS = ROOT / "tests/charts"
sys.path[:0] = [str(SCRIPTS), str(SCRIPTS.parent)]  # `lib` is the suite's, `shared` is all suites'


class Suite(Scripts):
    """The suite `helm`."""

    directory = SCRIPTS

    def __init__(self, data: Path, environment: dict[str, str]) -> None:
        super().__init__(data, environment)
        self.env |= {"CHECK_IMAGES": "false", "HELM_TIMEOUT": "20", "CHARTS_DIR": str(CHARTS)}

    def command(self, script: str, chart: str = "", **config: Any) -> list[str]:
        """`chart`: the name of one of tests/charts, unless `config` says where it is."""
        where = {"chart_repo_url": str(CHARTS), "chart_name": chart} if chart else {}
        return self.arguments(script, **(where | config))


class Site:
    """A web server on this machine for the time of a test; `seen`: method, path and credentials of each request."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], **attributes: Any) -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.handler = type("Handler", (handler,), {"site": self, "log_message": lambda *_: None, **attributes})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def stop(self) -> None:
        if self.thread.is_alive():
            self.server.shutdown()
            self.thread.join()
            self.server.server_close()

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.seen]


class RepositoryHandler(SimpleHTTPRequestHandler):
    """A directory of files, for whoever knows the password, if there is one."""

    site: Site
    password = ""

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        self.site.seen.append(("GET", self.path, given))
        if self.password and given != basic("ann", self.password):
            self.send_error(401)
            return
        super().do_GET()


class Repository:
    """A chart repository over HTTP. Charts of tests/charts are added in the versions that a test needs."""

    def __init__(self, helm: Path, directory: Path, password: str = "") -> None:
        self.helm, self.directory = helm, directory
        directory.mkdir()
        self.site = Site(RepositoryHandler, password=password)
        self.site.handler.__init__ = lambda handler, *rest: SimpleHTTPRequestHandler.__init__(  # type: ignore[method-assign]
            handler, *rest, directory=str(directory)
        )
        self.url = self.site.url

    def add(self, chart: str, *versions: str) -> "Repository":
        for version in versions:
            subprocess.run(
                [self.helm, "package", CHARTS / chart, "--version", version, "--destination", self.directory],
                check=True, capture_output=True,
            )  # fmt: skip
        subprocess.run([self.helm, "repo", "index", self.directory], check=True, capture_output=True)
        return self


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class RegistryHandler(BaseHTTPRequestHandler):
    """As much of a registry as pulling needs. `login`: the Authorization that tokens, or with `plain` all, are given for."""

    site: Site
    manifests: dict[str, bytes] = {}  # repository:tag or repository@digest
    blobs: dict[str, bytes] = {}
    tags: dict[str, list[str]] = {}
    login = ""
    plain = False
    broken = 0

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        given = self.headers.get("Authorization", "")
        self.site.seen.append((self.command, self.path, given))
        path, _, query = self.path.partition("?")
        if self.broken:
            self.reply(self.broken)
        elif path == "/token":
            self.reply(200 if given == self.login else 401, json.dumps({"token": f"for {query}"}).encode())
        elif (self.login and not given.startswith("Basic" if self.plain else "Bearer for ")) or (
            self.login and self.plain and given != self.login
        ):
            self.challenge()
        else:
            self.find(path.removeprefix("/v2/"))

    def challenge(self) -> None:
        bearer = f'Bearer realm="{self.site.url}/token",service="test"'
        self.reply(401, headers={"WWW-Authenticate": 'Basic realm="test"' if self.plain else bearer})

    def find(self, path: str) -> None:
        repository, _, version = path.partition("/manifests/")
        repository, _, digest = repository.partition("/blobs/")
        repository, _, listed = repository.partition("/tags/")
        found = (
            json.dumps({"tags": self.tags[repository]}).encode()
            if listed and repository in self.tags
            else self.blobs.get(digest) or self.manifests.get(f"{repository}:{version}")
        )
        self.reply(200 if found is not None else 404, found or b"")

    def reply(self, code: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
