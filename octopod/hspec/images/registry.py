"""Registries: which one an image is in, whether it is spoken to without TLS, whether it wants a login."""

import os
import re
from ipaddress import ip_address

DOCKER_HUB = ("index.docker.io", "registry-1.docker.io", "docker.io")
DEFAULT = "docker.io"
PATIENCE = 5.0  # seconds until a registry is left alone that says nothing
LONGEST = 10.0  # seconds until one is that does not finish what it says


def host_of(registry: str) -> str:
    """The host in what a spec calls a registry, which may go on with a path; Docker Hub when it is only a path."""
    first = registry.partition("/")[0]
    return first if first == "localhost" or re.search(r"[.:A-Z]", first) else DEFAULT


def qualified(image: str) -> str:
    """An image's name with its registry, as docker takes it: `redis:7` is `docker.io/library/redis:7`."""
    first, slash, rest = image.partition("/")
    if not slash:
        return f"{DEFAULT}/library/{image}"
    host = host_of(first)
    if host == "index.docker.io" or (host == DEFAULT and first == DEFAULT):
        return f"{DEFAULT}/{rest}" if "/" in rest else f"{DEFAULT}/library/{rest}"
    return image if host == first else f"{DEFAULT}/{image}"


def is_loopback(host: str) -> bool:
    name = re.sub(r":\d+$", "", host)
    try:
        return name == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:  # the name of another machine, which may begin like an address
        return False


def is_insecure(host: str) -> bool:
    """Whether a registry is spoken to without TLS: it is on this machine, or INSECURE_REGISTRIES names it."""
    return is_loopback(host) or host in os.environ.get("INSECURE_REGISTRIES", "").replace(",", " ").split()


def wants_login(host: str) -> bool:
    """Whether a registry refuses those who do not say who they are. One that cannot be asked does not."""
    address = "registry-1.docker.io" if host in DOCKER_HUB else host
    schemes = ("http", "https") if is_insecure(host) else ("https",)
    return any(_answer(f"{scheme}://{address}/v2/", direct=is_loopback(host)) == 401 for scheme in schemes)


def _answer(url: str, direct: bool) -> int:
    """The status of the answer, 0 when there is none in time: neither looking up a name nor a trickle has an end."""
    import queue
    import threading

    answers: queue.SimpleQueue[int] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_ask(url, direct)), daemon=True).start()
    try:
        return answers.get(timeout=LONGEST)
    except queue.Empty:
        return 0


def _ask(url: str, direct: bool) -> int:
    """The status of the answer, 0 when there is none."""
    import http.client
    import urllib.error
    import urllib.request

    proxies = [urllib.request.ProxyHandler({})] if direct else []
    try:
        with urllib.request.build_opener(*proxies).open(url, timeout=PATIENCE) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, http.client.HTTPException, ValueError):
        return 0
