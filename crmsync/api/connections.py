"""The app calls: a script creates a connection with its mappings, tests it, changes it and deletes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError as ModelError
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crmsync.api.base import ApiView, Choice, QueryWhole, Shape, Text, documented, note, read
from crmsync.api.connection_shapes import (
    AppCreateShape,
    AppShape,
    AppUpdateShape,
    app_documents,
    read_credentials,
)
from crmsync.api.contact_shapes import AnyObject
from crmsync.api.errors import NotHere, Refused, from_model, invalid
from crmsync.api.paging import DEFAULT_LIMIT, MOST, Wanted, page
from crmsync.api_keys import Scope
from crmsync.config_watch import as_replaced
from crmsync.organisation import Organisation
from integrations.connections import forget_token, set_credentials, test_connection
from integrations.models import Connection
from integrations.providers.registry import PROVIDERS
from mappings.models import InboundMapping, OutboundMapping

MOST_PER_PROVIDER = 20
_APP_ID = re.compile(r"app_[0-9a-f]{24}")
BY_ID = [("app_id", "The app.")]
_MAPPING_NAMES = {"external_field": "external_field_name", "contact_field": "field_name"}
_LOOPBACK = ("localhost", "127.", "::1")


class AppListQuery(Shape):
    """Which apps to list."""

    limit = QueryWhole(
        required=False, min_value=1, help_text=f"{DEFAULT_LIMIT} by default; more than {MOST} means {MOST}."
    )
    pagination_key = Text(required=False, max_length=500)
    sort_order = Choice(
        ["ascending", "descending"], required=False, help_text="By creation; descending by default."
    )
    privacy_scope = Choice(
        ["standard", "pci"], required=False, help_text="All apps here are standard: pci lists none."
    )


class AppUsageQuery(Shape):
    """Which usages to list."""

    limit = QueryWhole(required=False, min_value=1)
    pagination_key = Text(required=False, max_length=500)
    sort_order = Choice(["ascending", "descending"], required=False)


class AppDeleteQuery(Shape):
    """How to delete."""

    force_delete = Choice(
        ["true", "false"], required=False, help_text="Accepted; nothing here can hold an app back."
    )


class AppPageShape(serializers.Serializer):
    """One page of apps."""

    items = AppShape(many=True)
    has_more = serializers.BooleanField()
    pagination_key = serializers.CharField(required=False)


class AppUsagesShape(serializers.Serializer):
    """Who uses an app: agents and knowledge bases, of which this server has none."""

    items = serializers.ListField(child=AnyObject())
    has_more = serializers.BooleanField()


class AuthTestShape(serializers.Serializer):
    """Whether the CRM accepted the credentials."""

    success = serializers.BooleanField()


class CreateApp(ApiView):
    """A new connection."""

    scopes = (Scope.CONFIGURE,)

    @documented("create_app", "app", body=AppCreateShape, answer=AppShape, status=201, creates=True)
    def post(self, request: Request) -> Response:
        """Create an app. Without inbound mappings it gets the one of the phone number."""
        body = read(AppCreateShape, request.data)
        provider = body["provider"]
        entry = PROVIDERS[provider]
        credentials = read_credentials(provider, body["auth_config"]) if "auth_config" in body else {}
        crm = {
            "inbound_sync_mappings": [
                {"external_field_name": entry.phone_field, "field_name": "phone_number"}
            ],
            **body.get("crm_config", {}),
        }
        with transaction.atomic():
            Organisation.take_turn()
            if Connection.objects.filter(provider=provider).count() >= MOST_PER_PROVIDER:
                raise Refused(f"There are {MOST_PER_PROVIDER} {provider} apps already, which is the limit.")
            connection = Connection(
                provider=provider, name=body.get("name") or entry.label, rank=_last_rank()
            )
            # The caller gets the time of one interval to finish its set-up before the clock starts a sync.
            connection.next_sync_at = timezone.now() + connection.interval + timedelta(seconds=1)
            _describe(connection, body)
            set_credentials(connection, credentials)
            _configure(connection, crm)
        note(request, "app_created", app=connection.public_id)
        return Response(app_documents([connection])[0], 201)


class UpdateApp(ApiView):
    """Changes to a connection."""

    scopes = (Scope.CONFIGURE,)

    @documented("update_app", "app", body=AppUpdateShape, answer=AppShape, paths=BY_ID)
    def patch(self, request: Request, app_id: str) -> Response:
        """Change an app; all or nothing. Provider and type are fixed."""
        find_app(app_id)
        for fixed in ("provider", "type"):
            if isinstance(request.data, Mapping) and fixed in request.data:
                raise invalid(fixed, f"The {fixed} of an app cannot change.", "fixed")
        body = read(AppUpdateShape, request.data)
        with transaction.atomic():
            Organisation.take_turn()
            _change(find_app(app_id), body)
        note(request, "app_changed", app=app_id, parts=sorted(body))
        return Response(app_documents([find_app(app_id)])[0])


class GetApp(ApiView):
    """One connection."""

    scopes = (Scope.CONFIGURE,)

    @documented("get_app", "app", answer=AppShape, paths=BY_ID)
    def get(self, _request: Request, app_id: str) -> Response:
        """Read an app."""
        return Response(app_documents([find_app(app_id)])[0])


class ListApps(ApiView):
    """All connections."""

    scopes = (Scope.CONFIGURE,)

    @documented("list_apps", "app", query=AppListQuery, answer=AppPageShape)
    def get(self, request: Request) -> Response:
        """List apps."""
        query = read(AppListQuery, request.query_params)
        rows = Connection.objects.prefetch_related("inbound_mappings", "outbound_mappings")
        if query.get("privacy_scope") == "pci":
            rows = rows.none()
        newest_first = query.get("sort_order", "descending") == "descending"
        wanted = Wanted(query.get("limit", DEFAULT_LIMIT), query.get("pagination_key", ""), newest_first)
        return Response(page(rows, wanted, by="created_at", documents=app_documents))


class DeleteApp(ApiView):
    """The end of a connection."""

    scopes = (Scope.CONFIGURE,)

    @documented("delete_app", "app", query=AppDeleteQuery, answer=None, status=204, paths=BY_ID)
    def delete(self, request: Request, app_id: str) -> Response:
        """Delete an app with its mappings and links; contacts and their history stay."""
        read(AppDeleteQuery, request.query_params)
        find_app(app_id).delete()
        note(request, "app_deleted", app=app_id)
        return Response(status=204)


class TestAppAuth(ApiView):
    """A try of the credentials."""

    __test__ = False  # a call of the API, not a test of ours
    scopes = (Scope.CONFIGURE,)

    @documented("test_app_auth", "app", answer=AuthTestShape, paths=BY_ID)
    def post(self, _request: Request, app_id: str) -> Response:
        """Make one small authenticated call; the outcome is kept as the app's connection_status."""
        return Response({"success": test_connection(find_app(app_id))})


