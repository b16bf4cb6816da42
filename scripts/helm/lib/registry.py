"""The HTTP API of registries (OCI distribution, version 2), as far as reading goes."""

import http.client
import ipaddress
import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any, NamedTuple

from lib.credentials import Keyring, Login
from lib.images import DEFAULT_HOST
from shared import processes
from shared.output import Unreachable

TIMEOUT = 10.0
MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
        "docker.distribution.manifest.v1",
    )
)
PARAMETER = re.compile(r'(\w+)="([^"]*)"')
MOST_BYTES = 64 << 20


class Missing(Exception):
    """The registry says that there is no such thing."""


class Denied(Exception):
    """The registry does not let us look."""


class Silent(Exception):
    """The registry could not be asked; nothing follows for what is in it."""


class Broken(Silent):
    """The registry has answered, with something else than an answer."""


class _SameOriginOnly(urllib.request.HTTPRedirectHandler):
    """Blobs are often elsewhere: go there, but without our credentials. Another scheme or port is elsewhere too."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new and origin(new.full_url) != origin(req.full_url):
            new.remove_header("Authorization")
        return new


OPENER = urllib.request.build_opener(_SameOriginOnly)


class Answer(NamedTuple):
    body: bytes
    headers: Any


class Registry:
    """One registry. `insecure`: registries that may be spoken to without TLS, beside those of this machine."""

    def __init__(self, host: str, keyring: Keyring, insecure: Sequence[str] = ()) -> None:
        self.host, self.keyring = host, keyring
        address = "registry-1.docker.io" if host == DEFAULT_HOST else host
        self.plain = is_loopback(host) or host in insecure
        self.addresses = [f"{scheme}://{address}/v2" for scheme in (["http", "https"] if self.plain else ["https"])]

    def has(self, repository: str, version: str) -> None:
        """Return when there is such an image. Raises Missing, Denied or Silent."""
        self.ask("HEAD", repository, f"manifests/{version}", MANIFESTS)

    def manifest(self, repository: str, version: str) -> Any:
        return self._json(self.ask("GET", repository, f"manifests/{version}", MANIFESTS))

    def tags(self, repository: str) -> list[str]:
        tags = self._json(self.ask("GET", repository, "tags/list", "application/json")).get("tags")
        return [tag for tag in tags or [] if isinstance(tag, str)]

    def blob(self, repository: str, digest: str) -> bytes:
        return self.ask("GET", repository, f"blobs/{digest}", "*/*").body

    def _json(self, answer: Answer) -> Any:
        try:
            value = json.loads(answer.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Silent(f"{self.host} answered with what is not JSON")
        return value

    def ask(self, method: str, repository: str, path: str, accept: str) -> Answer:
        """The registry's answer, over https, or http where that is allowed and it speaks nothing else."""
        problems = []
        for address in self.addresses:
            try:
                return self._ask(method, f"{address}/{repository}/{path}", repository, accept)
            except Broken:
                raise
            except Silent as silent:
                problems.append(silent)
        raise problems[0]

    def _ask(self, method: str, url: str, repository: str, accept: str) -> Answer:
        login = self.keyring.find(self.host, repository)
        headers = {"Accept": accept}
        try:
            return self._open(method, url, headers)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise self._problem(error) from None
            challenge = error.headers.get("WWW-Authenticate", "")
        try:
            return self._open(
                method, url, headers | {"Authorization": self._authorization(challenge, login, repository)}
            )
        except urllib.error.HTTPError as error:
            raise self._problem(error) from None

    def _authorization(self, challenge: str, login: Login | None, repository: str) -> str:
        if not challenge.lower().startswith("bearer"):
            if login is None:
                raise Denied("asks for a login, and there is none")
            return login.header
        parameters = dict(PARAMETER.findall(challenge))
        query = {"scope": f"repository:{repository}:pull"} | {
            key: value for key, value in parameters.items() if key in ("service", "scope")
        }
        realm = parameters.get("realm", "")
        self._check_realm(realm)
        url = f"{realm}?{urllib.parse.urlencode(query)}"
        answer = self._json(self._open("GET", url, {"Authorization": login.header} if login else {}))
        return f"Bearer {answer.get('token') or answer.get('access_token') or ''}"

    def _check_realm(self, realm: str) -> None:
        """A registry may send us, and our password, neither where all can listen nor into our network. Raises Silent."""
        scheme, host, _ = origin(realm)
        if not host or scheme not in ("https", "http"):
            raise Silent(f"{self.host} does not say where tokens are")
        if scheme != "https" and not self.plain:
            raise Silent(f"{self.host} wants us to fetch a token without TLS, from {host}")
        if is_inside(host) and not is_inside(origin(self.addresses[0])[1]):
            raise Silent(f"{self.host} wants us to fetch a token inside of our network, from {host}")

    def _open(self, method: str, url: str, headers: dict[str, str]) -> Answer:
        """Raises HTTPError for what is an answer, Silent for what is none."""
        request = urllib.request.Request(url, headers=headers, method=method)
        try:
            with OPENER.open(request, timeout=processes.limit.within(TIMEOUT)) as response:
                return Answer(response.read(MOST_BYTES), response.headers)
        except urllib.error.HTTPError:
            raise
        except Unreachable:
            raise Silent(f"{self.host} cannot be asked: the time is up") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Silent(f"{self.host} cannot be asked: {getattr(error, 'reason', None) or error}") from None

    def _problem(self, error: urllib.error.HTTPError) -> Exception:
        if error.code in (401, 403):
            return Denied("refuses us" if self.keyring.logins else "asks for a login, and there is none")
        if error.code in (400, 404):
            return Missing("has no such thing")
        return Broken(f"{self.host} answers {error.code}")


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address, written out; empty where it is none."""
    try:
        parts = urllib.parse.urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", "", None


def is_inside(host: str) -> bool:
    """Whether any address of a host is of this machine, link-local or private. A name that we cannot look up has none."""
    try:
        found = {str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return any(not is_global(ipaddress.ip_address(address)) for address in found)


def is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_global


def is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return name == "localhost" or name.startswith("127.") or name == "[::1]"
