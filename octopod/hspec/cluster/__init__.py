"""The cluster, over kubectl: apply manifests, wait, look, scale, remove."""

from .address import address
from .applying import apply
from .archiving import archive, remove, restore
from .kubectl import Kubectl
from .logs import logs, save_logs
from .preflight import preflight
from .scaling import scale
from .status import Replica, ServiceStatus, replicas, statuses
from .undeploying import undeploy
from .waiting import wait

__all__ = [
    "Kubectl", "Replica", "ServiceStatus", "address", "apply", "archive", "logs", "preflight", "remove", "replicas",
    "restore", "save_logs", "scale", "statuses", "undeploy", "wait",
]  # fmt: skip
