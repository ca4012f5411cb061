"""Ask the LLM to merge, and keep the books: the intent before it is asked, the answer before it is used.

So the price of an answer that was lost with its worker is in the ledger too, an answer that was not used yet is not
paid twice, and two workers cannot spend the last of the budget twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from activity.governance import governance
from activity.models import Conversation, MergeReview
from mappings.merge import NO_LLM, MergeResult, keep_both, merge_texts, price
from mappings.models import AnalysisMapping

State = MergeReview.State
RESTING = "The LLM has not answered lately, so it was not asked and both texts are kept."
OUT_OF_BUDGET = "The monthly budget for merges is used up, so both texts are kept."
LATER = timedelta(hours=1)
# After so many questions without an answer within this time no more are asked for a while: each would hold a worker up.
SILENT, LATELY = 2, timedelta(minutes=3)
NOT_ASKED, NO_ANSWER = ("no_llm", "budget", "resting", "moved"), ("timeout", "network", "http_429")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A text that a conversation brings for a contact's field, and how it is to be merged into it.

    `mapping` None: it is for the memory. `kept`: what of `new` is kept where the two cannot be merged ("" for all of
    it). `reviewed`: a person accepts the merge. `always`: the LLM is asked also when the field is empty.
    """

    conversation: Conversation
    mapping: AnalysisMapping | None
    field: str
    label: str
    new: str
    instruction: str = ""
    kept: str = ""
    reviewed: bool = False
    always: bool = False
    contact: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def needs_merging(self, old: str) -> bool:
        """Whether there is anything to merge; an empty or equal old text costs no call."""
        return self.always if not old else old not in (self.new, self.kept)

    def both(self, old: str) -> str:
        """Old and new below each other."""
        return keep_both(old, self.kept or self.new)


def ask(wanted: Wanted, old: str) -> MergeReview:
    """The LLM's answer, or both texts with the reason, as a row in state `answered`. Call it outside any transaction."""
    known = MergeReview.objects.filter(
        conversation=wanted.conversation,
        contact_field=wanted.field,
        state=State.ANSWERED,
        old=old,
        new=wanted.new,
    ).first()
    if known:
        return known
    row = _begun(wanted, old)
    if row.state == State.ANSWERED:
        return row
    result = merge_texts(
        wanted.label, wanted.instruction, old, wanted.new, both=wanted.both(old), contact=wanted.contact
    )
    _note(row, result)
    row.save()
    return row


def spent(at: datetime | None = None) -> Decimal:
    """What merges have cost in the calendar month (UTC) of `at`."""
    start, end = month(at or timezone.now())
    found: Decimal | None = MergeReview.objects.filter(at__gte=start, at__lt=end).aggregate(all=Sum("cost"))[
        "all"
    ]
    return found or Decimal(0)


def month(at: datetime) -> tuple[datetime, datetime]:
    """The first moment of the calendar month, and of the next one."""
    start = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return start, (start + timedelta(days=32)).replace(day=1)


def budget() -> Decimal | None:
    """The most that merges may cost this month; None: no limit."""
    own = governance().budget
    limit: Decimal | None = settings.CRMSYNC_MERGE_BUDGET if own is None else own
    return limit


def used_up() -> bool:
    """Whether another merge would exceed the month's budget."""
    limit = budget()
    return limit is not None and spent() + price() > limit


def silent() -> bool:
    """Whether the last questions have had no answer, so that no more are asked for a while."""
    asked = MergeReview.objects.filter(at__gte=timezone.now() - LATELY).exclude(state=State.ASKING)
    last = asked.exclude(code__in=NOT_ASKED).order_by("-at").values_list("code", flat=True)[:SILENT]
    return len(last) == SILENT and all(code in NO_ANSWER or code.startswith("http_5") for code in last)


def later(review: MergeReview) -> datetime:
    """When to try again what could not be merged: when the budget is fresh or the LLM may answer again, or ever less often."""
    now = timezone.now()
    if review.code == "budget":
        return month(now)[1]
    if review.code == "resting":
        return now + LATELY
    wait: timedelta = LATER * 4 ** min(review.attempts, 5)
    return now + wait


def _begun(wanted: Wanted, old: str) -> MergeReview:
    """The row that says the LLM is being asked, or that it is not asked and why; one at a time looks at the budget."""
    row = MergeReview(
        conversation=wanted.conversation,
        contact_id=wanted.conversation.contact_id or 0,
        mapping=wanted.mapping,
        contact_field=wanted.field,
        old=old,
        new=wanted.new,
        kept=wanted.kept,
        state=State.ASKING,
        cost=price(),
        model=settings.OPENAI_MODEL,
    )
    with transaction.atomic():
        _one_at_a_time()
        _give_up_lost(wanted)
        if not settings.OPENAI_API_KEY:
            _note(row, MergeResult(wanted.both(old), merged=False, reason=NO_LLM, code="no_llm"))
        elif silent():
            _note(row, MergeResult(wanted.both(old), merged=False, reason=RESTING, code="resting"))
        elif used_up():
            _note(row, MergeResult(wanted.both(old), merged=False, reason=OUT_OF_BUDGET, code="budget"))
        row.save()
    return row


def _give_up_lost(wanted: Wanted) -> None:
    """Whoever asked before and is not there any more has taken the answer with it; its price stays in the books."""
    before = MergeReview.objects.filter(
        conversation=wanted.conversation, contact_field=wanted.field, state=State.ASKING
    )
    before.update(state=State.LOST, reason="The worker ended before the answer was kept.")


def _note(row: MergeReview, result: MergeResult) -> None:
    row.state, row.merged, row.code = State.ANSWERED, result.text, result.code
    row.reason, row.model, row.cost = result.reason[:300], result.model[:120], result.cost
    row.prompt_version = result.prompt_version
    row.input_tokens, row.output_tokens = result.input_tokens, result.output_tokens


def _one_at_a_time() -> None:
    """Let racing workers take turns at the budget; SQLite's immediate transactions do so by themselves."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('crmsync merge budget'))")
