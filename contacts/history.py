"""Read and add to a contact's history where no value is written: what lost against another value, and what may be taken back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contacts.models import ContactChange
from contacts.values import Value, same

LOST = "conflict"  # source_kind of a row that tells which value was not taken
_LOOK_BACK = 20


def note_loss(
    contact_id: int, field: str, lost: Value, won: Value, *, ref: str = "", label: str = ""
) -> ContactChange | None:
    """Keep a value of the other side that was not taken: the row's diff reads [lost, won].

    Returns None where the last such row of the field says the same already, as when a push is tried again.
    """
    rows = ContactChange.objects.filter(contact_id=contact_id, source_kind=LOST)[:_LOOK_BACK]
    latest = next((row.diff[field] for row in rows if field in row.diff), None)
    if latest is not None and same(latest[0], lost) and same(latest[1], won):
        return None
    return ContactChange.objects.create(
        contact_id=contact_id,
        source_kind=LOST,
        source_ref=ref,
        source_label=label[:200],
        diff={field: [lost, won]},
    )


def by_contact(rows: Iterable[ContactChange]) -> dict[int, list[ContactChange]]:
    """History rows by contact, in the order given."""
    found: dict[int, list[ContactChange]] = {}
    for row in rows:
        found.setdefault(row.contact_id, []).append(row)
    return found


def undone_fields(contact_ids: Sequence[int]) -> dict[int, list[ContactChange]]:
    """Every undo that was written to these contacts, newest first."""
    return by_contact(ContactChange.objects.filter(contact_id__in=contact_ids, source_kind="undo"))
