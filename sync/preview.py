"""What a sync would do, without doing it: the real code runs on real data, and every chunk is rolled back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from contacts.models import Contact
from contacts.values import Value
from integrations.connections import fresh_schema, open_provider
from integrations.models import Connection
from integrations.providers.base import Record
from integrations.quota import Purpose
from mappings.compile import Rules, compile_rules
from mappings.rules import Plan
from sync.apply import apply_records
from sync.chunks import CHUNK
from sync.pull import check_rules
from sync.removal import Ended
from sync.settling import Applying, applying


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One value that would change. `side` is "contact" or "crm"; `contact` the contact's name, "" for a new one.

    With field "" the record's link would end; `rule` is then what happens to the contact.
    """

    external_id: str
    contact: str
    side: str
    field: str
    old: Value
    new: Value
    rule: str = ""


@dataclass(slots=True)
class Preview:
    """Counts by outcome as a run would report them, and the first `limit` rows of the diff."""

    limit: int = 200
    counts: Counter[str] = field(default_factory=Counter)
    rows: list[DiffRow] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    done: int = 0
    total: int | None = None

    def see(self, record: Record, contact: Contact | None, made: Plan) -> None:
        """Take note of a plan; the contact still holds its old values."""
        name = contact.name if contact else ""
        for target, value in made.changes.items():
            old = contact.value(target) if contact else None
            self.add(DiffRow(record.external_id, name, "contact", target, old, value, _rule_of(made, target)))
        for target, value in made.pushes.items():
            key = made.settle_pushed[target][0]
            self.add(DiffRow(record.external_id, name, "crm", target, record.values.get(target), value, key))
        self.skipped.update(f"{key}: {reason}" for key, reason in made.skipped.items())

    def see_ended(self, ended: Sequence[Ended]) -> None:
        """Take note of links that would end, and what would become of their contacts."""
        for one in ended:
            policy = one.policy or "unlink"
            self.rows += [DiffRow(one.external_id, one.contact, "contact", "", one.contact, None, policy)][
                : max(self.limit - len(self.rows), 0)
            ]

    def add(self, row: DiffRow) -> None:
        """Count a value that would change, and keep it while there is room."""
        self.counts["values_in" if row.side == "contact" else "values_out"] += 1
        if len(self.rows) < self.limit:
            self.rows.append(row)


def preview(
    connection: Connection,
    *,
    full: bool = False,
    rules: Rules | None = None,
    limit: int = 200,
    progress: Callable[[Preview], None] | None = None,
) -> Preview:
    """Run an inbound sync of the connection without writing anything on either side. Raises ProviderError.

    `rules`: those of mappings that are not saved yet, instead of the connection's own.
    """
    result = Preview(limit)
    full = full or not connection.cursor
    with open_provider(connection, Purpose.PULL) as provider:
        fresh_schema(connection, provider)
        rules = rules or compile_rules(connection)
        check_rules(rules)
        numbers: set[str] = set()
        cursor = "" if full else connection.cursor
        for page in provider.changes(cursor, rules.external_names, full=full):
            for start in range(0, len(page.records), CHUNK):
                try_chunk(connection, rules, page.records[start : start + CHUNK], result, numbers)
            result.done += len(page.records)
            result.total = page.total or result.total
            if progress:
                progress(result)
    return result


def try_chunk(
    connection: Connection, rules: Rules, chunk: Sequence[Record], result: Preview, numbers: set[str]
) -> None:
    ctx: Applying = applying(connection, rules, "preview")
    ctx.seen = result.see
    with transaction.atomic():
        apply_records(ctx, chunk)
        ids = [record.external_id for record in chunk]
        created = connection.records.filter(external_id__in=ids, contact__records__isnull=False)
        mine = set(created.values_list("number", flat=True)) - {""}
        transaction.set_rollback(True)
    result.see_ended(ctx.ended)
    # A number that an earlier chunk would have created a contact for is a duplicate, not a second creation.
    again = len(mine & numbers) if ctx.counts["created"] else 0
    numbers |= mine
    ctx.counts["created"] -= again
    ctx.counts["skipped_duplicate_number"] += again
    result.counts.update({name: count for name, count in ctx.counts.items() if count})


def _rule_of(made: Plan, field: str) -> str:
    """The rule that brings a value into this contact field."""
    return next((key for key in made.settle if key.rpartition(":")[2] == field), "")
