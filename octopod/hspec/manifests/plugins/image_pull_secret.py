"""The credentials of the image's registry, as a Secret that all services of an app share.

It has no service's label: what undeploys one service leaves it to the others.
"""

import json
import re
from collections.abc import Iterator

from ... import names
from ...service import Context, Credentials, Service
from ..data import encoded
from ..model import POD, Snippet, head, workload

LONGEST = 253  # characters of the name of an object


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    credentials = context.credentials
    if not credentials:
        return
    registry = credentials.registry
    name = re.sub("[-_]+", "-", names.normalize(registry))[:LONGEST].strip("-")
    yield from head("Secret", name, names.labels(context), registry)
    yield Snippet("Secret", "type", "kubernetes.io/dockerconfigjson", registry)
    yield Snippet("Secret", "data", {".dockerconfigjson": encoded(_config(credentials))}, registry)
    yield Snippet(workload(service), f"{POD}.imagePullSecrets", [{"name": name}])


def _config(credentials: Credentials) -> bytes:
    return json.dumps({"auths": {credentials.registry: {"auth": credentials.auth}}}, separators=(",", ":")).encode()
