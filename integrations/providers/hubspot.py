"""HubSpot behind our contract, through hubspot-api-client: the only module that imports it.

Bulk answers are read as raw JSON (the SDK's models cost twenty times as much), API objects are held (each access
of the SDK makes a new connection pool), and its paths are rewritten to the dated API versions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from hubspot import HubSpot
from hubspot.crm.contacts import Configuration
from hubspot.crm.contacts.exceptions import OpenApiException
from hubspot.crm.contacts.rest import RESTClientObject
from urllib3.exceptions import HTTPError

from contacts.values import FieldType
from integrations.providers import hubspot_reading as reading
from integrations.providers import hubspot_writing as writing
from integrations.providers.base import (
    Account,
    Activity,
    ActivityKind,
    Creation,
    ExternalField,
    Outcome,
    Page,
    Permissions,
    Record,
    Update,
)
from integrations.providers.errors import (
    AuthError,
    ConfigError,
    NeedsAttention,
    ProviderError,
    RecordGone,
    Rejected,
    Transient,
)
from integrations.providers.hubspot_account import account_of, account_of_records
from integrations.providers.hubspot_activities import kind_of as object_of
from integrations.providers.hubspot_activities import properties_of
from integrations.providers.hubspot_address import portal_address
from integrations.providers.hubspot_changes import changed_pages
from integrations.providers.hubspot_day import to_midnight
from integrations.providers.hubspot_errors import error_of, unreadable
from integrations.providers.hubspot_options import hints_of
from integrations.providers.hubspot_permissions import permissions_of
from integrations.providers.hubspot_reading import BATCH, Answer
from integrations.providers.hubspot_schema import fields_of, unique_property
from integrations.providers.hubspot_session import (
    DEFAULT_VERSION,
    PatientRetry,
    kind_of,
    lost,
    versioned,
)
from integrations.providers.setup import Setup

RAW = {"_preload_content": False}
_LIMIT_HEADERS = {
    "total": "x-hubspot-ratelimit-daily",
    "left": "x-hubspot-ratelimit-daily-remaining",
    "burst": "x-hubspot-ratelimit-max",
}


class HubSpotProvider:
    """One HubSpot portal, by a service key or a private app's token. Its options stand in docs/providers.md."""

    name = "hubspot"
    list_above = 10_000

    def __init__(self, setup: Setup) -> None:
        self._portal = HubSpotPortal(setup)

    @property
    def calls(self) -> int:
        """How many requests were sent so far."""
        return self._portal.calls

    def permissions(self) -> Permissions:
        """The token's scopes, and which options will not work as meant."""
        scopes, options = self._portal.scopes(), self._portal.setup.options
        return permissions_of(scopes, options, hints_of(self._portal, options))

    def check(self) -> Account:
        """The portal's number and where its users work. Raises ConfigError for an API version that HubSpot does not have."""
        try:
            return account_of(self._portal.details())
        except RecordGone:
            if version := self._portal.setup.options.get("api_version"):
                words = f"HubSpot has no API version “{version[:20]}”. Correct the option api_version."
                raise ConfigError(words, status=404, field="api_version") from None
            raise
        except (AuthError, ConfigError):
            raise
        except NeedsAttention:
            # A key may read contacts and not the account: then their addresses tell whose they are.
            return account_of_records(self._portal.listing(["hs_object_id"], "", archived=False).results)

    def fields(self) -> list[ExternalField]:
        """The contact's properties, read afresh."""
        return self._portal.fields()

    def changes(self, cursor: str, fields: Sequence[str], *, full: bool = False) -> Iterator[Page]:
        """Contacts by search windows, or all of them by list and archived ones last."""
        return changed_pages(self._portal, cursor, fields, full=full, list_above=self.list_above)

    def read(self, external_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Record]:
        """Contacts by id, 100 a call."""
        return reading.records_by_id(self._portal, external_ids, fields)

    def find_by_phone(
        self, numbers: Sequence[str], fields: Sequence[str], phone_fields: Sequence[str]
    ) -> dict[str, list[Record]]:
        """Live contacts by E.164 number; the search index lags behind writes by moments."""
        return reading.records_by_phone(self._portal, numbers, fields, phone_fields)

    def create(self, creations: Sequence[Creation]) -> list[Outcome]:
        """New contacts, 100 a call."""
        return writing.create_contacts(self._portal, creations)

    def update(self, updates: Sequence[Update]) -> list[Outcome]:
        """Changed properties of contacts, 100 a call."""
        return writing.update_contacts(self._portal, updates)

    def log_activities(self, activities: Sequence[Activity]) -> list[Outcome]:
        """Calls, communications or notes, 100 a call."""
        return writing.log_activities(self._portal, activities)

    def activity_fields(self, activity: Activity) -> Mapping[str, Any]:
        """The properties of the call, communication or note."""
        options = self._portal.setup.options
        return properties_of(activity, object_of(activity, options), options)

    def find_activity(self, marker: str, contact_id: str, kind: ActivityKind) -> str | None:
        """The conversation's object, by the marker in its title or body."""
        return reading.activity_of(self._portal, marker, contact_id, kind)

    def web_url(self, external_id: str) -> str:
        """The contact's page; "" until `check()` has told where the portal is."""
        base = self._portal.setup.web_base
        return f"{base}/record/0-1/{external_id}" if base else ""

    def activity_url(self, external_id: str, kind: ActivityKind, contact_id: str) -> str:  # noqa: ARG002
        """The activity on the contact's timeline, or ""."""
        page = self.web_url(contact_id)
        return f"{page}/?engagement={external_id}" if page else ""

    def close(self) -> None:
        """Close the connections."""
        self._portal.close()


