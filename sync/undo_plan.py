"""What an undo would restore: every change walked back from the newest, as long as the value is still the one it wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contacts.changes import TAGS, Source
from contacts.history import LOST, by_contact, undone_fields
from contacts.models import Contact, ContactChange, field_specs
from contacts.values import DoesNotFit, FieldSpec, Value, coerce, same
from sync.models import ContactImport, SyncRun

NUMBER, OPT_OUT = "phone_number", "do_not_call"
WHY = {
    "changed_since": "It has been changed since.",
    "undone": "It was taken back before.",
    "creation": "A contact that was created is kept.",
    "not_written": "The row tells of a value that was not taken; nothing was written.",
    "opt_out_kept": "An opt-out is only taken back when a person had given it.",
    "number_taken": "Another contact has the former number now.",
    "tags": "Tags are not taken back; set them on the contact.",
    "unknown_field": "The field no longer exists.",
    "gone": "The contact is gone.",
}


@dataclass(frozen=True, slots=True)
class UndoRow:
    """One field of one contact: the value it has (`now`) and the one it had (`old`). `reason` "" means restored."""

    contact_id: int
    contact: str
    field: str
    now: Value
    old: Value
    reason: str = ""

    @property
    def why(self) -> str:
        """The reason in plain words."""
        return WHY.get(
            self.reason, "The former value does not fit the field any more." if self.reason else ""
        )


@dataclass(frozen=True, slots=True)
class Undone:
    """What is taken back: the rows of one source (a run, a conversation), or one change. `words` name it for people.

    `field`: of one change, this contact field alone.
    """

    ref: str
    words: str
    change_id: int | None = None
    field: str = ""

    def changes(self, contact_ids: Sequence[int]) -> dict[int, list[ContactChange]]:
        """The rows of these contacts, newest first."""
        rows = ContactChange.objects.filter(contact_id__in=contact_ids)
        if self.change_id is not None:
            rows = rows.filter(pk=self.change_id)
        else:
            rows = rows.filter(source_ref=self.ref).exclude(source_kind__in=("undo", LOST))
        return by_contact(rows.order_by("-id"))

    def contacts_after(self, position: int, limit: int) -> list[int]:
        """The next contacts in the order of their ids."""
        rows = ContactChange.objects.filter(contact_id__gt=position)
        if self.change_id is not None:
            rows = rows.filter(pk=self.change_id)
        else:
            rows = rows.filter(source_ref=self.ref).exclude(source_kind__in=("undo", LOST))
        return list(rows.order_by("contact_id").values_list("contact_id", flat=True).distinct()[:limit])

    def source(self, by: str, *, may_clear_opt_out: bool) -> Source:
        """How the undo itself stands in the history."""
        label = f"Undo of {self.words} by {by}"
        # A change is known by its number, whether all of it or a field of it is taken back.
        ref = self.ref if self.change_id is None else f"change:{self.change_id}"
        return Source("undo", ref, label, may_clear_opt_out=may_clear_opt_out)


def of_change(change: ContactChange, field: str = "") -> Undone:
    """One row of a contact's history, or one field of it."""
    words = f"“{change.source_label or change.source_kind}”"[:120]
    if not field:
        return Undone(f"change:{change.pk}", words, change.pk)
    return Undone(f"change:{change.pk}:{field}", words, change.pk, field)


def of_ref(ref: str, words: str) -> Undone:
    """What a reference stands for: "change:7", "change:7:plan", or any other source like "run:12"."""
    kind, _, rest = ref.partition(":")
    number, _, field = rest.partition(":")
    return Undone(ref, words, int(number), field) if kind == "change" else Undone(ref, words)


def of_run(run: SyncRun) -> Undone:
    """Everything that a run wrote."""
    return Undone(run.ref, f"run {run.pk} of {run.connection}"[:120])


def of_import(job: ContactImport) -> Undone:
    """Everything that the import of a file wrote; its tags stay."""
    return Undone(job.ref, f"import {job.pk} of {job.file_name}"[:120])


def of_conversation(conversation_ref: str) -> Undone:
    """Everything that a conversation ("conversation:7") wrote."""
    return Undone(conversation_ref, conversation_ref.replace(":", " "))


