"""The CRM config calls: custom fields, analysis mappings, tags, the app of first rank, and the CRM's schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError as ModelError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.models import ContactTag, CustomField
from crmsync.api.base import ApiView, Shape, Text, documented, note, read
from crmsync.api.config_shapes import (
    ConfigShape,
    ConfigUpdateShape,
    CrmSchemaShape,
    config_document,
    external_field_document,
)
from crmsync.api.connections import find_app
from crmsync.api.errors import Refused, from_model, invalid
from crmsync.api_keys import Scope
from crmsync.organisation import Organisation, linked_connection, rank_first
from integrations.connections import refresh_schema
from integrations.models import Connection
from integrations.providers.errors import ProviderError
from mappings.models import AnalysisMapping
from sync.models import RunState, SyncRun

_MAPPING_NAMES = {"analysis_field": "analysis_data_name", "contact_field": "field_name"}


class SchemaQuery(Shape):
    """Whose schema."""

    app_id = Text(required=False, help_text="The linked app by default.")


class GetCrmConfig(ApiView):
    """The config, read."""

    scopes = (Scope.CONFIGURE, Scope.READ_CONTACTS)

    @documented("get_crm_config", "crm", answer=ConfigShape)
    def get(self, _request: Request) -> Response:
        """Read the CRM config; an empty one when nothing is set up."""
        return Response(config_document())


class UpdateCrmConfig(ApiView):
    """The config, changed."""

    scopes = (Scope.CONFIGURE,)

    @documented("update_crm_config", "crm", body=ConfigUpdateShape, answer=ConfigShape)
    def post(self, request: Request) -> Response:
        """Change parts of the CRM config; all or nothing."""
        body = read(ConfigUpdateShape, request.data)
        with transaction.atomic():
            Organisation.take_turn()
            for key, store in _STEPS:
                if key in body:
                    store(body[key])
            if "custom_fields" in body:
                _remove_fields(body["custom_fields"])
        note(request, "config_changed", parts=sorted(body))
        return Response(config_document())


class GetCrmSchema(ApiView):
    """The CRM's fields."""

    scopes = (Scope.CONFIGURE,)

    @documented("get_crm_schema", "crm", query=SchemaQuery, answer=CrmSchemaShape)
    def get(self, request: Request) -> Response:
        """Read the contact fields of the linked CRM, or of another app, as they are now."""
        query = read(SchemaQuery, request.query_params)
        connection = find_app(query["app_id"]) if query.get("app_id") else linked_connection()
        if connection is None:
            raise Refused("No CRM app is linked. Name one with app_id.")
        try:
            refresh_schema(connection)
        except ProviderError as error:
            raise Refused(f"{connection} does not tell its fields: {error.message}") from None
        fields = [external_field_document(field) for field in connection.external_fields().values()]
        return Response({"provider": connection.provider, "fields": fields})


def _store_fields(wanted: Sequence[Mapping[str, Any]]) -> None:
    """Add and change fields; those left out go last, when no mapping needs them any more."""
    _no_repeats("custom_fields", "name", [field["name"] for field in wanted])
    known = {field.name: field for field in CustomField.objects.all()}
    for position, sent in enumerate(wanted):
        field = known.get(sent["name"]) or CustomField(name=sent["name"])
        field.type, field.position = sent["type"], position
        field.label, field.description = sent.get("label", ""), sent.get("description", "")
        field.options = sent.get("options", [])
        try:
            field.full_clean()
        except ModelError as error:
            raise from_model(error, f"custom_fields.{position}") from None
        field.save()


def _remove_fields(wanted: Sequence[Mapping[str, Any]]) -> None:
    for field in CustomField.objects.exclude(name__in=[sent["name"] for sent in wanted]):
        try:
            field.delete()
        except ModelError as error:  # FieldInUse
            raise invalid("custom_fields", " ".join(error.messages), "field_in_use") from None


