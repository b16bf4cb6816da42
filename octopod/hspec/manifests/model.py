"""What plugins give and what comes of it; the kinds, their API versions, their names and paths."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .. import names
from ..service import Agent, Context, Service

API_VERSIONS = {
    "Secret": "v1",
    "ConfigMap": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "NetworkPolicy": "networking.k8s.io/v1",
    "Ingress": "networking.k8s.io/v1",
    "Gateway": "networking.istio.io/v1beta1",
    "VirtualService": "networking.istio.io/v1beta1",
    "DestinationRule": "networking.istio.io/v1beta1",
    "Middleware": "traefik.io/v1alpha1",
}
BALANCING = {  # kinds of a load balancer, and what ends their names
    "Ingress": "ingress",
    "Middleware": "headers",
    "Gateway": "istio-gateway",
    "VirtualService": "istio-virtual-service",
    "DestinationRule": "istio-destination-rule",
}
WORKLOADS = ("Deployment", "StatefulSet")
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers[0]"
VOLUME_NAME_LENGTH = 63

Owner = Service | Agent  # what has props, secrets and ports: the service itself, and each of its agents


class Snippet(NamedTuple):
    """A piece of a manifest.

    `content` is plain data. It is put at `path` (see tree.py); with the path "" it is merged into the whole manifest
    as a strategic merge patch. `identifier` tells manifests of one kind apart; "" is the service's main one. A kind of
    another group than ours of this name has it behind a dot: `Service.serving.knative.dev`.
    """

    kind: str
    path: str
    content: Any
    identifier: str = ""


class Manifest(NamedTuple):
    """One object of the cluster's, as plain data."""

    kind: str
    identifier: str
    data: dict[str, Any]

    @property
    def name(self) -> str:
        return self.data["metadata"]["name"]

    @property
    def filename(self) -> str:
        """`[identifier-]kind.yaml`"""
        parts = names.normalize(self.identifier), names.normalize(self.kind)
        return "-".join(part for part in parts if part) + ".yaml"


def workload(service: Service) -> str:
    """The kind that runs a service."""
    return "StatefulSet" if service.is_stateful else "Deployment"


def group_of(version: str) -> str:
    """The group in an apiVersion; "" is that of the core."""
    return version.rpartition("/")[0]


def has_ports(service: Service) -> bool:
    """Whether the service, or an agent of its, listens: then there is a Service."""
    return bool(service.ports) or any(agent.ports for agent in service.agents)


def has_values(owner: Owner) -> bool:
    """Whether a Secret is made of its secrets; of mere names none is."""
    return bool(owner.secrets and owner.secrets.values)


def name_of(kind: str, service: Service, context: Context) -> str:
    """The name of the service's main manifest of a kind."""
    if kind == "Service":
        return names.normalize(service.name)
    if kind in BALANCING:
        return names.normalize(f"{context.environment}-{service.name}-{BALANCING[kind]}")
    return names.resource_name(context.app, service.name)


def head(
    kind: str, name: str, labels: Mapping[str, str], identifier: str = "", annotations: Mapping[str, str] | None = None
) -> Iterator[Snippet]:
    """What every manifest begins with."""
    yield Snippet(kind, "apiVersion", API_VERSIONS[kind], identifier)
    yield Snippet(kind, "kind", kind, identifier)
    metadata = {"name": name, "labels": labels}
    yield Snippet(kind, "metadata", metadata | ({"annotations": annotations} if annotations else {}), identifier)


def main_head(
    kind: str, service: Service, context: Context, annotations: Mapping[str, str] | None = None
) -> Iterator[Snippet]:
    """The beginning of the service's main manifest of a kind."""
    labels = names.labels(context, service)
    return head(kind, name_of(kind, service, context), labels, annotations=annotations)


def volume_name(name: str, what: str) -> str:
    """Of the volume of a ConfigMap or a Secret: short enough, and still different from others when it must be cut."""
    full = f"{name}-{what}"
    if len(full) <= VOLUME_NAME_LENGTH:
        return full
    end = f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}-{what}"
    return name[: VOLUME_NAME_LENGTH - len(end)] + end
