"""Creating, changing, deleting and merging records, with the stamps and derived fields that follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from sandbox.clock import Clock
from sandbox.salesforce import moments
from sandbox.salesforce.duplicates import refuse_duplicate
from sandbox.salesforce.errors import ApiError, entity_is_deleted
from sandbox.salesforce.ids import canonical, record_id, sobject_of
from sandbox.salesforce.objects import FIELDS
from sandbox.salesforce.record_types import DEFAULT, check_record_type
from sandbox.salesforce.schema import WRITABLE, Schema
from sandbox.salesforce.store import Row, Store, Taken, blank_row
from sandbox.salesforce.validation import validated, validation_rules

INTEGRATION_USER = record_id("User", 1)
SALES_USER = record_id("User", 2)
FORMER_USER = record_id("User", 3)
CLOSED = frozenset({"Completed"})
ARCHIVE_AFTER = timedelta(days=365)


class Records:
    """Every change to the org's records. `user` is the id of who makes it."""

    def __init__(self, store: Store, schema: Schema, clock: Clock, settings: dict[str, Any]) -> None:
        self.store, self.schema, self.clock, self._settings = store, schema, clock, settings

    def insert(
        self,
        sobject: str,
        body: Mapping[str, Any],
        *,
        user: str = INTEGRATION_USER,
        save_duplicates: bool = False,
    ) -> str:
        """Create a record and give its id. `save_duplicates` passes duplicate rules that only alert."""
        self._refuse_object(sobject, "inserted")
        values = validated(self.schema, sobject, body, creating=True)
        self._check_references(sobject, values)
        now = self.stamp()
        row = blank_row(sobject) | {"Id": "", "OwnerId": user, "CreatedDate": now, "CreatedById": user}
        row |= {"RecordTypeId": DEFAULT} if sobject == "Contact" else {}
        row |= {name: value for name, value in values.items() if value is not None}
        if sobject == "Contact":
            refuse_duplicate(self.store, row, self._settings["duplicate_rule"], allow_save=save_duplicates)
        validation_rules(sobject, row, self._settings["validation_rules"])
        self._lock(row.get("WhoId"), user)
        row["Id"] = self.store.new_id(sobject)
        self._save(sobject, row, user, now)
        return str(row["Id"])

    def update(
        self, sobject: str, id18: str, body: Mapping[str, Any], *, user: str = INTEGRATION_USER
    ) -> None:
        """Change a live record; its stamps move even when no value does."""
        self._refuse_object(sobject, "updated")
        values = validated(self.schema, sobject, body, creating=False)
        self._check_references(sobject, values)
        row = {**self.live(sobject, id18), **values}
        validation_rules(sobject, row, self._settings["validation_rules"])
        self._lock(id18, user)
        self._save(sobject, row, user, self.stamp())

    def delete(
        self, sobject: str, id18: str, *, user: str = INTEGRATION_USER, master: str | None = None
    ) -> None:
        """Move a record to the recycle bin; a contact's tasks go with it, or to the `master` of a merge."""
        self._refuse_object(sobject, "deleted")
        row, now = self.live(sobject, id18), self.stamp()
        gone = (
            {"IsDeleted": True, "MasterRecordId": master} if "MasterRecordId" in row else {"IsDeleted": True}
        )
        self._stamped(sobject, {**row, **gone}, user, now)
        if sobject == "Contact":
            for task in [
                task
                for task in self.store.tables["Task"].values()
                if task["WhoId"] == id18 and not task["IsDeleted"]
            ]:
                self._stamped(
                    "Task", {**task, **({"WhoId": master} if master else {"IsDeleted": True})}, user, now
                )

    def touch(self, sobject: str, ids: Iterable[str], *, user: str = SALES_USER) -> None:
        """Move stamps without changing a value, all to one second, as automations of the org do."""
        now = self.stamp()
        for row in [self.live(sobject, id18) for id18 in ids]:
            self._stamped(sobject, dict(row), user, now)

    def merge(self, winner: str, loser: str, *, user: str = SALES_USER) -> None:
        """Merge two contacts as the web pages do: the winner keeps its values and moves its stamps."""
        row = self.live("Contact", winner)
        self.delete("Contact", loser, user=user, master=winner)
        self._save("Contact", dict(row), user, self.stamp())

    def live(self, sobject: str, id18: str) -> Row:
        """A record that is not deleted, or the vendor's refusal."""
        row = self.store.get(sobject, id18)
        if row is None:
            raise ApiError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", status=404, fields=[])
        if row["IsDeleted"]:
            raise entity_is_deleted()
        return row

    def stamp(self) -> str:
        """Now, as the vendor's clock has it, in whole seconds."""
        return moments.written(self.clock.now())

    def time_zone(self) -> str:
        """The org's, by its name."""
        (org,) = self.store.tables["Organization"].values()
        return str(org["TimeZoneSidKey"])

    def archive(self) -> None:
        """Archive closed tasks that are at least a year old, as a real org does in the background."""
        limit = (self.clock.now() - ARCHIVE_AFTER).date().isoformat()
        tasks = self.store.tables["Task"]
        old = [
            row
            for row in tasks.values()
            if row["IsClosed"] and not row["IsArchived"] and _done_on(row) <= limit
        ]
        for row in old:
            self.store.put("Task", {**row, "IsArchived": True})

    def save_seed(self, sobject: str, row: Row, user: str, moment: str) -> None:
        """Store a complete row with a given stamp, for the records an org starts with."""
        self.store.put(
            sobject,
            _derived(
                sobject,
                row | {"LastModifiedDate": moment, "LastModifiedById": user, "SystemModstamp": moment},
            ),
        )

    def _save(self, sobject: str, row: Row, user: str, now: str) -> None:
        if sobject == "Task":
            self._complete_task(row, now)
        self._stamped(sobject, _derived(sobject, row), user, now)
        if sobject == "Task" and row["IsClosed"]:
            self._touch_contact(row, user, now)

    def _stamped(self, sobject: str, row: Row, user: str, now: str) -> None:
        try:
            self.store.put(
                sobject, {**row, "LastModifiedDate": now, "LastModifiedById": user, "SystemModstamp": now}
            )
        except Taken as taken:
            holder = f"{taken.field.name} duplicates value on record with id: {taken.record_id[:15]}"
            message = f"duplicate value found: {holder}"
            raise ApiError("DUPLICATE_VALUE", message, fields=[]) from taken

    def _complete_task(self, row: Row, now: str) -> None:
        row["IsClosed"], row["IsHighPriority"] = row["Status"] in CLOSED, row["Priority"] == "High"
        row["CompletedDateTime"] = (row["CompletedDateTime"] or now) if row["IsClosed"] else None
        who = self.store.get(sobject_of(row["WhoId"]) or "", row["WhoId"]) if row["WhoId"] else None
        row["AccountId"] = row["WhatId"] or (who or {}).get("AccountId")
        if row["WhatId"] and row["WhoId"] and sobject_of(row["WhoId"]) == "Lead":
            message = "Related To ID: WhatId must be empty when WhoId is a lead"
            raise ApiError("FIELD_INTEGRITY_EXCEPTION", message, fields=["WhatId"])

    def _tasks_of(self, contact_id: str) -> list[Row]:
        tasks = self.store.tables["Task"].values()
        return [task for task in tasks if task["WhoId"] == contact_id and not task["IsDeleted"]]

    def _touch_contact(self, task: Row, user: str, now: str) -> None:
        """A closed task moves its contact's last activity; its stamp only where the org is set to do so."""
        contact = self.store.get("Contact", task["WhoId"]) if task["WhoId"] else None
        if contact is None or contact["IsDeleted"]:
            return
        latest = max(filter(None, (contact["LastActivityDate"], _done_on(task))))
        moved = {**contact, "LastActivityDate": latest}
        if self._settings["activity_bumps_contact"]:
            self._stamped("Contact", moved, user, now)
        else:
            self.store.put("Contact", moved)

    def _check_references(self, sobject: str, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            field = FIELDS[sobject][name.lower()]
            if field.type != "reference" or value is None:
                continue
            if name == "RecordTypeId":
                check_record_type(value)
            target = self.store.get(sobject_of(value) or "", value) if canonical(value) else None
            if target is None:
                raise ApiError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", fields=[])
            if target["IsDeleted"]:
                raise entity_is_deleted(400)
            if name == "OwnerId" and not target["IsActive"]:
                message = f"operation performed with inactive user [{value}] as owner of {sobject.lower()}"
                raise ApiError("INACTIVE_OWNER_OR_USER", message, fields=[])

    def _lock(self, id18: str | None, user: str) -> None:
        """The row to write, or the contact of a new task, is held by another process as often as the org is told."""
        if user != INTEGRATION_USER or not self._settings["locked_rows"]:
            return
        self._settings["locked_rows"] = max(-1, self._settings["locked_rows"] - 1)
        message = f"unable to obtain exclusive access to this record or 1 records: {id18 or ''}".rstrip(": ")
        raise ApiError("UNABLE_TO_LOCK_ROW", message, fields=[])

    def _refuse_object(self, sobject: str, verb: str) -> None:
        if not self.schema.visible(sobject):
            raise ApiError("INVALID_TYPE", f"sObject type '{sobject}' is not supported.")
        if sobject not in WRITABLE:
            message = f"entity type cannot be {verb}: {sobject}"
            raise ApiError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message, fields=[])


def _done_on(task: Row) -> str:
    return str(task["ActivityDate"] or task["CompletedDateTime"][:10])


def _derived(sobject: str, row: Row) -> Row:
    """The row with its computed fields: names, compound addresses, the score formula."""
    if sobject in ("Contact", "Lead", "User"):
        row["Name"] = " ".join(filter(None, (row["FirstName"], row["LastName"])))
    for field in FIELDS[sobject].values():
        if field.type == "address":
            row[field.name] = _address(row, field.name.removesuffix("Address"))
    if sobject == "Contact":
        row["Score__c"] = round(
            (50.0 if row["VIP__c"] else 0.0) + min(50.0, (row["Lifetime_Value__c"] or 0.0) / 1000), 2
        )
    return row


def _address(row: Row, prefix: str) -> dict[str, Any] | None:
    parts = ("Street", "City", "State", "PostalCode", "Country", "Latitude", "Longitude", "GeocodeAccuracy")
    address = {part[0].lower() + part[1:]: row[prefix + part] for part in parts}
    return address if any(value is not None for value in address.values()) else None
