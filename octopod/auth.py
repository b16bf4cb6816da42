"""Who is asking, and may they. One table says which role each route needs."""

import base64
import binascii
import hmac
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from flask import Request

from octopod import passes
from octopod.deployments import Requester
from octopod.errors import NotAuthenticated, NotAuthorised
from octopod.models import Pass
from octopod.settings import is_loopback, settings

ANYBODY, USER, ADMIN = "anybody", "user", "admin"
RANK = {ANYBODY: 0, USER: 1, ADMIN: 2}

ROLES = {
    "healthz": ANYBODY,
    "readyz": ANYBODY,
    "metrics": ANYBODY,
    "static": ANYBODY,
    "openapi.spec": USER,
    "docs": USER,
    "api.show_project": USER,
    "api.list_deployments": USER,
    "api.create_deployment": USER,
    "api.show_deployment": USER,
    "api.delete_deployment": ADMIN,
    "api.show_config": USER,
    "api.create_action": USER,
    "api.list_deployment_actions": USER,
    "api.check_deployment": USER,
    "api.list_actions": USER,
    "api.show_action": USER,
    "api.show_logs": ADMIN,
    "api.cancel_action": USER,
    "api.list_tokens": ADMIN,
    "api.create_token": ADMIN,
    "api.rotate_token": ADMIN,
    "api.remove_token": ADMIN,
    "api.deployment_config": USER,
    "api.deployment_keys": USER,
    "api.application_config": USER,
    "api.application_keys": USER,
    "servo.run": ANYBODY,  # whose bundle is signed
    "servo.callback": ANYBODY,  # who knows the address
    "live.live": USER,  # of actions' logs: admin
    "web.home": USER,
    "web.list_deployments": USER,
    "web.new_deployment": USER,
    "web.look_at_new_deployment": USER,
    "web.create_deployment": USER,
    "web.show_deployment": USER,
    "web.edit_deployment": USER,
    "web.look_at_edited_deployment": USER,
    "web.confirm_action": USER,
    "web.create_action": USER,
    "web.check_deployment": USER,
    "web.delete_deployment": ADMIN,
    "web.list_actions": USER,
    "web.show_logs": ADMIN,
    "web.cancel_action": USER,
}

# What a ticket is for, each about the run that it belongs to; and what no script of a bundle may do, whatever its token's role.
TICKET_ENDPOINTS = {"api.show_action", "api.show_logs", "api.cancel_action"}
NOT_FOR_SCRIPTS = {"api.list_tokens", "api.create_token", "api.rotate_token", "api.remove_token"}

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
SAME_SITE = {"same-origin", "none"}


class Identity:
    """Who is asking: a name, a role, and where from."""

    def __init__(self, name: str, role: str, origin: str) -> None:
        self.name, self.role, self.origin = name, role, origin

    def may(self, role: str) -> bool:
        return RANK[self.role] >= RANK[role]

    def may_see_run(self, _action_id: int) -> bool:
        """Whether the run of a bundle, its log included, is their business."""
        return self.may(ADMIN)

    def admit(self, endpoint: str, _arguments: dict[str, Any]) -> None:
        """Raises NotAuthorised when that is not for them."""
        authorise(self, ROLES.get(endpoint, ADMIN))

    @property
    def requester(self) -> Requester:
        return Requester(self.name, self.origin)


class Script(Identity):
    """A script of a bundle that is running: it has the rights of the token that signed the bundle."""

    def __init__(self, shown: Pass, origin: str) -> None:
        super().__init__(f"{shown.token} (run {shown.action_id})", shown.role, origin)
        self.patterns = tuple(shown.deployments)

    def admit(self, endpoint: str, arguments: dict[str, Any]) -> None:
        super().admit(endpoint, arguments)
        if endpoint in NOT_FOR_SCRIPTS:
            raise NotAuthorised("Scripts of bundles may not see or change tokens")

    @property
    def requester(self) -> Requester:
        return Requester(self.name, self.origin, self.patterns)


class Client(Identity):
    """Who sent a bundle and follows its run, with a ticket for just that."""

    def __init__(self, shown: Pass, origin: str) -> None:
        super().__init__(shown.token, ANYBODY, origin)
        self.action_id = shown.action_id

    def may_see_run(self, action_id: int) -> bool:
        return action_id == self.action_id

    def admit(self, endpoint: str, arguments: dict[str, Any]) -> None:
        if endpoint not in TICKET_ENDPOINTS or arguments["id"] != self.action_id:
            raise NotAuthorised(f"This ticket is for following run {self.action_id} only")


def identify(request: Request) -> Identity:
    """Who is asking, by the first of these that they show: admin header, Basic, a pass of a bundle's run, the trusted
    proxy's word, loopback.

    Raises NotAuthenticated.
    """
    trusted = _is_trusted(request.remote_addr or "")
    origin = origin_of(request)
    given = request.headers.get("Authorization", "")
    if identity := _by_authorization(given, origin):
        return identity
    if identity := _by_pass(given, origin):
        return identity
    if trusted and settings.TRUSTED_USER_HEADER and (name := request.headers.get(settings.TRUSTED_USER_HEADER)):
        return Identity(_raw(name).decode(errors="replace"), _proxied_role(request), origin)
    if given and _has_credentials():
        raise NotAuthenticated("These credentials are not known here")
    return _anonymous(request, origin)


