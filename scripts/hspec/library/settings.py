"""The settings of the suite, from the environment."""

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import NamedTuple

from shared import environment

KNOWN_KEYS = ("source", "ref", "spec", "profile", "registry", "tag")
SPEC = "*.hspec*"


class Settings(NamedTuple):
    """One field per setting; scripts/README.md says what each is for. Of others the engine takes note itself."""

    data: Path
    defaults: dict[str, str]  # of DEFAULTS: the deployment configuration to begin with
    sources_dir: Path | None  # sources of this machine are taken from there only
    kubectl: str
    timeout: int | None
    uses_existing_namespaces: bool  # also those that were not made here

    @property
    def deployment(self) -> dict[str, str]:
        """The defaults of the deployment level."""
        return {"spec": SPEC} | {key: value for key, value in self.defaults.items() if value}


def load(environ: MutableMapping[str, str] = os.environ) -> Settings:
    """The settings, and what the engine keeps is from now on kept below the suite's data. Raises Failure."""
    data = environment.data(environ)
    environ["HYSCALE_HOME"] = str(data / "hyscale")
    return Settings(
        data=data,
        defaults=environment.defaults(environ, KNOWN_KEYS),
        sources_dir=environment.path(environ, "SOURCES_DIR"),
        kubectl=environ.get("KUBECTL_BIN") or "kubectl",
        timeout=environment.seconds(environ, "DEPLOY_TIMEOUT", 600) if environ.get("DEPLOY_TIMEOUT") else None,
        uses_existing_namespaces=environment.flag(environ, "USE_EXISTING_NAMESPACES", False),
    )