def _store_mappings(wanted: Sequence[Mapping[str, str]]) -> None:
    """Rows of pairs that stay are kept: what they did to earlier conversations hangs on them."""
    known = {(row.analysis_field, row.contact_field): row for row in AnalysisMapping.objects.all()}
    pairs = [(sent["analysis_data_name"], sent["field_name"]) for sent in wanted]
    _no_repeats("crm_analysis_data_mappings", "field_name", pairs)
    for pair in known.keys() - set(pairs):
        known[pair].delete()
    for position, (sent, pair) in enumerate(zip(wanted, pairs, strict=True)):
        row = known.get(pair) or AnalysisMapping(analysis_field=pair[0], contact_field=pair[1])
        row.update_mode, row.position = sent["update_mode"], position
        try:
            row.full_clean()
        except ModelError as error:
            raise from_model(error, f"crm_analysis_data_mappings.{position}", _MAPPING_NAMES) from None
        row.save()


def _store_tags(wanted: Sequence[Mapping[str, str]] | None) -> None:
    """A tag left out is no longer listed, yet stays on the contacts that have it: listed again, it shows again."""
    tags = [(sent["id"], sent["label"]) for sent in wanted or []]
    _no_repeats("contact_tags", "id", [tag_id for tag_id, _ in tags])
    _no_repeats("contact_tags", "label", [label for _, label in tags])
    for tag in ContactTag.objects.filter(listed=True).exclude(pk__in=[tag_id for tag_id, _ in tags]):
        tag.listed = False
        tag.save(update_fields=["listed"])
    holder = dict(ContactTag.objects.filter(listed=True).values_list("label", "pk"))
    swapped = [holder[label] for tag_id, label in tags if holder.get(label, tag_id) != tag_id]
    ContactTag.objects.filter(pk__in=swapped).update(listed=False)  # a label has room for one tag
    for position, (tag_id, label) in enumerate(tags, 1):
        held = {"label": label, "listed": True, "position": position}
        ContactTag.objects.update_or_create(pk=tag_id, defaults=held)


def _no_repeats(key: str, part: str, values: Sequence[Any]) -> None:
    for position, value in enumerate(values):
        if value in values[:position]:
            raise invalid(f"{key}.{position}.{part}", "This is in the list twice.", "repeated")


def _store_columns(wanted: Sequence[str]) -> None:
    organisation = Organisation.current()
    organisation.contact_columns = list(wanted)
    organisation.save(update_fields=["contact_columns"])


def _store_prompt(wanted: str | None) -> None:
    organisation = Organisation.current()
    organisation.contact_memory_prompt = wanted or None
    organisation.save(update_fields=["contact_memory_prompt"])


def _link(app_id: str | None) -> None:
    """Link an app: it syncs from now on, outranks the others and reads everything anew. None: nothing syncs any more."""
    linked = linked_connection()
    if app_id is None:
        _cancel_waiting(Connection.objects.filter(enabled=True))
        for one in Connection.objects.filter(enabled=True).only("pk", "name", "enabled"):
            one.enabled = False
            one.save(update_fields=["enabled"])
        return
    connection = find_app(app_id)
    if linked is not None and linked.pk == connection.pk:
        return
    _cancel_waiting(Connection.objects.filter(pk=connection.pk))
    connection.enabled, connection.cursor = True, ""
    connection.next_sync_at = timezone.now() + connection.interval
    connection.save(update_fields=["enabled", "cursor", "next_sync_at"])
    rank_first(connection)


def _cancel_waiting(connections: QuerySet[Connection]) -> None:
    """End the runs that no worker holds: their cursor is void, and they must not bar the next run."""
    now = timezone.now()
    waiting = SyncRun.objects.filter(
        Q(claimed_until=None) | Q(claimed_until__lte=now), connection__in=connections
    )
    waiting.filter(state__in=[RunState.QUEUED, RunState.RUNNING]).update(
        state=RunState.CANCELLED, finished_at=now
    )


# In this order: a mapping may target a field of the same request.
_STEPS: tuple[tuple[str, Callable[[Any], None]], ...] = (
    ("custom_fields", _store_fields),
    ("crm_analysis_data_mappings", _store_mappings),
    ("contact_tags", _store_tags),
    ("contact_columns_order", _store_columns),
    ("contact_memory_update_prompt", _store_prompt),
    ("app_id", _link),
)
