"""Connections: one authorised account in a CRM, with its credentials, health, cached schema and cursor."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from contacts import phone
from contacts.values import FieldType
from integrations.activity_templates import problem_of
from integrations.providers.base import ExternalField, Option
from integrations.providers.registry import PROVIDERS
from integrations.secrets import EncryptedJSONField


def default_interval() -> int:
    """Minutes between the inbound syncs of a new connection, from the settings."""
    minutes: int = settings.CRMSYNC_SYNC_INTERVAL_MINUTES
    return minutes


def new_app_id() -> str:
    """A public connection id: "app_" and 24 hex digits."""
    return "app_" + secrets.token_hex(12)


class ConnectionStatus(models.TextChoices):
    """Whether the CRM accepts the credentials."""

    NOT_CONNECTED = "not_connected", "not connected"
    CONNECTED = "connected", "connected"
    ERROR = "error", "error"


class DeletePolicy(models.TextChoices):
    """What happens to a contact when its CRM record is deleted."""

    UNLINK = "unlink", "keep the contact, drop the link"
    ARCHIVE = "archive", "archive the contact"
    DELETE = "delete", "delete the contact"


class DuplicatePolicy(models.TextChoices):
    """Which of several CRM records with one number is linked."""

    LATEST = "latest", "the most recently changed record"
    OLDEST = "oldest", "the oldest record"
    ASK = "ask", "ask a person"


class Connection(models.Model):
    """One authorised account in a CRM."""

    Status = ConnectionStatus

    public_id = models.CharField(max_length=32, unique=True, default=new_app_id, editable=False)
    provider = models.CharField(
        max_length=32, choices=[(key, entry.label) for key, entry in PROVIDERS.items()]
    )
    name = models.CharField(max_length=120, help_text="How you tell this account from others.")
    rank = models.PositiveIntegerField(
        default=100, help_text="When two CRMs hold different values at first link, the lower rank wins."
    )
    tenant_url = models.CharField(
        "address", max_length=255, blank=True, help_text="The CRM's address for your company."
    )
    credentials = EncryptedJSONField(default=dict, blank=True, editable=False)
    token = EncryptedJSONField(default=dict, blank=True, editable=False)
    options = models.JSONField(
        default=dict, blank=True, help_text="Special settings of the provider; see docs/providers.md."
    )
    phone_region = models.CharField(
        max_length=2,
        blank=True,
        help_text="Country assumed for phone numbers without a country code. Blank: the server's default.",
    )
    enabled = models.BooleanField(
        default=True, help_text="Off: nothing is read, written or logged; everything is kept."
    )
    interval_minutes = models.PositiveIntegerField(
        default=default_interval,
        validators=[MinValueValidator(1), MaxValueValidator(1440)],
        help_text="Minutes between inbound syncs.",
    )
    sync_conversation_activity = models.BooleanField(
        "log conversations", default=False, help_text="Log every call and chat on the contact's CRM record."
    )
    activity_title = models.CharField(
        "title of what is logged",
        max_length=500,
        blank=True,
        help_text="A template, like “{{ kind }} with {{ contact_name }}”. Blank: the kind and the conversation's id.",
    )
    activity_body = models.TextField(
        "text of what is logged",
        blank=True,
        help_text="A template. Blank: the summary and a line for each thing that is known.",
    )
    sync_new_contacts = models.BooleanField(
        "create new contacts",
        default=False,
        help_text="Create a CRM record for a contact that has none after a conversation.",
    )
    phone_fields = models.JSONField(
        "further phone fields",
        default=list,
        blank=True,
        help_text="CRM fields to look into, in this order, when the mapped phone field holds no usable number.",
    )
    duplicate_policy = models.CharField(
        max_length=8, choices=DuplicatePolicy.choices, default=DuplicatePolicy.LATEST
    )
    delete_policy = models.CharField(max_length=8, choices=DeletePolicy.choices, default=DeletePolicy.UNLINK)

    overwrite_floor = models.PositiveIntegerField(
        default=100,
        help_text="A run or an hour of pushes may overwrite, clear or delete this many values before it asks.",
    )
    overwrite_percent = models.PositiveIntegerField(
        default=10,
        validators=[MaxValueValidator(100)],
        help_text="… or this share of the linked contacts, whichever is more.",
    )
    reconcile_hours = models.PositiveIntegerField(
        default=24,
        validators=[MinValueValidator(1), MaxValueValidator(24 * 14)],
        help_text="Hours between reconciliations, which re-read everything and find missed changes and purged records.",
    )

    status = models.CharField(
        max_length=16,
        choices=ConnectionStatus.choices,
        default=ConnectionStatus.NOT_CONNECTED,
        editable=False,
    )
    status_reason = models.CharField(max_length=300, blank=True, editable=False)
    account_name = models.CharField(max_length=200, blank=True, editable=False)
    web_base = models.CharField(
        max_length=255, blank=True, editable=False, help_text="Where people see records."
    )
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        editable=False,
        help_text="Of the account: its day of API calls ends at midnight.",
    )
    activity_fields = models.JSONField(
        default=list, blank=True, editable=False, help_text="What of an activity the CRM lets us write."
    )
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)
    pause_reason = models.CharField(max_length=300, blank=True, editable=False)
    quota = models.JSONField(default=dict, blank=True, editable=False)
    login_claimed_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="One process at a time asks for a new session."
    )
    login_refused = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text="Why the CRM refused these credentials; they are not tried again.",
    )
    credentials_version = models.PositiveIntegerField(
        default=0,
        editable=False,
        help_text="Rises with every change of credentials or address: what work in flight learns with the old is void.",
    )
    preflight = models.JSONField(default=list, blank=True, editable=False)
    preflight_at = models.DateTimeField(null=True, blank=True, editable=False)
    schema = models.JSONField(default=list, blank=True, editable=False)
    schema_at = models.DateTimeField(null=True, blank=True, editable=False)
    cursor = models.TextField(blank=True, editable=False)
    first_full_run_at = models.DateTimeField(null=True, blank=True, editable=False)
    armed_at = models.DateTimeField(null=True, blank=True, editable=False)
    armed_by = models.CharField(max_length=150, blank=True, editable=False)
    overwrites_since = models.DateTimeField(null=True, blank=True, editable=False)
    overwrites = models.PositiveIntegerField(default=0, editable=False)
    held_at = models.DateTimeField(null=True, blank=True, editable=False)
    pushes_approved_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Pushes that waited at this moment were approved by a person and are not counted.",
    )
    read_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the CRM's changes were last read to their end."
    )
    rules_version = models.CharField(
        max_length=32,
        blank=True,
        editable=False,
        help_text="Of the rules that the last full read was made with.",
    )
    next_reconcile_at = models.DateTimeField(null=True, blank=True, editable=False)
    push_epoch = models.BigIntegerField(
        default=0, editable=False, help_text="Rises before and after every batch that is pushed."
    )
    next_sync_at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["rank", "id"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse templates, regions, phone fields and addresses that cannot be used."""
        if problem := _phone_fields_problem(self.phone_fields, self.external_fields()):
            raise ValidationError({"phone_fields": problem})
        templates = {name: getattr(self, name) for name in ("activity_title", "activity_body")}
        if wrong := {name: words for name, text in templates.items() if (words := problem_of(text))}:
            raise ValidationError(wrong)
        if self.phone_region and not phone.is_region(self.phone_region):
            raise ValidationError({"phone_region": "Use a two-letter country code like US or DE."})
        entry = PROVIDERS.get(self.provider)
        insecure = settings.CRMSYNC_ALLOW_INSECURE_CRM_URLS
        if entry and (problem := entry.address_problem(self.tenant_url, allow_insecure=insecure)):
            raise ValidationError({"tenant_url": problem})

    @property
    def active(self) -> bool:
        """Whether work for this connection may run now."""
        paused = self.paused_until is not None and self.paused_until > timezone.now()
        return self.enabled and not paused and self.status != ConnectionStatus.ERROR

    @property
    def interval(self) -> timedelta:
        """Time between two inbound syncs."""
        return timedelta(minutes=self.interval_minutes)

    def external_fields(self) -> dict[str, ExternalField]:
        """The cached schema by field name; empty before the first check."""
        return {row["name"]: load_field(row) for row in self.schema}


