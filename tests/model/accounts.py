"""The settings of the model's two connections: which fields are mapped, how, and the values that people write into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contacts.values import FieldSpec, FieldType, Value

NAMES = ("north", "south")
NUMBERS = ("+14155550101", "+14155550102", "+14155550103", "+14155550104")
REFUSED = "Zed"  # a name that the CRMs' validation rules do not take


@dataclass(frozen=True)
class FieldPair:
    """A contact field and the CRM field it is mapped to, with values for both sides."""

    contact: str
    external: FieldSpec
    ours: tuple[Any, ...]
    theirs: tuple[Value, ...]


FIELDS = (
    FieldPair("first_name", FieldSpec("first_name", FieldType.STRING, max_length=40),
              ("Ada", "Grace", " Edith ", "", REFUSED, "L" * 60), ("Ada", "Hedy", "Mary", None)),
    FieldPair("plan", FieldSpec("plan", FieldType.ENUM, ("Free", "Starter", "Pro", "Enterprise")),
              ("free", "Pro", "Gold", None), ("Free", "Pro", "Starter", None)),
    FieldPair("note", FieldSpec("value", FieldType.NUMBER), ("7", "seven", "0", None), (0, 7, 2.5, None)),
    FieldPair("visits", FieldSpec("notes", FieldType.STRING, max_length=32_000), (0, 3, None), ("3", "some", "12", None)),
    FieldPair("renewal", FieldSpec("visited", FieldType.DATETIME), ("2026-05-14", "2026-06-01", None),
              ("2026-05-14T09:30:00Z", "2026-07-01T00:00:00Z", None)),
    FieldPair("vip", FieldSpec("vip", FieldType.BOOLEAN), (True, False, None), (True, False, None)),
    FieldPair("do_not_call", FieldSpec("do_not_call", FieldType.BOOLEAN), (True, False), (True, False, None)),
)  # fmt: skip
BY_CONTACT_FIELD = {pair.contact: pair for pair in FIELDS}
CUSTOM = {"plan": "enum", "note": "string", "visits": "number", "renewal": "date", "vip": "boolean"}


@dataclass(frozen=True)
class Mapped:
    """How one field is mapped on one connection."""

    direction: str = "both"
    conflict: str = "crm_wins"
    blank_in: str = "ignore"
    blank_out: str = "ignore"

    @property
    def pulls(self) -> bool:
        """Whether CRM values reach the contact."""
        return self.direction in {"both", "inbound"}

    @property
    def pushes(self) -> bool:
        """Whether contact values reach the CRM."""
        return self.direction in {"both", "outbound"}


@dataclass(frozen=True)
class Account:
    """The settings of one connection; fields that are not named are mapped both ways."""

    duplicates: str = "latest"
    deletes: str = "unlink"
    fields: Mapping[str, Mapped] = field(default_factory=dict)
