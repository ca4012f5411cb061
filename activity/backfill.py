"""Apply mappings or the memory to stored conversations again: chosen, previewed, watched, and resumed where it was.

The job walks the contacts in the order of their ids. Each contact is one transaction that holds its changes, their
ledger and the job's cursor, so that a killed worker costs nothing and the next one goes on behind the last contact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from activity import asking, ledger, merging
from activity.claims import claim, hold, stretch
from activity.memory import FIELD as MEMORY
from activity.models import AppliedMapping, Backfill, Conversation, MergeReview
from activity.rewriting import Rewrite, rewrite
from contacts.changes import Source, change_contact
from contacts.models import Contact, field_specs
from contacts.values import Value
from mappings.merge import price
from mappings.models import AnalysisMapping
from sync.backoff import next_attempt
from sync.wake import wake

logger = structlog.get_logger(__name__)
State, Outcome = Backfill.State, AppliedMapping.Outcome
LEASE, STRETCH, CHUNK = timedelta(minutes=3), 5.0, 50
MOST_ATTEMPTS, ROUNDS = 3, 2
PREVIEWED, SHOWN = 500, 20
OPS = {"eq": "", "gt": "__gt", "ge": "__gte", "lt": "__lt", "le": "__lte"}


class BackfillOpen(ValueError):
    """One is under way; `job` is that one."""

    def __init__(self, job: Backfill) -> None:
        super().__init__("A backfill is under way already.")
        self.job = job


class NothingToApply(ValueError):
    """Neither a mapping nor the memory was chosen."""


@dataclass(frozen=True, slots=True)
class PreviewedChange:
    """One field of one contact, as it is and as it would be (of merges: both texts)."""

    contact: Contact
    field: str
    old: Value
    new: Value


@dataclass(slots=True)
class Preview:
    """What a backfill would do. The first contacts are gone through; `complete` False: there are more than those.

    `counts`: outcomes by word, of those gone through; `merges` and `cost`: of those, too.
    """

    contacts: int
    conversations: int
    changed: int = 0
    merges: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    changes: list[PreviewedChange] = field(default_factory=list)
    complete: bool = True

    @property
    def cost(self) -> Decimal:
        """What the merges would cost."""
        return self.merges * price()


def request_backfill(
    *,
    mappings: Sequence[AnalysisMapping] = (),
    memory: bool = False,
    agents: Sequence[dict[str, object]] = (),
    times: Sequence[tuple[str, int]] = (),
    by: str = "",
) -> Backfill:
    """Queue a backfill; the workers do it. Raises BackfillOpen and NothingToApply.

    `agents`: {"agent_id", "version": [...]}, none for all; `times`: (operator, epoch milliseconds) that the start of a
    conversation has to fulfil, operators eq ne gt ge lt le.
    """
    job = planned(mappings=mappings, memory=memory, agents=agents, times=times, by=by)
    job.contacts = _how_many(job)
    try:
        with transaction.atomic():
            job.save()
    except IntegrityError:
        open_ = Backfill.objects.filter(open=True).first()
        if open_ is None:
            raise
        raise BackfillOpen(open_) from None
    wake()
    return job


def planned(
    *,
    mappings: Sequence[AnalysisMapping] = (),
    memory: bool = False,
    agents: Sequence[dict[str, object]] = (),
    times: Sequence[tuple[str, int]] = (),
    by: str = "",
) -> Backfill:
    """The job, not saved: to be previewed. Raises NothingToApply."""
    if not mappings and not memory:
        raise NothingToApply("Choose at least one analysis mapping, or the memory.")
    ids = [mapping.pk for mapping in mappings]
    return Backfill(
        mappings=ids, memory=memory, agents=list(agents), times=[list(one) for one in times], by=by[:200]
    )


def preview(job: Backfill, limit: int = PREVIEWED) -> Preview:
    """What the job would do with its first `limit` contacts, without writing anything or asking the LLM."""
    contacts = _how_many(job)
    found = Preview(contacts=contacts, conversations=_scope(job).count(), complete=contacts <= limit)
    mappings, specs = _mappings(job), field_specs()
    for contact in Contact.objects.filter(pk__in=_contact_ids(job, limit=limit)).order_by("pk"):
        result = rewrite(
            contact, _conversations(job, contact.pk), mappings, specs, remember=job.memory, ask=None
        )
        found.merges += result.merges
        found.counts.update(outcome for _, _, outcome, _ in result.rows)
        found.changed += bool(result.changes)
        room = SHOWN - len(found.changes)
        found.changes += [
            PreviewedChange(contact, name, result.before[name], new) for name, new in result.changes.items()
        ][:room]
    return found


def cancel(job: Backfill) -> bool:
    """Stop after the contact in hand; False when it has ended already. What was done stays."""
    rows = Backfill.objects.filter(pk=job.pk, open=True)
    return bool(rows.update(state=State.CANCELLED, open=None, finished_at=timezone.now()))


def backfill_some() -> int:
    """Take the open job some contacts further; returns how many were dealt with."""
    due = Backfill.objects.filter(open=True, due_at__lte=timezone.now())
    ids, until = claim(due, limit=1, lease=LEASE)
    may_go_on = stretch(STRETCH)
    handled = 0
    for pk in ids:
        Backfill.objects.filter(pk=pk, started_at=None).update(state=State.RUNNING, started_at=timezone.now())
        handled += _further(Backfill.objects.get(pk=pk), until, may_go_on)
        hold(Backfill, pk, until, claimed_until=None)
    return handled


def _further(job: Backfill, until: datetime, may_go_on: Callable[[], bool]) -> int:
    handled = 0
    while may_go_on():
        contacts = _contact_ids(job, limit=CHUNK)
        if not contacts:
            done = {"state": State.DONE, "open": None, "finished_at": timezone.now()}
            return handled + hold(Backfill, job.pk, until, **done)
        for contact_id in contacts:
            if not may_go_on():
                break
            if not _one(job, contact_id, until, may_go_on):
                return handled
            handled += 1
            job.refresh_from_db()
            if not job.open or job.claimed_until != until:
                return handled
    return handled


class _OutOfTime(Exception):
    """Or the LLM does not answer. The answers so far are kept; the contact is gone through again from its beginning."""


class _Moved(Exception):
    """A field has changed while the LLM was asked."""


def _one(job: Backfill, contact_id: int, until: datetime, may_go_on: Callable[[], bool]) -> bool:
    """Deal with one contact; False when it has to be come back to."""
    if job.attempts >= MOST_ATTEMPTS:
        return _through(job, until, contact_id, failed=1, attempts=0, counts=Counter({"failed": 1}))
    # Counted before the work: a contact that kills its worker is passed over in the end.
    if not hold(Backfill, job.pk, until, attempts=job.attempts + 1):
        return False
    try:
        return _rewritten(job, contact_id, until, may_go_on)
    except _OutOfTime:
        hold(Backfill, job.pk, until, attempts=job.attempts)
    except Exception as error:
        logger.exception("backfill_contact_failed", backfill=job.pk, contact=contact_id)
        note = f"A contact failed ({type(error).__name__}); the server's log says more."
        hold(Backfill, job.pk, until, note=note, due_at=next_attempt(job.attempts + 1))
    return False


def _rewritten(job: Backfill, contact_id: int, until: datetime, may_go_on: Callable[[], bool]) -> bool:
    def ask(wanted: asking.Wanted, old: str) -> MergeReview:
        if not may_go_on() or asking.silent():
            raise _OutOfTime
        return asking.ask(wanted, old)

    for round_ in range(ROUNDS):
        contact = Contact.objects.filter(pk=contact_id).first()
        if contact is None:
            return _through(job, until, contact_id)
        conversations = _conversations(job, contact_id)
        result = rewrite(contact, conversations, _mappings(job), field_specs(), remember=job.memory, ask=ask)
        try:
            return _save(job, until, result, len(conversations))
        except _Moved:
            if round_ + 1 == ROUNDS:
                raise
    return False


def _save(job: Backfill, until: datetime, result: Rewrite, conversations: int) -> bool:
    """The contact's changes, their ledger and the cursor, all or nothing."""
    contact = result.contact
    values = {name: value for name, value in result.changes.items() if name not in result.reviewed}
    with transaction.atomic():
        source = Source(
            "conversation", ref=job.ref, label=f"Backfill {job.pk}{f' by {job.by}' if job.by else ''}",
            detail={"backfill": job.pk, "conversations": {name: result.set_by[name] for name in values}},
        )  # fmt: skip
        expect = {name: result.before[name] for name in (*values, *result.reviewed)}
        written = change_contact(contact.pk, values, source=source, expect=expect)
        if any(error.reason == "moved" for error in written.refused.values()):
            raise _Moved
        rows = _with_reviews(result)
        _keep_rows(rows)
        _keep_answers(result)
        counts = Counter(str(outcome) for _, _, outcome, _ in rows)
        return _through(
            job, until, contact.pk,
            changed=int(bool(written.changed)), conversations=conversations, counts=counts, attempts=0,
        )  # fmt: skip


