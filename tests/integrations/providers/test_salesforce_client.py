"""The Salesforce client where no stand-in can go: real addresses, https, timeouts, retries. Answers by `responses`."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import requests
import responses

from integrations.providers.base import Activity, ActivityKind, Creation, Update
from integrations.providers.errors import (
    AuthError,
    ConfigError,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    Transient,
)
from integrations.providers.salesforce import SalesforceProvider
from integrations.providers.salesforce_address import Address, org_address
from integrations.providers.salesforce_session import Transport, open_session
from integrations.providers.setup import MemoryTokens, Setup

ORG = "https://acme.my.salesforce.com"
DATA = f"{ORG}/services/data/v62.0"
TOKEN = f"{ORG}/services/oauth2/token"
LAST = [{"attributes": {}, "Id": "00D000000000001AAA", "Name": "Acme"}]


def provider(tenant_url: str = ORG, **changes: Any) -> SalesforceProvider:
    secrets = {"client_id": "key", "client_secret": "secret"}
    return SalesforceProvider(Setup(tenant_url=tenant_url, secrets=secrets, **changes))


def login(host: str = ORG) -> None:
    responses.post(TOKEN, json={"access_token": "token-1", "instance_url": host})


@responses.activate
def test_the_login_is_client_credentials_at_the_my_domain_address() -> None:
    login()
    responses.get(f"{DATA}/query/", json={"records": LAST, "done": True, "totalSize": 1})
    assert provider().check().name == "Acme"
    sent = responses.calls[0].request
    assert sent.url == TOKEN
    assert sent.body == "grant_type=client_credentials"
    assert sent.headers["Authorization"].startswith("Basic ")
    assert responses.calls[1].request.headers["Authorization"] == "Bearer token-1"


@responses.activate
def test_every_page_asks_for_2000_rows_and_deleted_ones() -> None:
    login()
    row = {
        "attributes": {},
        "Id": "003000000000001AAA",
        "SystemModstamp": "2026-01-01T00:00:00.000+0000",
        "IsDeleted": False,
    }
    responses.get(f"{DATA}/queryAll/", json={"records": [], "done": True, "totalSize": 1})
    responses.get(
        f"{DATA}/queryAll/", json={"records": [row], "done": False, "totalSize": 2, "nextRecordsUrl": "/x"}
    )
    responses.get(f"{DATA}/queryAll/", json={"records": [row], "done": True, "totalSize": 1})
    pages = list(provider().changes("", ["FirstName"]))
    assert [len(page.records) for page in pages] == [1, 1]
    queries = [one.request for one in responses.calls if "queryAll" in str(one.request.url)]
    assert {one.headers["Sforce-Query-Options"] for one in queries} == {"batchSize=2000"}
    assert "Id+%3E+%27003000000000001AAA%27" in str(queries[-1].url)


@responses.activate
def test_the_cursor_is_dated_by_salesforces_own_clock() -> None:
    login()
    date = {"Date": "Sun, 01 Feb 2026 10:00:00 GMT"}
    responses.get(f"{DATA}/queryAll/", json={"records": [], "done": True, "totalSize": 0}, headers=date)
    [page] = provider().changes('{"since": "2026-01-31T10:00:00Z"}', ["FirstName"])
    assert page.cursor == '{"since": "2026-02-01T10:00:00Z"}'
    assert "SystemModstamp+%3E%3D+2026-01-31T09%3A50%3A00Z" in str(responses.calls[-1].request.url)


@responses.activate
@pytest.mark.parametrize("code", ["invalid_client", "invalid_client_id", "invalid_grant"])
def test_a_refused_login_is_an_auth_error(code: str) -> None:
    responses.post(TOKEN, status=400, json={"error": code, "error_description": "secret words"})
    with pytest.raises(AuthError) as caught:
        provider().check()
    assert caught.value.code == code
    assert "secret words" not in str(caught.value)


@responses.activate
@pytest.mark.parametrize(("status", "body"), [(503, "<html>"), (500, "{}"), (502, ""), (429, "{}")])
def test_a_login_that_fails_for_the_moment_is_transient(status: int, body: str) -> None:
    responses.post(TOKEN, status=status, body=body)
    with pytest.raises(Transient):
        provider().check()


@responses.activate
def test_a_strange_login_answer_is_loud() -> None:
    responses.post(TOKEN, json={"surprise": True})
    with pytest.raises(ProviderError) as caught:
        provider().check()
    assert type(caught.value) is ProviderError


@responses.activate
def test_a_session_is_never_sent_outside_salesforce() -> None:
    login("https://acme.example.com")
    with pytest.raises(ConfigError):
        provider().check()
    assert len(responses.calls) == 1


@responses.activate
def test_an_unknown_error_code_is_a_plain_provider_error() -> None:
    login()
    responses.get(
        f"{DATA}/query/", status=400, json=[{"errorCode": "BRAND_NEW", "message": "for +14155550100"}]
    )
    with pytest.raises(ProviderError) as caught:
        provider().check()
    assert type(caught.value) is ProviderError
    assert caught.value.code == "BRAND_NEW"
    assert "+1415" not in str(caught.value)


@responses.activate
def test_the_request_id_is_kept() -> None:
    login()
    headers = {"X-Request-Id": "req-7"}
    responses.get(
        f"{DATA}/query/",
        status=403,
        json=[{"errorCode": "API_DISABLED_FOR_ORG", "message": ""}],
        headers=headers,
    )
    with pytest.raises(ProviderError) as caught:
        provider().check()
    assert caught.value.request_id == "req-7"


@responses.activate
@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (requests.ReadTimeout("read"), OutcomeUnknown),
        (requests.ConnectionError("Connection aborted."), OutcomeUnknown),
        (requests.exceptions.ChunkedEncodingError("cut"), OutcomeUnknown),
        (requests.ConnectTimeout("connect"), Transient),
    ],
)
def test_a_creation_is_unknown_exactly_when_it_may_have_arrived(failure: Exception, kind: type) -> None:
    login()
    responses.post(f"{DATA}/composite/sobjects", body=failure)
    creation = [Creation("k1", {"LastName": "Hopper"})]
    if kind is OutcomeUnknown:
        [outcome] = provider().create(creation)
        assert isinstance(outcome.error, OutcomeUnknown)
    else:
        with pytest.raises(kind):
            provider().create(creation)
    assert len([one for one in responses.calls if "composite" in str(one.request.url)]) == 1


@responses.activate
def test_a_store_with_a_newer_token_saves_the_login() -> None:
    tokens = MemoryTokens()
    tokens.refresh(None, lambda: {"access_token": "kept", "host": "acme.my.salesforce.com"})
    responses.get(f"{DATA}/query/", json={"records": LAST, "done": True, "totalSize": 1})
    provider(tokens=tokens).check()
    assert responses.calls[0].request.headers["Authorization"] == "Bearer kept"


def test_a_port_where_nobody_listens_is_transient_and_nothing_was_sent() -> None:
    with pytest.raises(Transient):
        provider("http://127.0.0.1:9", allow_insecure=True).create([Creation("k1", {"LastName": "Hopper"})])


def test_a_silent_server_ends_in_a_timeout_although_the_sdk_knows_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Transient) as caught:
            provider(url, allow_insecure=True, timeout=(0.5, 0.1)).check()
    assert caught.value.code == "timeout"


@pytest.mark.parametrize(("method", "sent"), [("GET", 3), ("POST", 1), ("PATCH", 1)])
def test_only_reads_are_repeated_after_a_server_error(method: str, sent: int) -> None:
    with unavailable() as (url, seen):
        session = open_session(Transport((1.0, 1.0), url))
        assert session.request(method, ORG).status_code == 503
        session.close()
    assert seen == [method] * sent


@contextmanager
def unavailable() -> Iterator[tuple[str, list[str]]]:
    """A server that answers 503 to everything, and the methods that it was asked by."""
    seen: list[str] = []

    class Unavailable(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.command)
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_PATCH = do_GET  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Unavailable) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://acme.my.salesforce.com", "acme.my"),
        ("https://acme.my.salesforce.com/", "acme.my"),
        ("ACME.my.salesforce.com", "acme.my"),
        ("https://acme--uat.sandbox.my.salesforce.com", "acme--uat.sandbox.my"),
        ("https://acme-dev-ed.develop.my.salesforce.com", "acme-dev-ed.develop.my"),
        ("https://speed-lake-123.scratch.my.salesforce.com", "speed-lake-123.scratch.my"),
    ],
)
def test_my_domain_addresses_are_accepted(url: str, domain: str) -> None:
    address = org_address(url, allow_insecure=False)
    assert address == Address(base=f"https://{domain}.salesforce.com", domain=domain)


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("https://acme.lightning.force.com/lightning/page/home", "https://acme.my.salesforce.com"),
        ("https://acme--uat.sandbox.lightning.force.com", "https://acme--uat.sandbox.my.salesforce.com"),
        ("https://acme-dev-ed.develop.lightning.force.com", "https://acme-dev-ed.develop.my.salesforce.com"),
        ("https://acme.my.salesforce-setup.com", "https://acme.my.salesforce.com"),
        ("https://acme.salesforce.com", "https://acme.my.salesforce.com"),
        ("https://login.salesforce.com", "My Domain address"),
        ("https://na139.salesforce.com", "like https://acme.my.salesforce.com"),
        ("https://cs12.salesforce.com", "like https://acme.my.salesforce.com"),
        ("https://test.salesforce.com", "My Domain address"),
        ("https://example.com", "My Domain address"),
        ("https://acme.my.salesforce.com.example.com", "My Domain address"),
        ("https://user@acme.my.salesforce.com", "My Domain address"),
        ("https://acme.my.salesforce.com:8443", "My Domain address"),
        ("ftp://acme.my.salesforce.com", "My Domain address"),
        ("", "My Domain address"),
        ("http://acme.my.salesforce.com", "https://<your domain>.my.salesforce.com"),
        ("http://127.0.0.1:8000", "https://<your domain>.my.salesforce.com"),
        ("https://localhost:8000", "https://<your domain>.my.salesforce.com"),
        ("https://[::1]:8000", "https://<your domain>.my.salesforce.com"),
    ],
)
def test_other_addresses_are_refused_with_the_right_one(url: str, advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        org_address(url, allow_insecure=False)
    assert advice in str(caught.value)


@responses.activate
def test_the_switch_to_http_cannot_be_reached_without_the_insecure_setting() -> None:
    login()
    responses.get(f"{DATA}/query/", json={"records": LAST, "done": True, "totalSize": 1})
    provider(allow_insecure=True).check()
    assert all(str(one.request.url).startswith("https://acme.my.salesforce.com/") for one in responses.calls)
    with pytest.raises(ConfigError):
        provider("http://127.0.0.1:8000")


@responses.activate
@pytest.mark.parametrize("write", ["create", "update", "log"])
def test_the_errors_of_single_rows_keep_the_requests_id(write: str) -> None:
    login()
    row = {
        "success": False,
        "errors": [{"statusCode": "STRING_TOO_LONG", "message": "", "fields": ["Phone"]}],
    }
    method = responses.PATCH if write == "update" else responses.POST
    responses.add(method, f"{DATA}/composite/sobjects", json=[row], headers={"X-Request-Id": "req-8"})
    org = provider()
    talk = Activity("call_1", ActivityKind.CALL, "003", "Call", "Body", datetime(2026, 5, 14, tzinfo=UTC))
    send: dict[str, Any] = {
        "create": lambda: org.create([Creation("k", {"LastName": "Hopper"})]),
        "update": lambda: org.update([Update("003000000000001AAA", {"Phone": "1"})]),
        "log": lambda: org.log_activities([talk]),
    }
    [outcome] = send[write]()
    assert isinstance(outcome.error, Rejected)
    assert (outcome.error.request_id, outcome.error.field) == ("req-8", "Phone")
