"""What a contact field can hold, by type: one canonical form per value, and None for every kind of blank. Pure.

Canonical forms: string → str without outer white space, its lines ended by "\\n" alone, number → int or finite float,
boolean → bool, date → "YYYY-MM-DD", datetime → "YYYY-MM-DDTHH:MM:SS[.ffffff]Z", enum → one of the options. 0 and False are
values, never blanks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

Value = str | int | float | bool | None

TEXT_LIMIT = 32_000
MEMORY_LIMIT = 8_000
_TRUE = frozenset({"true", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "no", "n", "0", "off"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_UNSTORABLE = re.compile(
    "[\x00\ud800-\udfff]"
)  # PostgreSQL refuses NUL, and halves of characters are no text
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class FieldType(StrEnum):
    """The six types of a field."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    ENUM = "enum"


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field as the rules see it. `max_length` None means the product's own limit; `label` is for people."""

    name: str
    type: FieldType
    options: tuple[str, ...] = ()
    label: str = ""
    max_length: int | None = None


BUILT_IN: dict[str, FieldSpec] = {
    "phone_number": FieldSpec("phone_number", FieldType.STRING, label="Phone number"),
    "first_name": FieldSpec("first_name", FieldType.STRING, label="First name", max_length=255),
    "last_name": FieldSpec("last_name", FieldType.STRING, label="Last name", max_length=255),
    "do_not_call": FieldSpec("do_not_call", FieldType.BOOLEAN, label="Do not call"),
    "contact_memory": FieldSpec("contact_memory", FieldType.STRING, label="Memory", max_length=MEMORY_LIMIT),
}


class DoesNotFit(ValueError):
    """The value cannot be held by the field. `reason` is a stable code; the text never repeats the value."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def is_blank(raw: object) -> bool:
    """Whether `raw` is one of the blanks: None, "", white space, an empty list. 0 and False are not."""
    return (
        raw is None
        or (isinstance(raw, str) and not raw.strip())
        or (isinstance(raw, list | tuple | dict) and not raw)
    )


def coerce(raw: object, spec: FieldSpec) -> Value:
    """`raw` in the canonical form of the field; None for every blank. Raises DoesNotFit, whose text is safe to show."""
    if is_blank(raw):
        return None
    return _COERCE[spec.type](raw, spec)


def same(first: Value, second: Value) -> bool:
    """Whether two canonical values are equal; False is not 0 and True is not 1."""
    return first == second and isinstance(first, bool) == isinstance(second, bool)


def as_text(value: Value) -> str:
    """A value as an agent or a text field reads it: "true", "42", "2026-05-14"; blank as ""."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return (
            str(int(value)) if value.is_integer() and abs(value) < 1e15 else format(Decimal(repr(value)), "f")
        )
    return str(value)


