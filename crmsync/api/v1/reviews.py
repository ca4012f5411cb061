"""Merges that wait for a person: listed with both texts and the evidence, accepted, edited or rejected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from activity import reviews
from activity.models import MergeReview
from contacts.values import TEXT_LIMIT, DoesNotFit
from crmsync.api.base import (
    ApiView,
    Choice,
    QueryWhole,
    Shape,
    Text,
    documented,
    epoch_ms,
    read,
    source_of,
    without_blanks,
)
from crmsync.api.errors import NotHere, Refused, invalid
from crmsync.api.paging import DEFAULT_LIMIT, MOST, Wanted, page
from crmsync.api_keys import Scope

BY_ID = [("review_id", "The review.")]


class ReviewQuery(Shape):
    """Which merges."""

    state = Choice(MergeReview.State.values, required=False, help_text="waiting by default.")
    limit = QueryWhole(
        required=False, min_value=1, help_text=f"{DEFAULT_LIMIT} by default; more than {MOST} means {MOST}."
    )
    pagination_key = Text(required=False, max_length=500)


class ReviewShape(serializers.Serializer):
    """A merge."""

    id = serializers.IntegerField()
    state = Choice(MergeReview.State.values)
    contact_id = serializers.CharField()
    conversation_id = serializers.CharField()
    field_name = serializers.CharField()  # type: ignore[assignment]  # our key, not the framework's
    old = serializers.CharField(required=False)
    new = serializers.CharField()
    merged = serializers.CharField()
    evidence = serializers.ListField(child=serializers.CharField(), help_text="Lines of the transcript.")
    reason = serializers.CharField(required=False)
    model = serializers.CharField(required=False)
    prompt_version = serializers.CharField(required=False)
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = serializers.DecimalField(max_digits=10, decimal_places=6)
    timestamp = serializers.IntegerField(help_text="Epoch milliseconds.")
    decided_by = serializers.CharField(required=False)


class ReviewPageShape(serializers.Serializer):
    """One page of merges."""

    items = ReviewShape(many=True)
    has_more = serializers.BooleanField()
    pagination_key = serializers.CharField(required=False)


class EditShape(Shape):
    """A person's own text."""

    text = Text(max_length=TEXT_LIMIT)


class RejectShape(Shape):
    """Why not."""

    reason = Text(required=False, allow_blank=True, max_length=300)


class ListReviews(ApiView):
    """The queue."""

    scopes = (Scope.READ_CONTACTS,)

    @documented("list_merge_reviews", "merge review", query=ReviewQuery, answer=ReviewPageShape)
    def get(self, request: Request) -> Response:
        """List merges in a state, oldest first."""
        query = read(ReviewQuery, request.query_params)
        state = query.get("state", MergeReview.State.WAITING)
        rows = MergeReview.objects.filter(state=state).select_related("contact", "conversation")
        wanted = Wanted(
            query.get("limit", DEFAULT_LIMIT), query.get("pagination_key", ""), newest_first=False
        )
        return Response(page(rows, wanted, by="at", documents=review_documents))


class AcceptReview(ApiView):
    """A merge, let through."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented("accept_merge_review", "merge review", answer=ReviewShape, paths=BY_ID)
    def post(self, request: Request, review_id: int) -> Response:
        """Write the merged text. If the field has changed, the answer is a new review in state again."""
        return _answer(lambda row: reviews.accept(row, source_of(request)), review_id)


class EditReview(ApiView):
    """A merge, written anew."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented("edit_merge_review", "merge review", body=EditShape, answer=ReviewShape, paths=BY_ID)
    def post(self, request: Request, review_id: int) -> Response:
        """Write another text instead. If the field has changed, the answer is a new review that waits with this text."""
        text = read(EditShape, request.data)["text"]
        return _answer(lambda row: reviews.edit_and_accept(row, text, source_of(request)), review_id)


class RejectReview(ApiView):
    """A merge, refused."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented("reject_merge_review", "merge review", body=RejectShape, answer=ReviewShape, paths=BY_ID)
    def post(self, request: Request, review_id: int) -> Response:
        """Leave the field as it is."""
        reason = read(RejectShape, request.data or {}).get("reason", "")
        return _answer(lambda row: reviews.reject(row, source_of(request), reason), review_id)


def review_documents(rows: Sequence[MergeReview]) -> list[dict[str, Any]]:
    """Merges as JSON."""
    return [_document(row) for row in rows]


def _answer(decide: Any, review_id: int) -> Response:
    row = MergeReview.objects.filter(pk=review_id).first()
    if row is None:
        raise NotHere("No merge has this id.")
    try:
        decided = decide(row)
    except reviews.NotWaiting as error:
        raise Refused(str(error)) from None
    except DoesNotFit as error:
        raise invalid("text", str(error), error.reason) from None
    return Response(_document(decided))


def _document(row: MergeReview) -> dict[str, Any]:
    document = {
        "id": row.pk,
        "state": row.state,
        "contact_id": row.contact.public_id,
        "conversation_id": row.conversation.key,
        "field_name": row.contact_field,
        "old": row.old,
        "new": row.new,
        "merged": row.merged,
        "evidence": reviews.evidence(row),
        "reason": row.reason,
        "model": row.model,
        "prompt_version": row.prompt_version,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cost": str(row.cost),
        "timestamp": epoch_ms(row.at),
        "decided_by": row.decided_by,
    }
    return without_blanks(document)
