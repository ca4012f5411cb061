"""Links between contacts and CRM records, as the other rooms ask for them."""

from __future__ import annotations

from django.db import transaction

from contacts.changes import lock_contacts
from contacts.models import Contact
from integrations.models import Connection
from sync.models import ExternalRecord, RecordState
from sync.touch import want_pushes


def link_for(connection: Connection, contact: Contact) -> ExternalRecord | None:
    """The live link of a contact in one CRM, or None."""
    return ExternalRecord.objects.filter(
        connection=connection, contact=contact, state=RecordState.LINKED
    ).first()


def want_record(connection: Connection, contact: Contact) -> None:
    """Reserve the creation of a CRM record for a contact that has none, exactly once however often it is asked.

    An archived contact gets none.
    """
    with transaction.atomic():
        locked = lock_contacts([contact.pk]).get(contact.pk)
        if locked is None or locked.archived_at:
            return
        if not ExternalRecord.objects.filter(connection=connection, contact=contact).exists():
            ExternalRecord.objects.create(connection=connection, contact=contact, state=RecordState.CREATING)
            want_pushes(connection, [contact.pk], urgent=True)
