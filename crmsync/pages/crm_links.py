"""Where people see a record, or what was logged of a conversation, in the CRM itself; no network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from activity.models import ActivityEntry
from integrations.connections import open_provider
from integrations.models import Connection
from integrations.providers.base import ActivityKind, Provider
from integrations.providers.errors import ProviderError
from sync.models import ExternalRecord, RecordState

SEEN = {RecordState.LINKED, RecordState.SKIPPED}


def record_urls(rows: Iterable[ExternalRecord]) -> dict[int, str]:
    """The address of every record that is in its CRM, by the row's id."""
    there = [row for row in rows if row.external_id and row.state in SEEN]
    return _urls(there, lambda provider, row: provider.web_url(row.external_id or ""))


def activity_urls(rows: Iterable[ActivityEntry]) -> dict[int, str]:
    """The address of everything that was logged, by the entry's id."""
    logged = [row for row in rows if row.external_id and row.kind]
    return _urls(
        logged,
        lambda provider, row: provider.activity_url(
            row.external_id, ActivityKind(row.kind), row.contact_external_id
        ),
    )


def _urls(rows: Iterable[Any], url_of: Callable[[Provider, Any], str]) -> dict[int, str]:
    """Each connection is opened once; one that is not set up to tell leaves its rows out."""
    ordered = sorted(rows, key=lambda row: row.connection_id)
    wanted = {row.connection_id for row in ordered}
    connections = Connection.objects.defer("schema").in_bulk(wanted) if wanted else {}
    found: dict[int, str] = {}
    for pk, group in groupby(ordered, key=lambda row: row.connection_id):
        connection = connections[pk]
        connection.schema = []  # large, and no address needs it
        try:
            with open_provider(connection) as provider:
                found |= {row.pk: url_of(provider, row) for row in group}
        except ProviderError:
            continue
    return found
