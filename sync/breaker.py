"""The circuit breaker: more overwrites, clears and deletes than a connection allows wait for a person.

Inbound they are counted through a run, and the chunk that would exceed the limit is rolled back with the diff kept on the run.
Outbound, what imports and other bulk work changed is counted over an hour, and the batch that would exceed the limit is put
back; what a person or a conversation just changed is not counted. What a contact's own first
import brought may be replaced by that import; filling a blank and creating are never counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from django.db import transaction
from django.utils import timezone

from contacts.models import Contact, ContactChange
from contacts.values import Value
from integrations.models import Connection
from sync import issues
from sync.models import ExternalRecord, RecordState, RunState, SyncRun
from sync.runs import NotWaiting, finish, mine
from sync.wake import wake

if TYPE_CHECKING:
    from contacts.changes import Written
    from sync.answers import Intent
    from sync.settling import Applying

log = structlog.get_logger(__name__)
SHOWN = 200
WINDOW = timedelta(hours=1)
_OPT_OUT = "do_not_call"


@dataclass(frozen=True, slots=True)
class Loss:
    """One value that would be lost: in `field` of the record's contact, or with field "" the whole contact's link."""

    record: str
    contact: str
    field: str
    old: Value
    new: Value
    rule: str
    applied: bool = False

    def row(self) -> dict[str, Any]:
        """As kept on a run."""
        return {name: getattr(self, name) for name in self.__slots__}


class Tripped(Exception):
    """A chunk or batch would exceed the limit; `losses` are its own, `total` all counted so far with them."""

    def __init__(self, losses: Sequence[Loss], total: int, limit: int) -> None:
        super().__init__(f"{total} overwrites, more than {limit}")
        self.losses = losses
        self.total = total
        self.limit = limit


def limit_of(connection: Connection) -> int:
    """How many values a run, or an hour of pushes, may overwrite, clear or delete before a person is asked."""
    linked = ExternalRecord.objects.filter(connection=connection, state=RecordState.LINKED).count()
    return max(connection.overwrite_floor, linked * connection.overwrite_percent // 100)


# Inbound


def count_chunk(run: SyncRun, ctx: Applying) -> None:
    """Count what the chunk that has just been applied overwrote; call it in its transaction. Raises Tripped."""
    lost = [(one, name) for one in ctx.written for name, pair in one.changed.items() if _loses(name, *pair)]
    if ctx.connection.first_full_run_at is None:
        lost = _without_imported(run, lost)
    count = len(lost) + len(ctx.ended)
    run.overwrites += count
    if not count or run.approved_at or run.overwrites <= ctx.connection.overwrite_floor:
        return
    limit = limit_of(ctx.connection)
    if run.overwrites > limit:
        raise Tripped(_losses(ctx, lost), run.overwrites, limit)


def hold_run(run: SyncRun, tripped: Tripped) -> None:
    """Let the run wait for a person, with the diff: first what was held back, then what it had overwritten before."""
    rows = [loss.row() for loss in tripped.losses[:SHOWN]]
    rows += _applied_before(run, SHOWN - len(rows))
    with transaction.atomic():
        waits = mine(run).update(state=RunState.WAITING, held=rows, claimed_until=None)
        if waits:
            message = f"The sync would overwrite, clear or remove {tripped.total} values or more; the limit is {tripped.limit}."
            issues.report(run.connection, "run_held", message=message, count=tripped.total)
    log.warning("run_held", run=run.pk, overwrites=tripped.total, limit=tripped.limit)


def approve_run(run: SyncRun, *, by: str) -> None:
    """Let a waiting run go on to its end without the breaker. Raises NotWaiting."""
    now = timezone.now()
    with transaction.atomic():
        waiting = SyncRun.objects.filter(pk=run.pk, state=RunState.WAITING)
        if not waiting.update(
            state=RunState.RUNNING, approved_at=now, approved_by=by[:150], next_attempt_at=now, attempts=0
        ):
            raise NotWaiting(run)
        issues.resolve(run.connection, kind="run_held", by=by)
    run.refresh_from_db()
    wake()


def reject_run(run: SyncRun, *, by: str) -> None:
    """End a waiting run: what was held back is not applied and the connection's cursor stays. Raises NotWaiting."""
    with transaction.atomic():
        if not SyncRun.objects.select_for_update().filter(pk=run.pk, state=RunState.WAITING).exists():
            raise NotWaiting(run)
        finish(run, RunState.CANCELLED, code="rejected", error=f"Rejected by {by}.")
        issues.resolve(run.connection, kind="run_held", by=by)


def _loses(name: str, old: Value, new: Value) -> bool:
    """Whether a value is lost. An opt-out that is set is none: it only tightens."""
    return old not in (None, "") and not (name == _OPT_OUT and new is True)


def _without_imported(run: SyncRun, lost: list[tuple[Written, str]]) -> list[tuple[Written, str]]:
    """Until the first full run has ended, contacts that the import itself created may be changed by it."""
    ids = {one.contact.pk for one, _ in lost}
    refs = [
        f"run:{pk}"
        for pk in SyncRun.objects.filter(connection=run.connection_id).values_list("pk", flat=True)
    ]
    made = ContactChange.objects.filter(contact_id__in=ids, created=True, source_ref__in=refs)
    own = set(made.values_list("contact_id", flat=True)) if ids else set()
    return [(one, name) for one, name in lost if one.contact.pk not in own]


