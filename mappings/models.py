"""The mappings an operator sets up, with their checks when saved."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models

from contacts.models import field_specs
from contacts.values import FieldSpec, FieldType
from integrations.models import Connection
from integrations.providers.base import ExternalField
from mappings import compatibility


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

    def clean(self) -> None:
        """Refuse unknown contact fields, and CRM fields that the cached schema does not have or cannot give."""
        spec = _contact_spec(self.contact_field)
        if problem := compatibility.inbound_problem(spec, self.external_field, _schema(self)):
            raise ValidationError({"external_field": problem})


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
        """Refuse unknown contact fields, and CRM fields that cannot be written or cannot hold the type."""
        spec = _contact_spec(self.contact_field)
        if problem := compatibility.outbound_problem(spec, self.external_field, _schema(self)):
            raise ValidationError({"external_field": problem})


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


def _schema(mapping: InboundMapping | OutboundMapping) -> dict[str, ExternalField]:
    return mapping.connection.external_fields() if mapping.connection_id else {}


def mappings_of_field(name: str) -> list[str]:
    """Every mapping that reads or writes a contact field, in words; a field in use cannot be removed."""
    inbound = InboundMapping.objects.filter(contact_field=name).select_related("connection")
    outbound = OutboundMapping.objects.filter(contact_field=name).select_related("connection")
    uses = [f"inbound mapping {row} of {row.connection}" for row in inbound]
    uses += [f"outbound mapping {row} of {row.connection}" for row in outbound]
    return uses + [f"analysis mapping {row}" for row in AnalysisMapping.objects.filter(contact_field=name)]
