"""Conversations of any platform: posted in a neutral form, looked at, and attached to a contact by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import F
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from activity import neutral, receive
from activity.attach import HasContact
from activity.attach import attach as attach_to
from activity.models import ActivityEntry, AppliedMapping, Conversation
from contacts.models import Contact
from crmsync.api.base import (
    ApiView,
    Choice,
    Shape,
    Text,
    Truth,
    Whole,
    documented,
    read,
    source_of,
    without_blanks,
)
from crmsync.api.contact_shapes import AnyObject
from crmsync.api.contacts import find_contact
from crmsync.api.conversations import DIRECTIONS, SENTIMENTS
from crmsync.api.errors import NotHere, Refused
from crmsync.api.v1.lists import PageQuery, newest, page_of
from crmsync.api_keys import Scope
from sync.wake import wake

_LARGE = ("payload", "transcript", "contact__custom_fields", "contact__sources", "contact__contact_memory")
BY_KEY = [("conversation_id", "The id that the conversation was posted with, or the platform's.")]


@extend_schema_field({"type": "string", "format": "date-time"})
class Moment(Text):
    """A date and time with its zone, in ISO 8601."""

    def to_internal_value(self, data: Any) -> str:
        """The text as it came; it is read where it is used."""
        text = super().to_internal_value(data)
        try:
            zoned = datetime.fromisoformat(text).tzinfo is not None
        except ValueError:
            zoned = False
        if not zoned:
            raise ValidationError(
                "A date and time like 2026-05-14T09:30:00Z is needed.", code="not_a_datetime"
            )
        return text


class AgentShape(Shape):
    """The agent that spoke."""

    id = Text(max_length=255)
    version = Text(required=False, max_length=32)
    name = Text(required=False, max_length=255)


class ConversationPostShape(Shape):
    """One call or chat. Blank and missing keys mean "not known"; they erase nothing that was posted before."""

    id = Text(
        max_length=receive.KEY_LIMIT,
        help_text="Your own id. The same id again adds to the same conversation.",
    )
    channel = Choice(list(neutral.CHANNELS))
    final = Truth(required=False, help_text="false: more will be posted, such as the analysis. Default true.")
    direction = Choice(DIRECTIONS, required=False, help_text="A phone call needs it.")
    from_number = Text(required=False, allow_blank=True, max_length=32, help_text="Any usual spelling.")
    to_number = Text(required=False, allow_blank=True, max_length=32)
    agent = AgentShape(required=False)
    started_at = Moment(required=False)
    ended_at = Moment(required=False)
    duration_ms = Whole(required=False, min_value=0)
    end_reason = Text(required=False, allow_blank=True, max_length=64)
    transcript = Text(required=False, allow_blank=True)
    recording_url = Text(required=False, allow_blank=True, max_length=2000)
    summary = Text(required=False, allow_blank=True)
    sentiment = Choice(list(neutral.SENTIMENTS), required=False)
    successful = Truth(required=False)
    in_voicemail = Truth(required=False)
    analysis = AnyObject(
        required=False, help_text="Custom analysis values by name; the analysis mappings read them."
    )
    variables = AnyObject(required=False, help_text="The dynamic variables the agent was given.")
    metadata = AnyObject(
        required=False, help_text="A chat without numbers takes one from here, for example under user_number."
    )


class ReceiptShape(serializers.Serializer):
    """What became of a posted conversation."""

    id = serializers.CharField()
    status = Choice(["accepted", "known"], help_text="known: exactly this was posted before.")


class AppliedShape(serializers.Serializer):
    """What one analysis mapping did."""

    analysis_field = serializers.CharField()
    contact_field = serializers.CharField()
    outcome = Choice(AppliedMapping.Outcome.values)
    reason = serializers.CharField(required=False)


class LoggedShape(serializers.Serializer):
    """Where the conversation is logged."""

    app_id = serializers.CharField()
    state = Choice(ActivityEntry.State.values)
    external_id = serializers.CharField(required=False)
    note = serializers.CharField(required=False)


class ConversationRowShape(serializers.Serializer):
    """A conversation."""

    id = serializers.CharField()
    channel = Choice(list(neutral.CHANNELS))
    direction = Choice(DIRECTIONS, required=False)
    contact_id = serializers.CharField(required=False, help_text="Missing: no contact is known; see note.")
    note = serializers.CharField(required=False)
    started_at = serializers.DateTimeField(required=False)
    duration_ms = serializers.IntegerField(required=False)
    summary = serializers.CharField(required=False)
    sentiment = Choice(SENTIMENTS, required=False)
    successful = serializers.BooleanField(required=False)


class ConversationShape(ConversationRowShape):
    """A conversation, and what followed from it."""

    answer = AnyObject(
        required=False,
        help_text="What was answered, exactly, when the platform asked before it: what the agent knew.",
    )
    applied = AppliedShape(many=True)
    activities = LoggedShape(many=True)


class AttachShape(Shape):
    """Whose conversation it is."""

    contact_id = Text(max_length=64)


class ConversationQuery(PageQuery):
    """Which conversations."""

    contact_id = Text(required=False, max_length=64)
    channel = Choice(list(neutral.CHANNELS), required=False)
    attached = Choice(["true", "false"], required=False, help_text="false: those without a contact.")


class Conversations(ApiView):
    """The conversations of all contacts, and new ones."""

    scopes = (Scope.READ_CONTACTS,)
    scopes_to_post = (Scope.EVENTS, Scope.WRITE_CONTACTS)

    @documented(
        "list_conversations", "conversation", query=ConversationQuery, answer=page_of(ConversationRowShape)
    )
    def get(self, request: Request) -> Response:
        """List conversations in the order in which they became known, newest first, without what followed from them."""
        query = read(ConversationQuery, request.query_params)
        rows = Conversation.objects.select_related("contact").defer(*_LARGE)
        if "contact_id" in query:
            rows = rows.filter(contact=find_contact(query["contact_id"]))
        if "channel" in query:
            rows = rows.filter(channel=query["channel"])
        if "attached" in query:
            rows = rows.filter(contact__isnull=query["attached"] == "false")
        return Response(newest(rows, query, conversation_rows))

    @documented(
        "post_conversation",
        "conversation",
        body=ConversationPostShape,
        answer=ReceiptShape,
        status=202,
        creates=True,
    )
    def post(self, request: Request) -> Response:
        """Hand in a call or chat. It is kept before this is answered, and worked on after; posting it again is harmless."""
        body = read(ConversationPostShape, request.data)
        document = receive.storable({name: _plain(value) for name, value in body.items()})
        raw = receive.canonical(document)
        new = receive.store(receive.posted(document, raw, request.headers))
        if new:
            wake()
        return Response({"id": body["id"], "status": "accepted" if new else "known"}, 202)


class GetConversation(ApiView):
    """One conversation."""

    scopes = (Scope.READ_CONTACTS,)

    @documented("get_conversation", "conversation", answer=ConversationShape, paths=BY_KEY)
    def get(self, _request: Request, conversation_id: str) -> Response:
        """Read a conversation, what its analysis changed, and where it is logged."""
        return Response(conversation_document(find_conversation(conversation_id)))


class AttachConversation(ApiView):
    """A conversation without a number, given its contact."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented(
        "attach_conversation", "conversation", body=AttachShape, answer=ConversationShape, paths=BY_KEY
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        """Attach a conversation to a contact: it is counted, mapped and logged then. Refused when it has another one."""
        body = read(AttachShape, request.data)
        conversation, contact = find_conversation(conversation_id), find_contact(body["contact_id"])
        try:
            conversation = attach_to(conversation, contact, source_of(request))
        except HasContact as taken:
            raise Refused(f"{taken} It is {taken.contact.public_id}.") from None
        return Response(conversation_document(conversation))


