"""CSV files as people have them: encodings, delimiters, quotes, what is refused and why; and cells that are no formulas."""

from __future__ import annotations

import csv
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts.csv_cells import defused, plain
from contacts.csv_reading import LONGEST_LINE, BadFile, delimiter_of, reading

pytestmark = pytest.mark.once
TEXT = "Phone,Name\n+14155550100,Zoë\n"


def read(content: bytes) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The headers and the rows with their lines."""
    with reading(io.BytesIO(content)) as sheet:
        return sheet.header, [(row.line, row.cells) for row in sheet.rows]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8-sig"),
        (TEXT.encode("utf-16"), "utf-16"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("cp1252"), "cp1252"),
    ],
)
def test_the_usual_encodings_are_told_apart(content: bytes, encoding: str) -> None:
    with reading(io.BytesIO(content)) as sheet:
        assert sheet.encoding == encoding
        assert sheet.header == ["Phone", "Name"]
        assert [row.cells for row in sheet.rows] == [["+14155550100", "Zoë"]]


def test_a_letter_of_windows_at_the_end_of_a_long_file_is_read_as_one() -> None:
    content = b"Phone,Name\n" + b"+14155550100,Ada\n" * 20_000 + "+14155550101,Zoë\n".encode("cp1252")
    assert read(content)[1][-1] == (20_002, ["+14155550101", "Zoë"])


@pytest.mark.parametrize(
    ("sample", "delimiter", "named"),
    [
        ("a,b,c\n1;2,3,4\n", ",", False),
        ("a;b\n1,5;2\n", ";", False),
        ("a\tb, c\tc\n", "\t", False),
        ('"Name, first";Phone\n', ";", False),
        ("only\n1\n", ",", False),
        ("\n\na;b\n", ";", False),
        ("sep=;\na,b;c\n", ";", True),
        ('"sep=\t"\na,b\tc\n', "\t", True),
    ],
)
def test_the_delimiter_is_judged_by_the_header(sample: str, delimiter: str, named: bool) -> None:
    assert delimiter_of(sample) == (delimiter, named)


def test_a_first_line_that_names_the_delimiter_is_no_header() -> None:
    assert read(b"sep=;\r\nPhone;Name\r\n1;Ada\r\n") == (["Phone", "Name"], [(3, ["1", "Ada"])])


def test_quoted_line_ends_belong_to_the_cell_and_rows_know_their_line() -> None:
    content = b'Phone,Note\r\n1,"two\r\nlines, and ""quotes"""\r\n\r\n , \r\n2,x\r3,y\n'
    assert read(content)[1] == [
        (2, ["1", 'two\r\nlines, and "quotes"']),
        (6, ["2", "x"]),
        (7, ["3", "y"]),
    ]


@pytest.mark.parametrize(
    ("content", "rule", "words"),
    [
        (b"", "empty_file", "empty"),
        (b"\xef\xbb\xbf", "empty_file", "no row"),
        (b"\n \n", "empty_file", "no row"),
        (b"PK\x03\x04abc", "not_csv", "Excel"),
        (b"%PDF-1.7", "not_csv", "PDF"),
        (b"a,b\n1,\x00\n", "not_csv", "NUL"),
        (b"a,b\n\x81\x8d,1\n", "encoding", "CSV UTF-8"),
        (b'a,b\n1,"open\n2,3\n', "quotes", "line 2"),
        (b'a,b\n1,"x" y\n', "quotes", "line 2"),
        (b"Phone,Email, Email\n1,2,3\n", "duplicate_header", "“Email”"),
        (b",".join(b"c%d" % n for n in range(501)), "too_many_columns", "500"),
        (b"a\n" + b"x" * (LONGEST_LINE + 1), "long_line", "Line 2"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(content: bytes, rule: str, words: str) -> None:
    with pytest.raises(BadFile, match=words) as refused:
        read(content)
    assert refused.value.rule == rule


def test_blank_headers_may_repeat() -> None:
    assert read(b"Phone,,\n1,2,3\n") == (["Phone", "", ""], [(2, ["1", "2", "3"])])


def test_the_file_stays_open_and_is_never_held_as_a_whole() -> None:
    file = io.BytesIO(b"Phone,Name\n" + b"+14155550100,Ada Lovelace\n" * 200_000)
    tracemalloc.start()
    with reading(file) as sheet:
        assert sum(1 for _ in sheet.rows) == 200_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    assert not file.closed


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("  =1", "'  =1"),
        ("＝1", "'＝1"),
        ("'=1", "''=1"),
        ("+14155550100", "+14155550100"),
        ("-5.25", "-5.25"),
        ("Ada's", "Ada's"),
        ("'s Gravenhage", "'s Gravenhage"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula_and_numbers_keep_their_sign(text: str, cell: str) -> None:
    assert defused(text) == cell
    assert plain(cell) == text


@given(st.text(alphabet=st.sampled_from("=+-@\t\r\n' 1a.＝"), max_size=8) | st.text())
def test_what_goes_out_comes_back_as_it_was(text: str) -> None:
    assert plain(defused(text)) == text
    line = io.StringIO(newline="")
    csv.writer(line).writerow([defused(text), "x"])
    assert plain(next(csv.reader(io.StringIO(line.getvalue(), newline="")))[0]) == text
