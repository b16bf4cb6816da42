"""The control-script contract: which script, with which arguments, and what its output means.

Contract 2 is described in `scripts/README.md`; contract 1 is the first one, with `--tag` instead of a configuration.
"""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from octopod import runs
from octopod.errors import Unavailable
from octopod.keeper import Mask, Order
from octopod.overrides import Pairs, parse_key
from octopod.settings import SCRIPT_SETTINGS, settings, without_settings

REQUIRED = {
    2: [
        "create",
        "update",
        "archive",
        "unarchive",
        "cleanup",
        "check",
        "archive_check",
        "config_check",
        "info",
        "deployment_config",
        "deployment_config_keys",
        "application_config",
        "application_config_keys",
    ],
    1: ["create", "update", "archive", "cleanup", "check", "archive_check", "info"],
}

# Names that the original suites' files have.
OTHER_NAMES = {
    "deployment_config": ("deployment_overrides",),
    "deployment_config_keys": ("deployment_keys",),
    "application_config": ("app_overrides",),
    "application_config_keys": ("app_keys",),
    "notifications": ("notification",),
}

QUICK_TIMEOUT = {
    "config_check": "CONFIG_CHECK_TIMEOUT",
    "tag_check": "CONFIG_CHECK_TIMEOUT",
    "init": "CONTROL_SCRIPT_TIMEOUT",
}
TAG = "tag"


class Config(NamedTuple):
    """The effective configuration that a script receives."""

    application: Pairs
    deployment: Pairs

    @property
    def secrets(self) -> list[str]:
        """The values that nobody is to see."""
        return [value for key, value in self.application + self.deployment if is_secret(key)]


class BadOutput(Exception):
    """A script's output is not what the contract asks for."""


def is_secret(key: str) -> bool:
    return bool(settings.SECRET_KEYS.search(key))


def find_script(name: str) -> Path | None:
    """The file that is run for a script of the contract; None when the suite has none."""
    given: Path | None = getattr(settings, SCRIPT_SETTINGS[name])
    if given:
        return given
    files = (settings.CONTROL_SCRIPTS / spelling for spelling in (name, *OTHER_NAMES.get(name, ())))
    return next((file for file in files if file.exists()), None)


def missing_scripts() -> list[str]:
    """The required scripts that the suite lacks."""
    return [name for name in REQUIRED[settings.CONTROL_SCRIPTS_CONTRACT] if find_script(name) is None]


def project_arguments() -> list[str]:
    return [
        "--project-name",
        settings.PROJECT_NAME,
        "--base-domain",
        settings.BASE_DOMAIN,
        "--namespace",
        settings.NAMESPACE,
    ]


def _flags(flag: str, pairs: Pairs) -> list[str]:
    return [word for key, value in pairs for word in (flag, f"{key}={value}")]


def arguments(script: str, name: str, config: Config) -> list[str]:
    """The arguments of a script that is about one deployment."""
    fixed = [*project_arguments(), "--name", name]
    if settings.CONTROL_SCRIPTS_CONTRACT == 1:
        return fixed + _first_contract(script, config)
    return fixed + _flags("--application-config", config.application) + _flags("--deployment-config", config.deployment)


def _first_contract(script: str, config: Config) -> list[str]:
    tag = ["--tag", dict(config.deployment).get(TAG, "")]
    if script == "tag_check":
        return tag
    if script not in ("create", "update", "unarchive"):
        return []
    rest = [(key, value) for key, value in config.deployment if key != TAG]
    return tag + _flags("--app-env-override", config.application) + _flags("--deployment-override", rest)


def order(
    script: str, argv: list[str], deployment: str = "", secrets: list[str] | None = None, action_id: int | None = None
) -> Order:
    """What the keeper is to run. A missing script is ordered too: the result then says what is missing."""
    file = find_script(script) or settings.CONTROL_SCRIPTS / script
    timeout = QUICK_TIMEOUT.get(script, "CHECK_TIMEOUT") if action_id is None else "CONTROL_SCRIPT_TIMEOUT"
    state = settings.DATA_DIR / "suite" / settings.CONTROL_SCRIPTS.name
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Order(
        argv=[str(file), *argv],
        env=environment(state, deployment, action_id),
        cwd=str(state),
        timeout=getattr(settings, timeout),
        kill_grace=settings.KILL_GRACE,
        output_limit=settings.OUTPUT_LIMIT,
        secrets=secrets or [],
        directory="",
    )


