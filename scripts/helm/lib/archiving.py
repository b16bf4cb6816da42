"""Scale a release to nothing, and back to what it was."""

import re
from collections.abc import Callable, Iterable
from functools import partial

from lib import scalable
from lib.deployment import WORKLOADS, Deployment, unique
from lib.kube import Object, as_list, title
from shared.output import Failure, say

FINISHED = ("Succeeded", "Failed")
ATTEMPTS = 5  # at changing an object that somebody else changes too

Patch = Callable[[Object], Object | None]


def archive(deployment: Deployment) -> None:
    """Free what the release uses. All that can be archived is, before a Failure says what could not."""
    if not deployment.release:
        say(f"There is no release {deployment.name}: nothing runs.")
        return
    problems: list[str] = []
    live, made = archivable(deployment)
    for item in [*in_order(live), *made]:
        attempt(problems, partial(archive_one, deployment, item))
    attempt(problems, lambda: sweep(deployment))
    give_up(problems)


def archive_one(deployment: Deployment, item: Object) -> None:
    row = deployment.row(item)
    if row and row.delete:
        deployment.kube.delete([item])
        say(f"Deleted {title(item)}, to be made again.")
    elif row:
        change(deployment, item, lambda it: scalable.archiving(it, row))


def restore(deployment: Deployment) -> None:
    """Undo archive. All that can be restored is, before a Failure says what could not."""
    problems: list[str] = []
    live, made = archivable(deployment)
    for item in [*made, *reversed(in_order(live))]:
        attempt(problems, partial(change, deployment, item, scalable.restoring))
    attempt(problems, lambda: make_again(deployment, live))
    give_up(problems)


def archivable(deployment: Deployment) -> tuple[list[Object], list[Object]]:
    """The objects of the release that the table knows, as they are, and the workloads that operators made for them."""
    known = [item for item in deployment.objects if deployment.row(item)]
    live = deployment.kube.live(known)
    rows = [(item, deployment.row(item)) for item in live]
    selectors = [row.workloads.format(name=item["metadata"]["name"]) for item, row in rows if row and row.workloads]
    made = unique(
        item for one in selectors for item in deployment.kube.get("statefulsets,deployments", "--selector", one)
    )
    return live, made


def in_order(items: Iterable[Object]) -> list[Object]:
    """What scales, starts or manages others before the workloads themselves, or it would undo what is done to them."""
    return sorted(items, key=lambda item: item["kind"] in WORKLOADS)


def change(deployment: Deployment, item: Object, patch: Patch) -> None:
    """Change an object, and again if somebody else was faster."""
    for left in reversed(range(ATTEMPTS)):
        wanted = patch(item)
        if wanted is None:
            return
        try:
            deployment.kube.patch(item, wanted)
            say(f"{'Restored' if patch is scalable.restoring else 'Archived'} {title(item)}.")
            return
        except Failure as failure:
            if not left or not re.search(r"\((Conflict|NotFound)\)", str(failure)):
                raise
        now = deployment.kube.live([item])
        if not now:
            return
        item = now[0]


def sweep(deployment: Deployment) -> None:
    """Delete what CronJobs have started, and pods that have ended: nothing would ever remove them."""
    deployment.kube.delete(deployment.cron_jobs_jobs(), "--cascade=background")
    pods = deployment.pods()
    deployment.kube.delete(pod for pod in pods if (pod.get("status") or {}).get("phase") in FINISHED)


def make_again(deployment: Deployment, live: list[Object]) -> None:
    """Make what archive has deleted, as the release has it."""
    there = {(item["kind"], item["metadata"]["name"]) for item in live}
    rows = [(item, deployment.row(item)) for item in deployment.objects]
    gone = [item for item, row in rows if row and row.delete and (item["kind"], item["metadata"]["name"]) not in there]
    if gone:
        labelled = [marked(item, deployment) for item in gone]
        deployment.kube.do("Cannot make again what was deleted", "create", "--filename", "-", stdin=as_list(labelled))
        say(f"Made {', '.join(map(title, gone))} again.")


def marked(item: Object, deployment: Deployment) -> Object:
    """The object as helm would make it, so that helm goes on taking it for its own."""
    metadata = dict(item["metadata"])
    namespace = deployment.request.namespace
    metadata.setdefault("namespace", namespace)
    metadata["labels"] = (metadata.get("labels") or {}) | {"app.kubernetes.io/managed-by": "Helm"}
    owner = {"meta.helm.sh/release-name": deployment.name, "meta.helm.sh/release-namespace": namespace}
    metadata["annotations"] = (metadata.get("annotations") or {}) | owner
    return item | {"metadata": metadata}


def attempt(problems: list[str], step: Callable[[], None]) -> None:
    try:
        step()
    except Failure as failure:
        problems.append(str(failure))


def give_up(problems: list[str]) -> None:
    if problems:
        raise Failure("\n".join(problems))