def find_conversation(key: str) -> Conversation:
    """The conversation with this id. Raises NotHere."""
    found = Conversation.objects.filter(key=key).select_related("contact").defer(*_LARGE).first()
    if found is None:
        raise NotHere(
            "No conversation has this id. One that was just posted appears when a worker has read it."
        )
    return found


def conversation_rows(rows: Sequence[Conversation]) -> list[dict[str, Any]]:
    """Conversations as JSON; what is not known is left out."""
    return [_row(row) for row in rows]


def conversation_document(row: Conversation) -> dict[str, Any]:
    """A conversation as JSON, with what followed from it."""
    in_order = (F("mapping__position").asc(nulls_last=True), "pk")
    applied = row.applied.order_by(*in_order).values("analysis_field", "contact_field", "outcome", "reason")
    logged = row.entries.order_by("pk").values(
        "state", "external_id", "note", app_id=F("connection__public_id")
    )
    return (
        _row(row)
        | without_blanks({"answer": row.answer})
        | {
            "applied": [without_blanks(dict(one)) for one in applied],
            "activities": [without_blanks(dict(one)) for one in logged],
        }
    )


def _row(row: Conversation) -> dict[str, Any]:
    contact: Contact | None = row.contact
    document = {
        "id": row.key,
        "channel": row.channel,
        "direction": row.direction if row.direction in DIRECTIONS else None,
        "contact_id": contact.public_id if contact else None,
        "note": row.note,
        "started_at": row.started_at,
        "duration_ms": row.duration_ms,
        "summary": row.summary,
        "sentiment": row.sentiment if row.sentiment in SENTIMENTS else None,
        "successful": row.successful,
    }
    return without_blanks(document)


def _plain(value: Any) -> Any:
    return {name: _plain(inner) for name, inner in value.items()} if isinstance(value, dict) else value
