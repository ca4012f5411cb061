"""Contacts as the API writes and reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from contacts.models import Contact, ContactTag, field_specs
from contacts.values import BUILT_IN, MEMORY_LIMIT, DoesNotFit, FieldSpec, FieldType, Value, coerce
from crmsync.api.base import Shape, TagId, Text, Truth, epoch_ms, without_blanks
from crmsync.api.errors import invalid
from crmsync.organisation import Organisation, leading_connection
from sync.models import ExternalRecord, RecordState

BODY_FIELDS = ("first_name", "last_name", "do_not_call", "contact_memory")
_JSON_TYPES: Mapping[FieldType, tuple[tuple[type, ...], str]] = {
    FieldType.STRING: ((str,), "a text"),
    FieldType.NUMBER: ((int, float), "a number"),
    FieldType.BOOLEAN: ((bool,), "true or false"),
    FieldType.DATE: ((str,), "a text like 2026-05-14"),
    FieldType.DATETIME: ((str,), "a text like 2026-05-14T09:30:00Z"),
    FieldType.ENUM: ((str,), "one of the field's options"),
}


@extend_schema_field({"type": "object", "additionalProperties": True})
class AnyObject(serializers.JSONField):
    """A JSON object of any content."""

    default_error_messages: ClassVar = {"invalid": "A JSON object is needed."}

    def to_internal_value(self, data: Any) -> Any:
        """The object."""
        if not isinstance(data, dict):
            self.fail("invalid")
        return data


class ContactUpdateShape(Shape):
    """What of a contact can be changed. Omitted keys stay as they are."""

    first_name = Text(required=False, allow_blank=True, max_length=255, help_text='"" clears it.')
    last_name = Text(required=False, allow_blank=True, max_length=255, help_text='"" clears it.')
    do_not_call = Truth(required=False, help_text="An explicit false lifts an opt-out.")
    custom_fields = AnyObject(required=False, help_text="Values by field name; null clears one. Others stay.")
    contact_tag_ids = serializers.ListField(
        child=TagId(max_length=32), required=False, max_length=1000, help_text="The full set of tag ids."
    )
    contact_memory = Text(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=MEMORY_LIMIT,
        help_text="The running brief about the contact; null clears it.",
    )


class ContactCreateShape(ContactUpdateShape):
    """A new contact."""

    phone_number = Text(max_length=40, help_text="Any usual spelling; kept in E.164.")


class TagShape(serializers.Serializer):
    """A tag of a contact."""

    id = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]


class ContactShape(serializers.Serializer):
    """A contact. Optional keys are left out when they hold nothing."""

    contact_id = serializers.CharField(help_text='"contact_" and 24 hex digits.')
    org_id = serializers.CharField()
    phone_number = serializers.CharField(help_text="E.164.")
    created_timestamp = serializers.IntegerField(help_text="Epoch milliseconds.")
    first_name = serializers.CharField(required=False)
    last_name = serializers.CharField(required=False)
    do_not_call = serializers.BooleanField()
    custom_fields = AnyObject(help_text="Values by field name; blank fields are left out.")
    external_id = serializers.CharField(
        required=False, help_text="The linked record in the CRM of first rank."
    )
    contact_tags = TagShape(many=True)
    contact_memory = serializers.CharField(required=False, help_text="The running brief about the contact.")
    conversation_count = serializers.IntegerField()
    last_conversation_timestamp = serializers.IntegerField(required=False, help_text="Epoch milliseconds.")
    user_modified_timestamp = serializers.IntegerField(
        required=False, help_text="Epoch milliseconds of the last change by a person or a key."
    )


def contact_documents(contacts: Sequence[Contact]) -> list[dict[str, Any]]:
    """Contacts as JSON, with a fixed number of queries whatever their number."""
    org_id, specs = Organisation.current().org_id, field_specs()
    ids = [contact.pk for contact in contacts]
    links = _external_ids(ids)
    tags: dict[int, list[dict[str, str]]] = {}
    rows = ContactTag.objects.filter(contacts__in=ids, listed=True).values_list("contacts", "id", "label")
    for contact_id, tag_id, label in rows:
        tags.setdefault(contact_id, []).append({"id": tag_id, "label": label})
    return [_document(c, org_id, specs, links.get(c.pk), tags.get(c.pk, [])) for c in contacts]


def _external_ids(contact_ids: Sequence[int]) -> dict[int, str]:
    leading = leading_connection()
    rows = ExternalRecord.objects.filter(
        connection=leading, contact_id__in=contact_ids, state=RecordState.LINKED, external_id__isnull=False
    )
    return {
        contact_id or 0: found or "" for contact_id, found in rows.values_list("contact_id", "external_id")
    }


def _document(
    contact: Contact,
    org_id: str,
    specs: Mapping[str, FieldSpec],
    external_id: str | None,
    tags: list[dict[str, str]],
) -> dict[str, Any]:
    last, edited = contact.last_conversation_at, contact.user_modified_at
    return without_blanks(
        {
            "contact_id": contact.public_id,
            "org_id": org_id,
            "phone_number": contact.phone_number,
            "created_timestamp": epoch_ms(contact.created_at),
            "first_name": contact.first_name,
            "last_name": contact.last_name,
            "do_not_call": contact.do_not_call,
            "custom_fields": {name: held for name, held in contact.custom_fields.items() if name in specs},
            "external_id": external_id,
            "contact_memory": contact.contact_memory,
            "contact_tags": tags,
            "conversation_count": contact.conversation_count,
            "last_conversation_timestamp": last and epoch_ms(last),
            "user_modified_timestamp": edited and epoch_ms(edited),
        }
    )


def wanted_values(body: Mapping[str, Any]) -> dict[str, Value]:
    """The field values in a body, canonical, ready for the one door. Raises ValidationError naming every misfit."""
    built_in = {name: body[name] for name in BODY_FIELDS if name in body}
    specs = field_specs()
    values: dict[str, Value] = {name: coerce(value, specs[name]) for name, value in built_in.items()}
    misfits: dict[str, list[ErrorDetail]] = {}
    for name, raw in body.get("custom_fields", {}).items():
        try:
            values[name] = _custom_value(name, raw, specs)
        except DoesNotFit as error:
            misfits[f"custom_fields.{name}"] = [ErrorDetail(str(error), error.reason)]
    if misfits:
        raise ValidationError(misfits)
    return values


def _custom_value(name: str, raw: Any, specs: Mapping[str, FieldSpec]) -> Value:
    spec = specs.get(name)
    if spec is None or name in BUILT_IN:
        raise DoesNotFit(
            "unknown_field", "There is no custom field with this name; add it to the CRM config first."
        )
    if raw is None:
        return None
    types, words = _JSON_TYPES[spec.type]
    if not isinstance(raw, types) or (isinstance(raw, bool) and bool not in types):
        raise DoesNotFit("wrong_type", f"A {spec.type} field takes {words}, or null to clear it.")
    if spec.type is FieldType.ENUM and raw not in spec.options:
        raise DoesNotFit("unknown_option", "The value is not one of the field's options.")
    if raw == "" and spec.type is not FieldType.STRING:
        raise DoesNotFit("wrong_type", f"A {spec.type} field takes {words}; clear it with null.")
    return coerce(raw, spec)


def wanted_tags(ids: Sequence[str]) -> list[ContactTag]:
    """The tags with these ids. Raises ValidationError for one that the config does not list."""
    known = ContactTag.objects.filter(listed=True).in_bulk(list(ids))
    for position, tag_id in enumerate(ids):
        if tag_id not in known:
            raise invalid(
                f"contact_tag_ids.{position}", "The CRM config lists no tag with this id.", "unknown_tag"
            )
    return list(known.values())
