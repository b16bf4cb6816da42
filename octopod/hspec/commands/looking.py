"""`get …` and `schema`: nothing is changed."""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from .. import cluster, spec
from ..cluster import Kubectl, ServiceStatus
from ..home import Workspace
from .printing import age, print_data, print_table

TITLES = ["SERVICE", "STATUS", "AGE", "ADDRESS"]


def service_status(options: Namespace) -> int:
    kubectl = Kubectl(options.namespace)
    wanted = dict.fromkeys(options.services)
    show([status for name in wanted for status in cluster.statuses(kubectl, options.app, name)], options.output)
    return 0


def app_status(options: Namespace) -> int:
    found = cluster.statuses(Kubectl(options.namespace), options.app)
    if not found and options.output == "text":
        print(f"No service of {options.app} is deployed in {options.namespace}.")
        return 0
    show(found, options.output)
    return 0


def show(found: Sequence[ServiceStatus], form: str) -> None:
    if form != "text":
        print_data([as_json(status) for status in found], form)
        return
    rows = [([one.name, one.status, age(one.age), one.address], one.message) for one in found]
    print_table(TITLES, rows)


def as_json(found: Any) -> dict[str, Any]:
    return dict(found._asdict())


def replicas(options: Namespace) -> int:
    found = cluster.replicas(Kubectl(options.namespace), options.app, options.service)
    if options.output != "text":
        print_data([as_json(one) for one in found], options.output)
    elif not found:
        print(f"{options.service} has no replicas.")
    else:
        rows = [([one.name, one.status, age(one.age), str(one.restarts), one.node], one.message) for one in found]
        print_table(["REPLICA", "STATUS", "AGE", "RESTARTS", "NODE"], rows)
    return 0


def logs(options: Namespace) -> int:
    workspace = Workspace.of(options.app, options.service)
    workspace.make()
    cluster.logs(
        Kubectl(options.namespace), options.app, options.service, replica=options.replica, lines=options.lines,
        follow=options.tail, file=workspace.log("service"), out=sys.stdout,
    )  # fmt: skip
    return 0


def schema(options: Namespace) -> int:
    chosen = spec.json_schema() if options.of == "spec" else spec.profile_schema()
    print(json.dumps(chosen, indent=2))
    return 0
