#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["requests", "cryptography"]
# ///
"""octo, the command line of Octopod: create, inspect and manage deployments.

stdout is data, stderr is talk, the exit codes are in EPILOG. One file; of the server it knows only the HTTP API.
"""

import argparse
import base64
import gzip
import hashlib
import hmac
import importlib
import json
import os
import re
import secrets
import shlex
import shutil
import stat
import sys
import tarfile
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import zip_longest
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from requests import Response

VERSION = "2.0.0"
DEFAULT_URL = "http://127.0.0.1:8000"
LEVELS = ("application", "deployment")
DONE, FAILED, USAGE, NOT_FOUND, FORBIDDEN, CONFLICT, INVALID, STILL_RUNNING, CANCELLED, UNREACHABLE = range(10)
INTERRUPTED, BROKEN_PIPE = 130, 141
EXIT_CODES = {401: FORBIDDEN, 403: FORBIDDEN, 404: NOT_FOUND, 409: CONFLICT, 412: CONFLICT, 429: UNREACHABLE}

GOALS = {"create": "Running", "update": "Running", "restore": "Running", "archive": "Archived"}
COLOURS = {
    32: "Running succeeded",
    33: "CreatePending UpdatePending ArchivePending queued running",
    31: "GenericFailure TagMismatch PartialAvailability CleanupFailed failed timed_out lost",
    90: "Archived cancelled",
}

# Seconds. A POST may be held by a slow config_check; a script may be silent for long, a vanished server for ever.
CONNECT_TIMEOUT, GET_TIMEOUT, POST_TIMEOUT, FOLLOW_TIMEOUT, WAIT_TIMEOUT = 10, 60, 300, 3600, 1800

# Terminal escape sequences, other control characters but newline and tab, and what reorders text.
HOSTILE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)

OPENSSL, OURS = b"Salted__", b"Octopod1"  # how .aes files begin
IGNORE_FILE = ".octoignore"
NEVER_PACKED = (IGNORE_FILE, ".git")
# The parts of a pattern in .octoignore, and the regular expressions that those without characters stand for.
GLOB = re.compile(
    r"(?P<levels>(?<=/)\*\*/)|(?P<rest>(?<=/)\*\*$)|(?P<some>\*+)|(?P<one>\?)"
    r"|\[(?P<none>[!^]?)(?P<of>\]?(?:\\.|[^\\\]])*)\]|\\?(?P<itself>.)",
    re.S,
)
WILDCARDS = {"levels": "(?:.+/)?", "rest": ".+", "some": "[^/]*", "one": "[^/]"}
HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
FORM_HEADERS: dict[str, str | bytes] = {"Accept": "application/json", "Prefer": "respond-async"}
FORM_HEAD = '--{}\r\nContent-Disposition: form-data; name="tgz"; filename="bundle.tgz"\r\n\r\n'
FORM_TAIL = "\r\n--{}--\r\n"
REFUSED = "the server does not accept the signature. Is SERVO_TOKEN one of its tokens?"

Json = dict[str, Any]
Args = argparse.Namespace


class Failure(Exception):
    """What ends the command: an exit code and a sentence for the user.

    `undone` says that the server has surely not begun what it was asked for, and `pause` in how many seconds it wants
    to be asked again; 0 if it did not say so.
    """

    def __init__(self, code: int, message: str, undone: bool = False, pause: float = 0):
        super().__init__(message)
        self.code, self.undone, self.pause = code, undone, pause


# --- Printing -------------------------------------------------------------------------------------------------------


def clean(value: Any) -> Any:
    """The same text, or JSON value, without what could make a terminal misbehave."""
    if isinstance(value, str):
        return HOSTILE.sub("", value)
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, list) else value


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(text.split())


def width() -> int:
    """Columns to use: the terminal's, or 80."""
    return max(40, shutil.get_terminal_size().columns) if sys.stdout.isatty() else 80


def say(text: str) -> None:
    """Talk to the user on stderr."""
    print(clean(text), file=sys.stderr, flush=True)


def emit(content: bytes | str) -> int:
    """Print an answer as it was received; only a terminal is spared its control characters. Returns exit code 0."""
    if isinstance(content, str) or sys.stdout.isatty():
        print(clean(content if isinstance(content, str) else content.decode(errors="replace")), end="", flush=True)
        return DONE
    with open(sys.stdout.fileno(), "wb", closefd=False) as stream:  # sys.stdout may write a part only, if unbuffered
        stream.write(content)
    return DONE


def paint(text: str) -> str:
    """The text in the colour of the status or state that it holds, if stdout wants colours."""
    colour = next((code for code, words in COLOURS.items() if text.strip() in words.split()), None)
    wanted = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and wanted else text


def wrap(cell: str, room: int) -> list[str]:
    """The cell's lines, cut where they are wider than `room`; nothing is lost, since values may be pasted."""
    return [line[i : i + room] for line in cell.expandtabs(4).split("\n") for i in range(0, len(line) or 1, room)]


