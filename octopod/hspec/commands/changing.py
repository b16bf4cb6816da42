"""`scale` and `undeploy`."""

import shutil
from argparse import Namespace

from .. import cluster
from ..cluster import Kubectl
from ..home import Workspace, app_directory
from ..talk import Talk


def scale(options: Namespace) -> int:
    by = options.up or (-options.down if options.down else None)
    count = cluster.scale(Kubectl(options.namespace), options.app, options.service, to=options.to, by=by, talk=Talk())
    print(f"{options.service} is told to have {count} replica{'' if count == 1 else 's'}.")
    return 0


def undeploy_services(options: Namespace) -> int:
    talk = Talk()
    for name in dict.fromkeys(options.services):
        talk.title(name)
        show(cluster.undeploy(Kubectl(options.namespace), options.app, name, talk), name)
        shutil.rmtree(Workspace.of(options.app, name).directory, ignore_errors=True)
    return 0


def undeploy_app(options: Namespace) -> int:
    show(cluster.undeploy(Kubectl(options.namespace), options.app, None, Talk()), options.app)
    shutil.rmtree(app_directory(options.app), ignore_errors=True)
    return 0


def show(removed: list[str], name: str) -> None:
    print("\n".join(f"removed {one}" for one in removed) or f"There is nothing to undeploy: {name} is not deployed.")
