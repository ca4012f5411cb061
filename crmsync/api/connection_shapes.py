"""Apps as the API writes and reads them: a connection with its credentials (never shown) and its mappings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crmsync.api.base import Choice, Shape, Text, Truth, epoch_ms, only, without_blanks
from crmsync.api.contact_shapes import AnyObject
from crmsync.api.errors import invalid
from crmsync.organisation import Organisation
from integrations.models import Connection, ConnectionStatus
from integrations.providers.registry import PROVIDERS
from mappings.models import InboundMapping, OutboundMapping


@dataclass(frozen=True, slots=True)
class AuthForm:
    """How one kind of credentials travels: the API's `type` and its keys → our names; `shown` may be read back."""

    type: str
    keys: Mapping[str, str]
    shown: tuple[str, ...] = ()


# By the credentials of a set that a provider takes, so that a new provider fits without a change here.
AUTH_FORMS: Mapping[tuple[str, ...], AuthForm] = {
    ("client_id", "client_secret"): AuthForm(
        "oauth2", {"client_id": "client_id", "client_secret": "client_secret"}, ("client_id",)
    ),
    ("client_id", "username", "private_key"): AuthForm(
        "oauth2",
        {"client_id": "client_id", "username": "username", "private_key": "private_key"},
        ("client_id",),  # what the contract's answer has room for
    ),
    ("access_token",): AuthForm("api_key", {"api_key": "access_token"}),
}


def auth_forms(provider: str) -> list[AuthForm]:
    """The forms of credentials that the provider takes, the usual one first."""
    return [AUTH_FORMS[names] for names in PROVIDERS[provider].credential_sets]


