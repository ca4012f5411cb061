"""Calls and chats: the list, and one with its analysis, what it changed and where it was logged."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from activity.log import retry, stuck
from activity.models import ActivityEntry, Conversation, WebhookDelivery
from contacts.models import Contact, ContactChange
from crmsync.pages.crm_links import activity_urls
from crmsync.pages.guard import page, person
from crmsync.pages.listing import OF_ITS_CONNECTION, OF_ITS_CONTACT, chosen, listing

SENTIMENTS = ("Positive", "Neutral", "Negative", "Unknown")


@page("activity.view_conversation")
def conversation_list(request: HttpRequest) -> HttpResponse:
    """Conversations, the latest first, narrowed by ?channel= and ?sentiment=, or those of one ?contact= (its id)."""
    rows = Conversation.objects.select_related("contact").defer("payload", "transcript", *OF_ITS_CONTACT)
    channel = chosen(request, "channel", Conversation.Channel.values)
    sentiment = chosen(request, "sentiment", SENTIMENTS)
    whose = Contact.objects.filter(public_id=request.GET.get("contact", "")).first()
    if whose:
        rows = rows.filter(contact=whose)
    if channel:
        rows = rows.filter(channel=channel)
    if sentiment:
        rows = rows.filter(sentiment=sentiment)
    context = {
        "listing": listing(request, rows),
        "filters": {"channel": channel, "sentiment": sentiment},
        "channels": Conversation.Channel.choices,
        "sentiments": SENTIMENTS,
        "whose": whose,
    }
    return render(request, "pages/conversations.html", context)


@page("activity.view_conversation")
def conversation(request: HttpRequest, pk: int) -> HttpResponse:
    """One conversation and everything that followed from it."""
    found = get_object_or_404(Conversation.objects.select_related("contact").defer("payload"), pk=pk)
    entries = (
        ActivityEntry.objects.filter(conversation=found)
        .select_related("connection")
        .defer(*OF_ITS_CONNECTION)
    )
    urls = activity_urls(entries)
    context = {
        "conversation": found,
        "applied": found.applied.select_related("mapping").order_by(
            F("mapping__position").asc(nulls_last=True), "id"
        ),
        "merges": found.merges.all(),
        "entries": [(entry, urls.get(entry.pk, "")) for entry in entries],
        "can_log_again": stuck(ActivityEntry.objects.filter(conversation=found)).exists()
        and person(request).has_perm("activity.change_conversation"),
        "deliveries": WebhookDelivery.objects.filter(conversation_key=found.key).defer("body", "headers")[
            :20
        ],
        "changes": ContactChange.objects.filter(source_ref=found.ref).select_related("contact")[:20],
    }
    return render(request, "pages/conversation.html", context)


@page("activity.change_conversation", "POST")
def log_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Have what was not logged of one conversation tried again, whatever its age."""
    found = get_object_or_404(Conversation.objects.only("pk"), pk=pk)
    if retry(ActivityEntry.objects.filter(conversation=found)):
        messages.success(request, "It is logged again now. What is in the CRM already is not logged twice.")
    else:
        messages.info(request, "There is nothing to log again.")
    return redirect("conversation", pk)