def _losses(ctx: Applying, lost: Sequence[tuple[Written, str]]) -> list[Loss]:
    links = ExternalRecord.objects.filter(
        connection=ctx.connection, contact_id__in=[one.contact.pk for one, _ in lost]
    )
    records = dict(links.values_list("contact_id", "external_id"))
    rules = {rule.contact.name: rule.key for rule in ctx.rules.fields if rule.pulls}
    changed = [
        Loss(
            records.get(one.contact.pk) or "",
            _name_before(one),
            name,
            *one.changed[name],
            rules.get(name, name),
        )
        for one, name in lost
    ]
    return changed + [
        Loss(e.external_id, e.contact, "", e.contact, None, e.policy or "unlink") for e in ctx.ended
    ]


def _name_before(one: Written) -> str:
    """What the contact is called until the change is approved."""
    first, last = (
        one.changed[name][0] if name in one.changed else getattr(one.contact, name)
        for name in ("first_name", "last_name")
    )
    return f"{first or ''} {last or ''}".strip() or one.contact.phone_number


def _applied_before(run: SyncRun, room: int) -> list[dict[str, Any]]:
    changes = ContactChange.objects.filter(source_ref=run.ref, created=False).select_related("contact")
    found: list[dict[str, Any]] = []
    for change in changes.order_by("pk")[: max(room, 0)]:
        for name, pair in change.diff.items():
            if len(found) < room and len(pair) == 2 and _loses(name, *pair):
                record = str(change.contact.sources.get(name, {}).get("external_id", ""))
                old, new = pair
                found.append(Loss(record, change.contact.name, name, old, new, "", applied=True).row())
    return found


# Outbound


def count_pushes(connection: Connection, intents: Sequence[Intent], ended: int) -> None:
    """Count what a batch would overwrite in the CRM; call it in the transaction that plans it. Raises Tripped.

    Pushes that waited when a person approved them are not counted, nor are urgent ones: what a person or a conversation has
    just changed is wanted one by one, while a mass of changes comes from imports. `ended`: links that ended meanwhile.
    """
    counted = [one for one in intents if not (one.pending.urgent or _approved(connection, one))]
    losses = [loss for intent in counted for loss in _overwritten(intent)]
    count = len(losses) + ended
    if not count:
        return
    row = (
        Connection.objects.select_for_update(no_key=True)
        .only("overwrites", "overwrites_since")
        .get(pk=connection.pk)
    )
    now = timezone.now()
    fresh = row.overwrites_since is None or row.overwrites_since < now - WINDOW
    since, total = (now, count) if fresh else (row.overwrites_since, row.overwrites + count)
    if total > connection.overwrite_floor and total > (limit := limit_of(connection)):
        raise Tripped(_named(losses[:SHOWN], counted), total, limit)
    Connection.objects.filter(pk=connection.pk).update(overwrites=total, overwrites_since=since)


def hold_pushes(connection: Connection, tripped: Tripped) -> None:
    """Nothing more is pushed to the connection until a person approves; what waits is kept."""
    with transaction.atomic():
        Connection.objects.filter(pk=connection.pk, held_at=None).update(held_at=timezone.now())
        waiting = connection.pending_pushes.count()
        issues.report(
            connection,
            "push_held",
            message=f"{tripped.total} values would be overwritten or cleared in the CRM within an hour; the limit is"
            f" {tripped.limit}. {waiting} contacts wait.",
            count=waiting,
            detail={"rows": [loss.row() for loss in tripped.losses[:20]], "overwrites": tripped.total},
        )
    log.warning("pushes_held", connection=connection.pk, overwrites=tripped.total, limit=tripped.limit)


def approve_pushes(connection: Connection, *, by: str) -> None:
    """Let what waits be pushed, uncounted, and count anew from now on."""
    now = timezone.now()
    with transaction.atomic():
        Connection.objects.filter(pk=connection.pk).update(
            held_at=None, overwrites=0, overwrites_since=now, pushes_approved_at=now
        )
        issues.resolve(connection, kind="push_held", by=by)
    # Not the whole row: credentials entered meanwhile must not pass for those that the caller's work began with.
    connection.refresh_from_db(fields=["held_at", "overwrites", "overwrites_since", "pushes_approved_at"])
    wake()


def _approved(connection: Connection, intent: Intent) -> bool:
    at = connection.pushes_approved_at
    return at is not None and intent.pending.created_at <= at


def _named(losses: Sequence[Loss], intents: Sequence[Intent]) -> list[Loss]:
    """With the names of the contacts whose values are to be written."""
    whose = {intent.link.external_id or "": intent.pending.contact_id for intent in intents}
    names = {pk: contact.name for pk, contact in Contact.objects.in_bulk(list(whose.values())).items()}
    return [replace(loss, contact=names.get(whose.get(loss.record, 0), "")) for loss in losses]


def _overwritten(intent: Intent) -> list[Loss]:
    found = []
    for name, value in intent.values.items():
        rule, old = intent.pairs[name][0], intent.remote.get(name)
        if _loses(rule.rpartition(":")[2], old, value):
            found.append(Loss(intent.link.external_id or "", "", name, old, value, rule))
    return found
