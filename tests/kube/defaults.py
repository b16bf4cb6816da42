"""What a server fills in when an object is written."""

import base64
import copy
import itertools
from collections.abc import Callable
from typing import Any

from .kinds import Kind
from .paths import Object, dig, fill

POD_SPECS = {
    "Pod": "spec",
    "CronJob": "spec.jobTemplate.spec.template.spec",
    **dict.fromkeys(
        ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController"], "spec.template.spec"
    ),
}

# The values are put where there is none.
DEFAULTS: dict[str, dict[str, Any]] = {
    "ConfigMap": {},
    "CronJob": {
        "spec.concurrencyPolicy": "Allow",
        "spec.suspend": False,
        "spec.successfulJobsHistoryLimit": 3,
        "spec.failedJobsHistoryLimit": 1,
    },
    "DaemonSet": {
        "spec.updateStrategy.type": "RollingUpdate",
        "spec.revisionHistoryLimit": 10,
    },
    "Deployment": {
        "spec.replicas": 1,
        "spec.strategy.type": "RollingUpdate",
        "spec.revisionHistoryLimit": 10,
        "spec.progressDeadlineSeconds": 600,
    },
    "HorizontalPodAutoscaler": {"spec.minReplicas": 1},
    "Job": {"spec.parallelism": 1, "spec.backoffLimit": 6, "spec.suspend": False, "spec.completionMode": "NonIndexed"},
    "Namespace": {"spec.finalizers": ["kubernetes"], "status.phase": "Active"},
    "PersistentVolumeClaim": {"spec.volumeMode": "Filesystem", "spec.storageClassName": "standard"},
    "Pod": {"status.phase": "Pending", "status.qosClass": "BestEffort"},
    "ReplicaSet": {"spec.replicas": 1},
    "Secret": {"type": "Opaque"},
    "Service": {"spec.type": "ClusterIP", "spec.sessionAffinity": "None", "status.loadBalancer": {}},
    "StatefulSet": {
        "spec.replicas": 1,
        "spec.updateStrategy.type": "RollingUpdate",
        "spec.podManagementPolicy": "OrderedReady",
        "spec.revisionHistoryLimit": 10,
    },
}
POD_DEFAULTS: dict[str, Any] = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}
CONTAINER_DEFAULTS: dict[str, Any] = {
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
PROBE_DEFAULTS = {"failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1}

addresses = itertools.count(1)


def complete(kind: Kind, item: Object) -> None:
    """Fill in what the sender left out."""
    for path, value in DEFAULTS.get(kind.name, {}).items() if not kind.custom else ():
        fill(item, path, copy.deepcopy(value))
    spec = dig(item, POD_SPECS.get(kind.name, ""))
    if isinstance(spec, dict):
        _complete_pod(spec)
    if special := SPECIAL.get(kind.qualified):
        special(item)


def _complete_pod(spec: Object) -> None:
    for key, value in POD_DEFAULTS.items():
        fill(spec, key, value)
    if name := spec.get("serviceAccountName"):
        spec["serviceAccount"] = name
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        if isinstance(container, dict):
            _complete_container(container)


def _complete_container(container: Object) -> None:
    for key, value in CONTAINER_DEFAULTS.items():
        fill(container, key, value)
    name = str(container.get("image", "")).rpartition("/")[2]
    fill(container, "imagePullPolicy", "IfNotPresent" if ":" in name and not name.endswith(":latest") else "Always")
    for port in container.get("ports") or []:
        fill(port, "protocol", "TCP")
    for probe in filter(None, map(container.get, ("livenessProbe", "readinessProbe", "startupProbe"))):
        for setting, number in PROBE_DEFAULTS.items():
            fill(probe, setting, number)


def _rolling(strategy: str, **limits: Any) -> Callable[[Object], None]:
    """How far a rollout may go, of those that roll."""

    def complete(item: Object) -> None:
        if dig(item, f"spec.{strategy}.type") == "RollingUpdate":
            for key, value in limits.items():
                fill(item, f"spec.{strategy}.rollingUpdate.{key}", value)

    return complete


def _secret(item: Object) -> None:
    for key, value in (item.pop("stringData", None) or {}).items():
        fill(item, "data", {})[key] = base64.b64encode(str(value).encode()).decode()


def _service(item: Object) -> None:
    spec = item["spec"]
    if spec["type"] != "ExternalName" and not spec.get("clusterIP"):
        number = next(addresses)
        spec["clusterIP"] = f"10.96.{number // 250}.{number % 250 + 1}"
    if spec["type"] != "ExternalName":
        spec["clusterIPs"] = [spec["clusterIP"]]
    for port in spec.get("ports") or []:
        fill(port, "protocol", "TCP")
        fill(port, "targetPort", port.get("port"))
        if spec["type"] in ("NodePort", "LoadBalancer"):
            fill(port, "nodePort", 30000 + next(addresses) % 2768)


def _job(item: Object) -> None:
    """Pods of a job are known by its uid, unless it says otherwise."""
    spec, uid = item["spec"], item["metadata"]["uid"]
    if spec.get("parallelism") == 1 and spec.get("completions") is None:
        spec["completions"] = 1
    if not spec.get("manualSelector") and not spec.get("selector"):
        spec["selector"] = {"matchLabels": {"controller-uid": uid}}
        labels = {"controller-uid": uid, "job-name": item["metadata"]["name"]}
        fill(spec, "template.metadata.labels", {}).update(labels)


def _namespace(item: Object) -> None:
    fill(item, "metadata.labels", {})["kubernetes.io/metadata.name"] = item["metadata"]["name"]


def _claim(item: Object) -> None:
    finalizers = fill(item, "metadata.finalizers", [])
    if "deletionTimestamp" not in item["metadata"] and "kubernetes.io/pvc-protection" not in finalizers:
        finalizers.append("kubernetes.io/pvc-protection")


SPECIAL = {
    "Deployment.apps": _rolling("strategy", maxUnavailable="25%", maxSurge="25%"),
    "DaemonSet.apps": _rolling("updateStrategy", maxUnavailable=1, maxSurge=0),
    "StatefulSet.apps": _rolling("updateStrategy", partition=0),
    "Secret": _secret,
    "Service": _service,
    "Job.batch": _job,
    "Namespace": _namespace,
    "PersistentVolumeClaim": _claim,
}
