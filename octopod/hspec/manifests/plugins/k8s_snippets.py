"""The user's own YAML, merged into the manifest of its kind; a kind that there is not yet is added.

What has a name other than that of the service's main manifest of the kind is an object of its own.
"""

import json
from collections.abc import Iterator

from ... import names
from ...service import Context, Service
from ..model import Snippet, name_of, workload
from ..own_yaml import documents


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    found = documents(service)
    for each in found:
        is_main = each.name in (None, name_of(each.key, service, context))
        content = each.content | {"apiVersion": each.version}
        yield Snippet(each.key, "", content, "" if is_main else str(each.name))
    if found:
        remembered = json.dumps(sorted({each.type for each in found}))
        yield Snippet(workload(service), f'metadata.annotations."{names.APPLIED_KINDS}"', remembered)
