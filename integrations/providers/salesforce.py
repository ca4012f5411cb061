"""Salesforce behind our contract, through simple-salesforce: the only module that imports it.

Uses `query` and `restful`, never SFType objects: those have no timeout, log in again without end, and lose the
quota header.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import requests
from simple_salesforce import Salesforce, SalesforceLogin
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceError,
    SalesforceExpiredSession,
)

from integrations.providers import salesforce_reading as reading
from integrations.providers import salesforce_writing as writing
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
    OutcomeUnknown,
    ProviderError,
    RecordGone,
    Rejected,
    Transient,
)
from integrations.providers.salesforce_address import instance_host, org_address
from integrations.providers.salesforce_errors import error_of, problem_of
from integrations.providers.salesforce_login import login_arguments, login_error
from integrations.providers.salesforce_permissions import permissions_of, queries_for
from integrations.providers.salesforce_queries import PAGE
from integrations.providers.salesforce_reading import Row
from integrations.providers.salesforce_schema import fields_of
from integrations.providers.salesforce_session import Transport, never_sent, open_session
from integrations.providers.setup import Setup

API_VERSION = "62.0"
ORGANIZATION = "SELECT Id, Name, OrganizationType, IsSandbox, TimeZoneSidKey FROM Organization LIMIT 1"
PAGE_HEADERS = {"Sforce-Query-Options": f"batchSize={PAGE}"}

T = TypeVar("T")


class SalesforceProvider:
    """One Salesforce org, logged in by OAuth 2.0 client credentials or JWT bearer. For one thread at a time.

    Its options stand in docs/providers.md.
    """

    name = "salesforce"

    def __init__(self, setup: Setup) -> None:
        self._org = SalesforceOrg(setup)
        self._tasks = writing.TaskLog(self._org)

    @property
    def calls(self) -> int:
        """How many requests were sent so far."""
        return self._org.calls

    def permissions(self) -> Permissions:
        """What the integration user may do, by describe of Contact and Task, and what the options name, looked up.

        In the end the day's calls are reported exactly.
        """
        contact, options = self._org.describe("Contact"), self._org.setup.options
        try:
            task = self._org.describe("Task")
        except ConfigError:
            task = {"createable": False, "fields": []}  # hidden from a user who need not log anything
        asked = queries_for(options)
        usable = {name: {row["Id"] for row in self._org.rows([query])} for name, query in asked.items()}
        self._org.report_limits()
        return permissions_of(contact, task, options, usable)

    def check(self) -> Account:
        """The org's id, name, edition and time zone."""
        rows = self._org.query(ORGANIZATION)["records"]
        if not rows:
            raise AuthError("The integration user cannot see the Salesforce organisation.")
        org = rows[0]
        return Account(
            account_id=org["Id"],
            name=org["Name"] or "Salesforce",
            edition=", ".join(
                filter(None, (org.get("OrganizationType"), org.get("IsSandbox") and "sandbox"))
            ),
            web_base=self._org.address.base,
            time_zone=org.get("TimeZoneSidKey") or "",
        )

    def fields(self) -> list[ExternalField]:
        """Contact's fields by describe, as the integration user sees them."""
        return fields_of(self._org.describe("Contact"))

    def changes(self, cursor: str, fields: Sequence[str], *, full: bool = False) -> Iterator[Page]:
        """Contacts in the order of their last change, deleted ones too."""
        return reading.changed_pages(self._org, cursor, fields, full=full)

    def read(self, external_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Record]:
        """Contacts by id, deleted ones too; up to 500 a call."""
        return reading.records_by_id(self._org, external_ids, fields)

    def find_by_phone(
        self, numbers: Sequence[str], fields: Sequence[str], phone_fields: Sequence[str]
    ) -> dict[str, list[Record]]:
        """Live contacts by E.164 number."""
        return reading.records_by_phone(self._org, numbers, fields, phone_fields)

    def create(self, creations: Sequence[Creation]) -> list[Outcome]:
        """New contacts, 200 a call."""
        return writing.create_contacts(self._org, creations)

    def update(self, updates: Sequence[Update]) -> list[Outcome]:
        """Changed fields of contacts, 200 a call."""
        return writing.update_contacts(self._org, updates)

    def log_activities(self, activities: Sequence[Activity]) -> list[Outcome]:
        """Tasks, 200 a call."""
        return self._tasks.log(activities)

    def activity_fields(self, activity: Activity) -> Mapping[str, Any]:
        """The Task's fields; what the org lacks of them is told in the description when it is sent."""
        return self._tasks.fields(activity)

    def find_activity(self, marker: str, contact_id: str, kind: ActivityKind) -> str | None:  # noqa: ARG002
        """The conversation's Task, archived ones too."""
        return reading.task_of(self._org, marker, contact_id)

    def web_url(self, external_id: str) -> str:
        """The contact's page; Salesforce leads from the My Domain address to the right host."""
        return f"{self._org.address.base}/lightning/r/Contact/{external_id}/view"

    def activity_url(self, external_id: str, kind: ActivityKind, contact_id: str) -> str:  # noqa: ARG002
        """The Task's page."""
        return f"{self._org.address.base}/lightning/r/Task/{external_id}/view"

    def close(self) -> None:
        """Close the session's connections."""
        self._org.session.close()


