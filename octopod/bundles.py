"""The service layer of script bundles: whether one is signed, what it may do, what is run for it, how it ended.

`octopod.bundle` knows the formats, and its `driver` is the program that unpacks a bundle and runs its scripts. Here a run
becomes an action, with a home directory of its own, which is gone when it is over.
"""

import json
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, NamedTuple

from peewee import IntegrityError

from octopod import metrics, passes, servers, tokens
from octopod.bundle import driver, signature, variables
from octopod.bundle.archive import Limits
from octopod.db import database, now, session
from octopod.errors import Invalid, NotAuthorised, NotFound, TooLarge
from octopod.keeper import Order, process_identity
from octopod.lifecycle import Kind, State
from octopod.log import log
from octopod.models import Action, SpentNonce, Token
from octopod.passes import Secrets
from octopod.pool import aside
from octopod.runs import Result
from octopod.settings import settings
from octopod.suite import is_secret

HERE = Path(driver.__file__).parent
# The Python that the server runs with is before others: octo needs what is installed there.
PATH = f"{HERE / 'bin'}:{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CALLBACKS = "callback"
MOST_SCRIPTS_LENGTH = 2000  # characters of their names
MOST_MEMBERS, MOST_RATIO, MOST_DEPTH = 10_000, 200, 20
SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}|sha1=[0-9a-f]{40}", re.ASCII)
TIMESTAMP = re.compile(r"[0-9]{1,11}", re.ASCII)
NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
WINDOW = 300  # seconds that a signature with a time may be old, or early
CHUNK = 1 << 20
CALLBACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
MOST_CALLBACKS, MOST_CALLBACK_BYTES = 100, 16 << 20
FAILURE = re.compile(r"(?:unexpected )?failure \((.*)\)", re.DOTALL)


class Signed(NamedTuple):
    """What came with an archive to prove who sent it; empty where there was nothing."""

    signature: str
    timestamp: str
    nonce: str
    signature_v2: str


class Request(NamedTuple):
    """What is to be run: scripts joined with +, variables, and the address that the client knows us by."""

    scripts: str
    variables: dict[str, str]
    url: str


# --- what is uploaded


@contextmanager
def received(archive: IO[bytes]) -> Iterator[Path]:
    """An uploaded archive in a file of its own, which is removed afterwards unless it was moved.

    Raises TooLarge.
    """
    path = _directory() / f"upload-{os.getpid()}-{secrets.token_hex(8)}"
    try:
        with open(path, "xb", opener=_private) as file:
            _copy(archive, file, settings.BUNDLE_SIZE)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _copy(source: IO[bytes], target: IO[bytes], most: int) -> None:
    while chunk := source.read(CHUNK):
        target.write(chunk)
        if target.tell() > most:
            raise TooLarge(most)


def could_be(signed: Signed) -> bool:
    """Whether a signature may be right, before the archive is there: it looks like one, and of a kind that is accepted."""
    accepted = settings.SERVO_SHA1 or signed.signature.startswith("sha256=")
    return bool(accepted and SIGNATURE.fullmatch(signed.signature))


def find_signer(archive: Path, signed: Signed, request: Request) -> Token | None:
    """The token that signed a bundle; None when none did, or not as the settings ask for. `could_be` has said yes.

    Raises NotAuthorised when the signature is right, but not at this time.
    """
    found = tokens.valid()
    algorithm = signed.signature.partition("=")[0]
    digests = aside(signature.Digests, archive, [token.secret for token in found], [algorithm])
    key = digests.find_key(signed.signature)
    token = next((token for token in found if token.secret == key), None)
    if token is None or not (signed.signature_v2 or settings.SERVO_REQUIRE_V2):
        return token
    return token if _is_fresh(token, signed, request, digests.sha256) else None


