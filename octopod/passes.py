"""Passes: what the run of a bundle shows to be let in again, and what its client shows to follow it.

Three secrets are made for each run. Only their digests are stored; they are random, so that a plain SHA-256 will do.
"""

import hashlib
import secrets
from typing import NamedTuple

from octopod.db import session
from octopod.models import Action, Pass, Token

BEARER, TICKET = (
    "octopod_run_",
    "octopod_ticket_",
)  # what `Authorization: Bearer` of a script, and of a client, begins with


class Secrets(NamedTuple):
    """The secrets of one run, in clear: nobody can ask for them a second time."""

    bearer: str
    ticket: str
    callback: str


def new_secrets() -> Secrets:
    """256 bits each."""
    return Secrets(BEARER + secrets.token_hex(32), TICKET + secrets.token_hex(32), secrets.token_urlsafe(32))


def issue(action: Action, token: Token, given: Secrets) -> None:
    """Store that who has these secrets may do this. To be called where the action is stored."""
    Pass.create(
        action=action,
        token=token.name,
        role=token.role,
        deployments=token.deployments,
        bearer=_digest(given.bearer),
        ticket=_digest(given.ticket),
        callback=_digest(given.callback),
    )


def find(shown: str) -> Pass | None:
    """The pass that belongs to a bearer, of a run that is not over, or to a ticket; None when there is none."""
    if shown.startswith(BEARER):
        return _first((Pass.bearer == _digest(shown)) & Action.finished_at.is_null())
    return _first(Pass.ticket == _digest(shown))


def find_by_callback(shown: str) -> Pass | None:
    """The pass of the run that waits for this callback; None when there is none, or it is over."""
    return _first((Pass.callback == _digest(shown)) & Action.finished_at.is_null())


def _first(where: object) -> Pass | None:
    with session():
        return Pass.select().join(Action).where(where).first()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
