"""One HubSpot account: settings, owners, tables, links, and the stamp of the present request."""

from __future__ import annotations

from typing import Any

from sandbox.clock import Clock
from sandbox.hubspot import catalogue
from sandbox.hubspot.associations import Links
from sandbox.hubspot.errors import invalid
from sandbox.hubspot.limits import Limits
from sandbox.hubspot.phones import international, national
from sandbox.hubspot.records import Record, Table
from sandbox.hubspot.stamps import iso, milliseconds
from sandbox.seed import Person

PORTAL_ID = 48_123_456
TOKEN = "pat-sandbox-token"  # noqa: S105 - the sandbox's fixed credential, worth nothing elsewhere
SCOPES = (
    "oauth", "crm.objects.contacts.read", "crm.objects.contacts.write", "crm.objects.owners.read",
    "crm.schemas.contacts.read", "crm.schemas.contacts.write",
)  # fmt: skip
ALIASES = {"0-1": "contacts", "0-48": "calls", "0-18": "communications", "0-46": "notes", "0-27": "tasks"}
OWNERS = {
    "71000001": ("Grace", "Hopper", "grace@example.com"),
    "71000002": ("Alan", "Turing", "alan@example.com"),
}


def default_settings() -> dict[str, Any]:
    """Switchable behaviour. Seconds, counts and flags; the control API edits it in place."""
    return {
        "token": TOKEN,
        "token_expired": False,
        "scopes": list(SCOPES),
        "search_lag_seconds": 0,
        "activity_bumps_contact": True,
        "merge_makes_new_id": True,
        "merges_tell_ids": True,  # the outcome of a merge lists the ids that it absorbed
        "custom_channel": True,
        "contact_needs_name_or_email": True,
        "required_contact_properties": [],  # enforced by 2026-09 only, as HubSpot does
        # also refuse bodies without fields that only the OpenAPI document requires
        "require_spec_fields": False,
        # contact properties that an administrator took out of use, or that only HubSpot may write
        "hidden_properties": [],
        "readonly_properties": [],
        "validation_rules": {},  # contact property → a regular expression that what is written must match
        # HubSpot promises no order of batch results; "input" keeps that of the request
        "batch_order": "reversed",
        # where each traced input of a batch stands for itself, instead of one bad input failing all of them
        "traced_batches": ["create", "upsert"],
        "trace_results": True,  # results repeat the trace id of their input
        "silent_updates": False,  # ids that do not exist are left out of an update's answer without a word
        "enforce_limits": False,
        "ten_second_limit": 190,
        "search_limit": 5,
        "daily_limit": 650_000,
        "daily_headers": True,
        "retry_after": 0,  # seconds told with a 429; 0 leaves the header out, as HubSpot often does
        "longest_url": 16_000,
    }


