"""The database: SQLite or PostgreSQL behind one name, its migrations, and what a lost connection means."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import peewee
from playhouse.migrations import Runner
from playhouse.pool import MaxConnectionsExceeded, PooledPostgresqlDatabase, PooledSqliteDatabase

from octopod.errors import Unavailable
from octopod.settings import settings

MIGRATIONS = Path(__file__).parent / "migrations"
POOL_SIZE = 20
POOL_TIMEOUT = 10  # seconds a greenlet waits for a free connection
MIGRATION_LOCK = 0x0C70_90D0  # any number that nobody else uses
RETRY_PAUSE = 1.0

T = TypeVar("T")

database = peewee.DatabaseProxy()

# What peewee raises when the database is away, as opposed to a statement that is wrong.
AWAY = (peewee.OperationalError, peewee.InterfaceError, MaxConnectionsExceeded)


def configure() -> None:
    """Point `database` at DATABASE_URL; connects lazily."""
    url = urlsplit(settings.DATABASE_URL)
    database.initialize(_sqlite(settings.DATABASE_URL) if url.scheme == "sqlite" else _postgresql())


def is_sqlite() -> bool:
    return isinstance(database.obj, peewee.SqliteDatabase)


def _sqlite(url: str) -> peewee.Database:
    path = Path(unquote(url.removeprefix("sqlite:///").partition("?")[0])).absolute()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # it will hold secrets
    pragmas = {"journal_mode": "wal", "synchronous": "normal", "foreign_keys": 1, "busy_timeout": 5000}
    return PooledSqliteDatabase(
        str(path), max_connections=POOL_SIZE, timeout=POOL_TIMEOUT, pragmas=pragmas, autoconnect=False
    )


def own_sqlite(patience: float = 0) -> bool:
    """Make an SQLite database this process' own until it ends, after `patience` seconds at the most; False when another
    process has it. PostgreSQL is for sharing."""
    if not is_sqlite():
        return True
    lock = os.open(f"{database.database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(lock)
                return False
            time.sleep(RETRY_PAUSE / 5)


def postgresql_url() -> str:
    """libpq understands the whole URL by itself, options, sockets and all."""
    return settings.DATABASE_URL.replace("postgres://", "postgresql://", 1)


def _postgresql() -> peewee.Database:
    url = postgresql_url()
    connect = {"connect_timeout": 5, "application_name": "octopod"}
    return PooledPostgresqlDatabase(url, max_connections=POOL_SIZE, timeout=POOL_TIMEOUT, autoconnect=False, **connect)


@contextmanager
def session() -> Iterator[None]:
    """A connection for the statements within, given back afterwards. Raises Unavailable when there is none to be had."""
    opened = False
    try:
        opened = database.connect(reuse_if_open=True)
        yield
    except AWAY as error:
        raise Unavailable(f"The database does not answer: {_first_line(error)}") from error
    finally:
        if opened:
            database.close()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def persist(write: Callable[[], T]) -> T:
    """Do `write` however long the database is away: what happened must not be forgotten."""
    while True:
        try:
            with session():
                return write()
        except Unavailable:
            time.sleep(RETRY_PAUSE)


def now() -> datetime:
    return datetime.now(UTC)


def clock() -> datetime:
    """The time by the database's clock, which all servers share."""
    if is_sqlite():
        return now()
    return database.execute_sql("select clock_timestamp()").fetchone()[0].astimezone(UTC)


def migrate() -> list[str]:
    """Bring the schema up to date, one server at a time; the names of what was applied."""
    with session(), _migration_lock():
        return Runner(database.obj, str(MIGRATIONS)).up()


def pending_migrations() -> list[str]:
    """The migrations that this program has and the database has not."""
    return [row.name for row in Runner(database.obj, str(MIGRATIONS)).status() if not row.applied]


@contextmanager
def _migration_lock() -> Iterator[None]:
    if is_sqlite():
        yield  # there is one server only
        return
    database.execute_sql("select pg_advisory_lock(%s)", (MIGRATION_LOCK,))
    try:
        yield
    finally:
        database.execute_sql("select pg_advisory_unlock(%s)", (MIGRATION_LOCK,))


class TimeField(peewee.Field):
    """A moment, aware and in UTC. Text of fixed width in SQLite, which sorts as it should; timestamptz in PostgreSQL."""

    field_type = "TIMESTAMPTZ"

    def db_value(self, value: datetime | None) -> Any:
        if value is None or not is_sqlite():
            return value
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def python_value(self, value: Any) -> datetime | None:
        if value is None:
            return None
        return datetime.fromisoformat(value) if isinstance(value, str) else value.astimezone(UTC)


class JSONField(peewee.TextField):
    """JSON as text: unlike jsonb it keeps the order of the keys."""

    def db_value(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def python_value(self, value: str | None) -> Any:
        return None if value is None else json.loads(value)
