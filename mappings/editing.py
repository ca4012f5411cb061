"""The mappings of a connection as one form: a row for each pair of fields, checked and saved as a whole.

Rows that somebody else added meanwhile are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from django.db import transaction
from django.forms.formsets import BaseFormSet, formset_factory

from contacts.models import field_specs
from contacts.values import FieldSpec
from integrations.models import Connection
from integrations.providers.base import ExternalField
from mappings.compatibility import PHONE
from mappings.models import InboundMapping, OutboundMapping
from mappings.offers import Way
from mappings.pair_form import COLUMNS_IN, COLUMNS_OUT, PairForm
from mappings.picker import shown_names

PREFIX = "pair"
MOST = 2000  # rows
Row = TypeVar("Row", InboundMapping, OutboundMapping)


class PairFormSet(BaseFormSet):
    """All pairs of one connection. `inbound` and `outbound` are what would be saved, once `is_valid` was asked."""

    connection: Connection
    schema: dict[str, ExternalField]
    specs: Mapping[str, FieldSpec]

    def __init__(self, connection: Connection, data: Any = None) -> None:
        self.connection, self.schema, self.specs = connection, connection.external_fields(), field_specs()
        self.saved = initial_rows(connection)
        super().__init__(data, prefix=PREFIX, initial=self.saved)

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        """What every row has to know. A sent row is compared with the saved one of its pair, wherever that stands now."""
        known: dict[str, Any] = {"connection": self.connection, "schema": self.schema, "specs": self.specs}
        if self.is_bound and index is not None:
            key = self.data.get(f"{PREFIX}-{index}-key", "")
            known["initial"] = next((row for row in self.saved if row["key"] == key), {})
        return {**super().get_form_kwargs(index), **known}

    def add_fields(self, form: Any, index: int | None) -> None:
        """The locked row cannot be removed."""
        super().add_fields(form, index)
        form.fields["DELETE"].disabled = form.locked

    @property
    def kept(self) -> list[Any]:
        """The rows that count: filled in and not removed."""
        rows = [form for form in self.forms if form not in self.deleted_forms]
        return [form for form in rows if form.initial.get("key") or form.has_changed()]

    @property
    def inbound(self) -> list[InboundMapping]:
        """The inbound mappings after saving, with those that this form does not show."""
        made = [row for form in self.kept if not form.errors and (row := form.inbound())]
        return made + self._unseen(self.connection.inbound_mappings.all())

    @property
    def outbound(self) -> list[OutboundMapping]:
        """The outbound mappings after saving, with those that this form does not show."""
        made = [row for form in self.kept if not form.errors and (row := form.outbound())]
        return made + self._unseen(self.connection.outbound_mappings.all())

    def clean(self) -> None:
        """Each contact field is fed by one CRM field, each CRM field by one contact field; said at the later row."""
        fed: set[str] = {row.contact_field for row in self._unseen(self.connection.inbound_mappings.all())}
        written: set[str] = {
            row.external_field for row in self._unseen(self.connection.outbound_mappings.all())
        }
        for form in self.kept:
            if form.errors:
                continue
            if (row := form.inbound()) and row.contact_field in fed:
                form.add_error("contact_field", "Another row feeds this field already. Keep one of them.")
            if (out := form.outbound()) and out.external_field in written:
                form.add_error(
                    "external_field", "Another row writes to this field already. Keep one of them."
                )
            fed |= {row.contact_field} if row else set()
            written |= {out.external_field} if out else set()

    def _unseen(self, rows: Iterable[Row]) -> list[Row]:
        seen = {form["key"].value() for form in self.forms} if self.is_bound else set()
        return [row for row in rows if f"{row.external_field}:{row.contact_field}" not in seen]


def pairs_of(connection: Connection, data: Any = None) -> PairFormSet:
    """The form, with one blank row at the end."""
    made: Any = formset_factory(
        PairForm, formset=PairFormSet, extra=1, can_delete=True, max_num=MOST, absolute_max=MOST
    )
    form: PairFormSet = made(connection, data)
    return form


def initial_rows(connection: Connection) -> list[dict[str, Any]]:
    """The saved mappings by pair, the phone number's first."""
    there = shown_names({name: field.label for name, field in connection.external_fields().items()})
    here = shown_names({name: spec.label for name, spec in field_specs().items()})
    found: dict[str, dict[str, Any]] = {}
    saved = [(row, Way.IN, COLUMNS_IN) for row in connection.inbound_mappings.all()]
    saved += [(row, Way.OUT, COLUMNS_OUT) for row in connection.outbound_mappings.all()]  # type: ignore[misc]
    for mapping, way, names in saved:
        key = f"{mapping.external_field}:{mapping.contact_field}"
        row = found.setdefault(
            key,
            {
                "key": key,
                "external_field": there.get(mapping.external_field, mapping.external_field),
                "contact_field": here.get(mapping.contact_field, mapping.contact_field),
            },
        )
        row["way"] = Way.BOTH if "way" in row else way
        row |= {name: getattr(mapping, column) for column, name in names.items()}
    return sorted(found.values(), key=lambda row: not row["key"].endswith(f":{PHONE}"))


def save_pairs(form: PairFormSet) -> None:
    """Make the saved mappings what the valid form says: all or nothing. Raises ValidationError.

    A pair that stays keeps its row, and with it what was found of its unknown values.
    """
    connection = form.connection
    listed = {str(row.initial["key"]) for row in form.forms if row.initial.get("key")}
    with transaction.atomic():
        Connection.objects.select_for_update().only("pk").get(pk=connection.pk)
        _save(connection.inbound_mappings.all(), form.inbound, listed, COLUMNS_IN)
        _save(connection.outbound_mappings.all(), form.outbound, listed, COLUMNS_OUT)


def _save(rows: Iterable[Row], wanted: Iterable[Row], listed: set[str], names: Mapping[str, str]) -> None:
    held = {f"{row.external_field}:{row.contact_field}": row for row in rows}
    made = {f"{row.external_field}:{row.contact_field}": row for row in wanted}
    for key in (held.keys() & listed) - made.keys():
        held[key].delete()
    for key, new in made.items():
        if new.pk is not None:
            continue  # somebody else's, left as it is
        old = held.get(key)
        if old is None:
            new.full_clean()
            new.save()
        elif any(getattr(old, column) != getattr(new, column) for column in names):
            for column in names:
                setattr(old, column, getattr(new, column))
            old.full_clean()
            old.save()