class Portal:
    """The state of the account. `now` is set once per request, so all that it writes has one stamp."""

    def __init__(self, clock: Clock, people: list[Person]) -> None:
        self.clock = clock
        self.settings = default_settings()
        self.limits = Limits(self.settings)
        self.owners = OWNERS
        self.links = Links()
        self.tables = {
            "contacts": Table("contacts", "0-1", catalogue.contacts(), 9_951, derived),
            "calls": Table("calls", "0-48", catalogue.calls(), 61_000_000_001),
            "communications": Table("communications", "0-18", catalogue.communications(), 62_000_000_001),
            "notes": Table("notes", "0-46", catalogue.notes(), 63_000_000_001),
            "tasks": Table("tasks", "0-27", catalogue.tasks(), 64_000_000_001),
        }
        self.now = 0
        for person in people:
            self.contacts.insert(seeded(person), milliseconds(person.modified))
        self.tick()

    @property
    def contacts(self) -> Table:
        """The contact table."""
        return self.tables["contacts"]

    def tick(self) -> None:
        """Take a new stamp from the clock."""
        self.now = milliseconds(self.clock.now())
        lagging = bool(self.settings["search_lag_seconds"])
        for table in self.tables.values():
            table.keep_versions = lagging
        hidden, fixed = self.settings["hidden_properties"], self.settings["readonly_properties"]
        self.contacts.schema.restrict(hidden, fixed)

    def table(self, kind: str) -> Table:
        """The table of an object type, by plural, singular or type id."""
        name = ALIASES.get(kind, kind)
        found = self.tables.get(name) or self.tables.get(f"{name}s")
        if found is None:
            raise invalid(f"Unable to infer object type from: {kind}")
        return found

    def link(self, table: Table, record: Record, to: Table, other: Record) -> None:
        """Associate two records; an activity moves its contact's stamp unless that is switched off."""
        fresh = self.links.add(table.kind, record.id, to.kind, other.id)
        for one, against in ((record, to), (other, table)):
            if fresh and one.kind == "contacts" and not against.is_contact:
                self._log(one)

    def _log(self, contact: Record) -> None:
        if self.settings["activity_bumps_contact"]:
            self.contacts.touch(contact, self.now)
            contact.properties["notes_last_updated"] = iso(self.now)
            contact.properties["num_notes"] = str(int(contact.properties.get("num_notes", "0")) + 1)

    def merge(self, primary: Record, loser: Record) -> Record:
        """Merge two contacts: the primary's values win; the outcome has a new id that both old ids mean."""
        values = {**loser.properties, **primary.properties}
        merged_ids = [*_split(primary, "hs_merged_object_ids"), *_split(loser, "hs_merged_object_ids")]
        vids = [*_split(primary, "hs_calculated_merged_vids"), *_split(loser, "hs_calculated_merged_vids")]
        gone = [primary, loser] if self.settings["merge_makes_new_id"] else [loser]
        winner = self.contacts.insert({}, self.now) if len(gone) == 2 else primary
        kept = winner.properties | {} if winner is not primary else {}
        winner.properties = values | {key: kept[key] for key in self.contacts.basics if key in kept}
        winner.created = min(primary.created, loser.created)
        for one in gone:
            self.contacts.absorb(one, winner)
            self.links.move("contacts", one.id, winner.id)
        merged_ids += [str(one.id) for one in gone]
        vids += [f"{one.id}:{self.now}" for one in gone]
        winner.properties["createdate"] = iso(winner.created)
        if self.settings["merges_tell_ids"]:
            told = {"hs_merged_object_ids": ";".join(merged_ids), "hs_calculated_merged_vids": ";".join(vids)}
            winner.properties |= told
        emails = [one.properties["email"] for one in (primary, loser) if "email" in one.properties]
        if len(emails) == 2:
            winner.properties["hs_additional_emails"] = emails[1]
        self.contacts.refresh(winner)
        self.contacts.touch(winner, self.now)
        return winner


def _split(record: Record, name: str) -> list[str]:
    return [part for part in record.properties.get(name, "").split(";") if part]


def derived(record: Record) -> dict[str, str | None]:
    """The contact properties that HubSpot computes; None where there is nothing to compute from."""
    values = record.properties
    phone, mobile, worth = values.get("phone"), values.get("mobilephone"), values.get("lifetime_value")
    abroad, abroad_mobile = international(phone or ""), international(mobile or "")
    name = " ".join(values[part] for part in ("firstname", "lastname") if part in values)
    merged = _split(record, "hs_merged_object_ids")
    return {
        "hs_calculated_phone_number": abroad,
        "hs_calculated_mobile_number": abroad_mobile,
        "hs_searchable_calculated_phone_number": national(phone or "") or None,
        "hs_searchable_calculated_mobile_number": national(mobile or "") or None,
        "hs_searchable_calculated_international_phone_number": abroad and abroad[1:],
        "hs_searchable_calculated_international_mobile_number": abroad_mobile and abroad_mobile[1:],
        "hs_full_name_or_email": name or values.get("email"),
        "hs_email_domain": values["email"].partition("@")[2] if "email" in values else None,
        "hs_all_contact_vids": ";".join([str(record.id), *merged]),
        "hs_is_contact": "true",
        "score": None if worth is None else f"{float(worth) / 1000:g}",
    }


def seeded(person: Person) -> dict[str, str]:
    """The property values of one seed person, blanks left out."""
    vip = None if person.vip is None else str(person.vip).lower()
    values = {
        "firstname": person.first_name,
        "lastname": person.last_name,
        "phone": person.phone,
        "email": person.email,
        "do_not_call": "true" if person.do_not_call else None,
        "plan": person.plan and person.plan.lower(),
        "lifetime_value": None
        if person.lifetime_value is None
        else f"{person.lifetime_value:g}"
        if person.lifetime_value == int(person.lifetime_value)
        else repr(person.lifetime_value),
        "renewal_date": person.renewal_date and person.renewal_date.isoformat(),
        "last_visit": person.last_visit and iso(milliseconds(person.last_visit)),
        "vip": vip,
        "notes_summary": person.notes,
        "lifecyclestage": "lead",
        "hs_object_source": "IMPORT",
        "hs_object_source_label": "IMPORT",
    }
    return {name: value for name, value in values.items() if value}