def _is_fresh(token: Token, signed: Signed, request: Request, archive_digest: str) -> bool:
    """Whether the second signature is right. Raises NotAuthorised when it is, but not for now."""
    _, timestamp, nonce, given = signed
    path = f"/run/{request.scripts}"
    try:
        right = signature.sign_v2(token.secret, path, timestamp, nonce, archive_digest, request.variables)
    except ValueError:  # nobody can have signed this
        return False
    if not signature.same(given, right):
        return False
    if not (TIMESTAMP.fullmatch(timestamp) and NONCE.fullmatch(nonce)):
        raise NotAuthorised("X-Timestamp must be Unix seconds, and X-Nonce 16 to 64 of A-Z a-z 0-9 _ -")
    age = now().timestamp() - int(timestamp)
    if abs(age) > WINDOW:
        raise NotAuthorised(f"X-Timestamp is {abs(age):.0f} s {'old' if age > 0 else 'early'}; {WINDOW} s are allowed")
    return True


def _spend(token: Token, nonce: str) -> None:
    """Raises NotAuthorised when that was done before."""
    moment = now()
    try:
        with session(), database.atomic():
            SpentNonce.delete().where(SpentNonce.spent_at < moment - timedelta(seconds=3 * WINDOW)).execute()
            SpentNonce.create(id=f"{token.name}:{nonce}", spent_at=moment)
    except IntegrityError:
        raise NotAuthorised("This signature was used before: every X-Nonce is good for one request") from None


# --- what is run


def check(request: Request, token: Token) -> None:
    """Raises Invalid for variables that scripts may not be given, NotAuthorised for scripts that are not the token's."""
    try:
        variables.check(request.variables)
    except variables.BadVariable as error:
        raise Invalid(str(error)) from error
    names = request.scripts.split("+")
    if len(request.scripts) > MOST_SCRIPTS_LENGTH:
        raise Invalid(f"the names of the scripts are longer than {MOST_SCRIPTS_LENGTH} characters")
    if other := next((name for name in names if not tokens.matches(name, token.scripts)), None):
        raise NotAuthorised(f"the token {token.name} may run {', '.join(token.scripts)} only, and not {other}")


def begin(
    archive: Path, signed: Signed, request: Request, token: Token, origin: str, given: Secrets
) -> tuple[Action, Order]:
    """Store a run that is this process', and make its home; what the keeper is to do for it.

    Raises NotAuthorised when the second signature was used before.
    """
    if signed.signature_v2:
        _spend(token, signed.nonce)
    moment = now()
    with session(), database.atomic():
        action = Action.create(
            kind=Kind.RUN,
            state=State.RUNNING,
            scripts=request.scripts,
            requested_by=token.name,
            requested_from=origin,
            requested_at=moment,
            started_at=moment,
            claimed_by=servers.me(),
            attempts=1,
            deployment_overrides={},
            application_overrides={},
        )
        passes.issue(action, token, given)
    tokens.note_use(token)
    log.info("bundle accepted", action=action.id, scripts=request.scripts, token=token.name)
    metrics.actions_requested.labels(Kind.RUN).inc()
    home = _home(action.id)
    (home / CALLBACKS).mkdir(parents=True, mode=0o700)
    archive.rename(home / driver.ARCHIVE)
    _write_plan(home, request, token, given)
    return action, _order(home, request, token, given)


def _write_plan(home: Path, request: Request, token: Token, given: Secrets) -> None:
    callback = f"{settings.PUBLIC_URL or request.url}/callback/{given.callback}"
    plan = {
        "scripts": request.scripts.split("+"),
        "variables": request.variables | {"CALLBACK": callback},
        "masked": [name for name in request.variables if is_secret(name)] + ["CALLBACK"],
        "key": token.secret,
        "environment": _environment(home, given),
        "python": sys.executable,
        "grace": settings.KILL_GRACE,
        "limits": Limits(settings.BUNDLE_UNPACKED_SIZE, MOST_MEMBERS, MOST_RATIO, MOST_DEPTH)._asdict(),
    }
    with open(home / driver.PLAN, "x", opener=_private) as file:
        json.dump(plan, file)


