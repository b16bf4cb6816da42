"""The namespace of a deployment: made when it is needed, and removed only if it was made here."""

import time
from typing import Any

from library.deployment import Deployment
from octopod.hspec.cluster.kubectl import Kubectl, Refusal
from octopod.hspec.cluster.looking import pause
from octopod.hspec.errors import ClusterError
from shared.output import Failure, say

OWNER = "octopod/deployment"
PATIENCE = 120  # seconds until a namespace that is on its way out has to be gone

Object = dict[str, Any]


def find(kubectl: Kubectl) -> Object | None:
    """Raises ClusterError when that cannot be told."""
    return next(iter(kubectl.get("namespaces", str(kubectl.namespace))), None)


def make(deployment: Deployment) -> None:
    """See to it that it is there. Whoever may not look finds out by the next step."""
    kubectl, name = deployment.kubectl, deployment.namespace
    try:
        found = _settled(kubectl)
    except ClusterError as error:
        if "does not allow it" in str(error):
            return
        raise
    if found and not is_ours(found, deployment):
        say(f"The namespace {name} is not Octopod's own: cleanup will leave it where it is.")
    if not found:
        say(f"Making the namespace {name}.")
        _create(kubectl, {"name": name, "labels": {OWNER: deployment.name}})


def _settled(kubectl: Kubectl) -> Object | None:
    """As it is when nothing is being removed any more: a cleanup that was killed may have just told it to go."""
    end = time.monotonic() + PATIENCE
    while (found := find(kubectl)) and found["metadata"].get("deletionTimestamp"):
        if time.monotonic() > end:
            raise Failure(f"The namespace {kubectl.namespace} is being removed, and not gone after {PATIENCE} s.")
        time.sleep(pause())
    return found


def _create(kubectl: Kubectl, metadata: Object) -> None:
    try:
        kubectl.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    except Refusal as refusal:
        if refusal.reason != "AlreadyExists":
            raise


def is_ours(namespace: Object, deployment: Deployment) -> bool:
    return (namespace["metadata"].get("labels") or {}).get(OWNER) == deployment.name


def remove(deployment: Deployment) -> None:
    """Remove it, if it was made here, and return when it is gone. Raises HspecError."""
    found = find(deployment.kubectl)
    if found and is_ours(found, deployment):
        deployment.kubectl.delete([found])
        say(f"The namespace {deployment.namespace} is removed.")
