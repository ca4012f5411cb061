"""Who may call what, and the one shape of every error."""

import json
from typing import Any

import pytest
from django.test import Client, RequestFactory, override_settings

from activity.signatures import signing_keys
from crmsync.api.base import ApiView
from crmsync.api.errors import server_failed
from crmsync.api_keys import ApiKey, issue_key
from integrations.models import Connection
from tests.crmsync.api_client import client_with, problems

pytestmark = pytest.mark.django_db

CALLS = {
    "read_contacts": [
        ("get", "get-contact/contact_x"),
        ("get", "get-contact-by-phone/x"),
        ("post", "list-contacts"),
        ("get", "list-contact-conversations/contact_x"),
    ],
    "write_contacts": [
        ("post", "create-contact"),
        ("patch", "update-contact/contact_x"),
        ("delete", "delete-contact/contact_x"),
    ],
    "configure": [
        ("post", "update-crm-config"),
        ("get", "get-crm-schema"),
        ("post", "create-app"),
        ("patch", "update-app/app_x"),
        ("get", "get-app/app_x"),
        ("get", "list-apps"),
        ("delete", "delete-app/app_x"),
        ("post", "test-app-auth/app_x"),
        ("get", "list-app-usages/app_x"),
    ],
    "run_jobs": [("post", "run-sync-job"), ("get", "get-sync-job-status")],
}
ALL = [(scope, *call) for scope, calls in CALLS.items() for call in calls]


@pytest.mark.parametrize(("scope", "method", "path"), ALL)
def test_every_call_needs_a_key_with_its_scope(scope, method, path):
    anonymous = getattr(Client(), method)(f"/api/{path}")
    assert anonymous.status_code == 401
    others = [
        s
        for s in (*CALLS, "events")
        if s not in (scope, "configure" if path == "get-sync-job-status" else "")
    ]
    refused = getattr(client_with(*others), method)(f"/api/{path}")
    assert (refused.status_code, refused.json()["status"]) == (403, "error")
    assert scope in refused.json()["message"]
    allowed = getattr(client_with(scope), method)(f"/api/{path}")
    assert allowed.status_code not in (401, 403, 404, 405, 500)


def test_a_missing_key_is_told_how_to_send_one():
    response = Client().get("/api/get-crm-config")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert response.json() == {"status": "error", "message": "Authentication credentials were not provided."}


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer a b", "Basic abc", "Bearer key_unknown", "Bearer \xff\xfe"]
)
def test_a_wrong_authorization_header_is_a_401(header):
    response = Client().get("/api/get-crm-config", headers={"Authorization": header})
    assert response.status_code == 401
    assert set(response.json()) == {"status", "message"}


def test_a_revoked_key_is_refused_at_once():
    client = client_with()
    assert client.get("/api/get-crm-config").status_code == 200
    ApiKey.objects.get().revoke()
    assert client.get("/api/get-crm-config").status_code == 401


def test_a_login_session_is_no_key(admin_client):
    assert admin_client.get("/api/get-crm-config").status_code == 401


def test_an_unknown_call_is_a_404_in_the_one_shape():
    for response in (Client().get("/api/nothing"), Client().post("/api/get-crm-config/")):
        assert response.status_code == 404
        assert response.json()["status"] == "error"
        assert "/api/docs/" in response.json()["message"]


def test_an_address_with_a_line_break_in_it_is_a_404_in_the_one_shape():
    response = Client().get("/api/v1/merge-reviews/%0A/accept/")
    assert (response.status_code, response.json()["status"]) == (404, "error")


@pytest.mark.parametrize(("accept", "query"), [("text/html", ""), ("image/png", "?format=api"), ("x", "")])
def test_answers_are_json_whatever_a_client_says_it_accepts(accept, query):
    answer = client_with().get(f"/api/get-sync-job-status{query}", headers={"Accept": accept})
    assert (answer.status_code, answer.json()) == (200, {"status": "idle"})
    refused = client_with().get(f"/api/v1/imports/import_x/rejected.csv{query}", headers={"Accept": accept})
    assert (refused.status_code, refused.headers["Content-Type"]) == (422, "application/json")


@pytest.mark.parametrize("method", ["get", "put", "options"])
def test_a_wrong_method_is_a_405_in_the_one_shape(method):
    response = getattr(client_with(), method)("/api/create-contact")
    assert (response.status_code, response.json()["status"]) == (405, "error")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b'{"a": NaN}',
        b'{"search_query": "\\u0000"}',
        b'{"search_query": "\\ud800"}',
        b"[" * 5000,
    ],
    ids=["half", "not UTF-8", "NaN", "NUL", "surrogate", "bottomless"],
)
def test_a_body_that_is_not_storable_json_is_a_400(body):
    response = client_with().generic("POST", "/api/list-contacts", body, content_type="application/json")
    assert (response.status_code, response.json()["status"]) == (400, "error")


def test_a_body_that_is_no_object_is_a_400():
    response = client_with().post("/api/list-contacts", [1])
    assert problems(response) == {"": "invalid"}


def test_a_body_in_another_form_is_a_415():
    response = client_with().post(
        "/api/list-contacts", "a=b", content_type="application/x-www-form-urlencoded"
    )
    assert (response.status_code, response.json()["status"]) == (415, "error")


def test_a_body_beyond_the_limit_is_a_413_before_it_is_read():
    body: Any = b'{"search_query": "' + b"a" * 2_000 + b'"}'
    client = client_with()
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=1_000):  # what Django itself would fail at
        ApiView.most_bytes, before = 1_000, ApiView.most_bytes
        try:
            response = client.generic("POST", "/api/list-contacts", body, content_type="application/json")
        finally:
            ApiView.most_bytes = before
    assert (response.status_code, response.json()["status"]) == (413, "error")
    assert "1,000" in response.json()["message"]


def test_a_body_in_chunks_is_a_411_instead_of_an_empty_one():
    response = client_with().post("/api/create-contact", headers={"Transfer-Encoding": "chunked"})
    assert (response.status_code, response.json()["status"]) == (411, "error")


def test_a_wrong_host_is_refused_in_the_one_shape_on_calls_only():
    call, page = (
        Client().get(path, headers={"Host": "evil.example"}) for path in ("/api/list-apps", "/login/")
    )
    assert (call.status_code, call.json()["status"]) == (400, "error")
    assert (page.status_code, page.headers["Content-Type"]) == (400, "text/html; charset=utf-8")


def test_a_failure_around_a_call_is_a_500_in_the_one_shape():
    answer = server_failed(RequestFactory().get("/api/list-apps"))
    assert (answer.status_code, json.loads(answer.content)["status"]) == (500, "error")
    assert b"<h1>" in server_failed(RequestFactory().get("/contacts/")).content


def test_a_failure_of_our_own_is_a_500_without_detail_and_logged(caplog):
    client = client_with(raises=False)
    Connection.objects.create(provider="hubspot", name="HubSpot", credentials={"access_token": "t"})
    # Its encryption key is lost.
    with override_settings(CRMSYNC_ENCRYPTION_KEYS=["3" * 43 + "="]):
        response = client.get("/api/list-apps")
    assert (response.status_code, response.json()["status"]) == (500, "error")
    assert "decrypt" not in json.dumps(response.json())
    assert "WrongKey" in caplog.text


def test_answers_are_not_to_be_cached():
    assert client_with().get("/api/get-crm-config").headers["Cache-Control"] == "no-store"


def test_keys_that_sign_events_reach_the_signature_check():
    _, secret = issue_key("agent platform", webhook=True)
    assert secret in signing_keys()
