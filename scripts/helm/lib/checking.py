"""How a release is, and whether it is what was asked for."""

from lib import workloads
from lib.deployment import WORKLOADS, Deployment, unique
from lib.images import Image, parse
from lib.kube import Object, title
from lib.workloads import Health
from shared.output import Failure, complain, say

HEALTHY, UNHEALTHY, PARTIAL, ANOTHER = 0, 1, 2, 3


def check(deployment: Deployment) -> int:
    """Say how the deployment is; the exit code of `check`. Raises Failure when that cannot be told."""
    release = deployment.release
    if not release:
        say(f"There is no release {deployment.name} in {deployment.request.namespace}.")
        return UNHEALTHY
    if release.status != "deployed":
        say(f"The release is {release.status}, in revision {release.revision}: update it.")
        return UNHEALTHY
    wanted = [item for item in deployment.objects if item["kind"] in WORKLOADS]
    live = deployment.kube.live(wanted)
    states = [workloads.health(item) for item in live] + missing(wanted, live)
    unwell = [state for state in states if not state.ok]
    if unwell and len(unwell) == len(states):
        return report(UNHEALTHY, sentences(deployment, unwell))
    other = another(deployment, release.chart, live)
    if other:
        return report(ANOTHER, [*other, *sentences(deployment, unwell)])
    if unwell:
        return report(PARTIAL, sentences(deployment, unwell))
    return report(HEALTHY, [f"Runs {release.chart}, and all of it is ready: {len(states)} of {len(states)}."])


def report(code: int, lines: list[str]) -> int:
    """One line, for it becomes the reason of a status."""
    say(" ".join(line if line.endswith(".") else f"{line}." for line in lines))
    return code


def sentences(deployment: Deployment, unwell: list[Health]) -> list[str]:
    """What is not well, and what its pods say of that. Pods that cannot be asked are no reason to be silent."""
    try:
        pods = deployment.pods() if any("is archived" not in state.problem for state in unwell) else []
    except Failure:
        pods = []
    reasons = list(dict.fromkeys(" ".join(why.split()) for pod in pods if (why := workloads.trouble(pod))))
    return [str(state) for state in unwell] + reasons[:3]


def missing(wanted: list[Object], live: list[Object]) -> list[Health]:
    """The workloads that somebody has removed. Jobs that remove themselves are not missed."""
    there = {title(item) for item in live}
    gone = [item for item in wanted if title(item) not in there]
    return [
        Health(title(item), "is gone") for item in gone if "ttlSecondsAfterFinished" not in (item.get("spec") or {})
    ]


def another(deployment: Deployment, chart: str, live: list[Object]) -> list[str]:
    """In which way what runs is not what was asked for; nothing when that cannot be told, for then nothing is wrong."""
    try:
        if deployment.contents.label != chart:
            return [f"Runs the chart {chart}, not {deployment.contents.label}: update it"]
        wanted = unique(item for item in deployment.rendered if item["kind"] in WORKLOADS)
    except Failure as failure:
        complain(f"What runs is not compared with what was asked for. {failure}")
        return []
    asked = {title(item): images(item) for item in wanted}
    return [
        f"{title(item)} runs {running.get(container, 'nothing')} as {container}, not {image}: update it"
        for item in live
        for running in [images(item)]
        for container, image in asked.get(title(item), {}).items()
        if not same(running.get(container, ""), image)
    ]


def images(item: Object) -> dict[str, str]:
    """The images of a workload by container."""
    pod = item["spec"]["template"]["spec"]
    return {one["name"]: one.get("image", "") for key in ("initContainers", "containers") for one in pod.get(key) or []}


def same(one: str, other: str) -> bool:
    return one == other or (bool(one and other) and normal(one) == normal(other))


def normal(text: str) -> Image | str:
    try:
        return parse(text)
    except ValueError:
        return text


def archive_check(deployment: Deployment) -> int:
    """Whether no pod of the release is left. Raises Failure when that cannot be told."""
    pods = deployment.pods(doubtful=True)
    if not pods:
        say("No pod of it is left.")
        return 0
    names = sorted(pod["metadata"]["name"] for pod in pods)
    say(f"{len(names)} of its pods are left: {', '.join(names[:5])}{' and others' if len(names) > 5 else ''}.")
    return 1
