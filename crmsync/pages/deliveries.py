"""Webhook deliveries: every verified request, with what was done and why."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from activity.models import Conversation, WebhookDelivery
from crmsync.pages.guard import page
from crmsync.pages.listing import chosen, listing

BODY_SHOWN = 50_000  # characters


@page("activity.view_webhookdelivery")
def delivery_list(request: HttpRequest) -> HttpResponse:
    """Deliveries, the latest first, narrowed by ?state= and by ?q=, the conversation's id."""
    rows = WebhookDelivery.objects.defer("body", "headers")
    filters = {
        "state": chosen(request, "state", WebhookDelivery.State.values),
        "q": request.GET.get("q", "").strip()[:255],
    }
    if filters["state"]:
        rows = rows.filter(state=filters["state"])
    if filters["q"]:
        rows = rows.filter(conversation_key=filters["q"])
    context = {"listing": listing(request, rows), "filters": filters, "states": WebhookDelivery.State.choices}
    return render(request, "pages/deliveries.html", context)


@page("activity.view_webhookdelivery")
def delivery(request: HttpRequest, pk: int) -> HttpResponse:
    """One delivery with its body as it came."""
    found = get_object_or_404(WebhookDelivery, pk=pk)
    conversation = (
        Conversation.objects.filter(key=found.conversation_key).only("pk").first()
        if found.conversation_key
        else None
    )
    body = _readable(bytes(found.body))
    context = {
        "delivery": found, "conversation": conversation, "body": body[:BODY_SHOWN], "cut": len(body) > BODY_SHOWN,
    }  # fmt: skip
    return render(request, "pages/delivery.html", context)


def _readable(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body.decode(errors="replace")
