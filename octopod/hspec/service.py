"""A service as its spec, checked and merged with its profile, describes it. Nothing here can be invalid any more."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .errors import Problem


@dataclass(frozen=True)
class Artifact:
    """A file that is copied into the image."""

    name: str
    source: Path  # absolute
    destination: str  # in the image


@dataclass(frozen=True)
class BuildSpec:
    """What is put on top of a stack image. Of commands and script of one purpose, at most one is set: commands win."""

    stack_image: str
    artifacts: tuple[Artifact, ...] = ()
    config_commands: str | None = None
    config_script: Path | None = None
    run_commands: str | None = None
    run_script: Path | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the stack image itself is the image of the service."""
        scripts = self.config_commands, self.config_script, self.run_commands, self.run_script
        return not self.artifacts and not any(scripts)


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile of the user's."""

    context: Path  # absolute
    file: Path  # absolute
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None


@dataclass(frozen=True)
class Image:
    name: str  # repository within the registry, lower-case
    registry: str | None = None
    tag: str | None = None
    dockerfile: Dockerfile | None = None
    build_spec: BuildSpec | None = None  # never together with `dockerfile`

    @property
    def repository(self) -> str:
        """`[registry/]name`"""
        return f"{self.registry}/{self.name}" if self.registry else self.name

    @property
    def reference(self) -> str:
        """`[registry/]name[:tag]`"""
        return f"{self.repository}:{self.tag}" if self.tag else self.repository


@dataclass(frozen=True)
class Port:
    number: int
    protocol: Literal["tcp", "udp", "http", "https"] = "tcp"
    is_checked: bool = False  # has a healthCheck
    http_path: str | None = None  # of the healthCheck; None or "" when it has none

    @property
    def transport(self) -> Literal["TCP", "UDP"]:
        return "UDP" if self.protocol == "udp" else "TCP"

    @property
    def name(self) -> str:
        return f"{self.number}-{self.transport.lower()}"


@dataclass(frozen=True)
class Volume:
    name: str
    path: str
    size: str = "1Gi"
    storage_class: str | None = None
    read_only: bool = False


@dataclass(frozen=True)
class Prop:
    """The value of a prop: a text, the name of a service to speak to, or a file."""

    kind: Literal["string", "endpoint", "file"]
    text: str  # the text; the name of the service; the path as it was written
    file: Path | None = None  # absolute, for kind `file`


@dataclass(frozen=True)
class Secrets:
    """Either values, from which a Secret is made, or only the names of keys, of a Secret that exists already."""

    keys: tuple[str, ...]
    values: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Attachment:
    """A volume of the service, as an agent sees it."""

    attach: str  # name of the volume
    mount_path: str
    read_only: bool = False


@dataclass(frozen=True)
class Agent:
    """A container beside the service's own."""

    name: str
    image: str
    ports: tuple[Port, ...] = ()
    volumes: tuple[Attachment, ...] = ()
    props: Mapping[str, Prop] = field(default_factory=dict)
    props_volume_path: str | None = None
    secrets: Secrets | None = None
    secrets_volume_path: str | None = None


@dataclass(frozen=True)
class Range:
    """Of memory or cpu; Kubernetes quantities, as written."""

    max: str
    min: str | None = None


@dataclass(frozen=True)
class Replicas:
    min: int = 1
    max: int | None = None
    cpu_threshold: int | None = None  # percent

    @property
    def is_autoscaled(self) -> bool:
        return self.max is not None and self.cpu_threshold is not None


@dataclass(frozen=True)
class TrafficRule:
    """Who may come in: to these ports, from these services. `sources` None: the rule says nothing of them."""

    ports: tuple[Port, ...]
    sources: tuple[str, ...] | None


@dataclass(frozen=True)
class PortMapping:
    port: int
    context_paths: tuple[str, ...]


@dataclass(frozen=True)
class LoadBalancer:
    provider: Literal["nginx", "traefik", "istio"]
    host: str
    mapping: tuple[PortMapping, ...]
    class_name: str | None = None
    sticky: bool = False
    tls_secret: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """Everything a spec says."""

    name: str
    image: Image
    file: Path  # the spec; what it names is relative to its directory
    profile: Path | None = None
    environment: str | None = None  # of the profile
    start_command: tuple[str, ...] = ()
    replicas: Replicas | None = None
    memory: Range | None = None
    cpu: Range | None = None
    external: bool = False
    ports: tuple[Port, ...] = ()
    volumes: tuple[Volume, ...] = ()
    props: Mapping[str, Prop] = field(default_factory=dict)
    props_volume_path: str | None = None
    secrets: Secrets | None = None
    secrets_volume_path: str | None = None
    agents: tuple[Agent, ...] = ()
    snippets: tuple[Path, ...] = ()  # k8sSnippets; absolute
    allow_traffic: tuple[TrafficRule, ...] | None = None
    load_balancer: LoadBalancer | None = None
    source: Mapping[str, Any] = field(default_factory=dict)  # spec and profile as merged: plain data
    warnings: tuple[Problem, ...] = ()

    @property
    def is_stateful(self) -> bool:
        return bool(self.volumes)


@dataclass(frozen=True)
class Context:
    """What a service is deployed as: the part that no spec says."""

    app: str
    environment: str  # the profile's, or `<app>-dev`
    namespace: str | None = None  # None when only manifests are wanted
    credentials: "Credentials | None" = None  # for pulling the image
    digest: str | None = None  # `sha256:…` of the pushed image


@dataclass(frozen=True)
class Credentials:
    """Of a registry, as a docker configuration has them."""

    registry: str  # the key of `auths`, or the helper's ServerURL
    user: str
    password: str

    @property
    def auth(self) -> str:
        """Both, as configurations write them below `auths`."""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
