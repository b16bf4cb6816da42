"""What clients ask before anything else: versions, groups, resources, and a schema that says next to nothing."""

from typing import Any

from .kinds import Kind, Kinds
from .paths import Object

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def version(number: str) -> Object:
    major, minor, _ = number.split(".")
    build = {"buildDate": "2023-01-18T19:15:26Z", "compiler": "gc", "platform": "linux/amd64", "goVersion": "go1.19.5"}
    return {"major": major, "minor": minor, "gitVersion": f"v{number}", "gitCommit": "0" * 40, **build}


def core_versions() -> Object:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups(kinds: Kinds) -> Object:
    listed = [group(name, versions) for name, versions in kinds.groups().items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def group(name: str, versions: list[str]) -> Object:
    known = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": known, "preferredVersion": known[0]}


def resources(kinds: Kinds, group: str, version: str) -> Object:
    served = [kind for kind in kinds.all if kind.group == group and version in kind.versions]
    listed = [resource for kind in served for resource in _resources(kind)]
    group_version = f"{group}/{version}".lstrip("/")
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}


def _resources(kind: Kind) -> list[Object]:
    common = {"singularName": "", "namespaced": kind.namespaced}
    main: Object = {"name": kind.plural, "kind": kind.name, **common, "verbs": VERBS}
    if "ask" in kind.marks:
        return [main | {"verbs": ["create"]}]
    if kind.short:
        main["shortNames"] = list(kind.short)
    if "all" in kind.marks:
        main["categories"] = ["all"]
    parts: list[Object] = []
    if "status" in kind.marks:
        parts.append(
            {"name": f"{kind.plural}/status", "kind": kind.name, **common, "verbs": ["get", "patch", "update"]}
        )
    if "scale" in kind.marks:
        scale = {"group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]}
        parts.append({"name": f"{kind.plural}/scale", **common, **scale})
    if "log" in kind.marks:
        parts.append({"name": f"{kind.plural}/log", "kind": kind.name, **common, "verbs": ["get"]})
    return [main, *parts]


def schema(kinds: Kinds) -> Object:
    """OpenAPI 2, with nothing in it but that everything can be patched as a dry run: that is what clients look for."""
    return {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1"}, "paths": {}}


def schema_message(kinds: Kinds) -> bytes:
    """The same as the protobuf message `openapi.v2.Document`, which is what clients ask for."""
    paths = b""
    for kind in kinds.all:
        for version in kind.versions:
            paths += field(2, _path_item(kind, version))
    info = field(1, b"Kubernetes") + field(2, b"v1")
    return field(1, b"2.0") + field(2, info) + field(8, paths)


def _path_item(kind: Kind, version: str) -> bytes:
    """`NamedPathItem` of one kind: its patch takes dryRun, and says what kind it is for."""
    prefix = f"/apis/{kind.group}" if kind.group else "/api"
    place = "namespaces/{namespace}/" if kind.namespaced else ""
    path = f"{prefix}/{version}/{place}{kind.plural}/{{name}}"
    parameter = field(1, field(2, field(3, field(2, b"query") + field(4, b"dryRun"))))
    about = f"group: {kind.group!r}\nkind: {kind.name}\nversion: {version}\n".encode()
    extension = field(1, b"x-kubernetes-group-version-kind") + field(2, field(2, about))
    operation = field(8, parameter) + field(13, extension)
    return field(1, path.encode()) + field(2, field(8, operation))


def field(number: int, content: bytes) -> bytes:
    """One length-delimited field of a protobuf message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: Any) -> bytes:
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([number])
