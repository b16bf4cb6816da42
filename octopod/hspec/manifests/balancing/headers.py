"""Request headers that a load balancer adds."""

import re
from collections.abc import Mapping

from ...errors import ManifestError

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def checked(headers: Mapping[str, str]) -> dict[str, str]:
    """The same. Raises ManifestError for what is no header: it would end up as something else in a configuration."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            raise ManifestError(f'The load balancer cannot add the header "{name}": it is no HTTP header of one line.')
    return dict(headers)
