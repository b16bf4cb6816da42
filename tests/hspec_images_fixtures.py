"""Fixtures: registries, a storage for images, a stack image, and whoever builds upon it. All of them real programs."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import eventually, free_port
from kube.fixtures import program

MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
USER, PASSWORD = "alice", "open sesame"
# As `htpasswd -B` writes it for them, with as little work as there may be.
HTPASSWD = f"{USER}:$2b$04$ta5DeCXBxoFr1unjxBYQm.W2QMCmIdEJtLaVP8y/qTIJAXVAUWE4G\n"


class DockerRegistry:
    """A registry on a port of this machine, perhaps for those only who can log in."""

    def __init__(self, server: Path, directory: Path, locked: bool = False) -> None:
        directory.mkdir()
        self.host = f"127.0.0.1:{free_port()}"
        self.login = (USER, PASSWORD) if locked else None
        config: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
            "http": {"addr": self.host, "secret": "of tests"},
        }
        if locked:
            (directory / "htpasswd").write_text(HTPASSWD)
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(directory / "htpasswd")}}
        (directory / "config.yml").write_text(json.dumps(config))
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([server, "serve", directory / "config.yml"], stdout=log, stderr=log)
        eventually(self._is_up, "the registry")

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("").status_code == 200
        except requests.ConnectionError:
            return False

    def get(self, path: str) -> requests.Response:
        headers = {"Accept": MANIFESTS}
        return requests.get(f"http://{self.host}/v2/{path}", headers=headers, auth=self.login, timeout=30)

    def digest(self, repository: str, tag: str) -> str:
        answer = self.get(f"{repository}/manifests/{tag}")
        assert answer.ok, answer.text
        return answer.headers["Docker-Content-Digest"]

    def config(self, repository: str, tag: str) -> dict[str, Any]:
        """What the image says about itself: Entrypoint, Env, …"""
        digest = self.get(f"{repository}/manifests/{tag}").json()["config"]["digest"]
        return self.get(f"{repository}/blobs/{digest}").json()["config"]

    def repositories(self) -> list[str]:
        return self.get("_catalog").json()["repositories"]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Buildah:
    """The real one, with a storage of its own."""

    def __init__(self, executable: Path, directory: Path) -> None:
        self.executable = executable
        storage = directory / "storage.conf"
        directory.mkdir()
        storage.write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{directory}/storage"\nrunroot = "{directory}/run"\n'
        )
        self.environment = {"CONTAINERS_STORAGE_CONF": str(storage), "BUILDAH_ISOLATION": "chroot"}

    def __call__(self, *arguments: str | Path) -> str:
        """What it prints on its standard output. Raises when it fails."""
        env = {**os.environ, **self.environment}
        return subprocess.run([self.executable, *arguments], env=env, check=True, capture_output=True, text=True).stdout

    def names(self) -> list[str]:
        """Of all images in the storage."""
        images = json.loads(self("images", "--json"))
        return sorted(name for image in images for name in image["names"] or [])

    def run(self, image: str, *command: str) -> str:
        """What a command prints in the files of this image. Not by `buildah run`, which loses output on a busy machine."""
        container = self("from", "--pull-never", image).strip()
        try:
            inside = ["chroot", self("mount", container).strip(), *command]
            return subprocess.run(
                inside, env={"PATH": "/bin:/usr/sbin"}, check=True, capture_output=True, text=True
            ).stdout
        finally:
            self("rm", container)


@pytest.fixture(scope="session")
def registry_program() -> Path:
    return program("docker-registry", "get Debian's docker-registry")


@pytest.fixture(scope="session")
def registry(registry_program: Path, scratch: Path) -> Iterator[DockerRegistry]:
    """A registry for everybody."""
    registry = DockerRegistry(registry_program, scratch / "registry")
    yield registry
    registry.stop()


@pytest.fixture(scope="session")
def locked_registry(registry_program: Path, scratch: Path) -> Iterator[DockerRegistry]:
    """A registry for alice, whose password is `open sesame`."""
    registry = DockerRegistry(registry_program, scratch / "locked-registry", locked=True)
    yield registry
    registry.stop()


@pytest.fixture(scope="session")
def buildah(scratch: Path) -> Buildah:
    return Buildah(program("buildah", "install Debian's buildah"), scratch / "buildah")


@pytest.fixture(scope="session")
def stack_image(buildah: Buildah, registry: DockerRegistry, scratch: Path) -> str:
    """The reference of an image that has nothing but busybox, in the registry for everybody."""
    busybox = program("busybox", "install Debian's busybox-static").resolve()
    if b"ld-linux" in busybox.read_bytes()[:4096]:
        pytest.fail(f"{busybox} needs libraries, and the stack image has none: install Debian's busybox-static.")
    context = scratch / "stack"
    context.mkdir()
    shutil.copy(busybox, context / "busybox")
    (context / "Dockerfile").write_text(
        "FROM scratch\n"
        "COPY busybox /bin/busybox\n"
        'RUN ["/bin/busybox", "--install", "-s", "/bin"]\n'
        "ENV PATH=/bin STACK=busybox\n"
        'CMD ["echo", "of the stack"]\n'
    )
    name = f"{registry.host}/base/stack:1"
    buildah("build", "--quiet", "--tag", name, context)
    buildah("push", "--quiet", "--tls-verify=false", name, f"docker://{name}")
    return name


@pytest.fixture
def builder_home(buildah: Buildah, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home directory of somebody who builds with the real buildah, and is logged in nowhere yet."""
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "INSECURE_REGISTRIES"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    settings = {"HOME": home, "XDG_RUNTIME_DIR": home, "IMAGE_BUILDER": buildah.executable}
    for name, value in {**settings, **buildah.environment}.items():
        monkeypatch.setenv(name, str(value))
    return home
