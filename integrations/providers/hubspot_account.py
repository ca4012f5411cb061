"""Which HubSpot account a token belongs to: from the account's details, or from the address of one of its records. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from integrations.providers.base import Account
from integrations.providers.hubspot_day import zone_of

_RECORD = re.compile(r"https://([a-z0-9.-]+)/contacts/(\d+)/")


def account_of(details: Mapping[str, Any]) -> Account:
    """The account, by its details; newer versions of the API tell its name too."""
    portal_id = str(details["portalId"])
    host = str(details.get("uiDomain") or "app.hubspot.com")
    return Account(
        portal_id,
        str(details.get("portalName") or f"HubSpot {portal_id}"),
        web_base=f"https://{host}/contacts/{portal_id}",
        time_zone=zone_of(details.get("timeZone"), details.get("utcOffset")),
    )


def account_of_records(rows: Sequence[Mapping[str, Any]]) -> Account:
    """The account as far as its records tell: their addresses hold its number."""
    found = next((match for row in rows if (match := _RECORD.match(str(row.get("url") or "")))), None)
    if found is None:
        return Account("", "HubSpot")
    host, portal_id = found.groups()
    return Account(portal_id, f"HubSpot {portal_id}", web_base=f"https://{host}/contacts/{portal_id}")
