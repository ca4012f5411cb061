"""What the organisation allows: whether contacts are remembered, what merges may cost, which callers are rejected.

The settings belong to the organisation, which is kept above this app; it adds its source here when it loads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from activity.remembered import Remembered


@dataclass(frozen=True, slots=True)
class Governance:
    """`memory`: rewrite it after each conversation, as `memory_prompt` says; `memory_reviewed`: a person accepts it.

    `budget`: the most that merges may cost in a calendar month, None for no limit. `reject_field`: the boolean contact
    field whose truth rejects an inbound call or SMS, "" for none.
    """

    memory: bool = False
    memory_prompt: str = ""
    memory_reviewed: bool = False
    budget: Decimal | None = None
    reject_field: str = ""


sources: list[Callable[[], Governance]] = []


def governance() -> Governance:
    """The rules as they are now."""
    return sources[0]() if sources else Governance()


# For the door that has milliseconds only; at most two seconds old.
recent = Remembered(governance)
