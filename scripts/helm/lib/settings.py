"""The settings of the suite, from the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shared import environment
from shared.arguments import parse_pair
from shared.output import SECRET_KEY, Failure, hide

KNOWN_KEYS = ("chart_name", "chart_repo_pass", "chart_repo_url", "chart_repo_user", "chart_version", "values_file")
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
    defaults = environment.defaults(environ, CHART_KEYS, ("default_overrides",))
    hide([environ.get("HELM_PASS", "")])
    return Settings(
        data=environment.data(environ),
        helm=environ.get("HELM_BIN") or "helm",
        kubectl=environ.get("KUBECTL_BIN") or "kubectl",
        user=environ.get("HELM_USER", ""),
        password=environ.get("HELM_PASS", ""),
        chart={key: defaults[key] for key in CHART_KEYS if defaults.get(key)},
        overrides=_overrides(defaults.get("default_overrides", [])),
        on_init_only=environment.flag(environ, "HELM_ON_INIT_ONLY", False),
        host_key=environ.get("INGRESS_HOST_KEY", "ingress.hostname").strip(),
        check_images=environment.flag(environ, "CHECK_IMAGES", True),
        insecure_registries=environment.words(environ, "INSECURE_REGISTRIES"),
        timeout=environment.seconds(environ, "HELM_TIMEOUT", 600),
        scalable=environment.path(environ, "SCALABLE"),
        charts_dir=environment.path(environ, "CHARTS_DIR"),
        values_dir=environment.path(environ, "VALUES_DIR"),
    )


def _overrides(pairs: Any) -> list[tuple[str, str]]:
    if not isinstance(pairs, list) or not all(isinstance(pair, str) for pair in pairs):
        raise Failure('default_overrides in DEFAULTS must be a list like ["ingress.enabled=true"].')
    parsed = [parse_pair(pair) for pair in pairs]
    hide(value for key, value in parsed if SECRET_KEY.search(key))
    return parsed
