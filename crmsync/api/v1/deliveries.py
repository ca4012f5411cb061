"""Webhook deliveries: every verified request as it came, with what was done and why; processed again when asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from activity.models import WebhookDelivery
from activity.process import replay
from crmsync.api.base import ApiView, Choice, Text, documented, read, without_blanks
from crmsync.api.contact_shapes import AnyObject
from crmsync.api.errors import Refused
from crmsync.api.v1.lists import PageQuery, found_by_id, newest, page_of, stamp
from crmsync.api_keys import Scope

BY_ID = [("delivery_id", "The delivery.")]


class DeliveryQuery(PageQuery):
    """Which deliveries."""

    state = Choice(WebhookDelivery.State.values, required=False)
    conversation_id = Text(required=False, max_length=255)


class DeliveryShape(serializers.Serializer):
    """A delivery."""

    id = serializers.IntegerField()
    event = serializers.CharField()
    conversation_id = serializers.CharField(required=False)
    state = Choice(WebhookDelivery.State.values)
    note = serializers.CharField(required=False, help_text="What was done and why.")
    attempts = serializers.IntegerField()
    received_timestamp = serializers.IntegerField(help_text="Epoch milliseconds.")
    processed_timestamp = serializers.IntegerField(required=False)


class DeliveryBodyShape(DeliveryShape):
    """A delivery with what it brought."""

    body = AnyObject(required=False, help_text="Missing: it is no JSON object.")
    answer = AnyObject(required=False, help_text="What it was answered, where that told the agent something.")


class ListDeliveries(ApiView):
    """The inbox."""

    scopes = (Scope.READ_CONTACTS,)

    @documented("list_deliveries", "delivery", query=DeliveryQuery, answer=page_of(DeliveryShape))
    def get(self, request: Request) -> Response:
        """List deliveries, newest first, without their bodies. They are kept for CRMSYNC_KEEP_DELIVERIES_DAYS."""
        query = read(DeliveryQuery, request.query_params)
        rows = WebhookDelivery.objects.defer("body", "headers", "answer")
        if "state" in query:
            rows = rows.filter(state=query["state"])
        if "conversation_id" in query:
            rows = rows.filter(conversation_key=query["conversation_id"])
        return Response(newest(rows, query, delivery_documents))


class GetDelivery(ApiView):
    """One delivery."""

    scopes = (Scope.READ_CONTACTS,)

    @documented("get_delivery", "delivery", answer=DeliveryBodyShape, paths=BY_ID)
    def get(self, _request: Request, delivery_id: int) -> Response:
        """Read a delivery with its body."""
        row = _found(delivery_id)
        more = {"body": _object(bytes(row.body)), "answer": row.answer or None}
        return Response(_document(row) | without_blanks(more))


class ReplayDelivery(ApiView):
    """A delivery, processed again."""

    scopes = (Scope.RUN_JOBS,)

    @documented("replay_delivery", "delivery", answer=DeliveryShape, paths=BY_ID)
    def post(self, _request: Request, delivery_id: int) -> Response:
        """Process a delivery again. What was done before is not done twice."""
        row = _found(delivery_id)
        if not replay(WebhookDelivery.objects.filter(pk=row.pk)):
            raise Refused("It was a question, and has been answered: there is nothing to process again.")
        return Response(_document(_found(delivery_id)))


def delivery_documents(rows: Sequence[WebhookDelivery]) -> list[dict[str, Any]]:
    """Deliveries as JSON."""
    return [_document(row) for row in rows]


def _found(delivery_id: int) -> WebhookDelivery:
    row: WebhookDelivery = found_by_id(WebhookDelivery.objects.all(), delivery_id, "delivery")
    return row


def _document(row: WebhookDelivery) -> dict[str, Any]:
    return without_blanks(
        {
            "id": row.pk,
            "event": row.event,
            "conversation_id": row.conversation_key,
            "state": row.state,
            "note": row.note,
            "attempts": row.attempts,
            "received_timestamp": stamp(row.received_at),
            "processed_timestamp": stamp(row.processed_at),
        }
    )


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
