"""Outbound sync: changed contact fields → CRM. What to write is computed from state when it is sent, so a retry is harmless.

One batch: claim, read the targets, plan under lock, send, settle. The read just before the write lets a fresher edit in the
CRM be seen; the window left is the seconds between the two calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from contacts.changes import Edit, Source, change_contacts, lock_contacts
from contacts.models import Contact, snapshot
from contacts.values import Value
from integrations.connections import fresh_schema, open_provider, record_failure, record_success
from integrations.models import Connection, ConnectionStatus
from integrations.providers.base import Outcome, Provider, Record, Update
from integrations.providers.errors import (
    ConfigError,
    NeedsAttention,
    ProviderError,
    RateLimited,
    RecordGone,
    Rejected,
    Transient,
)
from mappings.compile import Rules, compile_rules
from mappings.rules import Pair, Plan, locally_changed, pack, plan, unpack
from sync import create, issues, removal
from sync.apply import Applying, applying, ask, outranked, settle
from sync.backoff import MAX_ATTEMPTS, next_attempt
from sync.models import ExternalRecord, PendingPush, RecordState

log = structlog.get_logger(__name__)
BATCH = 200
LEASE = timedelta(minutes=3)
_HEALED = ("push_rejected", "push_failed")


@dataclass(slots=True)
class Intent:
    """What is about to be written to one record, and the pairs that hold when it has been."""

    pending: PendingPush
    link: ExternalRecord
    values: dict[str, Value]
    pairs: dict[str, tuple[str, Pair]]
    refused: dict[str, str] = field(default_factory=dict)


def push_some(*, urgent_only: bool = False) -> int:
    """Push one batch of what is most due, of one connection; returns how many contacts were handled."""
    for connection in _connections_with_work(urgent_only=urgent_only):
        pending = claim(connection, urgent_only=urgent_only)
        if pending:
            _work(connection, pending)
            return len(pending)
    return 0


def claim(connection: Connection, *, urgent_only: bool = False, limit: int = BATCH) -> list[PendingPush]:
    """Take due rows for three minutes; whoever dies with them gives them back by time."""
    now = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    rows = PendingPush.objects.filter(free, connection=connection, due_at__lte=now)
    if urgent_only:
        rows = rows.filter(urgent=True)
    with transaction.atomic():
        taken = list(rows.select_for_update(skip_locked=True).order_by("-urgent", "due_at", "id")[:limit])
        PendingPush.objects.filter(pk__in=[row.pk for row in taken]).update(claimed_until=now + LEASE)
    return taken


def _connections_with_work(*, urgent_only: bool) -> Iterable[Connection]:
    now = timezone.now()
    free = Q(pending_pushes__claimed_until=None) | Q(pending_pushes__claimed_until__lte=now)
    awake = Q(paused_until=None) | Q(paused_until__lte=now)
    due = Connection.objects.filter(awake, free, enabled=True, pending_pushes__due_at__lte=now)
    if urgent_only:
        due = due.filter(pending_pushes__urgent=True)
    return due.exclude(status=ConnectionStatus.ERROR).distinct()


def _work(connection: Connection, pending: Sequence[PendingPush]) -> None:
    try:
        with open_provider(connection) as provider:
            fresh_schema(connection, provider)
            rules = compile_rules(connection)
            _push(connection, provider, rules, pending)
        record_success(connection)
    except ProviderError as error:
        _put_back(connection, pending, error)
    except Exception:
        log.exception("push_broke", connection=connection.pk)
        _put_back(
            connection,
            pending,
            ProviderError("Our own error; the server's log has the details.", code="internal"),
        )
        raise


def _push(connection: Connection, provider: Provider, rules: Rules, pending: Sequence[PendingPush]) -> None:
    rows = {row.contact_id: row for row in pending}
    links = _links(connection, rows)
    new = [link for link in links.values() if link.state == RecordState.CREATING]
    create.create_records(connection, provider, rules, new)
    due = _with_changes(rules, {pk: link for pk, link in links.items() if link.state == RecordState.LINKED})
    created = {link.contact_id for link in new}
    _done([row for pk, row in rows.items() if pk not in due and pk not in created])
    if due:
        ctx = applying(connection, rules, "")
        read = provider.read([link.external_id or "" for link in due.values()], rules.external_names)
        intents = _plan_all(ctx, {pk: rows[pk] for pk in due}, read)
        _send(connection, provider, intents)
    _finish_creations(connection, [rows[pk] for pk in created if pk in rows])


def _links(connection: Connection, contact_ids: Iterable[int]) -> dict[int, ExternalRecord]:
    rows = ExternalRecord.objects.filter(connection=connection, contact_id__in=list(contact_ids))
    return {link.contact_id or 0: link for link in rows}


def _with_changes(rules: Rules, links: Mapping[int, ExternalRecord]) -> dict[int, ExternalRecord]:
    """The links with something to push as far as we can tell without the CRM: the others cost no call."""
    contacts = Contact.objects.in_bulk(links)
    return {
        pk: link
        for pk, link in links.items()
        if pk in contacts and locally_changed(rules.fields, unpack(link.settled), snapshot(contacts[pk]))
    }


def _plan_all(ctx: Applying, rows: Mapping[int, PendingPush], read: Mapping[str, Record]) -> list[Intent]:
    """Plan every contact under lock against what the CRM holds now, and write down what comes in and what will be sent."""
    intents: list[Intent] = []
    with transaction.atomic():
        contacts = lock_contacts(rows)
        links = _links(ctx.connection, contacts)
        epoch = _next_epoch(ctx.connection)
        edits: list[Edit] = []
        for pk, contact in contacts.items():
            link = links.get(pk)
            record = read.get(link.external_id or "") if link else None
            if link is None or record is None or record.deleted:
                _gone(ctx, link, record)
                continue
            made = plan(
                ctx.rules.fields,
                unpack(link.settled),
                snapshot(contact),
                record.values,
                outranked=outranked(ctx, contact),
            )
            _keep(ctx, contact, link, made, record, epoch)
            if made.changes:
                edits.append(Edit(pk, made.changes, ctx.source(record, urgent=True)))
            if made.pushes:
                intents.append(Intent(rows[pk], link, dict(made.pushes), dict(made.settle_pushed)))
        change_contacts(contacts, edits, source=Source("crm"))
        sending = {intent.pending.pk for intent in intents}
    _done([row for row in rows.values() if row.pk not in sending])
    return intents


def _keep(
    ctx: Applying, contact: Contact, link: ExternalRecord, made: Plan, record: Record, epoch: int
) -> None:
    settle(link, made, ctx.rules, record)
    if made.pushes:
        link.fingerprint = ""
    link.push_epoch = epoch
    link.save(
        update_fields=[
            "settled",
            "skipped_fields",
            "fingerprint",
            "remote_modified_at",
            "push_epoch",
            "updated_at",
        ]
    )
    ask(ctx.connection, contact, made)


def _gone(ctx: Applying, link: ExternalRecord | None, record: Record | None) -> None:
    """The record has been deleted or merged in the CRM since we linked it."""
    if link is None:
        return
    if record is not None and record.merged_into:
        rows = ExternalRecord.objects.filter(connection=ctx.connection, external_id=record.merged_into)
        links = {link.external_id: link} | {row.external_id: row for row in rows}
        removal.relink(ctx, links, link.external_id or "", record.merged_into)
    else:
        removal.bury(ctx, link, record)


def _send(connection: Connection, provider: Provider, intents: Sequence[Intent]) -> None:
    """Send, and send once more without the fields that the CRM refused, so that one bad value holds back no other."""
    waiting = [intent for intent in intents if intent.values]
    for _ in range(5):
        if not waiting:
            break
        updates = [Update(intent.link.external_id or "", intent.values) for intent in waiting]
        outcomes = provider.update(updates)
        waiting = _settle_outcomes(connection, list(zip(waiting, outcomes, strict=True)))


def _settle_outcomes(connection: Connection, results: Sequence[tuple[Intent, Outcome]]) -> list[Intent]:
    again: list[Intent] = []
    with transaction.atomic():
        contacts = lock_contacts([intent.link.contact_id or 0 for intent, _ in results])
        links = _links(connection, contacts)
        epoch = _next_epoch(connection)
        for intent, outcome in results:
            link = links.get(intent.pending.contact_id)
            if link is None or link.external_id != intent.link.external_id:
                continue
            if outcome.ok:
                _settle_pushed(connection, link, intent, epoch)
            elif _without_field(intent, outcome.error):
                again.append(intent)
            else:
                assert outcome.error is not None  # noqa: S101 - not ok
                _failed(connection, contacts[intent.pending.contact_id], intent, outcome.error)
    _done([intent.pending for intent, outcome in results if outcome.ok])
    return again


def _settle_pushed(connection: Connection, link: ExternalRecord, intent: Intent, epoch: int) -> None:
    pairs = dict(intent.pairs[name] for name in intent.values)
    link.settled = {**link.settled, **pack(pairs)}
    link.fingerprint, link.push_epoch = "", epoch
    link.save(update_fields=["settled", "fingerprint", "push_epoch", "updated_at"])
    contact = intent.link.contact_id
    issues.resolve(connection, kind__in=_HEALED, contact_id=contact, field__in=["", *intent.values])


def _without_field(intent: Intent, error: ProviderError | None) -> bool:
    """Take the refused field out of the intent; False when the CRM did not name one that we sent."""
    if not isinstance(error, Rejected | ConfigError) or error.field not in intent.values:
        return False
    key, pair = intent.pairs[error.field]
    with transaction.atomic():
        link = ExternalRecord.objects.select_for_update().get(pk=intent.link.pk)
        before = unpack(link.settled).get(key)
        # Decided: the CRM does not take this value. It is tried again when either side changes.
        link.settled = {**link.settled, **pack({key: Pair(before.remote if before else None, pair.local)})}
        link.skipped_fields = {**link.skipped_fields, key: error.code or "rejected"}
        link.save(update_fields=["settled", "skipped_fields", "updated_at"])
    issues.report(
        link.connection,
        "push_rejected",
        contact=link.contact,
        external_id=link.external_id or "",
        field=error.field,
        message=f"The CRM refused “{error.field}”: {error.message}",
        advice="Correct the value here or the field in the CRM; it is sent again when the value changes.",
    )
    del intent.values[error.field]
    return True


def _failed(connection: Connection, contact: Contact, intent: Intent, error: ProviderError) -> None:
    if isinstance(error, Transient | NeedsAttention):
        _put_back(connection, [intent.pending], error)
        return
    if isinstance(error, RecordGone):
        PendingPush.objects.filter(pk=intent.pending.pk).update(claimed_until=None, due_at=next_attempt(1))
        return
    issues.report(
        connection,
        "push_failed",
        contact=contact,
        external_id=intent.link.external_id or "",
        message=f"The CRM refused the record: {error.message}",
        advice="Mend the cause in the CRM and retry, or change the value here.",
    )
    PendingPush.objects.filter(pk=intent.pending.pk).delete()


def _put_back(connection: Connection, pending: Sequence[PendingPush], error: ProviderError) -> None:
    """The whole batch failed: nothing is lost, the rows wait."""
    if isinstance(error, RateLimited | NeedsAttention):
        record_failure(connection, error)
        until = connection.paused_until or next_attempt(4)
        PendingPush.objects.filter(pk__in=[row.pk for row in pending]).update(
            claimed_until=None, due_at=until
        )
    else:
        _retry_later(pending, error)


def _retry_later(pending: Sequence[PendingPush], error: ProviderError) -> None:
    for row in pending:
        attempts = row.attempts + 1
        if attempts >= MAX_ATTEMPTS:
            issues.report(
                row.connection,
                "push_failed",
                contact=row.contact,
                message=f"Ten attempts to push failed: {error.message}",
                advice="Retry when the CRM is well again.",
            )
            PendingPush.objects.filter(pk=row.pk, version=row.version).delete()
        PendingPush.objects.filter(pk=row.pk).update(
            claimed_until=None, attempts=attempts, due_at=next_attempt(attempts)
        )


def _finish_creations(connection: Connection, rows: Sequence[PendingPush]) -> None:
    """Rows whose record exists now are done; the others wait for their creation to be settled."""
    links = _links(connection, [row.contact_id for row in rows])
    creating = [
        row for row in rows if row.contact_id in links and links[row.contact_id].state == RecordState.CREATING
    ]
    waiting = {row.pk for row in creating}
    _done([row for row in rows if row.pk not in waiting])
    for row in creating:
        attempts = row.attempts + 1
        PendingPush.objects.filter(pk=row.pk).update(
            claimed_until=None, attempts=attempts, due_at=next_attempt(attempts)
        )


def _done(rows: Sequence[PendingPush]) -> None:
    """Delete what has been pushed, unless it was touched meanwhile: then it is due again at once."""
    counts: Counter[int] = Counter()
    for row in rows:
        counts[PendingPush.objects.filter(pk=row.pk, version=row.version).delete()[0]] += 1
    if counts[0]:
        PendingPush.objects.filter(pk__in=[row.pk for row in rows]).update(claimed_until=None)


def _next_epoch(connection: Connection) -> int:
    Connection.objects.filter(pk=connection.pk).update(push_epoch=F("push_epoch") + 1)
    return Connection.objects.values_list("push_epoch", flat=True).get(pk=connection.pk)
