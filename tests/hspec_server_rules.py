"""Rules of a real API server that its schemas do not have: k8s.io/apimachinery and k8s.io/kubernetes, pkg/…/validation."""

import re
from collections.abc import Callable, Iterator
from typing import Any

LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
VALUE = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
HOST = rf"(\*\.)?{SUBDOMAIN}"
KEY = "[-._a-zA-Z0-9]+"
VARIABLE = "[-._a-zA-Z][-._a-zA-Z0-9]*"
ANNOTATIONS = 256 * 1024  # bytes of all together
DATA = 1024 * 1024

Rule = Callable[[Any], bool]


def text(pattern: str, longest: int) -> Rule:
    return lambda value: bool(re.fullmatch(pattern, value)) and len(value) <= longest


def is_qualified(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    is_prefix_right = bool(text(SUBDOMAIN, 253)(prefix)) if slash else True
    return is_prefix_right and bool(name) and text(VALUE, 63)(name)


def is_port_name(name: str) -> bool:
    return text(LABEL, 15)(name) and "--" not in name and bool(re.search("[a-z]", name))


def is_key(key: str) -> bool:
    return text(KEY, 253)(key) and key != "." and not key.startswith("..")


def is_variable(name: str) -> bool:
    return bool(re.fullmatch(VARIABLE, name)) and name != "." and not name.startswith("..")


def is_right_path(path: dict[str, Any]) -> bool:
    if path["pathType"] == "ImplementationSpecific":
        return path["path"].startswith("/")
    wrong = any(part in path["path"] for part in ("//", "/./", "/../", "%2f", "%2F"))
    return path["path"].startswith("/") and not wrong and not path["path"].endswith(("/.", "/.."))


def differ(*keys: str) -> Rule:
    """No two of a list have the same."""

    def rule(items: list[dict[str, Any]]) -> bool:
        found = [tuple(item.get(key) for key in keys) for item in items]
        return len(set(found)) == len(found)

    return rule


def mounts_are_there(spec: dict[str, Any]) -> bool:
    pod = spec["template"]["spec"]
    names = {volume["name"] for volume in pod.get("volumes", [])}
    names |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
    containers = pod["containers"]
    return all(mount["name"] in names for each in containers for mount in each.get("volumeMounts", []))


def selects_its_pods(spec: dict[str, Any]) -> bool:
    return spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def fits_into_annotations(annotations: dict[str, str]) -> bool:
    return sum(len(f"{key}{value}".encode()) for key, value in annotations.items()) <= ANNOTATIONS


is_label, is_name, is_value, is_number = (
    text(LABEL, 63),
    text(SUBDOMAIN, 253),
    text(VALUE, 63),
    range(1, 65536).__contains__,
)
POD, CONTAINER = "spec.template.spec", "spec.template.spec.containers[]"
WORKLOADS = "Deployment StatefulSet"
# Kinds (none: all), where, and what has to hold. In a path `*` stands for all values of a map, `*?` for all its keys.
RULES: list[tuple[str, str, Rule]] = [
    ("", "metadata.name", is_name),
    ("", "metadata.labels.*?", is_qualified),
    ("", "metadata.labels.*", is_value),
    ("", "metadata.annotations.*?", is_qualified),
    ("", "metadata.annotations", fits_into_annotations),
    ("Service", "metadata.name", text("[a-z]([-a-z0-9]*[a-z0-9])?", 63)),
    ("Service", "spec.selector.*", is_value),
    ("Service", "spec.ports[].name", is_label),
    ("Service", "spec.ports[].port", is_number),
    ("Service", "spec.ports", differ("name")),
    ("Service", "spec.ports", differ("port", "protocol")),
    (WORKLOADS, "spec", selects_its_pods),
    (WORKLOADS, "spec", mounts_are_there),
    (WORKLOADS, "spec.template.metadata.labels.*", is_value),
    (WORKLOADS, "spec.template.metadata.annotations.*?", is_qualified),
    (WORKLOADS, f"{POD}.containers", differ("name")),
    (WORKLOADS, f"{POD}.volumes", differ("name")),
    (WORKLOADS, f"{POD}.volumes[].name", is_label),
    (WORKLOADS, f"{POD}.volumes[].configMap.name", is_name),
    (WORKLOADS, f"{POD}.imagePullSecrets[].name", is_name),
    (WORKLOADS, f"{CONTAINER}.name", is_label),
    (WORKLOADS, f"{CONTAINER}.image", text(r"\S+", 10_000)),
    (WORKLOADS, f"{CONTAINER}.ports", differ("name")),
    (WORKLOADS, f"{CONTAINER}.ports[].name", is_port_name),
    (WORKLOADS, f"{CONTAINER}.ports[].containerPort", is_number),
    (WORKLOADS, f"{CONTAINER}.env[].name", is_variable),
    (WORKLOADS, f"{CONTAINER}.env[].valueFrom.*.key", is_key),
    (WORKLOADS, f"{CONTAINER}.env[].valueFrom.*.name", is_name),
    (WORKLOADS, f"{CONTAINER}.volumeMounts", differ("mountPath")),
    (WORKLOADS, f"{CONTAINER}.volumeMounts[].mountPath", text("[^:]+", 4096)),
    (WORKLOADS, f"{CONTAINER}.readinessProbe.httpGet.path", bool),
    ("StatefulSet", "metadata.name", text(SUBDOMAIN, 52)),  # a label of its pods has 11 characters more
    ("StatefulSet", "spec.serviceName", is_label),
    ("StatefulSet", "spec.volumeClaimTemplates[].metadata.name", is_label),
    ("StatefulSet", "spec.volumeClaimTemplates[].metadata.labels.*", is_value),
    ("StatefulSet", "spec.volumeClaimTemplates[].spec.storageClassName", is_name),
    ("ConfigMap", "data.*?", is_key),
    ("ConfigMap", "binaryData.*?", is_key),
    ("Secret", "data.*?", is_key),
    ("NetworkPolicy", "spec.podSelector.matchLabels.*", is_value),
    ("NetworkPolicy", "spec.ingress[].from[].podSelector.matchLabels.*", is_value),
    ("NetworkPolicy", "spec.ingress[].ports[].port", is_number),
    ("HorizontalPodAutoscaler", "spec", lambda spec: 1 <= spec["minReplicas"] <= spec["maxReplicas"]),
    ("Ingress", "spec.ingressClassName", is_name),
    ("Ingress", "spec.rules[].host", text(HOST, 253)),
    ("Ingress", "spec.rules[].http.paths[]", is_right_path),
    ("Ingress", "spec.rules[].http.paths[].backend.service.name", is_label),
    ("Ingress", "spec.tls[].secretName", is_name),
    ("Ingress", "spec.tls[].hosts[]", text(HOST, 253)),
]


def refusals(manifest: dict[str, Any]) -> list[str]:
    """What a server would say of it, one per value."""
    kind = manifest["kind"]
    rules = [(path, rule) for kinds, path, rule in RULES if not kinds or kind in kinds.split()]
    return [f"{kind} {path}: {value!r}" for path, rule in rules for value in values(manifest, path) if not rule(value)]


def values(data: Any, path: str) -> Iterator[Any]:
    """All that a path leads to; nothing where something on its way is absent."""
    step, _, rest = path.partition(".")
    if not step:
        yield data
    elif step == "*?":
        yield from data
    elif step == "*":
        for value in data.values():
            yield from values(value, rest)
    elif step.removesuffix("[]") in data:
        found = data[step.removesuffix("[]")]
        for value in found if step.endswith("[]") else [found]:
            yield from values(value, rest)
