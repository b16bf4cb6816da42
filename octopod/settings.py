"""The settings of Octopod: one table, read from the environment.

`docs/settings.md` is written from this table (`make docs`).
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class BadSettings(Exception):
    """One line per problem."""


def text(raw: str) -> str:
    return raw


def number(raw: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,9}", raw):
        raise ValueError("must be a whole number above 0")
    return int(raw)


def seconds(raw: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d+)?", raw) or float(raw) <= 0:
        raise ValueError("must be a number of seconds above 0")
    return float(raw)


def port(raw: str) -> int:
    if not raw.isdecimal() or not 0 < int(raw) < 65536:
        raise ValueError("must be a port, 1 to 65535")
    return int(raw)


def yes_or_no(raw: str) -> bool:
    if raw.lower() not in {"true", "false"}:
        raise ValueError("must be true or false")
    return raw.lower() == "true"


def path(raw: str) -> Path:
    return Path(raw).expanduser().absolute()


def database_url(raw: str) -> str:
    if not raw.startswith(("sqlite:///", "postgresql://", "postgres://")):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return raw


def url(raw: str) -> str:
    if not raw.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return raw.rstrip("/")


def contract(raw: str) -> int:
    if raw not in {"1", "2"}:
        raise ValueError("must be 1 or 2")
    return int(raw)


def key(raw: str) -> str:
    if len(raw) < 16:
        raise ValueError("must have 16 characters at least")
    return raw


def credentials(raw: str) -> str:
    name, colon, password = raw.partition(":")
    if not (name and colon and password):
        raise ValueError("must look like name:password")
    return raw


def pattern(raw: str) -> re.Pattern[str]:
    try:
        return re.compile(raw, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"must be a regular expression: {error}") from error


def names(raw: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in raw.split(",") if name.strip())


def networks(raw: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(name, strict=False) for name in names(raw))
    except ValueError as error:
        raise ValueError(f"must be addresses or networks, separated by commas: {error}") from error


class Setting(NamedTuple):
    """One row of the table. `parse` raises ValueError saying what is allowed."""

    name: str
    parse: Callable[[str], Any]
    default: str | None
    help: str
    bare: bool = False  # installations of the original set it without our prefix
    secret: bool = False


def _script(name: str, script: str, bare: bool = True) -> Setting:
    return Setting(
        name, path, None, f"Path of the `{script}` script, instead of the file of that name in the suite.", bare
    )


SCRIPT_SETTINGS = {
    "create": "CREATION_COMMAND",
    "update": "UPDATE_COMMAND",
    "archive": "ARCHIVE_COMMAND",
    "unarchive": "UNARCHIVE_COMMAND",
    "cleanup": "CLEANUP_COMMAND",
    "check": "CHECKING_COMMAND",
    "archive_check": "ARCHIVE_CHECKING_COMMAND",
    "config_check": "CONFIG_CHECKING_COMMAND",
    "info": "INFO_COMMAND",
    "notifications": "NOTIFICATION_COMMAND",
    "deployment_config": "DEPLOYMENT_CONFIG_COMMAND",
    "deployment_config_keys": "DEPLOYMENT_KEYS_COMMAND",
    "application_config": "APPLICATION_CONFIG_COMMAND",
    "application_config_keys": "APPLICATION_KEYS_COMMAND",
    "tag_check": "TAG_CHECKING_COMMAND",
    "init": "INIT_COMMAND",
}

SECRET_KEY_PATTERN = r"passw|passphrase|secret|token|credential|(api|access|private|signing|encryption)[._-]?key|(^|[._-])(key|pass|auth)$"

SETTINGS = (
    Setting("HOST", text, "127.0.0.1", "Where to listen. Beyond loopback only with a login, or with `ALLOW_ANONYMOUS`. Before a proxy passes requests on to it, set a login."),
    Setting("PORT", port, "8000", "Where to listen."),
    Setting("DATABASE_URL", database_url, "sqlite:///var/octopod.db", "`sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`.", secret=True),
    Setting("DATA_DIR", path, "var", "Runs, and the state that a suite keeps."),
    Setting("PROJECT_NAME", text, "Octopod", "First argument of every script, and the title of the pages.", bare=True),
    Setting("BASE_DOMAIN", text, "localhost", "Second argument of every script.", bare=True),
    Setting("NAMESPACE", text, "default", "Third argument of every script.", bare=True),
    Setting("CONTROL_SCRIPTS", path, str(ROOT / "scripts/local"), "Directory of the suite."),
    *(_script(name, script, script not in {"tag_check", "init"}) for script, name in SCRIPT_SETTINGS.items()),
    Setting("CONTROL_SCRIPTS_CONTRACT", contract, "2", "What the suite understands; `1` speaks the first contract."),
    Setting("CONTROL_SCRIPT_TIMEOUT", seconds, "1800", "Seconds an action's script may take; then TERM to its process group.", bare=True),
    Setting("KILL_GRACE", seconds, "10", "Seconds between TERM and KILL."),
    Setting("CHECK_TIMEOUT", seconds, "60", "Seconds the quick scripts may take."),
    Setting("CONFIG_CHECK_TIMEOUT", seconds, "60", "Seconds `config_check` may take; somebody is waiting for it."),
    Setting("STATUS_UPDATE_TIMEOUT", seconds, "600", "Seconds a pending status may go on failing its check.", bare=True),
    Setting("CHECK_INTERVAL", seconds, "15", "Seconds between two checks of a deployment."),
    Setting("ARCHIVE_RETENTION", seconds, "1209600", "Seconds after which an archived deployment is cleaned up.", bare=True),
    Setting("CACHE_UPDATE_TIME", seconds, "600", "Seconds after which cached defaults and keys are refreshed.", bare=True),
    Setting("CACHE_INVALIDATION_TIME", seconds, "86400", "Seconds after which they are not used any more.", bare=True),
    Setting("MAX_RUNNING_ACTIONS", number, "16", "Actions at a time."),
    Setting("MAX_RUNNING_CHECKS", number, "16", "Checks at a time, beside the actions."),
    Setting("MAX_RUNNING_BUNDLES", number, "16", "Script bundles at a time, beside the actions; more are answered 429."),
    Setting("MAX_ATTEMPTS", number, "2", "How often an action is tried whose run was lost, by a reboot for example."),
    Setting("LOST_AFTER", seconds, "30", "Seconds without a sign of life after which another server takes over what a server was doing."),
    Setting("OUTPUT_LIMIT", number, "1048576", "Bytes kept of each output stream of a run: its head and its tail."),
    Setting("DRAIN_TIMEOUT", seconds, "20", "Seconds that running scripts are waited for when the server stops."),
    Setting("POWER_AUTHORIZATION_HEADER", text, None, "Exact `Authorization` header that has the admin role.", bare=True, secret=True),
    Setting("UI_BASIC_AUTH", credentials, None, "`name:password` of the user role.", secret=True),
    Setting("UI_ADMIN_BASIC_AUTH", credentials, None, "`name:password` of the admin role.", secret=True),
    Setting("TRUSTED_USER_HEADER", text, None, "Header with the user's name, set by an authenticating proxy."),
    Setting("TRUSTED_GROUPS_HEADER", text, None, "Header with the user's groups, separated by commas."),
    Setting("ADMIN_GROUPS", names, "", "Groups that have the admin role."),
    Setting("TRUSTED_PROXIES", networks, "", "Addresses or networks whose headers are believed."),
    Setting("ALLOW_ANONYMOUS", yes_or_no, "false", "Give everybody without a login the user role, beyond loopback too."),
    Setting("ALLOWED_HOSTS", names, "", "Names besides `localhost` that a server without logins answers to."),
    Setting("KUBERNETES_DASHBOARD_URL_TEMPLATE", text, None, "Makes the Details link; `{name}` is replaced, or the name appended."),
    Setting("SERVO_TOKEN", key, None, "Key of bundle signatures and `.aes` files. Without, each machine makes one of its own and keeps it in `DATA_DIR/servo-token`.", secret=True),
    Setting("SERVO_SHA1", yes_or_no, "true", "Whether signatures by HMAC-SHA1 are accepted, beside HMAC-SHA256."),
    Setting("SERVO_REQUIRE_V2", yes_or_no, "false", "Whether each bundle needs the second signature, which cannot be used twice."),
    Setting("BUNDLE_TIMEOUT", seconds, "1800", "Seconds the scripts of a bundle may take together; then TERM to their process group."),
    Setting("BUNDLE_SIZE", number, "33554432", "Most bytes of a bundle's archive."),
    Setting("BUNDLE_UNPACKED_SIZE", number, "268435456", "Most bytes of what is in it."),
    Setting("PUBLIC_URL", url, None, "Under which others reach this server; without, callback addresses begin with what a bundle's client has called."),
    Setting("SECRET_KEYS", pattern, SECRET_KEY_PATTERN, "Regular expression for the keys whose values are masked."),
)  # fmt: skip

PREFIX = "OCTOPOD_"


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine only."""
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Settings:
    """The values in force, as attributes; filled once by `load`."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name}: no such setting, or the settings are not loaded yet")

    def load(self, environ: Mapping[str, str] = os.environ) -> None:
        """Read all settings. Raises BadSettings with one line per problem."""
        problems: list[str] = []
        bad = set()
        for setting in SETTINGS:
            name, given = _find(setting, environ)
            raw = given or setting.default
            try:
                setattr(self, setting.name, None if raw is None else setting.parse(raw))
            except ValueError as error:
                shown = "" if setting.secret else f" (it is {raw!r})"
                problems.append(f"{name} {error}{shown}")
                bad.add(setting.name)
        if not bad & {"ALLOW_ANONYMOUS", "UI_BASIC_AUTH", "UI_ADMIN_BASIC_AUTH", "TRUSTED_PROXIES"}:
            problems += self._exposure()
        problems += [f"{name} is not a setting of Octopod" for name in _unknown(environ)]
        if problems:
            raise BadSettings("\n".join(problems))

    @property
    def has_login(self) -> bool:
        """Whether a browser has a way to say who it is."""
        return bool(self.UI_BASIC_AUTH or self.UI_ADMIN_BASIC_AUTH or self.TRUSTED_USER_HEADER)

    def _exposure(self) -> Iterator[str]:
        """What would let strangers in."""
        if not (is_loopback(self.HOST) or self.has_login or self.ALLOW_ANONYMOUS):
            yield (
                f"OCTOPOD_HOST is {self.HOST}, which others can reach, but nobody has to log in: set OCTOPOD_UI_BASIC_AUTH, "
                "OCTOPOD_UI_ADMIN_BASIC_AUTH or OCTOPOD_TRUSTED_USER_HEADER, or OCTOPOD_ALLOW_ANONYMOUS=true if that is meant"
            )
        if self.TRUSTED_USER_HEADER and not self.TRUSTED_PROXIES:
            yield "OCTOPOD_TRUSTED_USER_HEADER needs OCTOPOD_TRUSTED_PROXIES: the addresses it is believed from"


def _find(setting: Setting, environ: Mapping[str, str]) -> tuple[str, str]:
    spellings = [PREFIX + setting.name] + ([setting.name] if setting.bare else [])
    for name in spellings:
        # Beside a Service named octopod Kubernetes sets OCTOPOD_PORT to its address.
        if environ.get(name, "") and not environ[name].startswith("tcp://"):
            return name, environ[name]
    return spellings[0], ""


# The CLI's, and what Kubernetes puts into the environment of every pod beside a Service named octopod.
OTHER_VARIABLES = re.compile(r"OCTOPOD_(URL|SERVICE_.*|PORT_\d+_.*)")


def _unknown(environ: Mapping[str, str]) -> list[str]:
    known = {PREFIX + setting.name for setting in SETTINGS}
    ours = (name for name in environ if name.startswith(PREFIX) and not OTHER_VARIABLES.fullmatch(name))
    return sorted(name for name in ours if name not in known)


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment that control scripts may see: nothing of ours in it."""
    ours = {setting.name for setting in SETTINGS if setting.bare} | {"PROMETHEUS_MULTIPROC_DIR"}
    return {
        name: value
        for name, value in environ.items()
        if name not in ours and not name.startswith(("OCTOPOD_", "OCTO_"))
    }


def as_markdown() -> str:
    """The reference table, one row per setting."""
    return "\n".join(["| setting | default | meaning |", "| --- | --- | --- |", *map(_row, SETTINGS)])


def _row(setting: Setting) -> str:
    star = " \\*" if setting.bare else ""
    return f"| `{setting.name}`{star} | {_shown_default(setting)} | {setting.help} |"


def _shown_default(setting: Setting) -> str:
    if setting.default is None:
        return "–"
    return f"`{setting.default}`".replace(str(ROOT) + "/", "").replace("|", "\\|") if setting.default else "(empty)"


settings = Settings()
