"""CSV imports: the contract's three calls, and ours with a preview, the figures and the rows that were not taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from django.core.files.uploadedfile import UploadedFile
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.csv_reading import BadFile
from contacts.import_rows import Decision, Outcome, Policy
from crmsync.api.base import (
    ApiView,
    Choice,
    Shape,
    Text,
    Truth,
    Whole,
    caller,
    documented,
    epoch_ms,
    read,
    without_blanks,
)
from crmsync.api.errors import NotHere, Refused, invalid
from crmsync.api.jobs import JobShape
from crmsync.api_keys import Scope
from crmsync.export import csv_answer, rejected_rows
from sync import imports
from sync.import_store import check_size, store_upload
from sync.models import ContactImport

BY_ID = [("upload_id", "The id that upload-contact-import-file gave.")]
ROOM = 64 * 1024  # what a multipart body may hold around the file
_UPLOAD = {
    "multipart/form-data": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary", "description": "A CSV file."}},
        "required": ["file"],
    }
}


class UploadShape(serializers.Serializer):
    """A file that has been taken in."""

    file_name = serializers.CharField()
    upload_id = serializers.CharField()


class ColumnShape(Shape):
    """A column of the file and the contact field that it goes to."""

    external_field_name = Text(max_length=1000, help_text="The header in the file.")
    field_name = Text(max_length=63, help_text="Built-in or custom.")  # type: ignore[assignment]


class ImportShape(Shape):
    """How to import a file."""

    upload_id = Text(max_length=64)
    column_mapping = serializers.ListField(
        child=ColumnShape(), min_length=1, max_length=500, help_text="Exactly one targets phone_number."
    )
    contact_tags = serializers.ListField(
        child=Text(max_length=500, allow_blank=True), required=False, max_length=100,
        help_text="Labels that every contact of the file gets; new ones are made.",
    )  # fmt: skip
    default_country = Text(
        required=False, max_length=100, help_text="Two letters; of numbers without a country code."
    )


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


class UploadContactImportFile(ApiView):
    """A CSV file, taken in."""

    scopes = (Scope.WRITE_CONTACTS,)
    parser_classes = [MultiPartParser]

    @documented(
        "upload_contact_import_file", "contact", body=_UPLOAD, answer=UploadShape, status=201, creates=True
    )
    def post(self, request: Request) -> Response:
        """Upload a CSV file for an import. It is checked and kept; nothing is imported yet."""
        file = request.FILES.get("file")
        if not isinstance(file, UploadedFile) or file.file is None:
            raise invalid("file", "Send the CSV file as the part “file” of a multipart form.", "required")
        try:
            job = store_upload(
                cast("BinaryIO", file.file),
                name=file.name or "",
                size=file.size or 0,
                by=caller(request).name,
            )
        except BadFile as error:
            raise invalid("file", str(error), error.rule) from None
        return Response({"file_name": job.file_name, "upload_id": job.public_id}, 201)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse by its length what is too large, before the body is read."""
        super().initial(request, *args, **kwargs)
        try:
            check_size(int(request.META.get("CONTENT_LENGTH") or 0) - ROOM)
        except (BadFile, ValueError) as error:
            raise invalid("file", str(error), getattr(error, "rule", "invalid")) from None


class CreateContactImport(ApiView):
    """An import, as the contract starts it."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented(
        "create_contact_import", "contact", body=ImportShape, answer=JobShape, status=201, creates=True
    )
    def post(self, request: Request) -> Response:
        """Import an uploaded file: new numbers are created, known ones overwritten in the mapped columns. One at a time."""
        return Response(job_document(_start(request, read(ImportShape, request.data))), 201)


class GetContactImport(ApiView):
    """An import, as the contract watches it."""

    scopes = (Scope.WRITE_CONTACTS, Scope.RUN_JOBS, Scope.CONFIGURE)

    @documented("get_contact_import", "contact", answer=JobShape)
    def get(self, _request: Request) -> Response:
        """Where the running or last import stands."""
        waiting = (ContactImport.State.RECEIVING, ContactImport.State.UPLOADED)
        jobs = ContactImport.objects.exclude(state__in=waiting)
        last = jobs.filter(open=True).first() or jobs.order_by("-finished_at").first()
        return Response(job_document(last) if last else {"status": "idle"})


class Imports(ApiView):
    """An import, with what the contract does not know."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented(
        "post_import", "import", body=ImportPreviewShape, answer=ImportAnswer, status=201, creates=True
    )
    def post(self, request: Request) -> Response:
        """Import an uploaded file with an update policy. One at a time."""
        return Response(_document(_start(request, read(ImportPreviewShape, request.data))), 201)


class PreviewImport(ApiView):
    """An import, previewed."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented("preview_import", "import", body=ImportPreviewRequestShape, answer=ImportPreviewAnswer)
    def post(self, request: Request) -> Response:
        """Read what the first rows of an uploaded file would do, row by row; nothing is written."""
        body = read(ImportPreviewRequestShape, request.data)
        try:
            limit = body.get("limit", imports.PREVIEWED)
            found = imports.preview(_found(body["upload_id"]), _wish(body), limit)
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
        return Response(_document(_found(upload_id)))


class CancelImport(ApiView):
    """An import, stopped."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented("cancel_import", "import", answer=ImportAnswer, paths=BY_ID)
    def post(self, _request: Request, upload_id: str) -> Response:
        """Stop an import. What it did stays, and can be undone on its page."""
        job = _found(upload_id)
        if not imports.cancel_import(job):
            raise Refused("The import is not under way.")
        return Response(_document(_found(upload_id)))


class RejectedRows(ApiView):
    """The rows that an import did not take."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented("get_rejected_rows", "import", answer=OpenApiTypes.STR, paths=BY_ID, media="text/csv")
    def get(self, _request: Request, upload_id: str) -> StreamingHttpResponse:
        """Download the rejected rows as CSV, each with its line and the reason. They are kept for 30 days."""
        job = _found(upload_id)
        return csv_answer(rejected_rows(job), f"rejected-{job.pk}")


def job_document(job: ContactImport) -> dict[str, Any]:
    """An import in the shape of the contract's jobs."""
    under_way = {ContactImport.State.QUEUED: "queued", ContactImport.State.RUNNING: "running"}
    document = {
        "status": under_way.get(ContactImport.State(job.state), "idle"),
        "succeeded": job.done - job.rejected,
        "failed": job.rejected,
        "start_timestamp": epoch_ms(job.started_at) if job.started_at else None,
        "triggered_by": "manual",
    }
    return without_blanks(document)


def _start(request: Request, body: Mapping[str, Any]) -> ContactImport:
    try:
        return imports.request_import(_found(body["upload_id"]), _wish(body), by=caller(request).name)
    except imports.BadWish as error:
        raise invalid(error.at, str(error), error.rule) from None
    except (imports.ImportOpen, imports.ImportBegun) as error:
        raise Refused(str(error)) from None


def _wish(body: Mapping[str, Any]) -> imports.Wish:
    mapping = [(one["external_field_name"], one["field_name"]) for one in body["column_mapping"]]
    return imports.Wish(
        mapping,
        body.get("contact_tags", ()),
        body.get("default_country", ""),
        Policy(body.get("update_policy", Policy.OVERWRITE)),
        body.get("clear_blanks", False),
    )


def _found(upload_id: str) -> ContactImport:
    jobs = ContactImport.objects.exclude(state=ContactImport.State.RECEIVING)
    job = jobs.filter(public_id=upload_id).first() if "\x00" not in upload_id else None
    if job is None:
        raise NotHere("No upload has this id. Files that are not imported are deleted after a day.")
    return job


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
