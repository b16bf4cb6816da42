"""Services for the tests of the deployer: what a spec says, and the manifests made from it, as plain data."""

import base64
import io
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kube.cluster import Cluster

from octopod.hspec import names
from octopod.hspec.cluster import Kubectl
from octopod.hspec.service import Context, Image, Replicas, Service, Volume
from octopod.hspec.talk import Talk

CONTEXT = Context("shop", "shop-dev", "store")
CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "test",
}


class Manifest(NamedTuple):
    kind: str
    name: str
    data: dict[str, Any]


def service(name: str = "web", volumes: tuple[Volume, ...] = (), **rest: Any) -> Service:
    return Service(name, Image("team/web", tag="1"), Path("/spec/web.hspec"), volumes=volumes, **rest)


def client(cluster: Cluster, kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    """kubectl, as a person would have it: with a kubeconfig, and an empty namespace."""
    cluster.namespace("store")
    for variable, value in {**cluster.environment, "KUBECTL_BIN": str(kubectl), "HSPEC_POLL_SECONDS": "0"}.items():
        monkeypatch.setenv(variable, value)
    return Kubectl("store")


def talk(verbose: bool = False) -> Talk:
    return Talk(io.StringIO(), verbose)


def said(talk: Talk) -> str:
    assert isinstance(talk.stream, io.StringIO)
    return talk.stream.getvalue()


def labels(name: str = "web", app: str = "shop", environment: str = "") -> dict[str, str]:
    return {names.APP: app, names.ENVIRONMENT: environment or f"{app}-dev", names.SERVICE: name}


def manifest(kind: str, name: str, of: dict[str, str], api: str = "v1", **content: Any) -> Manifest:
    data = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": of}, **content}
    return Manifest(kind, name, data)


def config_map(name: str = "shop-web", of: dict[str, str] | None = None, **data: str) -> Manifest:
    return manifest("ConfigMap", name, of or labels(), data=data)


def secret(name: str = "shop-web", of: dict[str, str] | None = None, **data: str) -> Manifest:
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return manifest("Secret", name, of or labels(), type="Opaque", data=encoded)


def pull_secret(app: str = "shop") -> Manifest:
    of = {names.APP: app, names.ENVIRONMENT: f"{app}-dev"}
    return manifest(
        "Secret", "registry-example", of, type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": "e30="}
    )


def network(kind: str = "ClusterIP", port: int = 80, of: dict[str, str] | None = None) -> Manifest:
    of = of or labels()
    ports = [{"name": f"{port}-tcp", "port": port, "protocol": "TCP", "targetPort": port}]
    return manifest("Service", of[names.SERVICE], of, spec={"type": kind, "selector": of, "ports": ports})


def autoscaler(low: int = 2, high: int = 4, kind: str = "Deployment") -> Manifest:
    target = {"apiVersion": "apps/v1", "kind": kind, "name": "shop-web"}
    spec = {"scaleTargetRef": target, "minReplicas": low, "maxReplicas": high}
    return manifest("HorizontalPodAutoscaler", "shop-web", labels(), "autoscaling/v2", spec=spec)


def _pods(of: dict[str, str], image: str, environment: dict[str, str], **spec: Any) -> dict[str, Any]:
    env = [{"name": key, "value": text} for key, text in environment.items()]
    container = {"name": of[names.SERVICE], "image": image, "env": env}
    template = {"metadata": {"labels": of}, "spec": {"containers": [container], **spec}}
    return {"selector": {"matchLabels": of}, "template": template}


def deployment(
    image: str = "web:1", replicas: int | None = 1, of: dict[str, str] | None = None, env: dict[str, str] | None = None,
    **spec: Any,
) -> Manifest:  # fmt: skip
    of = of or labels()
    count = {} if replicas is None else {"replicas": replicas}
    name = names.resource_name(of[names.APP], of[names.SERVICE])
    return manifest("Deployment", name, of, "apps/v1", spec=count | _pods(of, image, env or {"MODE": "plain"}, **spec))


def stateful_set(image: str = "web:1", replicas: int | None = 1, **sizes: str) -> Manifest:
    of = labels()
    count = {} if replicas is None else {"replicas": replicas}
    claims = [
        {
            "metadata": {"name": volume, "labels": of},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
        }
        for volume, size in (sizes or {"data": "1Gi"}).items()
    ]
    spec = {**count, "serviceName": "web", "volumeClaimTemplates": claims, **_pods(of, image, {})}
    return manifest("StatefulSet", "shop-web", of, "apps/v1", spec=spec)


def writes(cluster: Cluster) -> list[str]:
    """The requests so far that were to change something: `PATCH deployments/shop-web 200`."""
    changing = [one for one in cluster.requests if one.method != "GET" and "dryRun" not in one.query]
    last = [one for one in changing if "selfsubjectaccessreviews" not in one.path]
    return [f"{one.method} {'/'.join(one.path.split('/')[-2:])} {one.status}" for one in last]


__all__ = ["CONTEXT", "Replicas", "Volume"]
