"""What a server refuses: decoding errors (400), and fields that are wrong, missing or not to be changed (422)."""

import json
import re
from collections.abc import Iterator
from typing import Any

from .defaults import POD_SPECS
from .errors import Cause, bad_request, forbidden_field, invalid, required
from .kinds import Kind
from .paths import Object, dig, each
from .selectors import by_spec

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
VALUE = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
DOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"
)
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
)
VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
    f"regex used for validation is '{VALUE}')"
)
SHORT = ("Namespace", "Service")  # kinds whose names are labels, not subdomains; those of roles may be nearly anything

# What decoding into Go's types would refuse, of the fields that templates get wrong.
TYPES: dict[str, list[tuple[str, type]]] = {
    "": [("metadata.labels.*", str), ("metadata.annotations.*", str), ("metadata.name", str), ("spec.replicas", int)],
    "ConfigMap": [("data.*", str), ("binaryData.*", str)],
    "Secret": [("data.*", str), ("stringData.*", str)],
    "Service": [("spec.ports.port", int), ("spec.selector.*", str)],
    "pod": [
        ("containers.env.value", str),
        ("containers.args", str),
        ("containers.command", str),
        ("containers.ports.containerPort", int),
        ("initContainers.env.value", str),
        ("terminationGracePeriodSeconds", int),
        ("nodeSelector.*", str),
    ],
}
GO_NAMES = {str: "string", int: "int32"}

