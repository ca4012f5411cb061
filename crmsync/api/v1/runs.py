"""Sync runs: started, watched, approved, rejected and cancelled; what they wrote, and what a waiting one would write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.models import ContactChange
from crmsync.api.base import ApiView, Choice, Shape, Text, caller, documented, read, without_blanks
from crmsync.api.connections import find_app
from crmsync.api.errors import Refused
from crmsync.api.v1.history import ChangeShape, change_documents
from crmsync.api.v1.lists import AnyValue, PageQuery, found_by_id, newest, page_of, stamp
from crmsync.api_keys import Scope
from integrations.models import Connection
from sync.breaker import approve_run, reject_run
from sync.models import RunState, SyncRun
from sync.report import Unmatched, never_match
from sync.runs import NotWaiting, RunOpen, RunOver, cancel_run, request_run

BY_ID = [("run_id", "The run.")]
BY_APP = [("app_id", "The app.")]


class RunQuery(PageQuery):
    """Which runs."""

    app_id = Text(required=False, max_length=64)
    state = Choice(RunState.values, required=False)


class RunRequestShape(Shape):
    """What to sync."""

    app_id = Text(max_length=64)
    kind = Choice(
        SyncRun.Kind.values,
        required=False,
        help_text="incremental by default. The first run of an app always reads everything.",
    )


class RunShape(serializers.Serializer):
    """A run."""

    id = serializers.IntegerField()
    app_id = serializers.CharField()
    kind = Choice(SyncRun.Kind.values)
    triggered_by = Choice(SyncRun.Trigger.values)
    requested_by = serializers.CharField(required=False)
    state = Choice(RunState.values)
    done = serializers.IntegerField(help_text="Records read so far.")
    total = serializers.IntegerField(required=False, help_text="Of so many, where the CRM tells.")
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Outcomes by word.")
    overwrites = serializers.IntegerField(help_text="Values overwritten or cleared, contacts removed.")
    api_calls = serializers.IntegerField()
    error_code = serializers.CharField(required=False)
    error = serializers.CharField(required=False)
    approved_by = serializers.CharField(required=False)
    created_timestamp = serializers.IntegerField(help_text="Epoch milliseconds.")
    start_timestamp = serializers.IntegerField(required=False)
    end_timestamp = serializers.IntegerField(required=False)


class HeldValueShape(serializers.Serializer):
    """One value that a waiting run would overwrite, or with `applied` has overwritten."""

    external_id = serializers.CharField(required=False)
    contact = serializers.CharField(required=False, help_text="The contact's name.")
    field_name = serializers.CharField(required=False, help_text="Missing: the record's link would end.")  # type: ignore[assignment]
    old = AnyValue()
    new = AnyValue()
    applied = serializers.BooleanField()


class HeldShape(serializers.Serializer):
    """What waits for approval."""

    items = HeldValueShape(many=True)


class LeftOutShape(serializers.Serializer):
    """CRM records that stay out for one reason."""

    reason = serializers.CharField()
    count = serializers.IntegerField()
    numbers = serializers.IntegerField(help_text="How many phone numbers they share.")
    message = serializers.CharField()
    advice = serializers.CharField()
    examples = serializers.ListField(child=serializers.CharField(), help_text="Ids of CRM records.")


class LeftOutListShape(serializers.Serializer):
    """Why records stay out, most first."""

    items = LeftOutShape(many=True)


class Runs(ApiView):
    """The runs of all apps, and a new one."""

    scopes = (Scope.RUN_JOBS, Scope.CONFIGURE)
    scopes_to_post = (Scope.RUN_JOBS,)

    @documented("list_runs", "run", query=RunQuery, answer=page_of(RunShape))
    def get(self, request: Request) -> Response:
        """List runs, newest first. They are kept for 90 days, those that found nothing for 7."""
        query = read(RunQuery, request.query_params)
        rows = _rows()
        if "app_id" in query:
            rows = rows.filter(connection=find_app(query["app_id"]))
        if "state" in query:
            rows = rows.filter(state=query["state"])
        return Response(newest(rows, query, run_documents))

    @documented("start_run", "run", body=RunRequestShape, answer=RunShape, status=201, creates=True)
    def post(self, request: Request) -> Response:
        """Start a sync of one app. Refused (400) while one of its runs is open."""
        body = read(RunRequestShape, request.data)
        connection, kind = find_app(body["app_id"]), body.get("kind", SyncRun.Kind.INCREMENTAL)
        if not connection.enabled:
            raise Refused("The app is switched off. Link it with app_id in the CRM config first.")
        try:
            run = request_run(
                connection,
                full=kind == SyncRun.Kind.FULL,
                reconcile=kind == SyncRun.Kind.RECONCILE,
                by=caller(request).name,
            )
        except RunOpen as already:
            raise Refused(str(already)) from None
        return Response(run_documents([run])[0], 201)


class GetRun(ApiView):
    """One run."""

    scopes = (Scope.RUN_JOBS, Scope.CONFIGURE)

    @documented("get_run", "run", answer=RunShape, paths=BY_ID)
    def get(self, _request: Request, run_id: int) -> Response:
        """Read where a run stands and what came of its records."""
        return Response(run_documents([find_run(run_id)])[0])


class RunChanges(ApiView):
    """What a run wrote."""

    scopes = (Scope.READ_CONTACTS,)

    @documented("list_run_changes", "run", query=PageQuery, answer=page_of(ChangeShape), paths=BY_ID)
    def get(self, request: Request, run_id: int) -> Response:
        """List the contacts that a run created or changed, with old and new values."""
        query = read(PageQuery, request.query_params)
        rows = ContactChange.objects.filter(source_ref=find_run(run_id).ref)
        return Response(newest(rows, query, change_documents))


class RunHeld(ApiView):
    """What a waiting run would do next."""

    scopes = (Scope.READ_CONTACTS,)

    @documented("get_run_held", "run", answer=HeldShape, paths=BY_ID)
    def get(self, _request: Request, run_id: int) -> Response:
        """Read what a run that waits for approval would overwrite next."""
        return Response({"items": [_held(row) for row in find_run(run_id).held]})


class ApproveRun(ApiView):
    """A waiting run, let through."""

    scopes = (Scope.RUN_JOBS,)

    @documented("approve_run", "run", answer=RunShape, paths=BY_ID)
    def post(self, request: Request, run_id: int) -> Response:
        """Let a waiting run go on to its end; it is not stopped again."""
        return _decided(request, run_id, approve_run)


class RejectRun(ApiView):
    """A waiting run, refused."""

    scopes = (Scope.RUN_JOBS,)

    @documented("reject_run", "run", answer=RunShape, paths=BY_ID)
    def post(self, request: Request, run_id: int) -> Response:
        """End a waiting run; what was held back is not applied."""
        return _decided(request, run_id, reject_run)


class CancelRun(ApiView):
    """An open run, ended."""

    scopes = (Scope.RUN_JOBS,)

    @documented("cancel_run", "run", answer=RunShape, paths=BY_ID)
    def post(self, request: Request, run_id: int) -> Response:
        """End an open run; what it has applied stays, and can be undone."""
        return _decided(request, run_id, cancel_run)


class LeftOut(ApiView):
    """CRM records without a contact."""

    scopes = (Scope.RUN_JOBS, Scope.CONFIGURE)

    @documented("list_left_out", "run", answer=LeftOutListShape, paths=BY_APP)
    def get(self, _request: Request, app_id: str) -> Response:
        """Read which records of an app have no contact, by reason, with what would mend it."""
        return Response({"items": [_left_out(row) for row in never_match(find_app(app_id))]})


def find_run(run_id: int) -> SyncRun:
    """The run with this id. Raises NotHere."""
    run: SyncRun = found_by_id(SyncRun.objects.select_related("connection"), run_id, "run")
    return run


def run_documents(rows: Sequence[SyncRun]) -> list[dict[str, Any]]:
    """Runs as JSON."""
    return [_document(row) for row in rows]


def _rows() -> Any:
    secret = ("connection__credentials", "connection__token", "connection__schema")
    return SyncRun.objects.select_related("connection").defer(*secret, "held", "cursor", "cursor_before")


def _document(row: SyncRun) -> dict[str, Any]:
    connection: Connection = row.connection
    names = (
        "kind",
        "requested_by",
        "state",
        "done",
        "total",
        "counts",
        "overwrites",
        "api_calls",
        "error_code",
        "error",
    )
    document = {
        "id": row.pk,
        "app_id": connection.public_id,
        "triggered_by": row.trigger,
        "approved_by": row.approved_by,
        "created_timestamp": stamp(row.created_at),
        "start_timestamp": stamp(row.started_at),
        "end_timestamp": stamp(row.finished_at),
    }
    return without_blanks(document | {name: getattr(row, name) for name in names})


def _held(row: dict[str, Any]) -> dict[str, Any]:
    shown = {"external_id": row["record"], "contact": row["contact"], "field_name": row["field"]}
    return without_blanks(shown) | {"old": row["old"], "new": row["new"], "applied": bool(row.get("applied"))}


def _left_out(row: Unmatched) -> dict[str, Any]:
    return {
        "reason": row.reason,
        "count": row.count,
        "numbers": row.numbers,
        "message": str(row),
        "advice": row.fix,
        "examples": [one for one in row.examples if one],
    }


def _decided(request: Request, run_id: int, decide: Callable[..., None]) -> Response:
    run = find_run(run_id)
    try:
        decide(run, by=caller(request).name)
    except (NotWaiting, RunOver) as over:
        raise Refused(str(over)) from None
    return Response(run_documents([find_run(run_id)])[0])
