"""Lists of our own calls: rows that are never moved, newest first, each page going on below the last row's id."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crmsync.api.base import QueryWhole, Shape, Text, epoch_ms
from crmsync.api.errors import NotHere, invalid
from crmsync.api.paging import DEFAULT_LIMIT, MOST

_BEFORE = b"before:"


class PageQuery(Shape):
    """Which part of a list."""

    limit = QueryWhole(
        required=False, min_value=1, help_text=f"{DEFAULT_LIMIT} by default; more than {MOST} means {MOST}."
    )
    pagination_key = Text(required=False, max_length=500)


@extend_schema_field(
    {"description": "A text, number or truth value; null where there is none.", "nullable": True}
)
class AnyValue(serializers.JSONField):
    """The value of a field of any type."""


@cache
def page_of(item: type[serializers.Serializer]) -> type[serializers.Serializer]:
    """The shape of one page of items."""
    name = item.__name__.removesuffix("Shape")
    members = {
        "items": item(many=True),
        "has_more": serializers.BooleanField(),
        "pagination_key": serializers.CharField(required=False),
        "__doc__": "One page, newest first.",
    }
    return type(f"{name}PageShape", (serializers.Serializer,), members)


def newest(
    rows: QuerySet[Any], query: Mapping[str, Any], documents: Callable[[Sequence[Any]], list[dict[str, Any]]]
) -> dict[str, Any]:
    """The page of `rows` that a PageQuery asks for: {items, has_more, pagination_key?}. Raises ValidationError."""
    if key := query.get("pagination_key", ""):
        rows = rows.filter(pk__lt=_read(key))
    limit = min(query.get("limit", DEFAULT_LIMIT), MOST)
    found = list(rows.order_by("-pk")[: limit + 1])
    shown = found[:limit]
    answer: dict[str, Any] = {"items": documents(shown), "has_more": len(found) > limit}
    if answer["has_more"]:
        answer["pagination_key"] = (
            base64.urlsafe_b64encode(_BEFORE + str(shown[-1].pk).encode()).decode().rstrip("=")
        )
    return answer


def found_by_id(rows: QuerySet[Any], number: int, what: str) -> Any:
    """The row with this id. Raises NotHere, also for a number that no row can have."""
    row = rows.filter(pk=number).first() if number < 2**63 else None
    if row is None:
        raise NotHere(f"No {what} has this id.")
    return row


def stamp(at: datetime | None) -> int | None:
    """Epoch milliseconds, or None."""
    return epoch_ms(at) if at else None


def _read(key: str) -> int:
    try:
        raw = base64.b64decode(key + "=" * (-len(key) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    number = raw.removeprefix(_BEFORE)
    if not raw.startswith(_BEFORE) or not number.isdigit() or len(number) > 18:
        words = "This is not a pagination_key of an earlier answer."
        raise invalid("pagination_key", words, "pagination_key")
    return int(number)
