"""What needs a person or a retry: listed by kind, tried again, ignored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crmsync.api.base import ApiView, Choice, Shape, Text, caller, documented, read, without_blanks
from crmsync.api.connections import find_app
from crmsync.api.errors import Refused
from crmsync.api.v1.lists import PageQuery, found_by_id, newest, page_of, stamp
from crmsync.api_keys import Scope
from sync.issues import OPEN
from sync.kinds import KINDS, Category, Retry, kind_of
from sync.models import SyncIssue
from sync.retries import CannotRetry, can_ignore, ignore, retry, retry_all

BY_ID = [("issue_id", "The issue.")]
ALL = "all"


class IssueQuery(PageQuery):
    """Which issues."""

    state = Choice(
        [*SyncIssue.State.values, ALL], required=False, help_text="Open and parked ones by default."
    )
    kind = Choice(sorted(KINDS), required=False)
    app_id = Text(required=False, max_length=64)


class RetryAllShape(Shape):
    """Which issues to try again."""

    app_id = Text(max_length=64)
    kind = Choice(sorted(KINDS))


class RetriedShape(serializers.Serializer):
    """How many are tried again."""

    retried = serializers.IntegerField()


class IssueShape(serializers.Serializer):
    """One thing that needs a person or a retry. Texts hold no personal data."""

    id = serializers.IntegerField()
    app_id = serializers.CharField()
    kind = serializers.CharField()
    category = Choice([one.value for one in Category])
    state = Choice(SyncIssue.State.values)
    message = serializers.CharField()
    advice = serializers.CharField(required=False)
    contact_id = serializers.CharField(required=False)
    external_id = serializers.CharField(required=False)
    field_name = serializers.CharField(required=False)  # type: ignore[assignment]
    request_id = serializers.CharField(
        required=False, help_text="The CRM's own id of the call that it refused last."
    )
    count = serializers.IntegerField(help_text="How many records or attempts share the cause.")
    attempts = serializers.IntegerField()
    can_retry = serializers.BooleanField()
    can_ignore = serializers.BooleanField()
    acted_by = serializers.CharField(required=False)
    first_timestamp = serializers.IntegerField(help_text="Epoch milliseconds.")
    last_timestamp = serializers.IntegerField()
    next_retry_timestamp = serializers.IntegerField(required=False)
    closed_timestamp = serializers.IntegerField(required=False)


class ListIssues(ApiView):
    """The issues."""

    scopes = (Scope.RUN_JOBS, Scope.CONFIGURE)

    @documented("list_issues", "issue", query=IssueQuery, answer=page_of(IssueShape))
    def get(self, request: Request) -> Response:
        """List issues, newest first."""
        query = read(IssueQuery, request.query_params)
        rows, state = _rows(), query.get("state")
        if state is None:
            rows = rows.filter(state__in=OPEN)
        elif state != ALL:
            rows = rows.filter(state=state)
        if "kind" in query:
            rows = rows.filter(kind=query["kind"])
        if "app_id" in query:
            rows = rows.filter(connection=find_app(query["app_id"]))
        return Response(newest(rows, query, issue_documents))


class GetIssue(ApiView):
    """One issue."""

    scopes = (Scope.RUN_JOBS, Scope.CONFIGURE)

    @documented("get_issue", "issue", answer=IssueShape, paths=BY_ID)
    def get(self, _request: Request, issue_id: int) -> Response:
        """Read an issue."""
        return Response(_answer(issue_id))


class RetryIssue(ApiView):
    """An issue, tried again."""

    scopes = (Scope.RUN_JOBS,)

    @documented("retry_issue", "issue", answer=IssueShape, paths=BY_ID)
    def post(self, request: Request, issue_id: int) -> Response:
        """Have an issue tried again now. When it heals, it closes by itself."""
        try:
            retry(find_issue(issue_id), by=caller(request).name)
        except CannotRetry as reason:
            raise Refused(str(reason)) from None
        return Response(_answer(issue_id))


class RetryIssues(ApiView):
    """All issues of a kind, tried again."""

    scopes = (Scope.RUN_JOBS,)

    @documented("retry_issues", "issue", body=RetryAllShape, answer=RetriedShape)
    def post(self, request: Request) -> Response:
        """Have all open issues of one kind of an app tried again now."""
        body = read(RetryAllShape, request.data)
        try:
            count = retry_all(find_app(body["app_id"]), body["kind"], by=caller(request).name)
        except CannotRetry as reason:
            raise Refused(str(reason)) from None
        return Response({"retried": count})


class IgnoreIssue(ApiView):
    """An issue, closed."""

    scopes = (Scope.RUN_JOBS,)

    @documented("ignore_issue", "issue", answer=IssueShape, paths=BY_ID)
    def post(self, request: Request, issue_id: int) -> Response:
        """Close an issue without mending it; the same cause does not open it again."""
        try:
            ignore(find_issue(issue_id), by=caller(request).name)
        except CannotRetry as reason:
            raise Refused(str(reason)) from None
        return Response(_answer(issue_id))


def issue_documents(rows: Sequence[SyncIssue]) -> list[dict[str, Any]]:
    """Issues as JSON."""
    return [_document(row) for row in rows]


def _rows() -> Any:
    large = ("credentials", "token", "schema", "cursor")
    held = ("custom_fields", "sources", "contact_memory")
    return SyncIssue.objects.select_related("connection", "contact").defer(
        *(f"connection__{name}" for name in large), *(f"contact__{name}" for name in held)
    )


def find_issue(issue_id: int) -> SyncIssue:
    """The issue with this id, with its app and contact. Raises NotHere."""
    row: SyncIssue = found_by_id(_rows(), issue_id, "issue")
    return row


def _answer(issue_id: int) -> dict[str, Any]:
    return _document(find_issue(issue_id))


def _document(row: SyncIssue) -> dict[str, Any]:
    known = kind_of(row.kind)
    document = {
        "id": row.pk,
        "app_id": row.connection.public_id,
        "kind": row.kind,
        "category": known.category.value,
        "state": row.state,
        "message": row.message,
        "advice": row.advice,
        "contact_id": row.contact.public_id if row.contact else None,
        "external_id": row.external_id,
        "field_name": row.field,
        "request_id": row.request_id,
        "count": row.count,
        "attempts": row.attempts,
        "can_retry": known.retry is not Retry.NONE and row.state != SyncIssue.State.RESOLVED,
        "can_ignore": can_ignore(row),
        "acted_by": row.acted_by,
        "first_timestamp": stamp(row.first_at),
        "last_timestamp": stamp(row.last_at),
        "next_retry_timestamp": stamp(row.next_retry_at),
        "closed_timestamp": stamp(row.closed_at),
    }
    return without_blanks(document)