def _by_authorization(given: str, origin: str) -> Identity | None:
    if settings.POWER_AUTHORIZATION_HEADER and _same(_raw(given), settings.POWER_AUTHORIZATION_HEADER):
        return Identity("admin", ADMIN, origin)
    pair = _basic(given)
    for expected, role in ((settings.UI_BASIC_AUTH, USER), (settings.UI_ADMIN_BASIC_AUTH, ADMIN)):
        if expected and _same(pair, expected):
            return Identity(expected.partition(":")[0], role, origin)
    if pair and (settings.UI_BASIC_AUTH or settings.UI_ADMIN_BASIC_AUTH):
        raise NotAuthenticated("This name and password are not known here")
    return None  # a proxy may let a header pass that is not for us


def _by_pass(given: str, origin: str) -> Identity | None:
    scheme, _, shown = given.partition(" ")
    if scheme.lower() != "bearer" or not shown.startswith((passes.BEARER, passes.TICKET)):
        return None
    found = passes.find(shown)
    if found is None:
        raise NotAuthenticated("The run of the bundle that this belongs to is over, or there never was one")
    return (Script if shown.startswith(passes.BEARER) else Client)(found, origin)


def _basic(given: str) -> bytes:
    scheme, _, rest = given.partition(" ")
    try:
        return base64.b64decode(rest, validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""


def _raw(header: str) -> bytes:
    """The bytes of a header, which WSGI hands over as if they were Latin-1."""
    return header.encode("latin-1", "replace")


def _same(given: bytes, expected: str) -> bool:
    return hmac.compare_digest(given, expected.encode())


def _is_trusted(peer: str) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    return any(address in network for network in settings.TRUSTED_PROXIES)


def origin_of(request: Request) -> str:
    """Where a request comes from: the nearest address that is not a proxy of ours."""
    peer = request.remote_addr or ""
    if not _is_trusted(peer):
        return peer
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    return next((hop for hop in reversed(hops) if not _is_trusted(hop)), peer)


def _proxied_role(request: Request) -> str:
    header = settings.TRUSTED_GROUPS_HEADER
    groups = {group.strip() for group in request.headers.get(header, "").split(",")} if header else set()
    return ADMIN if groups & set(settings.ADMIN_GROUPS) else USER


def _anonymous(request: Request, origin: str) -> Identity:
    """Somebody without a login: an admin on a server that only this machine can reach, else a user where that is allowed."""
    if settings.ALLOW_ANONYMOUS:
        alone = not _has_credentials() and is_loopback(settings.HOST) and _is_local(request)
        return Identity("anonymous", ADMIN if alone else USER, origin)
    if _has_credentials():
        raise NotAuthenticated("Log in, or send the Authorization header that this server knows")
    if _is_local(request):
        return Identity("local", ADMIN, origin)
    raise NotAuthenticated("This server has no logins yet, so it answers this machine only; see OCTOPOD_UI_BASIC_AUTH")


def _has_credentials() -> bool:
    return bool(settings.POWER_AUTHORIZATION_HEADER or settings.has_login)


def _is_local(request: Request) -> bool:
    """From this machine itself, and not through a proxy on it."""
    forwarded = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"))
    return is_loopback(request.remote_addr or "") and not forwarded


def authorise(identity: Identity, role: str) -> None:
    """Raises NotAuthorised, saying what is lacking."""
    if not identity.may(role):
        raise NotAuthorised(f"This needs the {role} role; {identity.name} has the {identity.role} role")


def refuse_other_sites(request: Request) -> None:
    """Refuse a change that a browser was made to send by another site, and names that are not ours.

    Without logins nothing else would tell such a request from its owner's. Raises NotAuthorised.
    """
    if not _has_credentials() and not _is_our_host(request.host):
        raise NotAuthorised(f"This server does not answer to the name {request.host}; see OCTOPOD_ALLOWED_HOSTS")
    if request.method in SAFE_METHODS and "Upgrade" not in request.headers:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    foreign = site not in SAME_SITE if site else bool(origin) and _netloc(origin or "") != request.host
    if foreign:
        raise NotAuthorised("A page of another site sent this request; it was not carried out")


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _is_our_host(host: str) -> bool:
    """Names that DNS cannot make point to us: addresses and localhost; and those that are said to be ours."""
    name = urlsplit(f"//{host}").hostname or ""
    return (
        is_loopback(name)
        or name == settings.HOST
        or name in map(str.lower, settings.ALLOWED_HOSTS)
        or _is_address(name)
    )


def _is_address(name: str) -> bool:
    try:
        return bool(ip_address(name))
    except ValueError:
        return False
