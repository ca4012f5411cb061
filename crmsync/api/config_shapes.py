"""The CRM config as the API writes and reads it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from contacts.models import ContactTag, CustomField
from contacts.values import FieldType
from crmsync.api.base import Choice, Shape, TagId, Text, epoch_ms, without_blanks
from crmsync.organisation import DEFAULT_MEMORY_PROMPT, Organisation, linked_connection
from integrations.providers.base import ExternalField
from mappings.models import AnalysisMapping, UpdateMode
from sync.models import RunState, SyncRun

FIELD_TYPES = [kind.value for kind in FieldType]


class FieldShape(Shape):
    """A custom field."""

    name = Text(max_length=63, help_text="snake_case; fixed once the field exists.")
    type = Choice(FIELD_TYPES, help_text="Fixed once the field exists.")
    label = Text(required=False, allow_blank=True, max_length=120)  # type: ignore[assignment]
    description = Text(required=False, allow_blank=True, max_length=5000, help_text="A merge follows it.")
    options = serializers.ListField(
        child=Text(max_length=255),
        required=False,
        max_length=500,
        help_text="Required for enum, else ignored.",
    )


class AnalysisMappingShape(Shape):
    """Which analysis value goes to which contact field, and how."""

    analysis_data_name = Text(max_length=255)
    field_name = Text(max_length=63, help_text="Built-in or custom; never phone_number.")  # type: ignore[assignment]
    update_mode = Choice(UpdateMode.values, help_text="merge is for string fields only.")


class ConfigTagShape(Shape):
    """A tag that contacts can have."""

    id = TagId(min_length=32, max_length=32, help_text="32 hex digits, unique; kept in lower case.")
    label = Text(max_length=120)  # type: ignore[assignment]

    def validate_id(self, value: str) -> str:
        """Hex digits only."""
        if not all(letter in "0123456789abcdef" for letter in value):
            raise serializers.ValidationError("A tag id has 32 hex digits.", code="tag_id")
        return value


class ConfigUpdateShape(Shape):
    """A part of the CRM config. Omitted keys stay; a sent key replaces the stored value whole."""

    app_id = Text(
        required=False, allow_null=True, help_text="The CRM app of first rank; null stops all syncing."
    )
    custom_fields = serializers.ListField(child=FieldShape(), required=False, max_length=500)
    crm_analysis_data_mappings = serializers.ListField(
        child=AnalysisMappingShape(), required=False, max_length=1000
    )
    contact_tags = serializers.ListField(
        child=ConfigTagShape(), required=False, allow_null=True, max_length=1000
    )
    contact_columns_order = serializers.ListField(
        child=Text(max_length=63),
        required=False,
        max_length=500,
        help_text="Kept for clients; not used here.",
    )
    contact_memory_update_prompt = Text(required=False, allow_null=True, allow_blank=True, max_length=20_000)


class FieldAnswer(serializers.Serializer):
    """A field."""

    name = serializers.CharField()
    type = Choice(FIELD_TYPES)
    label = serializers.CharField(required=False)  # type: ignore[assignment]
    description = serializers.CharField(required=False)
    options = serializers.ListField(child=serializers.CharField(), required=False)


class AnalysisMappingAnswer(serializers.Serializer):
    """Which analysis value goes to which contact field, and how."""

    analysis_data_name = serializers.CharField()
    field_name = serializers.CharField()  # type: ignore[assignment]
    update_mode = Choice(UpdateMode.values)


class ConfigTagAnswer(serializers.Serializer):
    """A tag that contacts can have."""

    id = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]


@extend_schema_field({"type": "string", "nullable": True})
class Prompt(serializers.CharField):
    """A prompt, or null for the built-in one."""


class ConfigShape(serializers.Serializer):
    """The CRM config."""

    org_id = serializers.CharField()
    app_id = serializers.CharField(required=False, help_text="The connected CRM app of first rank.")
    custom_fields = FieldAnswer(many=True)
    crm_analysis_data_mappings = AnalysisMappingAnswer(many=True)
    contact_tags = ConfigTagAnswer(many=True)
    contact_columns_order = serializers.ListField(child=serializers.CharField())
    contact_memory_update_prompt = Prompt(allow_null=True)
    default_contact_memory_update_prompt = serializers.CharField()
    last_sync_timestamp = serializers.IntegerField(
        required=False, help_text="End of the last successful sync."
    )


class CrmSchemaShape(serializers.Serializer):
    """The contact fields of a CRM."""

    provider = serializers.CharField()
    fields = FieldAnswer(many=True)  # type: ignore[assignment]  # the contract's key, which the framework uses too


def config_document() -> dict[str, Any]:
    """The CRM config as JSON; with nothing set up it is an empty one."""
    organisation, linked = Organisation.current(), linked_connection()
    document = {
        "org_id": organisation.org_id,
        "app_id": linked.public_id if linked else None,
        "custom_fields": [_field(field) for field in CustomField.objects.all()],
        "crm_analysis_data_mappings": [
            {
                "analysis_data_name": m.analysis_field,
                "field_name": m.contact_field,
                "update_mode": m.update_mode,
            }
            for m in AnalysisMapping.objects.all()
        ],
        "contact_tags": list(
            ContactTag.objects.filter(listed=True).order_by("position", "label").values("id", "label")
        ),
        "contact_columns_order": organisation.contact_columns,
        "default_contact_memory_update_prompt": DEFAULT_MEMORY_PROMPT,
        "last_sync_timestamp": _last_sync(),
    }
    return without_blanks(document) | {
        "contact_memory_update_prompt": organisation.contact_memory_prompt or None
    }


def _field(field: CustomField) -> dict[str, Any]:
    document = {
        "name": field.name,
        "type": field.type,
        "label": field.label,
        "description": field.description,
    }
    return without_blanks(document | {"options": field.options if field.type == FieldType.ENUM else None})


def _last_sync() -> int | None:
    runs = SyncRun.objects.filter(
        connection__enabled=True, state=RunState.SUCCEEDED, finished_at__isnull=False
    )
    last = runs.order_by("-finished_at").values_list("finished_at", flat=True).first()
    return epoch_ms(last) if last else None


def external_field_document(field: ExternalField) -> dict[str, Any]:
    """A CRM field in the shape of a custom field."""
    options = [option.value for option in field.options if option.active]
    document = {
        "name": field.name,
        "type": field.type.value,
        "label": field.label,
        "description": field.description,
    }
    return without_blanks(document | {"options": options if field.type is FieldType.ENUM else None})
