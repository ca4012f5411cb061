"""Backfills: the contract's two calls, and ours with a preview and everything that a job knows about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from activity import backfill
from activity.memory import FIELD as MEMORY
from activity.models import Backfill
from contacts.models import field_specs
from crmsync.api.base import (
    ApiView,
    Choice,
    Shape,
    Text,
    Truth,
    caller,
    documented,
    epoch_ms,
    read,
    without_blanks,
)
from crmsync.api.errors import NotHere, Refused, invalid
from crmsync.api.jobs import JobShape
from crmsync.api.v1.lists import PageQuery, newest, page_of
from crmsync.api_keys import Scope
from mappings.models import AnalysisMapping

OPS = ["eq", "ne", "gt", "ge", "lt", "le"]
MOST_MS = 253_402_300_799_000  # the end of the year 9999
BY_ID = [("backfill_id", "The backfill.")]
_TIMES = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["number", "range"]},
        "op": {"type": "string", "enum": [*OPS, "bt"]},
        "value": {"oneOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]},
    },
    "required": ["type", "op", "value"],
}


class AgentFilterShape(Shape):
    """One agent."""

    agent_id = Text(max_length=255)
    version = serializers.ListField(child=serializers.JSONField(), required=False, max_length=1000)


@extend_schema_field(_TIMES)
class TimeFilter(serializers.JSONField):
    """A number filter, or a range filter with op bt, over epoch milliseconds."""

    def to_internal_value(self, data: Any) -> Any:
        """(operator, milliseconds) pairs that all have to hold."""
        if not isinstance(data, dict):
            self.fail("invalid")
        kind, op = data.get("type"), data.get("op")
        value: Any = data.get("value")
        if kind == "number" and op in OPS and _is_moment(value):
            return [(op, int(value))]
        pair = isinstance(value, list) and len(value) == 2 and all(_is_moment(one) for one in value)
        if kind == "range" and op == "bt" and pair:
            return [("ge", int(value[0])), ("le", int(value[1]))]
        raise serializers.ValidationError(
            "Use {type: number, op: eq|ne|gt|ge|lt|le, value} or {type: range, op: bt, value: [from, to]} with epoch "
            "milliseconds.",
            code="filter",
        )


class ConversationFilterShape(Shape):
    """Which conversations."""

    agent = serializers.ListField(child=AgentFilterShape(), required=False, max_length=1000)
    start_timestamp = TimeFilter(required=False)


class BackfillShape(Shape):
    """What to apply again, to which conversations."""

    backfill_attributes = serializers.ListField(
        child=Text(max_length=63),
        min_length=1,
        max_length=1000,
        help_text="Contact fields that an analysis mapping targets, or contact_memory.",
    )
    backfill_call_filter = ConversationFilterShape(required=False)


class BackfillRequestShape(BackfillShape):
    """The same, and whether to do it or only to say what it would do."""

    preview = Truth(required=False)


class BackfillAnswer(serializers.Serializer):
    """A backfill, or the preview of one."""

    id = serializers.IntegerField(required=False)
    state = Choice([*Backfill.State.values, "preview"])
    contacts = serializers.IntegerField(help_text="In all.")
    done = serializers.IntegerField(required=False)
    changed = serializers.IntegerField()
    failed = serializers.IntegerField(required=False)
    conversations = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Outcomes by word.")
    merges = serializers.IntegerField(required=False, help_text="How often the LLM would be asked.")
    cost = serializers.CharField(required=False, help_text="What that would cost.")
    complete = serializers.BooleanField(
        required=False, help_text="false: only the first contacts were gone through."
    )
    note = serializers.CharField(required=False)


class BackfillContactAnalysisData(ApiView):
    """A backfill, as the contract starts it."""

    scopes = (Scope.RUN_JOBS,)

    @documented(
        "backfill_contact_analysis_data", "contact", body=BackfillShape, answer=JobShape, creates=True
    )
    def post(self, request: Request) -> Response:
        """Apply the mappings of some contact fields, or the memory, to stored conversations again. One at a time."""
        return Response(job_document(_start(request, read(BackfillShape, request.data))))


class GetBackfillContactJobStatus(ApiView):
    """A backfill, as the contract watches it."""

    scopes = (Scope.RUN_JOBS, Scope.CONFIGURE)

    @documented("get_backfill_contact_job_status", "contact", answer=JobShape)
    def get(self, _request: Request) -> Response:
        """Where the running or last backfill stands."""
        last = Backfill.objects.first()
        return Response(job_document(last) if last else {"status": "idle"})


class Backfills(ApiView):
    """The backfills, and one previewed or started."""

    scopes = (Scope.RUN_JOBS, Scope.CONFIGURE)
    scopes_to_post = (Scope.RUN_JOBS,)

    @documented("list_backfills", "backfill", query=PageQuery, answer=page_of(BackfillAnswer))
    def get(self, request: Request) -> Response:
        """List backfills, newest first."""
        return Response(newest(Backfill.objects.all(), read(PageQuery, request.query_params), _documents))

    @documented(
        "post_backfill",
        "backfill",
        body=BackfillRequestShape,
        answer=BackfillAnswer,
        status=201,
        creates=True,
    )
    def post(self, request: Request) -> Response:
        """Start a backfill, or with preview: true only read what it would do."""
        body = read(BackfillRequestShape, request.data)
        if body.get("preview"):
            return Response(_preview_document(backfill.preview(backfill.planned(**_chosen(body)))), 201)
        return Response(_document(_start(request, body)), 201)


class GetBackfill(ApiView):
    """A backfill, watched."""

    scopes = (Scope.RUN_JOBS, Scope.CONFIGURE)

    @documented("get_backfill", "backfill", answer=BackfillAnswer, paths=BY_ID)
    def get(self, _request: Request, backfill_id: int) -> Response:
        """Read how far a backfill is and what it did."""
        return Response(_document(_found(backfill_id)))


class CancelBackfill(ApiView):
    """A backfill, stopped."""

    scopes = (Scope.RUN_JOBS,)

    @documented("cancel_backfill", "backfill", answer=BackfillAnswer, paths=BY_ID)
    def post(self, _request: Request, backfill_id: int) -> Response:
        """Stop a backfill after the contact in hand. What it did stays."""
        job = _found(backfill_id)
        if not backfill.cancel(job):
            raise Refused("The backfill has ended already.")
        return Response(_document(_found(backfill_id)))


def job_document(job: Backfill) -> dict[str, Any]:
    """A backfill in the shape of the contract's jobs."""
    status = {Backfill.State.QUEUED: "queued", Backfill.State.RUNNING: "running"}.get(
        Backfill.State(job.state), "idle"
    )
    document = {
        "status": status,
        "succeeded": job.done - job.failed,
        "failed": job.failed,
        "start_timestamp": epoch_ms(job.started_at) if job.started_at else None,
        "triggered_by": job.trigger,
    }
    return without_blanks(document)


