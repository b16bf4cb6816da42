"""What leads from a host to the service: an Ingress for nginx or traefik, or what Istio has for that."""

from collections.abc import Iterator

from ...service import Context, Service
from ..balancing import ingress, istio
from ..model import Snippet


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    balancer = service.load_balancer
    if balancer:
        provider = istio if balancer.provider == "istio" else ingress
        yield from provider.snippets(service, context, balancer)
