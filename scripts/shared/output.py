"""What a script says: sentences on stdout or stderr, CSV, and nothing that is secret."""

import csv
import re
import sys
from collections.abc import Callable, Iterable

SECRET_KEY = re.compile(
    r"passw|pwd|passphrase|secret|token|credential|dsn$|database[._-]?url|connection[._-]?string|(api|access|private|signing|encryption)[._-]?key|(^|[._-])(key|pass|auth)$",
    re.IGNORECASE,
)
MASK = "********"
SHORTEST_SECRET = 4  # what is shorter would mask half of every sentence

hidden: set[str] = set()


class Failure(Exception):
    """What ends a script: a sentence for the person who asked."""


class Unreachable(Failure):
    """The cluster could not be asked; nothing follows for the deployment."""


def hide(values: Iterable[str]) -> None:
    """From now on these are masked in everything that is said."""
    hidden.update(value for value in values if len(value) >= SHORTEST_SECRET)


def masked(text: str) -> str:
    """The text without what is hidden; the longest first, for one secret may begin another."""
    for value in sorted(hidden, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def say(text: str) -> None:
    if text.strip():
        print(masked(text.rstrip()), flush=True)


def complain(text: str) -> None:
    if text.strip():
        print(masked(text.rstrip()), file=sys.stderr, flush=True)


def print_csv(rows: Iterable[tuple[str, str]]) -> None:
    """Data, not talk: what is printed here is not masked, for the server has to know it."""
    csv.writer(sys.stdout, lineterminator="\n").writerows(rows)


def run(script: Callable[[], int | None], errors_to: Callable[[str], None] = complain) -> None:
    """Run a script to its end. A Failure is said and makes it 1, for 2 and 3 would mean something else."""
    try:
        sys.exit(script() or 0)
    except Failure as failure:
        errors_to(str(failure))
        sys.exit(1)
