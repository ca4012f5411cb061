"""Delete a contact, for every door: refused while a CRM would bring it back, and remembered where one might later.

What a CRM still holds of a deleted contact is left a tombstone: no edit there makes the contact again. Only whoever makes a
contact with that number does, and then the record is linked to it.
"""

from __future__ import annotations

import structlog
from django.db import OperationalError, connection, transaction

from contacts.models import Contact
from integrations.models import Connection
from sync.identity import DELETED_HERE
from sync.models import ExternalRecord, RecordState

log = structlog.get_logger(__name__)
TRIES = 3


class StillLinked(Exception):
    """A CRM that syncs has the contact's record and would bring it back; `connection` is that one."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(
            f"The contact is linked to a record in {connection}, which would bring it back at the next sync."
        )
        self.connection = connection


def linked_to(contact: Contact) -> Connection | None:
    """A connection that syncs and has the contact's record, or is making it one; None when the contact can be deleted."""
    link = (
        ExternalRecord.objects.filter(
            contact=contact,
            connection__enabled=True,
            state__in=[RecordState.LINKED, RecordState.CREATING],
        )
        .select_related("connection")
        .first()
    )
    return link.connection if link else None


def delete_contact(contact_id: int, *, by: str) -> None:
    """Delete a contact with its history; its conversations stay, without a contact. `by` names who for the log.

    Raises StillLinked, and Contact.DoesNotExist when it is gone already.
    """
    for attempt in range(TRIES):
        try:
            with transaction.atomic():
                public_id = _delete(contact_id)
            break
        except OperationalError:
            # A conversation that is being taken in waits for us while we wait for it: the database has let one of us go.
            if attempt == TRIES - 1 or connection.in_atomic_block:
                raise
    log.info("contact_deleted", contact=public_id, by=by)


def _delete(contact_id: int) -> str:
    # Locked with its key: nothing may begin to refer to it any more.
    contact = Contact.objects.select_for_update().get(pk=contact_id)
    if holder := linked_to(contact):
        raise StillLinked(holder)
    links = ExternalRecord.objects.filter(contact=contact)
    links.filter(external_id=None).delete()
    links.update(
        contact=None, state=RecordState.GONE, reason=DELETED_HERE, number="", settled={}, skipped_fields={}, fingerprint="",
    )  # fmt: skip
    contact.delete()
    return contact.public_id
