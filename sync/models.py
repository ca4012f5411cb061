"""The sync's memory: links with their settled pairs, runs, what waits to be pushed, and what needs a person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from contacts.models import Contact
from integrations.models import Connection
from sync.import_job import ContactImport, ImportPiece

__all__ = [
    "ContactImport", "ExternalRecord", "ImportPiece", "PendingPush", "RecordState", "RunState", "SyncIssue", "SyncRun",
    "UndoRequest", "WakeUp", "counts_in_words",
]  # fmt: skip


class RecordState(models.TextChoices):
    """How an external record stands to us."""

    LINKED = "linked", "linked"
    CREATING = "creating", "being created"
    SKIPPED = "skipped", "skipped"
    GONE = "gone", "deleted in the CRM"


class ExternalRecord(models.Model):
    """The remembered link between a contact and a CRM record, or why there is none.

    `settled` holds for each rule the pair [remote, local] of the last agreement; `fingerprint` the raw mapped values and
    mapping version it was made of, so that an unchanged record costs no plan and no write.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="records")
    external_id = models.CharField(max_length=64, null=True, blank=True)
    contact = models.ForeignKey(
        Contact, on_delete=models.SET_NULL, null=True, blank=True, related_name="records"
    )
    state = models.CharField(max_length=10, choices=RecordState.choices, default=RecordState.LINKED)
    reason = models.CharField(max_length=32, blank=True, help_text="Why the record is skipped.")
    number = models.CharField(
        max_length=16, blank=True, help_text="The record's phone number in E.164, where it has one."
    )
    settled = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    skipped_fields = models.JSONField(default=dict, blank=True)
    fingerprint = models.CharField(max_length=32, blank=True)
    remote_modified_at = models.DateTimeField(null=True, blank=True)
    seen_run_id = models.BigIntegerField(null=True, blank=True)
    push_epoch = models.BigIntegerField(
        default=0, help_text="The connection's epoch when the record was last pushed."
    )
    create_sent_at = models.DateTimeField(
        null=True, blank=True, help_text="When its creation was sent and not yet answered."
    )
    created_here = models.BooleanField(default=False, help_text="We created this CRM record.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "external_id"], name="one_row_per_external_id"),
            models.UniqueConstraint(
                fields=["connection", "contact"],
                condition=models.Q(contact__isnull=False),
                name="one_record_per_contact",
            ),
        ]
        indexes = [
            models.Index(fields=["connection", "number"], name="record_number"),
            models.Index(fields=["connection", "state", "reason"], name="record_state"),
        ]

    def __str__(self) -> str:
        return f"{self.connection} {self.external_id}"


class RunState(models.TextChoices):
    """Where a run stands."""

    QUEUED = "queued", "queued"
    RUNNING = "running", "running"
    WAITING = "waiting", "waiting for approval"
    SUCCEEDED = "succeeded", "succeeded"
    PARTIAL = "partial", "partly done"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


class SyncRun(models.Model):
    """One execution of an inbound sync, with counts and outcome; it survives the worker that runs it."""

    class Kind(models.TextChoices):
        INCREMENTAL = "incremental", "what changed"
        FULL = "full", "everything"
        RECONCILE = "reconcile", "everything, and what is gone"

    class Trigger(models.TextChoices):
        MANUAL = "manual", "by a person"
        CRON = "cron", "by schedule"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="runs")
    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.INCREMENTAL)
    trigger = models.CharField(max_length=8, choices=Trigger.choices, default=Trigger.CRON)
    requested_by = models.CharField(max_length=150, blank=True)
    state = models.CharField(max_length=10, choices=RunState.choices, default=RunState.QUEUED)
    counts = models.JSONField(default=dict, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(null=True, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.CharField(max_length=500, blank=True)
    overwrites = models.PositiveIntegerField(
        default=0,
        help_text="Values overwritten or cleared and contacts removed so far; more than the limit waits for a person.",
    )
    held = models.JSONField(
        default=list, blank=True, help_text="The diff of the chunk that waits for approval."
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.CharField(max_length=150, blank=True)
    api_calls = models.PositiveIntegerField(default=0)
    rules_version = models.CharField(
        max_length=32, blank=True, help_text="Of the rules that the run began with."
    )
    listed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the CRM's listing had been read to its end."
    )
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    claimed_until = models.DateTimeField(null=True, blank=True)
    cursor_before = models.TextField(blank=True)
    cursor = models.TextField(blank=True, help_text="Where the run goes on; stored with the work it covers.")
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection"],
                condition=models.Q(state__in=[RunState.QUEUED, RunState.RUNNING, RunState.WAITING]),
                name="one_open_run_per_connection",
            )
        ]
        indexes = [models.Index(fields=["state", "next_attempt_at"], name="run_due")]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.connection}"

    @property
    def ref(self) -> str:
        """How history rows point at the run."""
        return f"run:{self.pk}"

    @property
    def open(self) -> bool:
        """Whether it still has work to do."""
        return self.state in {RunState.QUEUED, RunState.RUNNING, RunState.WAITING}

    @property
    def duration(self) -> timedelta | None:
        """From start to end, or to now."""
        return ((self.finished_at or timezone.now()) - self.started_at) if self.started_at else None

    def count(self, **more: int) -> None:
        """Add to the counts by outcome."""
        for name, number in more.items():
            if number:
                self.counts[name] = self.counts.get(name, 0) + number


