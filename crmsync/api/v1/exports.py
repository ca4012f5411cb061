"""Contacts as a CSV file: all that a list with the same filters would show, streamed row by row."""

from __future__ import annotations

from operator import attrgetter

from django.db.models import OuterRef, Subquery
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request

from crmsync.api.base import ApiView, documented, read
from crmsync.api.contacts import ContactChoiceShape, chosen_contacts
from crmsync.api_keys import Scope
from crmsync.export import Column, contact_rows, csv_answer, every_column
from crmsync.organisation import leading_connection
from sync.models import ExternalRecord, RecordState


class ExportContacts(ApiView):
    """The contact book, or a part of it, as a file."""

    scopes = (Scope.READ_CONTACTS,)

    @documented(
        "export_contacts", "contact", body=ContactChoiceShape, answer=OpenApiTypes.STR, media="text/csv"
    )
    def post(self, request: Request) -> StreamingHttpResponse:
        """Download contacts as CSV, newest first unless asked otherwise. No cell is a formula; archived ones are left out."""
        body = read(ContactChoiceShape, request.data)
        links = ExternalRecord.objects.filter(
            contact=OuterRef("pk"), connection=leading_connection(), state=RecordState.LINKED
        )
        sign = "" if body.get("sort_order") == "asc" else "-"
        rows = (
            chosen_contacts(body)
            .order_by(f"{sign}created_at", f"{sign}pk")
            .annotate(in_crm=Subquery(links.values("external_id")[:1]))
            .defer("sources", "contact_memory")
            .prefetch_related("tags")
        )
        columns = [*every_column(), Column("external_id", attrgetter("in_crm"))]
        return csv_answer(contact_rows(rows, columns), "contacts")
