"""A checksum of props and secrets at the pods, so that they are replaced when only these have changed.

Who may look at pods may not look at secrets: from a plain hash a short secret could be found by trying. So what secrets
take part in is derived as from a password, slowly, and with the names of the service as salt.
"""

import hashlib
import json
from collections.abc import Iterator

from ... import names
from ...service import Context, Service
from ..data import held
from ..model import Owner, Snippet, has_values, workload

COST = {"n": 2**11, "r": 8, "p": 1, "dklen": 32}  # 2 MiB and some milliseconds for each guess


def snippets(service: Service, context: Context) -> Iterator[Snippet]:
    owners: list[Owner] = [service, *service.agents]
    if not any(owner.props or owner.secrets for owner in owners):
        return
    text = json.dumps([held(owner) for owner in owners], sort_keys=True)
    has_secrets = any(map(has_values, owners))
    checksum = _slow(text, service, context) if has_secrets else hashlib.sha256(text.encode()).hexdigest()
    yield Snippet(workload(service), f'spec.template.metadata.annotations."{names.CHECKSUM}"', checksum)


def _slow(text: str, service: Service, context: Context) -> str:
    salt = "/".join((context.app, context.environment, service.name))
    return hashlib.scrypt(text.encode(), salt=salt.encode(), **COST).hex()