def _phone_fields_problem(names: object, schema: dict[str, ExternalField]) -> str | None:
    """Why these cannot be the further phone fields, or None; an empty schema (not fetched yet) allows every name."""
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name.strip() == name != "" for name in names
    ):
        return "Use a list of CRM field names."
    if len(set(names)) < len(names):
        return "Name each field once."
    for name in names if schema else ():
        found = schema.get(name)
        if found is None:
            return f"The CRM has no contact field “{name}”, or hides it from this connection's user."
        if found.type not in {FieldType.STRING, FieldType.NUMBER}:
            return f"“{found.label}” is a {found.type} and holds no phone numbers."
    return None


class ApiUse(models.Model):
    """How many calls a connection made on one day (UTC), by what they were for."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="api_use")
    day = models.DateField()
    purpose = models.CharField(max_length=16)
    calls = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "day", "purpose"], name="one_use_per_day_and_purpose"
            )
        ]

    def __str__(self) -> str:
        return f"{self.calls} calls for {self.purpose} on {self.day}"


class Pace(models.Model):
    """When the next call under a shared rate limit may be sent; one row a limit, over all processes."""

    key = models.CharField(max_length=80, unique=True)
    free_at = models.FloatField(default=0.0, help_text="Seconds since 1970.")

    def __str__(self) -> str:
        return self.key


def dump_field(field: ExternalField) -> dict[str, Any]:
    """A schema field as JSON."""
    row = {name: getattr(field, name) for name in ExternalField.__slots__}
    row["type"] = field.type.value
    row["options"] = [[o.value, o.label, o.active] for o in field.options]
    return row


def load_field(row: dict[str, Any]) -> ExternalField:
    """The reverse of dump_field."""
    options = tuple(Option(value, label, active) for value, label, active in row["options"])
    return ExternalField(**{**row, "type": FieldType(row["type"]), "options": options})
