"""The one door: every write to a contact's fields, from whatever side, goes through here.

It coerces by field type, writes only what really changes, and in the same transaction records one ContactChange a contact,
the current source of every field, and a ContactTouched row from which the sync finds what it must push.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from contacts.models import Contact, ContactAlias, ContactChange, ContactTag, ContactTouched, field_specs
from contacts.values import BUILT_IN, DoesNotFit, FieldSpec, Value, coerce_all, same

BATCH = 500
TAGS = "contact_tags"  # how the history calls them; no custom field can be called so
_PEOPLE = frozenset({"person", "api_key", "undo"})


@dataclass(frozen=True, slots=True)
class Source:
    """Where a write comes from.

    `kind`: crm, conversation, person, api_key, import, merge, undo or system. `ref` points at the run, conversation or person
    ("run:12"); `label` is for people. `detail` is kept beside each field's value (for example the CRM record's id).
    `urgent`: push it before the bulk of an import. `may_clear_opt_out`: may turn `do_not_call` off (only a person's will can).
    """

    kind: str
    ref: str = ""
    label: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    urgent: bool = True
    may_clear_opt_out: bool = False

    def stamp(self, at: datetime) -> dict[str, Any]:
        """What `Contact.sources` keeps for a field."""
        return {"kind": self.kind, "ref": self.ref, "label": self.label, "at": at.isoformat(), **self.detail}


@dataclass(frozen=True, slots=True)
class Edit:
    """One wanted write: raw or canonical values by field name; None or "" clears. `source` outranks the call's own."""

    contact_id: int
    values: Mapping[str, Any]
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did: `changed` {field: (old, new)} and `refused` {field: why}."""

    contact: Contact
    changed: dict[str, tuple[Value, Value]]
    refused: dict[str, DoesNotFit]
    created: bool = False


class PhoneTaken(ValueError):
    """Another contact has this number; `contact` is that one."""

    def __init__(self, contact: Contact) -> None:
        super().__init__("A contact with this phone number already exists.")
        self.contact = contact


def lock_contacts(ids: Collection[int]) -> dict[int, Contact]:
    """The contacts by id, row-locked in id order until the transaction ends (on SQLite the write lock does that).

    The lock leaves the key alone, so that rows which only refer to the contact can be added meanwhile.
    """
    rows = Contact.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
    return {contact.pk: contact for contact in rows}


def change_contact(
    contact_id: int,
    values: Mapping[str, Any],
    *,
    source: Source,
    strict: bool = False,
    expect: Mapping[str, Value] | None = None,
) -> Written:
    """Write values to one contact. With `strict`, one value that does not fit refuses the whole write (raises DoesNotFit).

    `expect` is a compare-and-set: a field whose value is no longer the expected one is left alone and refused as "moved".
    Raises Contact.DoesNotExist and PhoneTaken.
    """
    with transaction.atomic():
        locked = lock_contacts([contact_id])
        if contact_id not in locked:
            raise Contact.DoesNotExist("This contact is gone.")
        specs = field_specs()
        moved = _moved(locked[contact_id], expect or {})
        wanted = {name: value for name, value in values.items() if name not in moved}
        if strict:
            _, unfit = coerce_all(wanted, specs)
            for name, error in unfit.items():
                raise DoesNotFit(error.reason, f"{name}: {error}")
        written = change_contacts(locked, [Edit(contact_id, wanted)], source=source, specs=specs)[0]
        written.refused.update(moved)
        return written


def change_contacts(
    locked: Mapping[int, Contact],
    edits: Iterable[Edit],
    *,
    source: Source,
    specs: Mapping[str, FieldSpec] | None = None,
) -> list[Written]:
    """The bulk twin: write many contacts that the caller has locked (see lock_contacts) in its transaction.

    A contact may appear once. Returns one Written per edit, in order; edits that change nothing write nothing at all.
    """
    specs = specs if specs is not None else field_specs()
    at = timezone.now()
    results = [_apply(locked[edit.contact_id], edit, edit.source or source, specs, at) for edit in edits]
    changed = [(written, from_) for written, from_ in results if written.changed]
    _save(changed, at)
    return [written for written, _ in results]


def create_contacts(
    rows: Sequence[Mapping[str, Any]], *, source: Source, sources: Sequence[Source] | None = None
) -> list[Written]:
    """Create contacts from `rows`; each has a canonical "phone_number" that no contact holds and any other fields.

    Call it inside a transaction. `sources`, where given, names one source a row. Values that do not fit are refused one
    by one. Raises IntegrityError when a number is taken meanwhile.
    """
    specs, at = field_specs(), timezone.now()
    results = [_new(row, sources[i] if sources else source, specs, at) for i, row in enumerate(rows)]
    Contact.objects.bulk_create([written.contact for written in results], batch_size=BATCH)
    first_import = source.kind in {"crm", "import"}
    made = list(zip(results, sources or [source] * len(results), strict=True))
    ContactChange.objects.bulk_create(
        [_change_row(written, from_, at, keep_values=not first_import) for written, from_ in made],
        batch_size=BATCH,
    )
    ContactTouched.objects.bulk_create(
        [ContactTouched(contact_id=written.contact.pk, urgent=from_.urgent) for written, from_ in made],
        batch_size=BATCH,
    )
    return results


def create_contact(
    phone_number: str, values: Mapping[str, Any], *, source: Source, strict: bool = False
) -> Written:
    """Create one contact. Raises PhoneTaken, and with `strict` DoesNotFit before anything is written."""
    with transaction.atomic():
        _serialise_creation(phone_number)
        if taken := Contact.objects.filter(phone_number=phone_number).first():
            raise PhoneTaken(taken)
        if strict:
            _, unfit = coerce_all(values, field_specs())
            for name, error in unfit.items():
                raise DoesNotFit(error.reason, f"{name}: {error}")
        try:
            with transaction.atomic():
                return create_contacts([{**values, "phone_number": phone_number}], source=source)[0]
        except IntegrityError:
            # An import, which takes no turn, was quicker by a moment.
            taken = Contact.objects.filter(phone_number=phone_number).first()
            if taken is None:
                raise
            raise PhoneTaken(taken) from None


def find_or_create(phone_number: str, *, source: Source) -> tuple[Contact, bool]:
    """The contact with this number (aliases match too), created when there is none; safe when raced."""
    contact = find_by_number(phone_number)
    if contact:
        return contact, False
    try:
        return create_contact(phone_number, {}, source=source).contact, True
    except PhoneTaken as taken:
        return taken.contact, False


def find_by_number(phone_number: str) -> Contact | None:
    """The contact whose number, present or former, this is. `phone_number` is E.164."""
    contact = Contact.objects.filter(phone_number=phone_number).first()
    if contact:
        return contact
    alias = ContactAlias.objects.filter(phone_number=phone_number).select_related("contact").first()
    return alias.contact if alias else None


def change_numbers(numbers: Mapping[int, str], *, source: Source) -> list[Written]:
    """Give locked contacts new numbers at once, swaps included; old numbers stay as aliases.

    Call it inside a transaction. Numbers that other contacts hold must have been checked by the caller: raises
    IntegrityError when one is taken.
    """
    locked = lock_contacts(numbers.keys())
    at = timezone.now()
    wanted = {pk: number for pk, number in numbers.items() if locked[pk].phone_number != number}
    before = {pk: locked[pk].phone_number for pk in wanted}
    # Two contacts may swap numbers: step aside first, so that the unique index never sees one number twice.
    _update([_with_number(locked[pk], f"~{pk}") for pk in wanted], ["phone_number"])
    # An alias leads to whoever had the number last.
    ContactAlias.objects.filter(phone_number__in={*wanted.values(), *before.values()}).delete()
    ContactAlias.objects.bulk_create(
        [
            ContactAlias(contact_id=pk, phone_number=old)
            for pk, old in before.items()
            if old not in wanted.values()
        ]
    )
    results = []
    for pk, number in wanted.items():
        contact = _with_number(locked[pk], number)
        contact.sources["phone_number"] = source.stamp(at)
        results.append((Written(contact, {"phone_number": (before[pk], number)}, {}), source))
    _save(results, at)
    return [written for written, _ in results]


def change_tags(
    contact: Contact, *, add: Collection[ContactTag] = (), remove: Collection[ContactTag] = (), source: Source
) -> bool:
    """Give a contact tags and take others away, with a row in its history; returns whether that changed anything.

    The row tells the labels of all its tags before and after, as one text each. Tags are not synced, so nothing is touched.
    """
    with transaction.atomic():
        if contact.pk not in lock_contacts([contact.pk]):
            raise Contact.DoesNotExist("This contact is gone.")
        before = {tag.pk: tag.label for tag in contact.tags.all()}
        after = before | {tag.pk: tag.label for tag in add}
        after = {pk: label for pk, label in after.items() if pk not in {tag.pk for tag in remove}}
        if after == before:
            return False
        contact.tags.set(ContactTag.objects.filter(pk__in=after))
        at = timezone.now()
        changed: dict[str, tuple[Value, Value]] = {TAGS: (_labels(before), _labels(after))}
        _change_row(Written(contact, changed, {}), source, at).save()
        stamps = {"updated_at": at} | ({"user_modified_at": at} if source.kind in _PEOPLE else {})
        Contact.objects.filter(pk=contact.pk).update(**stamps)
    for name, value in stamps.items():
        setattr(contact, name, value)
    return True


def _labels(tags: Mapping[str, str]) -> str | None:
    return ", ".join(sorted(tags.values())) or None


def _apply(
    contact: Contact, edit: Edit, source: Source, specs: Mapping[str, FieldSpec], at: datetime
) -> tuple[Written, Source]:
    fit, refused = coerce_all(edit.values, specs)
    changed: dict[str, tuple[Value, Value]] = {}
    for name, new in fit.items():
        problem = _refusal(contact, name, new, source)
        if problem:
            refused[name] = problem
            continue
        value = False if name == "do_not_call" and new is None else new
        old = contact.value(name)
        if not same(old, value):
            changed[name] = (old, value)
            _set(contact, name, value)
            contact.sources[name] = source.stamp(at)
    if changed and source.kind in _PEOPLE:
        contact.user_modified_at = at
    return Written(contact, changed, refused), source


def _refusal(contact: Contact, name: str, new: Value, source: Source) -> DoesNotFit | None:
    if name == "phone_number" and new != contact.phone_number:
        return DoesNotFit(
            "phone_fixed", "The phone number identifies the contact and is not changed this way."
        )
    if name == "do_not_call" and contact.do_not_call and not new and not source.may_clear_opt_out:
        return DoesNotFit("opt_out_kept", "An opt-out is only cleared by a person.")
    return None


def _new(row: Mapping[str, Any], source: Source, specs: Mapping[str, FieldSpec], at: datetime) -> Written:
    contact = Contact(phone_number=row["phone_number"], created_at=at, updated_at=at)
    fit, refused = coerce_all({name: value for name, value in row.items() if name != "phone_number"}, specs)
    changed: dict[str, tuple[Value, Value]] = {"phone_number": (None, contact.phone_number)}
    for name, value in fit.items():
        if value is not None and not (name == "do_not_call" and value is False):
            changed[name] = (None, value)
            _set(contact, name, value)
    contact.sources = {name: source.stamp(at) for name in changed}
    if source.kind in _PEOPLE:
        contact.user_modified_at = at
    return Written(contact, changed, refused, created=True)


def _set(contact: Contact, name: str, value: Value) -> None:
    if name in BUILT_IN:
        setattr(contact, name, "" if value is None else value)
    elif value is None:
        contact.custom_fields.pop(name, None)
    else:
        contact.custom_fields[name] = value


def _save(results: Sequence[tuple[Written, Source]], at: datetime) -> None:
    """Write changed contacts, their history and the touched notes: one statement a table and batch."""
    contacts = [written.contact for written, _ in results]
    if not contacts:
        return
    for contact in contacts:
        contact.updated_at = at
    names = [
        "phone_number",
        "first_name",
        "last_name",
        "do_not_call",
        "contact_memory",
        "custom_fields",
        "sources",
        "user_modified_at",
        "updated_at",
    ]
    _update(contacts, names)
    ContactChange.objects.bulk_create([_change_row(w, source, at) for w, source in results], batch_size=BATCH)
    ContactTouched.objects.bulk_create(
        [ContactTouched(contact_id=w.contact.pk, urgent=source.urgent) for w, source in results],
        batch_size=BATCH,
    )


def _update(contacts: Sequence[Contact], names: list[str]) -> None:
    """Set-based update of loaded rows: an upsert on the primary key costs a tenth of Django's bulk_update."""
    Contact.objects.bulk_create(
        contacts, batch_size=BATCH, update_conflicts=True, unique_fields=["id"], update_fields=names
    )


def _change_row(written: Written, source: Source, at: datetime, *, keep_values: bool = True) -> ContactChange:
    diff = {name: ([old, new] if keep_values else []) for name, (old, new) in written.changed.items()}
    return ContactChange(
        contact=written.contact,
        at=at,
        source_kind=source.kind,
        source_ref=source.ref,
        source_label=source.label[:200],
        created=written.created,
        diff=diff,
    )


def _with_number(contact: Contact, number: str) -> Contact:
    contact.phone_number = number
    return contact


def _moved(contact: Contact, expect: Mapping[str, Value]) -> dict[str, DoesNotFit]:
    return {
        name: DoesNotFit("moved", "The value has changed in the meantime.")
        for name, value in expect.items()
        if not same(contact.value(name), value)
    }


def _serialise_creation(phone_number: str) -> None:
    """Let two racing creations of one number take turns instead of failing on the unique index (PostgreSQL only)."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [phone_number])
