"""Imports of uploaded files as people and scripts ask for them: check the wish, preview it, start it, stop it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from contacts.csv_reading import Row
from contacts.import_rows import NUMBER, Column, Decision, Outcome, Policy, Rules, decide_all, numbers_of
from contacts.models import Contact, ContactAlias, ContactTag, field_specs, snapshot
from contacts.phone import is_region
from contacts.values import FieldSpec, Value
from sync.import_job import ContactImport, ImportPiece
from sync.wake import wake

PREVIEWED = 100
LABEL = 120
State = ContactImport.State


class BadWish(ValueError):
    """An import cannot be made this way; `at` is the path of the part at fault, `rule` a code."""

    def __init__(self, at: str, rule: str, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.rule = rule


class ImportOpen(ValueError):
    """One is under way; `job` is that one."""

    def __init__(self, job: ContactImport) -> None:
        super().__init__(
            f"An import is under way already: {job.file_name}. One runs at a time; wait for its end or stop it."
        )
        self.job = job


class ImportBegun(ValueError):
    """The file was imported before."""

    def __init__(self, job: ContactImport) -> None:
        super().__init__(
            f"This file's import is {job.get_state_display()} already. Upload the file again to import it anew."
        )
        self.job = job


@dataclass(frozen=True, slots=True)
class Wish:
    """How a file is to be imported. `mapping`: (header, field name) pairs; `tags`: labels; `region` "" is the server's."""

    mapping: Sequence[tuple[str, str]]
    tags: Sequence[str] = ()
    region: str = ""
    policy: Policy = Policy.OVERWRITE
    clear_blanks: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What the first rows would do: each row's decision, and the figures of those rows."""

    rows: int
    decisions: list[Decision]
    counts: dict[str, int] = field(default_factory=dict)


def check(job: ContactImport, wish: Wish) -> Rules:
    """The rules that a wish means for this file. Raises BadWish."""
    columns: dict[str, Column] = {}
    specs = field_specs()
    for index, (header, name) in enumerate(wish.mapping):
        column = _column(job, f"column_mapping.{index}", header, name, specs)
        if name in columns:
            raise BadWish(
                f"column_mapping.{index}.field_name", "field_twice", "A field can take one column only."
            )
        columns[name] = column
    if NUMBER not in columns:
        raise BadWish(
            "column_mapping", "phone_number_missing", "Exactly one column must be mapped to phone_number."
        )
    number = columns.pop(NUMBER)
    return Rules(
        len(job.header), number.position, tuple(columns.values()), _region(wish.region), wish.policy, wish.clear_blanks
    )  # fmt: skip


def preview(job: ContactImport, wish: Wish, limit: int = PREVIEWED) -> Preview:
    """What the first `limit` rows would do now, with nothing written. Raises BadWish and ImportBegun."""
    if job.state != State.UPLOADED:
        raise ImportBegun(job)
    rules = check(job, wish)
    _labels(wish.tags)  # what would be refused at the start is refused here
    rows: list[Row] = []
    for piece in job.pieces.order_by("number").iterator(chunk_size=1):
        rows += rows_of(piece)
        if len(rows) >= limit:
            break
    decisions = decide(rows[:limit], rules)[0]
    counts = {one.value: sum(d.outcome == one for d in decisions) for one in Outcome}
    return Preview(job.rows, decisions, counts)


def request_import(job: ContactImport, wish: Wish, *, by: str) -> ContactImport:
    """Queue the import; the workers do it. `by` names the person or the key.

    Tags that do not exist are made. Raises BadWish, ImportBegun, and ImportOpen while another one is under way.
    """
    rules = check(job, wish)
    labels = _labels(wish.tags)
    with transaction.atomic():
        tag_ids = [ContactTag.objects.get_or_create(label=label, listed=True)[0].pk for label in labels]
        wanted = {
            "mapping": [{"external_field_name": header, "field_name": name} for header, name in wish.mapping],
            "region": rules.region, "tag_ids": tag_ids, "policy": rules.policy.value, "clear_blanks": rules.clear_blanks,
            "by": by[:200], "state": State.QUEUED, "open": True, "created_at": timezone.now(),
        }  # fmt: skip
        _open(job, wanted)
    wake()
    job.refresh_from_db()
    return job


