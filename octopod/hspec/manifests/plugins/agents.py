"""The containers beside the service's own, with props, secrets, volumes and ports of their own."""

from collections.abc import Iterator
from typing import Any

from ... import names
from ...service import Agent, Context, Service
from .. import data
from ..containers import container_ports, probes, service_ports
from ..model import POD, Snippet, has_values, head, workload


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    kind, labels = workload(service), names.labels(context, service)
    for number, agent in enumerate(service.agents, 1):
        name = names.agent_name(service.name, agent.name)
        for field, content in _container(agent, name).items():
            yield Snippet(kind, f"{POD}.containers[{number}].{field}", content)
        yield Snippet(kind, f"{POD}.volumes", data.volumes(agent, name))
        yield Snippet("Service", "spec.ports", service_ports(agent))
        yield from _held(agent, name, labels)


def _container(agent: Agent, name: str) -> dict[str, Any]:
    attached = [
        {"name": volume.attach, "mountPath": volume.mount_path, "readOnly": volume.read_only}
        for volume in agent.volumes
    ]
    return {
        "name": agent.name,
        "image": agent.image,
        "imagePullPolicy": "Always",
        "env": data.variables(agent, name),
        "volumeMounts": attached + data.mounts(agent, name),
        "ports": container_ports(agent),
        **probes(agent),
    }


def _held(agent: Agent, name: str, labels: dict[str, str]) -> Iterator[Snippet]:
    """Its ConfigMap and its Secret."""
    if agent.props:
        yield from head("ConfigMap", name, labels, name)
        for field, content in data.config_map(agent).items():
            yield Snippet("ConfigMap", field, content, name)
    if has_values(agent):
        yield from head("Secret", name, labels, name)
        yield Snippet("Secret", "data", data.secret(agent), name)