class PendingPush(models.Model):
    """A contact that may have to be pushed to one CRM. Ten edits are one row; what to write is computed when it runs."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="pending_pushes")
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="pending_pushes")
    urgent = models.BooleanField(default=False)
    version = models.PositiveIntegerField(
        default=1, help_text="Rises with every touch, so that one during a push is not lost."
    )
    unread = models.BooleanField(
        default=False,
        help_text="A pull has left the record to this push, unread: read even while nothing may be pushed.",
    )
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    claimed_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "pending pushes"
        constraints = [models.UniqueConstraint(fields=["connection", "contact"], name="one_pending_push")]
        indexes = [
            models.Index(fields=["connection", "-urgent", "due_at"], name="push_due"),
            models.Index(fields=["connection"], condition=models.Q(unread=True), name="push_unread"),
        ]

    def __str__(self) -> str:
        return f"push of contact {self.contact_id} to {self.connection}"


class SyncIssue(models.Model):
    """One thing that needs a person or a retry. One open row per connection, kind, record and field."""

    class State(models.TextChoices):
        OPEN = "open", "open"
        PARKED = "parked", "parked"
        IGNORED = "ignored", "ignored"
        RESOLVED = "resolved", "resolved"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="issues")
    kind = models.CharField(max_length=32, help_text="What went wrong, as a code.")
    contact = models.ForeignKey(
        Contact, on_delete=models.CASCADE, null=True, blank=True, related_name="issues"
    )
    external_id = models.CharField(max_length=64, blank=True)
    field = models.CharField(max_length=255, blank=True, help_text="The field at fault.")
    message = models.CharField(max_length=500, help_text="What happened, in plain words.")
    advice = models.CharField(max_length=500, blank=True, help_text="What to do.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    request_id = models.CharField(
        max_length=100,
        blank=True,
        help_text="The CRM's id of the call that it refused last; its support can look it up.",
    )
    count = models.PositiveIntegerField(default=1, help_text="How many records or attempts share this cause.")
    detail = models.JSONField(default=dict, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_retry_at = models.DateTimeField(
        null=True, blank=True, help_text="When it is tried again by itself; empty: by a person."
    )
    acted_by = models.CharField(
        max_length=150, blank=True, help_text="Who last retried, ignored or closed it."
    )
    first_at = models.DateTimeField(default=timezone.now)
    last_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-last_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "kind", "external_id", "field"],
                condition=models.Q(state__in=["open", "parked"], contact__isnull=True),
                name="one_open_issue_without_contact",
            ),
            models.UniqueConstraint(
                fields=["connection", "kind", "contact", "external_id", "field"],
                condition=models.Q(state__in=["open", "parked"], contact__isnull=False),
                name="one_open_issue_per_contact",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "kind"], name="issue_state_kind"),
            models.Index(
                fields=["next_retry_at"],
                condition=models.Q(next_retry_at__isnull=False),
                name="issue_retry_due",
            ),
        ]

    def __str__(self) -> str:
        return self.message


class UndoRequest(models.Model):
    """A person's wish to take back what a run, a conversation or one change wrote; it survives the worker that does it."""

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    ref = models.CharField(max_length=80, help_text="What is taken back, like “run:12” or “change:7”.")
    words = models.CharField(max_length=150, help_text="The same for people.")
    requested_by = models.CharField(max_length=150)
    state = models.CharField(max_length=8, choices=State.choices, default=State.QUEUED)
    position = models.BigIntegerField(default=0, help_text="The last contact that is done with.")
    looked_at = models.PositiveIntegerField(default=0)
    contacts = models.PositiveIntegerField(default=0)
    restored = models.PositiveIntegerField(default=0)
    skipped = models.JSONField(default=dict, blank=True, help_text="Reason → fields that were not restored.")
    stays_here = models.JSONField(
        default=dict, blank=True, help_text="Connection → restored fields that its records do not get."
    )
    attempts = models.PositiveIntegerField(
        default=0, help_text="Tries since the last batch that was written."
    )
    error = models.CharField(max_length=200, blank=True, help_text="Why it failed, in plain words.")
    claimed_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["ref"],
                condition=models.Q(state__in=["queued", "running"]),
                name="one_open_undo_per_ref",
            )
        ]

    def __str__(self) -> str:
        return f"undo of {self.words}"


class WakeUp(models.Model):
    """Whether a wake-up of the workers is already on its way; one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    pending = models.BooleanField(default=False)
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return "pending" if self.pending else "idle"


def counts_in_words(counts: dict[str, Any]) -> str:
    """The counts of a run in one line."""
    return (
        ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items()) or "nothing to do"
    )
