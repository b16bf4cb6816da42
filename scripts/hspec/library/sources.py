"""Where specs come from: a plain directory of this machine, a git repository of this machine, or one behind a URL."""

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from library.settings import Settings
from shared.files import is_below
from shared.output import Failure, hide

SCHEMES = ("https", "http", "ssh", "git")
OVER_SSH = re.compile(r"([A-Za-z0-9][\w.-]*@)?[A-Za-z0-9][\w.-]*:(?!:|//).+")  # user@host:path
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Login(NamedTuple):
    user: str
    password: str


class Source(NamedTuple):
    """A source that may be read. `remote` is what git is told; a plain directory has none."""

    remote: str = ""
    login: Login | None = None  # for https and http
    directory: Path | None = None  # of this machine

    @property
    def shown(self) -> str:
        """As people may see it: nobody's login."""
        return self.remote or str(self.directory)

    @property
    def is_local(self) -> bool:
        return self.directory is not None


def find(text: str, settings: Settings) -> Source:
    """The source that is meant. Reads nothing but what kind of directory it is. Raises Failure."""
    if not text:
        raise Failure("A source is needed: the URL of a git repository with service specs.")
    if path := local_path(text):
        return _directory(path, settings)
    if CONTROL.search(text) or text.startswith("-"):
        raise Failure("The source must be a URL, without line breaks and the like.")
    if "://" in text:
        return _url(text)
    if OVER_SSH.fullmatch(text):
        return Source(text)
    raise Failure(f'The source must be the URL of a git repository or the absolute path of a directory, not "{text}".')


def local_path(text: str) -> Path | None:
    """The path of a directory of this machine, when that is what is meant."""
    if text.lower().startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    return Path(text) if text.startswith("/") else None


def _url(text: str) -> Source:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Failure("The source is no URL that can be read.") from None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    hide([password or user] if parts.scheme in ("http", "https") else [password])
    if parts.scheme not in SCHEMES:
        raise Failure(f"The source must begin with {', '.join(f'{one}://' for one in SCHEMES)}, not {parts.scheme}://.")
    if not host or host.startswith("-") or CONTROL.search(user + password):
        raise Failure("The source is no URL of a git repository: host or login cannot be right.")
    where = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    if parts.scheme == "ssh":
        where = f"{parts.username}@{where}" if parts.username else where
    login = Login(user, password) if (user or password) and parts.scheme in ("http", "https") else None
    return Source(urlunsplit((parts.scheme, where, parts.path, parts.query, "")), login)


def _directory(path: Path, settings: Settings) -> Source:
    is_default = path == local_path(settings.defaults.get("source", ""))
    if not is_default and not is_below(path, settings.sources_dir):
        raise Failure(f"A directory of this machine must be one below SOURCES_DIR: {path} is not.")
    path = path.resolve()
    if not path.is_dir():
        raise Failure(f"There is no directory {path} on this machine.")
    if is_below(settings.data, path):
        raise Failure(f"The directory {path} cannot be a source: it contains this suite's own state.")
    return Source(str(path) if is_repository(path) else "", directory=path)


def is_repository(path: Path) -> bool:
    return (path / ".git").exists() or ((path / "HEAD").is_file() and (path / "objects").is_dir())
