"""What props and secrets become: the data of ConfigMaps and Secrets, variables, volumes, mounts.

The same rules hold for a service and for each of its agents.
"""

import base64
from typing import Any

from ..contents import ALL_PROPS, ALL_SECRETS, LARGEST, lines
from ..errors import ManifestError
from ..service import Prop, Service
from .model import Owner, has_values, volume_name

TOO_LARGE = f"has more than the {LARGEST:,} bytes that Kubernetes takes. Put large files into the image or a volume."


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def config_map(owner: Owner) -> dict[str, dict[str, str]]:
    """`data` and `binaryData` of the ConfigMap. Raises ManifestError for a file that cannot be read."""
    texts = {key: prop.text for key, prop in owner.props.items() if prop.kind != "file"}
    files = {key: encoded(contents(key, prop)) for key, prop in owner.props.items() if prop.kind == "file"}
    if owner.props_volume_path and texts:
        texts[ALL_PROPS] = lines(texts)
    return {"data": texts, "binaryData": files}


def contents(key: str, prop: Prop) -> bytes:
    """The bytes of a `file()` prop. Raises ManifestError, also for more than fits into a ConfigMap."""
    assert prop.file
    what = f"The file of prop {key}, {prop.file}"
    try:
        with prop.file.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ManifestError(f"{what}, cannot be read: {error.strerror}.") from None
    if len(content) > LARGEST:
        raise ManifestError(f"{what}, {TOO_LARGE}")
    return content


def check_files(service: Service) -> None:
    """Raises ManifestError unless the files of all props can be read, those of agents too."""
    owners: list[Owner] = [service, *service.agents]
    for key, prop in (pair for owner in owners for pair in owner.props.items()):
        if prop.kind == "file":
            contents(key, prop)


def secret(owner: Owner) -> dict[str, str]:
    """`data` of the Secret; nothing when only the names of secrets are given."""
    if not owner.secrets or not owner.secrets.values:
        return {}
    values = dict(owner.secrets.values)
    if owner.secrets_volume_path:
        values[ALL_SECRETS] = lines(values)
    return {key: encoded(value.encode()) for key, value in values.items()}


def variables(owner: Owner, name: str) -> list[dict[str, Any]]:
    """A variable for each prop that is no file and for each secret, by reference to the object that holds it."""
    props = [key for key, prop in owner.props.items() if prop.kind != "file"]
    secrets = owner.secrets.keys if owner.secrets else ()
    return [
        *({"name": key, "valueFrom": {"configMapKeyRef": {"name": name, "key": key}}} for key in props),
        *({"name": key, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}} for key in secrets),
    ]


def volumes(owner: Owner, name: str) -> list[dict[str, Any]]:
    """A volume of the props and one of the secrets, each only when there is a path to mount it at."""
    found: list[dict[str, Any]] = []
    if owner.props and owner.props_volume_path:
        found.append({"name": volume_name(name, "configmap"), "configMap": {"name": name}})
    if owner.secrets and owner.secrets_volume_path:
        found.append({"name": volume_name(name, "secret"), "secret": {"secretName": name}})
    return found


def mounts(owner: Owner, name: str) -> list[dict[str, Any]]:
    """Where these volumes are mounted: directories with a file per key."""
    paths = {"configMap": owner.props_volume_path, "secret": owner.secrets_volume_path}
    return [
        {"name": volume["name"], "mountPath": path, "readOnly": True}
        for volume in volumes(owner, name)
        for source, path in paths.items()
        if source in volume
    ]


def held(owner: Owner) -> dict[str, Any]:
    """Everything that the pods of an owner are started with, for comparing."""
    names_only = [] if has_values(owner) or not owner.secrets else list(owner.secrets.keys)
    return {"props": config_map(owner), "secrets": secret(owner), "keys": names_only}
