"""Signatures of bundles: HMACs, keyed with a token's text.

The first scheme signs the archive alone (`X-Signature: sha256=…`, or `sha1=…` as the original had it). The second
(`X-Signature-V2: sha256=…`) signs the whole request, so that it cannot be sent again, or with other scripts or variables.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from pathlib import Path

CHUNK = 1 << 20
ALGORITHMS = ("sha256", "sha1")


class Digests:
    """What one reading of an archive tells: its SHA-256 in hex, and who may have signed it."""

    sha256: str

    def __init__(self, archive: Path, keys: Iterable[str], algorithms: Iterable[str] = ALGORITHMS) -> None:
        digest = hashlib.sha256()
        macs = [(key, name, hmac.new(key.encode(), digestmod=name)) for key in keys for name in algorithms]
        with archive.open("rb") as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
                for _, _, mac in macs:
                    mac.update(piece)
        self.sha256 = digest.hexdigest()
        self._signatures = [(key, f"{name}={mac.hexdigest()}") for key, name, mac in macs]

    def find_key(self, signature: str) -> str | None:
        """The key with which the archive was signed, given the value of the header; None when it is none of the keys."""
        found = None
        for key, right in self._signatures:  # always all, so that the time taken does not tell which
            if same(signature, right):
                found = key
        return found


def sign_v2(
    key: str, path: str, timestamp: int | str, nonce: str, archive_digest: str, variables: Mapping[str, str]
) -> str:
    """The value of `X-Signature-V2` for a request; `path` is not percent-encoded, `archive_digest` is SHA-256 in hex.

    Raises ValueError for a line break in any part, which could make one message of two different requests.
    """
    pairs = [f"{name}={value}" for name, value in sorted(variables.items())]
    lines = ["octopod-v2", "POST", path, str(timestamp), nonce, archive_digest, *pairs]
    if any("\n" in line for line in lines):
        raise ValueError("what is signed must not have a line break in it")
    message = "\n".join(lines).encode(errors="surrogateescape")
    return f"sha256={hmac.new(key.encode(), message, 'sha256').hexdigest()}"


def same(given: str, right: str) -> bool:
    """Whether a signature is the right one; how long that takes does not tell how much of it is."""
    return hmac.compare_digest(given.encode(errors="replace"), right.encode())
