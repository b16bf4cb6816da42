"""Volumes: storage classes before a deployment, claims that cannot be changed, and claims that nobody uses any more."""

import re
from fractions import Fraction
from typing import NamedTuple

from .. import names, quantities
from ..errors import PreflightError, Problem
from ..service import Service, Volume
from .inventory import annotation
from .kubectl import Forbidden, Kubectl, Object

DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


class Classes(NamedTuple):
    """The storage classes of a cluster."""

    items: list[Object]

    @property
    def names(self) -> list[str]:
        return sorted(item["metadata"]["name"] for item in self.items)

    @property
    def has_default(self) -> bool:
        """There may be several: Kubernetes takes the newest."""
        return any(annotation(item, key) == "true" for item in self.items for key in DEFAULT)


def check_classes(kubectl: Kubectl, service: Service) -> None:
    """Raise PreflightError when a volume asks for what the cluster has not. Not being allowed to look is no error."""
    if not service.volumes:
        return
    try:
        classes = Classes(kubectl.get("storageclasses.storage.k8s.io"))
    except Forbidden:
        return  # whoever is confined to a namespace cannot know, and may well be right
    problems = [problem for volume in service.volumes if (problem := _problem(volume, classes))]
    if problems:
        raise PreflightError(*(Problem(text, "volumes", str(service.file)) for text in problems))


def _problem(volume: Volume, classes: Classes) -> str:
    allowed = f"It has {', '.join(classes.names)}."
    if not classes.items:
        return f"Volume {volume.name} needs storage, but the cluster has no storage classes."
    if volume.storage_class and volume.storage_class not in classes.names:
        return f"Volume {volume.name} wants storage class {volume.storage_class}, which the cluster has not. {allowed}"
    if not volume.storage_class and not classes.has_default:
        return f"Volume {volume.name} names no storageClass, and the cluster has no default one. {allowed}"
    return ""


def volume_of(claim: Object, workload: str) -> str:
    """The name of the volume that a claim was made for: claims are called VOLUME-WORKLOAD-NUMBER."""
    found = re.fullmatch(rf"(.+)-{re.escape(workload)}-\d+", claim["metadata"]["name"])
    return found[1] if found else ""


def ignored_changes(service: Service, workload: str, found: list[Object]) -> list[str]:
    """Sentences on what the spec wants other than the claims that are there have it."""
    sentences = []
    for volume in service.volumes:
        mine = [claim for claim in found if volume_of(claim, workload) == volume.name]
        texts = [text for claim in mine for text in _differences(volume, claim)]
        sentences += [
            f"Volume {volume.name} {text} What exists cannot be changed by a deployment: the change is ignored."
            for text in dict.fromkeys(texts)
        ]
    return sentences


def _differences(volume: Volume, claim: Object) -> list[str]:
    spec = claim.get("spec") or {}
    size, storage_class = spec["resources"]["requests"]["storage"], spec.get("storageClassName")
    found = []
    if amount(size) != amount(volume.size):
        found.append(f"has {size}, the spec asks for {volume.size}.")
    if volume.storage_class and storage_class and storage_class != volume.storage_class:
        found.append(f"is of storage class {storage_class}, the spec asks for {volume.storage_class}.")
    return found


def amount(text: str) -> Fraction | str:
    """A number of bytes; what cannot be read stays as it is, and is equal to itself only."""
    try:
        return quantities.parse(text)
    except ValueError:
        return text


def unused(service: Service, workload: str, found: list[Object]) -> list[str]:
    """The claims that belong to no volume of the service any more, and those that a snippet has left."""
    wanted = {volume.name for volume in service.volumes}
    left = [claim for claim in found if _origin(claim, workload) not in {"", *wanted}]
    return sorted(claim["metadata"]["name"] for claim in left)


def _origin(claim: Object, workload: str) -> str:
    """Its volume, or the manifest of a snippet; empty if others have made it, who may pass on our labels."""
    return volume_of(claim, workload) or annotation(claim, names.LAST_APPLIED)


def retained(claim_names: list[str]) -> str:
    return (
        f"Kept with their data: {', '.join(claim_names)}. A volume of the same name gets them back; "
        "delete these PersistentVolumeClaims by hand if nobody needs them."
    )