def fit(widths: Iterable[int], room: int) -> list[int]:
    """Column widths that add up to at most `room`, taken from the widest column first."""
    fitted = [min(wide, room) for wide in widths]
    while sum(fitted) > room:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def table(heading: str, titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a heading ("" for none) and titles, with long cells wrapped."""
    if heading:
        print(f"\n{heading}" if rows else f"\n{heading}: none")
    lines = [titles, *(["" if cell is None else str(cell) for cell in row] for row in rows)] if rows else []
    indent = "  " if heading else ""
    natural = [max(len(piece) for cell in column for piece in wrap(cell, 10**9)) for column in zip(*lines, strict=True)]
    widths = fit(natural, width() - len(indent) - 2 * (len(titles) - 1))
    for line in lines:
        for pieces in zip_longest(*map(wrap, line, widths), fillvalue=""):
            padded = [piece.ljust(room) for piece, room in zip(pieces, widths, strict=True)]
            print((indent + "  ".join(map(paint, padded))).rstrip())


def print_links(deployment: Json, indent: str = "") -> None:
    """Print one link per line: its name, a tab, its URL."""
    for link in deployment["links"]:
        print(f"{indent}{one_line(link['name'])}\t{one_line(link['url'])}")


def moment(text: str | None) -> str:
    """An RFC 3339 time in local time; empty for None."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}" if text else ""


def took(action: Json) -> str:
    """How long the action ran, or has been running, as 0:03:04; empty before it started."""
    if not action["started_at"]:
        return ""
    end = datetime.fromisoformat(action["finished_at"]) if action["finished_at"] else datetime.now(UTC)
    return str(end - datetime.fromisoformat(action["started_at"])).split(".")[0]


class Progress:
    """Where a --wait stands: a line on stderr per change, and the time left."""

    def __init__(self, seconds: float) -> None:
        self.until, self.last = time.monotonic() + seconds, ""

    def left(self) -> float:
        """Seconds until the time is up; not below 0."""
        return max(0.0, self.until - time.monotonic())

    def show(self, text: str) -> None:
        """Show the text, if it says something new."""
        if text != self.last:
            say(one_line(text))
        self.last = text


def persist(attempt: Callable[[], "Response"], worth: Callable[[Failure], bool], progress: Progress) -> "Response":
    """The answer, asked for again, less and less often, while the failures are worth it and there is time left."""
    pause = 0.5
    while True:
        try:
            return attempt()
        except Failure as failure:
            if not (worth(failure) and progress.left()):
                raise
            progress.show(f"Trying again: {failure}")
            wanted = failure.pause
        time.sleep(min(max(pause, wanted), progress.left()))
        pause = min(pause * 2, 10.0)


# --- The server -----------------------------------------------------------------------------------------------------


def deployment_path(name: str) -> str:
    """The API's path of a deployment."""
    return f"/deployments/{quote(name, safe='')}"


def body(response: "Response") -> Json:
    """The answer's JSON object, safe to print."""
    try:
        return {**clean(response.json())}
    except (ValueError, TypeError):
        raise Failure(UNREACHABLE, "the answer is not Octopod's. Is OCTOPOD_URL right?") from None


def patience() -> int:
    """For how many seconds a server that restarts is waited for: the scripts of bundles have much patience."""
    try:
        return parse_duration(os.environ.get("OCTO_PATIENCE") or "0")
    except argparse.ArgumentTypeError as error:
        raise Failure(USAGE, f"OCTO_PATIENCE: {error}.") from None


def use_own_environment() -> None:
    """Start again with the Python that `make run` has prepared beside this file, if there is one and we are not it."""
    python = os.path.join(os.path.dirname(os.path.realpath(__file__)), ".venv/bin/python")
    if os.access(python, os.X_OK) and sys.prefix == sys.base_prefix:
        os.execv(python, [python, *sys.argv])


def needed(module: str) -> ModuleType:
    """The module of a package that is not part of Python, imported when it is needed: not everybody has all of them."""
    try:
        return importlib.import_module(module)
    except ImportError:
        use_own_environment()
        package = module.partition(".")[0]
        raise Failure(USAGE, f"{package} is missing: pip install {package}, or uv run cli.py") from None


def retry_after(response: "Response") -> float:
    """The seconds after which a request may be sent again; 0 where the answer does not tell."""
    text = response.headers.get("Retry-After", "")
    return float(text) if re.fullmatch("[0-9]{1,6}", text) else 0


class Api:
    """The API of the server at OCTOPOD_URL. Whatever goes wrong is a Failure: a sentence and the right exit code."""

    def __init__(self) -> None:
        self.url = (os.environ.get("OCTOPOD_URL") or DEFAULT_URL).rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise Failure(USAGE, f"OCTOPOD_URL must begin with http:// or https://, and it is {self.url!r}.")
        self.prefix = ""
        self.authorization = os.environ.get("OCTO_AUTHORIZATION_HEADER", "").strip()
        if not self.authorization.isprintable():
            raise Failure(USAGE, "OCTO_AUTHORIZATION_HEADER must be one line of text.")
        self.patience = patience()

    @cached_property
    def session(self) -> Any:
        """The session of requests; made by the first request, since some commands send none."""
        session = needed("requests").Session()
        if self.authorization:
            session.auth = self.authorize  # ~/.netrc would override a plain header
        return session

    def authorize(self, request: Any) -> Any:
        """Add the Authorization header to a prepared request."""
        request.headers["Authorization"] = self.authorization.encode()
        return request

    def use_ticket(self, authorization: str) -> None:
        """From now on, show what the server gave us for one action. Without a login, later commands need it as well."""
        if not self.authorization:
            self.prefix = f"OCTO_AUTHORIZATION_HEADER={shlex.quote(authorization)} "
        self.authorization, self.session.auth = authorization, self.authorize

    def hint(self, command: str) -> str:
        """A command as the user would have to type it."""
        return f"{self.prefix}octo {command}"

    @contextmanager
    def sentences(self, changing: bool = False) -> Iterator[None]:
        """Turn the exceptions of requests into Failures; `changing` says that the server may have done it already."""
        handled = sys.exception()  # by a script of a bundle that calls us meanwhile
        try:
            yield
        except needed("requests").RequestException as error:
            cause: BaseException = error
            while cause.__context__ and cause.__context__ is not handled:
                cause = cause.__context__
            sentence = f"cannot reach {self.url} (OCTOPOD_URL): {getattr(cause, 'strerror', None) or cause}"
            if changing and isinstance(cause, (ConnectionResetError, TimeoutError)):
                sentence += "\nIt may have been accepted all the same; see octo info."
            raise Failure(UNREACHABLE, sentence, undone=isinstance(cause, ConnectionRefusedError)) from error

    def problem(self, response: "Response", signed: bool) -> Failure:
        """The Failure that an answer other than 2xx stands for; `signed` says that no login was asked for."""
        status = response.status_code
        if signed and status == 403 and not response.content:
            return Failure(FORBIDDEN, REFUSED)
        title = ""
        try:
            problem = clean(response.json())
            title, lines = problem.get("title"), [problem["detail"]]  # which names the fields that are wrong
        except (ValueError, TypeError, KeyError, AttributeError):
            target = f" to {response.headers['Location']}" if "Location" in response.headers else ""
            hint = f"Is OCTOPOD_URL ({self.url}) right? Is there a login in front of it?"
            lines = [f"{status} {response.reason}{target}, and not from Octopod. {hint}"]
        if status in (401, 403) and not signed:
            verb = "holds credentials that do not suffice." if self.authorization else "is not set."
            lines.append(f"OCTO_AUTHORIZATION_HEADER (the value of the Authorization header) {verb}")
        code = EXIT_CODES.get(status, INVALID if 400 <= status < 500 else UNREACHABLE)
        undone = status == 429 or (status == 503 and title == "Stopping")
        return Failure(code, "\n".join(lines), undone, retry_after(response) or (1 if undone else 0))

    def send_once(
        self, method: str, path: str, timeout: float = POST_TIMEOUT, signed: bool = False, **options: Any
    ) -> "Response":
        """One request, one answer. Redirects are not followed: a POST would come out as a GET."""
        url = f"{self.url}{path}" if signed else f"{self.url}/api/v1{path}"
        options |= {"timeout": (CONNECT_TIMEOUT, timeout), "allow_redirects": False}
        with self.sentences(changing=method != "GET"):
            response = self.session.request(method, url, **options)
            if response.status_code < 300:
                return response
            raise self.problem(response, signed)

    def send(self, method: str, path: str, **options: Any) -> "Response":
        """The answer to a request that may change something. The patient repeat it, if nothing can have come of it."""
        once = partial(self.send_once, method, path, **options)
        return persist(once, lambda failure: failure.undone, Progress(self.patience))

    def get(self, path: str, wait: Progress | None = None, **options: Any) -> "Response":
        """GET; tried again while the server cannot be reached during a --wait, or by the patient."""
        once = partial(self.send_once, "GET", path, **{"timeout": GET_TIMEOUT} | options)
        return persist(once, lambda failure: failure.code == UNREACHABLE, wait or Progress(self.patience))


# --- Bundles --------------------------------------------------------------------------------------------------------


@contextmanager
def local_files() -> Iterator[None]:
    """Turn what the operating system says of files here into a Failure."""
    try:
        yield
    except OSError as error:
        about = error.filename2 or error.filename or "while packing"
        raise Failure(USAGE, f"{about}: {error.strerror or error}.") from None


def servo_key() -> bytes:
    """What bundles are signed with and their files encrypted."""
    key = (os.environ.get("OCTO_SERVO_TOKEN") or os.environ.get("SERVO_TOKEN") or "").strip()
    if not key:
        raise Failure(USAGE, "SERVO_TOKEN is not set: the token that the server knows bundles by.")
    return os.fsencode(key)


def part_of_regex(part: re.Match[str]) -> str:
    """The regular expression for a part of a pattern."""
    if part["itself"]:
        return re.escape(part["itself"])
    if part["of"] is None:
        return WILDCARDS[part.lastgroup or ""]
    members = re.sub(r"\\(.)|([^-])", lambda match: re.escape(match[1] or match[2]), part["of"], flags=re.S)
    return f"(?!/)[{'^' if part['none'] else ''}{members}]"


def ignore_pattern(line: str) -> re.Pattern[str]:
    """What a line of .octoignore is about, as gitignore reads it: paths from `/`, those of directories end in a slash."""
    pattern, end = line.removesuffix("/"), "/" if line.endswith("/") else "/?"
    rooted = f"/{pattern.removeprefix('/')}" if "/" in pattern else f"/**/{pattern}"
    try:
        return re.compile(GLOB.sub(part_of_regex, rooted) + end, re.S)
    except re.error:
        raise Failure(USAGE, f"{IGNORE_FILE}: {line!r} is not understood.") from None


def ignore_rules(directory: str) -> list[tuple[bool, re.Pattern[str]]]:
    """The lines of the directory's .octoignore: whether it is one to pack (!), and the paths that it is about."""
    try:
        with open(os.path.join(directory, IGNORE_FILE), encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = [re.sub(r"(?<!\\) +$", "", line.rstrip("\n")) for line in file]
    except FileNotFoundError:
        return []
    rules = [(line.startswith("!"), line.removeprefix("!")) for line in lines if not line.startswith("#")]
    return [(packed, ignore_pattern(rest)) for packed, rest in rules if rest.strip("/")]


def walk(directory: str, rules: list[tuple[bool, re.Pattern[str]]], below: str = "") -> Iterator[str]:
    """The paths in a directory that are to be packed, always in the same order; those of directories end in a slash."""
    with os.scandir(os.path.join(directory, below)) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{below}{entry.name}" + "/" * entry.is_dir(follow_symlinks=False)
        packed = next((packed for packed, pattern in reversed(rules) if pattern.fullmatch(f"/{path}")), True)
        if packed and entry.name not in NEVER_PACKED:
            yield path
            if path.endswith("/"):
                yield from walk(directory, rules, path)


def member(directory: str, path: str) -> tarfile.TarInfo:
    """What the archive says of a file or directory: whose it is stays here. A link in the directory becomes a file."""
    local, info = os.path.join(directory, path), tarfile.TarInfo(path)
    inside = os.path.realpath(local).startswith(os.path.join(os.path.realpath(directory), ""))
    if re.search("[\ud800-\udfff]", path):
        raise Failure(USAGE, f"the name of {local} is not valid UTF-8.")
    if path.endswith("/"):
        info.type = tarfile.DIRTYPE
    elif not (inside and os.path.isfile(local)):
        raise Failure(USAGE, f"{local} is neither a file, nor a directory, nor a link to a file in {directory}.")
    status = os.stat(local)
    info.size = status.st_size if info.isfile() else 0
    info.mode = 0o755 if info.isdir() or status.st_mode & 0o100 else 0o644
    info.mtime = int(status.st_mtime)
    return info


def pack(directory: str, paths: Iterable[str], file: IO[bytes]) -> None:
    """Write files to a gzipped tar archive. The same files are the same bytes, whoever packs them and when."""
    with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed, tarfile.open(mode="w", fileobj=packed) as archive:
        for path in paths:
            info = member(directory, path)
            if info.isdir():
                archive.addfile(info)
                continue
            with open(os.path.join(directory, path), "rb") as content:
                archive.addfile(info, content)


def packed_paths(directory: str, scripts: Sequence[str]) -> list[str]:
    """The paths in a directory that are to be packed; the scripts must be among them, encrypted ones too."""
    paths = list(walk(directory, ignore_rules(directory)))
    for script in scripts:
        if "+" in script:
            raise Failure(USAGE, f"{script}: a + separates scripts, and cannot be part of a name.")
        if script.endswith("/") or not {script, f"{script}.aes"} & set(paths):
            raise Failure(USAGE, f"{script} is not a file in {directory}, or its {IGNORE_FILE} leaves it out.")
    return paths


def digests(key: bytes, archive: IO[bytes]) -> tuple[str, str]:
    """The SHA-256 and the HMAC of the archive, which is read to its end."""
    digest, mac = hashlib.sha256(), hmac.new(key, digestmod="sha256")
    while piece := archive.read(1 << 20):
        digest.update(piece)
        mac.update(piece)
    return digest.hexdigest(), mac.hexdigest()


def signatures(key: bytes, digest: str, mac: str, path: str, variables: dict[str, str]) -> dict[str, str]:
    """The headers that sign an archive with these digests; and also that it is for this path, these variables and now."""
    timestamp, nonce = str(int(time.time())), secrets.token_urlsafe(24)
    pairs = [f"{name}={value}" for name, value in sorted(variables.items())]
    message = "\n".join(["octopod-v2", "POST", path, timestamp, nonce, digest, *pairs])
    second = hmac.digest(key, message.encode(), "sha256").hex()
    first = {"X-Signature": f"sha256={mac}"}
    return first | {"X-Signature-V2": f"sha256={second}", "X-Timestamp": timestamp, "X-Nonce": nonce}


# --- Encrypted files ------------------------------------------------------------------------------------------------


def bytes_to_key(digest: str, key: bytes, salt: bytes) -> bytes:
    """Key and IV as EVP_BytesToKey of OpenSSL makes them, in one round."""
    blocks = [b""]
    while sum(map(len, blocks)) < 48:
        blocks.append(hashlib.new(digest, blocks[-1] + key + salt, usedforsecurity=False).digest())
    return b"".join(blocks)[:48]


def pbkdf2(key: bytes, salt: bytes) -> bytes:
    """Key and IV as `openssl enc -pbkdf2` makes them."""
    return hashlib.pbkdf2_hmac("sha256", key, salt, 10_000, 48)


# What openssl enc does by default before 1.1.0, since then, and when told -pbkdf2; a file does not say by which it was made.
DERIVATIONS = (partial(bytes_to_key, "md5"), partial(bytes_to_key, "sha256"), pbkdf2)


def cbc(derived: bytes) -> Any:
    """AES-256-CBC with a derived key and IV."""
    ciphers = needed("cryptography.hazmat.primitives.ciphers")
    return ciphers.Cipher(ciphers.algorithms.AES(derived[:32]), ciphers.modes.CBC(derived[32:]))


def gcm(key: bytes, salt: bytes) -> Any:
    """AES-256-GCM with a key that is expensive to guess."""
    derived = hashlib.scrypt(key, salt=salt, n=1 << 15, r=8, p=1, maxmem=64 << 20, dklen=32)
    return needed("cryptography.hazmat.primitives.ciphers.aead").AESGCM(derived)


def encrypted(plain: bytes, key: bytes) -> bytes:
    """The content of an .aes file, in base64 as all of them are."""
    head = OURS + os.urandom(16 + 12)
    return armoured(head + gcm(key, head[8:24]).encrypt(head[24:], plain, head))


def encrypted_openssl(plain: bytes, key: bytes) -> bytes:
    """The same, such that `openssl enc -d -base64 -aes-256-cbc -k KEY` can read it."""
    padded = plain + bytes([16 - len(plain) % 16]) * (16 - len(plain) % 16)
    data = b""
    while not data or decrypted_openssl(data, key) != plain:  # seldom, another derivation seems to fit
        head = OPENSSL + os.urandom(8)
        encryptor = cbc(bytes_to_key("sha256", key, head[8:])).encryptor()
        data = head + encryptor.update(padded) + encryptor.finalize()
    return armoured(data)


def armoured(data: bytes) -> bytes:
    """In lines of base64."""
    text = base64.b64encode(data)
    return b"".join(text[i : i + 64] + b"\n" for i in range(0, len(text), 64))


def without_armour(content: bytes) -> bytes:
    """The bytes of an .aes file, which may be in base64. Raises ValueError if they do not begin as they should."""
    bare = b"".join(content.split())
    try:
        data = content if content.startswith((OPENSSL, OURS)) else base64.b64decode(bare, validate=True)
    except ValueError:
        data = b""
    if not data.startswith((OPENSSL, OURS)):
        raise ValueError("it was made neither by octo encrypt nor by openssl enc")
    return data


def decrypted(content: bytes, key: bytes) -> bytes:
    """What was encrypted, in either format. Raises ValueError if it cannot be told."""
    data = without_armour(content)
    if data.startswith(OPENSSL):
        return decrypted_openssl(data, key)
    try:
        return gcm(key, data[8:24]).decrypt(data[24:36], data[36:], data[:36])
    except needed("cryptography.exceptions").InvalidTag:
        raise ValueError("SERVO_TOKEN is not its key, or somebody changed it") from None


def decrypted_openssl(data: bytes, key: bytes) -> bytes:
    """What `openssl enc` encrypted. Padding is all that tells a right key; if several seem right, text is preferred, and
    then much padding, which is hardly ever there by chance."""
    if len(data) < 32 or len(data) % 16:
        raise ValueError("it is cut off")
    found = []
    for derive in DERIVATIONS:
        decryptor = cbc(derive(key, data[8:16])).decryptor()
        padded = decryptor.update(data[16:]) + decryptor.finalize()
        if padded[-1] in range(1, 17) and padded.endswith(padded[-1:] * padded[-1]):
            found.append(padded[: -padded[-1]])
    if not found:
        raise ValueError("SERVO_TOKEN is not its key")
    return min(found, key=lambda plain: (not is_text(plain), len(plain)))


def is_text(data: bytes) -> bool:
    """Whether it is UTF-8."""
    try:
        return data.decode() is not None
    except UnicodeDecodeError:
        return False


def write(path: str, content: bytes, mode: int) -> None:
    """Write a file at once: nobody sees half of it, not even somebody whom the mode lets read it."""
    descriptor, new = tempfile.mkstemp(prefix=".octo-", dir=os.path.dirname(path) or ".")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.chmod(new, mode)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise


# --- Waiting --------------------------------------------------------------------------------------------------------


def title(action: Json) -> str:
    """What a sentence calls an action."""
    return f"{action['kind']} of {action['deployment'] or action['scripts']} (action {action['id']})"


def watch(api: Api, action_id: int, progress: Progress) -> "Response":
    """The action as it is when it has finished, or when the time is up."""
    hold = 0
    while True:
        seconds = min(hold, progress.left())
        reply = api.get(f"/actions/{action_id}", progress, params={"wait": seconds}, timeout=seconds + 10)
        action = body(reply)
        progress.show(f"{title(action)}: {action['state']}")
        if action["finished_at"] or not progress.left():
            return reply
        hold = 1 if action["state"] == "queued" else 30
        time.sleep(0.1)  # a server about to stop does not hold


def settle(api: Api, name: str, progress: Progress) -> Json:
    """The deployment when a check has ended its pending status, or the time is up."""
    while True:
        deployment = body(api.get(deployment_path(name), progress, timeout=10))
        progress.show(f"{name}: {deployment['status']} {deployment['status_reason']}")
        if not deployment["status"].endswith("Pending") or not progress.left():
            return deployment
        time.sleep(min(0.5, progress.left()))


def verdict(action: Json, deployment: Json | None, command: str, to_cancel: str) -> tuple[int, str]:
    """The exit code of a --wait and the sentence that goes with it."""
    name, state, this = action["deployment"], action["state"], f"the {title(action)}"
    if not action["finished_at"]:
        return STILL_RUNNING, f"{this} is still {state}. It goes on; to cancel it: {to_cancel}"
    if state != "succeeded":
        code = FAILED if state != "cancelled" else DONE if command == "cancel" else CANCELLED
        return code, f"{this}: {state.replace('_', ' ')}. {action['reason']}"
    if command == "cancel":
        return FAILED, f"{this} had already succeeded."
    if deployment is None:
        return DONE, f"{this} succeeded in {took(action)}."
    status = deployment["status"]
    if status == GOALS[command]:
        return DONE, f"{name} is {status}; {this} took {took(action)}."
    code = STILL_RUNNING if status.endswith("Pending") else FAILED
    return code, f"{this} did its work, but {name} is {status}: {deployment['status_reason']}"


@contextmanager
def going_on(action_id: int, to_cancel: str, to_look: str) -> Iterator[None]:
    """Say what to do about an action that goes on without us, whether the user or the network stops us."""
    try:
        yield
    except KeyboardInterrupt:
        hint = f"Action {action_id} goes on; to cancel it: {to_cancel}"
        raise Failure(INTERRUPTED, f"stopped waiting. {hint}") from None
    except Failure as failure:
        raise Failure(failure.code, f"{failure}\nHow action {action_id} ends is not known; see {to_look}.") from None


def wait(api: Api, args: Args, action_id: int) -> int:
    """Wait for what the command asked for; print how it ended; return the exit code."""
    progress, to_cancel = (
        Progress(WAIT_TIMEOUT if args.timeout is None else args.timeout),
        f"octo cancel -a {action_id}",
    )
    with going_on(action_id, to_cancel, "octo info"):
        reply = watch(api, action_id, progress)
        action, deployment = body(reply), None
        if action["state"] == "succeeded" and args.command in GOALS:
            deployment = settle(api, action["deployment"], progress)
    code, sentence = verdict(action, deployment, args.command, to_cancel)
    say(f"octo: {sentence}")
    if code and action["output_tail"]:
        say("Last lines of its output:\n" + textwrap.indent(action["output_tail"].rstrip(), "  "))
    if args.json:
        emit(reply.content)
    elif deployment and deployment["status"] == "Running" and not code:
        print_links(deployment)
    return code


def log_of(api: Api, action_id: int, params: Json, patience: float, as_text: bool, wait: Progress | None = None) -> Any:
    """What an action's script wrote, piece by piece."""
    reply = api.get(f"/actions/{action_id}/logs", wait, params=params, stream=True, timeout=patience)
    reply.encoding = "utf-8"
    with api.sentences():
        yield from reply.iter_content(None, decode_unicode=as_text)


def log_as_it_comes(api: Api, action_id: int, progress: Progress, as_text: bool) -> Iterator[Any]:
    """What a run writes, until it has finished or the time is up; a server that goes away only delays it."""
    seen, params = 0, {"stream": "stdout", "follow": "true"}
    while progress.left():
        position, patience = 0, max(1.0, progress.left() / 2)  # half, since every piece starts it afresh
        try:
            for piece in log_of(api, action_id, params, patience, as_text, progress):
                yield piece[max(0, seen - position) :]
                position += len(piece)
                seen = max(seen, position)
                if progress.left() < patience:
                    break
            else:
                if body(api.get(f"/actions/{action_id}", progress))["finished_at"]:
                    return
        except Failure as failure:
            if failure.code != UNREACHABLE:
                raise
        time.sleep(0.1)  # a server about to stop does not hold


# --- Commands: (api, args) -> exit code -----------------------------------------------------------------------------


def overrides(args: Args, level: str) -> dict[str, str | None]:
    """The overrides of one level that the options ask for; None takes a default away. A key may be named only once."""
    pairs: list[tuple[str, str | None]] = list(getattr(args, f"set_{level}"))
    if level == "deployment" and args.tag:
        pairs.append((os.environ.get("OCTO_TAG_KEY") or "tag", args.tag))
    pairs += [(key, None) for key in getattr(args, f"remove_{level}", [])]
    keys = [key for key, _ in pairs] + getattr(args, f"unset_{level}", [])
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise Failure(USAGE, f"the {level} key {twice!r} is given more than once.")
    return dict(pairs)


def variables(args: Args) -> dict[str, str]:
    """The variables of a run, by the names that scripts see. A name may be given only once."""
    names = [name for name, _ in args.variables]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Failure(USAGE, f"the variable {twice!r} is given more than once.")
    return dict(args.variables)


def accepted(api: Api, args: Args, reply: "Response", action_id: int) -> int:
    """What follows when the server has accepted an action: wait for it, or say how to follow it."""
    if args.wait:
        return wait(api, args, action_id)
    answer, follow = body(reply), f"octo logs --follow -a {action_id}"
    name = answer["deployment"] if "deployment" in answer else answer["name"]
    if name is not None:
        follow = f"octo status -n {name}, {follow}"
    say(f"Asked for the {args.command} of {name or answer['scripts']}: action {action_id}. Follow it with: {follow}")
    if args.json:
        return emit(reply.content)
    print(action_id)
    return DONE


def act(api: Api, args: Args) -> int:
    """Ask for an action. For update the server merges, so that overrides not named stay."""
    path, payload = f"{deployment_path(args.name)}/actions", {"kind": args.command}
    if args.command == "create":
        path, payload = "/deployments", {"name": args.name}
        payload |= {f"{level}_overrides": overrides(args, level) for level in LEVELS}
    if args.command == "update":
        for level in LEVELS:
            payload[level] = {"set": overrides(args, level), "unset": getattr(args, f"unset_{level}")}
    reply = api.send("POST", path, json=payload)
    return accepted(api, args, reply, int(reply.headers["Location"].rstrip("/").rsplit("/", 1)[-1]))


def cancel(api: Api, args: Args) -> int:
    """Stop an unfinished action."""
    action_id = args.action
    if action_id is None:
        action = body(api.get(deployment_path(args.name)))["action"]
        if not action:
            raise Failure(CONFLICT, f"{args.name} has no unfinished action.")
        action_id = action["id"]
    return accepted(api, args, api.send("POST", f"/actions/{action_id}/cancel"), action_id)


def delete(api: Api, args: Args) -> int:
    """Make the server forget a deployment."""
    reply = api.send("DELETE", deployment_path(args.name))
    say(f"Forgot {args.name}; no script was run.")
    return emit(reply.content) if args.json else DONE


def list_deployments(api: Api, args: Args) -> int:
    """List deployments, of all pages."""
    params = {"archived": args.archived, "status": args.status, "q": args.query, "sort": args.sort}
    replies = [api.get("/deployments", params=params)]
    while cursor := body(replies[-1])["next"]:
        replies.append(api.get("/deployments", params=params | {"cursor": cursor}))
    if args.json:
        merged = {"items": [item for reply in replies for item in reply.json()["items"]], "next": None}
        return emit(replies[0].content if len(replies) == 1 else json.dumps(merged) + "\n")
    items = [item for reply in replies for item in body(reply)["items"]]
    if args.names:
        return emit("".join(f"{item['name']}\n" for item in items))
    rows = [
        (item["name"], item["status"], moment(item["updated_at"]), item["action"] and item["action"]["kind"])
        for item in items
    ]
    if not rows:
        say("No deployments.")
    table("", ("NAME", "STATUS", "CHANGED", "ACTION"), rows)
    return DONE


def info(api: Api, args: Args) -> int:
    """Show a deployment, its overrides, links and last actions."""
    path = deployment_path(args.name)
    reply = api.get(path)
    if args.json:
        return emit(reply.content)
    deployment, actions = body(reply), body(api.get(f"{path}/actions", params={"limit": 10}))["items"]
    print(f"{deployment['name']}: {paint(deployment['status'])}")
    for line in textwrap.wrap(one_line(deployment["status_reason"]), width() - 2):
        print(f"  {line}")
    times = [(word, moment(deployment[f"{word}_at"])) for word in ("created", "updated", "checked", "archived")]
    print("  " + ", ".join(f"{word} {when}" for word, when in times if when))
    print("\nLinks" if deployment["links"] else "\nLinks: none")
    print_links(deployment, indent="  ")
    for level in LEVELS:
        pairs = deployment[f"{level}_overrides"].items()
        rows = [(key, "<<REMOVED>>" if value is None else value) for key, value in pairs]
        table(f"{level.capitalize()} overrides", ("KEY", "VALUE"), rows)
    rows = [
        (*map(a.get, ("id", "kind", "state", "requested_by")), moment(a["requested_at"]), took(a), a["exit_code"])
        for a in actions
    ]
    table("Last actions", ("ID", "KIND", "STATE", "BY", "ASKED", "TOOK", "EXIT"), rows)
    return DONE


def status(api: Api, args: Args) -> int:
    """Print the status and why; exit 0 if it is Running."""
    path = deployment_path(args.name)
    reply = api.send("POST", f"{path}/check") if args.check else api.get(path)
    now = body(reply)
    if args.json:
        emit(reply.content)
    else:
        reason = one_line(now["reason" if args.check else "status_reason"])
        print(paint(now["status"]) + (f": {reason}" if reason else ""))
    return DONE if now["status"] == "Running" else FAILED


def config(api: Api, args: Args) -> int:
    """Show what the control scripts receive for a deployment and where it comes from; without a name, the defaults."""
    if not args.name:
        return defaults(api, args)
    reply = api.get(f"{deployment_path(args.name)}/config")
    if args.json:
        return emit(reply.content)
    for level in LEVELS:
        rows = [
            (pair["key"], pair["value"], pair["origin"], None if pair["origin"] == "default" else pair["default"])
            for pair in body(reply)[level]
        ]
        table(f"{level.capitalize()} config", ("KEY", "VALUE", "ORIGIN", "DEFAULT"), rows)
    return DONE


def defaults(api: Api, args: Args) -> int:
    """Show the defaults and the suggested keys; those of the application for the given deployment overrides."""
    given = {"deployment_overrides": overrides(args, "deployment")}
    answers = {
        "deployment": body(api.get("/config/deployment")),
        "deployment_keys": body(api.get("/config/deployment/keys")),
        "application": body(api.send("POST", "/config/application", json=given)),
        "application_keys": body(api.send("POST", "/config/application/keys", json=given)),
    }
    if args.json:
        return emit(json.dumps(answers) + "\n")
    for level in LEVELS:
        pairs, keys = answers[level], answers[f"{level}_keys"]
        values = dict.fromkeys(keys["items"], "") | {pair["key"]: pair["value"] for pair in pairs["items"]}
        stale = " (stale: the script that tells them fails)" if pairs["stale"] or keys["stale"] else ""
        table(f"{level.capitalize()} keys and defaults{stale}", ("KEY", "DEFAULT"), list(values.items()))
    return DONE


def logs(api: Api, args: Args) -> int:
    """Print what an action's script wrote; with a name, its newest action's, also if the deployment is gone."""
    action_id = args.action
    if action_id is None:
        found = body(api.get("/actions", params={"deployment": args.name, "limit": 1}))["items"]
        if not found:
            raise Failure(NOT_FOUND, f"there is no action of a deployment named {args.name!r}.")
        action_id = found[0]["id"]
    if args.json:
        return emit(api.get(f"/actions/{action_id}").content)
    params = {"stream": STREAMS[args.log_type], "follow": "true" if args.follow else None}
    patience = FOLLOW_TIMEOUT if args.follow else GET_TIMEOUT
    for piece in log_of(api, action_id, params, patience, as_text=sys.stdout.isatty()):
        emit(piece)
    if args.follow:
        say(f"Action {action_id}: {body(api.get(f'/actions/{action_id}'))['state']}.")
    return DONE


def run_bundle(api: Api, args: Args) -> int:
    """Pack a directory, let the server run scripts of it, print what they write; exit by how it ends."""
    progress = Progress(FOLLOW_TIMEOUT if args.timeout is None else args.timeout)
    reply = send_bundle(api, args, variables(args), progress)
    answer = body(reply)
    if "log" in answer:  # it is over, or was not even begun
        emit(reply.content if args.json else "".join(f"{line}\n" for line in reply.json()["log"]))
        return DONE if answer["ok"] else FAILED
    api.use_ticket(answer["authorization"])
    if not args.detach:
        return follow_run(api, args, answer["run"], progress)
    to_follow = api.hint(f"logs --follow -a {answer['run']}")
    say(f"Asked for the run of {'+'.join(args.scripts)}: action {answer['run']}. Follow it with: {to_follow}")
    return emit(reply.content if args.json else f"{answer['run']}\n")


def send_bundle(api: Api, args: Args, variables: dict[str, str], progress: Progress) -> "Response":
    """Pack, sign and upload, by way of a file and not of memory; the server's answer."""
    key, path, boundary = servo_key(), f"/run/{'+'.join(args.scripts)}", secrets.token_hex(16)
    headers = FORM_HEADERS | {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    headers |= {f"X-Var-{name.replace('_', '-')}": value.encode() for name, value in variables.items()}
    with local_files(), tempfile.TemporaryFile() as form:
        start = form.write(FORM_HEAD.format(boundary).encode())
        pack(args.directory, packed_paths(args.directory, args.scripts), form)
        form.seek(start)
        digest, mac = digests(key, form)
        form.write(FORM_TAIL.format(boundary).encode())

        def upload() -> "Response":
            form.seek(0)
            signed = headers | signatures(key, digest, mac, path, variables)  # afresh: good for a while, and once
            return api.send_once("POST", quote(path, safe="/+"), signed=True, data=form, headers=signed)

        return until_accepted(upload, Progress(min(api.patience, progress.left())), progress.until)


def until_accepted(upload: Callable[[], "Response"], progress: Progress, until: float) -> "Response":
    """The answer to an upload; who has no room for it, or is about to restart, is asked again `until` the time is up."""

    def worth(failure: Failure) -> bool:
        if failure.pause:  # it is there, so it will be there again
            progress.until = until
        return failure.undone

    try:
        return persist(upload, worth, progress)
    except Failure as failure:
        if failure.undone and progress.until == until:
            raise Failure(failure.code, f"the server did not take the run in time. {failure}") from None
        raise


def log_lines(text: str, action: Json) -> list[str]:
    """The log of a run as the server would answer with it: the last line says why it failed."""
    lines, reason = text.removesuffix("\n").split("\n") if text else [], f"failure ({action['reason']})"
    if action["state"] == "succeeded" or not action["finished_at"] or (lines and lines[-1].endswith(reason)):
        return lines
    return [*lines, reason]


def follow_run(api: Api, args: Args, action_id: int, progress: Progress) -> int:
    """Print the log of a run as it comes, and how it ended; return the exit code."""
    to_cancel, kept = api.hint(f"cancel -a {action_id}"), []
    with going_on(action_id, to_cancel, api.hint(f"logs -a {action_id}")):
        for piece in log_as_it_comes(api, action_id, progress, as_text=args.json or sys.stdout.isatty()):
            if args.json:
                kept.append(piece)
            else:
                emit(piece)
        action = body(api.get(f"/actions/{action_id}", progress))
    code, sentence = verdict(action, None, args.command, to_cancel)
    say(f"octo: {sentence}")
    if args.json:
        emit(json.dumps({"ok": int(code == DONE), "log": log_lines("".join(kept), action)}) + "\n")
    return code


def encrypt(api: Api, args: Args) -> int:
    """Encrypt files for bundles, as FILE.aes, readable by whoever may read FILE; print their names."""
    key, written = servo_key(), []
    for path in args.files:
        with local_files(), open(path, "rb") as file:
            content = (encrypted_openssl if args.openssl else encrypted)(file.read(), key)
            write(f"{path}.aes", content, stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        written.append(f"{path}.aes")
    return tell_written(args, written)


def decrypt(api: Api, args: Args) -> int:
    """Decrypt FILE.aes to FILE, readable by the user alone; print the names. Nothing is written unless all fit."""
    key, plain = servo_key(), {}
    for path in args.files:
        with local_files(), open(path, "rb") as file:
            try:
                plain[path.removesuffix(".aes")] = decrypted(file.read(), key)
            except ValueError as error:
                raise Failure(INVALID, f"cannot decrypt {path}: {error}.") from None
    for path, content in plain.items():
        with local_files():
            write(path, content, 0o600)
    return tell_written(args, list(plain))


def tell_written(args: Args, paths: list[str]) -> int:
    """Print the names of files that were written."""
    return emit(json.dumps({"files": paths}) + "\n" if args.json else "".join(f"{path}\n" for path in paths))


def list_tokens(api: Api, args: Args) -> int:
    """List the tokens that sign bundles, without the tokens themselves."""
    reply = api.get("/tokens")
    if args.json:
        return emit(reply.content)
    rows = []
    for token in body(reply)["items"]:
        limits = [" ".join(token[limit]) or "all" for limit in ("scripts", "deployments")]
        times = [moment(token[when]) for when in ("last_used_at", "expires_at")]
        rows.append((token["name"], token["role"], *limits, *times))
    table("", ("NAME", "ROLE", "SCRIPTS", "DEPLOYMENTS", "LAST USED", "EXPIRES"), rows)
    return DONE


def create_token(api: Api, args: Args) -> int:
    """Create a token and print it."""
    limits = {"scripts": args.only_scripts, "deployments": args.only_deployments}
    return show_token(api.send("POST", "/tokens", json={"name": args.token, "role": args.role, **limits}), args)


def rotate_token(api: Api, args: Args) -> int:
    """Replace a token and print the new one; the old one stays good for the overlap."""
    return show_token(api.send("POST", f"{token_path(args)}/rotate", json={"overlap": args.overlap}), args)


def remove_token(api: Api, args: Args) -> int:
    """Remove a token."""
    api.send("DELETE", token_path(args))
    say(f"Removed {args.token}: what it signs is refused from now on.")
    return DONE


def token_path(args: Args) -> str:
    """The API's path of the token that the arguments name."""
    return f"/tokens/{quote(args.token, safe='')}"


def show_token(reply: "Response", args: Args) -> int:
    """Print a new token, and say what it is."""
    say(f"The token {args.token}, for SERVO_TOKEN. It is shown only now; who has it can run scripts on the server.")
    return emit(reply.content if args.json else f"{body(reply)['token']}\n")


def version(api: Api, args: Args) -> int:
    """Print the version of octo and, if it answers, of the server; exit 0 either way."""
    server: Json | None = None
    try:
        server = body(api.get("/project", timeout=CONNECT_TIMEOUT))
    except Failure as failure:
        say(f"octo: {failure}")
    if args.json:
        return emit(json.dumps({"octo": VERSION, "server": server}) + "\n")
    print(f"octo {VERSION}")
    if server:
        print(f"server {server['version']} ({server['name']}, suite {server['suite']}) at {api.url}")
    return DONE


# --- Arguments ------------------------------------------------------------------------------------------------------


def parse_word(text: str) -> str:
    """A name, key or tag. The server knows the rules; here it must at least be something, and no step in a path."""
    if not text.strip(". "):
        raise argparse.ArgumentTypeError(f"{text!r} names nothing")
    return text.strip()


def parse_pair(text: str) -> tuple[str, str]:
    """K=V, split at the first =; the value is taken as it is."""
    key, _, value = text.partition("=")
    if not key.strip() or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key.strip(), value


def parse_variable(text: str) -> tuple[str, str]:
    """KEY:VALUE, split at the first colon: the name that scripts see, and the value. Both must fit into a header."""
    key, colon, value = text.partition(":")
    if not colon or not HEADER_NAME.fullmatch(key):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY:VALUE")
    if not HEADER_VALUE.fullmatch(value) or value != value.strip(" \t"):
        raise argparse.ArgumentTypeError(f"the value of {key} has line breaks or blanks around it; put it into a file")
    return key.upper().replace("-", "_"), value


def parse_duration(text: str) -> int:
    """Seconds in 90, 90s, 5m or 1h."""
    match = re.fullmatch(r"(\d{1,6})([smh]?)", text, re.ASCII)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration like 90s, 5m or 1h")
    return int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


STREAMS = {"stdout": "stdout", "stderr": "stderr", "all": "all", "out": "stdout", "err": "stderr", "both": "all"}
ARCHIVED: Json = {"choices": ("false", "true", "all"), "default": "all"}
FLAG: Json = {"action": "store_true"}
WORD: Json = {"type": parse_word}
DURATION: Json = {"type": parse_duration, "metavar": "DURATION"}
KEYS: Json = {"action": "append", "default": [], "metavar": "K", "type": parse_word}
PAIRS = KEYS | {"metavar": "K=V", "type": parse_pair}
GLOBS = KEYS | {"metavar": "GLOB"}
VARIABLES = KEYS | {"metavar": "K:V", "type": parse_variable}
UNSET_APP = "-E --unset-app-config --unset-app-env-override"
UNSET_DEPLOYMENT = "-O --unset-deployment-config --unset-deployment-override"
OPTIONS: dict[str, tuple[str, str, Json]] = {  # flags (none: by position), help, what else add_argument should know
    "name": ("-n --name", "the deployment", WORD),
    "action": ("-a --action", "the action's id", {"metavar": "ID", "type": int}),
    "set_application": ("-e --set-app-config", "set an application override", PAIRS),
    "set_deployment": ("-o --set-deployment-config", "set a deployment override", PAIRS),
    "tag": ("-t --tag", "the same as -o tag=TAG", WORD),
    "unset_application": (UNSET_APP, "drop an application override, back to the default", KEYS),
    "unset_deployment": (UNSET_DEPLOYMENT, "drop a deployment override, back to the default", KEYS),
    "remove_application": ("--remove-app-config", "take an application default away", KEYS),
    "remove_deployment": ("--remove-deployment-config", "take a deployment default away", KEYS),
    "wait": ("--wait", "wait for the outcome; the exit code tells it", FLAG),
    "timeout": ("--timeout", "for how long to wait: 90, 90s, 5m, 1h (default 30m; run: 1h)", DURATION),
    "yes": ("-y --yes", "do not ask", FLAG),
    "archived": ("--archived", "without, only, or with archived ones (default all)", ARCHIVED),
    "status": ("--status", "only those with this status", {}),
    "query": ("-q --query", "only those that this text finds", {}),
    "sort": ("--sort", "name, created, changed; --sort=-KEY descends (default -changed)", {"default": "-changed"}),
    "names": ("--names", "names only, one per line", FLAG),
    "log_type": ("-l --log-type", "which output (default all)", {"choices": STREAMS, "default": "all"}),
    "follow": ("-f --follow", "go on until the action has finished", FLAG),
    "check": ("--check", "run the check now", FLAG),
    "directory": ("", "the directory to upload", {"metavar": "DIR"}),
    "scripts": ("", "a file in DIR; they run in this order until one fails", {"metavar": "SCRIPT", "nargs": "+"}),
    "variables": ("-v --variable", "an environment variable of the scripts", VARIABLES),
    "files": ("", "a file", {"metavar": "FILE", "nargs": "+"}),
    "openssl": ("--openssl", "in the format of openssl enc, which does not notice changes", FLAG),
    "token": ("", "the token's name", WORD | {"metavar": "NAME"}),
    "role": ("--role", "what its scripts may do (default user)", {"choices": ("user", "admin"), "default": "user"}),
    "only_scripts": ("--scripts", "run only scripts whose names fit (default all)", GLOBS),
    "only_deployments": ("--deployments", "touch only deployments whose names fit (default all)", GLOBS),
    "overlap": ("--overlap", "how long the old one stays good: 90s, 5m, 1h (default 1h)", DURATION | {"default": 3600}),
    "detach": ("--detach", "do not wait, print the id of the run", FLAG),
}

UNSET = "unset_application unset_deployment"
CHANGE = "name! set_application set_deployment tag remove_application remove_deployment"
COMMANDS: dict[str, tuple[Callable[[Api, Args], int], str, str]] = {  # what runs it, its OPTIONS (! required), help
    "create": (act, f"{CHANGE} wait timeout", "create a deployment"),
    "list": (list_deployments, "archived status query sort names", "list deployments"),
    "info": (info, "name!", "show a deployment, its overrides, links and last actions"),
    "update": (act, f"{CHANGE} {UNSET} wait timeout", "change overrides of a deployment; those not named stay"),
    "archive": (act, "name! wait timeout", "free a deployment's resources, keep its data"),
    "restore": (act, "name! wait timeout", "bring an archived deployment back"),
    "cleanup": (act, "name! yes wait timeout", "remove an archived deployment for good"),
    "delete": (delete, "name! yes", "make the server forget a deployment, without any script"),
    "logs": (logs, "action name log_type follow", "print the output of an action"),
    "status": (status, "name! check", "print a deployment's status; exit 0 if it is Running, else 1"),
    "config": (config, "name set_deployment tag", "show a deployment's configuration; without -n, defaults and keys"),
    "cancel": (cancel, "action name wait timeout", "stop an unfinished action"),
    "run": (
        run_bundle,
        "directory scripts variables detach timeout",
        "upload a directory, sign it and run scripts of it",
    ),
    "encrypt": (encrypt, "files openssl", "encrypt files of a bundle, as FILE.aes"),
    "decrypt": (decrypt, "files yes", "decrypt FILE.aes to FILE"),
    "token list": (list_tokens, "", "list the tokens that sign bundles"),
    "token create": (create_token, "token role only_scripts only_deployments", "create a token and print it"),
    "token rotate": (rotate_token, "token overlap", "replace a token and print the new one"),
    "token remove": (remove_token, "token", "refuse a token from now on"),
    "version": (version, "", "print the versions of octo and of the server"),
}
GROUPS = {"token": "manage the tokens that sign bundles"}
EPILOG = f"""\
environment:
  OCTOPOD_URL                the server (default {DEFAULT_URL})
  OCTO_AUTHORIZATION_HEADER  value of the Authorization header; not needed by a server without logins
  OCTO_TAG_KEY               the deployment override that --tag sets (default tag)
  OCTO_PATIENCE              for how long to wait for a server that restarts: 90, 90s, 5m (default 0)
  SERVO_TOKEN                run signs with it, encrypt and decrypt use it; OCTO_SERVO_TOKEN comes before it

exit codes:
  0 done  1 the action failed  2 usage  3 not found  4 not authorised  5 conflict  6 invalid
  7 still running when the time was up  8 cancelled  9 server unreachable, or busy for too long

examples:
  octo create -n orange -t v1.2 -e db.size=small --wait
  octo update -n orange -e db.size=big -E db.host --wait --timeout 10m
  octo list --status Running --names
  octo logs -n orange --follow
  octo config -o size=big
  octo run ci deploy.py test.py -v TARGET:qa

octo COMMAND --help shows the options of a command."""


def parser() -> argparse.ArgumentParser:
    """The parser made of COMMANDS and OPTIONS."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--json", action="store_true", help="print the API's answer as it is")
    common.add_argument("--no-color", action="store_true", help="no colours (as with NO_COLOR set)")
    shape: Json = {"parents": [common], "formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    top = argparse.ArgumentParser("octo", description="Manage the deployments of Octopod.", epilog=EPILOG, **shape)
    placed: Json = {"dest": "command", "metavar": "COMMAND", "required": True}
    groups = {"": top.add_subparsers(**placed)}
    for name, (_, options, about) in COMMANDS.items():
        group, _, word = name.rpartition(" ")
        if group not in groups:
            parent = groups[""].add_parser(group, help=GROUPS[group], description=GROUPS[group], **shape)
            groups[group] = parent.add_subparsers(**placed)
        command = groups[group].add_parser(word, help=about, description=about, **shape)
        command.set_defaults(command=name)
        for option in options.split():
            add_option(command, option.rstrip("!"), required=option.endswith("!"))
    return top


def add_option(command: argparse.ArgumentParser, name: str, required: bool) -> None:
    """Give the command one of OPTIONS."""
    flags, text, settings = OPTIONS[name]
    if flags:
        command.add_argument(*flags.split(), dest=name, required=required, help=text, **settings)
    else:
        command.add_argument(name, help=text, **settings)


def check_arguments(argv: Sequence[str], args: Args) -> None:
    """Raise Failure for what argparse cannot see."""
    if re.search("[\ud800-\udfff]", "".join(argv)):
        raise Failure(USAGE, "the arguments are not valid UTF-8.")
    if args.command in ("logs", "cancel") and (args.action is None) == (args.name is None):
        raise Failure(USAGE, f"{args.command} needs either -a ID or -n NAME.")
    if args.command == "config" and args.name and (args.set_deployment or args.tag):
        raise Failure(USAGE, "-o and -t are for defaults; they do not go with -n.")
    if getattr(args, "timeout", None) is not None and not getattr(args, "wait", True):
        raise Failure(USAGE, "--timeout needs --wait.")
    for file in getattr(args, "files", []):
        if (os.path.splitext(file)[1] == ".aes") != (args.command == "decrypt"):
            raise Failure(USAGE, f"{file}: decrypt takes files that end in .aes, and encrypt those that do not.")
    if args.command == "run" and args.detach and args.timeout is not None:
        raise Failure(USAGE, "--timeout does not go with --detach, which does not wait for the end.")


def confirm(args: Args) -> None:
    """On a terminal, ask before what cannot be undone; elsewhere (CI) there is nobody to ask."""
    if getattr(args, "yes", True) or not sys.stdin.isatty():
        return
    question, answer = "", "yes"
    if args.command != "decrypt":
        question, answer = f"This cannot be undone. Type {args.name} to {args.command} it: ", args.name
    elif there := [path for path in (file.removesuffix(".aes") for file in args.files) if os.path.lexists(path)]:
        question = f"This overwrites {', '.join(there)}. Type yes to go on: "
    if question:
        print(question, end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip() != answer:
            raise Failure(USAGE, f"that is not {answer}; nothing was done.")


def run(argv: Sequence[str]) -> int:
    """Run one command, say what went wrong; return its exit code."""
    args = parser().parse_args(argv, Args(json=False, no_color=False))
    if args.no_color:
        os.environ["NO_COLOR"] = "1"
    try:
        check_arguments(argv, args)
        confirm(args)
        return COMMANDS[args.command][0](Api(), args)
    except Failure as failure:
        say(f"octo: {failure}")
        return failure.code
    except (KeyError, TypeError, ValueError) as error:
        say(f"octo: the answer was not understood ({error!r}). Do octo {VERSION} and the server belong together?")
        return UNREACHABLE
    except KeyboardInterrupt:
        say("octo: interrupted.")
        return INTERRUPTED


def main() -> int:
    """The entry point: run the command that sys.argv holds, quietly if nobody reads its output any more."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a narrow locale is no error
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or the interpreter complains as it ends
        return BROKEN_PIPE


if __name__ == "__main__":
    sys.exit(main())
