"""Write a chunk of CRM records into the contact book: match, plan and apply, in one short transaction.

The contacts are locked before they are read, so a person's edit in between is never lost; the unit of work is the chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError
from django.utils import timezone

from contacts.archive import bring_back
from contacts.changes import Edit, Source, change_contacts, create_contacts, lock_contacts
from contacts.models import Contact, snapshot
from integrations.connections import region_of
from integrations.providers.base import Record
from mappings import unknown
from mappings.rules import Plan, plan, unpack
from sync import oscillation, removal, rivals
from sync.identity import Incoming, Known, Match, Step, match, read_number, waves
from sync.models import ExternalRecord, PendingPush, RecordState
from sync.numbers import WAITS, follow_numbers
from sync.settling import Applying, ask, fingerprint, no_longer_asked, plan_record, save_links, settle
from sync.touch import want_pushes


class ContactsMoved(IntegrityError):
    """The links lead to other contacts than a moment ago; tried again, the chunk finds them."""


def apply_records(ctx: Applying, records: Sequence[Record]) -> None:
    """Apply records to contacts and links. Call it inside a transaction, with a chunk of at most a few hundred."""
    removal.follow(ctx, records)
    incoming = [_incoming(ctx, record) for record in _live(records)]
    fresh = _without_unchanged(ctx, incoming)
    ctx.unknown.clear()
    for wave in waves(fresh):
        _apply_wave(ctx, wave)
    unknown.collect(ctx.connection, ctx.unknown)


def _live(records: Sequence[Record]) -> list[Record]:
    """The records that have not ended; of one listed both ways, its later state counts."""
    ended = {record.external_id: record.modified for record in records if record.deleted}

    def outlived(record: Record) -> bool:
        end = ended.get(record.external_id)
        return end is not None and record.modified is not None and record.modified > end

    return [r for r in records if not r.deleted and (r.external_id not in ended or outlived(r))]


def _incoming(ctx: Applying, record: Record) -> Incoming:
    number, reason = read_number(record.values, ctx.rules.phone_fields, region_of(ctx.connection))
    return Incoming(record, number, reason)


def _without_unchanged(ctx: Applying, incoming: Sequence[Incoming]) -> list[Incoming]:
    ids = [row.record.external_id for row in incoming]
    rows = ExternalRecord.objects.filter(
        connection=ctx.connection, external_id__in=ids, state=RecordState.LINKED, contact__isnull=False
    )
    prints = dict(rows.values_list("external_id", "fingerprint"))
    fresh = [
        row
        for row in incoming
        if prints.get(row.record.external_id) != fingerprint(ctx.rules, row.record.values)
    ]
    ctx.counts["unchanged"] += len(incoming) - len(fresh)
    return fresh


def _apply_wave(ctx: Applying, wave: Sequence[Incoming]) -> None:
    known = _load(ctx, wave)
    found = [match(ctx.connection, row, known) for row in wave]
    kept = _without_stale(ctx, [one for one in found if one.step is Step.KEEP])
    # A number that its owner leaves in this very wave is free for others: linked records go first.
    known, moved, waiting = follow_numbers(ctx, kept, known)
    others = [match(ctx.connection, one.incoming, known) for one in found if one.step is not Step.KEEP]
    matches, later = _one_each([*kept, *others])
    links: list[ExternalRecord | None] = []
    links += [_skip(ctx, one) for one in matches if one.step in {Step.SKIP, Step.IGNORE}]
    links += _apply_matches(ctx, [one for one in matches if one.contact is not None], moved, waiting)
    links += _create(ctx, [one for one in matches if one.step is Step.CREATE])
    save_links([link for link in links if link is not None])
    rivals.ask_which(ctx.connection, _contested(matches, known))
    if later:
        _apply_wave(ctx, [one.incoming for one in later])


def _contested(matches: Sequence[Match], known: Known) -> list[Contact]:
    """The contacts whose number stands on more than one of the connection's records."""
    found = [one.contact for one in matches if one.step is Step.TAKE_OVER and one.contact]
    twins = [one.incoming.number for one in matches if one.reason == "duplicate_number"]
    return found + [known.by_number[number] for number in twins if number in known.by_number]


def link_chosen(ctx: Applying, incoming: Incoming, contact: Contact) -> ExternalRecord:
    """Link a locked contact to the record that a person chose for it; the one it has lets go. In the caller's transaction."""
    rows = ExternalRecord.objects.filter(connection=ctx.connection)
    link = rows.filter(external_id=incoming.record.external_id).first()
    holder = rows.filter(contact=contact).first()
    if holder is not None and holder == link and holder.state == RecordState.LINKED:
        return holder
    if holder is None:
        found = Match(incoming, Step.LINK, link, contact)
    elif holder.state == RecordState.CREATING:
        found = Match(incoming, Step.LINK, holder, contact, drop=link)
    else:
        found = Match(incoming, Step.TAKE_OVER, link, contact, loser=holder)
    links = [row for row in _apply_matches(ctx, [found], set(), set()) if row is not None]
    save_links(links)
    return links[0]


