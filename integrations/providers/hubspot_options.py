"""What an operator's options ask of HubSpot that it will not do: names it does not know, outcomes and owners it does not have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Protocol

from integrations.providers.activity_owners import OPTION as OWNER
from integrations.providers.errors import NeedsAttention, RecordGone
from integrations.providers.hubspot_activities import DISPOSITION, REASONS

OPTIONS = ("unique_key", "chat_channel", "api_version", OWNER)
_ENDINGS = (*REASONS, *(reason for reasons in REASONS.values() for reason in reasons))
# A look at each owner is a call; more than these are not looked at.
MOST_OWNERS = 20


class Asked(Protocol):
    """A portal that can be asked what it has."""

    def choices(self, kind: str, name: str) -> Collection[str]:
        """The values that a property of an object type may have."""
        ...

    def check_owner(self, owner_id: str) -> None:
        """Raise RecordGone where there is no such owner, NeedsAttention where the token may not see owners."""
        ...


def hints_of(portal: Asked, options: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence for each option that will not work as meant; asks HubSpot only about those that are set."""
    return (*_unknown(options), *_outcomes(portal, options), *_owners(portal, options))


def _unknown(options: Mapping[str, str]) -> Iterator[str]:
    for name in options:
        first, _, rest = name.partition(".")
        if first == DISPOSITION and rest not in _ENDINGS:
            yield f"No call ends as “{rest}” (option {name}).{_near(rest, _ENDINGS)}"
        elif name not in OPTIONS and not (rest and first in (DISPOSITION, OWNER)):
            yield f"HubSpot has no use for the option {name}.{_near(name, OPTIONS)}"


def _near(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f" Did you mean “{close[0]}”?" if close else ""


def _outcomes(portal: Asked, options: Mapping[str, str]) -> Iterator[str]:
    wanted = {name: value for name, value in options.items() if name.startswith(f"{DISPOSITION}.") and value}
    if wanted:
        with suppress(NeedsAttention):
            there = portal.choices("calls", "hs_call_disposition")
            for name, value in wanted.items():
                if value not in there:
                    yield f"HubSpot has no call outcome “{value}” (option {name}): calls would be refused."


def _owners(portal: Asked, options: Mapping[str, str]) -> Iterator[str]:
    wanted = {value: name for name, value in options.items() if name.partition(".")[0] == OWNER and value}
    with suppress(NeedsAttention):
        for owner, name in [*wanted.items()][:MOST_OWNERS]:
            try:
                portal.check_owner(owner)
            except RecordGone:
                yield f"HubSpot has no owner {owner} (option {name}): conversations would be refused."
