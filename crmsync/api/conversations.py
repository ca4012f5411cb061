"""A contact's calls and chats in one timeline, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models.functions import Coalesce
from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from activity.models import Conversation
from crmsync.api.base import (
    ApiView,
    QueryWhole,
    Shape,
    Text,
    documented,
    epoch_ms,
    only,
    read,
    without_blanks,
)
from crmsync.api.contacts import BY_ID, find_contact
from crmsync.api.paging import DEFAULT_LIMIT, MOST, Wanted, page
from crmsync.api_keys import Scope

DIRECTIONS = ["inbound", "outbound"]
SENTIMENTS = ["Negative", "Positive", "Neutral", "Unknown"]


class TimelineQuery(Shape):
    """Which part of a timeline."""

    limit = QueryWhole(
        required=False, min_value=1, help_text=f"{DEFAULT_LIMIT} by default; more than {MOST} means {MOST}."
    )
    pagination_key = Text(required=False, max_length=500)


class _TalkShape(serializers.Serializer):
    direction = serializers.ChoiceField(DIRECTIONS, required=False)
    disconnection_reason = serializers.CharField(required=False)
    duration_ms = serializers.IntegerField(required=False)
    sentiment = serializers.ChoiceField(SENTIMENTS, required=False)
    start_timestamp = serializers.IntegerField(required=False, help_text="Epoch milliseconds.")
    successful = serializers.BooleanField(required=False)
    summary = serializers.CharField(required=False)


class CallShape(_TalkShape):
    """A call."""

    type = only("call")
    call_id = serializers.CharField()


class ChatShape(_TalkShape):
    """A chat."""

    type = only("chat")
    chat_id = serializers.CharField()


class TimelinePageShape(serializers.Serializer):
    """One page of a timeline."""

    items = PolymorphicProxySerializer(
        component_name="Conversation",
        serializers={"call": CallShape, "chat": ChatShape},
        resource_type_field_name="type",
        many=True,
    )
    has_more = serializers.BooleanField()
    pagination_key = serializers.CharField(required=False)


class ListContactConversations(ApiView):
    """The timeline of a contact."""

    scopes = (Scope.READ_CONTACTS,)

    @documented(
        "list_contact_conversations", "contact", query=TimelineQuery, answer=TimelinePageShape, paths=BY_ID
    )
    def get(self, request: Request, contact_id: str) -> Response:
        """List a contact's calls and chats, newest first."""
        contact = find_contact(contact_id)
        query = read(TimelineQuery, request.query_params)
        # One that has no start yet stands where it arrived.
        rows = Conversation.objects.filter(contact=contact).annotate(at=Coalesce("started_at", "created_at"))
        wanted = Wanted(query.get("limit", DEFAULT_LIMIT), query.get("pagination_key", ""))
        return Response(
            page(rows.defer("payload", "transcript"), wanted, by="at", documents=conversation_documents)
        )


def conversation_documents(rows: Sequence[Conversation]) -> list[dict[str, Any]]:
    """Conversations as timeline items; what is not known is left out."""
    return [_document(row) for row in rows]


def _document(row: Conversation) -> dict[str, Any]:
    document = {
        "type": row.kind,
        f"{row.kind}_id": row.key,
        "direction": row.direction if row.direction in DIRECTIONS else None,
        "disconnection_reason": row.disconnection_reason,
        "duration_ms": row.duration_ms,
        "sentiment": row.sentiment if row.sentiment in SENTIMENTS else None,
        "start_timestamp": epoch_ms(row.started_at) if row.started_at else None,
        "successful": row.successful,
        "summary": row.summary,
    }
    return without_blanks(document)