class _SessionOver(Exception):
    """Salesforce has ended the session; the call was refused, nothing was done."""


class SalesforceOrg:
    """The SDK with a shared token, timeouts, one repeat after an ended session, and our errors instead of its own."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.address = org_address(setup.tenant_url, allow_insecure=setup.allow_insecure)
        self.calls = 0
        self.transport = Transport(setup.timeout, self.address.insecure_base, self._count)
        self.session = open_session(self.transport)
        self._client: tuple[Mapping[str, str], Any] | None = None
        self._refused: AuthError | None = None

    def query(self, query: str, *, deleted: bool = False) -> Row:
        """The first page of a SOQL query; `deleted` asks queryAll."""
        return self._page(lambda org: org.query(query, include_deleted=deleted, headers=PAGE_HEADERS))

    def rows(self, queries: Iterable[str], *, deleted: bool = False) -> Iterator[Row]:
        """Every row of these queries, page by page."""
        for query in queries:
            answer = self.query(query, deleted=deleted)
            yield from answer["records"]
            while not answer["done"]:
                answer = self._more(str(answer["nextRecordsUrl"]))
                yield from answer["records"]

    def search(self, query: str) -> list[Row]:
        """The rows of a SOSL search."""
        answer: Any = self.call(lambda org: org.restful("search/", {"q": query}), "search")
        found = answer.get("searchRecords") if isinstance(answer, Mapping) else answer
        return list(found or ())

    def describe(self, name: str) -> Row:
        """The describe answer of one object."""
        try:
            answer: Any = self.call(lambda org: org.restful(f"sobjects/{name}/describe"))
        except RecordGone as error:
            # No record was asked for: it is the object that is not there for this user.
            words = f"The integration user cannot see the Salesforce object {name}."
            raise ConfigError(
                words, status=error.status, code=error.code, request_id=error.request_id
            ) from None
        if not isinstance(answer, Mapping) or "fields" not in answer:
            raise self._unreadable(once=False)
        return answer

    def collection(
        self, method: str, path: str, rows: list[dict[str, Any]], *, once: bool = False
    ) -> list[Row]:
        """Write up to 200 rows, none depending on another; one answer each."""
        allowed = self.setup.options.get("duplicate_rule", "") == "allow_save"
        headers = {"Sforce-Duplicate-Rule-Header": "allowSave=true"} if allowed else {}
        body = {"allOrNone": False, "records": rows}
        answer: Any = self.call(
            lambda org: org.restful(path, method=method, json=body, headers=headers), "write", once=once
        )
        if not isinstance(answer, list) or len(answer) != len(rows):
            raise self._unreadable(once)
        return answer

    def report_limits(self) -> None:
        """Have the day's calls reported as the limits resource tells them: the header of other answers is only about right.

        A user who may not look at it works all the same.
        """
        with suppress(Rejected, RecordGone, ConfigError):
            answer: Any = self.call(lambda org: org.restful("limits/"))
            day = answer.get("DailyApiRequests") if isinstance(answer, Mapping) else None
            if isinstance(day, Mapping) and {"Max", "Remaining"} <= set(day):
                self.setup.report_quota({"used": day["Max"] - day["Remaining"], "total": day["Max"]})

    def server_time(self) -> datetime | None:
        """Salesforce's clock at the last answer."""
        with suppress(ValueError):
            return parsedate_to_datetime(self.transport.header("Date")).astimezone(UTC)
        return None

    def call(self, use: Callable[[Any], T], pace: str = "read", *, once: bool = False) -> T:
        """One call; after an ended session one login and one repeat, which is safe: the refused call did nothing."""
        self.setup.pace(pace)
        token = self.setup.tokens.get() or self._login(None)
        try:
            return self._attempt(use, token, once)
        except _SessionOver:
            token = self._login(token)
        try:
            return self._attempt(use, token, once)
        except _SessionOver:
            words = "Salesforce ends every new session at once."
            raise AuthError(words, status=401, code="INVALID_SESSION_ID") from None

    def _page(self, use: Callable[[Any], Any]) -> Row:
        answer = self.call(use)
        if not isinstance(answer, Mapping) or "records" not in answer or "done" not in answer:
            raise self._unreadable(once=False)
        return answer

    def _more(self, url: str) -> Row:
        return self._page(lambda org: org.query_more(url, identifier_is_url=True, headers=PAGE_HEADERS))

    def _attempt(self, use: Callable[[Any], T], token: Mapping[str, str], once: bool) -> T:
        try:
            return use(self._sdk(token))
        except SalesforceExpiredSession as error:
            if problem_of(error.content).code == "INVALID_SESSION_ID":
                raise _SessionOver from None
            raise error_of(error.content, error.status, request_id=self.request_id()) from None
        except SalesforceError as error:
            raise error_of(error.content, error.status, request_id=self.request_id(), once=once) from None
        except requests.exceptions.JSONDecodeError:
            raise self._unreadable(once) from None
        except requests.RequestException as error:
            raise _lost(error, once) from None
        finally:
            self._report_quota()

    def _sdk(self, token: Mapping[str, str]) -> Any:
        if self._client is None or self._client[0] != token:
            host = f"https://{instance_host(token['host'], self.address)}"
            version = self.setup.options.get("api_version") or API_VERSION
            options: dict[str, Any] = {"session": self.session, "version": version, "object_pairs_hook": dict}
            self._client = (token, Salesforce(session_id=token["access_token"], instance_url=host, **options))
        return self._client[1]

    def _login(self, stale: Mapping[str, str] | None) -> Mapping[str, str]:
        if self._refused is not None:
            raise self._refused
        try:
            return self.setup.tokens.refresh(stale, self._fetch_token)
        except AuthError as error:
            self._refused = error  # a refused credential is tried once, not until the user is locked out
            raise

    def _fetch_token(self) -> Mapping[str, str]:
        credentials = login_arguments(self.setup.secrets, self.address)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the SDK prints advice with the client id in it
                token, host = SalesforceLogin(session=self.session, **credentials)
        except SalesforceAuthenticationFailed as error:
            raise login_error(error.code, self.transport.status(), str(error)) from None
        except requests.RequestException as error:
            raise _lost(error, once=False) from None
        except (AttributeError, TypeError):
            token, host = None, ""
        if not token:
            raise ProviderError("Salesforce answered the login without a session.", code="bad_token_answer")
        return {"access_token": token, "host": instance_host(host, self.address)}

    def _count(self, kind: str) -> None:
        self.calls += 1
        self.setup.count(kind)

    def _unreadable(self, once: bool) -> ProviderError:
        status, request_id = self.transport.status(), self.request_id()
        if once:
            words = "Salesforce's answer could not be read; the record may have been written."
            return OutcomeUnknown(words, status=status, code="unreadable", request_id=request_id)
        words = "Salesforce answered with something other than the data asked for."
        return Transient(words, status=status, code="unreadable", request_id=request_id)

    def _report_quota(self) -> None:
        usage = Salesforce.parse_api_usage(self.transport.header("Sforce-Limit-Info")).get("api-usage")
        if usage is not None:
            self.setup.report_quota({"used": usage.used, "total": usage.total})

    def request_id(self) -> str:
        """Salesforce's id of the last request, "" where it gave none."""
        return self.transport.header("X-Request-Id", "X-SFDC-Request-Id")


def _lost(error: requests.RequestException, once: bool) -> ProviderError:
    if once and not never_sent(error):
        words = "The answer of Salesforce was lost; the record may have been written."
        return OutcomeUnknown(words, code="answer_lost")
    if isinstance(error, requests.Timeout):
        return Transient("Salesforce did not answer in time.", code="timeout")
    return Transient("Salesforce could not be reached.", code="network")
