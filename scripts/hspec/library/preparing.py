"""What is looked at when the server starts."""

from library import git, settings, sources
from library.mirrors import Mirror
from library.settings import Settings
from octopod.hspec.errors import HspecError
from octopod.hspec.images.builders import find_builder
from shared import processes
from shared.output import Failure, complain, say


def prepare() -> None:
    """Say which tools there are, and fetch the default repository. Raises Failure when nothing could be deployed."""
    found = settings.load()
    found.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    say(git.version())
    done = processes.run([found.kubectl, "version", "--client"], git.QUICK)
    if not done.ok:
        raise Failure(f"{found.kubectl} does not work: {done.complaint}")
    say(f"{found.kubectl}: {done.out.splitlines()[0]}")
    say_builder()
    fetch_default(found)


def say_builder() -> None:
    try:
        builder = find_builder()
    except HspecError as error:
        return complain(f"{error}\nOnly services whose image is ready can be deployed.")
    version = processes.run([builder.program, "--version"], git.QUICK)
    return say(f"{builder.program}: {version.out.strip() or version.complaint}")


def fetch_default(found: Settings) -> None:
    """So that the first form opens quickly. That it cannot be reached now is no reason not to start."""
    if not found.defaults.get("source"):
        return
    source = sources.find(found.defaults["source"], found)
    if source.remote:
        try:
            Mirror(found.data, source).fetch(found.defaults.get("ref", ""))
        except Failure as failure:
            complain(f"{failure} It will be tried again when it is needed.")
