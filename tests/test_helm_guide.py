"""The guide keeps its word: its shell blocks are run in order, by the real helm and kubectl, before a small cluster.

The cluster starts no programs. In the place of Octopod's pod there is a server on this machine, with the environment
that the chart has given to the pod; it is started anew whenever that changes.
"""

import base64
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Server
from guides import Guide, anchors, install_programs
from helming import SCRIPTS, Repository, Site
from kube.cluster import Cluster

GUIDE = Guide(ROOT / "docs/helm-guide.md")
NAMESPACE = "octopod"
PASSWORD = "open sesame"
CHART_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


class Portal:
    """What Octopod's pod would be."""

    def __init__(self, cluster: Cluster, directory: Path, tools: dict[str, str]) -> None:
        directory.mkdir()
        self.cluster, self.directory = cluster, directory
        self.server = Server(directory, f"sqlite:///{directory}/octopod.db", CONTROL_SCRIPTS=str(SCRIPTS))
        self.fixed = self.server.env | cluster.environment | tools
        self.given: dict[str, str] = {}

    def follow(self) -> None:
        """Be what the Deployment asks for: started, started anew, or stopped."""
        wanted = self.wanted()
        if wanted == self.given:
            return
        self.stop()
        self.given = wanted
        if wanted:
            self.server.env = wanted | self.fixed
            self.server.start()

    def stop(self) -> None:
        if self.given:
            self.server.stop()
            self.given = {}

    def wanted(self) -> dict[str, str]:
        """The environment of the pod, with the paths of mounted ConfigMaps as they are here. Empty without a pod."""
        deployment = self.cluster.find("Deployment", "octopod", NAMESPACE)
        if not deployment:
            return {}
        pod = deployment["spec"]["template"]["spec"]
        [container] = pod["containers"]
        found = self.secrets(container) | {item["name"]: self.value(item) for item in container["env"]}
        for path in self.mounted(pod):
            found = {name: text.replace(path, f"{self.directory}{path}") for name, text in found.items()}
        return found

    def secrets(self, container: dict[str, Any]) -> dict[str, str]:
        names = [source["secretRef"]["name"] for source in container.get("envFrom", [])]
        return {key: self.secret(name, key) for name in names for key in self.data("Secret", name)}

    def value(self, item: dict[str, Any]) -> str:
        if "value" in item:
            return item["value"]
        reference = item.get("valueFrom", {}).get("secretKeyRef")
        return self.secret(reference["name"], reference["key"]) if reference else ""

    def secret(self, name: str, key: str) -> str:
        return base64.b64decode(self.data("Secret", name)[key]).decode()

    def data(self, kind: str, name: str) -> dict[str, str]:
        return self.cluster.get(kind, name, NAMESPACE)["data"]

    def mounted(self, pod: dict[str, Any]) -> Iterator[str]:
        """Where ConfigMaps are mounted; their files are written below our directory."""
        maps = {volume["name"]: volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
        for mount in pod["containers"][0]["volumeMounts"]:
            if mount["name"] in maps:
                yield mount["mountPath"]
                place = Path(f"{self.directory}{mount['mountPath']}")
                place.mkdir(parents=True, exist_ok=True)
                for name, text in self.data("ConfigMap", maps[mount["name"]]).items():
                    (place / name).write_text(text)


class Shop:
    """Where the guide's charts and images are: repositories of charts, and a registry of both."""

    def __init__(self, work: Path, helm: Path, new_registry: Callable[..., Site]) -> None:
        self.packages = work / "repository"
        self.open = Repository(helm, self.packages)
        self.closed = Repository(helm, work / "private", PASSWORD)
        self.manifests = {f"shop/hello:{version}": b"{}" for version in ("1.16.0", "1.17.0")}
        self.blobs: dict[str, bytes] = {}
        self.registry = new_registry(manifests=self.manifests, blobs=self.blobs)

    def push(self) -> None:
        """What `helm push` would do with the packages that there are."""
        for package in self.packages.glob("hello-*.tgz"):
            data = package.read_bytes()
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.blobs[digest] = data
            version = package.stem.removeprefix("hello-")
            layer = {"mediaType": CHART_LAYER, "digest": digest}
            self.manifests[f"charts/hello:{version}"] = json.dumps({"layers": [layer]}).encode()

    def close(self) -> None:
        self.open.site.stop()
        self.closed.site.stop()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def shop(work: Path, helm: Path, new_registry: Callable[..., Site]) -> Iterator[Shop]:
    shop = Shop(work, helm, new_registry)
    yield shop
    shop.close()


@pytest.fixture
def portal(cluster: Cluster, helm: Path, kubectl: Path, tmp_path: Path) -> Iterator[Portal]:
    settings = {"OCTOPOD_HOST": "127.0.0.1", "OCTOPOD_PUBLIC_URL": "", "DOCKER_CONFIG": str(tmp_path)}
    portal = Portal(
        cluster, tmp_path / "pod", settings | {"HELM_BIN": str(helm), "KUBECTL_BIN": str(kubectl), "NO_PROXY": "*"}
    )
    yield portal
    portal.stop()


@pytest.mark.thorough
@pytest.mark.timeout(600)  # it is long, as guides are
def test_guide_does_what_it_says(
    work: Path, cluster: Cluster, helm: Path, kubectl: Path, shop: Shop, portal: Portal
) -> None:
    programs = {"octo": f'"{sys.executable}" "{ROOT}/cli.py" "$@"', "helm": f'"{helm}" "$@"'}
    install_programs(work.parent / "bin", **programs, kubectl=f'"{kubectl}" "$@"')
    own = {"PATH": f"{work.parent}/bin:/usr/bin:/bin", "NO_PROXY": "*", "OCTOPOD_SOURCE": str(ROOT)}
    own |= {"OCTOPOD_URL": portal.server.url, "REGISTRY": shop.registry.host}
    own |= {"CHARTS": shop.open.url, "PRIVATE_CHARTS": shop.closed.url}

    def meanwhile() -> None:
        shop.push()
        portal.follow()

    GUIDE.run(cluster.environment | own, work, patience=540, after=meanwhile)
    assert not portal.given, "Octopod has been removed"


def test_blocks_that_are_not_run_are_marked_as_such() -> None:
    assert set(GUIDE.languages) <= {"sh", "text", "console", "toml", "yaml", "dockerfile", ""}
    assert GUIDE.languages.count("sh") == len(GUIDE.blocks) > 10
    assert "## What was not tried here" in GUIDE.text


def test_guide_names_the_settings_and_values_that_there_are() -> None:
    chart = (ROOT / "charts/octopod/README.md").read_text() + (ROOT / "scripts/README.md").read_text()
    for name in ("CHECK_IMAGES", "INGRESS_HOST_KEY", "HELM_TIMEOUT", "SCALABLE", "INSECURE_REGISTRIES", "DEFAULTS"):
        assert f"`{name}`" in GUIDE.text and f"`{name}`" in chart


@pytest.mark.parametrize(("path", "anchor"), GUIDE.links, ids=map("#".join, GUIDE.links))
def test_links_of_the_guide_lead_somewhere(path: str, anchor: str) -> None:
    target = GUIDE.path.parent / path if path else GUIDE.path
    assert target.exists()
    assert not anchor or anchor in anchors(target)
