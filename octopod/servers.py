"""The server processes: who is alive, who is gone. A process that is gone loses what it had claimed.

Alive is who has said so within LOST_AFTER, by the clock of the database; of this host, whose process exists. Whoever
was silent itself, because the database was away or it was paused, first lets the others speak: they may have been, too.
"""

import os
import secrets
import socket
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from octopod import db
from octopod.keeper import process_identity
from octopod.models import ServerProcess
from octopod.settings import settings

_speaking_since = datetime.max.replace(tzinfo=UTC)  # without a pause as long as `_hearing`


def _host() -> str:
    """What tells this machine, or this container, from others whose processes we could not see."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        boot = namespace = "-"
    return f"{socket.gethostname()}.{boot}.{namespace}"


HOST = _host()


@cache
def me() -> str:
    """The id of this process: host, pid, what tells it from a later process with that pid, and chance."""
    identity = (process_identity(os.getpid()) or "").rpartition(":")[2]
    return f"{HOST}/{os.getpid()}/{identity}/{secrets.token_hex(4)}"


def is_here(server: str) -> bool:
    """Whether that server process ran on this host, so that its runs can be seen from here."""
    return server.startswith(f"{HOST}/")


def heartbeat() -> float:
    """Seconds between two signs of life."""
    return min(2.0, settings.LOST_AFTER / 15)


def _hearing() -> timedelta:
    """How long the others may take to speak once we can hear them."""
    return timedelta(seconds=settings.LOST_AFTER / 3)


def sign_of_life() -> None:
    """Say that this process is alive."""
    global _speaking_since
    moment = db.clock()
    mine = ServerProcess.id == me()
    lately = ServerProcess.heartbeat_at > moment - _hearing()
    if ServerProcess.update(heartbeat_at=moment).where(mine & lately).execute():
        return
    _speaking_since = moment
    if not ServerProcess.update(heartbeat_at=moment).where(mine).execute():
        ServerProcess.insert(id=me(), heartbeat_at=moment).on_conflict_ignore().execute()


def bury() -> None:
    """Remove the server processes that are gone."""
    moment = db.clock()
    before = moment - timedelta(seconds=settings.LOST_AFTER)
    heard_all = moment - _speaking_since >= _hearing()
    for row in ServerProcess.select():
        if (heard_all and row.heartbeat_at < before) or _has_ended(row.id):
            # Unless it has spoken meanwhile.
            ServerProcess.delete().where(
                ServerProcess.id == row.id, ServerProcess.heartbeat_at == row.heartbeat_at
            ).execute()


def leave() -> None:
    """This process is about to end, and says so."""
    ServerProcess.delete().where(ServerProcess.id == me()).execute()


def _has_ended(server: str) -> bool:
    if not is_here(server):
        return False
    _, pid, identity, _ = server.split("/")
    return (process_identity(int(pid)) or "").rpartition(":")[2] != identity
