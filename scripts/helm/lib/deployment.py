"""A deployment: what is asked for, what the chart makes of it, and what is in the cluster."""

import sys
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from lib import charts, configuration, contents, scalable, settings
from lib.configuration import Configuration
from lib.documents import load_objects
from lib.helm import Helm, Release, capabilities
from lib.kube import Kube, Object
from lib.owners import Owners
from lib.values import Values
from shared import arguments
from shared.output import Failure

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


class Deployment:
    """One deployment, by the arguments of the script. `fresh`: whether its chart should be younger than ten minutes."""

    def __init__(self, argv: list[str] | None = None, named: bool = True, fresh: bool = True) -> None:
        self.request = arguments.parse(sys.argv[1:] if argv is None else argv, named)
        self.settings, self.fresh = settings.load(), fresh
        self.name = self.request.name
        self.kube = Kube(self.settings, self.request.namespace)
        self.helm = Helm(self.settings, self.request.namespace)
        self.charts = charts.Charts(self.settings)

    @cached_property
    def chart(self) -> Path:
        """The chart asked for, as a file of this machine. Raises Failure."""
        return self.charts.get(charts.wanted(self.request, self.settings), self.fresh)

    @cached_property
    def contents(self) -> contents.Contents:
        found = contents.read(self.chart)
        asked = charts.wanted(self.request, self.settings)
        exact = charts.SEMVER.fullmatch(asked.version)
        if asked.directory and exact and asked.version.removeprefix("v") != found.version.removeprefix("v"):
            raise Failure(
                f"There is no version {asked.version} of the chart {found.name} in {asked.url}. It is {found.version}."
            )
        return found

    @cached_property
    def configuration(self) -> Configuration:
        return Configuration(self.settings, self.request, self.contents)

    @cached_property
    def values(self) -> Values:
        return self.configuration.values(configuration.taken_away(self.configuration))

    @cached_property
    def rendered(self) -> list[Object]:
        """What the chart makes of the values asked for. Raises Failure."""
        able = capabilities(self.settings, self.kube)
        return list(load_objects(self.helm.template(self.name, self.chart, self.values, able)))

    @cached_property
    def release(self) -> Release | None:
        """The release as it is recorded; None when there is none. Raises Failure when that cannot be told."""
        return self.helm.find(self.name)

    @cached_property
    def objects(self) -> list[Object]:
        """What the release consists of; nothing when there is none."""
        return self.helm.objects(self.name) if self.release else []

    @cached_property
    def hooks(self) -> list[Object]:
        return self.helm.objects(self.name, "hooks") if self.release else []

    def look_again(self) -> None:
        """Forget what was seen of the release: helm has been at work."""
        for seen in ("release", "objects", "hooks"):
            self.__dict__.pop(seen, None)

    @cached_property
    def table(self) -> dict[tuple[str, str], scalable.Row]:
        return scalable.load(self.settings.scalable)

    def row(self, item: Object) -> scalable.Row | None:
        return self.table.get((item["kind"], scalable.group(item)))

    def made_by_operators(self, doubtful: bool) -> list[str]:
        """The labels of what operators make for objects of the release; in doubt also labels that do not name them."""
        rows = [(item, self.row(item)) for item in self.objects]
        known = [(item, row.pods) for item, row in rows if row and row.pods and (doubtful or "{name}" in row.pods)]
        return [pods.format(name=item["metadata"]["name"]) for item, pods in known]

    def pods(self, doubtful: bool = False) -> list[Object]:
        """All pods of the release, running or not; with `doubtful`, also those that may be. Raises Failure.

        Labels do not tell: releases of one chart may well share them. Pods are found by what owns them.
        """
        of_release = [*self.objects, *self.hooks]
        mine = Owners(self.name, self.request.namespace, of_release, self.kube.get("pods,replicasets,jobs"))
        found = self.kube.live(item for item in of_release if item["kind"] == "Pod")
        found += [pod for one in self.made_by_operators(doubtful) for pod in self.kube.pods(one)]
        return unique([*found, *mine.pods(doubtful)])

    def cron_jobs_jobs(self) -> list[Object]:
        """The Jobs that CronJobs of the release have started."""
        names = {item["metadata"]["name"] for item in self.objects if item["kind"] == "CronJob"}
        return [job for job in self.kube.get("jobs") if owners(job) & names] if names else []


def owners(item: Object) -> set[str]:
    return {owner["name"] for owner in item["metadata"].get("ownerReferences") or [] if owner["kind"] == "CronJob"}


def unique(items: Iterable[Object]) -> list[Object]:
    return list(
        {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]): item for item in items}.values()
    )
