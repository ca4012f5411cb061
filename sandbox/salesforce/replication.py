"""What was deleted or updated in a span of time: sobjects/X/deleted and sobjects/X/updated."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sandbox.salesforce import moments
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.records import Records
from sandbox.wire import Request

LOOK_BACK = {"deleted": timedelta(days=15), "updated": timedelta(days=30)}


def changed_between(records: Records, sobject: str, kind: str, request: Request) -> dict[str, Any]:
    """The answer for `kind` "deleted" or "updated"; seconds of the bounds are ignored, as by the vendor."""
    now = records.clock.now()
    start, end = _bound(request, "start"), _bound(request, "end")
    if end - start < timedelta(minutes=1):
        raise ApiError(
            "INVALID_REPLICATION_DATE", "endDate must be at least one minute greater than the startDate"
        )
    if start < (now - LOOK_BACK[kind]).replace(second=0, microsecond=0):
        raise ApiError(
            "INVALID_REPLICATION_DATE", f"startDate cannot be more than {LOOK_BACK[kind].days} days ago"
        )
    low, high, covered = moments.written(start), moments.written(end), moments.written(min(end, now))
    rows = [row for row in records.store.tables[sobject].values() if low <= row["SystemModstamp"] < high]
    if kind == "updated":
        return {"ids": [row["Id"] for row in rows if not row["IsDeleted"]], "latestDateCovered": covered}
    return {
        "deletedRecords": [
            {"deletedDate": row["SystemModstamp"], "id": row["Id"]} for row in rows if row["IsDeleted"]
        ],
        "earliestDateAvailable": moments.written(now - LOOK_BACK[kind]),
        "latestDateCovered": covered,
    }


def _bound(request: Request, name: str) -> datetime:
    text = moments.literal(request.param(name) or "")
    if text is None:
        raise ApiError("INVALID_REPLICATION_DATE", f"Invalid or missing {name} date")
    return moments.parsed(text).replace(second=0, microsecond=0)