def _object(required: Sequence[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _only(value: str) -> dict[str, Any]:
    return {"type": "string", "enum": [value]}


_SECRET = {"type": "string", "writeOnly": True}


@extend_schema_field(
    {
        "description": "Which form a provider takes is in the documentation; secrets are stored encrypted.",
        "oneOf": [
            _object(
                ["type", "client_id", "client_secret"],
                type=_only("oauth2"),
                client_id={"type": "string"},
                client_secret=_SECRET,
            ),
            _object(
                ["type", "client_id", "username", "private_key"],
                type=_only("oauth2"),
                client_id={"type": "string"},
                username={"type": "string"},
                private_key=_SECRET | {"description": "PEM text, for the JWT bearer flow."},
            ),
            _object(["type", "api_key"], type=_only("api_key"), api_key=_SECRET),
        ],
    }
)
class AuthRequest(AnyObject):
    """Credentials as they arrive."""


@extend_schema_field(
    {
        "description": "What is not secret of the credentials.",
        "oneOf": [
            _object(["type", "client_id"], type=_only("oauth2"), client_id={"type": "string"}),
            _object(["type"], type=_only("api_key")),
        ],
    }
)
class AuthAnswer(AnyObject):
    """Credentials without their secrets."""


class SyncMappingShape(Shape):
    """One pair of a CRM field and a contact field."""

    external_field_name = Text(max_length=255, help_text="The CRM's contact field.")
    field_name = Text(max_length=63, help_text="The contact field, built-in or custom.")  # type: ignore[assignment]


class AppCrmShape(Shape):
    """How the app syncs. A sent key replaces its value whole; omitted keys stay."""

    inbound_sync_mappings = serializers.ListField(
        child=SyncMappingShape(),
        required=False,
        max_length=500,
        help_text="CRM → contact; must include phone_number.",
    )
    outbound_sync_mappings = serializers.ListField(
        child=SyncMappingShape(), required=False, max_length=500, help_text="Contact → CRM."
    )
    sync_conversation_activity = Truth(
        required=False, help_text="Log calls and chats in the CRM; false by default."
    )
    sync_new_contacts = Truth(
        required=False, help_text="Create a CRM record after a conversation with an unlinked contact."
    )


class AppUpdateShape(Shape):
    """What of an app can be changed. Omitted keys stay."""

    auth_config = AuthRequest(required=False)
    crm_config = AppCrmShape(required=False)
    name = Text(required=False, max_length=120)
    tenant_url = Text(
        required=False, allow_blank=True, max_length=255, help_text="The CRM's address for the company."
    )
    tenant_id = Text(required=False, help_text="No provider of this server uses one: refused.")

    def validate_tenant_id(self, _value: str) -> str:
        """Refuse a setting that would do nothing."""
        raise serializers.ValidationError("No provider of this server uses a tenant_id.", code="unsupported")


class AppCreateShape(AppUpdateShape):
    """A new app."""

    provider = Choice(sorted(PROVIDERS))
    type = only("crm")

    def validate_type(self, value: str) -> str:
        """Only CRMs."""
        if value != "crm":
            raise serializers.ValidationError(
                "This server connects CRMs only: the type must be crm.", code="unsupported"
            )
        return value


class SyncMappingAnswer(serializers.Serializer):
    """One pair of a CRM field and a contact field."""

    external_field_name = serializers.CharField()
    field_name = serializers.CharField()  # type: ignore[assignment]


class AppCrmAnswer(serializers.Serializer):
    """How the app syncs."""

    inbound_sync_mappings = SyncMappingAnswer(many=True)
    outbound_sync_mappings = SyncMappingAnswer(many=True)
    sync_conversation_activity = serializers.BooleanField()
    sync_new_contacts = serializers.BooleanField()


class AppShape(serializers.Serializer):
    """An app: one authorised account in a CRM."""

    app_id = serializers.CharField(help_text='"app_" and 24 hex digits.')
    org_id = serializers.CharField()
    provider = Choice(sorted(PROVIDERS))
    type = only("crm")
    created_timestamp = serializers.IntegerField(help_text="Epoch milliseconds.")
    user_modified_timestamp = serializers.IntegerField(help_text="Epoch milliseconds.")
    name = serializers.CharField()
    auth_config = AuthAnswer(required=False)
    connection_status = Choice(ConnectionStatus.values)
    crm_config = AppCrmAnswer()
    tenant_url = serializers.CharField(required=False)


def read_credentials(provider: str, sent: Mapping[str, Any]) -> dict[str, str]:
    """The credentials in an auth_config, by our names. Raises ValidationError."""
    forms = auth_forms(provider)
    if sent.get("type") not in {form.type for form in forms}:
        wanted = " or ".join(dict.fromkeys(form.type for form in forms))
        raise invalid("auth_config.type", f"{provider} takes an auth_config of type {wanted}.", "auth_type")
    given = sent.keys() - {"type"}
    form = next((form for form in forms if given <= form.keys.keys()), forms[0])
    for key in (*form.keys, *(key for key in sent if key != "type")):
        if key not in form.keys:
            raise invalid(f"auth_config.{key}", "There is no such key in this auth_config.", "unknown_key")
        if not isinstance(sent.get(key), str) or not sent[key].strip():
            raise invalid(f"auth_config.{key}", "A text is required.", "required")
    return {ours: sent[key].strip() for key, ours in form.keys.items()}


def app_documents(connections: Sequence[Connection]) -> list[dict[str, Any]]:
    """Connections as JSON; secrets stay out."""
    org_id = Organisation.current().org_id
    return [_document(connection, org_id) for connection in connections]


def _document(connection: Connection, org_id: str) -> dict[str, Any]:
    form = _form_of(connection)
    shown = {key: connection.credentials.get(form.keys[key], "") for key in form.shown}
    return without_blanks(
        {
            "app_id": connection.public_id,
            "org_id": org_id,
            "provider": connection.provider,
            "type": "crm",
            "created_timestamp": epoch_ms(connection.created_at),
            "user_modified_timestamp": epoch_ms(connection.updated_at),
            "name": connection.name,
            "auth_config": {"type": form.type, **shown} if connection.credentials else None,
            "connection_status": connection.status,
            "crm_config": {
                "inbound_sync_mappings": _pairs(connection.inbound_mappings.all()),
                "outbound_sync_mappings": _pairs(connection.outbound_mappings.all()),
                "sync_conversation_activity": connection.sync_conversation_activity,
                "sync_new_contacts": connection.sync_new_contacts,
            },
            "tenant_url": connection.tenant_url,
        }
    )


def _form_of(connection: Connection) -> AuthForm:
    """The form of the credentials that are stored."""
    forms, held = auth_forms(connection.provider), connection.credentials.keys()
    return next((form for form in forms if set(form.keys.values()) <= held), forms[0])


def _pairs(rows: Any) -> list[dict[str, str]]:
    mappings: list[InboundMapping | OutboundMapping] = list(rows)
    return [{"external_field_name": row.external_field, "field_name": row.contact_field} for row in mappings]
