"""Drift audit: what contacts and CRM records hold now, compared field by field, and a repair of what a person selects.

Nothing is settled or written by the audit itself; memory stays flat however many records there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import QuerySet

from contacts.models import Contact, snapshot
from contacts.values import DoesNotFit, Value, same
from integrations.connections import fresh_schema, open_provider
from integrations.models import Connection
from integrations.providers.base import Record
from integrations.quota import Purpose
from mappings.compile import Rules, compile_rules
from mappings.rules import OPT_OUT, FieldRule, Pair, unpack
from sync.models import ExternalRecord, RecordState

BATCH = 200
WHY = {
    "not_pulled_yet": "The CRM changed it; the next inbound sync takes it.",
    "not_pushed_yet": "It was changed here and has not been pushed yet.",
    "changed_in_crm": "The CRM changed it, and the mapping only carries values out.",
    "kept_here": "It was changed here, and the mapping only brings values in.",
    "blank_ignored": "One side is blank, and the mapping ignores blanks.",
    "decided": "The two were settled as they are: by rank, by policy or by a person.",
    "never_settled": "The mapping has not met this record yet; read everything again.",
    "unnoticed": "The CRM's value changed without a new time stamp, as computed fields do.",
    "hidden": "The CRM hides the field from us.",
}


@dataclass(slots=True)
class FieldDrift:
    """How one mapped field compares over all records. `only_here` and `only_there`: the other side is blank."""

    equal: int = 0
    differs: int = 0
    only_here: int = 0
    only_there: int = 0
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One field of one record that is not the same on both sides, and why; `key` names the rule."""

    contact_id: int
    contact: str
    external_id: str
    key: str
    field: str
    external_field: str
    ours: Value
    theirs: Value
    kind: str
    reason: str

    @property
    def why(self) -> str:
        """The reason in plain words; codes of refusals as they are."""
        return WHY.get(self.reason, self.reason)


@dataclass(slots=True)
class DriftReport:
    """The result of an audit: counts by rule key, and the first `limit` rows. `gone`: linked records the CRM does not show."""

    limit: int = 200
    fields: dict[str, FieldDrift] = field(default_factory=dict)
    rows: list[DriftRow] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    gone: int = 0
    done: int = 0
    total: int = 0

    def add(self, row: DriftRow) -> None:
        """Count a difference, and keep the first ones."""
        self.reasons[row.reason] += 1
        if len(self.rows) < self.limit:
            self.rows.append(row)


def audit(
    connection: Connection, *, progress: Callable[[DriftReport], None] | None = None, limit: int = 200
) -> DriftReport:
    """Compare every linked record with its contact, as both are now. `progress` is called for every 200.

    Raises ProviderError.
    """
    report = DriftReport(limit, total=_linked(connection).count())
    with open_provider(connection, Purpose.PULL) as provider:
        fresh_schema(connection, provider)
        rules = compile_rules(connection)
        report.fields = {rule.key: FieldDrift() for rule in rules.fields}
        for links in _batches(connection):
            read = provider.read([link.external_id or "" for link in links], rules.external_names)
            _compare(report, rules, links, read)
            if progress:
                progress(report)
    return report


def _linked(connection: Connection) -> QuerySet[ExternalRecord]:
    return ExternalRecord.objects.filter(
        connection=connection, state=RecordState.LINKED, contact__isnull=False
    )


def _batches(connection: Connection) -> Iterator[list[ExternalRecord]]:
    after = 0
    while links := list(_linked(connection).filter(pk__gt=after).order_by("pk")[:BATCH]):
        yield links
        after = links[-1].pk


def _compare(
    report: DriftReport, rules: Rules, links: Sequence[ExternalRecord], read: Mapping[str, Record]
) -> None:
    # The contacts are read after the records: an edit made meanwhile shows as not pushed yet, never as a lost one.
    contacts = Contact.objects.in_bulk([link.contact_id or 0 for link in links])
    for link in links:
        record, contact = read.get(link.external_id or ""), contacts.get(link.contact_id or 0)
        report.done += 1
        if record is None or record.deleted:
            report.gone += 1
        elif contact is not None:
            local, settled = snapshot(contact), unpack(link.settled)
            for rule in rules.fields:
                _compare_field(report, rule, link, contact, local, record, settled.get(rule.key))


def _compare_field(
    report: DriftReport,
    rule: FieldRule,
    link: ExternalRecord,
    contact: Contact,
    local: Mapping[str, Value],
    record: Record,
    pair: Pair | None,
) -> None:
    counts = report.fields[rule.key]
    if rule.external.name not in record.values:
        counts.hidden += 1
        return
    ours, theirs = local.get(rule.contact.name), record.values[rule.external.name]
    kind = difference(rule, ours, theirs)
    setattr(counts, kind, getattr(counts, kind) + 1)
    if kind == "equal":
        return
    reason = link.skipped_fields.get(rule.key) or _reason(rule, ours, theirs, pair, link, record)
    report.add(
        DriftRow(
            contact.pk,
            contact.name,
            record.external_id,
            rule.key,
            rule.contact.name,
            rule.external.name,
            ours,
            theirs,
            kind,
            reason,
        )
    )


def difference(rule: FieldRule, ours: Value, theirs: Value) -> str:
    """How two values compare under a rule: "equal", "differs", "only_here" or "only_there".

    Values are equal where one side would hold exactly what it holds if it took the other's.
    """
    if rule.contact.name == OPT_OUT:
        ours, theirs = ours or None, None if _carried(rule.inward, theirs) is False else theirs
    if ours is None or theirs is None:
        return "equal" if ours is theirs else "only_there" if ours is None else "only_here"
    comes_in = rule.pulls and same(_carried(rule.inward, theirs), ours)
    goes_out = rule.pushes and same(_carried(rule.outward, ours), theirs)
    return "equal" if comes_in or goes_out else "differs"


def _carried(way: Callable[[Value], Value], value: Value) -> Value:
    try:
        return way(value)
    except DoesNotFit:
        return None


def _reason(
    rule: FieldRule, ours: Value, theirs: Value, pair: Pair | None, link: ExternalRecord, record: Record
) -> str:
    if pair is None:
        return "never_settled"
    if not same(theirs, pair.remote):
        stamped = record.modified is None or record.modified != link.remote_modified_at
        return "changed_in_crm" if not rule.pulls else "not_pulled_yet" if stamped else "unnoticed"
    if not same(ours, pair.local):
        return "not_pushed_yet" if rule.pushes else "kept_here"
    return "blank_ignored" if ours is None or theirs is None else "decided"
