"""The real simple-salesforce against the stand-in over HTTP, its https calls turned to loopback."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce as Client
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

from sandbox.server import running
from sandbox.world import World


class Loopback(HTTPAdapter):
    """Sends whatever the client asks of https to the sandbox instead."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        parts = urlsplit(request.url)
        request.url = f"{self.base}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        kwargs["timeout"] = 10
        return super().send(request, *args, **kwargs)


@pytest.fixture(scope="module")
def world() -> World:
    return World(count=450)


@pytest.fixture(scope="module")
def session(world: World) -> Iterator[requests.Session]:
    with running(world) as base, requests.Session() as session:
        session.trust_env = False
        session.mount("https://", Loopback(base))
        yield session


def log_in(session: requests.Session, secret: str) -> Any:
    return Client(
        consumer_key="sandbox-key", consumer_secret=secret, domain="acme.my", version="62.0", session=session
    )


@pytest.fixture
def client(session: requests.Session) -> Any:
    return log_in(session, "sandbox-secret")


def test_the_client_reads_every_page(client: Any) -> None:
    rows = list(
        client.query_all_iter(
            "SELECT Id, Name FROM Contact", headers={"Sforce-Query-Options": "batchSize=200"}
        )
    )
    assert len(rows) == 450
    assert client.api_usage["api-usage"].total == 100_000


def test_the_client_writes_and_reads_records(client: Any) -> None:
    ada = client.Contact.create({"LastName": "Lovelace", "FirstName": "Zoë"})["id"]
    assert client.Contact.update(ada, {"Phone": "+14155550007"}) == 204
    assert client.Contact.get(ada)["FirstName"] == "Zoë"
    found = client.search("FIND {4155550007} IN PHONE FIELDS RETURNING Contact(Id)")["searchRecords"]
    assert [row["Id"] for row in found] == [ada]
    assert client.Contact.delete(ada) == 204
    with pytest.raises(SalesforceResourceNotFound):
        client.Contact.get(ada)


def test_the_client_upserts_and_sends_collections(client: Any) -> None:
    assert client.Task.upsert("Conversation_Key__c/call-1", {"Subject": "Call"}) == 201
    assert client.Task.upsert("Conversation_Key__c/call-1", {"Subject": "Call"}) == 200
    body = {"records": [{"attributes": {"type": "Contact"}, "LastName": "Hopper"}]}
    assert client.restful("composite/sobjects", method="POST", json=body)[0]["success"] is True
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.query("SELECT Foo FROM Contact")
    assert refused.value.content[0]["errorCode"] == "INVALID_FIELD"


def test_the_client_uses_every_method_of_a_record(client: Any) -> None:
    made = client.Contact.create({"LastName": "King", "Customer_Number__c": "C-77"})["id"]
    assert client.Contact.get_by_custom_id("Customer_Number__c", "C-77")["Id"] == made
    assert client.Contact.upsert("Customer_Number__c/C-77", {"LastName": "Byron"}) == 200
    assert client.Contact.metadata()["objectDescribe"]["name"] == "Contact"
    since = datetime.now(UTC) - timedelta(hours=1)
    assert made in client.Contact.updated(since, since + timedelta(hours=2))["ids"]
    client.Contact.delete(made)
    gone = client.Contact.deleted(since, since + timedelta(hours=2))["deletedRecords"]
    assert made in [one["id"] for one in gone]


def test_the_client_pages_by_hand_and_sees_deleted_records(client: Any) -> None:
    made = client.Contact.create({"LastName": "Gone"})["id"]
    client.Contact.delete(made)
    asked = "SELECT Id FROM Contact WHERE LastName = 'Gone'"
    assert client.query(asked)["totalSize"] == 0
    assert client.query_all(asked, include_deleted=True)["records"][0]["Id"] == made
    page = client.query("SELECT Id FROM Contact", headers={"Sforce-Query-Options": "batchSize=200"})
    more = client.query_more(page["nextRecordsUrl"], identifier_is_url=True)
    assert (len(page["records"]), more["done"]) == (200, True)
    locator = page["nextRecordsUrl"].rpartition("/")[2]
    assert client.query_more(locator)["records"] == more["records"]


def test_the_client_searches_quickly(client: Any) -> None:
    made = client.Contact.create({"LastName": "Quickenborne"})["id"]
    found = client.quick_search("Quickenborne")["searchRecords"]
    assert [row["Id"] for row in found] == [made]


def test_the_client_sends_composites(client: Any) -> None:
    call = {"method": "GET", "url": "/services/data/v62.0/limits", "referenceId": "left"}
    answer = client.restful("composite", method="POST", json={"compositeRequest": [call]})
    assert answer["compositeResponse"][0]["httpStatusCode"] == 200


def test_several_matches_of_an_external_id_are_an_exception_of_their_own(client: Any) -> None:
    for name in ("Ada", "Grace"):
        client.Contact.create({"LastName": name, "Email": "twins@example.com"})
    with pytest.raises(SalesforceMoreThanOneRecord) as refused:
        client.Contact.upsert("Email/twins@example.com", {"LastName": "x"})
    assert len(refused.value.content) == 2


def test_the_client_describes_and_asks_for_limits(client: Any) -> None:
    assert client.Contact.describe()["name"] == "Contact"
    assert len(client.describe()["sobjects"]) >= 5
    assert client.limits()["DailyApiRequests"]["Max"] == 100_000


def test_the_client_logs_in_again_when_its_session_ends(client: Any, world: World) -> None:
    with world.locked("salesforce") as org:
        org.sessions.revoke_all()
    assert client.query("SELECT COUNT() FROM Contact")["totalSize"] >= 450


def test_a_wrong_secret_is_refused(session: requests.Session) -> None:
    with pytest.raises(SalesforceAuthenticationFailed) as refused:
        log_in(session, "wrong")
    assert refused.value.code == "invalid_client"


def test_the_soap_login_of_old_is_refused(session: requests.Session) -> None:
    with pytest.raises(SalesforceAuthenticationFailed, match="disabled"):
        Client(username="ada@example.com", password="x", security_token="y", session=session)
