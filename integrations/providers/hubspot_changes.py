"""Which contacts of a HubSpot portal changed: lists for everything, searches for what is new. The cursor is opaque JSON.

A search stops at 10,000 results and thousands of contacts may share one stamp, so a search window is read in the
order of hs_object_id, each page after the last id. The stored time is HubSpot's at the start of the listing, less an
overlap when it is used: the index lags behind, and contacts that change meanwhile are seen next time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from integrations.providers.base import Page
from integrations.providers.errors import NeedsAttention, ProviderError, RateLimited
from integrations.providers.hubspot_reading import LONGEST_ADDRESS, Answer, Portal, objects
from integrations.providers.hubspot_schema import ALWAYS, names_with, record_of

OVERLAP = timedelta(minutes=10)
SEARCH_PAGE = 200
LIVE, ARCHIVED, SEARCH = "live", "archived", "search"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a listing stands: which `part`, `after` what, when it `began`; `since` is a search's lower bound."""

    part: str = LIVE
    after: str = ""
    began: str = ""
    since: str = ""

    @classmethod
    def start(cls, cursor: str, *, full: bool) -> Self:
        """The middle of a listing, a search from some minutes before the last listing began, or the beginning."""
        try:
            kept: Mapping[str, str] = json.loads(cursor) if cursor else {}
            if kept.get("part") in (LIVE, ARCHIVED) or (kept.get("part") == SEARCH and not full):
                return cls(**kept)
            if full or not kept or "part" in kept:
                return cls()
            since = datetime.fromisoformat(kept["since"]) - OVERLAP
            return cls(part=SEARCH, since=_text(since))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProviderError(
                "The stored cursor cannot be read. Start a full sync.", code="bad_cursor"
            ) from error

    def cursor(self) -> str:
        """The cursor of a page in the middle."""
        return json.dumps({"part": self.part, "after": self.after, "began": self.began, "since": self.since})

    def started(self, answer: Answer) -> Position:
        """With HubSpot's time at the first answer."""
        if self.began or answer.server_time is None:
            return self
        return replace(self, began=_text(answer.server_time))


def changed_pages(
    portal: Portal, cursor: str, fields: Sequence[str], *, full: bool, list_above: int
) -> Iterator[Page]:
    """Pages of 200 (searches) or 100 (lists, archived contacts last).

    A search that finds more than `list_above` contacts and more than half of the portal becomes a list.
    """
    position = Position.start(cursor, full=full)
    if position.part != SEARCH:
        yield from _listed(portal, position, fields)
        return
    answer = portal.search(_window(position, names_with(fields)))
    position = position.started(answer)
    total = int(answer.document.get("total") or 0)
    if not position.after and total > list_above and total * 2 > (_count(portal) or 0):
        yield from _listed(portal, Position(began=position.began), fields)
    else:
        yield from _searched(portal, position, answer, fields, total)


def _searched(
    portal: Portal, position: Position, answer: Answer, fields: Sequence[str], total: int
) -> Iterator[Page]:
    while True:
        rows = answer.results
        types = portal.types(fields, live=True) if rows else {}
        last = len(rows) < SEARCH_PAGE
        position = replace(position, after=str(rows[-1]["id"]) if rows else position.after)
        cursor = _finished(position) if last else position.cursor()
        yield Page([record_of(row, types) for row in rows], cursor, last, total)
        if last:
            return
        answer = portal.search(_window(position, names_with(fields)))


def _listed(portal: Portal, position: Position, fields: Sequence[str]) -> Iterator[Page]:
    types = portal.types(fields, live=True)
    total = None if position.after or position.part == ARCHIVED else _count(portal)
    last = False
    while not last:
        archived = position.part == ARCHIVED
        answer = _listing(portal, names_with(fields), position.after, archived=archived)
        part = position.part if answer.after else ARCHIVED
        position = replace(position.started(answer), after=answer.after, part=part)
        last = archived and not answer.after
        records = [record_of(row, types, deleted=archived) for row in answer.results]
        yield Page(records, _finished(position) if last else position.cursor(), last, total)


def _listing(portal: Portal, names: list[str], after: str, *, archived: bool) -> Answer:
    """One page of the list; with too many properties for an address, the values come by a batch read."""
    if sum(len("&properties=") + len(name) for name in names) <= LONGEST_ADDRESS:
        return portal.listing(names, after, archived=archived)
    answer = portal.listing(ALWAYS, after, archived=archived)
    ids = [str(row["id"]) for row in answer.results]
    rows = objects(portal, "contacts", ids, names, archived=archived) if ids else []
    order = {one: place for place, one in enumerate(ids)}
    rows = sorted((row for row in rows if str(row["id"]) in order), key=lambda row: order[str(row["id"])])
    return Answer({**answer.document, "results": rows}, answer.server_time)


def _window(position: Position, names: list[str]) -> dict[str, Any]:
    since = str(int(datetime.fromisoformat(position.since).timestamp() * 1000))
    filters = [{"propertyName": "lastmodifieddate", "operator": "GTE", "value": since}]
    if position.after:
        filters.append({"propertyName": "hs_object_id", "operator": "GT", "value": position.after})
    return {
        "filterGroups": [{"filters": filters}],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": names,
        "limit": SEARCH_PAGE,
        "after": "0",
    }


def _count(portal: Portal) -> int | None:
    body = {"filterGroups": [], "sorts": [], "properties": ["hs_object_id"], "limit": 1, "after": "0"}
    try:
        return int(portal.search(body).document.get("total") or 0)
    except (NeedsAttention, RateLimited):
        raise
    except ProviderError:
        return None  # only the progress bar and an economy want to know


def _finished(position: Position) -> str:
    if position.began:
        return json.dumps({"since": position.began})
    # Without HubSpot's time the window does not move: read more next time rather than miss something.
    since = position.since and _text(datetime.fromisoformat(position.since) + OVERLAP)
    return json.dumps({"since": since}) if since else ""


def _text(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
