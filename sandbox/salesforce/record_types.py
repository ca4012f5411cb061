"""The record types of contacts: one that the integration user may use, and one that is for others."""

from __future__ import annotations

from typing import Any

from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.ids import record_id

MASTER = "012000000000000AAA"
RECORD_TYPES = {
    record_id("RecordType", number): name for number, name in enumerate(("Business", "Partner"), start=1)
}
DEFAULT, OTHERS = RECORD_TYPES


def check_record_type(id18: str | None) -> None:
    """Raise unless a contact may be given the record type; a blank one is the master."""
    if id18 in (None, DEFAULT):
        return
    message = f"Record Type ID: this ID value isn't valid for the user: {id18}"
    raise ApiError("INVALID_CROSS_REFERENCE_KEY", message, fields=["RecordTypeId"])


def record_type_infos(sobject: str, describe_url: str) -> list[dict[str, Any]]:
    """The entry of a describe answer."""
    master = _info(describe_url, MASTER, "Master", available=True, default=sobject != "Contact")
    if sobject != "Contact":
        return [master]
    own = [
        _info(describe_url, id18, name, available=id18 == DEFAULT, default=id18 == DEFAULT)
        for id18, name in RECORD_TYPES.items()
    ]
    return [*own, master]


def _info(describe_url: str, id18: str, name: str, *, available: bool, default: bool) -> dict[str, Any]:
    return {
        "active": True,
        "available": available,
        "defaultRecordTypeMapping": default,
        "developerName": name,
        "master": id18 == MASTER,
        "name": name,
        "recordTypeId": id18,
        "urls": {"layout": f"{describe_url}/layouts/{id18}"},
    }
