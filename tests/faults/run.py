"""Inject every fault at many random moments, and print what became of it: `python -m tests.faults.run [--seed N] [--share 0.1]`.

Exits 1 when anything that is promised in docs/guarantees.md did not hold.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.faults.harness import Gunicorn, Impatient, Load, Postgres, Site, eventually, kill, kill_group, verdict

LOST_AFTER = 3.0  # seconds, instead of 30, so that pauses need not be that long


def kill_worker(site: Site) -> None:
    workers = site.any().workers()
    if workers:
        kill(site.chance.choice(workers))


def kill_master(site: Site) -> None:
    restart_after(site, lambda server: server.signal(signal.SIGKILL))


def kill_server(site: Site) -> None:
    """Everything of ours, but not the runs."""

    def strike(server: Gunicorn) -> None:
        victims = [*server.keepers(), *server.workers()]
        server.signal(signal.SIGSTOP)  # or it would start new ones meanwhile
        kill(*victims)
        server.signal(signal.SIGKILL)

    restart_after(site, strike)


def kill_everything(site: Site) -> None:
    """As if the machine had crashed: all servers, keepers and scripts."""
    for server in site.servers:
        server.signal(signal.SIGSTOP)
    keepers = [keeper for server in site.servers for keeper in server.keepers()]
    workers = [worker for server in site.servers for worker in server.workers()]
    kill(*workers, *keepers, *site.run_keepers())
    for script in site.scripts():
        kill_group(script)
    for server in site.servers:
        server.signal(signal.SIGKILL)
        server.wait()
        server.start()


def kill_keeper(site: Site) -> None:
    keepers = site.any().keepers()
    if keepers:
        kill(site.chance.choice(keepers))


def kill_run(site: Site) -> None:
    """The keeper of a run; what is left of its script is then to be ended."""
    kill(*site.run_keepers()[:1])


def drain(site: Site) -> None:
    restart_after(site, lambda server: server.signal(signal.SIGTERM))


def reload(site: Site) -> None:
    server = site.any()
    eventually(server.is_ready, "the server to be up")  # before it is, a HUP would be its end
    old = {worker.pid for worker in server.workers()}
    server.signal(signal.SIGHUP)
    eventually(lambda: not old & {worker.pid for worker in server.workers()}, "the old workers to leave")


def rolling_restart(site: Site) -> None:
    for server in site.servers:
        server.signal(signal.SIGTERM)
        server.wait()
        server.start()
        eventually(server.is_ready, "the restarted server")


def stop_database(site: Site) -> None:
    assert site.postgres
    site.postgres.stop()
    time.sleep(site.chance.uniform(0, 3))  # that long it is away
    site.postgres.start()


def cut_connections(site: Site) -> None:
    assert site.postgres
    site.postgres.cut_connections()


def pause(site: Site) -> None:
    """A whole server, or one of its workers, for longer than others wait for a sign of life."""
    server = site.any()
    workers = server.workers()
    chosen = workers if site.chance.random() < 0.5 else workers[:1]
    kill(*chosen, number=signal.SIGSTOP)
    time.sleep(LOST_AFTER + site.chance.uniform(0.5, 2))
    kill(*chosen, number=signal.SIGCONT)


def restart_after(site: Site, strike: Callable[[Gunicorn], object]) -> None:
    """What a supervisor does."""
    server = site.any()
    strike(server)
    server.wait()
    server.start()


class Fault(NamedTuple):
    """How to inject it; how often, in the long version, in each set-up."""

    inject: Callable[[Site], None]
    often: dict[str, int]
    runs_may_die: bool = False


SQLITE, POSTGRESQL, TWO = "sqlite", "postgresql", "two servers"
SETUPS = (SQLITE, POSTGRESQL, TWO)

FAULTS = {
    "kill a worker": Fault(kill_worker, {SQLITE: 30, POSTGRESQL: 30, TWO: 30}),
    "kill the master": Fault(kill_master, {SQLITE: 15, POSTGRESQL: 15, TWO: 15}),
    "kill server, not runs": Fault(kill_server, {SQLITE: 15, POSTGRESQL: 15, TWO: 15}),
    "kill everything": Fault(kill_everything, {SQLITE: 15, POSTGRESQL: 10, TWO: 10}, runs_may_die=True),
    "kill a keeper": Fault(kill_keeper, {SQLITE: 10, POSTGRESQL: 10, TWO: 10}),
    "kill a run's keeper": Fault(kill_run, {SQLITE: 10, POSTGRESQL: 10, TWO: 10}, runs_may_die=True),
    "TERM": Fault(drain, {SQLITE: 10, POSTGRESQL: 10, TWO: 10}),
    "HUP": Fault(reload, {SQLITE: 8, POSTGRESQL: 8, TWO: 8}),
    "rolling restart": Fault(rolling_restart, {TWO: 8}),
    "stop the database": Fault(stop_database, {POSTGRESQL: 12, TWO: 12}),
    "cut connections": Fault(cut_connections, {POSTGRESQL: 20, TWO: 20}),
    "pause": Fault(pause, {POSTGRESQL: 10, TWO: 15}),
}


@contextmanager
def new_site(directory: Path, setup: str, postgres: Postgres | None, chance: random.Random) -> Iterator[Site]:
    """A site that has just been started; stopped afterwards."""
    site = Site(directory, setup, None if setup == SQLITE else postgres, chance, LOST_AFTER=str(LOST_AFTER))
    try:
        site.start()
        yield site
    finally:
        site.stop()


class Row(NamedTuple):
    """One line of the table."""

    setup: str
    fault: str
    injections: int
    accepted: int
    final: int
    retried: int
    violations: list[str]


def trial(site: Site, names: list[str]) -> Row:
    """Inject these faults one after the other while clients are busy; then look."""
    done, broken = 0, []
    with Load(site) as load:
        try:
            for done, name in enumerate(names, 1):
                time.sleep(site.chance.uniform(0, 1.5))  # any moment is as good as any other
                FAULTS[name].inject(site)
                if site.chance.random() < 0.8 or done == len(
                    names
                ):  # now and then the next comes before it is up again
                    site.await_ready()
            enough = len(load.accepted) + 5
            eventually(lambda: len(load.accepted) >= enough, "requests to be accepted again")
        except Impatient as problem:
            broken.append(str(problem))
    runs_may_die = any(FAULTS[name].runs_may_die for name in names)
    try:
        accepted, final, retried, violations = verdict(site, load, runs_may_die)
    except Impatient as problem:
        raise Impatient("; ".join([*broken, str(problem)])) from problem
    return Row(site.setup, " + ".join(dict.fromkeys(names)), done, accepted, final, retried, broken + violations)


def run(directory: Path, seed: int, share: float, setups: tuple[str, ...], faults: list[str]) -> Iterator[Row]:
    """All trials, a fresh site for each. `share` of the injections, but each at least once."""
    chance = random.Random(seed)
    postgres = Postgres(directory) if set(setups) - {SQLITE} else None
    try:
        for setup in setups:
            for name in faults:
                often = FAULTS[name].often.get(setup)
                if often is None:
                    continue
                with new_site(directory, setup, postgres, chance) as site:
                    yield trial(site, [name] * max(1, round(often * share)))
    finally:
        if postgres:
            postgres.server.cleanup()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--share", type=float, default=1.0, help="of the injections of the long version")
    options.add_argument("--setup", action="append", choices=SETUPS, help="only this one")
    options.add_argument("--fault", action="append", choices=list(FAULTS), help="only this one")
    options.add_argument("--keep", action="store_true", help="leave logs and records where they are")
    given = options.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="octopod-faults-"))
    print(f"seed {given.seed}; logs and records in {directory}\n")
    print("| set-up | fault | injections | accepted | final | lost and retried | violations |")
    print("| --- | --- | --: | --: | --: | --: | --: |")
    broken = []
    setups = tuple(given.setup or SETUPS)
    for row in run(directory, given.seed, given.share, setups, given.fault or list(FAULTS)):
        print("|", " | ".join(map(str, (*row[:-1], len(row.violations)))), "|", flush=True)
        broken += [f"{row.setup}, {row.fault}: {violation}" for violation in row.violations]
    print("\n" + ("\n".join(broken) or "Everything held."))
    if not (broken or given.keep):
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
