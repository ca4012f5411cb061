"""The org as it starts: its users, one account, and the people of the seed as contacts."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.clock import Clock
from sandbox.salesforce import moments
from sandbox.salesforce.auth import USERNAME
from sandbox.salesforce.ids import record_id
from sandbox.salesforce.record_types import DEFAULT, RECORD_TYPES
from sandbox.salesforce.records import FORMER_USER, INTEGRATION_USER, SALES_USER, Records
from sandbox.salesforce.store import blank_row
from sandbox.seed import Person

ORG = record_id("Organization", 1)
ACCOUNT = record_id("Account", 1)
FOUNDED = "2025-06-02T09:00:00.000+0000"
INTERESTS = (None, "Sailing", None, "Chess; gardening", None)
TITLES = ("Engineer", None, "Buyer", "Head of Operations", None)
STATUSES = ("Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred")


def seed(records: Records, people: list[Person], clock: Clock) -> None:
    """Fill an empty org; contacts keep the people's order and carry their modified moments."""
    stamps = {"CreatedDate": FOUNDED, "CreatedById": SALES_USER}
    _add(
        records,
        "Organization",
        {
            "Id": ORG,
            "Name": "Sandbox",
            "OrganizationType": "Enterprise Edition",
            "InstanceName": "SBX1",
            **stamps,
        },
    )
    for id18, first, last, username in (
        (INTEGRATION_USER, "Integration", "User", USERNAME),
        (SALES_USER, "Sam", "Seller", "sam@sandbox.example.com"),
        (FORMER_USER, "Fay", "Former", "fay@sandbox.example.com"),
    ):
        user = {
            "FirstName": first,
            "LastName": last,
            "Username": username,
            "Email": username,
            "IsActive": id18 != FORMER_USER,
            "UserType": "Standard",
        }
        _add(records, "User", {"Id": id18, **user, **stamps})
    for order, status in enumerate(STATUSES):
        label = {
            "MasterLabel": status,
            "ApiName": status,
            "SortOrder": order + 1,
            "IsDefault": order == 0,
            "IsClosed": status == "Completed",
        }
        _add(records, "TaskStatus", {"Id": record_id("TaskStatus", order + 1), **label, **stamps})
    for id18, name in RECORD_TYPES.items():
        kind = {"Name": name, "DeveloperName": name, "SobjectType": "Contact", "IsActive": True}
        _add(records, "RecordType", {"Id": id18, **kind, **stamps})
    _add(records, "Account", {"Id": ACCOUNT, "Name": "Acme", "OwnerId": SALES_USER, **stamps})
    now = moments.written(clock.now())
    for person in people:
        _add_contact(records, person, now)


def _add(records: Records, sobject: str, values: Mapping[str, object], moment: str = FOUNDED) -> None:
    records.save_seed(sobject, {**blank_row(sobject), **values}, SALES_USER, moment)


def _add_contact(records: Records, person: Person, now: str) -> None:
    moment = min(moments.written(person.modified), now)
    visited, renewed = person.last_visit, person.renewal_date
    values = {
        "Id": records.store.new_id("Contact"),
        "AccountId": ACCOUNT,
        "OwnerId": SALES_USER,
        "RecordTypeId": DEFAULT,
        "FirstName": person.first_name,
        "LastName": person.last_name,
        "Phone": (person.phone or "").strip() or None,
        "Email": person.email,
        "DoNotCall": person.do_not_call,
        "Title": TITLES[person.index % len(TITLES)],
        "Plan__c": person.plan,
        "Lifetime_Value__c": person.lifetime_value,
        "Renewal_Date__c": renewed.isoformat() if renewed else None,
        "Last_Visit__c": moments.written(visited) if visited else None,
        "VIP__c": bool(person.vip),
        "Notes__c": person.notes,
        "Interests__c": INTERESTS[person.index % len(INTERESTS)],
        "CreatedDate": min(FOUNDED, moment),
        "CreatedById": SALES_USER,
    }
    _add(records, "Contact", values, moment)
