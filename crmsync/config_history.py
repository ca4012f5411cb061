"""The configuration history: every change of a setting, whichever door it came through, with who, when and what.

Rows are written in the transaction of the change they tell of (see crmsync.config_watch), so neither is there without the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from crmsync.acting import acting


class ConfigChange(models.Model):
    """One change of one thing that can be configured. It outlives what it is about, so it points at nothing."""

    class Action(models.TextChoices):
        ADDED = "added", "added"
        CHANGED = "changed", "changed"
        REMOVED = "removed", "removed"

    at = models.DateTimeField(default=timezone.now)
    who = models.CharField(max_length=150, help_text="A person, an API key, or what ran.")
    who_ref = models.CharField(max_length=40, blank=True)
    action = models.CharField(max_length=8, choices=Action.choices)
    kind = models.CharField(max_length=40, help_text="What was changed, like “connection”.")
    name = models.CharField(max_length=255)
    object_id = models.CharField(max_length=64)
    connection_ref = models.BigIntegerField(
        null=True, blank=True, help_text="Of the connection that it belongs to."
    )
    diff = models.JSONField(
        default=dict, encoder=DjangoJSONEncoder, help_text="Setting → [before, after], in words."
    )

    class Meta:
        verbose_name = "configuration change"
        verbose_name_plural = "configuration history"
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["kind", "object_id"], name="config_change_object"),
            models.Index(fields=["connection_ref"], name="config_change_connection"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.action} by {self.who}"


def record(
    action: str,
    kind: str,
    name: str,
    object_id: object,
    diff: Mapping[str, list[Any]],
    *,
    connection: int | None = None,
) -> None:
    """Write one row about whoever acts now. Call it in the transaction of the change."""
    who = acting()
    ConfigChange.objects.create(
        who=who.name[:150],
        who_ref=who.ref,
        action=action,
        kind=kind,
        name=name[:255],
        object_id=str(object_id),
        connection_ref=connection,
        diff=dict(diff),
    )
