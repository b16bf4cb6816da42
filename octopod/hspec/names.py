"""Names, labels and annotations of everything that is made in a cluster."""

import re
from collections.abc import Mapping

from .service import Context, Service

APP, ENVIRONMENT, SERVICE = "hyscale.io/app-name", "hyscale.io/environment-name", "hyscale.io/service-name"
VOLUME = "hyscale.io/volume-name"
SERVICE_SPEC = "hyscale.io/service-spec"
LAST_APPLIED = "hyscale.io/last-applied-configuration"
LAST_UPDATED = "hyscale.io/last-updated-at"
CHECKSUM = "hyscale.io/checksum"
APPLIED_KINDS = "hyscale.io/applied-kinds"
LABEL_LENGTH = 62


def _cleaned(name: str) -> str:
    joined = re.sub(r"\s+", "-", re.sub(r"\.+", "-", name.strip()))
    return re.sub(r"[^a-zA-Z0-9\-_]", "", joined)


def normalize(name: str) -> str:
    """Lower-case, dots and blanks as dashes, nothing else but letters, digits, `-` and `_`."""
    return _cleaned(name.lower())


def label_value(name: str) -> str:
    """The same in the case it has, no longer than a label may be, with a letter or digit at each end."""
    return _cleaned(name)[:LABEL_LENGTH].strip("-_")


def resource_name(app: str, service: str) -> str:
    """Of everything a service has but its Service, which has the service's name."""
    return f"{normalize(app)}-{normalize(service)}"


def agent_name(service: str, agent: str) -> str:
    """Of the ConfigMap and the Secret of an agent."""
    return normalize(f"service-{service}-agent-{agent}")


def labels(context: Context, service: Service | None = None) -> dict[str, str]:
    """Those of everything a service has; without a service, of what the services of an app share."""
    wanted = {APP: context.app, ENVIRONMENT: context.environment, SERVICE: service.name if service else ""}
    cleaned = {key: label_value(value) for key, value in wanted.items()}
    return {key: value for key, value in cleaned.items() if value}


def selector(wanted: Mapping[str, str]) -> str:
    """`key=value,key=value`, as kubectl takes it."""
    return ",".join(f"{key}={value}" for key, value in wanted.items())


def selector_of(app: str, service: str | None = None) -> str:
    """What belongs to an app, or to one service of it, in whatever environment."""
    wanted = {APP: app, SERVICE: service or ""}
    return selector({key: label_value(value) for key, value in wanted.items() if value})