def one_newline(text: str) -> str:
    """The text with one way to end a line: forms and CRMs write two characters where others write one."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def name_problem(name: str) -> str | None:
    """Why `name` cannot name a custom field, or None. Rules: snake_case, no built-in, no contact/external prefix."""
    if not _FIELD_NAME.fullmatch(name):
        return "Use lower-case letters, digits and underscores, starting with a letter (at most 63)."
    if name in BUILT_IN:
        return f"{name} is a built-in field."
    for prefix in ("contact", "external"):
        if name.startswith(prefix):
            return f"Names that start with “{prefix}” are reserved."
    return None


def _string(raw: object, spec: FieldSpec) -> Value:
    if isinstance(raw, list | dict):
        raise DoesNotFit("wrong_type", "A text is needed, not a list or an object.")
    text = as_text(raw) if isinstance(raw, bool | int | float) else one_newline(_UNSTORABLE.sub("", str(raw)))
    text = text.strip()
    limit = spec.max_length or TEXT_LIMIT
    if len(text) > limit:
        raise DoesNotFit("too_long", f"The text has more than {limit} characters.")
    return text or None


def _number(raw: object, _spec: FieldSpec) -> Value:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str | Decimal):
        raise DoesNotFit("wrong_type", "A number is needed.")
    if isinstance(raw, int):
        number: int | float = raw if abs(raw) < 1e18 else math.inf
    else:
        text = str(raw).strip()
        if isinstance(raw, str) and not _NUMBER.fullmatch(text):
            raise DoesNotFit("not_a_number", "A plain number like 1234.5 is needed.")
        number = float(text)
        if math.isfinite(number) and number.is_integer():
            number = int(Decimal(text))
    if abs(number) >= 1e18 or not math.isfinite(number):  # in this order: an endless int is no float
        raise DoesNotFit("out_of_range", "The number is too large.")
    return number


def _boolean(raw: object, _spec: FieldSpec) -> Value:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower()
    if isinstance(raw, str | int) and text in _TRUE:
        return True
    if isinstance(raw, str | int) and text in _FALSE:
        return False
    raise DoesNotFit("not_a_boolean", "Either true or false is needed.")


def _date(raw: object, _spec: FieldSpec) -> Value:
    if isinstance(raw, datetime):
        raw = raw.astimezone(UTC) if raw.tzinfo else raw
        return raw.date().isoformat()
    if isinstance(raw, date):
        return raw.isoformat()
    text = str(raw).strip()
    # A date carries no zone: of a full timestamp only the day as written counts.
    if isinstance(raw, str) and _DATE.match(text):
        try:
            if len(text) > 10:
                datetime.fromisoformat(text)
            return date.fromisoformat(text[:10]).isoformat()
        except ValueError:
            pass
    raise DoesNotFit("not_a_date", "A date like 2026-05-14 is needed.")


def _datetime(raw: object, _spec: FieldSpec) -> Value:
    moment = raw if isinstance(raw, datetime) else None
    if isinstance(raw, str) and _DATE.match(raw.strip()):
        try:
            moment = datetime.fromisoformat(raw.strip())
        except ValueError:
            moment = None
    if moment is None:
        raise DoesNotFit("not_a_datetime", "A date and time like 2026-05-14T09:30:00Z is needed.")
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    try:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError as error:
        raise DoesNotFit("out_of_range", "The date is outside the years 1 to 9999.") from error


def _enum(raw: object, spec: FieldSpec) -> Value:
    text = as_text(raw) if isinstance(raw, bool | int | float) else str(raw).strip()
    if text in spec.options:
        return text
    folded = {option.casefold(): option for option in spec.options}
    if text.casefold() in folded:
        return folded[text.casefold()]
    raise DoesNotFit(
        "unknown_option", "The value is not one of the field's options: " + ", ".join(spec.options[:20]) + "."
    )


_COERCE = {
    FieldType.STRING: _string,
    FieldType.NUMBER: _number,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: _date,
    FieldType.DATETIME: _datetime,
    FieldType.ENUM: _enum,
}


def convertible(source: FieldType, target: FieldType) -> bool:
    """Whether values of one type can become the other at all; single values may still not fit."""
    return target in _CONVERTIBLE[source]


_ANY = frozenset(FieldType)
_CONVERTIBLE: Mapping[FieldType, frozenset[FieldType]] = {
    FieldType.STRING: _ANY,
    FieldType.ENUM: _ANY,
    FieldType.NUMBER: frozenset({FieldType.NUMBER, FieldType.STRING, FieldType.ENUM}),
    FieldType.BOOLEAN: frozenset({FieldType.BOOLEAN, FieldType.STRING, FieldType.ENUM}),
    FieldType.DATE: frozenset({FieldType.DATE, FieldType.DATETIME, FieldType.STRING}),
    FieldType.DATETIME: frozenset({FieldType.DATETIME, FieldType.DATE, FieldType.STRING}),
}


def coerce_all(
    raw: Mapping[str, Any], specs: Mapping[str, FieldSpec]
) -> tuple[dict[str, Value], dict[str, DoesNotFit]]:
    """Every entry of `raw` in canonical form, and the ones that do not fit (unknown names among them)."""
    fit: dict[str, Value] = {}
    unfit: dict[str, DoesNotFit] = {}
    for name, value in raw.items():
        try:
            if name not in specs:
                raise DoesNotFit("unknown_field", "There is no such contact field.")
            fit[name] = coerce(value, specs[name])
        except DoesNotFit as error:
            unfit[name] = error
    return fit, unfit
