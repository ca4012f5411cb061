"""What the CRM's answers to a push mean: settled, sent again without a refused field, tried later, or a person's matter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F

from contacts.changes import lock_contacts
from contacts.models import Contact
from contacts.values import Value
from integrations.connections import expire_schema, record_failure
from integrations.models import Connection
from integrations.providers.base import Outcome
from integrations.providers.errors import (
    ConfigError,
    NeedsAttention,
    OutcomeUnknown,
    ProviderError,
    RateLimited,
    RecordGone,
    Rejected,
    Transient,
)
from mappings.rules import Pair, pack
from sync import issues
from sync.backoff import MAX_ATTEMPTS, next_attempt
from sync.models import ExternalRecord, PendingPush, SyncIssue
from sync.settling import save_links

_HEALED = ("push_rejected", "push_failed")
_SLOW = 8  # as after eight failures: about ten minutes


@dataclass(slots=True)
class Intent:
    """What is about to be written to one record, the pairs that hold when it has been, and what the record held before."""

    pending: PendingPush
    link: ExternalRecord
    values: dict[str, Value]
    pairs: dict[str, tuple[str, Pair]]
    remote: Mapping[str, Value]


def links_of(connection: Connection, contact_ids: Iterable[int]) -> dict[int, ExternalRecord]:
    """The connection's links by contact."""
    rows = ExternalRecord.objects.filter(connection=connection, contact_id__in=list(contact_ids))
    return {link.contact_id or 0: link for link in rows}


def next_epoch(connection: Connection) -> int:
    """Raise the connection's push epoch: what was read before it may be older than what is written now."""
    Connection.objects.filter(pk=connection.pk).update(push_epoch=F("push_epoch") + 1)
    return Connection.objects.values_list("push_epoch", flat=True).get(pk=connection.pk)


def settle_outcomes(connection: Connection, results: Sequence[tuple[Intent, Outcome]]) -> list[Intent]:
    """Store what the CRM accepted and deal with what it did not; returns the intents to send again without a field."""
    accepted: list[Intent] = []
    again: list[Intent] = []
    over: list[PendingPush] = []
    moved: list[PendingPush] = []
    failed: list[tuple[Intent, Contact, ProviderError]] = []
    with transaction.atomic():
        contacts = lock_contacts([intent.pending.contact_id for intent, _ in results])
        links = links_of(connection, contacts)
        epoch = next_epoch(connection)
        written: list[ExternalRecord] = []
        for intent, outcome in results:
            link = links.get(intent.pending.contact_id)
            if link is None:
                over.append(intent.pending)  # unlinked or deleted meanwhile: nothing is left to push
            elif link.external_id != intent.link.external_id:
                moved.append(intent.pending)  # the winner of a merge has to be pushed instead
            elif outcome.error is None:
                accepted.append(intent)
                written.append(_accept(link, intent, epoch))
            elif error := _refused_field(intent, outcome.error):
                written.append(_leave_out(link, intent, error, contacts[intent.pending.contact_id]))
                again += [intent] if intent.values else []
                over += [] if intent.values else [intent.pending]
            else:
                failed.append((intent, contacts[intent.pending.contact_id], outcome.error))
        save_links(written, "push_epoch")
        _heal(connection, accepted)
    release(moved)
    done([*over, *(intent.pending for intent in accepted)])
    _fail(connection, failed)
    return again


def _accept(link: ExternalRecord, intent: Intent, epoch: int) -> ExternalRecord:
    pairs = dict(intent.pairs[name] for name in intent.values)
    link.settled = {**link.settled, **pack(pairs)}
    link.skipped_fields = {key: why for key, why in link.skipped_fields.items() if key not in pairs}
    link.fingerprint, link.push_epoch = "", epoch
    return link


def _refused_field(intent: Intent, error: ProviderError) -> ProviderError | None:
    """The error if it names a field that we sent, so that the others can be sent without it."""
    named = isinstance(error, Rejected | ConfigError) and error.field in intent.values
    return error if named else None


