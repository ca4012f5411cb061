"""Imports as work: piece after piece, each one transaction that holds its contacts, their history, the figures and the position.

A worker that dies leaves a lease that runs out; the next one goes on with the piece that was not committed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from contacts.archive import bring_back
from contacts.changes import Edit, Source, change_contacts, create_contacts, lock_contacts
from contacts.import_rows import NUMBER, Decision, Outcome, Rules, numbers_of
from contacts.models import Contact, ContactTag
from contacts.values import Value
from sync.backoff import next_attempt
from sync.import_job import ContactImport, ImportPiece
from sync.imports import BadWish, check, decide_with, rows_of, wish_of

logger = structlog.get_logger(__name__)
LEASE = timedelta(minutes=3)
MAX_ATTEMPTS = 5
TRIES = 3
State = ContactImport.State


def import_some() -> int:
    """Take the open import one piece further; returns how many rows were dealt with, so that a drain looks around after each."""
    job = _claim()
    if job is None:
        return 0
    try:
        rules = check(job, wish_of(job))
        return max(1, _apply(job, rules))
    except BadWish as error:
        _fail(job, str(error))
    except Exception as error:
        # Ours: loud, and no reason to hold back the other work of the drain.
        logger.exception("import_broke", contact_import=job.pk)
        _broke(job, type(error).__name__)
    return 1


def source_of(job: ContactImport) -> Source:
    """How the import stands in the history: one source, by which it is undone as a whole."""
    label = f"Import of {job.file_name}{f' by {job.by}' if job.by else ''}"
    return Source("import", job.ref, label, urgent=False)


def _claim() -> ContactImport | None:
    now = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    for pk in ContactImport.objects.filter(free, open=True).values_list("pk", flat=True):
        row = ContactImport.objects.filter(free, pk=pk, open=True)
        row.filter(started_at=None).update(started_at=now)
        # Counted before the work: a piece that kills its workers is given up in the end.
        if not row.update(claimed_until=now + LEASE, state=State.RUNNING, attempts=F("attempts") + 1):
            continue
        job = ContactImport.objects.get(pk=pk)
        if job.attempts <= MAX_ATTEMPTS:
            return job
        _fail(job, f"The rows after {job.done} could not be imported, {MAX_ATTEMPTS} times in a row.")
    return None


def _apply(job: ContactImport, rules: Rules) -> int:
    """The next piece; 0 when somebody else has taken it or ended the import."""
    for _ in range(TRIES - 1):
        try:
            return _piece(job, rules)
        except IntegrityError:
            continue  # somebody made a contact with one of the numbers meanwhile: it is found now
    return _piece(job, rules)


def _piece(job: ContactImport, rules: Rules) -> int:
    with transaction.atomic():
        current = ContactImport.objects.select_for_update(no_key=True).get(pk=job.pk)
        if not current.open or current.position != job.position:
            return 0
        piece = current.pieces.get(number=current.position)
        decisions = _write(current, piece, rules)
        _count(current, piece, decisions)
    return len(decisions)


def _write(job: ContactImport, piece: ImportPiece, rules: Rules) -> list[Decision]:
    """Decide under lock and write through the door; one history row for each contact, however many rows it has."""
    rows = rows_of(piece)
    numbers = numbers_of(rows, rules)
    found = Contact.objects.filter(phone_number__in=numbers)
    locked = lock_contacts(list(found.values_list("pk", flat=True)))
    decisions, ids = decide_with(rows, rules, locked.values(), numbers)
    source = source_of(job)
    wanted = _together(decisions)
    edits = [Edit(ids[number], values) for number, values in wanted.items() if number in ids and values]
    new = [{**values, NUMBER: number} for number, values in wanted.items() if number not in ids]
    change_contacts(locked, edits, source=source)
    made = create_contacts(new, source=source)
    met = [pk for number, pk in ids.items() if number in wanted]
    bring_back(met)
    _tag(job.tag_ids, [*met, *(one.contact.pk for one in made)])
    return decisions


def _together(decisions: Sequence[Decision]) -> dict[str, dict[str, Value]]:
    """What is to be written by number; blank for contacts that are only met."""
    wanted: dict[str, dict[str, Value]] = {}
    for one in decisions:
        if one.outcome != Outcome.REJECTED:
            values = wanted.setdefault(one.number, {})
            values.update({name: new for name, (_, new) in one.changes.items()})
    return wanted


def _tag(tag_ids: Sequence[str], contact_ids: Sequence[int]) -> None:
    """Give the contacts the tags that they do not have; a tag that was removed meanwhile is left out."""
    through = Contact.tags.through
    wanted = {(pk, tag) for pk in contact_ids for tag in tag_ids}
    if not wanted:
        return
    there = through.objects.filter(contact_id__in=contact_ids, contacttag_id__in=tag_ids)
    known = set(ContactTag.objects.filter(pk__in=tag_ids).values_list("pk", flat=True))
    missing = sorted(wanted - set(there.values_list("contact_id", "contacttag_id")))
    rows = [through(contact_id=pk, contacttag_id=tag) for pk, tag in missing if tag in known]
    through.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    Contact.objects.filter(pk__in={row.contact_id for row in rows}).update(updated_at=timezone.now())


def _count(job: ContactImport, piece: ImportPiece, decisions: Sequence[Decision]) -> None:
    """Figures and position, in the transaction of what they tell of."""
    for outcome, number in Counter(one.outcome for one in decisions).items():
        job.count(outcome, number)
    job.kept += sum(len(one.kept) for one in decisions)
    job.position, job.attempts, job.claimed_until = job.position + 1, 0, None
    rejected = {str(i): [one.fault, one.reason] for i, one in enumerate(decisions) if one.reason}
    if rejected:
        piece.rejected = rejected
        piece.save(update_fields=["rejected"])
    if not job.pieces.filter(number=job.position).exists():
        job.state, job.open, job.finished_at = State.DONE, None, timezone.now()
    job.save()


def _broke(job: ContactImport, what: str) -> None:
    """Try again later, or give up. What the pieces before have written stays."""
    if job.attempts < MAX_ATTEMPTS:
        mine = ContactImport.objects.filter(pk=job.pk, open=True, position=job.position)
        mine.update(claimed_until=next_attempt(job.attempts))
        return
    reason = f"Our own error ({what}), {MAX_ATTEMPTS} times in a row; the server's log has the details."
    _fail(job, reason)


def _fail(job: ContactImport, reason: str) -> None:
    ContactImport.objects.filter(pk=job.pk, open=True, position=job.position).update(
        state=State.FAILED, open=None, error=reason[:200], claimed_until=None, finished_at=timezone.now()
    )
