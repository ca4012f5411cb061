"""What is kept of conversations: the raw deliveries, the conversation, what was merged, and what was logged where."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models.expressions import RawSQL
from django.utils import timezone

from activity.backfill_job import Backfill
from contacts.models import Contact
from integrations.models import Connection
from mappings.merge import keep_both
from mappings.models import AnalysisMapping

__all__ = [
    "ActivityEntry", "AppliedMapping", "Backfill", "BadSignatures", "Conversation", "MergeReview", "WebhookDelivery",
]  # fmt: skip


class WebhookDelivery(models.Model):
    """One verified raw request, stored before it is answered; unique by event, id and body."""

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        DONE = "done", "done"
        KEPT = "kept", "kept, not used"
        PARKED = "parked", "parked"

    event = models.CharField(max_length=64)
    conversation_key = models.CharField(
        max_length=255, blank=True, help_text="The call or chat id in the body."
    )
    body_hash = models.CharField(max_length=64)
    body = models.BinaryField()
    headers = models.JSONField(default=dict)
    received_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    note = models.CharField(max_length=500, blank=True, help_text="What was done and why.")
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    claimed_until = models.DateTimeField(null=True, blank=True)
    processed_at = models.DateTimeField(null=True, blank=True)
    answer = models.JSONField(
        default=dict, blank=True, help_text="What it was answered, exactly: what the agent knew."
    )

    class Meta:
        verbose_name_plural = "webhook deliveries"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["event", "conversation_key", "body_hash"], name="one_delivery_per_body"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(state="pending"), name="delivery_due"),
            models.Index(fields=["conversation_key"], name="delivery_conversation"),
            models.Index(fields=["-id"], condition=models.Q(state="parked"), name="delivery_parked"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.conversation_key}"


class Conversation(models.Model):
    """One call or chat. Later and fuller events add to it; nothing known is lost to a poorer one."""

    class Kind(models.TextChoices):
        CALL = "call", "call"
        CHAT = "chat", "chat"

    class Channel(models.TextChoices):
        PHONE = "phone", "phone call"
        WEB_CALL = "web_call", "web call"
        SMS = "sms", "SMS"
        WHATSAPP = "whatsapp", "WhatsApp"
        WEB_CHAT = "web_chat", "web chat"

    key = models.CharField(max_length=255, unique=True, help_text="The platform's id of the call or chat.")
    kind = models.CharField(max_length=4, choices=Kind.choices)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    contact = models.ForeignKey(
        Contact, on_delete=models.SET_NULL, null=True, blank=True, related_name="conversations"
    )
    agent_id = models.CharField(max_length=255, blank=True)
    agent_version = models.CharField(max_length=32, blank=True)
    agent_name = models.CharField(max_length=255, blank=True)
    direction = models.CharField(max_length=8, blank=True)
    from_number = models.CharField(max_length=32, blank=True)
    to_number = models.CharField(max_length=32, blank=True)
    status = models.CharField(max_length=32, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    duration_ms = models.PositiveBigIntegerField(null=True, blank=True)
    disconnection_reason = models.CharField(max_length=64, blank=True)
    summary = models.TextField(blank=True)
    sentiment = models.CharField(max_length=16, blank=True)
    successful = models.BooleanField(null=True, blank=True)
    in_voicemail = models.BooleanField(null=True, blank=True)
    analysis = models.JSONField(default=dict, blank=True, help_text="The custom analysis values.")
    ended = models.BooleanField(default=False, help_text="Its end has been reported.")
    analyzed = models.BooleanField(default=False, help_text="The analysis has arrived.")
    counted = models.BooleanField(default=False, help_text="It has been counted on the contact.")
    transcript = models.TextField(blank=True)
    recording_url = models.TextField(blank=True)
    variables = models.JSONField(
        default=dict, blank=True, help_text="The dynamic variables the agent was given."
    )
    answer = models.JSONField(
        null=True,
        blank=True,
        help_text="What we answered, exactly, when the platform asked about it; blank: it was not asked.",
    )
    payload = models.JSONField(default=dict, blank=True)
    note = models.CharField(max_length=500, blank=True)
    attached_by = models.CharField(
        max_length=200,
        blank=True,
        help_text="Who said which contact it belongs to, where the number did not.",
    )
    apply_due_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the analysis mappings are to be applied; blank: nothing is due.",
    )
    apply_attempts = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True, blank=True)
    applied_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the analysis mappings were first through; mappings added later wait for a backfill.",
    )
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes = [
            models.Index(
                fields=["apply_due_at"],
                condition=models.Q(apply_due_at__isnull=False),
                name="conversation_apply_due",
            ),
            models.Index(fields=["contact", "-started_at", "-id"], name="conversation_of_contact"),
            models.Index(fields=["-started_at", "-id"], name="conversation_latest"),
            models.Index(fields=["created_at", "id"], name="conversation_arrived"),
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()} {self.key}"

    @property
    def ref(self) -> str:
        """How history rows point at the conversation."""
        return f"conversation:{self.pk}"

    @property
    def moment(self) -> datetime:
        """When it took place, as well as we know."""
        return self.started_at or self.ended_at or self.created_at

    @property
    def person_number(self) -> str:
        """The number of the person spoken with, as given: the dialled one on outbound, the caller's on all others."""
        return self.to_number if self.direction == "outbound" else self.from_number


