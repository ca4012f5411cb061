"""The org's duplicate rules for contacts: off, ones that only alert, or ones that block.

As in a new org there are two: one compares with contacts, the other with leads.
"""

from __future__ import annotations

import re
from typing import Any

from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.store import Row, Store

MESSAGES = {
    "alert": "You're creating a duplicate record. We recommend you use an existing record instead.",
    "block": "Use one of these records?",
}
RULES = {
    "Contact": ("Standard_Contact_Duplicate_Rule", "Standard_Contact_Match_Rule_v1_1"),
    "Lead": ("Standard_Rule_for_Contacts_with_Duplicate_Leads", "Standard_Lead_Match_Rule_v1_0"),
}


def refuse_duplicate(store: Store, row: Row, rule: str, *, allow_save: bool) -> None:
    """Raise DUPLICATES_DETECTED when a live contact or lead matches and the rule forbids it.

    `rule` is "off", "alert" or "block"; `allow_save` (the duplicate rule header) passes alerts, never blocks.
    """
    if rule == "off" or (rule == "alert" and allow_save):
        return
    for kind in RULES:
        matches = [
            other for other in store.tables[kind].values() if not other["IsDeleted"] and _same(row, other)
        ]
        if matches:
            result = _result(kind, matches, rule)
            raise ApiError("DUPLICATES_DETECTED", MESSAGES[rule], fields=None, duplicates=result)


def _same(one: Row, other: Row) -> bool:
    if one["Email"] and other["Email"] and one["Email"].lower() == other["Email"].lower():
        return True
    return bool(_digits(one)) and _digits(one) == _digits(other)


def _digits(row: Row) -> str:
    digits = re.sub(r"\D", "", row["Phone"] or row["MobilePhone"] or "")
    return digits[-10:] if len(digits) >= 10 else ""


def _result(kind: str, matches: list[Row], rule: str) -> dict[str, Any]:
    records = [
        {
            "additionalInformation": [],
            "fieldDiffs": [],
            "matchConfidence": 100.0,
            "record": {
                "attributes": {
                    "type": kind,
                    "url": f"/services/data/v62.0/sobjects/{kind}/{row['Id']}",
                },
                "Id": row["Id"],
            },
        }
        for row in matches[:100]
    ]
    match = {
        "entityType": kind,
        "errors": [],
        "matchEngine": "FuzzyMatchEngine",
        "matchRecords": records,
        "rule": RULES[kind][1],
        "size": len(records),
        "success": True,
    }
    return {
        "allowSave": rule == "alert",
        "duplicateRule": RULES[kind][0],
        "duplicateRuleEntityType": "Contact",
        "errorMessage": MESSAGES[rule],
        "matchResults": [match],
    }
