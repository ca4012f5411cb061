"""What a sync would do, shown before it does it: the inbound dry run and the outbound preview that arms a connection.

Both read the CRM while the person waits, so they look at a bounded part and say how much that was; `manage.py sync --dry-run`
looks at everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from crmsync.pages.diffs import lines_of
from crmsync.pages.guard import page, person
from integrations.connections import record_failure
from integrations.models import Connection
from integrations.providers.errors import ProviderError
from sync.arming import approve_outbound, disarm, preview_outbound
from sync.models import PendingPush
from sync.preview import Preview, preview

RECORDS, CONTACTS, ROWS = 2000, 1000, 100
SECONDS = 15.0
SEEN = "outbound-preview"  # the signing salt: who approves has been shown a preview
SEEN_FOR = 3600


class Enough(Exception):
    """A person waits: the rest is not looked at."""


@page("sync.add_syncrun", "GET", "POST")
def dry_run(request: HttpRequest, public_id: str) -> HttpResponse:
    """What an inbound sync would change on both sides, with nothing written."""
    connection = get_object_or_404(Connection, public_id=public_id)
    context: dict[str, Any] = {"connection": connection, "most": RECORDS, "full": "full" in request.POST}
    if request.method == "POST":
        full = context["full"]
        context |= looked(
            connection, lambda watch: preview(connection, full=full, limit=ROWS, progress=watch), RECORDS
        )
    return render(request, "pages/dry_run.html", context)


@page("integrations.change_connection", "GET", "POST")
def outbound(request: HttpRequest, public_id: str) -> HttpResponse:
    """What would be written to the CRM now; whoever has seen it may approve it."""
    connection = get_object_or_404(Connection, public_id=public_id)
    context: dict[str, Any] = {
        "connection": connection,
        "most": CONTACTS,
        "waiting": PendingPush.objects.filter(connection=connection).count(),
    }
    if request.method == "POST":
        at = timezone.now()
        context |= looked(
            connection,
            lambda watch: preview_outbound(connection, limit=ROWS, at_most=CONTACTS, progress=watch),
            CONTACTS,
        )
        if "result" in context:
            context["seen"] = sign_seen(connection, at)
    return render(request, "pages/outbound.html", context)


@page("integrations.change_connection", "POST")
def arm(request: HttpRequest, public_id: str) -> HttpResponse:
    """Approve the preview that the person was shown; what came after it is counted by the circuit breaker."""
    connection = get_object_or_404(Connection, public_id=public_id)
    at = when_seen(connection, request.POST.get("seen", ""))
    if at is None:
        messages.warning(request, "Look at the preview again: it is too old to be approved.")
        return redirect("outbound", public_id)
    approve_outbound(connection, by=person(request).get_username(), previewed_at=at)
    messages.success(request, f"{connection} is armed: changes are written to the CRM from now on.")
    return redirect("connection", public_id)


@page("integrations.change_connection", "POST")
def stop(request: HttpRequest, public_id: str) -> HttpResponse:
    """Disarm: nothing is written to the CRM's contacts until a preview is approved anew."""
    connection = get_object_or_404(Connection, public_id=public_id)
    disarm(connection, by=person(request).get_username())
    messages.success(request, f"{connection} is disarmed. What changes here waits; nothing of it is lost.")
    return redirect("connection", public_id)


def sign_seen(connection: Connection, at: datetime) -> str:
    """Proof for the form under a preview that this person was shown it, and when."""
    return signing.dumps([connection.pk, at.isoformat()], salt=SEEN)


def when_seen(connection: Connection, seen: str) -> datetime | None:
    """When the preview was made that `sign_seen` signed; None when it is another's, forged or too old to be approved."""
    try:
        shown, at = signing.loads(seen, salt=SEEN, max_age=SEEN_FOR)
    except signing.BadSignature:
        return None
    return datetime.fromisoformat(at) if shown == connection.pk else None


def looked(
    connection: Connection, look: Callable[[Callable[[Preview], None]], Preview], most: int
) -> dict[str, Any]:
    """The preview as far as time and patience allow: its counts and lines, and whether it came to its end."""
    until, seen = time.monotonic() + SECONDS, Preview(0)

    def watch(result: Preview) -> None:
        nonlocal seen
        seen = result
        if result.done >= most or time.monotonic() > until:
            raise Enough

    try:
        result, cut = look(watch), False
    except Enough:
        result = seen
        cut = result.total is None or result.done < result.total
    except ProviderError as error:
        record_failure(connection, error)
        return {"problem": error.message}
    return {
        "result": result,
        "cut": cut or bool(result.counts.get("not_examined")),
        "counts": {name: count for name, count in result.counts.items() if count},
        "skipped": result.skipped.most_common(20),
        "lines": lines_of(connection, result.rows),
        "values": result.counts["values_in"] + result.counts["values_out"],
    }
