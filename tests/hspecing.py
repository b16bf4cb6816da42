"""The suite `hspec`, run as the server runs it, and git repositories with service specs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import ROOT
from suites import Scripts

SCRIPTS = ROOT / "scripts/hspec"
sys.path += [str(SCRIPTS), str(SCRIPTS.parent)]  # `library` is the suite's, `shared` is all suites'

NS = "staging-orange"
CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "test",
}

WEB = """\
name: web
image: {registry: registry.example.com, name: shop/web, tag: "1.0"}
replicas: 2
memory: 64Mi-128Mi
external: true
ports: [{port: 8080/http}]
props:
  LOG: info
  DB_HOST: endpoint(db)
  LITERAL: string(file(x))
  app.conf: file(conf/app.conf)
secrets: {API_TOKEN: open sesame}
"""
DB = """\
name: db
image: {name: postgres, tag: 15}
ports: [{port: 5432}]
volumes: [{name: data, path: /data}]
props: {LOG: warn}
"""
BUILT = """\
name: web
image:
  registry: registry.example.com
  name: shop/web
  tag: "1.0"
  dockerfile: {}
"""


class Suite(Scripts):
    """The suite `hspec`. `shop` stands for the repository of the test."""

    directory = SCRIPTS
    shop: "Repository"

    def command(self, script: str, *_: str, **config: Any) -> list[str]:
        return self.arguments(script, **({"source": str(self.shop.directory)} | config))


class Repository:
    """A git repository of this machine, on its branch `main`."""

    def __init__(self, directory: Path, **files: str) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.write({name.replace("__", "."): text for name, text in files.items()})

    def git(self, *arguments: str) -> str:
        own = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(self.directory), *own, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, files: dict[str, str], message: str = "Change") -> str:
        """Commit files; the commit."""
        for name, text in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD")

    def remove(self, name: str) -> None:
        self.git("rm", "--quiet", name)
        self.git("commit", "--quiet", "--message=Remove")


def new_shop(directory: Path) -> Repository:
    """Two services with ready images."""
    return Repository(directory, web__hspec=WEB, db__hspec__yaml=DB, **{"conf/app__conf": "a=1\n"})


def environment(cluster_environment: dict[str, str], kubectl: Path, tmp_path: Path) -> dict[str, str]:
    """What the suite is told: a cluster, sources below tmp_path, no logins, and not to wait between two looks."""
    logins = tmp_path / "docker"
    logins.mkdir()
    (logins / "config.json").write_text("{}")
    return cluster_environment | {
        "KUBECTL_BIN": str(kubectl),
        "SOURCES_DIR": str(tmp_path),
        "DOCKER_CONFIG": str(logins),
        "HSPEC_POLL_SECONDS": "0",
        "DEPLOY_TIMEOUT": "20",
    }
