"""What can be known before anything is built: whether the cluster answers, lets us in, and has the storage."""

from ..errors import ClusterError, PreflightError
from ..service import Service
from . import volumes
from .complaints import explained, reason
from .kubectl import Kubectl


def preflight(kubectl: Kubectl, service: Service) -> None:
    """Raise PreflightError when a deployment could not succeed."""
    try:
        check_access(kubectl, "statefulsets.apps" if service.is_stateful else "deployments.apps")
        volumes.check_classes(kubectl, service)
    except ClusterError as error:
        raise PreflightError(*error.problems) from None


def check_access(kubectl: Kubectl, kind: str) -> None:
    """Raise PreflightError when the cluster cannot be asked, or does not let us create workloads."""
    done = kubectl.run("auth", "can-i", "create", kind)
    if done.ok:
        return
    if done.out.strip().startswith("no") and not reason(done):
        raise PreflightError(f"The cluster does not allow you to create {kind.partition('.')[0]}{kubectl.place}.")
    raise PreflightError(f"A look at the cluster failed: {explained(done)}")
