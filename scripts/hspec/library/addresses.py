"""Where the services of a deployment are to be found."""

from collections.abc import Iterator

from library import namespaces
from library.deployment import Deployment
from octopod.hspec import cluster
from octopod.hspec.errors import HspecError
from octopod.hspec.service import LoadBalancer, Service
from shared.links import is_wildcard, plain_paths
from shared.output import Failure, complain

Link = tuple[str, str]
SECURE = ("443", "8443")


def links(deployment: Deployment) -> list[Link]:
    """Names that specs give, before they are there, and addresses that the cluster has given. Raises HspecError, Failure."""
    namespaces.refuse_foreign(deployment)
    services = asked_for(deployment)
    named = [link for service in services for link in of_balancer(service)]
    hidden = {service.name for service in services if service.load_balancer}
    by_name = {service.name: service for service in services}
    given = [
        (one.name, url)
        for one in cluster.statuses(deployment.kubectl, deployment.name)
        if one.name not in hidden
        for address in one.address.split(",")
        for url in of_address(address, by_name.get(one.name))
    ]
    return named + given


def asked_for(deployment: Deployment) -> list[Service]:
    """The services of the specs; none when these cannot be had, for there are addresses without them, too."""
    try:
        return deployment.services
    except (Failure, HspecError) as failure:
        complain(str(failure))
        return []


def of_balancer(service: Service) -> Iterator[Link]:
    """An address for each path that a person could type."""
    balancer = service.load_balancer
    if balancer and not is_wildcard(balancer.host):
        for path in plain_paths(path for mapping in balancer.mapping for path in mapping.context_paths):
            yield service.name, f"{scheme(balancer)}://{balancer.host}{path}"


def scheme(balancer: LoadBalancer) -> str:
    return "https" if balancer.tls_secret else "http"


def of_address(address: str, service: Service | None) -> Iterator[str]:
    """`ip:port` as a URL, unless nobody could open it."""
    if not address:
        return
    number = address.rpartition(":")[2]
    ports = [port for port in service.ports if str(port.number) == number] if service else []
    if ports and all(port.transport == "UDP" for port in ports):
        return
    secure = any(port.protocol == "https" for port in ports) or (not ports and number in SECURE)
    usual = f":{'443' if secure else '80'}"
    yield f"{'https' if secure else 'http'}://{address.removesuffix(usual) if address.endswith(usual) else address}"
