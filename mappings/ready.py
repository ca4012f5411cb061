"""Whether a connection is ready for its mappings: what they need of the CRM, checked when asked, after a change and daily."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import F, Q
from django.utils import timezone

from contacts.models import field_specs
from contacts.values import FieldType
from integrations.models import Connection, ConnectionStatus
from integrations.preflight import Line, Needs, Wanted, preflight

EVERY = timedelta(days=1)


def wanted_fields(connection: Connection) -> list[Wanted]:
    """Every CRM field that the connection's mappings use, and how."""
    types = {name: spec.type for name, spec in field_specs().items()}
    return [*_read(connection, types), *_written(connection, types)]


def check_ready(connection: Connection) -> list[Line]:
    """Check it now. The lines are stored on the connection too."""
    return preflight(connection, wanted_fields(connection))


def check_some() -> int:
    """Check one connection that was changed since, or not checked for a day; returns 1 if there was one."""
    now = timezone.now()
    stale = Q(preflight_at=None) | Q(preflight_at__lte=now - EVERY) | Q(preflight_at__lt=F("updated_at"))
    awake = Q(paused_until=None) | Q(paused_until__lte=now)
    due = Connection.objects.filter(stale, awake, enabled=True, status=ConnectionStatus.CONNECTED)
    for connection in due.order_by(F("preflight_at").asc(nulls_first=True))[:5]:
        # Taken by the stamp: whoever dies with it leaves it to the next day, or to the next change.
        taken = Connection.objects.filter(pk=connection.pk, preflight_at=connection.preflight_at)
        if taken.update(preflight_at=now):
            check_ready(connection)
            return 1
    return 0


def _read(connection: Connection, types: dict[str, FieldType]) -> Iterator[Wanted]:
    for row in connection.inbound_mappings.all():
        kind = None if row.contact_field == "phone_number" else types.get(row.contact_field)
        yield Wanted(row.external_field, Needs.READ, kind)
    yield from (Wanted(str(name), Needs.READ) for name in connection.phone_fields)


def _written(connection: Connection, types: dict[str, FieldType]) -> Iterator[Wanted]:
    phone = ""
    for row in connection.outbound_mappings.all():
        if row.contact_field == "phone_number":
            phone = row.external_field
        else:
            yield Wanted(row.external_field, Needs.WRITE, types.get(row.contact_field))
    if connection.sync_new_contacts and not phone:
        first = connection.inbound_mappings.filter(contact_field="phone_number").first()
        phone = first.external_field if first else ""
    if phone:
        yield Wanted(phone, Needs.CREATE)
