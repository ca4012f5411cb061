"""Who a CRM record is: id first, phone number second, and a policy where several records share a number.

A CRM id, once linked, outranks the phone. Former numbers match conversations, never new CRM records. Which of several
records is linked is decided anew until the first full run has ended, and sticky from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from contacts.models import Contact
from contacts.phone import BadPhone, to_e164
from contacts.values import Value
from integrations.models import Connection, DuplicatePolicy
from integrations.providers.base import Record
from sync.models import ExternalRecord, RecordState

JOINED = "joined"  # its contact was merged into one that has another record
NOT_CHOSEN = "not_chosen"  # a person chose another of the records with this number
DELETED_HERE = "deleted_here"  # its contact was deleted by a person or a key


class Step(StrEnum):
    """What a record turns out to be."""

    KEEP = "keep"
    LINK = "link"
    CREATE = "create"
    TAKE_OVER = "take_over"
    SKIP = "skip"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A live record with the number it stands for, or the reason why it has none."""

    record: Record
    number: str
    reason: str


@dataclass(frozen=True, slots=True)
class Match:
    """The decision for one incoming record.

    `loser`: the link that the record takes over from. `drop`: a row about the record that the chosen link makes needless.
    """

    incoming: Incoming
    step: Step
    link: ExternalRecord | None = None
    contact: Contact | None = None
    loser: ExternalRecord | None = None
    drop: ExternalRecord | None = None
    reason: str = ""


def read_number(values: Mapping[str, Value], phone_fields: Sequence[str], region: str) -> tuple[str, str]:
    """The first usable number of the record as (E.164, ""), or ("", reason).

    The reason is "bad_phone" where a phone field was filled in, else "no_phone".
    """
    reason = "no_phone"
    for name in phone_fields:
        try:
            return to_e164(values.get(name), region), ""
        except BadPhone as problem:
            if problem.reason != "no_phone":
                reason = problem.reason
    return "", reason


def waves(incoming: Iterable[Incoming]) -> list[list[Incoming]]:
    """Split so that no number and no id appears twice in one wave; the order of equal ones is kept."""
    result: list[list[Incoming]] = []
    taken: list[set[str]] = []
    for row in incoming:
        keys = {f"id:{row.record.external_id}"} | ({row.number} if row.number else set())
        depth = next(
            (i for i, used in enumerate(taken) if not used & keys and not _later(taken, i, keys)), len(taken)
        )
        if depth == len(taken):
            result.append([])
            taken.append(set())
        result[depth].append(row)
        taken[depth] |= keys
    return result


def _later(taken: Sequence[set[str]], index: int, keys: set[str]) -> bool:
    return any(used & keys for used in taken[index + 1 :])


@dataclass(frozen=True, slots=True)
class Known:
    """What the database holds about the records of one wave, contacts locked.

    `links` by external id; `by_number` contacts by present number; `of_contact` this connection's link of a contact.
    """

    links: Mapping[str, ExternalRecord]
    by_number: Mapping[str, Contact]
    contacts: Mapping[int, Contact]
    of_contact: Mapping[int, ExternalRecord]


def match(connection: Connection, incoming: Incoming, known: Known) -> Match:
    """Decide what one record is. Pure apart from reading the loaded rows."""
    link = known.links.get(incoming.record.external_id)
    if link and link.state == RecordState.GONE and not _revived(link, incoming, known):
        return Match(
            incoming, Step.IGNORE, link, reason=DELETED_HERE if link.reason == DELETED_HERE else "deleted"
        )
    linked = known.contacts.get(link.contact_id or 0) if link and link.state == RecordState.LINKED else None
    if linked is not None:
        return Match(incoming, Step.KEEP, link, linked)
    if not incoming.number:
        return Match(incoming, Step.SKIP, link, reason=incoming.reason)
    contact = known.by_number.get(incoming.number)
    if contact is None and _decided(link, incoming) == JOINED:
        return Match(incoming, Step.SKIP, link, reason=JOINED)
    if contact is None:
        return Match(incoming, Step.CREATE, link)
    holder = known.of_contact.get(contact.pk)
    if holder is None or holder is link or holder.state == RecordState.GONE:
        return Match(incoming, Step.LINK, link, contact)
    if holder.state == RecordState.CREATING:
        # Our own creation, whose answer was lost or has not come yet, seen in the listing: this is that record.
        return Match(incoming, Step.LINK, holder, contact, drop=link)
    if decided := _decided(link, incoming):
        return Match(incoming, Step.SKIP, link, reason=decided)
    if _takes_over(connection, incoming.record, holder):
        return Match(incoming, Step.TAKE_OVER, link, contact, loser=holder)
    return Match(incoming, Step.SKIP, link, reason="duplicate_number")


def _decided(link: ExternalRecord | None, incoming: Incoming) -> str:
    """What a person has decided about a record that is not linked; it holds as long as the record keeps its number."""
    held = link is not None and link.reason in {JOINED, NOT_CHOSEN} and link.number == incoming.number
    return link.reason if link is not None and held else ""


def _takes_over(connection: Connection, record: Record, holder: ExternalRecord) -> bool:
    if connection.first_full_run_at is not None:
        return False
    if record.modified is None or holder.remote_modified_at is None:
        return False
    # Equal stamps: the id decides, so that the result does not depend on the order of pages.
    newer = (record.modified, record.external_id) > (holder.remote_modified_at, holder.external_id or "")
    # Until a person has chosen, the latest one stands in, so that the contact is not without values.
    oldest = connection.duplicate_policy == DuplicatePolicy.OLDEST
    return not newer if oldest else newer


def _revived(link: ExternalRecord, incoming: Incoming, known: Known) -> bool:
    record = incoming.record
    if link.reason == "missing":
        return True  # it was only hidden from us
    if link.reason == DELETED_HERE:
        return incoming.number in known.by_number  # somebody has made the contact anew
    if record.modified is None or link.remote_modified_at is None:
        return False
    return record.modified > link.remote_modified_at
