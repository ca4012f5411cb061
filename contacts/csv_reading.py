"""Read a CSV file as people export it: any usual encoding and delimiter, quoted line ends, clear words for what is wrong. Pure.

The file is read twice in small pieces, once to tell its encoding and once for its rows; it is never held as a whole.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

DELIMITERS = (",", ";", "\t")
SAMPLE = 64 * 1024
LONGEST_LINE = 1_000_000  # characters; a longer one is no table of contacts
MOST_COLUMNS = 500
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_OTHER_FILES = ((b"PK\x03\x04", "an Excel workbook or another zip"), (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
                (b"%PDF", "a PDF"), (b"\x1f\x8b", "compressed"))  # fmt: skip
_NUL = "The file holds NUL characters: it is no CSV file, or it was cut off. Export it again."


class BadFile(ValueError):
    """The file cannot be read as CSV; `rule` is a code and the text says what to do. It repeats no cell but headers."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line of the file on which it begins, counted from 1, and its cells as they stand."""

    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A CSV file that is being read: its headers, and its rows one after the other. `rows` may raise BadFile."""

    encoding: str
    delimiter: str
    header: list[str]
    rows: Iterator[Row]


@contextmanager
def reading(file: BinaryIO) -> Iterator[Sheet]:
    """The sheet in a seekable file, which stays open. Raises BadFile; so does reading on in `rows`."""
    encoding = encoding_of(file)
    file.seek(0)
    text = io.TextIOWrapper(file, encoding=encoding, newline="")
    try:
        sample = text.read(SAMPLE)
        file.seek(0)
        text.detach()
        text = io.TextIOWrapper(file, encoding=encoding, newline="")
        delimiter, named = delimiter_of(sample)
        rows = _rows(text, delimiter)
        if named:
            next(rows)
        yield Sheet(encoding, delimiter, _header(next(rows, None)), rows)
    finally:
        text.detach()


def encoding_of(file: BinaryIO) -> str:
    """Python's name of the encoding: by its mark, by the zeros of UTF-16, UTF-8 if all of it is, else Windows-1252.

    Raises BadFile for empty files and for what is no text.
    """
    file.seek(0)
    start = file.read(4096)
    if not start:
        raise BadFile(
            "empty_file", "The file is empty. Choose a CSV file with a header and at least one row."
        )
    for magic, what in _OTHER_FILES:
        if start.startswith(magic):
            raise BadFile("not_csv", f"The file is {what}, not CSV. Save it as “CSV UTF-8” and upload that.")
    for mark, encoding in _BOMS:
        if start.startswith(mark):
            return _checked(file, encoding)
    for encoding, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if zeros.count(0) > len(zeros) * 0.6:
            return _checked(file, encoding)
    try:
        return _checked(file, "utf-8")
    except BadFile:
        return _checked(file, "cp1252")


def delimiter_of(sample: str) -> tuple[str, bool]:
    """What separates the cells, judged by the header; and whether a first line “sep=;” names it."""
    first = sample.partition("\n")[0].strip().strip('"')
    if first.lower().startswith("sep=") and len(first) == 5 and first[-1] in DELIMITERS:
        return first[-1], True
    return max(DELIMITERS, key=lambda one: _columns(sample, one)), False


def _columns(sample: str, delimiter: str) -> int:
    """How many cells the first line that holds any has with this delimiter; of equals the first delimiter wins."""
    try:
        return next(
            (
                len(row)
                for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
                if any(row)
            ),
            0,
        )
    except csv.Error:
        return 0


def _checked(file: BinaryIO, encoding: str) -> str:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    file.seek(0)
    try:
        while piece := file.read(SAMPLE):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise BadFile(
            "encoding",
            "The characters of the file cannot be read. Save it as “CSV UTF-8” and upload it again.",
        ) from None
    return encoding


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    number = 0
    while line := text.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise BadFile(
                "long_line", f"Line {number} is longer than {LONGEST_LINE:,} characters: is this a CSV file?"
            )
        if "\x00" in line:
            raise BadFile("not_csv", _NUL)
        yield line


def _rows(text: io.TextIOWrapper, delimiter: str) -> Iterator[Row]:
    """Every row that is not blank."""
    reader = csv.reader(_lines(text), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise BadFile(
                "quotes", f"The row that begins on line {line} cannot be read ({error}). A quote within a quoted cell is"
                " doubled, and every quote that opens is closed."
            ) from None  # fmt: skip
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield Row(line, cells)


def _header(row: Row | None) -> list[str]:
    if row is None:
        raise BadFile("empty_file", "The file holds no row. The first row must hold the headers.")
    header = [cell.strip() for cell in row.cells]
    if len(header) > MOST_COLUMNS:
        raise BadFile("too_many_columns", f"The file has {len(header)} columns; {MOST_COLUMNS} are the most.")
    twice = [name for name, count in Counter(filter(None, header)).items() if count > 1]
    if twice:
        raise BadFile(
            "duplicate_header", f"Two columns have the header “{twice[0][:80]}”. Give each its own name."
        )
    return header
