"""Keyset paging: a page begins where the last one ended, however many rows there are and whatever was added meanwhile."""

import base64
import json
from datetime import datetime
from typing import Any

from peewee import Field, IntegerField, ModelSelect

from octopod.errors import FieldError, Invalid


def page(
    query: ModelSelect, order: Field, tie: Field, descending: bool, limit: int, cursor: str | None
) -> tuple[list[Any], str | None]:
    """One page of `query` sorted by `order` and then `tie`, and the cursor of the next, None after the last.

    Raises Invalid for a cursor that is not one of ours.
    """
    if cursor:
        query = query.where(_after(order, tie, *_decode(cursor, order), descending))
    keys = [key.desc() if descending else key for key in (order, tie)]
    rows = list(query.order_by(*keys).limit(limit + 1))
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], _encode(getattr(last, order.name), getattr(last, tie.name))


def _after(order: Field, tie: Field, value: Any, last: int, descending: bool) -> Any:
    if descending:
        return (order < value) | ((order == value) & (tie < last))
    return (order > value) | ((order == value) & (tie > last))


def _encode(value: Any, last: int) -> str:
    shown = value.isoformat() if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([shown, last]).encode()).decode()


def _decode(cursor: str, order: Field) -> tuple[Any, int]:
    """The value and the tie of the row that a page ended with; the value has to be of the order's kind."""
    try:
        value, last = json.loads(base64.urlsafe_b64decode(cursor))
        kind = int if isinstance(order, IntegerField) else str
        if type(value) is kind and type(last) is int and _is_comparable(value) and _is_comparable(last):
            parsed = order.python_value(value)
            order.db_value(parsed)
            return parsed, last
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        pass
    raise Invalid("The cursor is not one that a list has answered", [FieldError("cursor", "unknown cursor")])


def _is_comparable(value: int | str) -> bool:
    """Whether both databases can compare with it. Raises ValueError for half a surrogate pair."""
    return abs(value) < 2**63 if isinstance(value, int) else b"\0" not in value.encode()
