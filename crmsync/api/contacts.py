"""The contact calls. Every write goes through the one door, under the calling key's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts import phone
from contacts.changes import PhoneTaken, Source, Written, change_contact, change_tags, create_contact
from contacts.models import Contact, ContactTag, by_public_id
from contacts.values import DoesNotFit
from crmsync.api.base import ApiView, Choice, Shape, Text, Whole, caller, documented, read, source_of
from crmsync.api.contact_filters import FILTER_SCHEMA, filter_contacts, search_contacts
from crmsync.api.contact_shapes import (
    AnyObject,
    ContactCreateShape,
    ContactShape,
    ContactUpdateShape,
    contact_documents,
    wanted_tags,
    wanted_values,
)
from crmsync.api.errors import NotHere, Refused, invalid
from crmsync.api.paging import COUNTED, DEFAULT_LIMIT, MOST, Wanted, page, total
from crmsync.api_keys import Scope
from sync.deletion import StillLinked, delete_contact
from sync.wake import wake

_CONTACT_ID = re.compile(r"contact_[0-9a-f]{24}")
BY_ID = [("contact_id", "The contact.")]


@extend_schema_field(FILTER_SCHEMA)
class Criteria(AnyObject):
    """The filters; checked where they are made into conditions."""


class ContactChoiceShape(Shape):
    """Which contacts, in which order."""

    sort_order = Choice(["asc", "desc"], required=False, help_text="By creation; desc by default.")
    search_query = Text(required=False, allow_blank=True, max_length=200)
    filter_criteria = Criteria(required=False)
    excluded_contact_ids = serializers.ListField(child=Text(max_length=64), required=False, max_length=1000)


class ContactListShape(ContactChoiceShape):
    """Which contacts to list."""

    limit = Whole(
        required=False, min_value=1, help_text=f"{DEFAULT_LIMIT} by default; more than {MOST} means {MOST}."
    )
    pagination_key = Text(required=False, max_length=500)
    skip = Whole(required=False, min_value=0, max_value=10_000_000)


class ContactPageShape(serializers.Serializer):
    """One page of contacts."""

    items = ContactShape(many=True)
    has_more = serializers.BooleanField()
    pagination_key = serializers.CharField(required=False)
    total = serializers.IntegerField(
        help_text=f"How many contacts match in all; beyond {COUNTED:,} it may be an estimate."
    )


class CreateContact(ApiView):
    """A new contact."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented(
        "create_contact", "contact", body=ContactCreateShape, answer=ContactShape, status=201, creates=True
    )
    def post(self, request: Request) -> Response:
        """Create a contact. A number that another contact has is refused."""
        body = read(ContactCreateShape, request.data)
        number, values = read_number(body["phone_number"]), wanted_values(body)
        tags, source = wanted_tags(body.get("contact_tag_ids", [])), source_of(request)
        try:
            with transaction.atomic():
                contact = create_contact(number, values, source=source, strict=True).contact
                change_tags(contact, add=tags, source=source)
        except PhoneTaken as taken:
            raise invalid("phone_number", str(taken), "phone_taken") from None
        wake()
        return Response(contact_documents([contact])[0], 201)


