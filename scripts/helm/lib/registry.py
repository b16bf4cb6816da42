"""The HTTP API of registries (OCI distribution, version 2), as far as reading goes."""

import http.client
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any, NamedTuple

from lib.credentials import Keyring, Login
from lib.images import DEFAULT_HOST

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


class _SameHostOnly(urllib.request.HTTPRedirectHandler):
    """Blobs are often elsewhere: go there, but without our credentials."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new and urllib.parse.urlsplit(newurl).netloc != urllib.parse.urlsplit(req.full_url).netloc:
            new.remove_header("Authorization")
        return new


OPENER = urllib.request.build_opener(_SameHostOnly)


class Answer(NamedTuple):
    body: bytes
    headers: Any


class Registry:
    """One registry. `insecure`: registries that may be spoken to without TLS, beside those of this machine."""

    def __init__(self, host: str, keyring: Keyring, insecure: Sequence[str] = ()) -> None:
        self.host, self.keyring = host, keyring
        address = "registry-1.docker.io" if host == DEFAULT_HOST else host
        plain = is_loopback(host) or host in insecure
        self.addresses = [f"{scheme}://{address}/v2" for scheme in (["http", "https"] if plain else ["https"])]

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
        url = f"{parameters.get('realm', '')}?{urllib.parse.urlencode(query)}"
        if not url.startswith(("https://", "http://")):
            raise Silent(f"{self.host} does not say where tokens are")
        answer = self._json(self._open("GET", url, {"Authorization": login.header} if login else {}))
        return f"Bearer {answer.get('token') or answer.get('access_token') or ''}"

    def _open(self, method: str, url: str, headers: dict[str, str]) -> Answer:
        """Raises HTTPError for what is an answer, Silent for what is none."""
        request = urllib.request.Request(url, headers=headers, method=method)
        try:
            with OPENER.open(request, timeout=TIMEOUT) as response:
                return Answer(response.read(MOST_BYTES), response.headers)
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Silent(f"{self.host} cannot be asked: {getattr(error, 'reason', None) or error}") from None

    def _problem(self, error: urllib.error.HTTPError) -> Exception:
        if error.code in (401, 403):
            return Denied("refuses us" if self.keyring.logins else "asks for a login, and there is none")
        if error.code in (400, 404):
            return Missing("has no such thing")
        return Broken(f"{self.host} answers {error.code}")


def is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return name == "localhost" or name.startswith("127.") or name == "[::1]"