class HubSpotPortal:
    """The SDK with timeouts, safe retries, dated paths, raw JSON, and our errors instead of its own."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._token = setup.secrets.get("access_token", "")
        self._rest = _Rest(setup, portal_address(setup.tenant_url, allow_insecure=setup.allow_insecure))
        self._client = HubSpot(access_token=self._token, api_factory=self._build)
        self._apis: dict[str, Any] = {}
        self._known: dict[str, FieldType] = {}
        self._ensured: set[str] = set()

    def details(self) -> Mapping[str, Any]:
        """The account's details; the SDK has no method for them, so its generic call is used."""
        client = self._api("batch", "contacts").api_client
        path = "/account-info/v3/details"
        found = self._call(lambda: client.call_api(path, "GET", auth_settings=["oauth2"], **RAW)).document
        if "portalId" not in found:
            raise unreadable(self._rest.status, self._rest.headers)
        return found

    @property
    def calls(self) -> int:
        """How many requests were sent so far."""
        return self._rest.calls

    def scopes(self) -> frozenset[str] | None:
        """What the token may do; None where HubSpot does not tell of tokens of its kind."""
        client = self._api("batch", "contacts").api_client
        path, body = "/oauth/v2/private-apps/get/access-token-info", {"tokenKey": self._token}
        json_body = {"Accept": "application/json", "Content-Type": "application/json"}
        try:
            found = self._call(
                lambda: client.call_api(
                    path, "POST", body=body, header_params=dict(json_body), auth_settings=["oauth2"], **RAW
                )
            ).document
        except ProviderError as error:
            if isinstance(error, Transient | AuthError):
                raise
            return None
        return frozenset(str(one) for one in found.get("scopes") or ()) or None

    def choices(self, kind: str, name: str) -> frozenset[str]:
        """The values that a property of an object type may have."""
        answer = self._call(lambda: self._api("properties").get_by_name(kind, name, **RAW))
        return frozenset(str(one.get("value")) for one in answer.document.get("options") or ())

    def check_owner(self, owner_id: str) -> None:
        """Raise RecordGone where there is no such owner, NeedsAttention where the token may not see owners."""
        if not owner_id.isdecimal():
            raise RecordGone("Owners have numbers in HubSpot.")
        self._call(lambda: self._api("owners").get_by_id(int(owner_id), **RAW))

    def ensure_unique_property(self, name: str) -> None:
        """Make sure that contacts have this unique property, creating it once. Raises ConfigError if it is another kind."""
        if name in self._ensured:
            return
        known = {one.name: one for one in self.fields()}
        if name not in known:
            try:
                body = unique_property(name)
                self._call(lambda: self._api("properties").create("contacts", body, **RAW), "write")
            except Rejected as error:
                if error.status != 409:
                    raise
                known = {one.name: one for one in self.fields()}  # another process was faster
        if name in known and not known[name].unique:
            words = f"The HubSpot property {name} is not unique; name another in the option unique_key."
            raise ConfigError(words, field=name)
        self._ensured.add(name)

    def fields(self) -> list[ExternalField]:
        """The contact's properties."""
        answer = self._call(lambda: self._api("properties").get_all("contacts", archived="false", **RAW))
        fields = fields_of(answer.document)
        self._known = {one.name: one.type for one in fields}
        return fields

    def types(self, names: Sequence[str], *, live: bool = False) -> dict[str, FieldType]:
        """Types of properties, from the cached schema unless `live`. Raises ConfigError for one that is not there."""
        cached = self.setup.field_types
        if not live and not self._known and all(name in cached for name in names):
            return {name: cached[name] for name in names}
        if not self._known:
            self.fields()
        for name in names:
            if name not in self._known:
                words = f"HubSpot has no such property, or hides it from the token: {name}."
                raise ConfigError(words, code="PROPERTY_DOESNT_EXIST", field=name)
        return {name: self._known[name] for name in names}

    def listing(self, names: Sequence[str], after: str, *, archived: bool) -> Answer:
        """One page of 100 contacts."""
        more = {"after": after} if after else {}
        flag = "true" if archived else "false"  # the SDK would send True and False
        api = self._api("basic")
        return self._call(
            lambda: api.get_page(limit=BATCH, properties=list(names), archived=flag, **more, **RAW), "read"
        )

    def search(self, body: dict[str, Any]) -> Answer:
        """One page of a contact search."""
        return self._call(lambda: self._api("search").do_search(body, **RAW), "search")

    def batch(
        self, path: str, action: str, body: dict[str, Any], *, archived: bool = False, once: bool = False
    ) -> Answer:
        """A batch call (read, create, update, upsert); its 200, 201 and 207 answers look alike."""
        more: dict[str, Any] = {"archived": "true" if archived else "false"} if action == "read" else {}
        use = getattr(self._api("batch", path), action)
        return self._call(
            lambda: use(body, **more, **RAW), "read" if action == "read" else "write", once=once
        )

    def associations(self, contact_id: str, path: str, after: str) -> Answer:
        """One page of 500 of a contact's associated objects."""
        more = {"after": after} if after else {}
        api = self._api("associations")
        return self._call(
            lambda: api.get_page("contacts", contact_id, path, limit=500, **more, **RAW), "read"
        )

    def close(self) -> None:
        """Close the pooled connections."""
        self._rest.pool_manager.clear()

    def _api(self, name: str, path: str = "contacts") -> Any:
        """An API object of the SDK, made once."""
        key = f"{name}/{path}"
        if key not in self._apis:
            crm = self._client.crm
            made: dict[str, Callable[[], Any]] = {
                "properties": lambda: crm.properties.core_api,
                "associations": lambda: crm.associations.v4.basic_api,
                "owners": lambda: crm.owners.owners_api,
                "basic": lambda: crm.contacts.basic_api,
                "search": lambda: crm.contacts.search_api,
                "batch": lambda: (
                    (crm.contacts if path == "contacts" else getattr(crm.objects, path)).batch_api
                ),
            }
            self._apis[key] = made[name]()
        return self._apis[key]

    def _build(self, package: Any, api_name: str, _config: Mapping[str, Any]) -> Any:
        """The SDK's hook for making an API object: all share one connection pool, which has our timeouts."""
        configuration = package.Configuration()
        configuration.host, configuration.access_token = self._rest.base, self._token
        client = package.ApiClient(configuration=configuration)
        client.rest_client = self._rest
        return getattr(package, api_name)(api_client=client)

    def _call(self, use: Callable[[], Any], pace: str = "read", *, once: bool = False) -> Answer:
        if not self._token:
            raise AuthError("The access token is missing.")
        self.setup.pace(pace)
        try:
            document = json.loads(use().data)
        except OpenApiException as error:
            status, body = getattr(error, "status", None), getattr(error, "body", None)
            headers = getattr(error, "headers", None)
            raise error_of(status, body, headers, once=once, day_left=self._day_left()) from None
        except HTTPError as error:
            raise lost(error, once=once) from None
        except ValueError:
            document = None
        if not isinstance(document, Mapping):
            status, headers = self._rest.status, self._rest.headers
            raise unreadable(status, headers, once=once, day_left=self._day_left())
        self._report_quota()
        return Answer(document, self._server_time())

    def _day_left(self) -> float | None:
        """Seconds until the account's day of calls begins anew; None when its time zone is not known."""
        return to_midnight(self.setup.time_zone, self._server_time() or datetime.now(UTC))

    def _server_time(self) -> datetime | None:
        with suppress(ValueError):
            return parsedate_to_datetime(self._rest.headers.get("date", "")).astimezone(UTC)
        return None

    def _report_quota(self) -> None:
        told = {
            name: int(self._rest.headers[header])
            for name, header in _LIMIT_HEADERS.items()
            if self._rest.headers.get(header, "").isdecimal()
        }
        if "left" in told and "total" in told:
            told["used"] = told["total"] - told["left"]
        told.pop("left", None)
        if told:
            self.setup.report_quota(told)


class _Rest(RESTClientObject):
    """The SDK's transport: every call has a timeout and the path of the connection's API version."""

    def __init__(self, setup: Setup, base: str) -> None:
        configuration = Configuration()
        configuration.retries = retries = PatientRetry.recipe()
        retries.again = self._counted
        super().__init__(configuration)
        self.base = base
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.calls = 0
        self._count = setup.count
        self._timeout = setup.timeout
        self._version = setup.options.get("api_version") or DEFAULT_VERSION

    def request(self, method: str, url: str, **kwargs: Any) -> Any:
        """Send, and keep what the answer's headers say."""
        self.status, self.headers = None, {}
        self._counted(url)
        kwargs["_request_timeout"] = kwargs.get("_request_timeout") or self._timeout
        try:
            response = super().request(method, versioned(url, self._version), **kwargs)
        except OpenApiException as error:
            self._note(getattr(error, "status", None), getattr(error, "headers", None))
            raise
        self._note(response.status, response.headers)
        return response

    def _counted(self, url: str) -> None:
        self.calls += 1
        self._count(kind_of(url))

    def _note(self, status: int | None, headers: Mapping[str, str] | None) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
