"""WHERE and ORDER BY against real fields: the vendor's type checks, then a plain predicate over rows.

Ids compare with case, text without; an empty string is null; `!=` and NOT IN also find blanks.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.salesforce import moments
from sandbox.salesforce.columns import Column, Names
from sandbox.salesforce.date_literals import span
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.fields import NUMBERS, TEXTS, Field
from sandbox.salesforce.ids import canonical
from sandbox.salesforce.soql import Comparison, Condition, Literal, Negation, Ordering
from sandbox.salesforce.store import Row
from sandbox.salesforce.tokens import malformed, unquoted

Predicate = Callable[[Row], bool]
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _never(_row: Row) -> bool:
    return False


def predicate(condition: Condition, names: Names) -> Predicate:
    """The condition as a function of a row."""
    if isinstance(condition, Comparison):
        return _comparison(condition, names)
    if isinstance(condition, Negation):
        part = predicate(condition.part, names)
        return lambda row: not part(row)
    parts = [predicate(part, names) for part in condition.parts]
    if condition.joined == "and":
        return lambda row: all(part(row) for part in parts)
    return lambda row: any(part(row) for part in parts)


def sort_rows(rows: list[Row], order: tuple[Ordering, ...], names: Names) -> None:
    """Sort in place; blanks come first unless the query says NULLS LAST."""
    for entry in reversed(order):
        column = names.column(entry.field)
        field, get = column.field, column.get
        if not field.may("S"):
            raise names.refused(entry.field, f"field '{field.name}' can not be sorted in a query call")
        blanks = [row for row in rows if get(row) is None]
        filled = [row for row in rows if get(row) is not None]
        filled.sort(key=_sort_key(column), reverse=entry.descending)
        rows[:] = filled + blanks if entry.nulls_last else blanks + filled


def _sort_key(column: Column) -> Callable[[Row], Any]:
    get = column.get
    return (lambda row: get(row).lower()) if column.field.type in TEXTS else get


def _comparison(condition: Comparison, names: Names) -> Predicate:
    column, word = names.column(condition.field), condition.operator
    field = column.field
    if not field.may("F"):
        raise names.refused(condition.field, f"field '{field.name}' can not be filtered in a query call")
    _check_operator(field, condition, names)
    if word == "like":
        return _like(column, condition, names)
    if condition.values[0].kind == "relative":
        return _within(column, condition, names)
    values = [_value(field, literal, condition, names) for literal in condition.values]
    if word in ("includes", "excludes"):
        return _chosen(
            column.get, [str(value or "").split(";") for value in values], wanted=word == "includes"
        )
    if word in ("=", "in", "!=", "not in"):
        return _membership(column, frozenset(values), wanted=word in ("=", "in"))
    if values[0] is None:
        return _never
    return _ranked(column, COMPARE[word], values[0])


def _check_operator(field: Field, condition: Comparison, names: Names) -> None:
    word = condition.operator
    unfit = word in COMPARE and field.type in ("boolean", "multipicklist")
    unfit |= (word in ("includes", "excludes")) != (field.type == "multipicklist" and word not in ("=", "!="))
    unfit |= word == "like" and field.type not in TEXTS
    if unfit or field.type == "address":
        message = f"invalid operator on {'dateTime' if field.type == 'datetime' else field.type} field"
        raise names.refused(condition.field, message, "INVALID_QUERY_FILTER_OPERATOR")


def _membership(column: Column, values: frozenset[Any], *, wanted: bool) -> Predicate:
    get = column.get
    if column.field.type in TEXTS:
        return lambda row: (
            (
                ((value := get(row)) is None and None in values)
                or (value is not None and value.lower() in values)
            )
            is wanted
        )
    return lambda row: (get(row) in values) is wanted


def _chosen(get: Callable[[Row], Any], groups: list[list[str]], *, wanted: bool) -> Predicate:
    """Whether a multi-select picklist holds all values of any group; a blank one neither includes nor excludes."""

    def holds(row: Row) -> bool:
        held = get(row)
        found = held is not None and any(set(group) <= set(held.lower().split(";")) for group in groups)
        return held is not None and found is wanted

    return holds


def _within(column: Column, condition: Comparison, names: Names) -> Predicate:
    """A comparison with a word for a span of days, which are those of the org's time zone."""
    field, literal, get = column.field, condition.values[0], column.get
    zone = ZoneInfo(names.records.time_zone())
    days = span(literal.text, names.records.clock.now().astimezone(zone).date())
    if field.type not in ("date", "datetime") or days is None or len(condition.values) > 1:
        raise _mistyped(field, literal, condition, names)
    if field.type == "date":
        start, end = (day.isoformat() for day in days)
    else:
        start, end = (moments.written(datetime.combine(day, time(), zone)) for day in days)
    test: dict[str, Callable[[str], bool]] = {
        "=": lambda value: start <= value < end,
        "!=": lambda value: not start <= value < end,
        "<": lambda value: value < start,
        "<=": lambda value: value < end,
        ">": lambda value: value >= end,
        ">=": lambda value: value >= start,
    }
    if condition.operator not in test:
        raise _mistyped(field, literal, condition, names)
    holds, blank = test[condition.operator], condition.operator == "!="
    return lambda row: blank if (value := get(row)) is None else holds(value)


