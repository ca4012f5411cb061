"""CSV out: contacts of a filtered list and rows that an import did not take, streamed row by row, safe to open in a spreadsheet.

A file begins with the mark by which spreadsheets know UTF-8, no cell is a formula, and headers are field names, so that
what was exported can be imported again.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter, methodcaller
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

from contacts.csv_cells import defused
from contacts.models import Contact, ContactChange, CustomField
from contacts.values import as_text
from sync.models import ContactImport, SyncRun

MARK = "\ufeff"
CHUNK = 500
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the file: its header, and what it reads of a contact."""

    header: str
    value: Callable[[Contact], Any]


# Who a contact is: in every file, first.
IDENTITY = tuple(Column(name, attrgetter(name)) for name in ("phone_number", "first_name", "last_name"))
_ABOUT = ("conversation_count", "last_conversation_at", "created_at", "updated_at")


def every_column() -> list[Column]:
    """All that a file can tell of a contact, custom fields under their names; the memory is left out."""
    names = list(CustomField.objects.values_list("name", flat=True))
    custom = [Column(name, methodcaller("value", name)) for name in names]
    rest = [Column("tags", _tags), Column("contact_id", attrgetter("public_id"))]
    rest += [Column(name, attrgetter(name)) for name in _ABOUT]
    # A header of ours that a custom field has too gets a beginning that no custom field has.
    told = [replace(one, header=f"contact_{one.header}") if one.header in names else one for one in rest]
    return [*IDENTITY, Column("do_not_call", attrgetter("do_not_call")), *custom, *told]


def contact_rows(rows: QuerySet[Contact], columns: Sequence[Column]) -> Iterator[list[Any]]:
    """The header and a row for each contact, read from the database some hundred at a time."""
    yield [column.header for column in columns]
    for contact in rows.iterator(chunk_size=CHUNK):
        yield [column.value(contact) for column in columns]


def rejected_rows(job: ContactImport) -> Iterator[list[Any]]:
    """The rows of a file that an import did not take, as they were, each with its line and the reason."""
    yield [*job.header, *_own_headers(job.header)]
    for piece in job.pieces.exclude(rejected={}).order_by("number").iterator(chunk_size=1):
        for line, cells, fault, reason in piece.refused():
            width = max(len(job.header), 1)
            filled = [*cells[:width], *[""] * (width - len(cells))]
            over = f" Beyond the header: {len(cells) - width} cells." if len(cells) > width else ""
            yield [*filled, line, f"{fault}: {reason}{over}" if fault else f"{reason}{over}"]


def run_rows(run: SyncRun) -> Iterator[list[Any]]:
    """The header and a row for each value that a run wrote, and one for each contact that it made."""
    yield ["at", "contact", "number", "created", "field", "old", "new"]
    rows = ContactChange.objects.filter(source_ref=run.ref).select_related("contact")
    long = ("contact__custom_fields", "contact__sources", "contact__contact_memory")
    for change in rows.defer(*long).order_by("pk").iterator(chunk_size=CHUNK):
        who = [change.at, change.contact.name, change.contact.phone_number, change.created]
        for name, pair in change.diff.items() or [("", [])]:
            yield [*who, name, *(pair if len(pair) == 2 else ("", ""))]


def csv_answer(rows: Iterable[Sequence[Any]], name: str) -> StreamingHttpResponse:
    """The rows as a file to be saved, its name ending in today's date (UTC)."""
    answer = StreamingHttpResponse(_lines(rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}-{timezone.now():%Y-%m-%d}.csv"'
    answer["Cache-Control"] = "no-store"
    return answer


def cell(value: Any) -> str:
    """A value as it stands in a file."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    return defused(as_text(value))


def _own_headers(header: Sequence[str]) -> list[str]:
    """Ours, in words that the file does not use, as when rejected rows are imported once more."""
    return [
        f"{word} {sum(one.startswith(word) for one in header) + 1}" if word in header else word
        for word in ("line", "reason")
    ]


def _tags(contact: Contact) -> str:
    return "; ".join(tag.label for tag in contact.tags.all() if tag.listed)


class _Line:
    """A file for the CSV writer that hands back what is written."""

    def write(self, text: str) -> str:
        return text


def _lines(rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Some hundred rows at a time: each piece is a write to the network."""
    writer: Any = csv.writer(_Line())
    piece = [MARK]
    for row in rows:
        piece.append(writer.writerow([cell(value) for value in row]))
        if len(piece) > AT_ONCE:
            yield "".join(piece)
            piece.clear()
    yield "".join(piece)
