"""The drift audit: what contacts and CRM records hold now, compared field by field, and the repair of a selection."""

from __future__ import annotations

import time
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from contacts.models import field_specs
from crmsync.pages.diffs import addresses, shown_as
from crmsync.pages.guard import page, person
from integrations.connections import record_failure
from integrations.models import Connection
from integrations.providers.errors import ProviderError
from sync.decisions import CannotDecide
from sync.drift import WHY, DriftReport, audit
from sync.repair import WHY as NOT_REPAIRED
from sync.repair import repair

ROWS = 100
RECORDS, SECONDS = 2000, 20.0


class Enough(Exception):
    """A person waits: the rest is not looked at."""


@page("sync.add_syncrun", "GET", "POST")
def drift(request: HttpRequest, public_id: str) -> HttpResponse:
    """Compare now, on a POST; a bounded part, said so."""
    connection = get_object_or_404(Connection, public_id=public_id)
    context: dict[str, Any] = {"connection": connection, "most": RECORDS}
    if request.method == "POST":
        context |= _looked(connection)
    return render(request, "pages/drift.html", context)


@page("sync.change_externalrecord", "POST")
def repair_drift(request: HttpRequest, public_id: str) -> HttpResponse:
    """Give the selected values one side's, as both are now."""
    connection = get_object_or_404(Connection, public_id=public_id)
    chosen = [one.partition("|") for one in request.POST.getlist("row")]
    rows = [(int(pk), key) for pk, _, key in chosen if pk.isascii() and pk.isdigit() and len(pk) < 19]
    if not rows:
        messages.warning(request, "Choose at least one value to repair.")
        return redirect("drift", public_id)
    try:
        result = repair(connection, rows, request.POST.get("side", ""), person(request).get_username())
    except (CannotDecide, ProviderError) as error:
        messages.error(request, error.message if isinstance(error, ProviderError) else str(error))
        return redirect("drift", public_id)
    messages.success(
        request, f"{result.written} values taken from the CRM, {result.to_push} on their way to it."
    )
    for reason, count in result.skipped.most_common():
        messages.info(request, f"{count}× left as they are: {NOT_REPAIRED.get(reason, reason)}")
    return redirect("drift", public_id)


def _looked(connection: Connection) -> dict[str, Any]:
    until, seen = time.monotonic() + SECONDS, DriftReport(0)

    def watch(report: DriftReport) -> None:
        nonlocal seen
        seen = report
        if report.done < report.total and (report.done >= RECORDS or time.monotonic() > until):
            raise Enough

    try:
        seen = audit(connection, progress=watch, limit=ROWS)
    except Enough:
        pass
    except ProviderError as error:
        record_failure(connection, error)
        return {"problem": error.message}
    specs, urls = field_specs(), addresses(connection, [row.external_id for row in seen.rows])
    return {
        "report": seen,
        "cut": seen.done < seen.total,
        "fields": [(*key.split(":", 1), counts) for key, counts in seen.fields.items()],
        "rows": [(row, *shown_as(row.field, specs), urls.get(row.external_id, "")) for row in seen.rows],
        "reasons": [(WHY.get(reason, reason), count) for reason, count in seen.reasons.most_common()],
    }