def _with_reviews(result: Rewrite) -> list[tuple[Conversation, AnalysisMapping | None, str, str]]:
    """Of fields whose merges are reviewed, what was merged waits."""
    rows = []
    for conversation, mapping, outcome, reason in result.rows:
        name = mapping.contact_field if mapping else MEMORY
        waits = name in result.reviewed and outcome == Outcome.WRITTEN
        rows.append((conversation, mapping, Outcome.WAITING if waits else outcome, reason))
    return rows


def _keep_rows(rows: Sequence[tuple[Conversation, AnalysisMapping | None, str, str]]) -> None:
    AppliedMapping.objects.bulk_create(
        [ledger.row(c, mapping, outcome, reason) for c, mapping, outcome, reason in rows if mapping],
        update_conflicts=True,
        unique_fields=["conversation", "mapping"],
        update_fields=["outcome", "reason", "analysis_field", "contact_field", "at"],
    )
    for conversation, mapping, outcome, reason in rows:
        if mapping is None:
            ledger.record(conversation, None, outcome, reason)


def _keep_answers(result: Rewrite) -> None:
    """The last merge of a reviewed field is the one to look at; all others have gone into what came after."""
    for name, answers in result.answers.items():
        for answer in answers:
            merging.mark(answer, Outcome.WRITTEN)
        if name in result.reviewed:
            for answer in answers[:-1]:
                answer.state, answer.due_at = MergeReview.State.SUPERSEDED, None
            last = answers[-1]
            last.state, last.due_at = MergeReview.State.WAITING, None
            last.old = str(result.before[name] or "")
        for answer in answers:
            answer.save()
        left = MergeReview.objects.filter(
            contact=result.contact, contact_field=name, state=MergeReview.State.ANSWERED
        )
        left.update(state=MergeReview.State.SUPERSEDED)