def environment(
    state: Path, deployment: str, action_id: int | None, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment of a script: the server's without anything of ours, and what the contract adds."""
    return without_settings(environ) | {
        "OCTOPOD_ACTION_ID": "" if action_id is None else str(action_id),
        "OCTOPOD_DEPLOYMENT": deployment,
        "OCTOPOD_SUITE_DATA": str(state),
    }


def run_for(script: str, name: str, config: Config) -> runs.Result:
    """Run a quick script about one deployment."""
    return runs.run(order(script, arguments(script, name, config), deployment=name, secrets=config.secrets))


def action_script(script: str) -> str:
    """The script that does the work: the first contract has no `unarchive`, its `create` is run again."""
    if settings.CONTROL_SCRIPTS_CONTRACT == 1 and script == "unarchive" and find_script(script) is None:
        return "create"
    return script


def run_init() -> runs.Result | None:
    """Run `init`; None when the suite has none."""
    return runs.run(order("init", [])) if find_script("init") else None


def refusal(name: str, config: Config) -> str | None:
    """What `config_check` has against this configuration; None when it has nothing, or there is no such script.

    Raises Unavailable when it could not be asked.
    """
    script = "tag_check" if settings.CONTROL_SCRIPTS_CONTRACT == 1 else "config_check"
    if find_script(script) is None:
        return None
    result = run_for(script, name, config)
    if result.ok:
        return None
    if result.outcome == runs.LOST:
        raise Unavailable(f"{script} could not be asked: {result.why}")
    return (
        result.stdout.strip() or runs.last_lines(result.stderr) or f"{script} refused this configuration: {result.why}"
    )


def notify(name: str, old_status: str, new_status: str) -> runs.Result | None:
    """Run `notifications`; None when the suite has none."""
    if find_script("notifications") is None:
        return None
    argv = [*project_arguments(), "--name", name, "--old-status", old_status, "--new-status", new_status]
    return runs.run(order("notifications", argv, deployment=name))


def links(name: str, config: Config) -> list[dict[str, str]]:
    """What `info` says, as `[{name, url}]`. Raises BadOutput."""
    result = run_for("info", name, config)
    if not result.ok:
        raise BadOutput(f"info failed: {result.why}")
    return [{"name": link or url, "url": url} for link, url in parse_csv("info", result.stdout)]


def defaults(level: str, deployment: Pairs) -> Pairs:
    """The suite's defaults of a level. Raises BadOutput: a script that fails never means "no defaults"."""
    pairs = parse_csv(f"{level}_config", _answer(f"{level}_config", deployment))
    return [(_checked_key(level, key), value) for key, value in pairs if value]


def suggestions(level: str, deployment: Pairs) -> list[str]:
    """The keys the suite suggests for a level. Raises BadOutput."""
    lines = _answer(f"{level}_config_keys", deployment).splitlines()
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _answer(script: str, deployment: Pairs) -> str:
    if find_script(script) is None:
        return ""  # reported at start when the contract requires it
    result = runs.run(order(script, project_arguments() + _flags("--deployment-config", deployment)))
    if not result.ok:
        # Its output is not masked where it runs, for defaults may well be secrets; what it complains with is shown.
        said = masked_text(runs.last_lines(result.stderr), Config([], deployment).secrets)
        raise BadOutput(f"{script} failed: {result.why}\n{said}".strip())
    return result.stdout


def masked_text(text: str, secrets: list[str]) -> str:
    mask = Mask(secrets)
    return (mask.feed(text.encode()) + mask.rest()).decode(errors="replace")


def _checked_key(level: str, key: str) -> str:
    try:
        return parse_key(key)
    except ValueError as error:
        raise BadOutput(f"{level}_config printed {key!r}: {error}") from None


def parse_csv(script: str, text: str) -> Pairs:
    """CSV of two columns (RFC 4180). What follows the first comma belongs to the value, quoted or not.

    Raises BadOutput for a line without a comma and for a quote that does not end.
    """
    pairs = []
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in rows:
            if not row:
                continue
            if len(row) < 2:
                raise BadOutput(f"{script} printed no comma in line {rows.line_num}: it should be KEY,VALUE")
            pairs.append((row[0], ",".join(row[1:])))
    except csv.Error as error:
        raise BadOutput(f"{script} printed what is not CSV, in line {rows.line_num}: {error}") from None
    return pairs
