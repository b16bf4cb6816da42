"""The settings of the suite, from the environment."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lib.arguments import parse_pair
from lib.output import SECRET_KEY, Failure, hide

CHART_KEYS = ("chart_repo_url", "chart_name", "chart_version", "values_file")


class Settings(NamedTuple):
    """One field per setting; scripts/README.md says what each is for."""

    data: Path
    helm: str
    kubectl: str
    user: str
    password: str
    chart: dict[str, str]  # of DEFAULTS: the deployment configuration to begin with
    overrides: list[tuple[str, str]]  # of DEFAULTS: on top of the chart's values
    on_init_only: bool
    host_key: str
    check_images: bool
    insecure_registries: list[str]
    timeout: int
    scalable: Path | None
    charts_dir: Path | None  # charts and values of this machine are taken from there only
    values_dir: Path | None


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings, the password hidden from all output. Raises Failure saying what is wrong with which."""
    defaults = _defaults(environ.get("DEFAULTS") or "{}")
    hide([environ.get("HELM_PASS", "")])
    return Settings(
        data=_data(environ),
        helm=environ.get("HELM_BIN") or "helm",
        kubectl=environ.get("KUBECTL_BIN") or "kubectl",
        user=environ.get("HELM_USER", ""),
        password=environ.get("HELM_PASS", ""),
        chart={key: defaults[key] for key in CHART_KEYS if defaults.get(key)},
        overrides=_overrides(defaults.get("default_overrides", [])),
        on_init_only=_flag(environ, "HELM_ON_INIT_ONLY", False),
        host_key=environ.get("INGRESS_HOST_KEY", "ingress.hostname").strip(),
        check_images=_flag(environ, "CHECK_IMAGES", True),
        insecure_registries=environ.get("INSECURE_REGISTRIES", "").replace(",", " ").split(),
        timeout=_seconds(environ, "HELM_TIMEOUT", 600),
        scalable=Path(environ["SCALABLE"]) if environ.get("SCALABLE") else None,
        charts_dir=Path(environ["CHARTS_DIR"]) if environ.get("CHARTS_DIR") else None,
        values_dir=Path(environ["VALUES_DIR"]) if environ.get("VALUES_DIR") else None,
    )


def _data(environ: Mapping[str, str]) -> Path:
    name = environ.get("OCTOPOD_SUITE_DATA")
    if not name:
        raise Failure("OCTOPOD_SUITE_DATA is not set: it must name the directory where this suite keeps its state.")
    return Path(name).absolute()


def _defaults(text: str) -> dict[str, Any]:
    try:
        defaults = json.loads(text)
    except ValueError as error:
        raise Failure(f"DEFAULTS is not JSON: {error}.") from None
    if not isinstance(defaults, dict):
        raise Failure("DEFAULTS must be a JSON object.")
    unknown = sorted(set(defaults) - {*CHART_KEYS, "default_overrides"})
    if unknown:
        raise Failure(f"DEFAULTS has keys that are not known: {', '.join(unknown)}.")
    wrong = [key for key in CHART_KEYS if not isinstance(defaults.get(key) or "", str)]
    if wrong:
        raise Failure(f"{wrong[0]} in DEFAULTS must be a string.")
    return defaults


def _overrides(pairs: Any) -> list[tuple[str, str]]:
    if not isinstance(pairs, list) or not all(isinstance(pair, str) for pair in pairs):
        raise Failure('default_overrides in DEFAULTS must be a list like ["ingress.enabled=true"].')
    parsed = [parse_pair(pair) for pair in pairs]
    hide(value for key, value in parsed if SECRET_KEY.search(key))
    return parsed


def _flag(environ: Mapping[str, str], name: str, default: bool) -> bool:
    text = environ.get(name, "").strip().lower()
    if text not in ("", "true", "false"):
        raise Failure(f"{name} must be true or false.")
    return text == "true" if text else default


def _seconds(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not re.fullmatch(r"[1-9]\d{0,5}", text):
        raise Failure(f"{name} must be a whole number of seconds above 0.")
    return int(text)
