"""How a run that read everything ends: the cursor moves, what needs a person is counted, and the run is called what it was."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from integrations.connections import record_success
from integrations.models import Connection
from mappings import unknown
from mappings.compile import Rules
from sync import issues, reconcile, rivals
from sync.chunks import Taken
from sync.models import ExternalRecord, RecordState, RunState, SyncRun
from sync.runs import finish, mine
from sync.schema_drift import report_drift
from sync.touch import touch_linked

# Of one record, and of several.
_REASONS = {
    "no_phone": ("has no phone number", "have no phone number"),
    "bad_phone": ("has a phone number that is not valid", "have a phone number that is not valid"),
    "duplicate_number": ("shares its number with a linked record", "share their number with a linked record"),
    "joined": ("belongs to a contact that was merged here", "belong to contacts that were merged here"),
}


def complete(run: SyncRun, rules: Rules) -> None:
    """Close a run whose listing has been worked through, and move the connection's cursor. Raises chunks.Taken."""
    connection = run.connection
    with transaction.atomic():
        if not mine(run).select_for_update().exists():
            raise Taken
        Connection.objects.filter(pk=connection.pk).update(**_what_is_known(run))
        _report_skipped(connection)
        rivals.close_answered(connection)
        report_drift(connection, rules)
        unknown.forget_known(connection)
        if run.kind == SyncRun.Kind.FULL and connection.first_full_run_at is not None:
            # Everything is looked at anew, on our side too.
            touch_linked(connection)
        state, code, error = _outcome(run, rules)
        finish(run, state, code=code, error=error)
    issues.resolve(connection, kind="run_failed")
    record_success(connection)


def _what_is_known(run: SyncRun) -> dict[str, Any]:
    connection, now = run.connection, timezone.now()
    known: dict[str, Any] = {"cursor": run.cursor, "read_at": run.started_at or now}
    if connection.first_full_run_at is None:
        known["first_full_run_at"] = now
    if run.kind != SyncRun.Kind.INCREMENTAL:
        known["rules_version"] = run.rules_version
    if run.kind == SyncRun.Kind.RECONCILE or connection.next_reconcile_at is None:
        known["next_reconcile_at"] = reconcile.next_time(connection, now)
    if run.kind == SyncRun.Kind.RECONCILE:
        issues.resolve(connection, kind="long_pause")
    return known


def _outcome(run: SyncRun, rules: Rules) -> tuple[str, str, str]:
    """State, code and words: partial where records were left out or mappings do nothing."""
    failed = run.counts.get("failed", 0)
    words = [f"{mapping}: {problem}" for mapping, problem in rules.broken.items()]
    if failed:
        words.append(f"{failed} record{'' if failed == 1 else 's'} could not be read in.")
    code = "broken_mapping" if rules.broken else "record_failed" if failed else ""
    return RunState.PARTIAL if words else RunState.SUCCEEDED, code, "; ".join(words)


def _report_skipped(connection: Connection) -> None:
    """One aggregate issue a reason: thousands of records without a phone are one thing to know."""
    rows = ExternalRecord.objects.filter(connection=connection, state=RecordState.SKIPPED)
    for reason, (one, several) in _REASONS.items():
        count = rows.filter(reason=reason).count()
        if count:
            words = f"1 CRM record {one} and is" if count == 1 else f"{count} CRM records {several} and are"
            message = f"{words} not in the contact book."
            issues.report(connection, reason, message=message, count=count)
        else:
            issues.resolve(connection, kind=reason)
