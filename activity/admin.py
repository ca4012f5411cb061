"""Conversations and what followed from them in the admin, read-only; a delivery can be replayed."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from activity.log import retry
from activity.models import (
    ActivityEntry,
    AppliedMapping,
    Backfill,
    Conversation,
    MergeReview,
    WebhookDelivery,
)
from activity.process import replay
from contacts import shown
from contacts.ledger import Ledger
from sync.admin import ByConnection


@admin.register(Conversation)
class ConversationAdmin(Ledger):
    """One call or chat."""

    list_display = ("key", "contact", "channel", "direction", "mood", "started")
    list_filter = ("channel",)
    list_select_related = ("contact",)
    search_fields = ("key__exact", "contact__phone_number__exact")
    search_help_text = "The platform's id, or a contact's number in E.164."
    exclude = ("payload",)

    def view_on_site(self, conversation: Conversation) -> str:
        """The conversation's page."""
        return reverse("conversation", args=[conversation.pk])

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        """Without the long columns."""
        return super().get_queryset(request).defer("payload", "contact__custom_fields", "contact__sources")

    @admin.display(description="sentiment", ordering="sentiment")
    def mood(self, conversation: Conversation) -> SafeString | str:
        """In colour."""
        return shown.chip(conversation.sentiment) if conversation.sentiment else "–"

    @admin.display(description="started", ordering="started_at")
    def started(self, conversation: Conversation) -> SafeString | str:
        """Its age."""
        return shown.moment(conversation.started_at)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(Ledger):
    """Every verified request, with what was done and why."""

    list_display = ("event", "conversation_key", "chip", "note", "received")
    list_filter = ("state",)
    search_fields = ("conversation_key__exact",)
    search_help_text = "The call or chat id."
    actions = ("replay_them",)

    def view_on_site(self, delivery: WebhookDelivery) -> str:
        """The delivery's page, with its body."""
        return reverse("delivery", args=[delivery.pk])

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        """Without the bodies."""
        return super().get_queryset(request).defer("body")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Operators."""
        return request.user.has_perm("activity.change_webhookdelivery")

    @admin.action(description="Replay: process them again", permissions=["replay"])
    def replay_them(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        """Make settled deliveries due again; what was applied once is not applied twice."""
        count = replay(queryset)
        messages.success(request, f"{count} deliveries will be processed again.")

    @admin.display(description="state", ordering="state")
    def chip(self, delivery: WebhookDelivery) -> SafeString:
        """In colour."""
        return shown.chip(delivery.get_state_display(), delivery.state)

    @admin.display(description="received", ordering="received_at")
    def received(self, delivery: WebhookDelivery) -> SafeString | str:
        """Its age."""
        return shown.moment(delivery.received_at)


@admin.register(AppliedMapping)
class AppliedMappingAdmin(Ledger):
    """What each analysis mapping did to each conversation's contact."""

    list_display = ("conversation", "analysis_field", "contact_field", "chip", "reason", "when")
    list_filter = ("outcome",)
    list_select_related = ("conversation",)

    @admin.display(description="outcome", ordering="outcome")
    def chip(self, applied: AppliedMapping) -> SafeString:
        """In colour."""
        return shown.chip(applied.get_outcome_display(), applied.outcome)

    @admin.display(description="at", ordering="at")
    def when(self, applied: AppliedMapping) -> SafeString | str:
        """Its age."""
        return shown.moment(applied.at)


@admin.register(MergeReview)
class MergeReviewAdmin(Ledger):
    """What went into a merge, what came out, and at what price."""

    list_display = ("contact", "contact_field", "chip", "model", "tokens", "cost", "when")
    list_filter = ("state",)
    list_select_related = ("contact",)

    @admin.display(description="state", ordering="state")
    def chip(self, merge: MergeReview) -> SafeString:
        """In colour."""
        return shown.chip(merge.get_state_display(), merge.state)

    @admin.display(description="tokens")
    def tokens(self, merge: MergeReview) -> str:
        """In and out."""
        return f"{merge.input_tokens} + {merge.output_tokens}"

    @admin.display(description="at", ordering="at")
    def when(self, merge: MergeReview) -> SafeString | str:
        """Its age."""
        return shown.moment(merge.at)


@admin.register(ActivityEntry)
class ActivityEntryAdmin(Ledger):
    """What is logged of conversations in the CRMs."""

    list_display = ("conversation", "connection", "kind", "chip", "external_id", "note", "logged")
    list_filter = ("state", ("connection", ByConnection))
    list_select_related = ("conversation", "connection")
    search_fields = ("external_id__exact", "conversation__key__exact")
    search_help_text = "The CRM object's id, or the call or chat id."
    actions = ("log_again",)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Operators."""
        return request.user.has_perm("activity.change_conversation")

    @admin.action(description="Log again: try what is stuck once more", permissions=["retry"])
    def log_again(self, request: HttpRequest, queryset: QuerySet[ActivityEntry]) -> None:
        """Make them due again, whatever their age; what may be in the CRM already is looked for first."""
        count = retry(queryset)
        messages.success(request, f"{count} {'entry is' if count == 1 else 'entries are'} tried again now.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ActivityEntry]:
        """Without the long columns of what they belong to."""
        long = (
            "conversation__payload",
            "conversation__transcript",
            "connection__schema",
            "connection__credentials",
            "connection__token",
        )
        return super().get_queryset(request).defer(*long)

    @admin.display(description="state", ordering="state")
    def chip(self, entry: ActivityEntry) -> SafeString:
        """In colour."""
        return shown.chip(entry.get_state_display(), entry.state)

    @admin.display(description="logged", ordering="logged_at")
    def logged(self, entry: ActivityEntry) -> SafeString | str:
        """Its age."""
        return shown.moment(entry.logged_at)


@admin.register(Backfill)
class BackfillAdmin(Ledger):
    """Mappings that were applied to past conversations."""

    list_display = ("id", "chip", "by", "done", "contacts", "changed", "failed", "began")
    list_filter = ("state",)

    def view_on_site(self, job: Backfill) -> str:
        """Its page, with the progress."""
        return reverse("backfill", args=[job.pk])

    @admin.display(description="state", ordering="state")
    def chip(self, job: Backfill) -> SafeString:
        """In colour."""
        return shown.chip(job.get_state_display(), job.state)

    @admin.display(description="began", ordering="created_at")
    def began(self, job: Backfill) -> SafeString | str:
        """Its age."""
        return shown.moment(job.created_at)
