"""Install or upgrade a release, so that it either works afterwards or is what it was before."""

from lib import archiving, workloads
from lib.deployment import WORKLOADS, Deployment
from lib.kube import as_list, title
from lib.settings import KNOWN_KEYS
from shared.files import locked
from shared.output import Failure, complain, say

RECORDS = "secrets,configmaps"  # where helm keeps what it knows of releases
LOG_LINES = 5


def deploy(deployment: Deployment) -> None:
    """Bring the deployment to what is asked for. Raises Failure, after it has been undone."""
    name = deployment.name
    if unused := deployment.request.unused_keys(KNOWN_KEYS):
        say(f"Not used by this suite: {', '.join(unused)}.")
    with locked(deployment.settings.data / "deployments" / name):
        chart, values = deployment.chart, deployment.values
        make_namespace(deployment)
        forget_interrupted(deployment)
        if deployment.release:
            archiving.restore(deployment)
        say(f"{'Upgrading' if deployment.release else 'Installing'} {name} with the chart {deployment.contents.label}.")
        limit = deployment.settings.timeout
        say(f"Waiting up to {limit} s until all of it is ready.")
        watch = Watch(deployment)
        done = deployment.helm.upgrade(name, chart, values, watch)
        if not done.ok:
            complain(done.err)
            watch()
            say_last_words(deployment)
            undo(deployment)
            raise Failure(f"{name} could not be deployed: {summary(done.complaint, limit)}")
        say(done.out)


def summary(complaint: str, limit: int) -> str:
    """The last sentence of helm's, in plain words where it has none."""
    last = complaint.splitlines()[-1]
    if "timed out waiting for the condition" in last:
        return f"it was not ready within {limit} s. Above it is said why."
    return last


def make_namespace(deployment: Deployment) -> None:
    """Make the namespace if it certainly is not there; whoever may not look will find out by the next step."""
    namespace = deployment.request.namespace
    found = deployment.kube.run("get", "namespace", namespace, "--output", "name", "--ignore-not-found")
    if found.ok and not found.out.strip():
        say(f"Making the namespace {namespace}.")
        item = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        made = deployment.kube.run("create", "--filename", "-", stdin=as_list([item]))
        if not made.ok and "AlreadyExists" not in made.err:
            raise Failure(f"There is no namespace {namespace}, and it cannot be made: {made.complaint}")


def forget_interrupted(deployment: Deployment) -> None:
    """Drop the record of a helm that was interrupted, which would lock the release for ever.

    What it has made stays, and the next helm takes it over: it carries the release's name.
    """
    release = deployment.release
    if release and release.is_unfinished:
        say(f"A helm was interrupted ({release.status}): going on from there.")
        states = "pending-install,pending-upgrade,pending-rollback"
        chosen = f"owner=helm,name={deployment.name},status in ({states})"
        deployment.kube.do("Cannot drop what an interrupted helm has left", "delete", RECORDS, "--selector", chosen)
    elif release and release.status.startswith("uninstall"):
        say(f"An uninstall was interrupted ({release.status}): ending it first.")
        deployment.helm.run("uninstall", deployment.name)
    deployment.look_again()


class Watch:
    """Says what keeps the release from being ready, whenever that changes."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment, self.said = deployment, ""

    def __call__(self) -> None:
        try:
            lines = troubles(self.deployment)
        except Failure:
            return  # helm will complain itself
        text = "\n".join(lines)
        if text != self.said:
            say(text)
        self.said = text


def troubles(deployment: Deployment) -> list[str]:
    """A line for each workload that is not ready, and for each pod that says why."""
    deployment.look_again()
    live = deployment.kube.live(item for item in deployment.objects if item["kind"] in WORKLOADS)
    unwell = [health for health in map(workloads.health, live) if not health.ok]
    pods = deployment.pods() if unwell else []
    return [str(health) for health in unwell] + [
        f"  {title(pod)}: {why}" for pod in pods if (why := workloads.trouble(pod))
    ]


def say_last_words(deployment: Deployment) -> None:
    """What containers wrote before they ended badly, each text once: replicas tend to say the same."""
    deployment.look_again()
    try:
        broken = [(pod, container) for pod in deployment.pods() for container in workloads.broken_containers(pod)]
    except Failure as failure:
        return complain(str(failure))
    said = {
        deployment.kube.log(pod["metadata"]["name"], one, LOG_LINES): f"{one} in {title(pod)}" for pod, one in broken
    }
    for words, where in said.items():
        if words:
            say(f"Last words of {where}:")
            say("\n".join(f"  {line}" for line in words.splitlines()))
    return None


def undo(deployment: Deployment) -> None:
    """Go back to the last revision that worked; uninstall what has never worked. Raises Failure when that fails too."""
    name = deployment.name
    history = deployment.helm.history(name)
    good = [item["revision"] for item in history if item["status"] in ("deployed", "superseded")]
    if not history:
        return  # helm has not come as far as that
    if good:
        say(f"Going back to revision {good[-1]}.")
        limit = ["--wait", "--timeout", f"{deployment.settings.timeout}s"]
        done = deployment.helm.run("rollback", name, str(good[-1]), *limit, timeout=deployment.settings.timeout + 60)
    else:
        say("Uninstalling it again, as it has never worked. Volumes are kept.")
        done = deployment.helm.run("uninstall", name, timeout=deployment.settings.timeout)
    if not done.ok:
        raise Failure(f"{name} could not be deployed, and the attempt could not be undone either: {done.complaint}")
