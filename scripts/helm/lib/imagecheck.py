"""Whether every image that a chart asks for exists. Registries are asked at the same time."""

import binascii
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from lib import credentials, images
from lib.credentials import Keyring
from lib.deployment import Deployment
from lib.kube import Object
from lib.registry import Denied, Missing, Registry, Silent
from shared.output import Failure, complain

AT_ONCE = 8


def missing_images(deployment: Deployment) -> list[str]:
    """A sentence for each image that is not there, or not to be had. What cannot be asked is only warned of."""
    found = list(dict.fromkeys(image for item in deployment.rendered for image in images.images_in(item)))
    keyring = keys(deployment) if found else Keyring({})
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = pool.map(lambda image: problem(image, keyring, deployment.settings.insecure_registries), found)
        return [answer for answer in answers if answer]


def problem(text: str, keyring: Keyring, insecure: list[str]) -> str:
    """What is wrong with an image; empty when it exists."""
    try:
        image = images.parse(text)
        Registry(image.host, keyring, insecure).has(image.repository, image.version)
    except ValueError as error:
        return f"{error}."
    except Missing:
        return f"The image {text} does not exist: {image.host} has no {image.version} of {image.repository}."
    except Denied as denied:
        return (
            f"The image {text} does not exist, or is not for us: {image.host} {denied}. "
            "Credentials are taken from imagePullSecrets and docker's configuration."
        )
    except Silent as silent:
        complain(f"Whether the image {text} exists is not known: {silent}.")
    return ""


def keys(deployment: Deployment) -> Keyring:
    """The logins of the pull secrets that the chart names, or its service accounts do, then docker's configuration."""
    rendered = deployment.rendered
    accounts = {name for item in rendered for name in service_accounts(item)}
    names = {name for item in rendered for name in pull_secrets(item)}
    own = [item for item in rendered if item["kind"] == "Secret" and item["metadata"]["name"] in names]
    found = {item["metadata"]["name"]: item for item in own} | cluster_secrets(deployment, names, accounts)
    return credentials.joined([*map(read_secret, found.values()), credentials.from_docker_config()])


def cluster_secrets(deployment: Deployment, names: set[str], accounts: set[str]) -> dict[str, Object]:
    """Those of the secrets that are in the cluster. Whoever may not read them goes on without."""
    try:
        there = deployment.kube.live(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}} for name in sorted(accounts)
        )
        names = names | {name for item in there for name in pull_secrets(item)}
        secrets = deployment.kube.live(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}} for name in sorted(names)
        )
    except Failure as failure:
        if names:
            complain(f"Images are looked up without the pull secrets {', '.join(sorted(names))}. {failure}")
        return {}
    return {item["metadata"]["name"]: item for item in secrets}


def read_secret(secret: Object) -> Keyring:
    try:
        return credentials.from_secret(secret)
    except (ValueError, TypeError, binascii.Error):
        return Keyring({})


def pull_secrets(node: object) -> Iterable[str]:
    """The names in all lists of imagePullSecrets, anywhere in an object."""
    if isinstance(node, list):
        return [name for item in node for name in pull_secrets(item)]
    if not isinstance(node, dict):
        return []
    listed = node.get("imagePullSecrets")
    own = (
        [item["name"] for item in listed if isinstance(item, dict) and item.get("name")]
        if isinstance(listed, list)
        else []
    )
    return own + [name for value in node.values() for name in pull_secrets(value)]


def service_accounts(node: object) -> Iterable[str]:
    """The accounts that pods run as, anywhere in an object."""
    if isinstance(node, list):
        return [name for item in node for name in service_accounts(item)]
    if not isinstance(node, dict):
        return []
    own = [node.get("serviceAccountName") or "default"] if isinstance(node.get("containers"), list) else []
    return own + [name for value in node.values() for name in service_accounts(value)]
