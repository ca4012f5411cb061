"""The org's own users at their desks: what the sandbox's control API and page read and edit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.objects import FIELDS
from sandbox.salesforce.records import SALES_USER, Records
from sandbox.salesforce.store import Row


class Desk:
    """Contacts and activities with native names and values, edited as a salesperson would."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def contacts(self) -> list[dict[str, Any]]:
        """Every contact, deleted ones included, with native names and values."""
        return [_contact(row) for row in self._records.store.tables["Contact"].values()]

    def contact(self, contact_id: str) -> dict[str, Any] | None:
        """One contact, or None."""
        row = self._records.store.get("Contact", contact_id)
        return row and _contact(row)

    def edit_contact(self, contact_id: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Change a contact as a salesperson would; KeyError if unknown, ValueError if refused."""
        id18 = self._known(contact_id, fields)
        with _refusals():
            self._records.update("Contact", id18, self._as_typed(fields), user=SALES_USER)
        return _contact(self._records.live("Contact", id18))

    def create_contact(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Create a contact as a salesperson would; errors as in edit_contact."""
        self._known(None, fields)
        with _refusals():
            typed = self._as_typed(fields)
            id18 = self._records.insert("Contact", typed, user=SALES_USER, save_duplicates=True)
        return _contact(self._records.live("Contact", id18))

    def delete_contact(self, contact_id: str) -> None:
        """Move a contact to the recycle bin; KeyError when it is not there."""
        self._records.delete("Contact", self._known(contact_id, {}), user=SALES_USER)

    def merge_contacts(self, winner_id: str, loser_id: str) -> dict[str, Any]:
        """Merge the loser into the winner; gives the winner. KeyError when either is not there."""
        if winner_id == loser_id:
            raise ValueError("A contact cannot be merged into itself.")
        self._records.merge(self._known(winner_id, {}), self._known(loser_id, {}))
        return _contact(self._records.store.tables["Contact"][winner_id])

    def bump(self, ids: Iterable[str]) -> None:
        """Move modified stamps, all to one second, without changing a value; KeyError when one is not there."""
        self._records.touch("Contact", [self._known(one, {}) for one in ids])

    def archive_tasks(self) -> None:
        """Archive closed tasks of a year ago and older, as the org does in the background."""
        self._records.archive()

    def knows_field(self, name: str) -> bool:
        """Whether `Phone` (of any object) or `Contact.Phone` is a field of the org, visible or not."""
        owner, _, field = name.lower().rpartition(".")
        return any(field in fields and owner in ("", known.lower()) for known, fields in FIELDS.items())

    def activities(self, contact_id: str | None = None) -> list[dict[str, Any]]:
        """The tasks of one contact or of all, deleted ones included."""
        tasks = self._records.store.tables["Task"].values()
        return [_activity(row) for row in tasks if contact_id is None or row["WhoId"] == contact_id]

    def _as_typed(self, fields: dict[str, Any]) -> dict[str, Any]:
        """As a browser sends it: lines of a text area end with two characters."""
        areas = {name for name in fields if FIELDS["Contact"][name.lower()].type == "textarea"}
        return {
            name: re.sub(r"\r?\n", "\r\n", value) if name in areas and isinstance(value, str) else value
            for name, value in fields.items()
        }

    def _known(self, id18: str | None, fields: dict[str, Any]) -> str:
        row = self._records.store.get("Contact", id18) if id18 else None
        if id18 and (row is None or row["IsDeleted"]):
            raise KeyError(id18)
        unknown = [name for name in fields if self._records.schema.field("Contact", name) is None]
        if unknown:
            raise KeyError(unknown[0])
        return id18 or ""


@contextmanager
def _refusals() -> Iterator[None]:
    """What the API would refuse, the org's own pages refuse too; here it is a ValueError."""
    try:
        yield
    except ApiError as error:
        raise ValueError(error.message) from error


def _contact(row: Row) -> dict[str, Any]:
    fields = {name: value for name, value in row.items() if name != "Id"}
    return {"id": row["Id"], "fields": fields, "modified": row["SystemModstamp"], "deleted": row["IsDeleted"]}


def _activity(row: Row) -> dict[str, Any]:
    whose = [row["WhoId"]] if row["WhoId"] else []
    return {
        "id": row["Id"],
        "kind": "task",
        "contact_ids": whose,
        "fields": dict(row),
        "created": row["CreatedDate"],
        "deleted": row["IsDeleted"],
    }
