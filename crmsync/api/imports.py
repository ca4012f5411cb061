"""CSV imports as the contract knows them: a file is uploaded, imported and watched. More about them is told under v1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from django.core.files.uploadedfile import UploadedFile
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.csv_reading import BadFile
from contacts.import_rows import Policy
from crmsync.api.base import (
    ApiView,
    Shape,
    Text,
    caller,
    documented,
    epoch_ms,
    read,
    without_blanks,
)
from crmsync.api.errors import NotHere, Refused, invalid
from crmsync.api.jobs import JobShape
from crmsync.api_keys import Scope
from sync import imports
from sync.import_store import check_size, store_upload
from sync.models import ContactImport

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


class UploadContactImportFile(ApiView):
    """A CSV file, taken in."""

    scopes = (Scope.WRITE_CONTACTS,)
    parser_classes = [MultiPartParser]
    most_bytes = None

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
        return Response(job_document(start_import(request, read(ImportShape, request.data))), 201)


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


def start_import(request: Request, body: Mapping[str, Any]) -> ContactImport:
    """Queue the import that a body asks for. Raises NotHere, Refused and ValidationError."""
    try:
        return imports.request_import(find_import(body["upload_id"]), wish_in(body), by=caller(request).name)
    except imports.BadWish as error:
        raise invalid(error.at, str(error), error.rule) from None
    except (imports.ImportOpen, imports.ImportBegun) as error:
        raise Refused(str(error)) from None


def wish_in(body: Mapping[str, Any]) -> imports.Wish:
    """How a body wants its file imported."""
    mapping = [(one["external_field_name"], one["field_name"]) for one in body["column_mapping"]]
    return imports.Wish(
        mapping,
        body.get("contact_tags", ()),
        body.get("default_country", ""),
        Policy(body.get("update_policy", Policy.OVERWRITE)),
        body.get("clear_blanks", False),
    )


def find_import(upload_id: str) -> ContactImport:
    """The upload with this id. Raises NotHere."""
    jobs = ContactImport.objects.exclude(state=ContactImport.State.RECEIVING)
    job = jobs.filter(public_id=upload_id).first() if "\x00" not in upload_id else None
    if job is None:
        raise NotHere("No upload has this id. Files that are not imported are deleted after a day.")
    return job