def _one_each(matches: Sequence[Match]) -> tuple[list[Match], list[Match]]:
    """Split so that every contact is written once; the rest is decided anew afterwards."""
    now: list[Match] = []
    later: list[Match] = []
    taken: set[int] = set()
    for found in matches:
        if found.contact is None or found.contact.pk not in taken:
            now.append(found)
        else:
            later.append(found)
        if found.contact is not None:
            taken.add(found.contact.pk)
    return now, later


def _load(ctx: Applying, wave: Sequence[Incoming]) -> Known:
    """Lock the contacts of a wave, then read the links: whoever changes a link holds its contact's lock."""
    ids = [row.record.external_id for row in wave]
    numbers = [row.number for row in wave if row.number]
    of_records = ExternalRecord.objects.filter(
        connection=ctx.connection, external_id__in=ids, contact__isnull=False
    )
    wanted = set(of_records.values_list("contact_id", flat=True))
    wanted |= set(Contact.objects.filter(phone_number__in=numbers).values_list("pk", flat=True))
    contacts = lock_contacts({pk for pk in wanted if pk is not None})
    ctx.frozen = oscillation.frozen_fields(contacts)
    links = ExternalRecord.objects.filter(connection=ctx.connection, external_id__in=ids)
    of_contact = ExternalRecord.objects.filter(connection=ctx.connection, contact_id__in=contacts)
    by_id: dict[int, ExternalRecord] = {}
    by_external = {link.external_id or "": by_id.setdefault(link.pk, link) for link in links}
    if any(link.contact_id and link.contact_id not in contacts for link in by_external.values()):
        raise ContactsMoved("A contact was merged into another one while its lock was awaited.")
    holders = {link.contact_id or 0: by_id.setdefault(link.pk, link) for link in of_contact}
    return Known(by_external, {c.phone_number: c for c in contacts.values()}, contacts, holders)


def _without_stale(ctx: Applying, kept: Sequence[Match]) -> list[Match]:
    """Leave out what may be older than what a push wrote: such a record is left to the next push, which reads it anew."""
    ids = {found.contact.pk for found in kept if found.contact}
    pushing = PendingPush.objects.filter(
        connection=ctx.connection, contact_id__in=ids, claimed_until__gt=timezone.now()
    )
    busy = set(pushing.values_list("contact_id", flat=True))
    stale = {
        found.link.contact_id
        for found in kept
        if found.link and (found.link.push_epoch > ctx.epoch or found.link.contact_id in busy)
    }
    ctx.counts["left_to_push"] += len(stale)
    want_pushes(ctx.connection, stale, reread=True, unread=True)
    return [found for found in kept if found.link and found.link.contact_id not in stale]


def _skip(ctx: Applying, found: Match) -> ExternalRecord | None:
    record = found.incoming.record
    ctx.counts[f"skipped_{found.reason}"] += 1
    if found.step is Step.IGNORE:
        return None
    link = found.link or ExternalRecord(connection=ctx.connection, external_id=record.external_id)
    link.state, link.reason, link.contact = RecordState.SKIPPED, found.reason, None
    link.number, link.remote_modified_at = found.incoming.number, record.modified
    link.settled, link.skipped_fields, link.fingerprint = {}, {}, ""
    return link


def _apply_matches(
    ctx: Applying, matches: Sequence[Match], moved: set[int], waiting: set[int]
) -> list[ExternalRecord | None]:
    links: list[ExternalRecord | None] = []
    edits: list[Edit] = []
    pushes: list[int] = []
    decided: list[int] = []
    for found in matches:
        assert found.contact is not None  # noqa: S101 - chosen by the caller
        asked = found.step is Step.KEEP and found.link is not None and not found.link.fingerprint
        link, made = _plan_match(ctx, found)
        _mark(link, waits=found.contact.pk in waiting)
        if made.pushes:
            pushes.append(found.contact.pk)
        if asked and not made.asks:
            decided.append(found.contact.pk)
        links += [link, _release(found)]
        cleared = _values_of_loser(ctx, found)
        values = {**dict.fromkeys(cleared), **made.changes}
        if values:
            edits.append(Edit(found.contact.pk, values, ctx.source(found.incoming.record)))
        _count(ctx, found, made)
        ask(ctx.connection, found.contact, made)
    locked = {found.contact.pk: found.contact for found in matches if found.contact is not None}
    written = change_contacts(locked, edits, source=Source("crm"))
    ctx.written += written
    oscillation.detect(written)
    changed = {row.contact.pk for row in written if row.changed} | moved
    ctx.counts["updated"] += len(changed)
    ctx.counts["unchanged"] += sum(
        1
        for found in matches
        if found.step is Step.KEEP and found.contact and found.contact.pk not in changed
    )
    no_longer_asked(ctx.connection, decided)
    # A record that has come to life, or a new one, is reason enough to take its contact back.
    bring_back([one.contact.pk for one in matches if one.contact and one.step in {Step.LINK, Step.TAKE_OVER}])
    # The plan has seen what is to be pushed, which the contact alone may not show: an opt-out cleared in the CRM.
    want_pushes(ctx.connection, pushes, reread=True)
    return links


