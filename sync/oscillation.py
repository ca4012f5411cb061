"""Two CRMs whose automations fight over one field of a contact: seen in the history, frozen, and put to a person once.

Each of them tells of a real change every time, so three-way sync alone would carry the two values round for ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from django.db.models import Count
from django.utils import timezone

from contacts.changes import Written
from contacts.models import Contact, ContactChange
from integrations.models import Connection
from mappings.rules import FieldRule
from sync import issues
from sync.models import ExternalRecord, RecordState, SyncIssue, SyncRun

KIND = "oscillation"
LIMIT = 3  # flips within the window that are still taken for people's work
WINDOW = timedelta(hours=1)
_FROZEN = (*issues.OPEN, SyncIssue.State.IGNORED)


class Write(NamedTuple):
    """One write of one field by a CRM's sync."""

    at: datetime
    ref: str
    label: str


def frozen_fields(contact_ids: Collection[int]) -> dict[int, frozenset[str]]:
    """The fields of these contacts that are not synced until a person has chosen; ignored questions keep them frozen."""
    rows = SyncIssue.objects.filter(kind=KIND, contact_id__in=contact_ids, state__in=_FROZEN)
    found: dict[int, set[str]] = defaultdict(set)
    for contact_id, field in rows.values_list("contact_id", "field"):
        found[contact_id or 0].add(field)
    return {pk: frozenset(fields) for pk, fields in found.items()}


def thawed(rules: Iterable[FieldRule], frozen: frozenset[str]) -> list[FieldRule]:
    """The rules that may carry values."""
    return [rule for rule in rules if rule.contact.name not in frozen]


def reasons(rules: Iterable[FieldRule], frozen: frozenset[str]) -> dict[str, str]:
    """Rule key → reason, for the rules that may not."""
    return {rule.key: KIND for rule in rules if rule.contact.name in frozen}


def detect(written: Sequence[Written]) -> None:
    """Freeze the fields that two connections have just turned back and forth too often. One query, unless there are any."""
    changed = {row.contact.pk: row.changed for row in written if row.changed and not row.created}
    if not changed:
        return
    for (contact_id, field), writes in _writes(changed).items():
        if field in changed[contact_id] and len(writes) > LIMIT:
            _judge(contact_id, field, writes)


def _writes(contact_ids: Collection[int]) -> dict[tuple[int, str], list[Write]]:
    """What CRMs wrote within the window to contacts that are linked in more than one of them."""
    linked = ExternalRecord.objects.filter(contact_id__in=contact_ids, state=RecordState.LINKED)
    several = linked.values("contact_id").annotate(links=Count("id")).filter(links__gte=2)
    rows = ContactChange.objects.filter(
        contact_id__in=several.values("contact_id"),
        at__gte=timezone.now() - WINDOW,
        source_kind="crm",
        created=False,
    )
    found: dict[tuple[int, str], list[Write]] = defaultdict(list)
    for row in rows.order_by("id"):
        for field in row.diff:
            found[row.contact_id, field].append(Write(row.at, row.source_ref, row.source_label))
    return found


def _judge(contact_id: int, field: str, writes: Sequence[Write]) -> None:
    told = SyncIssue.objects.filter(kind=KIND, contact_id=contact_id, field=field)
    if told.filter(state__in=_FROZEN).exists():
        return
    thawed_at = told.order_by("-closed_at").values_list("closed_at", flat=True).first()
    since = [write for write in writes if thawed_at is None or write.at > thawed_at]
    writers = _writers(since)
    flips = sum(1 for one, other in pairwise(writers) if one != other)
    if flips > LIMIT:
        _freeze(contact_id, field, set(writers))


def _writers(writes: Sequence[Write]) -> list[int]:
    """Which connection made each write: by its run, or by name where a push brought the value in."""
    runs = {write.ref: write.ref.removeprefix("run:") for write in writes if write.ref.startswith("run:")}
    of_run = dict(SyncRun.objects.filter(pk__in=runs.values()).values_list("pk", "connection_id"))
    of_name = {name: pk for pk, name in Connection.objects.values_list("pk", "name")}
    found = [
        of_run.get(int(runs[write.ref])) if write.ref in runs else of_name.get(write.label)
        for write in writes
    ]
    return [pk for pk in found if pk is not None]


def _freeze(contact_id: int, field: str, writers: Collection[int]) -> None:
    connections = list(Connection.objects.filter(pk__in=writers).order_by("rank", "id"))
    names = " and ".join(connection.name for connection in connections)
    issues.report(
        connections[0],
        KIND,
        contact=Contact.objects.get(pk=contact_id),
        field=field,
        message=f"{names} keep changing “{field}” of this contact against each other.",
        detail={"connections": [connection.pk for connection in connections]},
        count=1,
    )