def work_out(undone: Undone, contacts: Mapping[int, Contact]) -> list[UndoRow]:
    """What to restore and what not, for contacts as they are now."""
    changes, before, specs = undone.changes([*contacts]), undone_fields([*contacts]), field_specs()
    rows = [
        row
        for pk, contact in sorted(contacts.items())
        for row in _of_contact(contact, changes.get(pk, []), before.get(pk, []), specs)
        if not undone.field or row.field == undone.field
    ]
    return _with_free_numbers(rows)


def _of_contact(
    contact: Contact,
    changes: Sequence[ContactChange],
    undos: Sequence[ContactChange],
    specs: Mapping[str, FieldSpec],
) -> list[UndoRow]:
    """Walk back from the newest change: each step holds only if the value is still the one it wrote."""
    now: dict[str, Value] = {}
    failed: dict[str, str] = {}
    for change in changes:
        if change.created:
            failed[""] = "creation"
            continue
        for name, pair in change.diff.items():
            if name in failed or len(pair) != 2:
                continue
            held = now.get(name, contact.value(name))
            reason = _hindrance(change, name, pair, held, undos, specs)
            if reason and name not in now:
                failed[name] = reason
            elif not reason:
                now[name] = pair[0]
    rows = [
        UndoRow(contact.pk, contact.name, name, contact.value(name), old)
        for name, old in now.items()
        if not same(contact.value(name), old)
    ]
    return rows + [
        UndoRow(contact.pk, contact.name, name, contact.value(name) if name else None, None, reason)
        for name, reason in failed.items()
    ]


def _hindrance(
    change: ContactChange,
    name: str,
    pair: Sequence[Value],
    held: Value,
    undos: Sequence[ContactChange],
    specs: Mapping[str, FieldSpec],
) -> str:
    """Why one field of one change is not taken back, or ""."""
    old, new = pair
    if name == TAGS:
        return "tags"
    refs = {change.source_ref, f"change:{change.pk}"}
    if change.source_kind == LOST:
        return "not_written"
    if any(undo.pk > change.pk and undo.source_ref in refs and name in undo.diff for undo in undos):
        return "undone"
    if not same(held, new):
        return "changed_since"
    if name == OPT_OUT and held and not old and change.source_kind != "person":
        return "opt_out_kept"
    return _misfit(name, old, specs)


def _misfit(name: str, old: Value, specs: Mapping[str, FieldSpec]) -> str:
    if name not in specs:
        return "unknown_field"
    try:
        coerce(old, specs[name])
    except DoesNotFit as error:
        return error.reason
    return ""


def _with_free_numbers(rows: Sequence[UndoRow]) -> list[UndoRow]:
    """Former numbers that other contacts hold now stay where they are, unless those give them up in the same step."""
    moving = {row.contact_id for row in rows if row.field == NUMBER and not row.reason}
    wanted = [row.old for row in rows if row.field == NUMBER and not row.reason]
    holders = dict(
        Contact.objects.filter(phone_number__in=[str(n) for n in wanted]).values_list("phone_number", "pk")
    )
    taken = {number for number, pk in holders.items() if pk not in moving}
    taken |= {str(number) for number, count in Counter(wanted).items() if count > 1}
    return [
        UndoRow(row.contact_id, row.contact, row.field, row.now, None, "number_taken")
        if row.field == NUMBER and not row.reason and row.old in taken
        else row
        for row in rows
    ]


def with_partners(undone: Undone, ids: set[int]) -> set[int]:
    """The contacts, and those that got their numbers by what is undone: a swap is taken back as one."""
    wanted, fresh = set(ids), set(ids)
    while fresh:
        changes = undone.changes(sorted(fresh))
        old = [row.diff[NUMBER][0] for rows in changes.values() for row in rows if _moved_number(row)]
        holders = set(Contact.objects.filter(phone_number__in=old).values_list("pk", flat=True))
        fresh = {*undone.changes(sorted(holders - wanted))}
        wanted |= fresh
    return wanted


def _moved_number(change: ContactChange) -> bool:
    return not change.created and len(change.diff.get(NUMBER, ())) == 2
