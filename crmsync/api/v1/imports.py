"""CSV imports with what the contract does not know: the list, a preview row by row, the figures, the rows not taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.import_rows import Decision, Outcome, Policy
from crmsync.api.base import (
    ApiView,
    Choice,
    Truth,
    Whole,
    documented,
    epoch_ms,
    read,
    without_blanks,
)
from crmsync.api.errors import Refused, invalid
from crmsync.api.imports import ImportShape, find_import, start_import, wish_in
from crmsync.api.v1.lists import PageQuery, newest, page_of
from crmsync.api_keys import Scope
from crmsync.export import csv_answer, rejected_rows
from sync import imports
from sync.models import ContactImport

BY_ID = [("upload_id", "The id that upload-contact-import-file gave.")]


class ImportPreviewShape(ImportShape):
    """How to import a file, with what the contract does not know."""

    update_policy = Choice([one.value for one in Policy], required=False)
    clear_blanks = Truth(required=False, help_text="true: a blank cell clears its field.")


class ImportPreviewRequestShape(ImportPreviewShape):
    """The same, and how many rows to look at."""

    limit = Whole(required=False, min_value=1, max_value=imports.PREVIEWED)


class ImportRowShape(serializers.Serializer):
    """What one row does."""

    line = serializers.IntegerField(help_text="Where the row begins in the file, counted from 1.")
    outcome = Choice([one.value for one in Outcome])
    phone_number = serializers.CharField(required=False)
    changes = serializers.DictField(
        child=serializers.ListField(child=serializers.JSONField(allow_null=True)),
        help_text="Field: [old, new].",
    )
    kept = serializers.DictField(
        child=serializers.CharField(), help_text="Fields that the row would change and may not, with why."
    )
    field = serializers.CharField(required=False, help_text="The contact field at fault.")
    reason = serializers.CharField(required=False, help_text="Why the row is rejected.")


class ImportPreviewAnswer(serializers.Serializer):
    """What the first rows would do."""

    rows = serializers.IntegerField(help_text="Rows of the file in all.")
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Outcomes of those shown.")
    items = ImportRowShape(many=True)


class ImportAnswer(serializers.Serializer):
    """An upload and its import."""

    upload_id = serializers.CharField()
    file_name = serializers.CharField()
    state = Choice(ContactImport.State.values)
    columns = serializers.ListField(child=serializers.CharField(), help_text="The headers of the file.")
    rows = serializers.IntegerField()
    done = serializers.IntegerField()
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    rejected = serializers.IntegerField()
    opt_outs_kept = serializers.IntegerField()
    error = serializers.CharField(required=False)
    created_timestamp = serializers.IntegerField()
    start_timestamp = serializers.IntegerField(required=False)
    end_timestamp = serializers.IntegerField(required=False)


class Imports(ApiView):
    """The imports, and a new one with what the contract does not know."""

    scopes = (Scope.WRITE_CONTACTS, Scope.RUN_JOBS, Scope.CONFIGURE)
    scopes_to_post = (Scope.WRITE_CONTACTS,)

    @documented("list_imports", "import", query=PageQuery, answer=page_of(ImportAnswer))
    def get(self, request: Request) -> Response:
        """List uploads and their imports, newest first. What was never imported is kept for a day."""
        query = read(PageQuery, request.query_params)
        rows = ContactImport.objects.exclude(state=ContactImport.State.RECEIVING)
        return Response(newest(rows, query, import_documents))

    @documented(
        "post_import", "import", body=ImportPreviewShape, answer=ImportAnswer, status=201, creates=True
    )
    def post(self, request: Request) -> Response:
        """Import an uploaded file with an update policy. One at a time."""
        return Response(_document(start_import(request, read(ImportPreviewShape, request.data))), 201)


class PreviewImport(ApiView):
    """An import, previewed."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented("preview_import", "import", body=ImportPreviewRequestShape, answer=ImportPreviewAnswer)
    def post(self, request: Request) -> Response:
        """Read what the first rows of an uploaded file would do, row by row; nothing is written."""
        body = read(ImportPreviewRequestShape, request.data)
        try:
            limit = body.get("limit", imports.PREVIEWED)
            found = imports.preview(find_import(body["upload_id"]), wish_in(body), limit)
        except imports.BadWish as error:
            raise invalid(error.at, str(error), error.rule) from None
        except imports.ImportBegun as error:
            raise Refused(str(error)) from None
        items = [_row(decision) for decision in found.decisions]
        return Response({"rows": found.rows, "counts": found.counts, "items": items})


class GetImport(ApiView):
    """An import, watched."""

    scopes = (Scope.WRITE_CONTACTS, Scope.RUN_JOBS, Scope.CONFIGURE)

    @documented("get_import", "import", answer=ImportAnswer, paths=BY_ID)
    def get(self, _request: Request, upload_id: str) -> Response:
        """Read how far an import is and what it did."""
        return Response(_document(find_import(upload_id)))


class CancelImport(ApiView):
    """An import, stopped."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented("cancel_import", "import", answer=ImportAnswer, paths=BY_ID)
    def post(self, _request: Request, upload_id: str) -> Response:
        """Stop an import. What it did stays, and can be undone on its page."""
        job = find_import(upload_id)
        if not imports.cancel_import(job):
            raise Refused("The import is not under way.")
        return Response(_document(find_import(upload_id)))


class RejectedRows(ApiView):
    """The rows that an import did not take."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented("get_rejected_rows", "import", answer=OpenApiTypes.STR, paths=BY_ID, media="text/csv")
    def get(self, _request: Request, upload_id: str) -> StreamingHttpResponse:
        """Download the rejected rows as CSV, each with its line and the reason. They are kept for 30 days."""
        job = find_import(upload_id)
        return csv_answer(rejected_rows(job), f"rejected-{job.pk}")


def import_documents(rows: Sequence[ContactImport]) -> list[dict[str, Any]]:
    """Uploads as JSON."""
    return [_document(row) for row in rows]


def _row(decision: Decision) -> dict[str, Any]:
    return without_blanks(
        {
            "line": decision.line,
            "outcome": decision.outcome.value,
            "phone_number": decision.number,
            "changes": {name: list(pair) for name, pair in decision.changes.items()},
            "kept": decision.kept,
            "field": decision.fault,
            "reason": decision.reason,
        }
    )


def _document(job: ContactImport) -> dict[str, Any]:
    names = ("file_name", "state", "rows", "done", "created", "updated", "unchanged", "rejected", "error")
    document = {"upload_id": job.public_id, "columns": job.header, "opt_outs_kept": job.kept}
    document |= {name: getattr(job, name) for name in names}
    document["created_timestamp"] = epoch_ms(job.created_at)
    for name, at in (("start_timestamp", job.started_at), ("end_timestamp", job.finished_at)):
        document[name] = epoch_ms(at) if at else None
    return without_blanks(document)
