"""One row of the mapping editor: a pair of fields, which stands for an inbound mapping, an outbound one, or both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from contacts.values import FieldSpec
from integrations.models import Connection
from integrations.providers.base import ExternalField
from mappings.compatibility import PHONE
from mappings.models import BlankPolicy, Case, ConflictPolicy, InboundMapping, OutboundMapping
from mappings.offers import Way
from mappings.picker import meant

WAYS = ((Way.BOTH, "⇄ both ways"), (Way.IN, "→ only in"), (Way.OUT, "← only out"))
COLUMNS_IN = {"conflict_policy": "conflict", "blank_policy": "blank_in", "case": "case_in", "value_map": "map_in",
       "default_value": "default_in"}  # fmt: skip
COLUMNS_OUT = {
    "blank_policy": "blank_out",
    "case": "case_out",
    "value_map": "map_out",
    "default_value": "default_out",
}
Row = TypeVar("Row", InboundMapping, OutboundMapping)


class ValueMapField(forms.Field):
    """A value map, edited as lines like "Yes = true"."""

    widget = forms.Textarea(attrs={"rows": 3, "cols": 40, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """The map as lines."""
        return (
            "\n".join(f"{given} = {held}" for given, held in value.items())
            if isinstance(value, dict)
            else value
        )

    def to_python(self, value: Any) -> dict[str, str]:
        """The lines as a map; blank lines left out."""
        found: dict[str, str] = {}
        for line in str(value or "").splitlines():
            given, equals, held = (part.strip() for part in line.partition(" = " if " = " in line else "="))
            if not line.strip():
                continue
            if not equals or not given or not held:
                raise ValidationError(f"“{line.strip()}” is not like “Yes = true”.")
            if given in found:
                raise ValidationError(f"“{given}” stands there twice.")
            found[given] = held
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the lines mean another map; lines that cannot be read are a change."""
        try:
            return self.to_python(data) != (initial or {})
        except ValidationError:
            return True


