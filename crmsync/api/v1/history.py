"""Where a contact's values came from, and every write that they have seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from activity.models import Conversation
from contacts.models import Contact, ContactChange, field_specs
from contacts.values import FieldType
from crmsync.api.base import ApiView, Choice, documented, epoch_ms, read, without_blanks
from crmsync.api.contacts import BY_ID, find_contact
from crmsync.api.v1.lists import AnyValue, PageQuery, newest, page_of
from crmsync.api_keys import Scope
from sync.models import ExternalRecord, RecordState


class SourceShape(serializers.Serializer):
    """Who or what wrote a value."""

    kind = serializers.CharField(
        help_text="crm, conversation, person, api_key, import, merge, undo or system; conflict: a value not taken."
    )
    label = serializers.CharField(required=False, help_text="Its name, for people.")  # type: ignore[assignment]  # our key
    ref = serializers.CharField(required=False, help_text="What it was, like run:12 or key:3.")
    run_id = serializers.IntegerField(required=False)
    conversation_id = serializers.CharField(required=False)
    external_id = serializers.CharField(required=False, help_text="The CRM record it was read from.")
    timestamp = serializers.IntegerField(required=False, help_text="Epoch milliseconds.")


class ValueShape(serializers.Serializer):
    """A field of a contact."""

    field_name = serializers.CharField()  # type: ignore[assignment]
    label = serializers.CharField()  # type: ignore[assignment]
    type = Choice([kind.value for kind in FieldType])
    value = AnyValue(help_text="null: blank.")
    source = SourceShape(required=False, help_text="Missing: nobody has written it.")  # type: ignore[assignment]


class RecordShape(serializers.Serializer):
    """A record of the contact in a CRM."""

    app_id = serializers.CharField()
    external_id = serializers.CharField(required=False)
    state = Choice(RecordState.values)
    skipped = serializers.DictField(
        child=serializers.CharField(), help_text="Values that could not be carried over: rule → reason."
    )


class ProvenanceShape(serializers.Serializer):
    """What is known of a contact, and from where."""

    contact_id = serializers.CharField()
    fields = ValueShape(many=True)  # type: ignore[assignment]
    records = RecordShape(many=True)


class ChangedShape(serializers.Serializer):
    """One field of one write."""

    field_name = serializers.CharField(help_text="contact_tags: the labels of the tags.")  # type: ignore[assignment]
    recorded = serializers.BooleanField(help_text="false: a first import, of which no values are kept.")
    old = AnyValue()
    new = AnyValue()


class ChangeShape(serializers.Serializer):
    """One write to one contact."""

    id = serializers.IntegerField()
    contact_id = serializers.CharField()
    created = serializers.BooleanField(help_text="It created the contact.")
    source = SourceShape()  # type: ignore[assignment]
    changes = ChangedShape(many=True)


class Provenance(ApiView):
    """A contact's values with their sources."""

    scopes = (Scope.READ_CONTACTS,)

    @documented("get_contact_provenance", "history", answer=ProvenanceShape, paths=BY_ID)
    def get(self, _request: Request, contact_id: str) -> Response:
        """Read every value of a contact with where it came from, and the CRM records it is in step with."""
        contact = find_contact(contact_id)
        keys = _conversation_keys(stamp.get("ref", "") for stamp in contact.sources.values())
        fields = [
            {"field_name": name, "label": spec.label, "type": spec.type.value, "value": contact.value(name)}
            | ({"source": _of_stamp(contact.sources[name], keys)} if name in contact.sources else {})
            for name, spec in field_specs().items()
        ]
        return Response({"contact_id": contact.public_id, "fields": fields, "records": _records(contact)})


class History(ApiView):
    """A contact's writes."""

    scopes = (Scope.READ_CONTACTS,)

    @documented("list_contact_history", "history", query=PageQuery, answer=page_of(ChangeShape), paths=BY_ID)
    def get(self, request: Request, contact_id: str) -> Response:
        """List every write to a contact, with old and new values and who made it."""
        query = read(PageQuery, request.query_params)
        rows = ContactChange.objects.filter(contact=find_contact(contact_id))
        return Response(newest(rows, query, change_documents))


def change_documents(rows: Sequence[ContactChange]) -> list[dict[str, Any]]:
    """Writes as JSON, with a fixed number of queries."""
    keys = _conversation_keys(row.source_ref for row in rows)
    ids = {row.contact_id for row in rows}
    public = dict(Contact.objects.filter(pk__in=ids).values_list("pk", "public_id"))
    return [_change(row, public[row.contact_id], keys) for row in rows if row.contact_id in public]


def _change(row: ContactChange, public_id: str, keys: Mapping[str, str]) -> dict[str, Any]:
    source = _source(row.source_kind, row.source_label, row.source_ref, keys)
    return {
        "id": row.pk,
        "contact_id": public_id,
        "created": row.created,
        "source": source | {"timestamp": epoch_ms(row.at)},
        "changes": [
            {
                "field_name": name,
                "recorded": len(pair) == 2,
                "old": pair[0] if len(pair) == 2 else None,
                "new": pair[1] if len(pair) == 2 else None,
            }
            for name, pair in row.diff.items()
        ],
    }


def _of_stamp(held: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """The source told by one entry of `Contact.sources`."""
    at = held.get("at")
    more = {
        "external_id": str(held.get("external_id", "")),
        "timestamp": epoch_ms(datetime.fromisoformat(at)) if at else None,
    }
    known = _source(str(held.get("kind", "")), str(held.get("label", "")), str(held.get("ref", "")), keys)
    return known | without_blanks(more)


def _source(kind: str, label: str, ref: str, keys: Mapping[str, str]) -> dict[str, Any]:
    what, _, number = ref.partition(":")
    document = {
        "kind": kind,
        "label": label,
        "ref": ref,
        "run_id": int(number) if what == "run" and number.isdigit() else None,
        "conversation_id": keys.get(ref),
    }
    return {"kind": kind} | without_blanks(document)


def _conversation_keys(refs: Iterable[str]) -> dict[str, str]:
    """The ids that clients know of the conversations among references like "conversation:7"."""
    numbers = {ref.partition(":")[2] for ref in refs if ref.startswith("conversation:")}
    rows = Conversation.objects.filter(pk__in=[int(one) for one in numbers if one.isdigit()])
    return {f"conversation:{pk}": key for pk, key in rows.values_list("pk", "key")}


def _records(contact: Contact) -> list[dict[str, Any]]:
    rows = ExternalRecord.objects.filter(contact=contact).order_by("connection__rank", "pk")
    names = ("connection__public_id", "external_id", "state", "skipped_fields")
    return [
        without_blanks({"app_id": app_id, "external_id": external_id, "state": state})
        | {"skipped": {rule: str(why) for rule, why in skipped.items()}}
        for app_id, external_id, state, skipped in rows.values_list(*names)
    ]
