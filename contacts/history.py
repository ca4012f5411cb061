"""Read and add to a contact's history where no value is written: what lost against another value, and what may be taken back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contacts.models import ContactChange
from contacts.values import Value, same

LOST = "conflict"  # source_kind of a row that tells which value was not taken


@dataclass(frozen=True, slots=True)
class Loss:
    """A value of the other side that was not taken, and the one that stayed instead."""

    contact_id: int
    field: str
    lost: Value
    won: Value


def note_losses(losses: Sequence[Loss], *, ref: str = "", label: str = "") -> int:
    """Keep values that were not taken: each row's diff reads [lost, won]. Returns how many rows were added.

    A loss that the field's last such row tells already is left out, as when a push is tried again.
    """
    if not losses:
        return 0
    latest: dict[tuple[int, str], Sequence[Value]] = {}
    ids = {loss.contact_id for loss in losses}
    for row in ContactChange.objects.filter(contact_id__in=ids, source_kind=LOST).order_by("id"):
        latest |= {(row.contact_id, name): pair for name, pair in row.diff.items()}
    rows = [
        ContactChange(
            contact_id=loss.contact_id,
            source_kind=LOST,
            source_ref=ref,
            source_label=label[:200],
            diff={loss.field: [loss.lost, loss.won]},
        )
        for loss in losses
        if not _told(latest.get((loss.contact_id, loss.field)), loss)
    ]
    ContactChange.objects.bulk_create(rows, batch_size=500)
    return len(rows)


def by_contact(rows: Iterable[ContactChange]) -> dict[int, list[ContactChange]]:
    """History rows by contact, in the order given."""
    found: dict[int, list[ContactChange]] = {}
    for row in rows:
        found.setdefault(row.contact_id, []).append(row)
    return found


def undone_fields(contact_ids: Sequence[int]) -> dict[int, list[ContactChange]]:
    """Every undo that was written to these contacts, newest first."""
    return by_contact(ContactChange.objects.filter(contact_id__in=contact_ids, source_kind="undo"))


def _told(pair: Sequence[Value] | None, loss: Loss) -> bool:
    return pair is not None and same(pair[0], loss.lost) and same(pair[1], loss.won)
