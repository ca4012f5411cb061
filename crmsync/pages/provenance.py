"""Where a value came from, in words and with a link: a run, a conversation, a person, a CRM record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

_KINDS = {
    "crm": "CRM", "conversation": "conversation", "person": "person", "api_key": "API key", "import": "import",
    "merge": "merge", "undo": "undo", "system": "system",
}  # fmt: skip
_PAGES = {"run": "run", "conversation": "conversation", "backfill": "backfill"}


@dataclass(frozen=True, slots=True)
class Origin:
    """`words` name the source, `url` leads to its run or conversation ("" when there is no page), `at` is when."""

    words: str
    url: str = ""
    at: datetime | None = None
    external_id: str = ""


def origin_of(stamp: Mapping[str, Any]) -> Origin:
    """The origin told by one entry of `Contact.sources`; unknown entries read as they are."""
    at = stamp.get("at")
    return Origin(
        words=words_for(str(stamp.get("kind", "")), str(stamp.get("label", ""))),
        url=link_to(str(stamp.get("ref", ""))),
        at=datetime.fromisoformat(at) if at else None,
        external_id=str(stamp.get("external_id", "")),
    )


def words_for(kind: str, label: str) -> str:
    """ "HubSpot (CRM)" would repeat itself: the label alone where there is one, else the kind in words."""
    known = _KINDS.get(kind, kind)
    return f"{label} ({known})" if label and kind == "api_key" else label or known or "unknown"


def link_to(ref: str) -> str:
    """The page of a reference like "run:12", "" when it has none."""
    kind, _, number = ref.partition(":")
    return reverse(_PAGES[kind], args=[int(number)]) if kind in _PAGES and number.isdigit() else ""