def cancel_import(job: ContactImport) -> bool:
    """Stop after the piece in hand; False when it has ended already. What was done stays, and can be undone."""
    rows = ContactImport.objects.filter(pk=job.pk, open=True)
    return bool(rows.update(state=State.CANCELLED, open=None, finished_at=timezone.now()))


def wish_of(job: ContactImport) -> Wish:
    """The wish that was stored with an import."""
    pairs = [(one["external_field_name"], one["field_name"]) for one in job.mapping]
    return Wish(pairs, (), job.region, Policy(job.policy), job.clear_blanks)


def rows_of(piece: ImportPiece) -> list[Row]:
    """The rows of a piece."""
    return [Row(line, cells) for line, cells in piece.rows]


def decide(rows: Sequence[Row], rules: Rules) -> tuple[list[Decision], dict[str, int]]:
    """The decisions on some rows as the contact book is now, and the ids of the contacts that have their numbers."""
    numbers = numbers_of(rows, rules)
    contacts = Contact.objects.filter(phone_number__in=numbers)
    return decide_with(rows, rules, contacts, numbers)


def decide_with(
    rows: Sequence[Row], rules: Rules, contacts: Any, numbers: Collection[str]
) -> tuple[list[Decision], dict[str, int]]:
    """The same for contacts that the caller has read, and perhaps locked."""
    held: dict[str, Mapping[str, Value]] = {}
    ids: dict[str, int] = {}
    for contact in contacts:
        held[contact.phone_number], ids[contact.phone_number] = snapshot(contact), contact.pk
    aliases = ContactAlias.objects.filter(phone_number__in=set(numbers) - set(held))
    former = set(aliases.values_list("phone_number", flat=True))
    return decide_all(rows, held, former, rules), ids


def _column(job: ContactImport, at: str, header: str, name: str, specs: Mapping[str, FieldSpec]) -> Column:
    if name not in specs:
        raise BadWish(f"{at}.field_name", "unknown_field", f"There is no contact field {name[:63]}.")
    wanted = header.strip()
    if not wanted or wanted not in job.header:
        known = ", ".join(one for one in job.header if one)[:300]
        raise BadWish(
            f"{at}.external_field_name", "unknown_header", f"The file has no column with this header; it has: {known}."
        )  # fmt: skip
    return Column(job.header.index(wanted), specs[name])


def _region(wanted: str) -> str:
    region = wanted.strip().upper() or settings.PHONE_DEFAULT_REGION
    if not is_region(region):
        raise BadWish(
            "default_country", "unknown_country", "Name the country by its two letters, like US or DE."
        )
    return region


def _labels(tags: Sequence[str]) -> list[str]:
    labels = list(dict.fromkeys(label for tag in tags if (label := tag.strip())))
    for index, label in enumerate(labels):
        if len(label) > LABEL:
            raise BadWish(f"contact_tags.{index}", "too_long", f"A tag has at most {LABEL} characters.")
    return labels


def _open(job: ContactImport, wanted: Mapping[str, Any]) -> None:
    """Make an upload the open import. Raises ImportBegun and ImportOpen."""
    waiting = ContactImport.objects.filter(pk=job.pk, state=State.UPLOADED)
    try:
        with transaction.atomic():
            begun = waiting.update(**wanted)
    except IntegrityError:
        other = ContactImport.objects.filter(open=True).first()
        if other is None:
            raise
        raise ImportOpen(other) from None
    if not begun:
        job.refresh_from_db()
        raise ImportBegun(job)
