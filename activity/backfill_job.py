"""The job that applies mappings or the memory to stored conversations again, as a row that workers take forward."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Backfill(models.Model):
    """What is applied again to which conversations, and how far it is. One is open at a time."""

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        DONE = "done", "done"
        CANCELLED = "cancelled", "cancelled"

    mappings = models.JSONField(default=list, blank=True, help_text="Ids of the analysis mappings.")
    memory = models.BooleanField(default=False, help_text="Rewrite the memory too.")
    agents = models.JSONField(
        default=list,
        blank=True,
        help_text='Of these agents only, like [{"agent_id": "…", "version": ["3"]}].',
    )
    times = models.JSONField(
        default=list,
        blank=True,
        help_text='Started then only, like [["ge", milliseconds], ["lt", milliseconds]].',
    )
    state = models.CharField(max_length=9, choices=State.choices, default=State.QUEUED)
    open = models.BooleanField(null=True, default=True, unique=True, editable=False)
    trigger = models.CharField(max_length=8, default="manual", editable=False)
    by = models.CharField(max_length=200, blank=True)
    contacts = models.PositiveIntegerField(default=0, help_text="Contacts in all.")
    done = models.PositiveIntegerField(default=0, help_text="Contacts dealt with.")
    changed = models.PositiveIntegerField(default=0, help_text="Contacts that were changed.")
    failed = models.PositiveIntegerField(default=0, help_text="Contacts that could not be dealt with.")
    conversations = models.PositiveIntegerField(default=0, help_text="Conversations applied.")
    counts = models.JSONField(default=dict, blank=True, help_text="Outcomes, by word.")
    note = models.CharField(max_length=300, blank=True)
    cursor = models.BigIntegerField(default=0, help_text="The last contact that is through.")
    attempts = models.PositiveIntegerField(default=0, help_text="At the contact in hand.")
    due_at = models.DateTimeField(default=timezone.now)
    claimed_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"backfill {self.pk} ({self.get_state_display()})"

    @property
    def ref(self) -> str:
        """How history rows point at the job."""
        return f"backfill:{self.pk}"