class PairForm(forms.Form):
    """One pair of fields, the way values go, and what happens to them. A field may be typed by its name or its label."""

    key = forms.CharField(required=False, widget=forms.HiddenInput)
    external_field = forms.CharField(
        label="CRM field", max_length=255, error_messages={"required": "Choose the CRM field."}
    )
    way = forms.ChoiceField(label="Way", choices=WAYS, initial=Way.BOTH)
    contact_field = forms.CharField(
        label="Contact field", max_length=255, error_messages={"required": "Choose the contact field."}
    )
    conflict = forms.ChoiceField(
        label="When both sides changed", choices=ConflictPolicy.choices, initial=ConflictPolicy.CRM_WINS
    )
    blank_in = forms.ChoiceField(
        label="A blank in the CRM", choices=BlankPolicy.choices, initial=BlankPolicy.IGNORE
    )
    case_in = forms.ChoiceField(label="Letters on the way in", choices=Case.choices, required=False)
    default_in = forms.CharField(label="Here, where both are blank", max_length=255, required=False)
    map_in = ValueMapField(
        label="Values on the way in", required=False, help_text="A line each: CRM value = ours."
    )
    blank_out = forms.ChoiceField(
        label="A blank here", choices=BlankPolicy.choices, initial=BlankPolicy.IGNORE
    )
    case_out = forms.ChoiceField(label="Letters on the way out", choices=Case.choices, required=False)
    default_out = forms.CharField(label="In the CRM, where both are blank", max_length=255, required=False)
    map_out = ValueMapField(
        label="Values on the way out", required=False, help_text="A line each: ours = CRM value."
    )

    # What the formset knows, given to every row.
    schema: Mapping[str, ExternalField]
    specs: Mapping[str, FieldSpec]
    connection: Connection

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.connection, self.schema, self.specs = (
            kwargs.pop(name) for name in ("connection", "schema", "specs")
        )
        super().__init__(*args, **kwargs)
        self.warnings: list[str] = []

    @property
    def locked(self) -> bool:
        """The number that contacts are known by is always read in: this row stays."""
        key = str(self.initial.get("key") or "")
        return key.endswith(f":{PHONE}") and self.initial.get("way") != Way.OUT

    @property
    def way_now(self) -> str:
        """The way as it is typed, for the page."""
        return str(self["way"].value() or Way.BOTH)

    @property
    def external(self) -> ExternalField | None:
        """The CRM field that is meant, where it exists."""
        return self.schema.get(meant(str(self["external_field"].value() or ""), self._labels_there()))

    @property
    def contact(self) -> FieldSpec | None:
        """The contact field that is meant, where it exists."""
        return self.specs.get(meant(str(self["contact_field"].value() or ""), self._labels_here()))

    @property
    def as_words(self) -> list[str]:
        """The saved mappings of the row as findings name them."""
        external, _, contact = str(self.initial.get("key") or "").partition(":")
        return (
            [f"{external} → {contact}", f"{contact} → {external}", f"{external} ↔ {contact}"]
            if contact
            else []
        )

    @property
    def unusual(self) -> list[str]:
        """The policies and transforms that differ from the ordinary, in words."""
        names = [
            *(COLUMNS_IN.values() if self.way_now != Way.OUT else ()),
            *(COLUMNS_OUT.values() if self.way_now != Way.IN else ()),
        ]
        said = []
        for name in names:
            value, usual = self[name].value(), self.fields[name].initial
            if value and value != usual:
                choices = dict(getattr(self.fields[name], "choices", ()))
                said.append(str(choices.get(value, self.fields[name].label)))
        return list(dict.fromkeys(said))

    def clean_external_field(self) -> str:
        """The API name."""
        return meant(self.cleaned_data["external_field"], self._labels_there())

    def clean_contact_field(self) -> str:
        """The name; of the locked row always the number's."""
        return PHONE if self.locked else meant(self.cleaned_data["contact_field"], self._labels_here())

    def clean(self) -> dict[str, Any]:
        """Each mapping that the row stands for, judged as when it is saved; what is wrong is said at the input it is about."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.locked and cleaned.get("way") == Way.OUT:
            self.add_error("way", "Contacts are known by their number: it has to be read in from somewhere.")
        if self.errors or (not self.has_changed() and not cleaned.get("key")):
            return cleaned
        # Made before any error is added: an input that is wrong is cleaned data no more.
        for mapping, names in [(self.inbound(), COLUMNS_IN), (self.outbound(), COLUMNS_OUT)]:
            if mapping is not None:
                self._judge(mapping, names)
        self.warnings = list(dict.fromkeys(self.warnings))
        return cleaned

    def _judge(self, mapping: InboundMapping | OutboundMapping, names: Mapping[str, str]) -> None:
        try:
            mapping.full_clean(validate_unique=False, validate_constraints=False)
        except ValidationError as error:
            for column, found in error.message_dict.items():
                place = _input_of(column, names, self.fields)
                known = [str(one) for one in self.errors.get(place or NON_FIELD_ERRORS, [])]
                for words in found:
                    self.add_error(place, words) if words not in known else None
        else:
            self.warnings += mapping.warnings(self.specs, self.schema)

    def inbound(self) -> InboundMapping | None:
        """The inbound mapping that the row stands for, not saved."""
        return self._made(InboundMapping, COLUMNS_IN) if self.cleaned_data.get("way") != Way.OUT else None

    def outbound(self) -> OutboundMapping | None:
        """The outbound mapping that the row stands for, not saved."""
        return self._made(OutboundMapping, COLUMNS_OUT) if self.cleaned_data.get("way") != Way.IN else None

    def _made(self, model: type[Row], names: Mapping[str, str]) -> Row:
        cleaned = self.cleaned_data
        given = {column: cleaned[name] for column, name in names.items() if name in cleaned}
        return model(
            connection=self.connection,
            external_field=cleaned.get("external_field", ""),
            contact_field=cleaned.get("contact_field", ""),
            **given,
        )

    def _labels_there(self) -> dict[str, str]:
        return {name: field.label for name, field in self.schema.items()}

    def _labels_here(self) -> dict[str, str]:
        return {name: spec.label for name, spec in self.specs.items()}


def _input_of(column: str, names: Mapping[str, str], inputs: Mapping[str, Any]) -> str | None:
    """The input that a model's column is edited in; None for the row as a whole."""
    if column == NON_FIELD_ERRORS:
        return None
    name = names.get(column, column)
    return name if name in inputs else None
