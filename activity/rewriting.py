"""What a backfill makes of one contact: its conversations applied again in the order they took place, saved once.

The values go through all conversations in memory; later decisions of others (a conversation outside the backfill, a
person) stand. With `ask` None the LLM is not asked and the merges are only counted, which is a preview.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Max
from django.db.models.functions import Coalesce

from activity import memory, merging
from activity.analysis import analysis_values, fitting
from activity.asking import Wanted
from activity.models import AppliedMapping, Conversation, MergeReview
from contacts.models import Contact
from contacts.values import DoesNotFit, FieldSpec, Value, same
from mappings.models import AnalysisMapping, UpdateMode

Outcome = AppliedMapping.Outcome
Ask = Callable[[Wanted, str], MergeReview]
LATER = "A later conversation has set the field."
BY_HAND = "A person or key has set the field since."
PEOPLE = frozenset({"person", "api_key", "undo"})


@dataclass(slots=True)
class Rewrite:
    """What a contact's fields become. `before`: what they held; `rows`: one for each conversation and mapping.

    `answers`: the merges by field, in their order; `merges`: how many times the LLM is (or would be) asked.
    """

    contact: Contact
    before: dict[str, Value] = field(default_factory=dict)
    after: dict[str, Value] = field(default_factory=dict)
    set_by: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[Conversation, AnalysisMapping | None, str, str]] = field(default_factory=list)
    answers: dict[str, list[MergeReview]] = field(default_factory=dict)
    reviewed: set[str] = field(default_factory=set)
    merges: int = 0

    @property
    def changes(self) -> dict[str, Value]:
        """The fields whose value is another one now."""
        return {name: value for name, value in self.after.items() if not same(value, self.before[name])}

    def holds(self, name: str) -> Value:
        """The field's value so far."""
        if name not in self.before:
            self.before[name] = self.after[name] = self.contact.value(name)
        return self.after[name]

    def put(self, name: str, value: Value, conversation: Conversation) -> str:
        """Set a field; returns the outcome."""
        if same(self.holds(name), value):
            return Outcome.UNCHANGED
        self.after[name], self.set_by[name] = value, conversation.key
        return Outcome.WRITTEN


def rewrite(
    contact: Contact,
    conversations: Sequence[Conversation],
    mappings: Sequence[AnalysisMapping],
    specs: dict[str, FieldSpec],
    *,
    remember: bool,
    ask: Ask | None,
) -> Rewrite:
    """Apply `conversations` (oldest first) again; returns what came of it, nothing is saved."""
    result = Rewrite(contact)
    decided = _decided_elsewhere(contact, conversations)
    for conversation in conversations:
        values = analysis_values(conversation)
        for mapping in mappings:
            if mapping.analysis_field not in values:
                continue
            outcome, reason = _apply(
                result, conversation, mapping, specs, values[mapping.analysis_field], decided, ask
            )
            result.rows.append((conversation, mapping, outcome, reason))
        if remember:
            _remember(result, conversation, ask)
    return result


def _apply(
    result: Rewrite,
    conversation: Conversation,
    mapping: AnalysisMapping,
    specs: dict[str, FieldSpec],
    raw: Any,
    decided: dict[str, datetime],
    ask: Ask | None,
) -> tuple[str, str]:
    name, spec = mapping.contact_field, specs.get(mapping.contact_field)
    try:
        new = fitting(mapping, spec, raw)
    except DoesNotFit as error:
        return Outcome.SKIPPED, str(error)
    held = result.holds(name)
    if name == "do_not_call" and held and not new:
        return Outcome.KEPT, "An opt-out is only cleared by a person."
    if mapping.update_mode == UpdateMode.MERGE and spec is not None:
        return _merge(result, merging.wanted_of(conversation, mapping, spec, str(new)), ask)
    if mapping.update_mode == UpdateMode.FILL_IF_EMPTY:
        if held if name == "do_not_call" else held is not None:
            return Outcome.KEPT, "The field already has a value."
    elif reason := _hindrance(result.contact, name, conversation, decided):
        return Outcome.SKIPPED, reason
    return result.put(name, new, conversation), ""


def _hindrance(contact: Contact, name: str, conversation: Conversation, decided: dict[str, datetime]) -> str:
    if name in decided and decided[name] > conversation.moment:
        return LATER
    source = contact.sources.get(name, {})
    since = source.get("at", "")
    if source.get("kind") in PEOPLE and since and datetime.fromisoformat(since) > conversation.moment:
        return BY_HAND
    return ""


def _merge(result: Rewrite, wanted: Wanted, ask: Ask | None) -> tuple[str, str]:
    name = wanted.field
    old = str(result.holds(name) or "")
    kept = wanted.kept or wanted.new
    if old and kept in old.split("\n\n"):
        return Outcome.UNCHANGED, ""
    if not wanted.needs_merging(old):
        return result.put(name, kept, wanted.conversation), ""
    result.merges += 1
    if ask is None:
        result.put(name, wanted.both(old), wanted.conversation)
        return Outcome.WRITTEN, ""
    answer = ask(wanted, old)
    result.answers.setdefault(name, []).append(answer)
    if wanted.reviewed:
        result.reviewed.add(name)
    if merging.too_long(answer):
        return Outcome.KEPT, merging.TOO_LONG
    return result.put(name, answer.merged, wanted.conversation), answer.reason


def _remember(result: Rewrite, conversation: Conversation, ask: Ask | None) -> None:
    wanted = memory.wanted_of(conversation)
    if wanted is None:
        result.rows.append((conversation, None, Outcome.SKIPPED, memory.NOTHING_SAID))
        return
    outcome, reason = _merge(result, wanted, ask)
    result.rows.append((conversation, None, outcome, reason))


def _decided_elsewhere(contact: Contact, conversations: Sequence[Conversation]) -> dict[str, datetime]:
    """When a conversation outside the backfill last said what a field holds, by field."""
    ids = [conversation.pk for conversation in conversations]
    said = AppliedMapping.objects.filter(
        conversation__contact=contact, outcome__in=[Outcome.WRITTEN, Outcome.UNCHANGED], mapping__isnull=False
    ).exclude(conversation__in=ids)
    took_place = Coalesce("conversation__started_at", "conversation__ended_at", "conversation__created_at")
    return dict(
        said.values("contact_field").annotate(last=Max(took_place)).values_list("contact_field", "last")
    )
