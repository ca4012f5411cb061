"""What surrounds the records: owners, account details, the day's use, the token's scopes, call outcomes."""

from __future__ import annotations

from typing import Any

from sandbox.hubspot.catalogue import DISPOSITIONS
from sandbox.hubspot.errors import invalid, not_found
from sandbox.hubspot.portal import PORTAL_ID
from sandbox.hubspot.requests import Call
from sandbox.hubspot.schema import BORN
from sandbox.hubspot.stamps import DAY, iso
from sandbox.wire import Response


def _owner(identifier: str, person: tuple[str, str, str]) -> dict[str, Any]:
    first, last, email = person
    return {
        "id": identifier,
        "email": email,
        "type": "PERSON",
        "firstName": first,
        "lastName": last,
        "userId": int(identifier) - 60_000_000,
        "userIdIncludingInactive": int(identifier) - 60_000_000,
        "createdAt": iso(BORN),
        "updatedAt": iso(BORN),
        "archived": False,
    }


def owners(call: Call) -> Response:
    """A page of owners, optionally by e-mail; none is archived."""
    limit, after = call.limit(100, 500), call.request.param("after") or "0"
    if not after.isdecimal():
        raise invalid(f"Invalid paging offset: {after}")
    wanted = call.request.param("email")
    rows = [_owner(one, person) for one, person in call.portal.owners.items() if wanted in (None, person[2])]
    rows = [] if call.flag("archived") else [row for row in rows if int(row["id"]) > int(after)]
    body: dict[str, Any] = {"results": rows[:limit]}
    if len(rows) > limit:
        body["paging"] = {"next": {"after": rows[limit - 1]["id"], "link": call.here()}}
    return Response.of(200, body)


def owner(call: Call) -> Response:
    """One owner by id."""
    person = call.portal.owners.get(call.parts["id"])
    if person is None:
        raise not_found()
    return Response.of(200, _owner(call.parts["id"], person))


def details(_call: Call) -> Response:
    """The account that the token belongs to."""
    return Response.of(
        200,
        {
            "portalId": PORTAL_ID,
            "accountType": "DEVELOPER_TEST",
            "timeZone": "UTC",
            "companyCurrency": "USD",
            "additionalCurrencies": [],
            "utcOffset": "+00:00",
            "utcOffsetMilliseconds": 0,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        },
    )


def usage(call: Call) -> Response:
    """How much of the day's calls is used; resets at midnight of the account's zone (UTC here)."""
    limits = call.portal.limits
    row = {
        "name": "private-apps-api-calls-daily",
        "usageLimit": call.portal.settings["daily_limit"],
        "currentUsage": limits.today,
        "collectedAt": iso(call.portal.now),
        "fetchStatus": "SUCCESS",
        "resetsAt": iso((call.portal.now // DAY + 1) * DAY),
    }
    return Response.of(200, {"results": [row]})


def token_info(call: Call) -> Response:
    """Whose token this is and what it may do; the token travels in the body."""
    body = call.request.json()
    token = body.get("tokenKey") if isinstance(body, dict) else None
    if token != call.portal.settings["token"]:
        raise not_found()
    granted = call.portal.settings["scopes"]
    return Response.of(200, {"userId": 11_000_001, "hubId": PORTAL_ID, "appId": 990_001, "scopes": granted})


def dispositions(_call: Call) -> Response:
    """The outcomes that calls can have, by GUID."""
    rows = [{"id": one, "label": label, "deleted": False} for one, label in DISPOSITIONS.items()]
    return Response.of(200, rows)
