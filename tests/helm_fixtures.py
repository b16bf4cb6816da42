"""Fixtures of the suite `helm`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helming import RegistryHandler, Repository, Site, Suite
from kube.cluster import Cluster


@pytest.fixture
def suite(cluster: Cluster, helm: Path, kubectl: Path, tmp_path: Path) -> Suite:
    """The suite, before a new cluster."""
    tools = {"HELM_BIN": str(helm), "KUBECTL_BIN": str(kubectl), "DOCKER_CONFIG": str(tmp_path)}
    suite = Suite(tmp_path / "suite data", cluster.environment | tools)
    suite.cluster = cluster
    return suite


@pytest.fixture
def offline(helm: Path, kubectl: Path, tmp_path: Path) -> Suite:
    """The suite without any cluster."""
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text('{"clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:9"}}], "current-context": "a",'
                       '"contexts": [{"name": "a", "context": {"cluster": "a"}}]}')  # fmt: skip
    nowhere.chmod(0o600)
    tools = {"HELM_BIN": str(helm), "KUBECTL_BIN": str(kubectl), "DOCKER_CONFIG": str(tmp_path)}
    return Suite(
        tmp_path / "suite data", {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "KUBECONFIG": str(nowhere), **tools}
    )


@pytest.fixture
def new_repository(helm: Path, tmp_path: Path) -> Iterator[Callable[..., Repository]]:
    """Make a chart repository, perhaps with a password."""
    made: list[Repository] = []

    def new(password: str = "") -> Repository:
        made.append(Repository(helm, tmp_path / f"repository-{len(made)}", password))
        return made[-1]

    yield new
    for repository in made:
        repository.site.stop()


@pytest.fixture
def repository(new_repository: Callable[..., Repository]) -> Repository:
    """A chart repository with two versions of `web`."""
    return new_repository().add("web", "1.0.0", "1.1.0")


@pytest.fixture
def new_registry() -> Iterator[Callable[..., Site]]:
    """Make a registry with these manifests, tags and logins."""
    made: list[Site] = []

    def new(**attributes: Any) -> Site:
        made.append(Site(RegistryHandler, **attributes))
        return made[-1]

    yield new
    for site in made:
        site.stop()
