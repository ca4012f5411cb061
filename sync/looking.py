"""Look at what a sync would do while somebody waits: as far as time and patience allow, and how far that was."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from contacts.models import Contact, snapshot
from integrations.connections import fresh_schema, open_provider
from integrations.models import Connection
from integrations.quota import Purpose
from mappings.compile import compile_rules
from mappings.rules import unpack
from sync.models import ExternalRecord, RecordState
from sync.oscillation import frozen_fields
from sync.preview import Preview, try_chunk
from sync.pull import check_rules
from sync.settling import applying, plan_record

Look = Callable[[Callable[[Preview], None]], Preview]


class Enough(Exception):
    """The rest is not looked at."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen, and whether that is all."""

    preview: Preview
    complete: bool


def look(at: Look, *, most: int, seconds: float) -> Looked:
    """Run a preview that reports its progress until it has seen `most` records or `seconds` have passed. Raises ProviderError."""
    until, seen = time.monotonic() + seconds, Preview(0)

    def watch(result: Preview) -> None:
        nonlocal seen
        seen = result
        if result.done >= most or time.monotonic() > until:
            raise Enough

    try:
        seen, complete = at(watch), True
    except Enough:
        complete = seen.total is not None and seen.done >= seen.total
    return Looked(seen, complete and not seen.counts.get("not_examined"))


def preview_contact(connection: Connection, contact: Contact, *, limit: int = 200) -> Preview:
    """What a sync of one contact would change on both sides now, with nothing written. Raises ProviderError.

    A contact without a record is matched by its number, as an inbound sync would.
    """
    result = Preview(limit)
    link = ExternalRecord.objects.filter(
        connection=connection, contact=contact, state=RecordState.LINKED
    ).first()
    with open_provider(connection, Purpose.PULL) as provider:
        fresh_schema(connection, provider)
        rules = compile_rules(connection)
        check_rules(rules)
        names = rules.external_names
        if link is None:
            found = provider.find_by_phone([contact.phone_number], names, rules.phone_fields)
            records = list(found.get(contact.phone_number, ()))
        else:
            records = list(provider.read([link.external_id or ""], names).values())
    if link is None:
        try_chunk(connection, rules, records, result, set())
    for record in records if link else ():
        ctx = applying(connection, rules, "preview")
        ctx.frozen = frozen_fields([contact.pk])
        made = plan_record(ctx, contact, unpack(link.settled if link else {}), snapshot(contact), record, {})
        result.see(record, contact, made)
        result.counts["conflicts"] += len(made.conflicts)
    result.done = result.total = len(records)
    return result
