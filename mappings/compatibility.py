"""Whether a mapping can work at all, judged from the cached CRM schema when it is saved. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from contacts.values import FieldSpec, convertible
from integrations.providers.base import ExternalField


def inbound_problem(spec: FieldSpec, external_field: str, schema: Mapping[str, ExternalField]) -> str | None:
    """Why this CRM field cannot feed the contact field, or None. An empty schema (not fetched yet) allows everything."""
    if not schema:
        return None
    found = schema.get(external_field)
    if found is None:
        return f"The CRM has no contact field “{external_field}”, or hides it from this connection's user."
    if spec.name != "phone_number" and not convertible(found.type, spec.type):
        return f"A {found.type} in the CRM cannot become a {spec.type}."
    return None


def outbound_problem(spec: FieldSpec, external_field: str, schema: Mapping[str, ExternalField]) -> str | None:
    """Why the contact field cannot be written to this CRM field, or None."""
    if not schema:
        return None
    found = schema.get(external_field)
    if found is None:
        return f"The CRM has no contact field “{external_field}”, or hides it from this connection's user."
    if spec.name == "phone_number":
        # Written once, when a record is created.
        return None if found.createable else f"“{found.label}” cannot be set when a record is created."
    if not found.writable:
        return f"“{found.label}” is {'computed by the CRM' if found.calculated else 'read-only'} and cannot be written."
    if not convertible(spec.type, found.type):
        return f"A {spec.type} cannot become a {found.type} in the CRM."
    return None