class UpdateContact(ApiView):
    """Changes to a contact."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented("update_contact", "contact", body=ContactUpdateShape, answer=ContactShape, paths=BY_ID)
    def patch(self, request: Request, contact_id: str) -> Response:
        """Change fields and tags of a contact; all or nothing."""
        contact = find_contact(contact_id)
        if isinstance(request.data, Mapping) and "phone_number" in request.data:
            raise invalid("phone_number", "A contact's phone number cannot be changed.", "phone_fixed")
        body = read(ContactUpdateShape, request.data)
        values = wanted_values(body)
        tags = wanted_tags(body["contact_tag_ids"]) if "contact_tag_ids" in body else None
        source = source_of(request, may_clear_opt_out=body.get("do_not_call") is False)
        with transaction.atomic():
            written = _change(contact, values, source)
            if tags is not None:
                _tag(written.contact, tags, source)
        if written.changed:
            wake()
        return Response(contact_documents([find_contact(contact_id)])[0])


def _change(contact: Contact, values: dict[str, Any], source: Source) -> Written:
    try:
        written = change_contact(contact.pk, values, source=source, strict=True)
    except Contact.DoesNotExist:
        raise NotHere from None
    except DoesNotFit as error:  # a field changed its rules since the values were checked
        raise invalid("custom_fields", str(error), error.reason) from None
    for name, refusal in written.refused.items():
        raise invalid(name, str(refusal), refusal.reason)
    return written


def _tag(contact: Contact, tags: list[ContactTag], source: Source) -> None:
    """Replace the tags that clients see; those the config no longer lists stay."""
    seen = set(contact.tags.filter(listed=True))
    change_tags(contact, add=set(tags) - seen, remove=seen - set(tags), source=source)


class GetContact(ApiView):
    """One contact by id."""

    scopes = (Scope.READ_CONTACTS,)

    @documented("get_contact", "contact", answer=ContactShape, paths=BY_ID)
    def get(self, _request: Request, contact_id: str) -> Response:
        """Read a contact."""
        return Response(contact_documents([find_contact(contact_id)])[0])


class GetContactByPhone(ApiView):
    """One contact by number."""

    scopes = (Scope.READ_CONTACTS,)

    @documented(
        "get_contact_by_phone",
        "contact",
        answer=ContactShape,
        paths=[("phone_number", "Any usual spelling; + may be sent as %2B.")],
    )
    def get(self, _request: Request, phone_number: str) -> Response:
        """Read the contact that has this number now."""
        contact = Contact.objects.filter(phone_number=read_number(phone_number)).first()
        if contact is None:
            raise NotHere("No contact has this phone number.")
        return Response(contact_documents([contact])[0])


class DeleteContact(ApiView):
    """The end of a contact."""

    scopes = (Scope.WRITE_CONTACTS,)

    @documented("delete_contact", "contact", answer=None, status=204, paths=BY_ID)
    def delete(self, request: Request, contact_id: str) -> Response:
        """Delete a contact and its history. Refused while a CRM that syncs has its record: it would come back."""
        contact = find_contact(contact_id)
        if contact.public_id != contact_id:
            raise NotHere(
                f"This contact was merged into {contact.public_id}; delete that one if you mean it."
            )
        try:
            delete_contact(contact.pk, by=caller(request).ref)
        except StillLinked as linked:
            raise Refused(
                f"{linked} Unlink the app first (app_id: null), or delete the record in the CRM."
            ) from None
        except Contact.DoesNotExist:
            raise NotHere from None
        return Response(status=204)


class ListContacts(ApiView):
    """Contacts, filtered and searched."""

    scopes = (Scope.READ_CONTACTS,)

    @documented("list_contacts", "contact", body=ContactListShape, answer=ContactPageShape)
    def post(self, request: Request) -> Response:
        """List contacts, newest first unless asked otherwise. Archived ones are left out."""
        body = read(ContactListShape, request.data)
        rows = chosen_contacts(body)
        wanted = Wanted(
            body.get("limit", DEFAULT_LIMIT),
            body.get("pagination_key", ""),
            body.get("sort_order", "desc") == "desc",
            body.get("skip", 0),
        )
        found = page(rows, wanted, by="created_at", documents=contact_documents)
        return Response(found | {"total": total(rows, by="created_at")})


def chosen_contacts(body: Mapping[str, Any]) -> QuerySet[Contact]:
    """The contacts that a ContactChoiceShape means, in no order yet. Raises ValidationError naming the criterion at fault."""
    rows = filter_contacts(Contact.objects.filter(archived_at=None), body.get("filter_criteria", {}))
    if text := body.get("search_query"):
        rows = search_contacts(rows, text)
    if excluded := body.get("excluded_contact_ids"):
        rows = rows.exclude(public_id__in=excluded)
    return rows


def find_contact(contact_id: str) -> Contact:
    """The contact with this public id, or the one that it was merged into. Raises NotHere."""
    if _CONTACT_ID.fullmatch(contact_id):
        with suppress(Contact.DoesNotExist):
            return by_public_id(contact_id)
    raise NotHere("No contact has this id.")


def read_number(raw: str) -> str:
    """The E.164 number in a request. Raises ValidationError."""
    try:
        return phone.to_e164(raw, settings.PHONE_DEFAULT_REGION)
    except phone.BadPhone as error:
        raise invalid("phone_number", str(error), error.reason) from None
