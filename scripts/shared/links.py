"""Which addresses a person could open."""

from collections.abc import Iterable

PATTERN = set("*()[]^$|\\")


def is_wildcard(host: str) -> bool:
    """Whether a host stands for many: `*.example.com`."""
    return host.startswith("*")


def plain_paths(paths: Iterable[str]) -> list[str]:
    """Those that could be typed, / as nothing; patterns such as `/api/(.*)` are none. If all are, the beginning of all."""
    plain = ["" if path == "/" else path for path in paths if not set(path) & PATTERN]
    return list(dict.fromkeys(plain)) or [""]
