"""Outbound sync: changed contact fields → CRM. What to write is computed from state when it is sent, so a retry is harmless.

One batch: claim, read the targets, plan under lock, send, settle. The read just before the write lets a fresher edit in the
CRM be seen; the window left is the seconds between the two calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog
from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from contacts.changes import Edit, Source, change_contacts, lock_contacts
from contacts.history import Loss, note_losses
from contacts.models import Contact, snapshot
from integrations.connections import fresh_schema, open_provider, record_success, refresh_schema
from integrations.models import Connection, ConnectionStatus
from integrations.providers.base import Provider, Record, Update
from integrations.providers.errors import ConfigError, ProviderError, Transient
from integrations.quota import Purpose
from mappings.compile import Rules, compile_rules
from mappings.rules import OPT_OUT, Pair, Plan, locally_changed, unpack
from sync import breaker, create, issues, oscillation, removal
from sync.answers import Intent, done, links_of, next_epoch, put_back, release, settle_outcomes
from sync.backoff import MAX_ATTEMPTS, next_attempt
from sync.models import ExternalRecord, PendingPush, RecordState
from sync.schema_drift import report_drift
from sync.settling import Applying, applying, ask, no_longer_asked, plan_record, save_links, settle
from sync.touch import READ_ANYWAY

log = structlog.get_logger(__name__)
BATCH = 200
LEASE = timedelta(minutes=3)
FRESH = timedelta(minutes=1)


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
    rows = _due(connection, urgent_only=urgent_only)
    with transaction.atomic():
        taken = list(rows.select_for_update(skip_locked=True)[:limit])
        PendingPush.objects.filter(pk__in=[row.pk for row in taken]).update(
            claimed_until=timezone.now() + LEASE
        )
    return taken


def push_contact(connection: Connection, contact_id: int) -> bool:
    """Push what waits for one contact now, whenever it is due; False where nothing waits or a worker has it.

    The caller has seen that the connection may be written to.
    """
    now = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    rows = PendingPush.objects.filter(free, connection=connection, contact_id=contact_id)
    if not rows.update(claimed_until=now + LEASE):
        return False
    _work(connection, list(PendingPush.objects.filter(connection=connection, contact_id=contact_id)))
    return True


def _due(connection: Connection, *, urgent_only: bool) -> QuerySet[PendingPush]:
    now = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    rows = PendingPush.objects.filter(free, connection=connection, due_at__lte=now)
    rows = rows.filter(urgent=True) if urgent_only else rows
    return rows.order_by("-urgent", "due_at", "id")


def _connections_with_work(*, urgent_only: bool) -> list[Connection]:
    """The connections that may be written to, can be reached and have due rows, whose first row is most due first."""
    now = timezone.now()
    awake = Q(paused_until=None) | Q(paused_until__lte=now)
    found = []
    allowed = Connection.objects.filter(awake, enabled=True, armed_at__isnull=False, held_at=None)
    for connection in allowed.exclude(status=ConnectionStatus.ERROR):
        first = _due(connection, urgent_only=urgent_only).values_list("urgent", "due_at").first()
        if first is not None:
            found.append((not first[0], first[1], connection.rank, connection))
    return [connection for *_, connection in sorted(found, key=lambda row: row[:3])]


def _work(connection: Connection, pending: Sequence[PendingPush]) -> None:
    try:
        with open_provider(connection, Purpose.PUSH) as provider:
            fresh_schema(connection, provider)
            rules = compile_rules(connection)
            report_drift(connection, rules)
            asked = _push(connection, provider, rules, pending)
        if asked and connection.active:  # a limit or a refusal in the midst of it has been recorded already
            record_success(connection)
            issues.resolve(connection, kind="push_blocked")
    except ConfigError as error:
        _with_fresh_schema(connection, pending, error)
    except ProviderError as error:
        put_back(connection, pending, error)
    except OperationalError:
        # Two that waited for each other, or a busy database: nothing is settled, and all of it can be done again.
        log.warning("push_database_busy", connection=connection.pk)
        put_back(connection, pending, Transient("The database was busy.", code="database"))
    except Exception:
        log.exception("push_broke", connection=connection.pk, contacts=len(pending))
        if len(pending) > 1:
            # One contact that breaks our code takes no other with it.
            _work_in_halves(connection, pending)
            return
        words = "Our own error; the server's log has the details."
        put_back(connection, pending, ProviderError(words, code="internal"))
        raise


def _work_in_halves(connection: Connection, pending: Sequence[PendingPush]) -> None:
    middle, broken = len(pending) // 2, []
    for half in (pending[:middle], pending[middle:]):
        try:
            _work(connection, half)
        except Exception as error:  # noqa: BLE001 - raised again below, after the other half
            broken.append(error)
    if broken:
        raise broken[0]


def _with_fresh_schema(connection: Connection, pending: Sequence[PendingPush], error: ConfigError) -> None:
    """A field may have gone since the schema was cached: with a fresh one the other mappings can go on."""
    if connection.schema_at is not None and connection.schema_at > timezone.now() - FRESH:
        put_back(connection, pending, error)
        return
    try:
        refresh_schema(connection)
        release(pending)
    except ProviderError as second:
        put_back(connection, pending, second)


def _push(connection: Connection, provider: Provider, rules: Rules, pending: Sequence[PendingPush]) -> bool:
    """Create, read, plan and send; returns whether the CRM was asked at all."""
    rows = {row.contact_id: row for row in pending}
    links = links_of(connection, rows)
    new = [link for link in links.values() if link.state == RecordState.CREATING]
    create.create_records(connection, provider, rules, new)
    due = _to_read(rules, rows, links)
    created = {link.contact_id for link in new}
    done([row for pk, row in rows.items() if pk not in due and pk not in created])
    if due:
        ctx = applying(connection, rules, "")
        asked = [link.external_id or "" for link in due.values()]
        read = provider.read(asked, rules.external_names)
        try:
            _send(connection, provider, plan_pushes(ctx, {pk: rows[pk] for pk in due}, asked, read))
        except breaker.Tripped as tripped:
            release([rows[pk] for pk in due])
            breaker.hold_pushes(connection, tripped)
    _finish_creations(connection, [rows[pk] for pk in created if pk in rows])
    return bool(due or new)


def _to_read(
    rules: Rules, rows: Mapping[int, PendingPush], links: Mapping[int, ExternalRecord]
) -> dict[int, ExternalRecord]:
    """The links with something to push as far as we can tell without the CRM, and those that must be read anyway."""
    linked = {pk: link for pk, link in links.items() if link.state == RecordState.LINKED}
    contacts = Contact.objects.in_bulk(linked)

    def wanted(pk: int, link: ExternalRecord) -> bool:
        if contacts[pk].archived_at:
            return False
        again = rows[pk].version >= READ_ANYWAY
        return again or locally_changed(rules.fields, unpack(link.settled), snapshot(contacts[pk]))

    return {pk: link for pk, link in linked.items() if pk in contacts and wanted(pk, link)}


def plan_pushes(
    ctx: Applying,
    rows: Mapping[int, PendingPush],
    asked: Sequence[str],
    read: Mapping[str, Record],
    *,
    sends: bool = True,
) -> list[Intent]:
    """Plan every contact under lock against what the CRM holds now, and write down what comes in and what will be sent.

    `asked`: the external ids that were read, `read` what the CRM gave. Rows with nothing to send are done. Raises
    breaker.Tripped where more would be overwritten than may be; not so if nothing is to be sent (`sends` False).
    """
    intents: list[Intent] = []
    planned: list[ExternalRecord] = []
    moved: list[PendingPush] = []
    with transaction.atomic():
        contacts = lock_contacts(rows)
        ctx.frozen = oscillation.frozen_fields(contacts)
        links = links_of(ctx.connection, contacts)
        epoch = next_epoch(ctx.connection)
        edits: list[Edit] = []
        decided: list[int] = []
        for pk, contact in contacts.items():
            link = links.get(pk)
            if link is None or link.state != RecordState.LINKED:
                continue
            if link.external_id is None or link.external_id not in asked:
                moved.append(rows[pk])  # a merge was followed since the CRM was asked
                continue
            record = read.get(link.external_id)
            if record is None or record.deleted:
                moved += _gone(ctx, link, record, rows[pk])
                continue
            intent, edit, asks = _plan_one(ctx, contact, link, record, rows[pk])
            decided += [] if asks else [pk]
            link.push_epoch = epoch
            planned.append(link)
            edits += [edit] if edit else []
            intents += [intent] if intent.values else []
        oscillation.detect(change_contacts(contacts, edits, source=Source("crm")))
        no_longer_asked(ctx.connection, decided)
        save_links(planned, "push_epoch")
        if sends:
            breaker.count_pushes(ctx.connection, intents, len(ctx.ended))
    release(moved)
    waiting = {row.pk for row in moved} | {intent.pending.pk for intent in intents}
    done([row for row in rows.values() if row.pk not in waiting])
    return intents


def _plan_one(
    ctx: Applying, contact: Contact, link: ExternalRecord, record: Record, row: PendingPush
) -> tuple[Intent, Edit | None, bool]:
    settled = unpack(link.settled)
    made = plan_record(ctx, contact, settled, snapshot(contact), record, {})
    note_losses(
        _lost_at_link(contact, made, settled, record), label=f"{ctx.connection.name}'s value at first link"
    )
    settle(link, made, ctx.rules, record)
    if made.pushes:
        link.fingerprint = ""
    ask(ctx.connection, contact, made)
    edit = Edit(contact.pk, made.changes, ctx.source(record, urgent=True)) if made.changes else None
    return Intent(row, link, dict(made.pushes), dict(made.settle_pushed), record.values), edit, made.asks


def _lost_at_link(contact: Contact, made: Plan, settled: Mapping[str, Pair], record: Record) -> list[Loss]:
    """CRM values that have never been seen here and are about to be overwritten because we outrank them."""
    return [
        Loss(contact.pk, field, record.values[name], pair.local)
        for name, (key, pair) in made.settle_pushed.items()
        if key not in settled
        and record.values[name] is not None
        and (field := key.removeprefix(f"{name}:")) != OPT_OUT
    ]


def _gone(ctx: Applying, link: ExternalRecord, record: Record | None, row: PendingPush) -> list[PendingPush]:
    """The record has been deleted or merged in the CRM since we linked it; returns the row if the winner is to be pushed."""
    if record is None or not record.merged_into:
        removal.bury(ctx, link, record)
        return []
    rows = ExternalRecord.objects.filter(connection=ctx.connection, external_id=record.merged_into)
    links = {link.external_id: link} | {other.external_id: other for other in rows}
    removal.relink(ctx, links, link.external_id or "", record.merged_into)
    return [row]


def _send(connection: Connection, provider: Provider, intents: Sequence[Intent]) -> None:
    """Send, and send again without the fields that the CRM refused, so that one bad value holds back no other."""
    waiting = list(intents)
    while waiting:
        updates = [Update(intent.link.external_id or "", dict(intent.values)) for intent in waiting]
        outcomes = provider.update(updates)
        # Every round leaves out at least one field of each record that comes again.
        waiting = settle_outcomes(connection, list(zip(waiting, outcomes, strict=True)))


def _finish_creations(connection: Connection, rows: Sequence[PendingPush]) -> None:
    """Rows whose record exists now are done; the others wait for their creation to be settled."""
    links = links_of(connection, [row.contact_id for row in rows])
    waiting = [
        row for row in rows if row.contact_id in links and links[row.contact_id].state == RecordState.CREATING
    ]
    done([row for row in rows if row not in waiting])
    for row in waiting:
        attempts = row.attempts + (1 if connection.active else 0)
        due_at = next_attempt(attempts) if connection.active else connection.paused_until or next_attempt(4)
        PendingPush.objects.filter(pk=row.pk).update(claimed_until=None, attempts=attempts, due_at=due_at)
        if attempts == MAX_ATTEMPTS:
            issues.report(
                connection,
                "create_failed",
                contact=row.contact,
                message="The CRM record of this contact could not be created in ten attempts.",
            )
