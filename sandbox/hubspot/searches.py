"""Search: filter groups, one sort, offset paging up to 10,000, over an index that may lag behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from sandbox.hubspot import bodies
from sandbox.hubspot.documents import document, shown
from sandbox.hubspot.errors import bad_request
from sandbox.hubspot.records import Record, Table
from sandbox.hubspot.requests import Call
from sandbox.hubspot.stamps import parse_instant
from sandbox.wire import Response

CEILING = 10_000
Test = Callable[[Record], bool]
_QUERIED = (
    "firstname",
    "lastname",
    "email",
    "phone",
    "hs_additional_emails",
    "fax",
    "mobilephone",
    "company",
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda held, given: bool(held == given),
    "GT": lambda held, given: bool(held > given),
    "GTE": lambda held, given: bool(held >= given),
    "LT": lambda held, given: bool(held < given),
    "LTE": lambda held, given: bool(held <= given),
}


def search(call: Call) -> Response:
    """POST of a search; never answers with archived records."""
    table, body = call.table, call.body(bodies.SEARCH)
    limit, after = _limit(body), _after(body)
    if after + limit > CEILING:
        raise bad_request(
            f"Paging beyond {CEILING} results is not supported. Refine the query.", "PAGING_LIMIT"
        )
    names = shown(table, body.get("properties", []))
    rows = _sorted(table, _matching(call, table, body), body.get("sorts", []))
    page = rows[after : after + limit]
    answer: dict[str, Any] = {"total": len(rows), "results": [document(table, one, names) for one in page]}
    if after + limit < len(rows):
        answer["paging"] = {"next": {"after": str(after + limit)}}
    return Response.of(200, answer)


def _limit(body: dict[str, Any]) -> int:
    limit: int = body.get("limit", 10)
    if not 1 <= limit <= 200:
        raise bad_request(f"limit must be between 1 and 200, but was {limit}")
    return limit


def _after(body: dict[str, Any]) -> int:
    after: str = body.get("after", "") or "0"
    if not after.isdecimal():
        raise bad_request(f"after must be an integer offset, but was {after}")
    return int(after)


def _matching(call: Call, table: Table, body: dict[str, Any]) -> list[Record]:
    lag = int(call.portal.settings["search_lag_seconds"] * 1000)
    rows: Iterable[Record] = table.live.values()
    if lag:
        seen = (one.as_of(call.portal.now - lag) for one in rows)
        rows = [one for one in seen if one is not None]
    groups = _groups(table, body.get("filterGroups", []))
    if len(groups) == 1:
        for test in groups[0]:
            rows = [one for one in rows if test(one)]
    elif groups:
        rows = [one for one in rows if any(all(test(one) for test in group) for group in groups)]
    words = body.get("query", "")
    if len(words) > 3000:
        raise bad_request("query must not be longer than 3000 characters")
    return [one for one in rows if _mentions(one, words.lower())] if words else list(rows)


def _mentions(record: Record, words: str) -> bool:
    return any(words in record.properties[name].lower() for name in _QUERIED if name in record.properties)


def _groups(table: Table, groups: list[dict[str, Any]]) -> list[list[Test]]:
    total = sum(len(group["filters"]) for group in groups)
    if len(groups) > 5:
        raise bad_request(f"Too many filter groups: {len(groups)}, at most 5 are allowed")
    if total > 18 or any(len(group["filters"]) > 6 for group in groups):
        raise bad_request("Too many filters: at most 6 in a group and 18 in all are allowed")
    if any(not group["filters"] for group in groups):
        raise bad_request("A filter group must have at least one filter")
    return [[_test(table, one) for one in group["filters"]] for group in groups]


def _test(table: Table, one: dict[str, Any]) -> Test:
    """One filter as a predicate; a filter that HubSpot would refuse raises a 400."""
    name, operator = one["propertyName"], one["operator"]
    if name not in table.schema:
        raise bad_request(f"Property '{name}' does not exist", "PROPERTY_DOESNT_EXIST")
    build = _OPERATORS.get(operator)
    if build is None:
        raise bad_request(f"Unknown filter operator: {operator}")
    wanted = _ARGUMENTS.get(operator, {"value"})
    given = {key for key in ("value", "highValue", "values") if key in one}
    if given != wanted:
        expected = " and ".join(sorted(wanted)) or "no value"
        raise bad_request(f"operator {operator} of property {name} takes {expected}")
    return build(table, name, one)


def _held(table: Table, name: str) -> Callable[[Record], Any]:
    """How to read a property as a comparable value; None when unset."""
    direct = {"hs_object_id": "id", table.created_name: "created", table.modified_name: "modified"}
    if name in direct:
        attribute = direct[name]
        return lambda record: getattr(record, attribute)
    read = _reader(table, name)

    def held(record: Record) -> Any:
        text = record.properties.get(name)
        return None if text is None else read(text)

    return held


def _reader(table: Table, name: str) -> Callable[[str], Any]:
    kind = table.schema.live[name].type
    if kind == "number":
        return _number
    return parse_instant if kind in ("date", "datetime") else str.lower


@lru_cache(maxsize=50_000)
def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _given(table: Table, name: str, text: str) -> Any:
    value = _reader(table, name)(text)
    if value is None:
        raise bad_request(f"{text} is not a valid value for property {name}")
    return value


def _compare(table: Table, name: str, one: dict[str, Any]) -> Test:
    held, given, holds = _held(table, name), _given(table, name, one["value"]), _COMPARISONS[one["operator"]]
    return lambda record: (value := held(record)) is not None and holds(value, given)


def _differs(table: Table, name: str, one: dict[str, Any]) -> Test:
    held, given = _held(table, name), _given(table, name, one["value"])
    return lambda record: (value := held(record)) is not None and value != given


def _between(table: Table, name: str, one: dict[str, Any]) -> Test:
    held = _held(table, name)
    low, high = _given(table, name, one["value"]), _given(table, name, one["highValue"])
    return lambda record: (value := held(record)) is not None and low <= value <= high


def _among(table: Table, name: str, one: dict[str, Any]) -> Test:
    """IN and NOT_IN: text values must be given in lower case to match, as HubSpot documents."""
    held, wanted = _held(table, name), one["operator"] == "IN"
    textual = _reader(table, name) is str.lower
    given = {text if textual else _given(table, name, text) for text in one["values"]}
    return lambda record: (value := held(record)) is not None and (value in given) is wanted


def _present(_table: Table, name: str, one: dict[str, Any]) -> Test:
    wanted = one["operator"] == "HAS_PROPERTY"
    return lambda record: (name in record.properties) is wanted


def _token(_table: Table, name: str, one: dict[str, Any]) -> Test:
    """Tokens are runs of letters and digits; `*` in the value stands for any characters of one token."""
    wanted = one["operator"] == "CONTAINS_TOKEN"
    parts = [
        re.compile(re.escape(part).replace(r"\*", r"\w*"))
        for part in re.findall(r"[\w*]+", one["value"].lower())
    ]

    def test(record: Record) -> bool:
        held = record.properties.get(name)
        if held is None:
            return not wanted
        tokens = re.findall(r"\w+", held.lower())
        return all(any(part.fullmatch(token) for token in tokens) for part in parts) is wanted

    return test


_OPERATORS: dict[str, Callable[[Table, str, dict[str, Any]], Test]] = {
    **dict.fromkeys(_COMPARISONS, _compare),
    "NEQ": _differs, "BETWEEN": _between, "IN": _among, "NOT_IN": _among, "HAS_PROPERTY": _present,
    "NOT_HAS_PROPERTY": _present, "CONTAINS_TOKEN": _token, "NOT_CONTAINS_TOKEN": _token,
}  # fmt: skip
_ARGUMENTS = {
    "BETWEEN": {"value", "highValue"},
    "IN": {"values"},
    "NOT_IN": {"values"},
    "HAS_PROPERTY": set[str](),
    "NOT_HAS_PROPERTY": set[str](),
}


def _sorted(table: Table, rows: list[Record], sorts: list[Any]) -> list[Record]:
    if len(sorts) > 1:
        raise bad_request("Only one sort is supported")
    if not sorts:
        return rows
    name, descending = _order(sorts[0])
    if name not in table.schema:
        raise bad_request(f"Property '{name}' does not exist", "PROPERTY_DOESNT_EXIST")
    held = _held(table, name)
    keyed = [(held(one), one) for one in rows]
    known = sorted(
        (pair for pair in keyed if pair[0] is not None), key=lambda pair: pair[0], reverse=descending
    )
    return [one for _, one in known] + [one for value, one in keyed if value is None]


def _order(sort: Any) -> tuple[str, bool]:
    if isinstance(sort, str):
        return sort.removeprefix("-"), sort.startswith("-")
    direction = sort.get("direction", "ASCENDING")
    if direction not in ("ASCENDING", "DESCENDING"):
        raise bad_request(f"Unknown sort direction: {direction}")
    return sort["propertyName"], direction == "DESCENDING"
