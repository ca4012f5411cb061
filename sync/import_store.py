"""Take an uploaded CSV file in: read it once, refuse what cannot be read, and keep its rows in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import PurePath
from typing import BinaryIO

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from contacts.csv_reading import BadFile, Row, reading
from sync.import_job import ContactImport, ImportPiece

PIECE_ROWS = 200
PIECE_CHARACTERS = 400_000
State = ContactImport.State
KEEP_UPLOAD, KEEP_ROWS = timedelta(days=1), timedelta(days=30)


def check_size(size: int) -> None:
    """Refuse a file, or the request around it, that is larger than CRMSYNC_IMPORT_MAX_MB. Raises BadFile."""
    most = settings.CRMSYNC_IMPORT_MAX_MB
    if size > most * 1024 * 1024:
        raise BadFile("too_large", f"The file is larger than {most} MB. Split it into several files.")


def store_upload(file: BinaryIO, *, name: str, size: int, by: str) -> ContactImport:
    """Keep the rows of an uploaded file; nothing is imported yet. Raises BadFile.

    `file` is read in small pieces and stays open. Each piece is a short transaction of its own: only a file that was read to
    its end can be imported.
    """
    check_size(size)
    with reading(file) as sheet:
        job = ContactImport.objects.create(
            file_name=_short(name), encoding=sheet.encoding, delimiter=sheet.delimiter, header=sheet.header, by=by[:200]
        )  # fmt: skip
        try:
            _keep(job, sheet.rows)
        except BadFile:
            job.delete()
            raise
    return job


def prune_imports() -> int:
    """Delete uploads that were never imported after a day, and the rows of ended imports after 30; returns how many."""
    now = timezone.now()
    stale = ContactImport.objects.filter(
        state__in=[State.RECEIVING, State.UPLOADED], created_at__lt=now - KEEP_UPLOAD
    )
    ended = ContactImport.objects.filter(open=None, finished_at__lt=now - KEEP_ROWS)
    pieces = ImportPiece.objects.filter(Q(job__in=stale) | Q(job__in=ended)).delete()[0]
    return pieces + stale.delete()[0]


def _keep(job: ContactImport, rows: Iterator[Row]) -> None:
    for number, piece in enumerate(_pieces(rows)):
        ImportPiece.objects.create(job=job, number=number, rows=piece)
        job.rows += len(piece)
    if not job.rows:
        raise BadFile("no_rows", "The file holds a header and no row below it.")
    job.state = State.UPLOADED
    job.save(update_fields=["rows", "state"])


def _pieces(rows: Iterator[Row]) -> Iterator[list[list[object]]]:
    piece: list[list[object]] = []
    length = 0
    for row in rows:
        piece.append([row.line, row.cells])
        length += len(json.dumps(row.cells))
        if len(piece) == PIECE_ROWS or length > PIECE_CHARACTERS:
            yield piece
            piece, length = [], 0
    if piece:
        yield piece


def _short(name: str) -> str:
    """The file's name without folders and what cannot be shown, at most 200 characters with its ending."""
    printable = "".join(letter for letter in PurePath(name.replace("\\", "/")).name if letter.isprintable())
    return printable[-200:] or "contacts.csv"
