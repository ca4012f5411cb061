"""The real simple-salesforce against the stand-in over HTTP, its https calls turned to loopback."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce as Client
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceMalformedRequest,
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
