"""The mappings an operator sets up, with their checks when saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from contacts.models import field_specs
from contacts.values import FieldSpec, FieldType
from integrations.models import Connection
from integrations.providers.base import ExternalField
from mappings import compatibility
from mappings.transforms import Case as Letters
from mappings.transforms import Transform
from mappings.unknown import still_unknown

Specs = Mapping[str, FieldSpec]
Schema = Mapping[str, ExternalField]


class ConflictPolicy(models.TextChoices):
    """Who wins when both sides changed a field."""

    CRM_WINS = "crm_wins", "the CRM wins"
    OURS_WINS = "ours_wins", "our value wins"
    ASK = "ask", "ask a person"


class BlankPolicy(models.TextChoices):
    """What a blank on the giving side does to the receiving side."""

    IGNORE = "ignore", "ignore a blank"
    CLEAR = "clear", "clear the field"
    CLEAR_IF_EMPTIED = "clear_if_emptied", "clear only when a value was emptied"


class Case(models.TextChoices):
    """How letters are written on the way."""

    KEEP = "", "as they are"
    LOWER = "lower", "lower case"
    UPPER = "upper", "UPPER CASE"
    TITLE = "title", "Title Case"


class UpdateMode(models.TextChoices):
    """How an analysis value meets the contact's value."""

    OVERWRITE = "overwrite", "overwrite"
    FILL_IF_EMPTY = "fill_if_empty", "fill if empty"
    MERGE = "merge", "merge"


class Review(models.TextChoices):
    """Whether a merge is written at once."""

    AUTOMATIC = "automatic", "written at once"
    REVIEWED = "reviewed", "waits for a person"


class InboundMapping(models.Model):
    """CRM field → contact field."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="inbound_mappings")
    external_field = models.CharField("CRM field", max_length=255)
    contact_field = models.CharField(max_length=63)
    conflict_policy = models.CharField(
        max_length=16, choices=ConflictPolicy.choices, default=ConflictPolicy.CRM_WINS
    )
    blank_policy = models.CharField(max_length=16, choices=BlankPolicy.choices, default=BlankPolicy.IGNORE)

    case = models.CharField(max_length=5, choices=Case.choices, blank=True, default="")
    value_map = models.JSONField(
        default=dict, blank=True, help_text='CRM value → contact value, like {"Yes": "true"}.'
    )
    default_value = models.CharField(
        max_length=255, blank=True, help_text="Written where the giving side is blank and so is the other."
    )
    unknown_values = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text="CRM values that are no option of the contact field, with counts.",
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "contact_field"], name="one_inbound_per_contact_field"
            )
        ]

    def __str__(self) -> str:
        return f"{self.external_field} → {self.contact_field}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Unknown values that are mapped by now are forgotten."""
        if self.unknown_values and kwargs.get("update_fields") is None:
            spec = field_specs().get(self.contact_field)
            self.unknown_values = still_unknown(self.unknown_values, self.transform, spec)
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """Refuse unknown contact fields, CRM fields that the cached schema does not have or cannot give, and odd transforms."""
        spec, schema = _contact_spec(self.contact_field), _schema(self)
        mapped = bool(self.value_map)
        if problem := compatibility.inbound_problem(spec, self.external_field, schema, mapped=mapped):
            raise ValidationError({"external_field": problem})
        found = schema.get(self.external_field)
        _check_transform(self, found.type if found else None, spec)

    @property
    def transform(self) -> Transform:
        """What happens to a value on its way in."""
        return _transform(self)

    def warnings(self, specs: Specs | None = None, schema: Schema | None = None) -> list[str]:
        """What the mapping will not do, in words; from the cached schema. Give both where many are asked in a row."""
        spec = (specs if specs is not None else field_specs()).get(self.contact_field)
        if spec is None:
            return []
        fields = schema if schema is not None else _schema(self)
        found = compatibility.inbound_warnings(spec, self.external_field, fields, self.transform)
        return found + _unused_default(self)


