"""Look at a service: its workload, what stands between that and its pods, and the pods, in one question."""

import os
from typing import NamedTuple

from .. import names
from . import pods
from .inventory import is_workload, label
from .kubectl import Kubectl, Object
from .pods import Trouble

KINDS = "deployments.apps,statefulsets.apps,replicasets.apps,pods"
PAUSE = 2.0  # seconds between two looks


def pause() -> float:
    """Seconds between two looks."""
    try:
        return max(0.0, float(os.environ["HSPEC_POLL_SECONDS"]))
    except (KeyError, ValueError):
        return PAUSE


class Sight(NamedTuple):
    """What there is of a service."""

    items: list[Object]

    @property
    def workload(self) -> Object | None:
        """The one that is to stay, should there be two while one takes the place of the other."""
        found = [item for item in self.items if is_workload(item)]
        return min(found, key=lambda item: (pods.is_going(item), item["kind"]), default=None)

    @property
    def pods(self) -> list[Object]:
        """By name."""
        return sorted((item for item in self.items if item["kind"] == "Pod"), key=pods.name)

    @property
    def current(self) -> list[Object]:
        """The pods of the workload as it is now, that are to stay."""
        found = pods.current_pods(self.workload, self.items) if self.workload else []
        return sorted((pod for pod in found if not (pods.is_going(pod) or pods.is_over(pod))), key=pods.name)

    @property
    def troubles(self) -> list[Trouble]:
        """What keeps these from being ready."""
        return [trouble for pod in self.current if (trouble := pods.trouble(pod))]

    def of(self, service: str) -> "Sight":
        return Sight([item for item in self.items if label(item, names.SERVICE) == names.label_value(service)])


def look(kubectl: Kubectl, app: str, service: str | None = None, more: str = "") -> Sight:
    return Sight(kubectl.get(KINDS + more, "--selector", names.selector_of(app, service)))
