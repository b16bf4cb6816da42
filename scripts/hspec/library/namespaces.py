"""The namespace of a deployment: made when it is needed, and removed only if it was made here.

NAMESPACE-NAME does not tell `a` and `b-c` from `a-b` and `c`, nor one Octopod from another at the same cluster. So a
namespace has marks that say whose it is, and in one that is somebody else's nothing is looked at, changed or removed.
"""

import shlex
import time
from typing import Any

from library.deployment import Deployment
from octopod.hspec.cluster.kubectl import Forbidden, Kubectl, Refusal
from octopod.hspec.cluster.looking import pause
from shared.output import Failure, say

OWNER = "octopod/deployment"  # a label: NAMESPACE.NAME
INSTALLATION = "octopod/installation"  # an annotation, for labels cannot hold every name
PATIENCE = 120  # seconds until a namespace that is on its way out has to be gone

Object = dict[str, Any]


def find(kubectl: Kubectl) -> Object | None:
    """Raises ClusterError when that cannot be told."""
    return next(iter(kubectl.get("namespaces", str(kubectl.namespace))), None)


def refuse_foreign(deployment: Deployment) -> None:
    """Raise Failure when the namespace is somebody else's. Whoever may not look at it has been put into it."""
    try:
        check(find(deployment.kubectl), deployment)
    except Forbidden:
        return


def check(found: Object | None, deployment: Deployment) -> None:
    """The same of a namespace that has been found, or not."""
    if not found or is_ours(found, deployment):
        return
    name, (owner, installation), (own, here) = deployment.namespace, marks(found), own_marks(deployment)
    if owner:
        raise Failure(
            f"The namespace {name} is that of the deployment {owner} of {installation}, not of {own} of {here}. If only "
            "the project or its domain has another name now: "
            f"kubectl annotate --overwrite namespace {name} {shlex.quote(f'{INSTALLATION}={here}')}"
        )
    if not deployment.settings.uses_existing_namespaces:
        raise Failure(
            f"The namespace {name} is there already, and was not made by Octopod. "
            "With USE_EXISTING_NAMESPACES=true it would be used."
        )


def own_marks(deployment: Deployment) -> tuple[str, str]:
    """What says that a namespace is this deployment's: the deployment, and the installation."""
    request = deployment.request
    return f"{request.namespace}.{request.name}", f"{request.project} at {request.base_domain}"


def marks(namespace: Object) -> tuple[str, str]:
    metadata = namespace["metadata"]
    return (metadata.get("labels") or {}).get(OWNER, ""), (metadata.get("annotations") or {}).get(INSTALLATION, "")


def is_ours(namespace: Object, deployment: Deployment) -> bool:
    return marks(namespace) == own_marks(deployment)


def make(deployment: Deployment) -> None:
    """See to it that it is there, and ours to work in. Raises Failure, HspecError."""
    kubectl, name = deployment.kubectl, deployment.namespace
    try:
        found = _settled(kubectl)
    except Forbidden:
        return
    check(found, deployment)
    if found and not is_ours(found, deployment):
        say(f"The namespace {name} is not Octopod's own: cleanup will leave it where it is.")
    if not found:
        say(f"Making the namespace {name}.")
        owner, installation = own_marks(deployment)
        _create(kubectl, {"name": name, "labels": {OWNER: owner}, "annotations": {INSTALLATION: installation}})
        refuse_foreign(deployment)  # somebody else may have been faster


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


def remove(deployment: Deployment) -> None:
    """Remove it, if it was made here, and return when it is gone. Raises HspecError."""
    found = find(deployment.kubectl)
    if found and is_ours(found, deployment):
        deployment.kubectl.delete([found])
        say(f"The namespace {deployment.namespace} is removed.")
