"""`scale` and `undeploy`."""

import shutil
from argparse import Namespace
from typing import Any

from .. import cluster
from ..cluster import Kubectl
from ..errors import HspecError
from ..home import Workspace, app_directory, locked
from ..talk import Talk
from .printing import print_data


def scale(options: Namespace) -> int:
    by = options.up or (-options.down if options.down else None)
    count = cluster.scale(Kubectl(options.namespace), options.app, options.service, to=options.to, by=by, talk=Talk())
    if options.output != "text":
        print_data({"name": options.service, "replicas": count}, options.output)
        return 0
    print(f"{options.service} is told to have {count} replica{'' if count == 1 else 's'}.")
    return 0


def undeploy_services(options: Namespace) -> int:
    """One after the other, also when one of them fails."""
    talk, outcomes = Talk(), []
    for name in dict.fromkeys(options.services):
        talk.title(name)
        outcomes.append(undeploy(options, name, talk))
    return report(outcomes, options.output)


def undeploy_app(options: Namespace) -> int:
    return report([undeploy(options, None, Talk())], options.output)


def undeploy(options: Namespace, service: str | None, talk: Talk) -> dict[str, Any]:
    """Remove a service, or a whole app, from the cluster and from this machine; what has become of it."""
    app = options.app
    outcome: dict[str, Any] = {"name": service or app, "exitCode": 0, "message": "", "removed": []}
    try:
        with locked(app, service, talk.say):
            outcome["removed"] = cluster.undeploy(Kubectl(options.namespace), app, service, talk)
            files = Workspace.of(app, service).directory if service else app_directory(app)
            shutil.rmtree(files, ignore_errors=True)
    except HspecError as error:
        talk.fail(str(error))
        return outcome | {"exitCode": error.code, "message": str(error)}
    return outcome


def report(outcomes: list[dict[str, Any]], form: str) -> int:
    """Print what was removed; the exit code of the first failure."""
    if form != "text":
        print_data(outcomes, form)
    else:
        for outcome in outcomes:
            print_outcome(outcome)
    return next((one["exitCode"] for one in outcomes if one["exitCode"]), 0)


def print_outcome(outcome: dict[str, Any]) -> None:
    for one in outcome["removed"]:
        print(f"removed {one}")
    if not outcome["removed"] and not outcome["exitCode"]:
        print(f"There is nothing to undeploy: {outcome['name']} is not deployed.")
