"""Try again what became an issue: by itself with growing pauses, at most ten times, or when a person asks.

A retry only makes its work due once more; what is written is computed from state then, so no number of retries writes
anything twice. It is carried out by the workers, most of it without the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from contacts.changes import lock_contacts
from contacts.models import Contact, snapshot
from contacts.values import same
from integrations.connections import open_provider, record_failure, refresh_schema
from integrations.models import Connection, ConnectionStatus
from integrations.providers.base import Record
from integrations.providers.errors import NeedsAttention, ProviderError, RateLimited
from integrations.quota import Purpose
from mappings.compile import Rules, compile_rules
from mappings.rules import Pair, locally_changed, pack, unpack
from sync import issues
from sync.answers import links_of
from sync.apply import apply_records
from sync.backoff import MAX_ATTEMPTS, next_retry
from sync.issues import OPEN
from sync.kinds import KINDS, Category, Retry, kind_of
from sync.links import want_record
from sync.models import ExternalRecord, RecordState, SyncIssue
from sync.numbers import WAITS
from sync.runs import RunOpen, request_run
from sync.settling import Applying, applying
from sync.touch import want_pushes
from sync.wake import wake

log = structlog.get_logger(__name__)
BATCH = 100
_NETWORK = (Retry.READ, Retry.SCHEMA)


class CannotRetry(Exception):
    """Trying again cannot help, or the issue is closed; the message says what to do."""


def retry(issue: SyncIssue, *, by: str) -> None:
    """Have an issue tried again now; one that was parked or ignored is open again. Raises CannotRetry."""
    if kind_of(issue.kind).retry is Retry.NONE:
        raise CannotRetry(kind_of(issue.kind).advice or "Trying again cannot help here.")
    rows = SyncIssue.objects.filter(pk=issue.pk).exclude(state=SyncIssue.State.RESOLVED)
    if not _make_due(rows, by):
        raise CannotRetry("This issue has been settled already.")
    issue.refresh_from_db()
    wake()


def retry_all(connection: Connection, kind: str, *, by: str) -> int:
    """Have all open and parked issues of a kind tried again now; returns how many. Raises CannotRetry."""
    if kind_of(kind).retry is Retry.NONE:
        raise CannotRetry(kind_of(kind).advice or "Trying again cannot help here.")
    count = _make_due(SyncIssue.objects.filter(connection=connection, kind=kind, state__in=OPEN), by)
    if count:
        wake()
    return count


def why_kept(kind: str) -> str:
    """Why issues of a kind cannot be ignored, "" when they can: something is held back until a person decides."""
    if kind_of(kind).category is Category.APPROVAL:
        return "Approve or reject it where it waits."
    return "Choose a value: that ends the freeze." if kind == "oscillation" else ""


def can_ignore(issue: SyncIssue) -> bool:
    """Whether the issue is open and holds nothing back."""
    return issue.state in OPEN and not why_kept(issue.kind)


def ignore(issue: SyncIssue, *, by: str) -> None:
    """Close an issue without mending it; the same cause does not open it again. Raises CannotRetry."""
    if reason := why_kept(issue.kind):
        raise CannotRetry(reason)
    closed = SyncIssue.objects.filter(pk=issue.pk, state__in=OPEN).update(
        state=SyncIssue.State.IGNORED, acted_by=by[:150], closed_at=timezone.now(), next_retry_at=None
    )
    if not closed:
        raise CannotRetry("This issue has been settled already.")
    issue.refresh_from_db()


def retry_some() -> int:
    """Carry out one batch of due retries; returns how many issues were handled."""
    due = _claim()
    due.sort(key=lambda issue: (issue.connection_id, issue.kind))
    for _, group in groupby(due, key=lambda issue: (issue.connection_id, issue.kind)):
        _carry_out(list(group))
    return len(due)


def _make_due(rows: QuerySet[SyncIssue], by: str) -> int:
    """A person's wish starts the ten tries anew."""
    try:
        with transaction.atomic():
            return rows.update(
                state=SyncIssue.State.OPEN,
                attempts=0,
                next_retry_at=timezone.now(),
                acted_by=by[:150],
                closed_at=None,
            )
    except IntegrityError:
        raise CannotRetry("A newer issue about the same is open.") from None


def _claim() -> list[SyncIssue]:
    """Take due issues: each is due again later, unless it heals or was tried ten times."""
    now = timezone.now()
    awake = Q(connection__paused_until=None) | Q(connection__paused_until__lte=now)
    network = [name for name in KINDS if kind_of(name).retry in _NETWORK]
    refused = Q(connection__status=ConnectionStatus.ERROR, kind__in=network)
    due = SyncIssue.objects.filter(
        awake, state=SyncIssue.State.OPEN, next_retry_at__lte=now, connection__enabled=True
    ).exclude(refused)
    with transaction.atomic():
        rows = due.select_related("connection", "contact").select_for_update(skip_locked=True, of=("self",))
        taken = list(rows.order_by("next_retry_at")[:BATCH])
        spent = [issue.pk for issue in taken if issue.attempts >= MAX_ATTEMPTS]
        SyncIssue.objects.filter(pk__in=spent).update(state=SyncIssue.State.PARKED, next_retry_at=None)
        trying = [issue for issue in taken if issue.attempts < MAX_ATTEMPTS]
        for issue in trying:
            issue.attempts += 1
            issue.next_retry_at = next_retry(issue.attempts)
        SyncIssue.objects.bulk_update(trying, ["attempts", "next_retry_at"])
    return trying