def _ranked(column: Column, compare: Callable[[Any, Any], bool], limit: Any) -> Predicate:
    get = column.get
    if column.field.type in TEXTS:
        return lambda row: (value := get(row)) is not None and compare(value.lower(), limit)
    return lambda row: (value := get(row)) is not None and compare(value, limit)


def _like(column: Column, condition: Comparison, names: Names) -> Predicate:
    literal, get, field = condition.values[0], column.get, column.field
    pattern = unquoted(literal.text, keep="%_") if literal.kind == "string" else None
    if pattern is None:
        raise _mistyped(field, literal, condition, names)
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    expression = re.compile(
        "".join(wild.get(part) or re.escape(part[-1]) for part in parts), re.IGNORECASE | re.DOTALL
    )
    return lambda row: (value := get(row)) is not None and expression.fullmatch(value) is not None


def _value(field: Field, literal: Literal, condition: Comparison, names: Names) -> Any:
    """The literal as the field stores it (text in lower case), or the vendor's refusal of its type."""
    if literal.kind == "null":
        return None
    if field.type in ("id", "reference"):
        return _id(field, literal, condition, names)
    read = _READ.get(field.type, _text)
    value = read(literal)
    if value is None:
        raise _mistyped(field, literal, condition, names)
    return value if value != "" else None


def _id(field: Field, literal: Literal, condition: Comparison, names: Names) -> str:
    if literal.kind != "string":
        raise _mistyped(field, literal, condition, names)
    id18 = canonical(literal.text[1:-1])
    if id18 is None:
        raise names.refused(
            condition.field, f"invalid ID field: {literal.text[1:-1]}", "INVALID_QUERY_FILTER_OPERATOR"
        )
    return id18


def _text(literal: Literal) -> str | None:
    text = unquoted(literal.text) if literal.kind == "string" else None
    return text if text is None else text.lower()


def _number(literal: Literal) -> float | None:
    return float(literal.text) if literal.kind == "number" else None


def _boolean(literal: Literal) -> bool | None:
    return literal.text == "true" if literal.kind == "boolean" else None


def _date(literal: Literal) -> str | None:
    return moments.day(literal.text) if literal.kind == "date" else None


def _datetime(literal: Literal) -> str | None:
    return moments.literal(literal.text) if literal.kind == "datetime" else None


_READ: dict[str, Callable[[Literal], Any]] = {
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
} | dict.fromkeys(NUMBERS, _number)


def _mistyped(field: Field, literal: Literal, condition: Comparison, names: Names) -> ApiError:
    at = condition.field
    if field.type in TEXTS and literal.kind == "string":
        return malformed(names.text, at.at, f"Illegal string escape in {literal.text}")
    kinds = {
        "datetime": "dateTime",
        "id": "ID",
        "reference": "reference",
        "currency": "double",
        "percent": "double",
    }
    kind = "string" if field.type in TEXTS else kinds.get(field.type, field.type)
    quotes = (
        "should be enclosed in quotes"
        if kind in ("string", "ID", "reference")
        else "should not be enclosed in quotes"
    )
    return names.refused(
        at, f"value of filter criterion for field '{field.name}' must be of type {kind} and {quotes}"
    )
