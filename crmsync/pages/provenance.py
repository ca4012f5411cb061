"""Where a value came from, in words and with a link: "from HubSpot", "from the call of 14 May, merged", "by olga"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from activity.models import Conversation
from contacts.models import ContactChange

Named = Mapping[str, str]  # conversations in words, by their references
_KINDS = {
    "crm": "CRM", "conversation": "a conversation", "person": "a person", "api_key": "an API key", "import": "an import",
    "merge": "a merge", "undo": "an undo", "system": "the system",
}  # fmt: skip
_LEADS = {"person": "by", "system": "by", "undo": "", "merge": "", "import": "", "conflict": ""}
_HOW = {"merge": "merged", "fill_if_empty": "filled in", "memory": "rewritten"}
_PAGES = {"run": "run", "conversation": "conversation", "backfill": "backfill", "import": "import"}
_NOUNS = {"phone": "call"}  # of all others the channel says it


@dataclass(frozen=True, slots=True)
class Origin:
    """`lead` and `words` name the source, `how` the way a value was taken, `at` is when.

    `url` leads to its run or conversation ("" when there is no page). `dated`: the words tell the day already.
    """

    words: str
    url: str = ""
    at: datetime | None = None
    external_id: str = ""
    lead: str = "from"
    how: str = ""
    dated: bool = False


def origin_of(stamp: Mapping[str, Any], named: Named | None = None) -> Origin:
    """The origin told by one entry of `Contact.sources`; unknown entries read as they are."""
    at, kind, ref = stamp.get("at"), str(stamp.get("kind", "")), str(stamp.get("ref", ""))
    known = (named or {}).get(ref)
    how = "reviewed merge" if stamp.get("review") else _HOW.get(str(stamp.get("mode", "")), "")
    return Origin(
        words=known or words_for(kind, str(stamp.get("label", ""))),
        url=link_to(ref),
        at=datetime.fromisoformat(at) if at else None,
        external_id=str(stamp.get("external_id", "")),
        lead=_LEADS.get(kind, "from"),
        how=how,
        dated=known is not None,
    )


def origin_of_change(change: ContactChange, named: Named) -> Origin:
    """The origin of a whole write in the history; a sentence stands on its own, without a lead."""
    known = named.get(change.source_ref)
    return Origin(
        words=known or words_for(change.source_kind, change.source_label),
        url=link_to(change.source_ref),
        at=change.at,
        lead=_LEADS.get(change.source_kind, "from"),
    )


def named_conversations(refs: Iterable[str]) -> dict[str, str]:
    """Conversations as people speak of them, by reference: "the call of 14 May", "yesterday's SMS". One query, or none."""
    numbers = {ref.partition(":")[2] for ref in refs if ref.startswith("conversation:")}
    wanted = [int(number) for number in numbers if number.isdigit()]
    if not wanted:
        return {}
    rows = Conversation.objects.filter(pk__in=wanted)
    return {row.ref: _called(row) for row in rows.only("channel", "started_at", "ended_at", "created_at")}


def _called(row: Conversation) -> str:
    noun = _NOUNS.get(row.channel, row.get_channel_display())
    day, today = timezone.localtime(row.moment).date(), timezone.localdate()
    if day in {today, today - timedelta(days=1)}:
        return f"{'today' if day == today else 'yesterday'}'s {noun}"
    return f"the {noun} of {day:%-d %b}" + (f" {day.year}" if day.year != today.year else "")


def words_for(kind: str, label: str) -> str:
    """ "HubSpot (CRM)" would repeat itself: the label alone where there is one, else the kind in words."""
    known = _KINDS.get(kind, kind)
    return f"{label} (API key)" if label and kind == "api_key" else label or known or "unknown"


def link_to(ref: str) -> str:
    """The page of a reference like "run:12", "" when it has none."""
    kind, _, number = ref.partition(":")
    return reverse(_PAGES[kind], args=[int(number)]) if kind in _PAGES and number.isdigit() else ""