def _environment(home: Path, given: Secrets) -> dict[str, str]:
    """Of the scripts: nothing of the server's."""
    return {
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(HERE / "lib"),
        "PYTHONUNBUFFERED": "1",
        "OCTOPOD_URL": _own_url(),
        "OCTO_AUTHORIZATION_HEADER": f"Bearer {given.bearer}",
        "OCTO_PATIENCE": "120",  # seconds: runs outlive our restarts
        "CALLBACK_DIR": str(home / CALLBACKS),
    }


def _own_url() -> str:
    """Where scripts on this machine reach us."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.HOST, settings.HOST)
    return f"http://[{host}]:{settings.PORT}" if ":" in host else f"http://{host}:{settings.PORT}"


def _order(home: Path, request: Request, token: Token, given: Secrets) -> Order:
    hidden = [value for name, value in request.variables.items() if is_secret(name)]
    return Order(
        argv=[sys.executable, "-I", str(driver.__file__), str(home)],
        env={"PATH": PATH, "LANG": "C.UTF-8"},
        cwd=str(home),
        timeout=settings.BUNDLE_TIMEOUT,
        kill_grace=settings.KILL_GRACE,
        output_limit=settings.OUTPUT_LIMIT,
        secrets=[token.secret, *given, *hidden],
        directory="",
        everything=True,
    )


# --- what becomes of it


def why_failed(result: Result) -> str:
    """The reason that the driver gave last, or how it ended otherwise."""
    last = result.stdout.rstrip("\n").rpartition("\n")[2]
    said = FAILURE.fullmatch(last) if result.outcome == "exited" else None
    return said[1] if said else result.why


def log_of(action: Action) -> list[str]:
    """The log of a finished run, a line each; the last one says why it failed."""
    lines = action.stdout.removesuffix("\n").split("\n") if action.stdout else []
    if action.state == State.SUCCEEDED:
        return lines
    has_reason = bool(lines and FAILURE.fullmatch(lines[-1]))
    if action.state == State.FAILED and has_reason:
        return lines
    return [*lines[: -1 if has_reason else None], failure(action.reason)]  # what the driver saw was its end only


def failure(why: str) -> str:
    """A line of a log."""
    return f"failure ({why})"


def store_callback(shown: str, name: str, content: IO[bytes]) -> None:
    """Put a file where the run with that callback looks for it; another of that name is replaced.

    Raises NotFound when there is no such run, or it is over; Invalid for a name or a number of files; TooLarge.
    """
    found = passes.find_by_callback(shown)
    directory = found and _home(found.action_id) / CALLBACKS
    if not directory or not directory.is_dir():
        raise NotFound("No run waits for this")
    if not CALLBACK_NAME.fullmatch(name):
        raise Invalid("The name of the file may have letters, digits and . _ -, 100 at the most, no . at the beginning")
    if len(os.listdir(directory)) >= MOST_CALLBACKS and not (directory / name).exists():
        raise Invalid(f"There are {MOST_CALLBACKS} files already")
    fresh = directory / f".{name}.{secrets.token_hex(4)}"
    try:
        with open(fresh, "xb", opener=_private) as file:
            _copy(content, file, MOST_CALLBACK_BYTES)
        fresh.rename(directory / name)
    except FileNotFoundError:
        raise NotFound("The run is over") from None
    finally:
        fresh.unlink(missing_ok=True)


def clear_away(action: Action) -> None:
    """Remove the home of a run. The driver does so itself, unless it was killed or somebody was writing to it."""
    driver.remove(_home(action.id))


def clear_uploads() -> None:
    """Remove what processes were receiving that are gone."""
    for path in _directory().glob("upload-*"):
        pid = int(path.name.split("-")[1])
        if process_identity(pid) is None:
            path.unlink(missing_ok=True)


def homes() -> Iterator[Path]:
    """What runs have left, named by the ids of their actions."""
    return _directory().glob("[0-9]*")


def _home(action_id: int) -> Path:
    return _directory() / str(action_id)


def _directory() -> Path:
    path: Path = settings.DATA_DIR / "bundles"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