class OutboundMapping(models.Model):
    """Contact field → CRM field. The phone number of an existing CRM record is never written."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="outbound_mappings")
    contact_field = models.CharField(max_length=63)
    external_field = models.CharField("CRM field", max_length=255)
    blank_policy = models.CharField(max_length=16, choices=BlankPolicy.choices, default=BlankPolicy.IGNORE)

    case = models.CharField(max_length=5, choices=Case.choices, blank=True, default="")
    value_map = models.JSONField(
        default=dict, blank=True, help_text='Contact value → CRM value, like {"true": "Yes"}.'
    )
    default_value = models.CharField(
        max_length=255, blank=True, help_text="Written where the giving side is blank and so is the other."
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "external_field"], name="one_outbound_per_external_field"
            )
        ]

    def __str__(self) -> str:
        return f"{self.contact_field} → {self.external_field}"

    def clean(self) -> None:
        """Refuse unknown contact fields, CRM fields that cannot be written or cannot hold the type, and odd transforms."""
        spec, schema = _contact_spec(self.contact_field), _schema(self)
        mapped = bool(self.value_map)
        if problem := compatibility.outbound_problem(spec, self.external_field, schema, mapped=mapped):
            raise ValidationError({"external_field": problem})
        _check_transform(self, spec.type, compatibility.spec_of(self.external_field, schema))

    @property
    def transform(self) -> Transform:
        """What happens to a value on its way out."""
        return _transform(self)

    def warnings(self, specs: Specs | None = None, schema: Schema | None = None) -> list[str]:
        """What the mapping will not do, in words; from the cached schema. Give both where many are asked in a row."""
        spec = (specs if specs is not None else field_specs()).get(self.contact_field)
        if spec is None:
            return []
        fields = schema if schema is not None else _schema(self)
        found = compatibility.outbound_warnings(spec, self.external_field, fields, self.transform)
        return found + _unused_default(self)


class AnalysisMapping(models.Model):
    """Analysis field → contact field, for the whole organisation."""

    analysis_field = models.CharField(
        max_length=255, help_text="The name of the analysis value, as the agent defines it."
    )
    contact_field = models.CharField(max_length=63)
    update_mode = models.CharField(max_length=16, choices=UpdateMode.choices, default=UpdateMode.OVERWRITE)
    review = models.CharField(
        max_length=9,
        choices=Review.choices,
        default=Review.AUTOMATIC,
        help_text="Of merges: written at once, or only when a person has accepted them.",
    )
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["analysis_field", "contact_field"], name="one_analysis_mapping_per_pair"
            )
        ]

    def __str__(self) -> str:
        return f"{self.analysis_field} → {self.contact_field} ({self.get_update_mode_display()})"

    def clean(self) -> None:
        """Never the phone number; merge is for text only."""
        spec = _contact_spec(self.contact_field)
        if self.contact_field == "phone_number":
            raise ValidationError({"contact_field": "The phone number is never written by an analysis."})
        if self.contact_field == "contact_memory":
            raise ValidationError({"contact_field": "The memory is rewritten from the conversation itself."})
        if self.update_mode == UpdateMode.MERGE and spec.type != FieldType.STRING:
            raise ValidationError({"update_mode": "Only string fields can be merged."})


def _contact_spec(name: str) -> FieldSpec:
    spec = field_specs().get(name)
    if spec is None:
        raise ValidationError(
            {"contact_field": f"There is no contact field named “{name}”. Add the custom field first."}
        )
    return spec


def _transform(mapping: InboundMapping | OutboundMapping) -> Transform:
    pairs = tuple((str(given), str(held)) for given, held in mapping.value_map.items())
    case = Letters(mapping.case) if mapping.case in Case.values else Letters.KEEP
    return Transform(case, pairs, mapping.default_value.strip())


def _check_transform(
    mapping: InboundMapping | OutboundMapping, giving: FieldType | None, target: FieldSpec
) -> None:
    """Refuse a transform that cannot work, or that the phone number or an opt-out may not have."""
    _check_shape(mapping.value_map)
    transform = mapping.transform
    if mapping.contact_field == "phone_number" and transform != Transform():
        raise ValidationError("The phone number is brought into one form by itself; it takes no transform.")
    if mapping.contact_field == "do_not_call" and transform.default:
        raise ValidationError({"default_value": "An opt-out is somebody's word; it has no default."})
    if problems := compatibility.transform_problems(transform, giving, target):
        raise ValidationError(dict(problems))


def _check_shape(value_map: object) -> None:
    texts = isinstance(value_map, dict) and all(
        isinstance(given, str) and isinstance(held, str) and max(len(given), len(held)) <= 255
        for given, held in value_map.items()
    )
    if not texts:
        raise ValidationError(
            {"value_map": 'Use an object of texts (at most 255 characters each), like {"Yes": "true"}.'}
        )


def _unused_default(mapping: InboundMapping | OutboundMapping) -> list[str]:
    if not mapping.default_value or mapping.blank_policy != BlankPolicy.CLEAR:
        return []
    return ["The default is never used: with this blank policy a blank is carried over as it is."]


def _schema(mapping: InboundMapping | OutboundMapping) -> dict[str, ExternalField]:
    return mapping.connection.external_fields() if mapping.connection_id else {}


def mappings_of_field(name: str) -> list[str]:
    """Every mapping that reads or writes a contact field, in words; a field in use cannot be removed."""
    inbound = InboundMapping.objects.filter(contact_field=name).select_related("connection")
    outbound = OutboundMapping.objects.filter(contact_field=name).select_related("connection")
    uses = [f"inbound mapping {row} of {row.connection}" for row in inbound]
    uses += [f"outbound mapping {row} of {row.connection}" for row in outbound]
    return uses + [f"analysis mapping {row}" for row in AnalysisMapping.objects.filter(contact_field=name)]
