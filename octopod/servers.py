"""The server processes: who is alive, who is gone. A process that is gone loses what it had claimed.

Alive is who has said so within LOST_AFTER, by the clock of the database; of this host, whose process exists.
"""

import os
import secrets
import socket
from datetime import timedelta
from functools import cache
from pathlib import Path

from octopod import db
from octopod.keeper import process_identity
from octopod.models import ServerProcess

HEARTBEAT = 2.0  # seconds between two signs of life
LOST_AFTER = 30.0


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


def sign_of_life() -> None:
    """Say that this process is alive."""
    moment = db.clock()
    if not ServerProcess.update(heartbeat_at=moment).where(ServerProcess.id == me()).execute():
        ServerProcess.insert(id=me(), heartbeat_at=moment).on_conflict_ignore().execute()


def bury() -> list[str]:
    """Remove the server processes that are gone; their ids."""
    before = db.clock() - timedelta(seconds=LOST_AFTER)
    gone = [row.id for row in ServerProcess.select() if row.heartbeat_at < before or _has_ended(row.id)]
    if gone:
        ServerProcess.delete().where(ServerProcess.id.in_(gone)).execute()
    return gone


def leave() -> None:
    """This process is about to end, and says so."""
    ServerProcess.delete().where(ServerProcess.id == me()).execute()


def _has_ended(server: str) -> bool:
    if not is_here(server):
        return False
    _, pid, identity, _ = server.split("/")
    return (process_identity(int(pid)) or "").rpartition(":")[2] != identity
