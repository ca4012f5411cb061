"""The organisation: the few settings that belong to no connection, and which connection comes first."""

from __future__ import annotations

import secrets
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from activity.governance import Governance, recent
from contacts.models import field_specs
from contacts.values import FieldType
from integrations.models import Connection

DEFAULT_MEMORY_PROMPT = (
    "Rewrite the brief about this contact so that it includes what the conversation added. Keep names, "
    "preferences, promises with their dates, and open questions. Drop greetings and small talk. When the "
    "conversation contradicts the brief, the conversation is right. Write at most 200 words of plain text."
)


def new_org_id() -> str:
    """A public organisation id: "org_" and 24 hex digits."""
    return "org_" + secrets.token_hex(12)


class Organisation(models.Model):
    """Settings of the whole installation; one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    org_id = models.CharField(max_length=32, default=new_org_id, editable=False)
    contact_memory_prompt = models.TextField(
        null=True, blank=True, help_text="How a contact's memory is rewritten. Empty: the built-in prompt."
    )
    contact_memory = models.BooleanField(
        default=False, help_text="Rewrite a contact's memory after each conversation."
    )
    contact_memory_reviewed = models.BooleanField(
        default=False, help_text="A rewritten memory waits until a person has accepted it."
    )
    merge_budget = models.DecimalField(
        max_digits=10,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="The most that merges may cost in a calendar month (UTC). Empty: CRMSYNC_MERGE_BUDGET.",
    )
    reject_field = models.CharField(
        max_length=63,
        blank=True,
        help_text="Inbound calls and SMS of contacts whose field of this name is true are rejected, "
        "for example do_not_call. Empty: none.",
    )
    contact_columns = models.JSONField(
        default=list, blank=True, help_text="The order in which API clients like to show contact fields."
    )

    def __str__(self) -> str:
        return self.org_id

    def save(self, *args: Any, **kwargs: Any) -> None:
        """The doors hear of new rules at once."""
        super().save(*args, **kwargs)
        recent.forget()

    def clean(self) -> None:
        """Only a true-or-false field can reject callers."""
        spec = field_specs().get(self.reject_field)
        if self.reject_field and (spec is None or spec.type != FieldType.BOOLEAN):
            raise ValidationError({"reject_field": "There is no true-or-false contact field of this name."})

    @classmethod
    def current(cls) -> Organisation:
        """The row, made at first use."""
        return cls.objects.get_or_create(pk=1)[0]

    @classmethod
    def take_turn(cls) -> Organisation:
        """The row, locked: whoever changes the setup in this transaction does it alone, until the transaction ends."""
        cls.current()
        return cls.objects.select_for_update(no_key=True).get(pk=1)


def governance() -> Governance:
    """The organisation's rules for conversations."""
    row = Organisation.objects.filter(pk=1).first() or Organisation()
    return Governance(
        memory=row.contact_memory,
        memory_prompt=row.contact_memory_prompt or DEFAULT_MEMORY_PROMPT,
        memory_reviewed=row.contact_memory_reviewed,
        budget=row.merge_budget,
        reject_field=row.reject_field,
    )


def linked_connection() -> Connection | None:
    """The connection that API clients see as "the CRM app": the first in rank of those that sync."""
    return Connection.objects.filter(enabled=True).defer("credentials", "token").first()


def leading_connection() -> Connection | None:
    """Whose links API clients see as `external_id`: the linked one, or the first in rank when all are off."""
    return Connection.objects.order_by("-enabled", "rank", "id").defer("credentials", "token").first()


def rank_first(connection: Connection) -> None:
    """Let `connection` outrank all others, whose order stays."""
    others = Connection.objects.exclude(pk=connection.pk).only("pk", "name", "rank")
    for position, one in enumerate([connection, *others], 1):
        one.rank = position * 10
        one.save(update_fields=["rank"])
