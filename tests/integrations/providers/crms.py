"""The three CRMs of the contract suite behind one bench: what their users do, and what goes wrong, in common words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from integrations.providers.base import Provider
from integrations.providers.errors import AuthError, RateLimited, Transient
from integrations.providers.hubspot import HubSpotProvider
from integrations.providers.salesforce import SalesforceProvider
from integrations.providers.setup import Setup
from sandbox.client import Control
from tests.fakes.crm import FakeCrm
from tests.fakes.provider import FakeProvider, lost_answer

# Common word → field name. `plan` is an option list, `score` computed, `phone` and `mobile` phone numbers.
WORDS = (
    "first", "last", "phone", "mobile", "plan", "value", "renewal", "visited", "vip", "notes", "dnc", "score",
)  # fmt: skip
SALESFORCE_NAMES = (
    "FirstName", "LastName", "Phone", "MobilePhone", "Plan__c", "Lifetime_Value__c", "Renewal_Date__c",
    "Last_Visit__c", "VIP__c", "Notes__c", "DoNotCall", "Score__c",
)  # fmt: skip
HUBSPOT_NAMES = (
    "firstname", "lastname", "phone", "mobilephone", "plan", "lifetime_value", "renewal_date",
    "last_visit", "vip", "notes_summary", "do_not_call", "score",
)  # fmt: skip
FAKE_NAMES = (
    "first_name", "last_name", "phone", "mobile", "plan", "value", "renewal",
    "visited", "vip", "notes", "do_not_call", "score",
)  # fmt: skip


class Crm(Protocol):
    """One CRM as its users and its accidents see it."""

    names: Mapping[str, str]
    pro: str
    batch: int
    several_pages: int

    def provider(self, **options: str) -> Provider: ...
    def stranger(self) -> Provider: ...
    def add(self, **values: Any) -> str: ...
    def edit(self, external_id: str, **values: Any) -> None: ...
    def delete(self, external_id: str) -> None: ...
    def merge(self, winner: str, loser: str) -> None: ...
    def restock(self, count: int) -> None: ...
    def pass_time(self) -> None: ...
    def field(self, external_id: str, word: str) -> Any: ...
    def contacts(self) -> int: ...
    def activities(self, contact_id: str) -> list[dict[str, Any]]: ...
    def lose_answer(self, what: str) -> None: ...
    def refuse(self, what: str, why: str, *, skip: int = 0) -> None: ...
    def writes(self) -> int: ...


class FakeBench:
    """The CRM in memory."""

    names: Mapping[str, str] = dict(zip(WORDS, FAKE_NAMES, strict=True))
    pro, batch, several_pages = "Pro", 2, 8

    def __init__(self) -> None:
        self.crm = FakeCrm()
        self.restock(6)

    def provider(self, **_options: str) -> Provider:
        return FakeProvider(self.crm)

    def stranger(self) -> Provider:
        self.crm.fail("check", AuthError("The credentials are refused."), times=9)
        return FakeProvider(self.crm)

    def add(self, **values: Any) -> str:
        return self.crm.add(**self._named(values))

    def edit(self, external_id: str, **values: Any) -> None:
        self.crm.edit(external_id, **self._named(values))

    def delete(self, external_id: str) -> None:
        self.crm.delete(external_id)

    def merge(self, winner: str, loser: str) -> None:
        self.crm.merge(winner, loser)

    def restock(self, count: int) -> None:
        self.crm.records.clear()
        for place in range(count):
            self.crm.add(first_name="Ada", last_name="Lovelace", phone=f"(415) 555-{1000 + place}")
        self.crm.advance(hours=1)

    def pass_time(self) -> None:
        self.crm.advance(minutes=30)

    def field(self, external_id: str, word: str) -> Any:
        return self.crm.value(external_id, self.names[word])

    def contacts(self) -> int:
        return len(self.crm.live())

    def activities(self, contact_id: str) -> list[dict[str, Any]]:
        found = [one for one in self.crm.activities.values() if one.contact_id == contact_id]
        return [{"id": one.external_id, "text": f"{one.title} {one.marker} {one.body}"} for one in found]

    def lose_answer(self, what: str) -> None:
        self.crm.fail(what, lost_answer(), applied=True)

    def refuse(self, what: str, why: str, *, skip: int = 0) -> None:
        errors = {
            "daily": RateLimited("The day's calls are used up.", retry_after=3600, daily=True, status=429),
            "unavailable": Transient("The CRM is unavailable.", status=503),
        }
        self.crm.fail(what, errors[why], skip=skip)

    def writes(self) -> int:
        return sum(self.crm.count(name) for name in ("create", "update", "log_activities"))

    def _named(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {self.names[word]: value for word, value in values.items()}


class SandboxBench:
    """A stand-in CRM over real HTTP; subclasses name its fields, paths and credentials."""

    system: str
    names: Mapping[str, str]
    pro: str
    batch: int
    several_pages: int
    secrets: Mapping[str, str]
    paths: Mapping[str, str]
    kinds: Mapping[str, str]
    write_path: str

    def __init__(self, base_url: str, control: Control) -> None:
        self.control = control
        build = {"salesforce": SalesforceProvider, "hubspot": HubSpotProvider}[self.system]
        self._build: Any = build
        self.setup = Setup(tenant_url=base_url, secrets=self.secrets, allow_insecure=True, timeout=(2.0, 5.0))
        self._made: list[Provider] = []

    def provider(self, **options: str) -> Provider:
        return self.made(replace(self.setup, options={**self.setup.options, **options}))

    def made(self, setup: Setup) -> Provider:
        provider: Provider = self._build(setup)
        self._made.append(provider)
        return provider

    def stranger(self) -> Provider:
        return self.made(replace(self.setup, secrets=dict.fromkeys(self.secrets, "wrong")))

    def close(self) -> None:
        for provider in self._made:
            provider.close()

    def add(self, **values: Any) -> str:
        return str(self.control.create_contact(self.system, self._named(values))["id"])

    def edit(self, external_id: str, **values: Any) -> None:
        self.control.edit_contact(self.system, external_id, self._named(values))

    def delete(self, external_id: str) -> None:
        self.control.delete_contact(self.system, external_id)

    def merge(self, winner: str, loser: str) -> None:
        self.control.merge_contacts(self.system, winner, loser)

    def restock(self, count: int) -> None:
        self.control.reset(count)

    def pass_time(self) -> None:
        self.control.set_clock(self.system, self._offset() + 1800)

    def field(self, external_id: str, word: str) -> Any:
        fields = self.control.contact(self.system, external_id)["fields"]
        return fields.get(self.names[word])

    def contacts(self) -> int:
        return len(self.control.contacts(self.system))

    def activities(self, contact_id: str) -> list[dict[str, Any]]:
        found = self.control.activities(self.system, contact_id)
        return [{**one, "text": " ".join(str(value) for value in one["fields"].values())} for one in found]

    def lose_answer(self, what: str) -> None:
        self.control.add_fault(
            action="drop_after", system=self.system, path=self.paths[what], body=self._body(what)
        )

    def refuse(self, what: str, why: str, *, skip: int = 0) -> None:
        rule = {"system": self.system, "path": self.paths[what], "body": self._body(what), "skip": skip}
        self.control.add_fault(action="vendor", kind=self.kinds[why], **rule)

    def writes(self) -> int:
        found = self.control.requests(system=self.system, path=self.write_path)
        return sum(
            1 for one in found if one["method"] in ("POST", "PATCH") and "batch/read" not in one["path"]
        )

    def calls(self, *, since: int = 0) -> list[str]:
        """Method and path of the requests so far, logins apart."""
        found = self.control.requests(system=self.system, since=since)
        return [f"{one['method']} {one['path']}" for one in found if "oauth2" not in one["path"]]

    def _body(self, what: str) -> str | None:
        return None

    def _offset(self) -> float:
        return 0.0

    def _named(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {self.names[word]: value for word, value in values.items()}


class SalesforceBench(SandboxBench):
    """The stand-in Salesforce."""

    system = "salesforce"
    names = dict(zip(WORDS, SALESFORCE_NAMES, strict=True))
    pro, batch, several_pages = "Pro", 200, 2100
    secrets = {"client_id": "sandbox-key", "client_secret": "sandbox-secret"}
    paths = {
        "create": "composite/sobjects",
        "update": "composite/sobjects",
        "log_activities": "composite/sobjects",
        "changes": "queryAll",
    }
    kinds = {"daily": "daily_limit", "unavailable": "server_unavailable"}
    write_path = "composite/sobjects"


class HubSpotBench(SandboxBench):
    """The stand-in HubSpot, which also refuses bodies that its OpenAPI documents would refuse."""

    system = "hubspot"
    names = dict(zip(WORDS, HUBSPOT_NAMES, strict=True))
    pro, batch, several_pages = "pro", 100, 250
    secrets = {"access_token": "pat-sandbox-token"}
    paths = {
        "create": "contacts/batch/create",
        "update": "contacts/batch/update",
        "log_activities": "(calls|communications|notes)/batch/create",
        "changes": "contacts(/search)?$",
    }
    kinds = {"daily": "rate_limit_daily", "unavailable": "server_unavailable"}
    write_path = "batch/(create|update|upsert)"

    def __init__(self, base_url: str, control: Control) -> None:
        super().__init__(base_url, control)
        control.change_settings("hubspot", require_spec_fields=True)

    def restock(self, count: int) -> None:
        super().restock(count)
        self.control.change_settings("hubspot", require_spec_fields=True)

    def _named(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: "" if value is None else value for name, value in super()._named(values).items()}
