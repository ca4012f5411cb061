"""The records that will never match as they are, grouped by reason, with what would mend it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count

from integrations.models import Connection
from sync.models import ExternalRecord, RecordState

EXAMPLES = 10
_WORDS = {
    "no_phone": (
        "have no phone number in any mapped phone field",
        "Fill in the phone field in the CRM, or map a further phone field.",
    ),
    "bad_phone": (
        "have a phone number that cannot be read",
        "Correct the number in the CRM: with its country code, or set the connection's country.",
    ),
    "duplicate_number": (
        "share their number with a record that is linked",
        "Merge the records in the CRM if they are one person; give them numbers of their own if they are not.",
    ),
    "not_chosen": (
        "share their number with a record that a person chose",
        "Nothing, if the choice was right; else merge them in the CRM.",
    ),
    "joined": (
        "belong to contacts that were merged here",
        "Merge the records in the CRM as well.",
    ),
}
REASONS = tuple(_WORDS)
_OTHER = ("were skipped", "Read everything again; the reason is told anew.")


@dataclass(frozen=True, slots=True)
class Unmatched:
    """CRM records with one reason. `numbers`: how many phone numbers they share; `examples`: CRM ids, the oldest first."""

    reason: str
    count: int
    numbers: int
    words: str
    fix: str
    examples: tuple[str, ...]

    def __str__(self) -> str:
        over = f" ({self.numbers} number{'s' if self.numbers > 1 else ''})" if self.numbers else ""
        return f"{self.count} record{'s' if self.count > 1 else ''} that {self.words}{over}"


def never_match(connection: Connection, *, examples: int = EXAMPLES) -> list[Unmatched]:
    """The connection's skipped records by reason, most first, as the last syncs saw them; needs no network."""
    rows = ExternalRecord.objects.filter(connection=connection, state=RecordState.SKIPPED)
    counted = rows.values("reason").annotate(count=Count("id")).order_by("-count", "reason")
    found = []
    for row in counted:
        words, fix = _WORDS.get(row["reason"], _OTHER)
        same = rows.filter(reason=row["reason"])
        numbers = same.exclude(number="").values("number").distinct().count()
        ids = same.order_by("id").values_list("external_id", flat=True)[:examples]
        shown = tuple(one or "" for one in ids)
        found.append(Unmatched(row["reason"], row["count"], numbers, words, fix, shown))
    return found