def _start(request: Request, body: Mapping[str, Any]) -> Backfill:
    try:
        return backfill.request_backfill(**_chosen(body), by=caller(request).name)
    except backfill.BackfillOpen as already:
        raise Refused(f"A backfill is running already: {already.job}.") from None


def _chosen(body: Mapping[str, Any]) -> dict[str, Any]:
    """The mappings and filters that a request names. Raises ValidationError for a field without a mapping."""
    names, filters = dict.fromkeys(body["backfill_attributes"]), body.get("backfill_call_filter", {})
    mappings = list(AnalysisMapping.objects.filter(contact_field__in=names))
    mapped, specs = {mapping.contact_field for mapping in mappings}, field_specs()
    for position, name in enumerate(names):
        if name == MEMORY:
            continue
        if name not in specs:
            raise invalid(
                f"backfill_attributes.{position}", "There is no such contact field.", "unknown_field"
            )
        if name not in mapped:
            raise invalid(
                f"backfill_attributes.{position}", "No analysis mapping targets this field.", "no_mapping"
            )
    agents = [
        {"agent_id": one["agent_id"], "version": [_version(version) for version in one.get("version", [])]}
        for one in filters.get("agent", [])
    ]
    times = filters.get("start_timestamp", [])
    return {"mappings": mappings, "memory": MEMORY in names, "agents": agents, "times": times}


def _version(raw: Any) -> str:
    return str(int(raw)) if isinstance(raw, float) and raw.is_integer() else str(raw)[:32]


def _is_moment(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_MS


def _found(backfill_id: int) -> Backfill:
    job = Backfill.objects.filter(pk=backfill_id).first()
    if job is None:
        raise NotHere("No backfill has this id.")
    return job


def _documents(rows: Sequence[Backfill]) -> list[dict[str, Any]]:
    return [_document(row) for row in rows]


def _document(job: Backfill) -> dict[str, Any]:
    names = ("id", "state", "contacts", "done", "changed", "failed", "conversations", "counts", "note")
    return without_blanks({name: getattr(job, name) for name in names})


def _preview_document(found: backfill.Preview) -> dict[str, Any]:
    names = ("contacts", "conversations", "changed", "merges", "complete")
    counted = {name: getattr(found, name) for name in names}
    return {"state": "preview", **counted, "cost": str(found.cost), "counts": dict(found.counts)}
