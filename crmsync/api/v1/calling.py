"""What an agent should know before an outbound call, and whether it may be made at all."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from activity import variables
from contacts.changes import find_by_number
from contacts.models import Contact
from crmsync.api.base import ApiView, Shape, Text, documented, read, without_blanks
from crmsync.api.contacts import read_number
from crmsync.api_keys import Scope


class NumberShape(Shape):
    """Whom to call."""

    phone_number = Text(max_length=40, help_text="Any usual spelling; in a query + is sent as %2B.")


class MayCallShape(serializers.Serializer):
    """Whether an outbound call may be made."""

    phone_number = serializers.CharField(help_text="E.164.")
    contact_id = serializers.CharField(required=False, help_text="Missing: no contact has the number.")
    may_call = serializers.BooleanField(help_text="false for contacts that have asked not to be called.")
    reason = serializers.CharField(required=False, help_text="Why not.")


class VariablesShape(MayCallShape):
    """The same, with what the agent should be told."""

    dynamic_variables = serializers.DictField(child=serializers.CharField())


class DynamicVariables(ApiView):
    """Variables for an outbound call."""

    scopes = (Scope.READ_CONTACTS,)

    @documented("get_dynamic_variables", "calling", query=NumberShape, answer=VariablesShape)
    def get(self, request: Request) -> Response:
        """Read the dynamic variables of whoever has a number, as an inbound call would get them."""
        return Response(_told(read(NumberShape, request.query_params)["phone_number"]))

    @documented("post_dynamic_variables", "calling", body=NumberShape, answer=VariablesShape)
    def post(self, request: Request) -> Response:
        """Read the same with the number in the body, so that no log of addresses holds it."""
        return Response(_told(read(NumberShape, request.data)["phone_number"]))


class MayCall(ApiView):
    """Leave to make an outbound call."""

    scopes = (Scope.READ_CONTACTS,)

    @documented("get_may_call", "calling", query=NumberShape, answer=MayCallShape)
    def get(self, request: Request) -> Response:
        """Ask whether a number may be called."""
        return Response(_leave(*_found(read(NumberShape, request.query_params)["phone_number"])))

    @documented("post_may_call", "calling", body=NumberShape, answer=MayCallShape)
    def post(self, request: Request) -> Response:
        """Ask the same with the number in the body, so that no log of addresses holds it."""
        return Response(_leave(*_found(read(NumberShape, request.data)["phone_number"])))


def _found(raw: str) -> tuple[str, Contact | None]:
    number = read_number(raw)
    return number, find_by_number(number)


def _leave(number: str, contact: Contact | None) -> dict[str, Any]:
    allowed, why_not = variables.may_call(contact)
    document = {
        "phone_number": number,
        "contact_id": contact.public_id if contact else None,
        "reason": why_not,
    }
    return without_blanks(document) | {"may_call": allowed}


def _told(raw: str) -> dict[str, Any]:
    number, contact = _found(raw)
    return _leave(number, contact) | {"dynamic_variables": variables.dynamic_variables(contact)}
