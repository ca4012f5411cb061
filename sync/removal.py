"""Records that end in the CRM: deletes follow the connection's policy, merges take the link along to the winner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contacts.archive import archive
from contacts.changes import lock_contacts
from contacts.models import Contact, ContactAlias
from integrations.models import DeletePolicy
from integrations.providers.base import Record
from sync.models import ExternalRecord, PendingPush, RecordState

if TYPE_CHECKING:
    from sync.settling import Applying


@dataclass(frozen=True, slots=True)
class Ended:
    """A linked record that is gone: its id, its contact's name, and the delete policy that was carried out ("" = unlinked)."""

    external_id: str
    contact: str
    policy: str


def follow(ctx: Applying, records: Sequence[Record]) -> None:
    """Carry out the merges and deletes that a page of records tells of."""
    merges: dict[str, str | None] = {
        loser: record.external_id for record in records if not record.deleted for loser in record.merged_ids
    }
    merges |= {
        record.external_id: record.merged_into for record in records if record.deleted and record.merged_into
    }
    deleted = {r.external_id: r for r in records if r.deleted and r.external_id not in merges}
    ids = [*merges, *(winner for winner in merges.values() if winner), *deleted]
    rows = ExternalRecord.objects.filter(connection=ctx.connection, external_id__in=ids)
    known = list(rows.values_list("contact_id", flat=True)) if ids else []
    if not known:
        return
    lock_contacts({pk for pk in known if pk})
    links = {row.external_id: row for row in rows.all()}
    for loser, winner in _nearest_first(merges):
        if loser in links and winner and links[loser].state != RecordState.GONE:
            relink(ctx, links, loser, winner)
    for external_id, record in deleted.items():
        if external_id in links and links[external_id].state != RecordState.GONE:
            bury(ctx, links[external_id], record)


def _nearest_first(merges: Mapping[str, str | None]) -> list[tuple[str, str | None]]:
    """Each merged record with the one at the end of its chain; where two are linked, the last winner's link stays."""
    chains: list[tuple[int, str, str | None]] = []
    for loser in merges:
        passed = [loser]
        winner = merges[loser]
        while winner is not None and winner in merges and winner not in passed:
            passed.append(winner)
            winner = merges[winner]
        chains.append((len(passed), loser, winner))
    return [(loser, winner) for _, loser, winner in sorted(chains, key=lambda chain: chain[0])]


def relink(ctx: Applying, links: dict[str | None, ExternalRecord], loser: str, winner: str) -> None:
    """The link of the merged record goes on with the winner; where the winner has one of its own, the loser's ends."""
    link = links[loser]
    ctx.counts["merged"] += 1
    kept = links.get(winner)
    if kept is not None and kept.contact_id is not None:
        _end(link, "merged")
        return
    if kept is not None:
        kept.delete()
    link.external_id, link.fingerprint = winner, ""
    link.save(update_fields=["external_id", "fingerprint", "updated_at"])
    links[winner] = link
    ExternalRecord.objects.create(
        connection=ctx.connection, external_id=loser, state=RecordState.GONE, reason="merged"
    )


def bury(ctx: Applying, link: ExternalRecord, record: Record | None) -> None:
    """Carry out the connection's delete policy; the row stays as a tombstone, so that a late update revives nothing.

    A record that is merely not there any more (None) may be hidden from us: its contact stays, whatever the policy. So does
    a contact that another CRM still has.
    """
    contact_id = link.contact_id
    if contact_id is not None:
        name = Contact.objects.only("first_name", "last_name", "phone_number").get(pk=contact_id).name
        ctx.ended.append(Ended(link.external_id or "", name, ctx.connection.delete_policy if record else ""))
    # Without a stamp nothing tells a late update from a new life: listed again, it lives.
    _end(link, "deleted" if record and record.modified else "missing", record)
    ctx.counts["deleted"] += 1
    if contact_id is None or record is None or _held_elsewhere(contact_id):
        return
    if ctx.connection.delete_policy == DeletePolicy.DELETE:
        Contact.objects.filter(pk=contact_id).delete()
    elif ctx.connection.delete_policy == DeletePolicy.ARCHIVE:
        archive([contact_id])


def _held_elsewhere(contact_id: int) -> bool:
    """Whether another CRM still has the contact: its next sync would bring back what is deleted here."""
    return ExternalRecord.objects.filter(contact_id=contact_id, connection__enabled=True).exists()


def forget_aliases(numbers: Sequence[str]) -> None:
    """A new record takes a recycled number over: it no longer leads to its former owner."""
    ContactAlias.objects.filter(phone_number__in=numbers).delete()


def _end(link: ExternalRecord, reason: str, record: Record | None = None) -> None:
    PendingPush.objects.filter(connection_id=link.connection_id, contact_id=link.contact_id or 0).delete()
    link.contact, link.state, link.reason = None, RecordState.GONE, reason
    link.settled, link.skipped_fields, link.fingerprint = {}, {}, ""
    if record is not None and record.modified:
        link.remote_modified_at = record.modified
    link.save()
