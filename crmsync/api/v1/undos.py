"""Undo: one change, a conversation, a run or an import is taken back, after a look at what that would restore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.models import Contact, ContactChange
from crmsync.api.auth import need
from crmsync.api.base import ApiView, Choice, Shape, Text, Whole, caller, documented, read, without_blanks
from crmsync.api.errors import Refused, invalid
from crmsync.api.imports import find_import
from crmsync.api.v1.conversations import find_conversation
from crmsync.api.v1.lists import AnyValue, PageQuery, found_by_id, newest, page_of, stamp
from crmsync.api.v1.runs import find_run
from crmsync.api_keys import Scope
from sync.looking import Enough
from sync.models import UndoRequest
from sync.undo import UndoResult, preview_undo
from sync.undo_plan import Undone, UndoRow, of_change, of_conversation, of_import, of_run
from sync.undo_requests import UndoOpen, request_undo

BY_ID = [("undo_id", "The undo.")]
NAMES = ("change_id", "conversation_id", "run_id", "upload_id")
MOST, ROWS = 2000, 200


class UndoRequestShape(Shape):
    """What to take back: exactly one of these."""

    change_id = Whole(required=False, min_value=1, help_text="A write of a contact's history.")
    conversation_id = Text(required=False, max_length=255)
    run_id = Whole(required=False, min_value=1)
    upload_id = Text(required=False, max_length=64, help_text="Of an import.")


class UndoShape(serializers.Serializer):
    """An undo, which the workers carry out."""

    id = serializers.IntegerField()
    ref = serializers.CharField(help_text="What is taken back, like run:12.")
    message = serializers.CharField(help_text="The same for people.")
    state = Choice(UndoRequest.State.values)
    requested_by = serializers.CharField()
    looked_at = serializers.IntegerField(help_text="Contacts.")
    contacts = serializers.IntegerField(help_text="Contacts that were changed.")
    restored = serializers.IntegerField(help_text="Fields.")
    skipped = serializers.DictField(
        child=serializers.IntegerField(), help_text="Reason → fields that were left as they are."
    )
    stays_here = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="App's name → restored fields that its records do not get.",
    )
    error = serializers.CharField(required=False)
    created_timestamp = serializers.IntegerField(help_text="Epoch milliseconds.")
    end_timestamp = serializers.IntegerField(required=False)


class UndoRowShape(serializers.Serializer):
    """One field of one contact."""

    contact_id = serializers.CharField(required=False)
    field_name = serializers.CharField(required=False)  # type: ignore[assignment]
    now = AnyValue()
    old = AnyValue(help_text="What would be restored.")
    reason = serializers.CharField(required=False, help_text="Missing: it would be restored.")
    message = serializers.CharField(required=False, help_text="The reason in words.")


class UndoPreviewShape(serializers.Serializer):
    """What an undo would do now."""

    message = serializers.CharField()
    complete = serializers.BooleanField(help_text=f"false: only the first {MOST} contacts were looked at.")
    contacts = serializers.IntegerField()
    restored = serializers.IntegerField()
    skipped = serializers.DictField(child=serializers.IntegerField())
    stays_here = serializers.DictField(child=serializers.IntegerField())
    changes = UndoRowShape(many=True, help_text=f"The first {ROWS}.")


class Undos(ApiView):
    """The undos, and a new one."""

    scopes = (Scope.WRITE_CONTACTS, Scope.RUN_JOBS)

    @documented("list_undos", "undo", query=PageQuery, answer=page_of(UndoShape))
    def get(self, request: Request) -> Response:
        """List undos, newest first."""
        query = read(PageQuery, request.query_params)
        return Response(newest(UndoRequest.objects.all(), query, undo_documents))

    @documented("request_undo", "undo", body=UndoRequestShape, answer=UndoShape, status=201, creates=True)
    def post(self, request: Request) -> Response:
        """Take back a change, a conversation, a run or an import, leaving what changed since. The workers do it."""
        undone = _chosen(request, read(UndoRequestShape, request.data))
        try:
            asked = request_undo(undone, caller(request).name)
        except UndoOpen as already:
            raise Refused(f"{already} It is undo {already.request.pk}.") from None
        return Response(_document(asked), 201)


class PreviewUndo(ApiView):
    """What an undo would do."""

    scopes = (Scope.WRITE_CONTACTS, Scope.RUN_JOBS)
    also = (Scope.READ_CONTACTS,)

    @documented("preview_undo", "undo", body=UndoRequestShape, answer=UndoPreviewShape)
    def post(self, request: Request) -> Response:
        """Read what an undo would restore and what not, with nothing written."""
        undone, seen = _chosen(request, read(UndoRequestShape, request.data)), UndoResult(0)

        def watch(result: UndoResult) -> None:
            nonlocal seen
            seen = result
            if result.looked_at >= MOST and not result.done:
                raise Enough

        with suppress(Enough):
            preview_undo(undone, progress=watch, limit=ROWS)
        return Response(_preview(undone, seen))


class GetUndo(ApiView):
    """One undo."""

    scopes = (Scope.WRITE_CONTACTS, Scope.RUN_JOBS)

    @documented("get_undo", "undo", answer=UndoShape, paths=BY_ID)
    def get(self, _request: Request, undo_id: int) -> Response:
        """Read how far an undo is and what it did."""
        return Response(_document(found_by_id(UndoRequest.objects.all(), undo_id, "undo")))


def undo_documents(rows: Sequence[UndoRequest]) -> list[dict[str, Any]]:
    """Undos as JSON."""
    return [_document(row) for row in rows]


def _chosen(request: Request, body: Mapping[str, Any]) -> Undone:
    """What the body names. A run or an import is for keys that run jobs. Raises ValidationError, NotHere, PermissionDenied."""
    named = [name for name in NAMES if name in body]
    if len(named) != 1:
        raise invalid("", f"Send exactly one of {', '.join(NAMES)}.", "exactly_one")
    (name,) = named
    whole = name in ("run_id", "upload_id")
    need(caller(request), Scope.RUN_JOBS if whole else Scope.WRITE_CONTACTS)
    if name == "change_id":
        return of_change(found_by_id(ContactChange.objects.all(), body[name], "change"))
    if name == "conversation_id":
        return of_conversation(find_conversation(body[name]).ref)
    if name == "run_id":
        return of_run(find_run(body[name]))
    return of_import(find_import(body[name]))


def _document(row: UndoRequest) -> dict[str, Any]:
    names = (
        "ref",
        "state",
        "requested_by",
        "looked_at",
        "contacts",
        "restored",
        "skipped",
        "stays_here",
        "error",
    )
    document = {
        "id": row.pk,
        "message": str(row).capitalize(),
        "created_timestamp": stamp(row.created_at),
        "end_timestamp": stamp(row.finished_at),
    }
    return without_blanks(document | {name: getattr(row, name) for name in names})


def _preview(undone: Undone, seen: UndoResult) -> dict[str, Any]:
    ids = Contact.objects.filter(pk__in={row.contact_id for row in seen.rows})
    public = dict(ids.values_list("pk", "public_id"))
    return {
        "message": f"Undo of {undone.words}",
        "complete": seen.done,
        "contacts": seen.contacts,
        "restored": seen.restored,
        "skipped": dict(seen.skipped),
        "stays_here": dict(seen.stays_here),
        "changes": [_row(row, public) for row in seen.rows],
    }


def _row(row: UndoRow, public: Mapping[int, str]) -> dict[str, Any]:
    shown = {
        "contact_id": public.get(row.contact_id),
        "field_name": row.field,
        "reason": row.reason,
        "message": row.why,
    }
    return without_blanks(shown) | {"now": row.now, "old": row.old}