class AppliedMapping(models.Model):
    """That an analysis mapping was applied to a conversation, and with what outcome; a replay finds it and does nothing."""

    class Outcome(models.TextChoices):
        WRITTEN = "written", "written"
        UNCHANGED = "unchanged", "unchanged"
        KEPT = "kept", "kept what was there"
        SKIPPED = "skipped", "skipped"
        WAITING = "waiting", "waits for a review"

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="applied")
    mapping = models.ForeignKey(AnalysisMapping, on_delete=models.SET_NULL, null=True, related_name="applied")
    analysis_field = models.CharField(max_length=255)
    contact_field = models.CharField(max_length=63)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reason = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["conversation", "mapping"], name="applied_once"),
            models.UniqueConstraint(
                fields=["conversation"],
                condition=models.Q(mapping=None, contact_field="contact_memory"),
                name="remembered_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.analysis_field} → {self.contact_field}: {self.outcome}"


class MergeReview(models.Model):
    """One merge of an old and a new text: what went in, what came out, how, at what price, and who let it through."""

    class State(models.TextChoices):
        ASKING = "asking", "the LLM is being asked"
        ANSWERED = "answered", "answered, not used yet"
        WAITING = "waiting", "waits for a review"
        AGAIN = "again", "is being merged again"
        APPLIED = "applied", "applied"
        KEPT_BOTH = "kept_both", "both texts kept"
        APART = "apart", "not merged yet"
        SUPERSEDED = "superseded", "the field moved on"
        REFUSED = "refused", "did not fit the field"
        REJECTED = "rejected", "rejected"
        LOST = "lost", "the answer was lost"

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="merges")
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="merges")
    mapping = models.ForeignKey(
        AnalysisMapping, on_delete=models.SET_NULL, null=True, blank=True, related_name="merges"
    )
    contact_field = models.CharField(max_length=63)
    old = models.TextField(blank=True)
    new = models.TextField(blank=True)
    kept = models.TextField(blank=True, help_text="What of the new text is kept when the two are not merged.")
    merged = models.TextField(blank=True)
    state = models.CharField(max_length=12, choices=State.choices)
    code = models.CharField(max_length=20, blank=True)
    reason = models.CharField(max_length=300, blank=True, help_text="Why both texts were kept.")
    model = models.CharField(max_length=120, blank=True)
    prompt_version = models.CharField(max_length=16, blank=True)
    input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    cost = models.DecimalField(max_digits=10, decimal_places=6, default=0)
    at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(
        null=True, blank=True, help_text="When the texts are to be merged after all; blank: nothing is due."
    )
    attempts = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True, blank=True)
    decided_by = models.CharField(max_length=200, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(due_at__isnull=False), name="merge_due"),
            models.Index(fields=["-id"], condition=models.Q(state="waiting"), name="merge_waiting"),
            models.Index(fields=["at"], name="merge_at"),
        ]

    def __str__(self) -> str:
        return f"merge of {self.contact_field}: {self.get_state_display()}"

    @property
    def both(self) -> str:
        """The two texts below each other."""
        return keep_both(self.old, self.kept or self.new)


class Entries(models.QuerySet["ActivityEntry"]):
    """What is logged, or to be."""

    def open(self) -> Entries:
        """Those that are to be sent or looked for. In literals: SQLite recognises an index of such a condition by them alone."""
        literally = "activity_activityentry.state IN ('pending', 'sending', 'unknown')"
        return self.filter(RawSQL(literally, (), output_field=models.BooleanField()))  # noqa: S611 (a constant)


class ActivityEntry(models.Model):
    """What is logged of a conversation in one CRM: intent first, result after."""

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        SENDING = "sending", "sending"
        UNKNOWN = "unknown", "outcome unknown"
        LOGGED = "logged", "logged"
        WAITING = "waiting", "no record to log on"
        PARKED = "parked", "parked"
        EXPIRED = "expired", "too old to be logged"

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="entries")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="entries")
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    kind = models.CharField(max_length=8, blank=True)
    contact_external_id = models.CharField(max_length=64, blank=True)
    external_id = models.CharField(max_length=64, blank=True)
    content_hash = models.CharField(
        max_length=64, blank=True, help_text="Of what was logged, to see when a later summary differs."
    )
    attempts = models.PositiveIntegerField(default=0)
    note = models.CharField(max_length=500, blank=True)
    asked = models.BooleanField(default=False, help_text="A person has asked for it, whatever its age.")
    took_place = models.DateTimeField(
        default=timezone.now, help_text="When the conversation took place; due ones are logged in this order."
    )
    due_at = models.DateTimeField(default=timezone.now)
    claimed_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    logged_at = models.DateTimeField(null=True, blank=True)

    objects = Entries.as_manager()

    class Meta:
        verbose_name_plural = "activity entries"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["conversation", "connection"], name="one_entry_per_crm")
        ]
        indexes = [
            models.Index(
                fields=["connection", "due_at"],
                condition=models.Q(state__in=["pending", "sending", "unknown"]),
                name="entry_due",
            ),
            models.Index(
                fields=["connection", "took_place", "id"],
                condition=models.Q(state__in=["pending", "sending", "unknown"]),
                name="entry_order",
            ),
            models.Index(
                fields=["connection", "claimed_until"],
                condition=models.Q(claimed_until__isnull=False),
                name="entry_claimed",
            ),
            models.Index(fields=["due_at"], condition=models.Q(state="waiting"), name="entry_waiting"),
            models.Index(fields=["-id"], condition=models.Q(state="parked"), name="entry_parked"),
            models.Index(
                fields=["connection", "logged_at"], condition=models.Q(state="logged"), name="entry_logged"
            ),
            models.Index(fields=["external_id"], name="entry_external"),
        ]

    def __str__(self) -> str:
        return f"{self.conversation} in {self.connection}: {self.get_state_display()}"


class BadSignatures(models.Model):
    """How many requests with a bad signature came on a day; the requests themselves are not kept."""

    day = models.DateField(unique=True)
    count = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.day}: {self.count}"
