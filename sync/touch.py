"""From "this contact changed" to "this must be pushed there": notes become pending pushes, judged from state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.db import connection as database
from django.db.models import F
from django.utils import timezone

from contacts.models import Contact, ContactTouched, snapshot
from integrations.models import Connection
from mappings.compile import Rules, compile_rules
from mappings.rules import locally_changed, unpack
from sync.models import ExternalRecord, PendingPush, RecordState

BATCH = 500
READ_ANYWAY = 2  # a push of this version or later was touched while it waited: its record is read in any case


def drain_touched(*, urgent_only: bool = False) -> int:
    """Turn up to 500 notes into pending pushes, in one transaction; returns how many notes were read.

    A contact whose mapped fields still equal their settled halves needs no push, so what an import wrote costs none.
    """
    for _ in range(2):
        try:
            return _drain(urgent_only=urgent_only)
        except IntegrityError:
            continue  # a contact was deleted or merged meanwhile: looked for again, it is not found
    return _drain(urgent_only=urgent_only)


def touch_linked(connection: Connection) -> None:
    """Have every linked contact of the connection looked at again, as if it had just changed; one statement.

    For edits that could not be told from state for a while, because their mapping did not work.
    """
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO contacts_contacttouched (contact_id, urgent) SELECT contact_id, %s FROM sync_externalrecord"
            " WHERE connection_id = %s AND state = %s AND contact_id IS NOT NULL",
            [False, connection.pk, RecordState.LINKED.value],
        )


def _drain(*, urgent_only: bool) -> int:
    with transaction.atomic():
        waiting = ContactTouched.objects.filter(urgent=True) if urgent_only else ContactTouched.objects.all()
        notes = list(waiting.select_for_update(skip_locked=True).order_by("-urgent", "id")[:BATCH])
        if not notes:
            return 0
        urgent: dict[int, bool] = defaultdict(bool)
        for note in notes:
            urgent[note.contact_id] |= note.urgent
        for connection in Connection.objects.all():
            # One that is off keeps its pushes for later.
            rules = compile_rules(connection)
            if rules.pushes:
                _want_changed(connection, rules, urgent)
        ContactTouched.objects.filter(pk__in=[note.pk for note in notes]).delete()
    return len(notes)


def want_pushes(
    connection: Connection,
    contact_ids: Iterable[int | None],
    *,
    urgent: bool = False,
    reread: bool = False,
    unread: bool = False,
) -> int:
    """Have these contacts pushed to the connection. A push that is pending or running learns of it by its version.

    `reread`: the record is to be read even if nothing is left to push (see `sync.push`). `unread`: it is so because a pull has
    left it to the push, so it is read even while nothing may be pushed (see `sync.held`).
    """
    ids = sorted({pk for pk in contact_ids if pk is not None})
    if not ids:
        return 0
    now = timezone.now()
    with transaction.atomic():
        # Added first and then touched: whoever adds the same row at the same moment is not missed.
        version = READ_ANYWAY - 1 if reread else 0
        rows = [
            PendingPush(connection=connection, contact_id=pk, urgent=urgent, due_at=now, version=version)
            for pk in ids
        ]
        PendingPush.objects.bulk_create(rows, ignore_conflicts=True, batch_size=BATCH)
        wanted = PendingPush.objects.filter(connection=connection, contact_id__in=ids)
        # Locked in one order, so that two who touch the same rows never wait for each other.
        list(wanted.select_for_update(no_key=True).order_by("contact_id").values_list("pk", flat=True))
        flags = {name: True for name, wish in (("urgent", urgent), ("unread", unread)) if wish}
        wanted.update(version=F("version") + 1, due_at=now, attempts=0, **flags)
    return len(ids)


def _want_changed(connection: Connection, rules: Rules, urgent: dict[int, bool]) -> None:
    links = ExternalRecord.objects.filter(
        connection=connection, contact_id__in=urgent, state=RecordState.LINKED
    )
    changed: dict[bool, list[int]] = {True: [], False: []}
    contacts: dict[int, Contact] = Contact.objects.in_bulk(urgent)
    for link in links.only("contact_id", "settled"):
        contact = contacts.get(link.contact_id or 0)
        if contact is None or contact.archived_at:
            continue  # one that is brought back is touched then
        if locally_changed(rules.fields, unpack(link.settled), snapshot(contact)):
            changed[urgent[contact.pk]].append(contact.pk)
    for is_urgent, ids in changed.items():
        want_pushes(connection, ids, urgent=is_urgent)
