"""What pages cost, for one deployment and then for fifty. Run by `test_templates.py`, on a database of its own.

Prints JSON: path -> [[queries, bytes, rows] for one, the same for fifty].
"""

import itertools
import json
import logging
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app import create_app
from octopod import db, server
from octopod.db import now, session
from octopod.lifecycle import Kind, State, Status
from octopod.models import Action, Deployment

NAME = "fix-checkout-{:02}"
FIRST = NAME.format(0)
tags = itertools.count(1)
PATHS = [
    "/deployments",
    "/deployments?sort=name&archived=all",
    "/deployments?q=staging.example",
    "/deployments?q=vuochers+debgu",
    "/deployments?status=Running",
    f"/deployments/{FIRST}",
    f"/deployments/{FIRST}/edit",
    f"/deployments/{FIRST}/confirm/archive",
    "/actions",
    f"/actions?deployment={FIRST}",
    "/actions/1",
    "/new",
]


class Counter(logging.Handler):
    """Counts what peewee executes."""

    queries = 0

    def emit(self, _: logging.LogRecord) -> None:
        self.queries += 1


def create(number: int) -> None:
    """A deployment with three overrides in each level, three links and its creation."""
    moment = now() - timedelta(minutes=number)
    name = NAME.format(number)
    deployment_overrides = {
        "image.tag": f"feature-{number}-new-checkout",
        "ingress.host": f"{name}.example.org",
        "resources.memory": "512Mi",
    }
    application_overrides = {
        "LOG_LEVEL": "debug",
        "FEATURE_FLAGS": "checkout,search,vouchers",
        "DATABASE_URL": "postgres://db.example.org/shop",
    }
    links = [
        {"name": label, "url": f"https://{name}.staging.example.org/{label.lower()}"}
        for label in ("App", "Admin", "Metrics")
    ]
    deployment = Deployment.create(
        name=name,
        status=Status.RUNNING,
        status_reason="All pods are ready",
        status_since=moment,
        deployment_overrides=deployment_overrides,
        application_overrides=application_overrides,
        links=links,
        created_at=moment,
        updated_at=moment,
        checked_at=moment,
    )
    act(deployment, Kind.CREATE)


def act(deployment: Deployment, kind: Kind, busy: bool = False) -> None:
    moment = now()
    Action.create(
        deployment=deployment,
        kind=kind,
        state=State.RUNNING if busy else State.SUCCEEDED,
        requested_by="somebody@example.org",
        requested_from="10.0.0.1",
        requested_at=moment,
        started_at=moment,
        finished_at=None if busy else moment,
        deployment_overrides=deployment.deployment_overrides | {"image.tag": f"v{next(tags)}"},
        application_overrides=deployment.application_overrides,
    )


def little() -> None:
    """One deployment, to which nothing has been done yet."""
    create(0)


def much() -> None:
    """Fifty deployments with thirty actions each; every fifth is busy."""
    for number in range(1, 50):
        create(number)
    for number, deployment in enumerate(Deployment.select()):
        for index in range(29):
            act(deployment, Kind.UPDATE, busy=index == 28 and number % 5 == 1)


def main() -> None:
    server.configure()
    server.prepare()
    counter = Counter()
    logging.getLogger("peewee").addHandler(counter)
    logging.getLogger("peewee").setLevel(logging.DEBUG)
    logging.getLogger("peewee").propagate = False
    client = create_app().test_client()
    costs: dict[str, list[list[int]]] = {path: [] for path in PATHS}
    for make in (little, much):
        with session(), db.database.atomic():
            make()
        for path in PATHS:
            client.get(path)  # the suite's answers are cached after that
            counter.queries = 0
            answer = client.get(path, headers={"Accept": "text/html"})
            assert answer.status_code == 200, answer.text
            costs[path].append([counter.queries, len(answer.data), answer.text.count('<tr id="deployment-')])
    print(json.dumps(costs))


if __name__ == "__main__":
    main()