def _leave_out(
    link: ExternalRecord, intent: Intent, error: ProviderError, contact: Contact
) -> ExternalRecord:
    """Take the refused field out of the intent. That is decided now, and tried again when either side changes."""
    key, pair = intent.pairs[error.field]
    link.settled = {**link.settled, **pack({key: Pair(intent.remote.get(error.field), pair.local)})}
    link.skipped_fields = {**link.skipped_fields, key: error.code or "rejected"}
    issues.report(
        link.connection,
        "push_rejected",
        contact=contact,
        external_id=link.external_id or "",
        field=error.field,
        message=f"The CRM refused “{error.field}”: {error.message}",
        request_id=error.request_id,
    )
    if isinstance(error, ConfigError):
        expire_schema(link.connection)
    del intent.values[error.field]
    return link


def _heal(connection: Connection, accepted: Sequence[Intent]) -> None:
    """Close the issues about what has been accepted now."""
    values = {intent.pending.contact_id: intent.values for intent in accepted}
    open_ones = SyncIssue.objects.filter(
        connection=connection, kind__in=_HEALED, contact_id__in=values, state__in=issues.OPEN
    )
    healed = [
        issue.pk for issue in open_ones if not issue.field or issue.field in values[issue.contact_id or 0]
    ]
    if healed:
        issues.resolve(connection, pk__in=healed)


def _fail(connection: Connection, failed: Sequence[tuple[Intent, Contact, ProviderError]]) -> None:
    together: dict[int, tuple[ProviderError, list[PendingPush]]] = {}
    for intent, contact, error in failed:
        if isinstance(error, Transient | OutcomeUnknown | NeedsAttention | RecordGone):
            # An update may be repeated. Of a record that is gone, the next read tells what became of it.
            together.setdefault(id(error), (error, []))[1].append(intent.pending)
            continue
        issues.report(
            connection,
            "push_failed",
            contact=contact,
            external_id=intent.link.external_id or "",
            message=f"The CRM refused the record: {error.message}",
            request_id=error.request_id,
        )
        done([intent.pending])
    for error, pending in together.values():
        put_back(connection, pending, error)


def put_back(connection: Connection, pending: Sequence[PendingPush], error: ProviderError) -> None:
    """A batch failed as a whole: nothing is lost, the rows wait. A limit or a refusal of the connection costs no attempt."""
    if not isinstance(error, RateLimited | NeedsAttention):
        _retry_later(connection, pending, error)
        return
    record_failure(connection, error)
    due_at = connection.paused_until or next_attempt(4)
    if isinstance(error, ConfigError):
        due_at = next_attempt(_SLOW)
        issues.report(
            connection,
            "push_blocked",
            field=error.field,
            message=f"Nothing can be pushed: {error.message}",
            request_id=error.request_id,
            count=len(pending),
        )
    PendingPush.objects.filter(pk__in=[row.pk for row in pending]).update(claimed_until=None, due_at=due_at)


def _retry_later(connection: Connection, pending: Sequence[PendingPush], error: ProviderError) -> None:
    spent = [row for row in pending if row.attempts + 1 >= MAX_ATTEMPTS]
    for row in spent:
        issues.report(
            connection,
            "push_failed",
            contact=row.contact,
            message=f"Ten attempts to push failed: {error.message}",
            request_id=error.request_id,
        )
    done(spent)
    for row in pending:
        attempts = row.attempts + 1
        untouched = PendingPush.objects.filter(pk=row.pk, version=row.version)
        untouched.update(claimed_until=None, attempts=attempts, due_at=next_attempt(attempts))
    release(pending)


def release(rows: Sequence[PendingPush]) -> None:
    """Give rows back; they are due when they were."""
    PendingPush.objects.filter(pk__in=[row.pk for row in rows]).update(claimed_until=None)


def done(rows: Sequence[PendingPush]) -> None:
    """Delete what has been dealt with, unless it was touched meanwhile: then it is due again at once."""
    if not rows:
        return
    seen = {row.pk: row.version for row in rows}
    with transaction.atomic():
        now = PendingPush.objects.select_for_update().filter(pk__in=seen).order_by("contact_id")
        versions = dict(now.values_list("pk", "version"))
        PendingPush.objects.filter(
            pk__in=[pk for pk, version in versions.items() if version == seen[pk]]
        ).delete()
        PendingPush.objects.filter(pk__in=versions).update(claimed_until=None)