class ListAppUsages(ApiView):
    """Who uses a connection."""

    scopes = (Scope.CONFIGURE,)

    @documented("list_app_usages", "app", query=AppUsageQuery, answer=AppUsagesShape, paths=BY_ID)
    def get(self, request: Request, app_id: str) -> Response:
        """List the agents and knowledge bases that use an app: always none, as this server keeps neither."""
        read(AppUsageQuery, request.query_params)
        find_app(app_id)
        return Response({"items": [], "has_more": False})


def find_app(app_id: str) -> Connection:
    """The connection with this public id. Raises NotHere."""
    connection = Connection.objects.filter(public_id=app_id).first() if _APP_ID.fullmatch(app_id) else None
    if connection is None:
        raise NotHere("No app has this id.")
    return connection


def _change(connection: Connection, body: Mapping[str, Any]) -> None:
    """Store what was sent, in the transaction of the caller."""
    before = connection.tenant_url
    if "name" in body:
        connection.name = body["name"]
    _describe(connection, body)
    if "auth_config" in body:
        set_credentials(connection, read_credentials(connection.provider, body["auth_config"]))
    elif connection.tenant_url != before and connection.credentials:
        raise invalid(
            "auth_config",
            "A new tenant_url needs the auth_config with it: stored credentials are never sent to a new address.",
            "required",
        )
    elif connection.tenant_url != before:
        forget_token(connection)
    else:
        connection.save(update_fields=["name", "tenant_url", "updated_at"])
    _configure(connection, body.get("crm_config", {}))


def _last_rank() -> int:
    worst = Connection.objects.aggregate(worst=Max("rank"))["worst"]
    return 10 if worst is None else int(worst) + 10


def _describe(connection: Connection, body: Mapping[str, Any]) -> None:
    """Take over address and CRM settings, and check the connection as a whole."""
    if "tenant_url" in body:
        connection.tenant_url = body["tenant_url"].rstrip("/")
        _check_address(connection.tenant_url)
    try:
        connection.full_clean()
    except ModelError as error:
        raise from_model(error) from None


def _check_address(url: str) -> None:
    if not url:
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host or parts.path or parts.query or "@" in parts.netloc:
        raise invalid(
            "tenant_url", "The address must look like https://acme.my.salesforce.com.", "tenant_url"
        )
    insecure = parts.scheme == "http" or host.startswith(_LOOPBACK)
    if insecure and not settings.CRMSYNC_ALLOW_INSECURE_CRM_URLS:
        raise invalid("tenant_url", "Plain http and loopback addresses are refused.", "tenant_url")


def _configure(connection: Connection, crm: Mapping[str, Any]) -> None:
    switches = {key: crm[key] for key in ("sync_conversation_activity", "sync_new_contacts") if key in crm}
    if switches:
        for name, value in switches.items():
            setattr(connection, name, value)
        connection.save(update_fields=[*switches, "updated_at"])
    if "inbound_sync_mappings" in crm:
        pairs = crm["inbound_sync_mappings"]
        if not any(pair["field_name"] == "phone_number" for pair in pairs):
            raise invalid(
                "crm_config.inbound_sync_mappings",
                "One mapping must target phone_number.",
                "phone_number_required",
            )
        with as_replaced():
            _replace(InboundMapping, connection, pairs, "inbound_sync_mappings")
    if "outbound_sync_mappings" in crm:
        with as_replaced():
            _replace(OutboundMapping, connection, crm["outbound_sync_mappings"], "outbound_sync_mappings")


def _replace(
    model: type[InboundMapping] | type[OutboundMapping],
    connection: Connection,
    pairs: Sequence[Mapping[str, str]],
    key: str,
) -> None:
    """Make the mappings what was sent, in that order; a pair that stays keeps the policies an operator gave it."""
    rows: Any = model.objects.filter(connection=connection)
    kept = {(row.external_field, row.contact_field): row for row in rows}
    rows.delete()
    for position, pair in enumerate(pairs):
        row = kept.get((pair["external_field_name"], pair["field_name"])) or model(
            connection=connection,
            external_field=pair["external_field_name"],
            contact_field=pair["field_name"],
        )
        row.pk = None
        row._state.adding = True
        try:
            row.full_clean()
        except ModelError as error:
            raise from_model(error, f"crm_config.{key}.{position}", _MAPPING_NAMES) from None
        row.save(force_insert=True)
