"""Follow phone numbers that change in the CRM: moves, swaps, and numbers that another contact still has.

A contact whose new number is taken waits: its link carries a mark, and it moves as soon as the number is free, together
with the contact that wants its old one if need be, in whatever order the CRM tells of the changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from contacts.changes import Source, change_numbers, lock_contacts
from contacts.models import Contact
from sync import issues
from sync.identity import Known, Match
from sync.models import ExternalRecord, RecordState

if TYPE_CHECKING:
    from sync.settling import Applying

WAITS = "phone_number"  # the mark's key in ExternalRecord.skipped_fields


def follow_numbers(ctx: Applying, kept: Sequence[Match], known: Known) -> tuple[Known, set[int], set[int]]:
    """Give contacts of linked records the numbers that their records have now.

    Returns what is known with the numbers as they are afterwards, the contacts that moved, and those that must wait.
    """
    moves = {found.contact.pk: found.incoming.number for found in kept if found.contact and _has_moved(found)}
    if not moves or not ctx.rules.phones_whole:
        # With a phone field out of reach, the first number that is left may be another of the same person.
        return known, set(), set()
    known = _bring_along(ctx, moves, known)
    waiting: set[int] = set()
    while clash := next((pk for pk, number in moves.items() if _held(number, moves, known)), None):
        _report(ctx, known.contacts[clash])
        waiting.add(clash)
        del moves[clash]
    left = {known.contacts[pk].phone_number for pk in moves} - {*moves.values()}
    _move(ctx, moves, known.contacts)
    known = _let_follow(ctx, left, known)
    return replace(known, by_number={c.phone_number: c for c in known.contacts.values()}), set(moves), waiting


def _has_moved(found: Match) -> bool:
    link, contact, number = found.link, found.contact, found.incoming.number
    if link is None or contact is None or not number or number == contact.phone_number:
        return False
    # The number that the record had all along is no change, though the contact may have another by now.
    return number != link.number or WAITS in link.skipped_fields


def _bring_along(ctx: Applying, moves: dict[int, str], known: Known) -> Known:
    """Contacts that wait for a number go together with those who want theirs: a swap told in several parts."""
    holders: dict[int, ExternalRecord] = {}
    for number in [*moves.values()]:
        holder = known.by_number.get(number)
        if holder is not None and holder.pk not in moves and _waits(known.of_contact.get(holder.pk)):
            chain = _chain(ctx, number, moves)
            moves |= {pk: link.number for pk, link in chain.items()}
            holders |= chain
    if not holders:
        return known
    contacts = {**lock_contacts(holders.keys()), **known.contacts}
    return replace(known, contacts=contacts, of_contact={**holders, **known.of_contact})


def _waits(link: ExternalRecord | None) -> bool:
    return link is not None and WAITS in link.skipped_fields and bool(link.number)


def _chain(ctx: Applying, number: str, moves: Mapping[int, str]) -> dict[int, ExternalRecord]:
    """Who must move so that `number` is free, by contact; nobody where the chain ends at one who stays."""
    chain: dict[int, ExternalRecord] = {}
    while True:
        holder = Contact.objects.filter(phone_number=number).exclude(pk__in=[*moves, *chain]).first()
        if holder is None:
            return chain
        link = ExternalRecord.objects.filter(connection=ctx.connection, contact=holder).first()
        if link is None or not _waits(link):
            return {}
        chain[holder.pk] = link
        number = link.number


def _held(number: str, moves: Mapping[int, str], known: Known) -> bool:
    holder = known.by_number.get(number)
    taken_twice = sum(1 for other in moves.values() if other == number) > 1
    return taken_twice or (holder is not None and holder.pk not in moves)


def _move(ctx: Applying, moves: Mapping[int, str], contacts: Mapping[int, Contact]) -> None:
    if not moves:
        return
    detail = {"connection": ctx.connection.pk}
    source = Source("crm", ctx.run_ref, ctx.connection.name, detail, urgent=False)
    for written in change_numbers(moves, source=source):
        ctx.written.append(written)
        # The caller's copies are written again later: they must say the same.
        copy = contacts[written.contact.pk]
        copy.phone_number, copy.sources = written.contact.phone_number, written.contact.sources
    links = ExternalRecord.objects.filter(connection=ctx.connection, contact_id__in=moves)
    _unmark(list(links.filter(skipped_fields__has_key=WAITS)))
    issues.resolve(ctx.connection, kind="phone_clash", contact_id__in=list(moves))


def _let_follow(ctx: Applying, left: set[str], known: Known) -> Known:
    """Numbers that have just been left go to the contacts that wait for them; returns what is known with those."""
    waiting = ExternalRecord.objects.filter(
        connection=ctx.connection,
        state=RecordState.LINKED,
        contact__isnull=False,
        number__in=left,
        skipped_fields__has_key=WAITS,
    )
    links = {link.number: link for link in waiting.order_by("-pk")} if left else {}
    if not links:
        return known
    moves = {link.contact_id or 0: number for number, link in links.items()}
    contacts = {**lock_contacts(moves.keys()), **known.contacts}
    _move(ctx, moves, contacts)
    holders = {link.contact_id or 0: link for link in links.values()}
    return replace(known, contacts=contacts, of_contact={**holders, **known.of_contact})


def _unmark(links: Sequence[ExternalRecord]) -> None:
    for link in links:
        link.skipped_fields.pop(WAITS, None)
        link.save(update_fields=["skipped_fields", "updated_at"])


def _report(ctx: Applying, contact: Contact) -> None:
    issues.report(
        ctx.connection,
        "phone_clash",
        contact=contact,
        message="The phone number changed in the CRM to one that another contact has.",
    )
    ctx.counts["phone_clash"] += 1