# Fields that cannot be changed once they are there.
IMMUTABLE: dict[str, list[str]] = {
    "Deployment": ["spec.selector"],
    "ReplicaSet": ["spec.selector"],
    "DaemonSet": ["spec.selector"],
    "Job": ["spec.selector", "spec.template", "spec.completionMode"],
    "Secret": ["type"],
    "RoleBinding": ["roleRef"],
    "ClusterRoleBinding": ["roleRef"],
    "StorageClass": ["provisioner", "parameters"],
}
STATEFUL = ("replicas", "template", "updateStrategy", "minReadySeconds", "persistentVolumeClaimRetentionPolicy")
STATEFUL_RULE = (
    "updates to statefulset spec for fields other than 'replicas', 'template', 'updateStrategy', "
    "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
CLAIM_RULE = "spec is immutable after creation except resources.requests for bound claims"
POD_RULE = (
    "pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, "
    "`spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to existing tolerations) or "
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def decode(kind: Kind, item: Object) -> None:
    """Raise Refusal 400 for values of a type that the kind's fields do not have."""
    own = [] if kind.custom else TYPES.get(kind.name, [])
    paths = [*TYPES[""], *own]
    if not kind.custom and (pod := POD_SPECS.get(kind.name)):
        paths += [(f"{pod}.{path}", type_) for path, type_ in TYPES["pod"]]
    for path, type_ in paths:
        for at, value in each(item, path):
            if not isinstance(value, type_) or isinstance(value, bool):
                given = {bool: "bool", str: "string", dict: "object"}.get(type(value), "number")
                raise bad_request(
                    f'{kind.name} in version "{item.get("apiVersion", "").rpartition("/")[2]}" cannot be handled as a '
                    f"{kind.name}: json: cannot unmarshal {given} into Go struct field .{at} of type {GO_NAMES[type_]}"
                )


def check(kind: Kind, item: Object, old: Object | None) -> None:
    """Raise Refusal 422 unless the object may be stored, in place of `old`."""
    causes = [*_metadata(kind, item), *(() if kind.custom else _content(kind, item))]
    if old and not causes:
        causes = list(_frozen(kind, item, old))
    if causes:
        raise invalid(kind, item["metadata"].get("name", ""), causes)


def _metadata(kind: Kind, item: Object) -> Iterator[Cause]:
    name = item["metadata"].get("name", "")
    if kind.group == "rbac.authorization.k8s.io":
        if name in (".", "..") or "/" in name or "%" in name:
            yield Cause("metadata.name", f"Invalid value: \"{name}\": may not contain '/' or '%'")
    elif kind.name in SHORT and not (re.fullmatch(LABEL, name) and len(name) <= 63):
        yield Cause("metadata.name", f'Invalid value: "{name}": {LABEL_RULE}')
    elif not (re.fullmatch(SUBDOMAIN, name) and len(name) <= 253):
        yield Cause("metadata.name", f'Invalid value: "{name}": {DOMAIN_RULE}')
    yield from _labels("metadata.labels", dig(item, "metadata.labels", {}))


def _labels(field: str, labels: Object) -> Iterator[Cause]:
    for key, value in labels.items():
        if not re.fullmatch(rf"({SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", key):
            yield Cause(field, f'Invalid value: "{key}": name part must consist of alphanumeric characters')
        if len(str(value)) > 63:
            yield Cause(field, f'Invalid value: "{value}": must be no more than 63 characters')
        elif not re.fullmatch(VALUE, str(value)):
            yield Cause(field, f'Invalid value: "{value}": {VALUE_RULE}')


def _content(kind: Kind, item: Object) -> Iterator[Cause]:
    if path := POD_SPECS.get(kind.name):
        yield from _pod(f"{path}.", dig(item, path, {}), kind.name)
    if check_kind := CHECKS.get(kind.name):
        yield from check_kind(item)
    if (dig(item, "spec.replicas", 0)) < 0:
        yield Cause("spec.replicas", f"Invalid value: {item['spec']['replicas']}: must be greater than or equal to 0")


def _pod(at: str, spec: Object, kind: str) -> Iterator[Cause]:
    if not spec.get("containers"):
        yield required(f"{at}containers")
    for group in ("initContainers", "containers"):
        names = [container.get("name") for container in spec.get(group) or []]
        for index, container in enumerate(spec.get(group) or []):
            field = f"{at}{group}[{index}]"
            yield from _container(field, container)
            if container.get("name") in names[:index]:
                yield Cause(f"{field}.name", f'Duplicate value: "{container["name"]}"', "FieldValueDuplicate")
            known = {volume.get("name") for volume in spec.get("volumes") or []}
            for place, mount in enumerate(container.get("volumeMounts") or []):
                if kind != "StatefulSet" and mount.get("name") not in known:
                    yield Cause(f"{field}.volumeMounts[{place}].name", f'Not found: "{mount.get("name")}"')
    if kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet") and spec.get("restartPolicy") != "Always":
        yield Cause(
            f"{at}restartPolicy", f'Unsupported value: "{spec.get("restartPolicy")}": supported values: "Always"'
        )
    if kind in ("Job", "CronJob") and spec.get("restartPolicy") == "Always":
        yield Cause(f"{at}restartPolicy", 'Unsupported value: "Always": supported values: "OnFailure", "Never"')


def _container(field: str, container: Object) -> Iterator[Cause]:
    name = container.get("name", "")
    if not name:
        yield required(f"{field}.name")
    elif not re.fullmatch(LABEL, name):
        yield Cause(f"{field}.name", f'Invalid value: "{name}": {LABEL_RULE}')
    if not container.get("image"):
        yield required(f"{field}.image")
    for index, variable in enumerate(container.get("env") or []):
        if not variable.get("name"):
            yield required(f"{field}.env[{index}].name")
    for index, port in enumerate(container.get("ports") or []):
        if not 0 < port.get("containerPort", 0) < 65536:
            given = port.get("containerPort", 0)
            yield Cause(f"{field}.ports[{index}].containerPort", f"Invalid value: {given}: must be between 1 and 65535")


def _workload(item: Object) -> Iterator[Cause]:
    labels = dig(item, "spec.template.metadata.labels", {})
    yield from _labels("spec.template.labels", labels)
    selector = dig(item, "spec.selector")
    if not selector:
        yield required("spec.selector")
    elif not by_spec(selector)({"metadata": {"labels": labels}}):
        given = f"map[string]string{json.dumps(labels, separators=(',', ':'))}"
        wrong = f"Invalid value: {given}: `selector` does not match template `labels`"
        yield Cause("spec.template.metadata.labels", wrong)


def _service(item: Object) -> Iterator[Cause]:
    spec = item["spec"]
    ports = spec.get("ports") or []
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    for index, port in enumerate(ports):
        if not 0 < port.get("port", 0) < 65536:
            yield Cause(
                f"spec.ports[{index}].port", f"Invalid value: {port.get('port', 0)}: must be between 1 and 65535"
            )
        if len(ports) > 1 and not port.get("name"):
            yield required(f"spec.ports[{index}].name")


def _claim(item: Object) -> Iterator[Cause]:
    if not dig(item, "spec.accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")
    if not dig(item, "spec.resources.requests.storage"):
        yield required("spec.resources[storage]")


def _ingress(item: Object) -> Iterator[Cause]:
    if not dig(item, "spec.rules") and not dig(item, "spec.defaultBackend"):
        yield Cause("spec", "Invalid value: either `defaultBackend` or `rules` must be specified")
    for at, path in each(item, "spec.rules.http.paths"):
        if not path.get("pathType"):
            yield required(f"{at}.pathType", "pathType must be specified")


def _schedule(item: Object) -> Iterator[Cause]:
    if not dig(item, "spec.schedule"):
        yield required("spec.schedule")


def _autoscaler(item: Object) -> Iterator[Cause]:
    if not dig(item, "spec.scaleTargetRef.name"):
        yield required("spec.scaleTargetRef.name")
    if dig(item, "spec.maxReplicas", 0) < max(1, dig(item, "spec.minReplicas", 1)):
        given = dig(item, "spec.maxReplicas", 0)
        yield Cause("spec.maxReplicas", f"Invalid value: {given}: must be greater than or equal to `minReplicas`")


CHECKS: dict[str, Any] = {
    **dict.fromkeys(["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"], _workload),
    "Service": _service,
    "PersistentVolumeClaim": _claim,
    "Ingress": _ingress,
    "CronJob": _schedule,
    "HorizontalPodAutoscaler": _autoscaler,
}


def _frozen(kind: Kind, item: Object, old: Object) -> Iterator[Cause]:
    for path in () if kind.custom else IMMUTABLE.get(kind.name, []):
        if dig(item, path) != dig(old, path):
            yield Cause(path, f"Invalid value: {dig(item, path)}: field is immutable")
    fixed = ("data", "binaryData", "immutable") if old.get("immutable") else ()
    if kind.name in ("ConfigMap", "Secret") and any(item.get(field) != old.get(field) for field in fixed):
        yield forbidden_field("data", "field is immutable when `immutable` is set")
    if kind.name == "StatefulSet" and _others(item, STATEFUL) != _others(old, STATEFUL):
        yield forbidden_field("spec", STATEFUL_RULE)
    grows = ("resources", "volumeName")
    if kind.name == "PersistentVolumeClaim" and _others(item, grows) != _others(old, grows):
        yield forbidden_field("spec", CLAIM_RULE)
    address = dig(old, "spec.clusterIP")
    if kind.name == "Service" and address and dig(item, "spec.clusterIP") not in (address, None):
        yield Cause("spec.clusterIPs[0]", f"Invalid value: {dig(item, 'spec.clusterIPs')}: may not change once set")
    if kind.name == "Pod" and _fixed(item) != _fixed(old):
        yield forbidden_field("spec", POD_RULE)


def _others(item: Object, allowed: tuple[str, ...]) -> Object:
    return {key: value for key, value in item.get("spec", {}).items() if key not in allowed}


def _fixed(pod: Object) -> Object:
    """What of a pod's spec has to stay as it is."""
    spec = _others(pod, ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName"))
    for group in ("containers", "initContainers"):
        spec[group] = [container | {"image": ""} for container in spec.get(group) or []]
    return spec
