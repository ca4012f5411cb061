"""What a field can hold: one canonical form per value, None for every blank, and never null for 0 or false."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts.values import (
    BUILT_IN,
    DoesNotFit,
    FieldSpec,
    FieldType,
    as_text,
    coerce,
    coerce_all,
    convertible,
    is_blank,
    name_problem,
    same,
)

SPECS = {
    kind: FieldSpec("field", kind, ("Free", "Pro", "0") if kind is FieldType.ENUM else ())
    for kind in FieldType
}
STRING, NUMBER, BOOLEAN, DATE, DATETIME, ENUM = FieldType
EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-11))

FITS: list[tuple[FieldType, Any, Any]] = [
    (STRING, "  Ada ", "Ada"),
    (STRING, 0, "0"),
    (STRING, False, "false"),
    (STRING, 12.0, "12"),
    (STRING, 1e-7, "0.0000001"),
    (STRING, "a\x00b", "ab"),
    (STRING, "\x00 Ada", "Ada"),
    (STRING, "half \ud83d of it", "half  of it"),
    (STRING, "line\nline", "line\nline"),
    (STRING, "line\r\nline\rline\r\n", "line\nline\nline"),
    (NUMBER, 0, 0),
    (NUMBER, "0", 0),
    (NUMBER, "-0", 0),
    (NUMBER, 12.0, 12),
    (NUMBER, "12.50", 12.5),
    (NUMBER, " 1e3 ", 1000),
    (NUMBER, Decimal("1.25"), 1.25),
    (NUMBER, "123456789012345678", 123456789012345678),
    (BOOLEAN, False, False),
    (BOOLEAN, "false", False),
    (BOOLEAN, "No", False),
    (BOOLEAN, 0, False),
    (BOOLEAN, "TRUE", True),
    (BOOLEAN, "y", True),
    (BOOLEAN, 1, True),
    (DATE, "2026-05-14", "2026-05-14"),
    (DATE, date(2026, 5, 14), "2026-05-14"),
    (DATE, datetime(2026, 5, 14, 23, 30, tzinfo=UTC), "2026-05-14"),
    (DATE, "2026-05-14T23:30:00-11:00", "2026-05-14"),
    (DATE, "2026-05-14T00:30:00+14:00", "2026-05-14"),
    (DATE, "2024-02-29", "2024-02-29"),
    (DATETIME, "2026-05-14T09:30:00Z", "2026-05-14T09:30:00Z"),
    (DATETIME, "2026-05-14T09:30:00+14:00", "2026-05-13T19:30:00Z"),
    (DATETIME, "2026-05-14T23:30:00-11:00", "2026-05-15T10:30:00Z"),
    (DATETIME, "2026-05-14 09:30", "2026-05-14T09:30:00Z"),
    (DATETIME, "2026-05-14", "2026-05-14T00:00:00Z"),
    (DATETIME, "2026-03-29T02:30:00+01:00", "2026-03-29T01:30:00Z"),
    (DATETIME, datetime(2026, 5, 14, 9, 30, tzinfo=WEST), "2026-05-14T20:30:00Z"),
    (DATETIME, "2026-05-14T09:30:00.500Z", "2026-05-14T09:30:00.500000Z"),
    (ENUM, "Pro", "Pro"),
    (ENUM, " pro ", "Pro"),
    (ENUM, 0, "0"),
]
DOES_NOT_FIT: list[tuple[FieldType, Any, str]] = [
    (STRING, ["a"], "wrong_type"),
    (STRING, {"a": 1}, "wrong_type"),
    (STRING, "x" * 32_001, "too_long"),
    (NUMBER, True, "wrong_type"),
    (NUMBER, "twelve", "not_a_number"),
    (NUMBER, "1,234", "not_a_number"),
    (NUMBER, "nan", "not_a_number"),
    (NUMBER, math.inf, "out_of_range"),
    (NUMBER, math.nan, "out_of_range"),
    (NUMBER, 10**400, "out_of_range"),
    (NUMBER, -(10**18), "out_of_range"),
    (NUMBER, "1e400", "out_of_range"),
    (BOOLEAN, "maybe", "not_a_boolean"),
    (BOOLEAN, 2, "not_a_boolean"),
    (BOOLEAN, 1.5, "not_a_boolean"),
    (DATE, "14.05.2026", "not_a_date"),
    (DATE, "2026-02-30", "not_a_date"),
    (DATE, "2026-05-14 soon", "not_a_date"),
    (DATE, 20260514, "not_a_date"),
    (DATETIME, "yesterday", "not_a_datetime"),
    (DATETIME, "2026-05-14T25:00:00Z", "not_a_datetime"),
    (DATETIME, 1767225600, "not_a_datetime"),
    (DATETIME, "0001-01-01T00:00:00+14:00", "out_of_range"),
    (ENUM, "Platinum", "unknown_option"),
    (ENUM, True, "unknown_option"),
]
BLANKS: list[Any] = [None, "", "   ", "\n\t", "\u00a0", [], {}, ()]


@pytest.mark.parametrize(("kind", "raw", "canonical"), FITS)
def test_a_value_has_one_canonical_form(kind: FieldType, raw: Any, canonical: Any) -> None:
    """Row 25: dates carry no zone, datetimes are in UTC."""
    found = coerce(raw, SPECS[kind])
    assert found == canonical
    assert type(found) is type(canonical)


@pytest.mark.parametrize(("kind", "raw", "canonical"), FITS)
def test_the_canonical_form_stays_as_it_is(kind: FieldType, raw: Any, canonical: Any) -> None:
    assert same(coerce(canonical, SPECS[kind]), canonical)


@pytest.mark.parametrize(("kind", "raw", "reason"), DOES_NOT_FIT)
def test_a_value_that_does_not_fit_is_refused_with_a_reason(kind: FieldType, raw: Any, reason: str) -> None:
    with pytest.raises(DoesNotFit) as refused:
        coerce(raw, SPECS[kind])
    assert refused.value.reason == reason
    assert "maybe" not in str(refused.value)
    assert "Platinum" not in str(refused.value)


@pytest.mark.parametrize("kind", FieldType)
@pytest.mark.parametrize("blank", BLANKS)
def test_every_blank_is_none_in_every_type(kind: FieldType, blank: Any) -> None:
    """Row 6."""
    assert is_blank(blank)
    assert coerce(blank, SPECS[kind]) is None


@pytest.mark.parametrize("value", [0, 0.0, False, "0", "false", "no"])
def test_zero_and_false_are_values(value: Any) -> None:
    """Row 6."""
    assert not is_blank(value)


def test_false_is_not_zero_and_true_is_not_one() -> None:
    """Row 6."""
    assert not same(False, 0)
    assert not same(True, 1)
    assert same(1, 1.0)
    assert same(None, None)
    assert not same(None, False)
    assert not same(None, "")


def test_a_text_of_nothing_storable_is_blank() -> None:
    assert coerce("\x00", SPECS[STRING]) is None


def test_the_limit_of_a_field_counts_characters() -> None:
    spec = FieldSpec("first_name", STRING, max_length=5)
    assert coerce("Zoë M", spec) == "Zoë M"
    with pytest.raises(DoesNotFit):
        coerce("Zoë Ma", spec)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (12.5, "12.5"),
        (3.0, "3"),
        (1e20, "100000000000000000000"),
    ],
)
def test_as_text(value: Any, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("name", "ok"),
    [
        ("plan", True),
        ("plan_2", True),
        ("Plan", False),
        ("2plan", False),
        ("plan-b", False),
        ("", False),
        ("first_name", False),
        ("contact_plan", False),
        ("external_id", False),
        ("a" * 63, True),
        ("a" * 64, False),
        ("plan\n", False),
    ],
)
def test_names_of_custom_fields(name: str, ok: bool) -> None:
    assert (name_problem(name) is None) is ok


def test_convertible_is_a_table_with_no_surprise() -> None:
    assert all(convertible(kind, kind) and convertible(kind, STRING) for kind in FieldType)
    assert not convertible(NUMBER, BOOLEAN)
    assert not convertible(BOOLEAN, NUMBER)
    assert not convertible(NUMBER, DATE)
    assert convertible(DATE, DATETIME)
    assert convertible(DATETIME, DATE)


def test_coerce_all_parts_what_fits_from_what_does_not() -> None:
    fit, unfit = coerce_all({"first_name": " Ada ", "do_not_call": "?", "shoe_size": 4}, BUILT_IN)
    assert fit == {"first_name": "Ada"}
    assert {name: error.reason for name, error in unfit.items()} == {
        "do_not_call": "not_a_boolean",
        "shoe_size": "unknown_field",
    }


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=40),
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(["2026-05-14", "2026-05-14T09:30:00+02:00", "true", "12.5", "pro"]),
)


def outcome(raw: Any, kind: FieldType) -> Any:
    """The canonical value, or the refusal."""
    try:
        return coerce(raw, SPECS[kind])
    except DoesNotFit as refused:
        return refused


@given(raw=anything, kind=st.sampled_from(FieldType))
def test_whatever_comes_is_canonical_or_refused_with_words(raw: Any, kind: FieldType) -> None:
    value = outcome(raw, kind)
    if isinstance(value, DoesNotFit):
        assert value.reason
        assert str(value)
        return
    assert same(coerce(value, SPECS[kind]), value)
    assert value is None or not is_blank(value)
    if isinstance(value, str):
        value.encode()
        assert "\x00" not in value
        assert value == value.strip()


@given(raw=anything, kind=st.sampled_from(FieldType))
def test_through_a_text_field_and_back_a_value_is_the_same(raw: Any, kind: FieldType) -> None:
    """What a CRM keeps as text comes back as what it was."""
    value = outcome(raw, kind)
    if not isinstance(value, DoesNotFit):
        assert same(coerce(coerce(value, SPECS[STRING]), SPECS[kind]), value)
