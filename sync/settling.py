"""What every plan needs and leaves behind: the context of a read, the settled pairs, open questions, values that lost."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from django.utils import timezone

from contacts.changes import Source, Written
from contacts.history import Loss, note_losses
from contacts.models import Contact
from contacts.values import Value
from integrations.models import Connection
from integrations.providers.base import Record
from mappings import unknown
from mappings.compile import Rules
from mappings.rules import Pair, Plan, pack, plan, unpack
from sync import issues, oscillation
from sync.models import ExternalRecord
from sync.numbers import WAITS
from sync.removal import Ended

_LINK_FIELDS = [
    "external_id", "contact", "state", "reason", "number", "settled", "skipped_fields", "fingerprint", "remote_modified_at",
    "create_sent_at", "updated_at",
]  # fmt: skip


@dataclass(slots=True)
class Applying:
    """What applying needs to know. `run_ref`: where history rows point. `epoch`: the connection's push epoch before the read.

    `counts`: outcome → number of records. `ranks`: connection id → rank. `seen` is told of every plan before it is carried
    out (a preview listens there); the contact is None where one would be created. `written` and `ended` collect the changes
    of contacts that existed and the links that ended, for the circuit breaker. `frozen`: contact → fields that are not synced.
    `chunk` and `held`: how many records were applied at once and how long that took, for the size of the next chunk.
    """

    connection: Connection
    rules: Rules
    run_ref: str
    epoch: int
    ranks: Mapping[int, int]
    counts: Counter[str] = field(default_factory=Counter)
    seen: Callable[[Record, Contact | None, Plan], None] | None = None
    unknown: unknown.Seen = field(default_factory=Counter)
    written: list[Written] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    chunk: int = 0
    held: float = 0.0
    frozen: Mapping[int, frozenset[str]] = field(default_factory=dict)

    def source(self, record: Record, *, urgent: bool = False) -> Source:
        """Where values of this record come from."""
        detail = {"connection": self.connection.pk, "external_id": record.external_id}
        return Source("crm", self.run_ref, self.connection.name, detail, urgent=urgent)


def applying(connection: Connection, rules: Rules, run_ref: str) -> Applying:
    """The context for records that are about to be read; take it before the CRM is asked."""
    epoch = Connection.objects.values_list("push_epoch", flat=True).get(pk=connection.pk)
    return Applying(connection, rules, run_ref, epoch, dict(Connection.objects.values_list("pk", "rank")))


def fingerprint(rules: Rules, values: Mapping[str, Value]) -> str:
    """A digest of the mapped values as read and of the rules: equal means that nothing has to be planned."""
    raw = json.dumps([rules.version, sorted(values.items())], ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(raw.encode(), digest_size=16).hexdigest()


def plan_record(
    ctx: Applying,
    contact: Contact,
    settled: Mapping[str, Pair],
    local: Mapping[str, Value],
    record: Record,
    skipped: Mapping[str, str],
) -> Plan:
    """The plan for one contact and its record; fields that two CRMs fight over are left out, with the reason."""
    fields, over = ctx.rules.fields, outranked(ctx, contact)
    frozen = ctx.frozen.get(contact.pk, frozenset())
    free = oscillation.thawed(fields, frozen) if frozen else fields
    made = plan(free, settled, local, record.values, outranked=over, skipped=skipped)
    if frozen:
        made.skipped |= oscillation.reasons(fields, frozen)
    return made


def settle(link: ExternalRecord, made: Plan, rules: Rules, record: Record) -> None:
    """Store what a plan settled on the link; pairs of rules that are gone are dropped."""
    keys = rules.keys
    pairs = {key: pair for key, pair in unpack(link.settled).items() if key in keys} | made.settle
    link.settled = pack(pairs)
    # A reason stays on record until its field is decided anew.
    decided = {*made.settle, *(key for key, _ in made.settle_pushed.values())}
    kept = {key: why for key, why in link.skipped_fields.items() if key in {*keys, WAITS} - decided}
    link.skipped_fields = {key: why for key, why in kept.items() if why != "hidden"} | made.skipped
    link.remote_modified_at = record.modified or link.remote_modified_at
    link.fingerprint = "" if made.asks else fingerprint(rules, record.values)


def outranked(ctx: Applying, contact: Contact) -> frozenset[str]:
    """The fields whose present value came from a connection of better rank than ours."""
    ours = ctx.connection.rank
    other = {name: ctx.ranks.get(source.get("connection", 0)) for name, source in contact.sources.items()}
    return frozenset(name for name, rank in other.items() if rank is not None and rank < ours)


def ask(connection: Connection, contact: Contact, made: Plan) -> None:
    """Open an issue for every conflict that a person must decide, and keep the CRM's value where ours won."""
    lost = [
        Loss(contact.pk, one.contact_field, one.remote, one.local)
        for one in made.conflicts
        if one.winner == "ours"
    ]
    note_losses(lost, label=f"{connection.name}'s value was not taken")
    for clash in made.conflicts:
        if clash.winner == "ask":
            issues.report(
                connection,
                "conflict",
                contact=contact,
                field=clash.contact_field,
                message=f"“{clash.contact_field}” was changed here and in the CRM.",
                detail={"key": clash.key, "external_field": clash.external_field},
                count=1,
            )


def no_longer_asked(connection: Connection, contact_ids: Sequence[int]) -> None:
    """Close the questions of contacts whose plans hold none any more."""
    if contact_ids:
        issues.resolve(connection, kind="conflict", contact_id__in=contact_ids)


def save_links(links: Sequence[ExternalRecord], *also: str) -> None:
    """Write links in at most three statements, `also` these columns. A contact's old link lets go before a new one holds."""
    now = timezone.now()
    for link in links:
        link.updated_at = now
    old = sorted((link for link in links if link.pk), key=lambda link: link.contact_id is not None)
    letting_go = [link for link in old if link.contact_id is None]
    holding = [link for link in old if link.contact_id is not None]
    for rows in (letting_go, holding):
        ExternalRecord.objects.bulk_create(
            rows,
            batch_size=500,
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=[*_LINK_FIELDS, *also],
        )
    ExternalRecord.objects.bulk_create([link for link in links if not link.pk], batch_size=500)
