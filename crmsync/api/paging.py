"""Pages that neither repeat nor miss rows while others are inserted: each continues after the last row's place.

A pagination key is the last row's (moment, id) and the direction, as base64url; it is opaque to clients.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from crmsync.api.base import compact_json
from crmsync.api.errors import invalid

DEFAULT_LIMIT = 50
MOST = 1000
COUNTED = 10_000  # rows of a total; a client that must know exactly goes through the pages


@dataclass(frozen=True, slots=True)
class Wanted:
    """The page a client asks for: at most `limit` rows in the direction, after `key`, leaving out `skip` more."""

    limit: int = DEFAULT_LIMIT
    key: str = ""
    newest_first: bool = True
    skip: int = 0


def page(
    rows: QuerySet[Any],
    wanted: Wanted,
    *,
    by: str,
    documents: Callable[[Sequence[Any]], list[dict[str, Any]]],
) -> dict[str, Any]:
    """One page of `rows`, ordered by (`by`, id): {items, has_more, pagination_key?}. Raises ValidationError."""
    if wanted.key:
        rows = _after(rows, wanted, by)
    sign = "-" if wanted.newest_first else ""
    rows = rows.order_by(f"{sign}{by}", f"{sign}pk")
    limit = min(wanted.limit, MOST)
    found = list(rows[wanted.skip : wanted.skip + limit + 1])
    shown = found[:limit]
    answer: dict[str, Any] = {"items": documents(shown), "has_more": len(found) > limit}
    if answer["has_more"]:
        answer["pagination_key"] = _key(
            getattr(shown[-1], by), shown[-1].pk, newest_first=wanted.newest_first
        )
    return answer


def _key(at: datetime, pk: int, *, newest_first: bool) -> str:
    raw = compact_json([at.isoformat(), pk, "desc" if newest_first else "asc"])
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def total(rows: QuerySet[Any], *, by: str) -> int:
    """How many rows there are: exact up to COUNTED, and beyond it what PostgreSQL's planner estimates.

    They are counted along the index of `by`, so that a whole table is not read for it.
    """
    if connection.vendor != "postgresql":
        return rows.count()
    counted = rows.order_by(f"-{by}", "-pk")[: COUNTED + 1].count()
    return counted if counted <= COUNTED else max(counted, _estimated(rows))


def _estimated(rows: QuerySet[Any]) -> int:
    plan = json.loads(rows.order_by().values("pk").explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])


def _after(rows: QuerySet[Any], wanted: Wanted, by: str) -> QuerySet[Any]:
    try:
        raw = base64.b64decode(wanted.key + "=" * (-len(wanted.key) % 4), altchars=b"-_", validate=True)
        stamp, pk, direction = json.loads(raw)
        at = datetime.fromisoformat(stamp)
        fits = at.tzinfo is not None and type(pk) is int and 0 < pk < 2**63
        at.astimezone()
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError):
        fits = False
    if not fits:
        raise invalid(
            "pagination_key", "This is not a pagination_key of an earlier answer.", "pagination_key"
        )
    if (direction == "desc") != wanted.newest_first:
        raise invalid(
            "pagination_key", "This key belongs to a list in the other sort_order.", "pagination_key"
        )
    beyond = "lt" if wanted.newest_first else "gt"
    # The bound on the moment alone is implied, but it is what lets an index begin at the page instead of at the start.
    rows = rows.filter(**{f"{by}__{beyond}e": at})
    return rows.filter(Q(**{f"{by}__{beyond}": at}) | Q(**{f"pk__{beyond}": pk}))
