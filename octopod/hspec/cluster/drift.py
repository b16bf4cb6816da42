"""Whether somebody has changed an object since it was deployed. Pure functions."""

from typing import Any

from ..quantities import parse


def holds(live: Any, wanted: Any) -> bool:
    """Whether all that is wanted is so. What the server or others have added to it does not count.

    Servers leave out what says nothing (`readOnly: false`), and write quantities in a form of their own.
    """
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            holds(live[key], value) if key in live else not value for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(holds, live, wanted))
    return live == wanted or is_same_quantity(live, wanted)


def is_same_quantity(one: Any, other: Any) -> bool:
    try:
        return parse(str(one)) == parse(str(other))
    except ValueError:
        return False
