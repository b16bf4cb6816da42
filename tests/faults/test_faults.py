"""The short version of `make faults`: a handful of each fault, in random order, with the same verdict."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Postgres
from tests.faults.run import SQLITE, TWO, new_site, trial

PROCESSES = ["kill a worker", "kill the master", "kill server, not runs", "kill a keeper", "TERM", "HUP"]
MIXTURES = {
    "one server on SQLite": (SQLITE, PROCESSES),
    "runs that die, on SQLite": (SQLITE, ["kill everything", "kill a run's keeper", "kill a run's keeper"]),
    "several servers": (TWO, ["kill a worker", "rolling restart", "pause"]),
    "several servers and a database": (TWO, ["stop the database", "cut connections", "cut connections", "kill a worker"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def postgres(scratch: Path) -> Iterator[Postgres]:
    directory = scratch / "faults"
    directory.mkdir(mode=0o700)
    postgres = Postgres(directory)
    yield postgres
    postgres.server.cleanup()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mixture", MIXTURES)
def test_nothing_accepted_is_lost_or_done_twice_whatever_dies(scratch, postgres, mixture):
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    setup, faults = MIXTURES[mixture]
    faults = chance.sample(faults, len(faults))
    with new_site(scratch, setup, postgres, chance) as site:
        row = trial(site, faults)
    assert not row.violations, (seed, faults, row)
    assert row.accepted == row.final
    assert row.accepted > 5, "there was no load to speak of"
