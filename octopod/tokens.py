"""Servo tokens: the keys that sign bundles. One is a setting; the others have names and limits and can be exchanged."""

import os
import re
import secrets
import stat
from collections.abc import Collection
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import NamedTuple

from octopod.db import database, is_sqlite, now, session
from octopod.errors import Conflict, FieldError, Invalid, NotFound
from octopod.log import log
from octopod.models import Token
from octopod.settings import settings

OWN = "servo"  # the name of the one that is a setting, which may do everything
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]", re.ASCII)
NAME_RULE = (
    "2 to 32 characters: small letters, digits and hyphens, beginning with a letter and not ending with a hyphen"
)
PATTERN = re.compile(r"[!-~]{1,100}", re.ASCII)
MOST_PATTERNS = 50
FILE = "servo-token"


class Limits(NamedTuple):
    """What a token may: its role, and patterns of scripts and deployments; no patterns: all of them."""

    role: str
    scripts: list[str]
    deployments: list[str]


def matches(name: str, patterns: Collection[str]) -> bool:
    """Whether one of these patterns allows a name; no patterns allow all."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def prepare() -> None:
    """Make the token that SERVO_TOKEN would be, unless it is set or was made before. Raises OSError."""
    path = settings.DATA_DIR / FILE
    if settings.SERVO_TOKEN or (path.exists() and path.read_text().strip()):
        return
    fresh = path.with_name(f".{FILE}.{os.getpid()}")
    with open(fresh, "w", opener=lambda name, flags: os.open(name, flags, stat.S_IRUSR | stat.S_IWUSR)) as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    fresh.replace(path)


def find_own() -> Token | None:
    """The token that is a setting; None when somebody has emptied its file or taken that away."""
    path = settings.DATA_DIR / FILE
    secret = settings.SERVO_TOKEN or (path.read_text().strip() if path.exists() else "")
    return Token(name=OWN, secret=secret, role="admin", scripts=[], deployments=[]) if secret else None


def valid() -> list[Token]:
    """Every token that may sign now."""
    own = find_own()
    with session():
        return [*([own] if own else []), *Token.valid(now())]


def list_all() -> list[Token]:
    """Those with names that may still sign, by name, the newest of each name first."""
    with session():
        return sorted(Token.valid(now()), key=lambda token: (token.name, -token.id))


def create(name: str, limits: Limits, by: str) -> Token:
    """A new token; its secret is shown to nobody a second time. Raises Invalid, Conflict when the name is taken."""
    _check(name, limits)
    with session(), database.atomic():
        _lock()
        if name == OWN or Token.valid(now()).where(Token.name == name).exists():
            raise Conflict(f"There is already a token named {name}", [FieldError("name", "this name is taken")])
        token = _store(name, limits, by)
    log.info("token created", token=name, by=by)
    return token


def rotate(name: str, overlap: float, by: str) -> Token:
    """A new secret for a token; those it had are good for `overlap` more seconds. Raises NotFound."""
    moment = now()
    with session(), database.atomic():
        _lock()
        old = Token.valid(moment).where(Token.name == name).order_by(Token.id.desc()).first()
        if old is None:
            raise _not_there(name)
        end = moment + timedelta(seconds=overlap)
        longer = Token.expires_at.is_null() | (Token.expires_at > end)
        Token.update(expires_at=end).where((Token.name == name) & longer).execute()
        token = _store(name, Limits(old.role, old.scripts, old.deployments), by)
    log.info("token rotated", token=name, by=by, overlap=overlap)
    return token


def remove(name: str, by: str) -> None:
    """Accept a token no more, whichever of its secrets. Raises NotFound."""
    with session():
        if not Token.delete().where(Token.name == name).execute():
            raise _not_there(name)
    log.info("token removed", token=name, by=by)


def forget_expired() -> None:
    """Remove the secrets that are good for nothing any more."""
    with session():
        Token.delete().where(Token.expires_at <= now()).execute()


def note_use(token: Token) -> None:
    if token.name != OWN:
        with session():
            Token.update(last_used_at=now()).where(Token.id == token.id).execute()


def _lock() -> None:
    """Let nobody else change tokens until the transaction ends. SQLite has one writer anyway."""
    if not is_sqlite():
        database.execute_sql("lock table token in share row exclusive mode")


def _store(name: str, limits: Limits, by: str) -> Token:
    return Token.create(
        name=name, secret=secrets.token_urlsafe(32), created_at=now(), created_by=by, **limits._asdict()
    )


def _check(name: str, limits: Limits) -> None:
    errors = [] if NAME.fullmatch(name) else [FieldError("name", f"must be {NAME_RULE}")]
    for field in ("scripts", "deployments"):
        patterns = getattr(limits, field)
        if len(patterns) > MOST_PATTERNS:
            errors.append(FieldError(field, f"may be {MOST_PATTERNS} patterns at the most"))
        errors += [
            FieldError(field, f"{pattern!r} is not a pattern such as review-*")
            for pattern in patterns
            if not PATTERN.fullmatch(pattern)
        ]
    if errors:
        raise Invalid("; ".join(f"{error.field} {error.message}" for error in errors), errors)


def _not_there(name: str) -> NotFound:
    hint = "; it is the setting OCTOPOD_SERVO_TOKEN" if name == OWN else ""
    return NotFound(f"There is no token named {name!r} that could be changed here{hint}")