def _through(
    job: Backfill,
    until: datetime,
    contact_id: int,
    *,
    counts: Counter[str] | None = None,
    changed: int = 0,
    conversations: int = 0,
    failed: int = 0,
    attempts: int = 0,
) -> bool:
    job.counts = dict(Counter(job.counts) + (counts or Counter()))
    return hold(
        Backfill, job.pk, until,
        cursor=contact_id, done=job.done + 1, changed=job.changed + changed, failed=job.failed + failed,
        conversations=job.conversations + conversations, counts=job.counts, attempts=attempts,
        claimed_until=until,
    )  # fmt: skip


# --- which conversations --------------------------------------------------------------------------


def _scope(job: Backfill) -> QuerySet[Conversation]:
    rows = Conversation.objects.filter(contact__isnull=False, analyzed=True)
    agents = Q()
    for agent in job.agents:
        one = Q(agent_id=agent["agent_id"])
        versions = [str(version) for version in agent.get("version") or []]
        agents |= one & Q(agent_version__in=versions) if versions else one
    rows = rows.filter(agents)
    for op, milliseconds in job.times:
        at = datetime.fromtimestamp(milliseconds / 1000, UTC)
        rows = rows.exclude(started_at=at) if op == "ne" else rows.filter(**{f"started_at{OPS[op]}": at})
    return rows


def _how_many(job: Backfill) -> int:
    """The contacts that have conversations in the scope."""
    return _scope(job).order_by().values("contact").distinct().count()


def _contact_ids(job: Backfill, *, limit: int) -> list[int]:
    rows = _scope(job).filter(contact__gt=job.cursor).order_by("contact").values_list("contact", flat=True)
    return [pk for pk in rows.distinct()[:limit] if pk is not None]


def _conversations(job: Backfill, contact_id: int) -> list[Conversation]:
    rows = _scope(job).filter(contact=contact_id).defer("payload")
    took_place = Coalesce("started_at", "ended_at", "created_at")
    return list(rows.annotate(took_place=took_place).order_by("took_place", "pk"))


def _mappings(job: Backfill) -> list[AnalysisMapping]:
    return list(AnalysisMapping.objects.filter(pk__in=job.mappings))
