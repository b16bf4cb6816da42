"""Remove a deployment for good."""

import shutil

from library import namespaces
from library.deployment import Deployment
from library.running import new_talk
from octopod.hspec import cluster
from octopod.hspec.home import app_directory
from shared.output import say


def clean(deployment: Deployment) -> None:
    """Leave nothing: services, volumes, the namespace, and what is on this machine. Raises HspecError, Failure."""
    with deployment.locked():
        if found := namespaces.find(deployment.kubectl):
            namespaces.check(found, deployment)
            cluster.remove(deployment.kubectl, deployment.name, new_talk())
            namespaces.remove(deployment)
        shutil.rmtree(app_directory(deployment.name), ignore_errors=True)
        (deployment.home / "deployed.json").unlink(missing_ok=True)
    say(f"{deployment.name} is removed, with its volumes.")
