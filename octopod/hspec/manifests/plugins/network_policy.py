"""Who may speak to the service, when the spec has allowTraffic; all others may not."""

from collections.abc import Iterator
from typing import Any

from ... import names
from ...service import Context, Service, TrafficRule
from ..model import Snippet, main_head

KIND = "NetworkPolicy"


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    if service.allow_traffic is None:
        return
    yield from main_head(KIND, service, context)
    yield Snippet(KIND, "spec", {"podSelector": _pods(service.name, context), "policyTypes": ["Ingress"]})
    yield Snippet(
        KIND, "spec.ingress", [_rule(rule, context) for rule in service.allow_traffic if rule.sources is not None]
    )


def _rule(rule: TrafficRule, context: Context) -> dict[str, Any]:
    """An empty list, of services or of ports, stands for all; a rule that names no sources at all opens nothing."""
    return {
        "from": [{"podSelector": _pods(source, context)} for source in rule.sources or ()],
        "ports": [{"port": port.number, "protocol": port.transport} for port in rule.ports],
    }


def _pods(service_name: str, context: Context) -> dict[str, Any]:
    """The pods of a service of this app: another app in the namespace may have one of the same name."""
    labels = {names.APP: context.app, names.SERVICE: service_name}
    return {"matchLabels": {key: names.label_value(value) for key, value in labels.items()}}
