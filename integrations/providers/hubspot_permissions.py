"""What a HubSpot token may do, by its scopes. Pure. Source: the scopes of each operation in HubSpot's API documents."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from integrations.providers.base import Permissions

READ, WRITE = "crm.objects.contacts.read", "crm.objects.contacts.write"
SCHEMA_READ, SCHEMA_WRITE = "crm.schemas.contacts.read", "crm.schemas.contacts.write"


def permissions_of(
    scopes: Collection[str] | None, options: Mapping[str, str], hints: tuple[str, ...] = ()
) -> Permissions:
    """The permissions; all None where HubSpot does not tell the scopes."""
    if scopes is None:
        return Permissions(hints=hints)
    needed = [READ, WRITE] + ([SCHEMA_WRITE] if options.get("unique_key") else [])
    write = WRITE in scopes
    return Permissions(
        create_contacts=write,
        update_contacts=write,
        log_activities=write,
        lacking=tuple(scope for scope in needed if scope not in scopes),
        hints=hints,
    )
