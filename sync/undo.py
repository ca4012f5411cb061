"""Take back what one change, one conversation or one run wrote, field by field, without touching what changed since.

The old values go through the one door like any other edit, so that the outbound sync carries them to the CRMs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from contacts.changes import Edit, change_contacts, change_numbers, lock_contacts
from contacts.models import Contact, ContactChange
from contacts.values import Value
from integrations.models import Connection
from mappings.compile import compile_rules
from mappings.rules import Blank, FieldRule
from sync.models import ExternalRecord, RecordState, SyncRun
from sync.undo_plan import (
    NUMBER,
    Undone,
    UndoRow,
    of_change,
    of_conversation,
    of_run,
    with_partners,
    work_out,
)
from sync.wake import wake

BATCH = 200


@dataclass(slots=True)
class UndoResult:
    """What an undo did, or would do: counts of fields, and the first `limit` rows.

    `skipped`: reason → fields. `stays_here`: connection → restored fields that its records do not get: no mapping carries them
    out, or they are blank again and the mapping ignores blanks. `contacts`: how many were changed. `position`: the last
    contact that is done with; `done`: all are. `early`: contacts beyond it that are done already, because they swapped numbers
    with earlier ones.
    """

    limit: int = 200
    restored: int = 0
    contacts: int = 0
    looked_at: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    stays_here: Counter[str] = field(default_factory=Counter)
    rows: list[UndoRow] = field(default_factory=list)
    position: int = 0
    done: bool = False
    early: set[int] = field(default_factory=set)

    def add(self, rows: Sequence[UndoRow]) -> None:
        """Count rows and keep the first ones."""
        self.rows += rows[: max(0, self.limit - len(self.rows))]
        self.restored += sum(1 for row in rows if not row.reason)
        self.skipped.update(row.reason for row in rows if row.reason)


def undo_change(change: ContactChange, by: str) -> UndoResult:
    """Take one change back. `by` names the person."""
    return undo(of_change(change), by)


def undo_conversation(conversation_ref: str, by: str) -> UndoResult:
    """Take back what a conversation wrote; a replay of it writes nothing again."""
    return undo(of_conversation(conversation_ref), by)


def undo_run(
    run: SyncRun, by: str, *, progress: Callable[[UndoResult], None] | None = None, after: int = 0
) -> UndoResult:
    """Take back what a run wrote, in batches. Going on after `after` (a result's `position`) or starting anew is harmless."""
    return undo(of_run(run), by, progress=progress, after=after)


def preview_undo(
    undone: Undone, *, progress: Callable[[UndoResult], None] | None = None, limit: int = 200
) -> UndoResult:
    """What `undo` would do now, with nothing written."""
    result = UndoResult(limit)
    while not result.done:
        _next_batch(undone, result, by=None)
        if progress:
            progress(result)
    return result


def undo(
    undone: Undone,
    by: str,
    *,
    progress: Callable[[UndoResult], None] | None = None,
    after: int = 0,
    limit: int = 200,
) -> UndoResult:
    """Take it back, one short transaction for every 200 contacts; what was restored is pushed like any other edit."""
    result = UndoResult(limit, position=after)
    while not result.done:
        undo_batch(undone, result, by)
        if progress:
            progress(result)
    if result.restored:
        wake()
    return result


def undo_batch(undone: Undone, result: UndoResult, by: str) -> None:
    """One batch of `undo`, added to the result; sets `done` after the last one."""
    _next_batch(undone, result, by=by)


def _next_batch(undone: Undone, result: UndoResult, *, by: str | None) -> None:
    ids = undone.contacts_after(result.position, BATCH)
    if ids:
        with transaction.atomic():
            wanted = with_partners(undone, set(ids) - result.early)
            contacts = lock_contacts(wanted) if by else Contact.objects.in_bulk(sorted(wanted))
            rows = work_out(undone, contacts)
            if by:
                rows = _write(undone, contacts, rows, by)
        _tell(result, rows)
        result.early = {pk for pk in result.early | wanted if pk > ids[-1]}
        result.position, result.looked_at = ids[-1], result.looked_at + len(ids)
    result.done = len(ids) < BATCH


def _tell(result: UndoResult, rows: Sequence[UndoRow]) -> None:
    result.add(rows)
    restored = [row for row in rows if not row.reason]
    result.contacts += len({row.contact_id for row in restored})
    result.stays_here.update(_stays_here(restored))


def _write(
    undone: Undone, contacts: Mapping[int, Contact], wanted: Sequence[UndoRow], by: str
) -> list[UndoRow]:
    """Restore through the door; what it refuses after all is told as skipped."""
    source = undone.source(by, may_clear_opt_out=True)  # checked field by field before
    values: dict[int, dict[str, Value]] = {}
    numbers: dict[int, str] = {}
    for row in wanted:
        if not row.reason and row.field == NUMBER:
            numbers[row.contact_id] = str(row.old)
        elif not row.reason:
            values.setdefault(row.contact_id, {})[row.field] = row.old
    written = change_contacts(contacts, [Edit(pk, fields) for pk, fields in values.items()], source=source)
    change_numbers(numbers, source=source)
    refused = {(one.contact.pk, name): error.reason for one in written for name, error in one.refused.items()}
    return [
        UndoRow(
            row.contact_id,
            row.contact,
            row.field,
            row.now,
            row.old,
            row.reason or refused.get((row.contact_id, row.field), ""),
        )
        for row in wanted
    ]


def _stays_here(rows: Sequence[UndoRow]) -> Counter[str]:
    """Restored fields by the connections whose records keep what they have: only given by them, or blanks that stay here."""
    found: Counter[str] = Counter()
    of_contact: dict[int, list[UndoRow]] = {}
    for row in rows:
        of_contact.setdefault(row.contact_id, []).append(row)
    for connection in Connection.objects.all() if rows else ():
        rules = compile_rules(connection).fields
        linked = ExternalRecord.objects.filter(
            connection=connection, contact_id__in=of_contact, state=RecordState.LINKED
        )
        for pk in linked.values_list("contact_id", flat=True):
            found[connection.name] += sum(_stays(row, rules) for row in of_contact[pk or 0])
    return +found


def _stays(row: UndoRow, rules: Sequence[FieldRule]) -> bool:
    mapped = [rule for rule in rules if rule.contact.name == row.field]
    out = [rule for rule in mapped if rule.pushes and (row.old is not None or rule.blank_out != Blank.IGNORE)]
    return row.field == NUMBER or bool(mapped and not out)
