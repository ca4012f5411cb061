"""Attach a conversation without a usable number to its contact, as a person or key says; then it is like any other."""

from __future__ import annotations

from django.db import transaction

from activity import intake
from activity.models import Conversation
from contacts.changes import Source
from contacts.models import Contact
from sync.wake import wake


class HasContact(ValueError):
    """The conversation belongs to a contact already; `contact` is that one."""

    def __init__(self, contact: Contact) -> None:
        super().__init__("The conversation belongs to a contact already.")
        self.contact = contact


def attach(conversation: Conversation, contact: Contact, by: Source) -> Conversation:
    """Give the conversation its contact: it is counted, mapped and logged from now on.

    Attaching it to the contact it has changes nothing. Raises HasContact when that is another one.
    """
    with transaction.atomic():
        row = Conversation.objects.select_for_update(no_key=True, of=("self",)).get(pk=conversation.pk)
        if row.contact_id is not None and row.contact is not None:
            if row.contact_id == contact.pk:
                return row
            raise HasContact(row.contact)
        row.contact, row.counted, row.note = contact, False, ""
        row.attached_by = (by.label or by.ref)[:200]
        row.save(update_fields=["contact", "counted", "note", "attached_by", "updated_at"])
        intake.follow_up(row, changed=True)
    wake()
    return row
