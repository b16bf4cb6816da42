"""References of images, read as container engines read them. Pure functions."""

import re
from typing import Any, NamedTuple

DEFAULT_HOST = "docker.io"
DOCKER_HUB = {"docker.io", "index.docker.io", "registry-1.docker.io"}
NAME = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
DIGEST = re.compile(r"[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-fA-F]{32,}")


class Image(NamedTuple):
    """Where an image is: registry, repository in it, tag or digest; the digest counts when both are there."""

    host: str
    repository: str
    version: str


def parse(text: str) -> Image:
    """The image that a reference names; `latest` when it names no version. Raises ValueError."""
    name, _, digest = text.strip().partition("@")
    first, slash, rest = name.partition("/")
    has_host = slash and (first == "localhost" or set(first) & set(".:") or first != first.lower())
    host, path = (first, rest) if has_host else (DEFAULT_HOST, name)
    path, colon, tag = path.partition(":")
    if host in DOCKER_HUB:
        host, path = DEFAULT_HOST, path if "/" in path else f"library/{path}"
    wrong = (
        not NAME.fullmatch(path) or (colon and not TAG.fullmatch(tag)) or ("@" in text and not DIGEST.fullmatch(digest))
    )
    if wrong:
        raise ValueError(f'"{text}" is not the name of an image')
    return Image(host, path, digest or tag or "latest")


def images_in(node: Any) -> list[str]:
    """The images of all containers anywhere in an object, those of init containers too, each once."""
    return list(dict.fromkeys(_walk(node)))


def _walk(node: Any) -> list[str]:
    if isinstance(node, list):
        return [image for item in node for image in _walk(item)]
    if not isinstance(node, dict):
        return []
    found = [_image(item) for key in ("initContainers", "containers") for item in _list(node.get(key))]
    return [image for image in found if image] + [image for value in node.values() for image in _walk(value)]


def _image(container: Any) -> str:
    image = container.get("image") if isinstance(container, dict) else None
    return image if isinstance(image, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
