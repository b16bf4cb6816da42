"""What fields have to do with each other. Each rule reports; what the fields themselves got wrong is left out."""

from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from .files import Files
from .model import VERSIONS
from .nodes import Path
from .report import LISTED, Report, listed, quoted
from .values import port_of, ports_of


class Draft(NamedTuple):
    """A spec whose fields have been looked at one by one. Where one is wrong, None is in its place."""

    data: dict[str, Any]
    report: Report
    files: Files

    def owners(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The service and its agents, which have ports, props and secrets alike."""
        yield (), self.data
        for index, agent in enumerate(self.data.get("agents") or []):
            yield ("agents", index), agent or {}

    def exposed(self) -> dict[tuple[int, str], None]:
        """Number and transport of all ports of the service and its agents, in order."""
        ports = (port for _, owner in self.owners() for port in ports_of(owner))
        return dict.fromkeys(sorted((port.number, port.transport) for port in ports if port))


def check_names(draft: Draft) -> None:
    data, report = draft.data, draft.report
    version = data.get("hspecVersion")
    if version and version not in VERSIONS:
        report.warn(("hspecVersion",), f"{quoted(version)} is not known; {', '.join(VERSIONS)} are.")
    name, file = data.get("name"), report.file.name
    if name and file not in [f"{name}{ending}" for ending in (".hspec", ".hspec.yaml", ".hspec.yml")]:
        report.warn(("name",), f"The file is called {file}; for this service it should be {name}.hspec.")
    for index, agent in enumerate(data.get("agents") or []):
        if name and (agent or {}).get("name") == name:
            report.error(("agents", index, "name"), "The agent has the name of the service; two containers cannot.")


def check_replicas(draft: Draft) -> None:
    replicas = draft.data.get("replicas")
    if not isinstance(replicas, dict):
        return
    written = draft.report.root.value["replicas"].value
    low, high, threshold = (replicas.get(name) for name in ("min", "max", "cpuThreshold"))
    for name, other in (("max", "cpuThreshold"), ("cpuThreshold", "max")):
        if written.get(name) and not written.get(other):
            draft.report.error(("replicas", other), f"This is required where there is {name}.")
    if high is None or threshold is None:
        return
    if low == 0:
        draft.report.error(("replicas", "min"), "0 is not allowed: it must be 1 or more where there is max.")
    if low is not None and low > high:
        draft.report.error(("replicas", "max"), f"{high} is not allowed: it must not be less than min, {low}.")
    if not draft.data.get("cpu"):
        draft.report.warn(("replicas",), "Without `cpu` there is nothing that cpuThreshold is a percentage of.")


def check_ports(draft: Draft) -> None:
    first: dict[tuple[int, str], Path] = {}
    for path, owner in draft.owners():
        for index, port in enumerate(ports_of(owner)):
            where = (*path, "ports", index)
            if port and first.setdefault((port.number, port.transport), where) != where:
                line = draft.report.place(first[port.number, port.transport]).line
                first_in = f", first in line {line}" if line else ""
                draft.report.error((*where, "port"), f"{port.number}/{port.transport} is there twice{first_in}.")
        _check_health(draft, (*path, "ports"), owner)


def _check_health(draft: Draft, path: Path, owner: dict[str, Any]) -> None:
    """One port at most can be asked; one with a path before one without."""
    ports = list(enumerate(zip(owner.get("ports") or [], ports_of(owner), strict=True)))
    checks = [(index, port, (entry or {}).get("healthCheck")) for index, (entry, port) in ports]
    asked = [(index, port, check) for index, port, check in checks if check is not None]
    for index, port, _ in asked:
        if port and port.transport == "UDP":
            draft.report.error((*path, index, "healthCheck"), "A port of UDP cannot be asked; use one of TCP.")
    if len(asked) > 1:
        used = next((index for index, _, check in asked if check.get("httpPath") is not None), asked[0][0])
        for index in [index for index, _, _ in asked if index != used]:
            message = f"This is not used; one port is asked, {_name(owner, used)}."
            draft.report.warn((*path, index, "healthCheck"), message)


def _name(owner: dict[str, Any], index: int) -> str:
    return str(owner["ports"][index].get("port"))


def check_volumes(draft: Draft) -> None:
    names = {volume.get("name") for volume in draft.data.get("volumes") or [] if volume}
    for path, owner in draft.owners():
        for index, volume in enumerate(owner.get("volumes") or []):
            attached = (volume or {}).get("attach")
            if path and attached and attached not in names:
                known = f"; there are {listed(sorted(filter(None, names)))}" if names else "; it has none"
                message = f"The service has no volume {quoted(attached)}{known}."
                draft.report.error((*path, "volumes", index, "attach"), message)
        _check_mounts(draft, path, owner)


def _check_mounts(draft: Draft, path: Path, owner: dict[str, Any]) -> None:
    """Two things cannot be at the same place in a container."""
    field = "mountPath" if path else "path"
    volumes = enumerate(owner.get("volumes") or [])
    mounts = [((*path, "volumes", index, field), (volume or {}).get(field)) for index, volume in volumes]
    mounts += [((*path, name), owner.get(name)) for name in ("propsVolumePath", "secretsVolumePath")]
    seen: set[PurePosixPath] = set()
    for where, mount in mounts:
        if mount and PurePosixPath(mount) in seen:
            draft.report.error(where, f"{quoted(mount)} is there twice; only one thing can be at a path.")
        seen.add(PurePosixPath(mount or ""))


def check_traffic(draft: Draft) -> None:
    rules = draft.data.get("allowTraffic")
    if rules is not None and draft.data.get("external"):
        draft.report.error(("allowTraffic",), "This is not allowed with `external: true`: everybody may come in then.")
    exposed = draft.exposed()
    for index, rule in enumerate(rules or []):
        for position, text in enumerate((rule or {}).get("ports") or []):
            _check_exposed(draft, ("allowTraffic", index, "ports", position), text, exposed)
        _warn_of_sources(draft, ("allowTraffic", index), rule or {})


def _warn_of_sources(draft: Draft, path: Path, rule: dict[str, Any]) -> None:
    """Two rules that are easily taken for each other, one of them harmless."""
    if rule.get("from") is None:
        draft.report.warn(path, "Without `from` this rule lets nobody in.")
    elif not rule["from"]:
        draft.report.warn((*path, "from"), "An empty list lets everybody in at these ports; name services.")


def _check_exposed(draft: Draft, path: Path, text: str | None, exposed: Collection[tuple[int, str]]) -> None:
    port = port_of(text) if text else None
    if port and (port.number, port.transport) not in exposed:
        known = listed([f"{number}/{transport}" for number, transport in islice(exposed, LISTED + 1)]) or "none"
        draft.report.error(path, f"{quoted(text or '')} is not among the ports of the service or an agent: {known}.")


def check_load_balancer(draft: Draft) -> None:
    balancer = draft.data.get("loadBalancer")
    if balancer is None:
        return
    if not draft.data.get("external"):
        draft.report.error(("loadBalancer",), "This is only allowed with `external: true`.")
    if balancer.get("provider") == "istio" and not balancer.get("labels"):
        draft.report.error(("loadBalancer", "labels"), "This is required where the provider is istio.")
    if balancer.get("host") == "*" and balancer.get("provider") in ("nginx", "traefik"):
        draft.report.error(("loadBalancer", "host"), '"*" is not allowed: only istio takes any host.')
    if balancer.get("headers") and balancer.get("provider") == "nginx":
        draft.report.warn(
            ("loadBalancer", "headers"),
            "ingress-nginx refuses this unless its administrator has set allow-snippet-annotations, which has been off "
            "since its version 1.9.",
        )
    _check_mapping(draft, balancer)


def _check_mapping(draft: Draft, balancer: dict[str, Any]) -> None:
    exposed, seen = draft.exposed(), set[str]()
    for index, mapping in enumerate(balancer.get("mapping") or []):
        path = ("loadBalancer", "mapping", index)
        port = (mapping or {}).get("port")
        _check_exposed(draft, (*path, "port"), port, exposed)
        if port and port.lower().endswith("/udp"):
            draft.report.error((*path, "port"), f"{quoted(port)} is not allowed: it must be a port of TCP.")
        for position, context in enumerate((mapping or {}).get("contextPaths") or []):
            if context in seen:
                draft.report.error((*path, "contextPaths", position), f"{quoted(context)} leads to two ports.")
        seen.update(filter(None, (mapping or {}).get("contextPaths") or []))
