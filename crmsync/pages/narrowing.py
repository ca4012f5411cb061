"""Filters of the contact list that custom fields bring along, each by its field's type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import QuerySet
from django.http import QueryDict

from contacts.finding import RANGED, where
from contacts.models import Contact, CustomField
from contacts.values import DoesNotFit, FieldSpec, FieldType, Value, coerce

ANY_VALUE, NO_VALUE = ":any", ":none"
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on the field's value: an operation of `finding.where`."""

    op: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class Narrowing:
    """One field's filter: what was typed, shown again, and the conditions made of it; `problem` where it made none."""

    spec: FieldSpec
    typed: dict[str, str]
    conditions: tuple[Condition, ...] = ()
    problem: str = ""

    @property
    def name(self) -> str:
        """The name of the form field, and of the address' parameter."""
        return f"f.{self.spec.name}"

    @property
    def active(self) -> bool:
        """Whether anything was asked."""
        return any(self.typed.values())

    @property
    def text(self) -> str:
        """What was typed or chosen, where there is one input."""
        return self.typed.get("", "")

    @property
    def ranged(self) -> bool:
        """Whether it has two ends."""
        return self.spec.type in RANGED

    @property
    def input_type(self) -> str:
        """The kind of input that suits the field."""
        return "date" if self.spec.type in {FieldType.DATE, FieldType.DATETIME} else "text"

    @property
    def choices(self) -> list[tuple[str, str]]:
        """What a select offers; empty for texts and ranges."""
        if self.spec.type == FieldType.BOOLEAN:
            return [("yes", "Yes"), ("no", "No"), (NO_VALUE, "Blank")]
        if self.spec.type == FieldType.ENUM:
            return [*((one, one) for one in self.spec.options), (ANY_VALUE, "Any"), (NO_VALUE, "Blank")]
        return []

    @property
    def words(self) -> str:
        """The filter for people: "Score from 3 to 9"."""
        if not self.ranged:
            return f"{self.spec.label}: {dict(self.choices).get(self.text, f'“{self.text}”')}"
        ends = [f"{end} {self.typed[end]}" for end in ("from", "to") if self.typed[end]]
        return f"{self.spec.label} {' '.join(ends)}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the address that it is made of."""
        return (f"{self.name}.from", f"{self.name}.to") if self.ranged else (self.name,)

    def apply(self, rows: QuerySet[Contact]) -> QuerySet[Contact]:
        """`rows` that meet the conditions."""
        for condition in self.conditions:
            rows = where(rows, self.spec, condition.op, condition.value)
        return rows


def narrowings(query: QueryDict, fields: Sequence[CustomField]) -> list[Narrowing]:
    """The filter of every custom field, with what the address says."""
    return [_narrowing(query, one.spec) for one in fields]


def _narrowing(query: QueryDict, spec: FieldSpec) -> Narrowing:
    ends = ("from", "to") if spec.type in RANGED else ("",)
    typed = {
        end: query.get(f"f.{spec.name}.{end}".rstrip("."), "").replace("\x00", "").strip()[:_LONGEST]
        for end in ends
    }
    try:
        conditions = tuple(_conditions(spec, typed))
    except DoesNotFit as problem:
        return Narrowing(spec, typed, problem=str(problem))
    return Narrowing(spec, typed, conditions)


def _conditions(spec: FieldSpec, typed: dict[str, str]) -> list[Condition]:
    if spec.type in RANGED:
        return [_end(spec, end, text) for end, text in typed.items() if text]
    text = typed[""]
    if not text:
        return []
    if spec.type == FieldType.STRING:
        return [Condition("contains", text)]
    if text in {ANY_VALUE, NO_VALUE}:
        return [Condition("present" if text == ANY_VALUE else "absent")]
    return [Condition("is", coerce(text, spec))]


def _end(spec: FieldSpec, end: str, text: str) -> Condition:
    if spec.type != FieldType.DATETIME:
        return Condition("gte" if end == "from" else "lte", coerce(text, spec))
    # A day means all of it, in UTC; moments are kept as texts that sort by time, and a text sorts before its continuation.
    day = date.fromisoformat(str(coerce(text, FieldSpec(spec.name, FieldType.DATE))))
    if end == "from":
        return Condition("gte", f"{day}T")
    return Condition("lt", f"{day + timedelta(days=1)}T" if day < date.max else "9999-12-31U")
