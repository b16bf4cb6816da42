"""Where a service can be reached from outside."""

import time

from .. import names
from ..errors import AddressError
from .inventory import label
from .kubectl import Kubectl, Object
from .looking import pause
from .status import addresses


def address(kubectl: Kubectl, app: str, service_name: str, timeout: float = 90) -> list[str]:
    """`ip:port` of each port, as soon as the cluster has given the service an address. Raises AddressError."""
    started = time.monotonic()
    while True:
        service = _service(kubectl, app, service_name)
        if found := addresses(service):
            return found
        if service["spec"].get("type") != "LoadBalancer":
            raise AddressError(f"Service {service_name} of app {app} is not external: it has no address.")
        if time.monotonic() - started >= timeout:
            raise AddressError(
                f"Service {service_name} has been given no address in {timeout:.0f} s. What was deployed stays; "
                "a cluster without load balancers never gives one, others may need longer."
            )
        time.sleep(pause())


def _service(kubectl: Kubectl, app: str, service_name: str) -> Object:
    found = kubectl.get("services", "--selector", names.selector_of(app, service_name))
    own = [item for item in found if item["metadata"]["name"] == names.normalize(service_name)] or found
    if not own or label(own[0], names.SERVICE) != names.label_value(service_name):
        raise AddressError(f"Service {service_name} of app {app} has no ports to be reached at{kubectl.place}.")
    return own[0]
