"""Plans: what a sync would do, worked out by the code that does it, with nothing written on either side."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.models import Contact
from crmsync.api.base import ApiView, Choice, Shape, Text, Truth, documented, read, without_blanks
from crmsync.api.connections import find_app
from crmsync.api.contacts import find_contact
from crmsync.api.errors import Refused
from crmsync.api.v1.lists import AnyValue
from crmsync.api_keys import Scope
from crmsync.organisation import linked_connection
from integrations.connections import record_failure
from integrations.models import Connection
from integrations.providers.errors import ProviderError
from sync.arming import preview_outbound
from sync.looking import Look, Looked, look, preview_contact
from sync.preview import DiffRow, preview

RECORDS, CONTACTS, ROWS, SECONDS = 2000, 1000, 200, 15.0


class InboundPlanShape(Shape):
    """Which sync."""

    app_id = Text(max_length=64)
    full = Truth(required=False, help_text="Everything, instead of what changed since the last run.")


class OutboundPlanShape(Shape):
    """Which app."""

    app_id = Text(max_length=64)


class ContactPlanShape(Shape):
    """Of which contact, and with which app."""

    contact_id = Text(max_length=64)
    app_id = Text(required=False, max_length=64, help_text="The linked app by default.")


class PlannedShape(serializers.Serializer):
    """One value that would change."""

    side = Choice(["contact", "crm"], help_text="Where.")
    external_id = serializers.CharField(required=False, help_text="Missing: a record that would be created.")
    contact = serializers.CharField(
        required=False, help_text="The name; missing: a contact that would be created."
    )
    field_name = serializers.CharField(  # type: ignore[assignment]
        required=False, help_text="Missing: the record is gone and its link would end."
    )
    old = AnyValue()
    new = AnyValue()
    rule = serializers.CharField(required=False, help_text="The mapping, or the delete policy.")


class PlanShape(serializers.Serializer):
    """What would happen."""

    app_id = serializers.CharField()
    complete = serializers.BooleanField(help_text="false: only a part was looked at.")
    looked_at = serializers.IntegerField(help_text="Records or contacts.")
    total = serializers.IntegerField(required=False)
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Outcomes by word.")
    skipped = serializers.DictField(
        child=serializers.IntegerField(), help_text="Rule and reason → values that would not be carried over."
    )
    changes = PlannedShape(many=True, help_text=f"The first {ROWS} values.")


class PlanView(ApiView):
    """Plans show values of contacts, and cost calls to the CRM."""

    scopes = (Scope.RUN_JOBS,)
    also = (Scope.READ_CONTACTS,)


class PlanInbound(PlanView):
    """A dry run."""

    @documented("plan_inbound", "plan", body=InboundPlanShape, answer=PlanShape)
    def post(self, request: Request) -> Response:
        """Read the CRM and tell what an inbound sync would change, for at most 2,000 records or 15 seconds."""
        body = read(InboundPlanShape, request.data)
        connection, full = find_app(body["app_id"]), body.get("full", False)
        return _planned(
            connection, lambda watch: preview(connection, full=full, limit=ROWS, progress=watch), RECORDS
        )


class PlanOutbound(PlanView):
    """The outbound preview."""

    @documented("plan_outbound", "plan", body=OutboundPlanShape, answer=PlanShape)
    def post(self, request: Request) -> Response:
        """Read the CRM and tell what would be written to it now, for at most 1,000 contacts or 15 seconds."""
        connection = find_app(read(OutboundPlanShape, request.data)["app_id"])
        return _planned(
            connection,
            lambda watch: preview_outbound(connection, limit=ROWS, at_most=CONTACTS, progress=watch),
            CONTACTS,
        )


class PlanContact(PlanView):
    """The plan of one contact."""

    @documented("plan_contact", "plan", body=ContactPlanShape, answer=PlanShape)
    def post(self, request: Request) -> Response:
        """Read a contact's CRM record and tell what a sync would change on both sides now."""
        body = read(ContactPlanShape, request.data)
        contact: Contact = find_contact(body["contact_id"])
        connection = find_app(body["app_id"]) if "app_id" in body else linked_connection()
        if connection is None:
            raise Refused("No CRM app is linked. Name one with app_id.")
        asked = connection
        return _planned(asked, lambda _watch: preview_contact(asked, contact, limit=ROWS), 1)


def _planned(connection: Connection, at: Look, most: int) -> Response:
    try:
        return Response(plan_document(connection, look(at, most=most, seconds=SECONDS)))
    except ProviderError as error:
        record_failure(connection, error)
        raise Refused(f"{connection} could not be asked: {error.message}") from None


def plan_document(connection: Connection, looked: Looked) -> dict[str, Any]:
    """A preview as JSON."""
    found = looked.preview
    document = {
        "app_id": connection.public_id,
        "complete": looked.complete,
        "looked_at": found.done,
        "total": found.total,
    }
    return without_blanks(document) | {
        "counts": {name: count for name, count in found.counts.items() if count},
        "skipped": dict(found.skipped.most_common(20)),
        "changes": [_row(row) for row in found.rows],
    }


def _row(row: DiffRow) -> dict[str, Any]:
    shown = {
        "side": row.side,
        "external_id": row.external_id,
        "contact": row.contact,
        "field_name": row.field,
        "rule": row.rule,
    }
    return without_blanks(shown) | {"old": row.old, "new": row.new}
