"""Archived contacts: out of lists, pushes and creations, with all they hold, until somebody deals with them again."""

from __future__ import annotations

from collections.abc import Collection

from django.utils import timezone

from contacts.models import Contact, ContactTouched


def archive(contact_ids: Collection[int]) -> int:
    """Put contacts away; returns how many were not before."""
    now = timezone.now()
    return Contact.objects.filter(pk__in=contact_ids, archived_at=None).update(
        archived_at=now, updated_at=now
    )


def bring_back(contact_ids: Collection[int]) -> int:
    """Take contacts back, as after a conversation; what changed meanwhile is pushed. Returns how many were archived.

    Call it inside the transaction of what brings them back.
    """
    rows = Contact.objects.filter(pk__in=contact_ids, archived_at__isnull=False)
    ids = list(rows.values_list("pk", flat=True))
    if ids:
        rows.update(archived_at=None, updated_at=timezone.now())
        ContactTouched.objects.bulk_create([ContactTouched(contact_id=pk, urgent=True) for pk in ids])
    return len(ids)