def _carry_out(group: Sequence[SyncIssue]) -> None:
    connection, how = group[0].connection, kind_of(group[0].kind).retry
    try:
        _WAYS[how](connection, group)
    except ProviderError as error:
        log.warning("retry_failed", connection=connection.pk, kind=group[0].kind, error=type(error).__name__)
        if isinstance(error, RateLimited | NeedsAttention):
            record_failure(connection, error)
        if isinstance(error, RateLimited):
            for issue in group:  # a limit costs no attempt
                SyncIssue.objects.filter(pk=issue.pk).update(attempts=issue.attempts - 1)


def _push(connection: Connection, group: Sequence[SyncIssue]) -> None:
    """The contacts are pending again; a field that was refused counts as changed here once more."""
    rules = compile_rules(connection)
    ids = [issue.contact_id for issue in group if issue.contact_id]
    again: list[int] = []
    with transaction.atomic():
        contacts = lock_contacts(ids)
        links = links_of(connection, contacts)
        for issue in group:
            contact, link = contacts.get(issue.contact_id or 0), links.get(issue.contact_id or 0)
            if contact is None or link is None or not _waits(rules, issue, contact, link):
                issues.resolve(connection, pk=issue.pk)
                continue
            if issue.field:
                _unsettle(link, rules, issue.field)
            again.append(contact.pk)
        want_pushes(connection, again, urgent=True)


def _waits(rules: Rules, issue: SyncIssue, contact: Contact, link: ExternalRecord) -> bool:
    """Whether what the CRM refused is still to be pushed; meanwhile either side may have made it needless."""
    if link.state != RecordState.LINKED:
        return False
    if not issue.field:
        return locally_changed(rules.fields, unpack(link.settled), snapshot(contact))
    return any(rule.external.name == issue.field and rule.key in link.skipped_fields for rule in rules.fields)


def _unsettle(link: ExternalRecord, rules: Rules, field: str) -> None:
    """Let our half of the refused field's pair differ from what the contact holds, so that it is seen as changed here."""
    pairs = unpack(link.settled)
    for rule in rules.fields:
        pair = pairs.get(rule.key)
        if rule.external.name == field and rule.pushes and pair is not None:
            before = None if same(pair.remote, pair.local) else pair.remote
            pairs[rule.key] = Pair(pair.remote, before)
    link.settled, link.fingerprint = pack(pairs), ""
    link.save(update_fields=["settled", "fingerprint", "updated_at"])


def _create(connection: Connection, group: Sequence[SyncIssue]) -> None:
    """The creation is reserved again, or what is reserved is due now."""
    for issue in group:
        if issue.contact is None:
            continue
        want_record(connection, issue.contact)
        creating = ExternalRecord.objects.filter(
            connection=connection, contact=issue.contact, state=RecordState.CREATING
        )
        if creating.exists():
            want_pushes(connection, [issue.contact_id], urgent=True)


def _read(connection: Connection, group: Sequence[SyncIssue]) -> None:
    """The records are read and applied as an inbound sync would, one by one, so that one bad record holds back no other."""
    ids = {issue.pk: issue.external_id or _record_of(connection, issue) for issue in group}
    rules = compile_rules(connection)
    ctx = applying(connection, rules, "")
    with open_provider(connection, Purpose.PULL) as provider:
        found = provider.read(sorted({one for one in ids.values() if one}), rules.external_names)
    for issue in group:
        record = found.get(ids[issue.pk])
        # Without a record there is nothing left to read: it is gone, or its contact is no longer linked.
        if record is None or (_applied(ctx, record) and _healed(connection, issue, ids[issue.pk])):
            issues.resolve(connection, pk=issue.pk)


def _healed(connection: Connection, issue: SyncIssue, external_id: str) -> bool:
    """Whether nothing is left of the issue now that its record has been applied."""
    clashes = ExternalRecord.objects.filter(
        connection=connection, external_id=external_id, skipped_fields__has_key=WAITS
    )
    return issue.kind != "phone_clash" or not clashes.exists()


def _applied(ctx: Applying, record: Record) -> bool:
    try:
        with transaction.atomic():
            apply_records(ctx, [record])
    except Exception:
        log.exception("record_failed", connection=ctx.connection.pk)
        return False
    return True


def _record_of(connection: Connection, issue: SyncIssue) -> str:
    links = ExternalRecord.objects.filter(connection=connection, contact_id=issue.contact_id or 0)
    return links.values_list("external_id", flat=True).first() or ""


def _run(connection: Connection, group: Sequence[SyncIssue]) -> None:
    _request(connection, group, full=False)


def _full(connection: Connection, group: Sequence[SyncIssue]) -> None:
    _request(connection, group, full=True)


def _request(connection: Connection, group: Sequence[SyncIssue], *, full: bool) -> None:
    # A person asked; from now on the run says what became of it.
    SyncIssue.objects.filter(pk__in=[issue.pk for issue in group]).update(next_retry_at=None)
    try:
        request_run(connection, full=full, by=group[0].acted_by)
    except RunOpen as already:
        log.info("retry_joins_run", run=already.run.pk)


def _schema(connection: Connection, group: Sequence[SyncIssue]) -> None:
    """The CRM's fields are read afresh; mappings that work now are mended."""
    refresh_schema(connection)
    broken = compile_rules(connection).broken
    for issue in group:
        if issue.kind == "broken_mapping" and issue.field not in broken:
            issues.resolve(connection, pk=issue.pk)
        SyncIssue.objects.filter(pk=issue.pk).update(next_retry_at=None)
    connection.pending_pushes.filter(claimed_until=None).update(due_at=timezone.now())


_WAYS: dict[Retry, Callable[[Connection, Sequence[SyncIssue]], None]] = {
    Retry.PUSH: _push,
    Retry.CREATE: _create,
    Retry.READ: _read,
    Retry.RUN: _run,
    Retry.FULL: _full,
    Retry.SCHEMA: _schema,
}
