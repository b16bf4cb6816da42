"""Quantities of Kubernetes: `512Mi`, `0.5`, `1e3`. Exact, and written as its API writes them.

The form of the API (k8s.io/apimachinery, pkg/api/resource): no fraction, the largest suffix that leaves none, in the
family that was written: `Ki`… stays binary, `k`… decimal, `e3` an exponent. Binary ones of less than 1024, or of a
fraction of a byte, are written as decimal ones. What is finer than `1n` is rounded up to it.
"""

import re
from fractions import Fraction

NUMBER = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)"
SUFFIX = r"([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]{1,2})?"
QUANTITY = NUMBER + SUFFIX  # one that is not negative, as it can be written in a spec
LONGEST = 64
LARGEST = 2**63 - 1
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
WRITTEN = re.compile(rf"(?P<sign>[-+]?)(?P<number>{NUMBER})(?P<suffix>{SUFFIX})")


def parse(text: str) -> Fraction:
    """The exact value. Raises ValueError for what is no quantity, or beyond the 2**63 - 1 that Kubernetes can hold."""
    return _parts(text)[0]


def canonical(text: str) -> str:
    """The same quantity as the API of Kubernetes writes it. Raises ValueError."""
    value, suffix = _parts(text)
    if suffix in BINARY and value.denominator == 1 and abs(value) >= 1024:
        return _written(value.numerator, 1024, {power: name for name, power in BINARY.items()} | {0: ""})
    nanos = int(value * 10**9)
    if suffix[:1] in ("e", "E") and suffix != "E":
        return _written(nanos, 1000, {power: f"e{power * 3 - 9}" for power in range(12)} | {3: ""})
    return _written(nanos, 1000, {(power + 9) // 3: name for name, power in DECIMAL.items()})


def _parts(text: str) -> tuple[Fraction, str]:
    """The value and the suffix."""
    match = WRITTEN.fullmatch(text) if len(text) <= LONGEST else None
    if not match:
        raise ValueError(
            f'"{text[:LONGEST]}" is no quantity: a number, then one of n u m k M G T P E Ki Mi Gi Ti Pi Ei'
        )
    value = _rounded(Fraction(match["number"].rstrip(".")) * _factor(match["suffix"]))
    if value > LARGEST:
        raise ValueError(f'"{text}" is larger than any quantity can be')
    return (-value if match["sign"] == "-" else value), match["suffix"]


def _factor(suffix: str) -> Fraction:
    if suffix in BINARY:
        return Fraction(1024 ** BINARY[suffix])
    if suffix in DECIMAL:
        return Fraction(10) ** DECIMAL[suffix]
    return Fraction(10) ** int(suffix[1:])


def _rounded(value: Fraction) -> Fraction:
    return Fraction(-(-value * 10**9 // 1), 10**9)


def _written(number: int, base: int, suffixes: dict[int, str]) -> str:
    """The number with as much of it as possible in the suffix; `suffixes` by the power of the base."""
    if number == 0:
        return "0"
    power = 0
    while number % base == 0 and power + 1 in suffixes:
        number, power = number // base, power + 1
    return f"{number}{suffixes[power]}"
