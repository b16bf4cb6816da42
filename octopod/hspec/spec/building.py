"""A service from data in which nothing is wrong any more."""

from pathlib import Path
from typing import Any, cast

from ..service import (
    Agent,
    Artifact,
    Attachment,
    BuildSpec,
    Dockerfile,
    Image,
    LoadBalancer,
    Port,
    PortMapping,
    Prop,
    Range,
    Replicas,
    Secrets,
    Service,
    TrafficRule,
    Volume,
)  # fmt: skip
from .file_rules import dockerfile_in
from .files import Files
from .patterns import split_range
from .rules import Draft
from .values import port_of, prop_of

Data = dict[str, Any]


def build(draft: Draft, **rest: Any) -> Service:
    """The service; `rest` is what no spec says: file, profile, environment, source, warnings."""
    data, files = draft.data, draft.files
    traffic = data.get("allowTraffic")
    return Service(
        name=data["name"],
        image=_image(draft, data["image"]),
        start_command=_start_command(data.get("startCommand")),
        replicas=_replicas(data.get("replicas")),
        memory=_range(data.get("memory")),
        cpu=_range(data.get("cpu")),
        external=bool(data.get("external")),
        volumes=tuple(map(_volume, data.get("volumes") or [])),
        agents=tuple(_agent(agent, files) for agent in data.get("agents") or []),
        snippets=tuple(map(files.resolve, data.get("k8sSnippets") or [])),
        allow_traffic=None if traffic is None else tuple(map(_traffic, traffic)),
        load_balancer=_load_balancer(data.get("loadBalancer")),
        **_shared(data, files),
        **rest,
    )


def _shared(data: Data, files: Files) -> Data:
    """What a service and an agent both have."""
    return {
        "ports": tuple(map(_port, data.get("ports") or [])),
        "props": _props(data.get("props") or {}, files),
        "props_volume_path": data.get("propsVolumePath"),
        "secrets": _secrets(data.get("secrets")),
        "secrets_volume_path": data.get("secretsVolumePath"),
    }


def _image(draft: Draft, data: Data) -> Image:
    dockerfile, build_spec = data.get("dockerfile"), data.get("buildSpec")
    return Image(
        data["name"],
        data.get("registry"),
        data.get("tag"),
        None if dockerfile is None else _dockerfile(draft, dockerfile),
        None if build_spec is None else _build_spec(build_spec, draft.files),
    )


def _dockerfile(draft: Draft, data: Data) -> Dockerfile:
    arguments = data.get("args") or {}
    if isinstance(arguments, list):
        arguments = dict(argument.split("=", 1) for argument in arguments)
    context = draft.files.resolve(data.get("path") or ".")
    return Dockerfile(context, dockerfile_in(draft, data), arguments, data.get("target"))


def _build_spec(data: Data, files: Files) -> BuildSpec:
    artifacts = tuple(
        Artifact(artifact["name"], files.resolve(artifact["source"]), artifact["destination"])
        for artifact in data.get("artifacts") or []
    )
    config_commands, config_script = _commands(data, "configCommands", files)
    run_commands, run_script = _commands(data, "runCommands", files)
    return BuildSpec(data["stackImage"], artifacts, config_commands, config_script, run_commands, run_script)


def _commands(data: Data, field: str, files: Files) -> tuple[str | None, Path | None]:
    """Commands or a script, never both."""
    if data.get(field):
        return data[field], None
    script = data.get(f"{field}Script")
    return None, files.resolve(script) if script else None


def _start_command(text: str | None) -> tuple[str, ...]:
    """Separated by commas; a quote at either end of a part is not part of it."""
    parts = map(str.strip, text.split(",")) if text else []
    return tuple(part.removeprefix('"').removesuffix('"') for part in parts)


def _replicas(data: int | Data | None) -> Replicas | None:
    if data is None or isinstance(data, int):
        return None if data is None else Replicas(data)
    threshold = data.get("cpuThreshold")
    low = data.get("min")
    return Replicas(1 if low is None else low, data.get("max"), int(threshold.rstrip("%")) if threshold else None)


def _range(text: str | None) -> Range | None:
    if text is None:
        return None
    minimum, maximum = split_range(text)
    return Range(maximum, minimum)


def _port(data: Data) -> Port:
    check, port = data.get("healthCheck"), port_of(data["port"])
    return port if check is None else Port(port.number, port.protocol, True, check.get("httpPath"))


def _volume(data: Data) -> Volume:
    size, storage_class = data.get("size") or "1Gi", data.get("storageClass")
    return Volume(data["name"], data["path"], size, storage_class, bool(data.get("readOnly")))


def _props(data: dict[str, str], files: Files) -> dict[str, Prop]:
    return {key: prop_of(text, files) for key, text in data.items()}


def _secrets(data: Any) -> Secrets | None:
    if not data:
        return None
    return Secrets(tuple(data), dict(data) if isinstance(data, dict) else None)


def _agent(data: Data, files: Files) -> Agent:
    volumes = tuple(
        Attachment(volume["attach"], volume["mountPath"], bool(volume.get("readOnly")))
        for volume in data.get("volumes") or []
    )
    return Agent(data["name"], data["image"], volumes=volumes, **_shared(data, files))


def _traffic(data: Data) -> TrafficRule:
    sources = data.get("from")
    return TrafficRule(tuple(map(port_of, data["ports"])), None if sources is None else tuple(sources))


def _load_balancer(data: Data | None) -> LoadBalancer | None:
    if data is None:
        return None
    mapping = tuple(PortMapping(port_of(each["port"]).number, tuple(each["contextPaths"])) for each in data["mapping"])
    return LoadBalancer(
        cast(Any, data["provider"]),
        data["host"],
        mapping,
        data.get("className"),
        bool(data.get("sticky")),
        data.get("tlsSecret"),
        data.get("headers") or {},
        data.get("labels") or {},
    )
