"""Bring one contact in step with every CRM now, because somebody is waiting: read its records, apply them, push what waits.

It goes the ways of the inbound and outbound sync, under their locks and rules, so that doing it at any moment is harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from contacts.changes import lock_contacts
from contacts.models import Contact, snapshot
from contacts.shown import clock
from contacts.values import Value
from integrations.connections import fresh_schema, open_provider, record_failure
from integrations.models import Connection, ConnectionStatus
from integrations.providers.base import Provider, Record
from integrations.providers.errors import NeedsAttention, ProviderError, RateLimited
from integrations.quota import Purpose
from mappings.compile import Rules, compile_rules
from mappings.rules import locally_changed, unpack
from sync import removal
from sync.apply import apply_records
from sync.models import ExternalRecord, PendingPush, RecordState
from sync.pull import check_rules
from sync.push import push_contact
from sync.settling import Applying, applying
from sync.touch import want_pushes

TRIES = 4


@dataclass(slots=True)
class Resynced:
    """What was done with one CRM.

    `taken`: contact field → (old, new) as read from the CRM. `sent`: contact fields whose values the CRM has now been given.
    `linked`: a record was found by the number and linked. `problem`: why it was not done, or not to its end. `waits`: why
    changes stay here for the time being.
    """

    connection: Connection
    taken: dict[str, tuple[Value, Value]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    linked: bool = False
    found: bool = True
    problem: str = ""
    waits: str = ""

    @property
    def in_step(self) -> bool:
        """Whether both sides held the same before anything was done."""
        return self.found and not (self.taken or self.sent or self.linked or self.problem or self.waits)


def resync(contact: Contact) -> list[Resynced]:
    """Read, apply and push one contact, CRM by CRM in the order of their ranks; never inside a transaction.

    What cannot be done is told in the result of its connection, and the others go on.
    """
    rows = Connection.objects.filter(enabled=True).order_by("rank", "pk")
    return [_with(connection, contact) for connection in rows if connection.inbound_mappings.exists()]


def _with(connection: Connection, contact: Contact) -> Resynced:
    result = Resynced(connection, problem=_closed(connection))
    if result.problem:
        return result
    try:
        with open_provider(connection, Purpose.CHECK) as provider:
            fresh_schema(connection, provider)
            rules = compile_rules(connection)
            check_rules(rules)
            _pull(connection, provider, rules, contact, result)
        if result.found:
            _push(connection, rules, contact, result)
    except ProviderError as error:
        if isinstance(error, RateLimited | NeedsAttention):
            record_failure(connection, error)
        result.problem = error.message
    return result


def _closed(connection: Connection) -> str:
    """Why the CRM is not asked at all, or ""."""
    if connection.status == ConnectionStatus.ERROR:
        return connection.status_reason or "The CRM refuses the credentials."
    if connection.paused_until and connection.paused_until > timezone.now():
        return f"{connection.pause_reason or 'The CRM asked us to slow down.'} It goes on at {clock(connection.paused_until)}."
    return ""


def _link(connection: Connection, contact: Contact) -> ExternalRecord | None:
    rows = ExternalRecord.objects.filter(connection=connection, contact_id=contact.pk)
    return rows.filter(state=RecordState.LINKED).first()


def _pull(
    connection: Connection, provider: Provider, rules: Rules, contact: Contact, result: Resynced
) -> None:
    """Read the contact's record, or the records with its number where none is linked, and apply them."""
    ctx = applying(connection, rules, "")
    link = _link(connection, contact)
    records: list[Record]
    if link is None:
        by_number = provider.find_by_phone([contact.phone_number], rules.external_names, rules.phone_fields)
        records = list(by_number.get(contact.phone_number, ()))
    else:
        records = list(provider.read([link.external_id or ""], rules.external_names).values())
    if records:
        _apply(ctx, records)
    elif link is not None:
        _bury(ctx, contact)
    written = [one for one in ctx.written if one.contact.pk == contact.pk]
    result.taken = {name: pair for one in written for name, pair in one.changed.items()}
    held = _link(connection, contact)
    result.found = held is not None
    result.linked = held is not None and link is None


def _apply(ctx: Applying, records: Sequence[Record]) -> None:
    """As an inbound sync does; what a race upset is tried again."""
    for attempt in range(TRIES):
        ctx.written, ctx.ended = [], []
        try:
            with transaction.atomic():
                apply_records(ctx, records)
        except (IntegrityError, OperationalError):
            if attempt + 1 == TRIES:
                raise
        else:
            return


def _bury(ctx: Applying, contact: Contact) -> None:
    """The linked record is not there any more, or hidden from us: the link ends as it does in a push."""
    with transaction.atomic():
        lock_contacts([contact.pk])
        if link := _link(ctx.connection, contact):
            removal.bury(ctx, link, None)


def _push(connection: Connection, rules: Rules, contact: Contact, result: Resynced) -> None:
    """Send what waits for this contact, or tell why it stays."""
    pending = PendingPush.objects.filter(connection=connection, contact_id=contact.pk)
    if not pending.exists() and not _want(connection, rules, contact):
        return
    if connection.armed_at is None or connection.held_at is not None:
        held = "Writing to the CRM is held until a person decides." if connection.held_at else ""
        result.waits = held or "Changes wait: outbound sync is not armed."
        return
    before = _settled(connection, contact)
    if not push_contact(connection, contact.pk):
        result.waits = "A worker is writing this contact at this moment."
        return
    after = _settled(connection, contact)
    moved = {key for key, pair in after.items() if pair != before.get(key)}
    result.sent = list(
        dict.fromkeys(rule.contact.name for rule in rules.fields if rule.pushes and rule.key in moved)
    )
    if pending.exists():
        connection.refresh_from_db(fields=["status_reason", "pause_reason", "paused_until"])
        result.waits = "The CRM did not take all of it; it is tried again."


def _want(connection: Connection, rules: Rules, contact: Contact) -> bool:
    """Whether a change made here has not been noticed yet; then it is pending now, as its note would make it."""
    link, now = _link(connection, contact), Contact.objects.filter(pk=contact.pk, archived_at=None).first()
    if link is None or now is None or not locally_changed(rules.fields, unpack(link.settled), snapshot(now)):
        return False
    return bool(want_pushes(connection, [contact.pk], urgent=True))


def _settled(connection: Connection, contact: Contact) -> dict[str, object]:
    link = _link(connection, contact)
    return dict(unpack(link.settled)) if link else {}
