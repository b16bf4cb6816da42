"""Where a service can be reached from outside."""

import os
import time

from .. import names
from ..errors import AddressError
from .inventory import label
from .kubectl import Kubectl, Object
from .looking import pause
from .status import addresses

PATIENCE = 90.0  # seconds


def patience() -> float:
    """Seconds until there has to be an address; HYS_LB_READY_TIMEOUT says it in milliseconds, as it always has."""
    text = os.environ.get("HYS_LB_READY_TIMEOUT", "")
    return int(text) / 1000 if text.isdecimal() else PATIENCE


def address(kubectl: Kubectl, app: str, service_name: str, timeout: float | None = None) -> list[str]:
    """`ip:port` of each port, as soon as the cluster has given the service an address. Raises AddressError."""
    started, limit = time.monotonic(), patience() if timeout is None else timeout
    while True:
        service = _service(kubectl, app, service_name)
        if found := addresses(service):
            return found
        if service["spec"].get("type") != "LoadBalancer":
            raise AddressError(f"Service {service_name} of app {app} is not external: it has no address.")
        if time.monotonic() - started >= limit:
            raise AddressError(
                f"Service {service_name} has been given no address in {limit:g} s. What was deployed stays; "
                "a cluster without load balancers never gives one, others may need longer."
            )
        time.sleep(pause())


def _service(kubectl: Kubectl, app: str, service_name: str) -> Object:
    found = kubectl.get("services", "--selector", names.selector_of(app, service_name))
    own = [item for item in found if item["metadata"]["name"] == names.normalize(service_name)] or found
    if not own or label(own[0], names.SERVICE) != names.label_value(service_name):
        raise AddressError(f"Service {service_name} of app {app} has no ports to be reached at{kubectl.place}.")
    return own[0]