def _plan_match(ctx: Applying, found: Match) -> tuple[ExternalRecord, Plan]:
    record, contact = found.incoming.record, found.contact
    assert contact is not None  # noqa: S101 - chosen by the caller
    link = found.link or ExternalRecord(connection=ctx.connection, external_id=record.external_id)
    if found.step is not Step.KEEP:
        link.settled, link.skipped_fields = {}, {}
    settled = unpack(link.settled)
    local = snapshot(contact) | dict.fromkeys(_values_of_loser(ctx, found))
    made = plan_record(ctx, contact, settled, local, record, link.skipped_fields)
    ctx.unknown.update(unknown.seen_in(ctx.rules.fields, made, record.values))
    if ctx.seen:
        ctx.seen(record, contact, made)
    settle(link, made, ctx.rules, record)
    link.contact, link.state, link.reason, link.external_id = (
        contact,
        RecordState.LINKED,
        "",
        record.external_id,
    )
    link.create_sent_at = None
    if found.incoming.number:
        link.number = found.incoming.number
    return link, made


def _mark(link: ExternalRecord, *, waits: bool) -> None:
    """Whether the contact waits for the record's number: then the record is looked at again whenever it is read."""
    link.skipped_fields.pop(WAITS, None)
    if waits:
        link.skipped_fields[WAITS] = "phone_clash"
        link.fingerprint = ""


def _values_of_loser(ctx: Applying, found: Match) -> list[str]:
    """Fields that hold values of the record that loses its link: they count as blank for the one that takes over."""
    if found.loser is None or found.contact is None:
        return []
    names = {
        rule.contact.name for rule in ctx.rules.fields if rule.pulls and rule.contact.name != "do_not_call"
    }
    theirs = (ctx.connection.pk, found.loser.external_id)
    sources = found.contact.sources
    return [
        n
        for n in names
        if (sources.get(n, {}).get("connection"), sources.get(n, {}).get("external_id")) == theirs
    ]


def _release(found: Match) -> ExternalRecord | None:
    loser = found.loser
    if found.drop is not None:
        found.drop.delete()
    if loser is not None:
        loser.contact, loser.state, loser.reason = None, RecordState.SKIPPED, "duplicate_number"
        loser.settled, loser.fingerprint = {}, ""
    return loser


def _count(ctx: Applying, found: Match, made: Plan) -> None:
    if found.step is Step.LINK:
        ctx.counts["linked"] += 1
    if found.step is Step.TAKE_OVER:
        ctx.counts["skipped_duplicate_number"] += 1
    ctx.counts["conflicts"] += len(made.conflicts)
    ctx.counts["skipped_fields"] += len(made.skipped)


def _create(ctx: Applying, matches: Sequence[Match]) -> list[ExternalRecord]:
    rows: list[dict[str, Any]] = []
    links: list[ExternalRecord] = []
    for found in matches:
        record = found.incoming.record
        made = plan(ctx.rules.fields, {}, {"do_not_call": False}, record.values)
        ctx.unknown.update(unknown.seen_in(ctx.rules.fields, made, record.values))
        link = found.link or ExternalRecord(connection=ctx.connection, external_id=record.external_id)
        if ctx.seen:
            ctx.seen(record, None, made)
        link.settled, link.skipped_fields = {}, {}
        settle(link, made, ctx.rules, record)
        link.state, link.reason, link.number = RecordState.LINKED, "", found.incoming.number
        rows.append({"phone_number": found.incoming.number, **made.changes})
        links.append(link)
        ctx.counts["skipped_fields"] += len(made.skipped)
    removal.forget_aliases([row["phone_number"] for row in rows])
    written = create_contacts(
        rows, source=Source("crm"), sources=[ctx.source(found.incoming.record) for found in matches]
    )
    for link, row in zip(links, written, strict=True):
        link.contact = row.contact
    ctx.counts["created"] += len(written)
    return links
