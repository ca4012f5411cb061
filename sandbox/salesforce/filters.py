"""WHERE and ORDER BY against real fields: the vendor's type checks, then a plain predicate over rows.

Ids compare with case, text without; an empty string is null; `!=` and NOT IN also find blanks.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.salesforce import moments
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.fields import NUMBERS, TEXTS, Field
from sandbox.salesforce.ids import canonical
from sandbox.salesforce.schema import no_such_column
from sandbox.salesforce.soql import Comparison, Condition, Literal, Ordering
from sandbox.salesforce.store import Row
from sandbox.salesforce.tokens import Token, malformed, pointed, unquoted

Predicate = Callable[[Row], bool]
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _never(_row: Row) -> bool:
    return False


class Names:
    """The visible fields of the queried object, found by the names a query uses."""

    def __init__(self, text: str, sobject: str, fields: Mapping[str, Field]) -> None:
        self.text, self.sobject, self._fields = text, sobject, fields

    def field(self, token: Token) -> Field:
        """The field a token names, perhaps behind the object's own name; INVALID_FIELD for an unknown one."""
        prefix, _, name = token.text.rpartition(".")
        if prefix and prefix.lower() != self.sobject.lower():
            raise malformed(self.text, token.at, f"unexpected token: '{token.text}'")
        field = self._fields.get(name.lower())
        if field is None:
            raise self.refused(token, no_such_column(self.sobject, name))
        return field

    def refused(self, token: Token, message: str, code: str = "INVALID_FIELD") -> ApiError:
        """An error that points at the token."""
        return ApiError(code, pointed(self.text, token.at, message))


def predicate(condition: Condition, names: Names) -> Predicate:
    """The condition as a function of a row."""
    if isinstance(condition, Comparison):
        return _comparison(condition, names)
    parts = [predicate(part, names) for part in condition.parts]
    if condition.joined == "and":
        return lambda row: all(part(row) for part in parts)
    return lambda row: any(part(row) for part in parts)


def sort_rows(rows: list[Row], order: tuple[Ordering, ...], names: Names) -> None:
    """Sort in place; blanks come first unless the query says NULLS LAST."""
    for entry in reversed(order):
        field = names.field(entry.field)
        if not field.may("S"):
            raise names.refused(entry.field, f"field '{field.name}' can not be sorted in a query call")
        blanks = [row for row in rows if row[field.name] is None]
        filled = [row for row in rows if row[field.name] is not None]
        filled.sort(key=_sort_key(field), reverse=entry.descending)
        rows[:] = filled + blanks if entry.nulls_last else blanks + filled


def _sort_key(field: Field) -> Callable[[Row], Any]:
    name = field.name
    return (lambda row: row[name].lower()) if field.type in TEXTS else (lambda row: row[name])


def _comparison(condition: Comparison, names: Names) -> Predicate:
    field, word = names.field(condition.field), condition.operator
    if not field.may("F"):
        raise names.refused(condition.field, f"field '{field.name}' can not be filtered in a query call")
    _check_operator(field, condition, names)
    if word == "like":
        return _like(field, condition, names)
    values = [_value(field, literal, condition, names) for literal in condition.values]
    if word in ("=", "in", "!=", "not in"):
        return _membership(field, frozenset(values), wanted=word in ("=", "in"))
    if values[0] is None:
        return _never
    return _ranked(field, COMPARE[word], values[0])


def _check_operator(field: Field, condition: Comparison, names: Names) -> None:
    word = condition.operator
    unordered = word in COMPARE and field.type in ("boolean", "address")
    if unordered or (word == "like" and field.type not in TEXTS) or field.type == "address":
        message = f"invalid operator on {'dateTime' if field.type == 'datetime' else field.type} field"
        raise names.refused(condition.field, message, "INVALID_QUERY_FILTER_OPERATOR")


def _membership(field: Field, values: frozenset[Any], *, wanted: bool) -> Predicate:
    name = field.name
    if field.type in TEXTS:
        return lambda row: (
            (
                ((value := row[name]) is None and None in values)
                or (value is not None and value.lower() in values)
            )
            is wanted
        )
    return lambda row: (row[name] in values) is wanted


def _ranked(field: Field, compare: Callable[[Any, Any], bool], limit: Any) -> Predicate:
    name = field.name
    if field.type in TEXTS:
        return lambda row: (value := row[name]) is not None and compare(value.lower(), limit)
    return lambda row: (value := row[name]) is not None and compare(value, limit)


def _like(field: Field, condition: Comparison, names: Names) -> Predicate:
    literal, name = condition.values[0], field.name
    pattern = unquoted(literal.text, keep="%_") if literal.kind == "string" else None
    if pattern is None:
        raise _mistyped(field, literal, condition, names)
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    expression = re.compile(
        "".join(wild.get(part) or re.escape(part[-1]) for part in parts), re.IGNORECASE | re.DOTALL
    )
    return lambda row: (value := row[name]) is not None and expression.fullmatch(value) is not None


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
