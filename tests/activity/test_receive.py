"""The two doors over HTTP: what comes in, what is refused with which status, what is kept."""

import json

import pytest
from django.test import Client
from django_q.models import OrmQ

from activity.models import BadSignatures, WebhookDelivery
from activity.receive import parse
from contacts.changes import Source, create_contact
from contacts.models import ContactAlias
from crmsync.api_keys import issue_key
from tests.activity.payloads import ADA, AGENT, GRACE, analyzed, ended, signed

EVENTS, INBOUND = "/webhooks/retell/", "/webhooks/retell/inbound/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def key():
    return issue_key("Voice platform", webhook=True)[1]


@pytest.fixture
def post(key):
    def send(body, path=EVENTS, headers=None):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = signed(raw, key) if headers is None else headers
        client = Client(enforce_csrf_checks=True)
        return client.post(path, raw, content_type="application/json", headers=headers)

    return send


def test_a_signed_event_is_kept_as_it_came_and_a_worker_woken(post):
    raw = json.dumps(analyzed(), indent=1).encode()
    response = post(raw)
    delivery = WebhookDelivery.objects.get()
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert (delivery.event, delivery.conversation_key) == ("call_analyzed", "call_ada")
    assert (bytes(delivery.body), delivery.state) == (raw, "pending")
    assert delivery.headers["X-Retell-Signature"].startswith("v=")
    assert OrmQ.objects.count() == 1


def test_the_same_event_twice_is_one_delivery_and_another_body_is_a_second(post):
    assert [post(ended()).status_code, post(ended()).status_code] == [200, 200]
    assert WebhookDelivery.objects.count() == 1
    post(ended(duration_ms=5))
    assert WebhookDelivery.objects.count() == 2


def test_an_answer_has_its_length_and_no_cookie(post):
    for path in (EVENTS, INBOUND):
        response = post(ended(), path)
        assert response.headers["Content-Length"] == str(len(response.content))
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert not response.cookies


def test_an_unknown_event_is_answered_and_kept(post):
    assert post({"event": "moon_landed", "moon": 1}).status_code == 200
    assert WebhookDelivery.objects.get().event == "moon_landed"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe\xff", 400),
        (b"[1]", 400),
        (b"null", 400),
        (b'{"call": {}}', 400),
        (b'{"event": 7}', 400),
        (b'{"event": " "}', 400),
        (b'{"event": "x", "n": NaN}', 400),
        (b"[" * 100_000, 400),
    ],
)
def test_a_signed_body_that_is_no_event_is_refused_with_the_reason(post, body, status):
    response = post(body)
    assert response.status_code == status
    assert response.json()["status"] == "error"
    assert response.json()["message"]
    assert not WebhookDelivery.objects.exists()


def test_wrong_missing_and_stale_signatures_are_401_counted_and_not_kept(post, key):
    raw = json.dumps(ended()).encode()
    tries = [
        post(raw, headers=signed(raw, "key_of_somebody_else")),
        post(raw, headers={}),
        post(raw, headers=signed(raw, key, age_ms=301_000)),
        post(raw + b" ", headers=signed(raw, key)),
        post(raw, INBOUND, headers={}),
    ]
    assert [response.status_code for response in tries] == [401] * 5
    assert BadSignatures.objects.get().count == 5
    assert not WebhookDelivery.objects.exists()


def test_a_key_that_may_not_sign_or_is_revoked_proves_nothing(post):
    raw = json.dumps(ended()).encode()
    script = issue_key("Script")[1]
    row, revoked = issue_key("Old platform", webhook=True)
    row.revoke()
    assert post(raw, headers=signed(raw, script)).status_code == 401
    assert post(raw, headers=signed(raw, revoked)).status_code == 401


def test_too_large_a_body_is_413_before_it_is_read(post, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert post(ended()).status_code == 413


def test_a_body_in_chunks_is_411_and_not_taken_for_an_empty_one(client):
    response = client.generic("POST", EVENTS, CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")
    assert response.status_code == 411


def test_only_post_is_answered(client):
    response = client.get(EVENTS)
    assert response.status_code == 405
    assert response.json()["status"] == "error"


def test_what_a_database_cannot_hold_is_left_out():
    document = parse(rb'{"event": "x", "t": "a\u0000b\ud800c", "n": [1e999, 1.5]}')
    assert document == {"event": "x", "t": "abc", "n": [None, 1.5]}


# --- before a call connects -----------------------------------------------------------------------


def inbound(number=ADA, event="call_inbound", **more):
    ids = {"call_inbound": {"call_id": "call_ada"}, "chat_inbound": {"chat_id": "chat_ada"}}[event]
    return {"event": event, event: {"agent_id": "a", "from_number": number, "to_number": AGENT} | ids | more}


def test_the_callers_fields_are_answered_as_texts(post, fields):
    values = {
        "first_name": "Ada",
        "notes": "Likes tea.",
        "budget": 42.0,
        "vip": True,
        "renewal": "2026-05-14",
    }
    create_contact(ADA, values, source=Source("person"))
    response = post(inbound(), INBOUND)
    assert response.status_code == 200
    assert response.json() == {
        "call_inbound": {
            "dynamic_variables": {
                "first_name": "Ada",
                "do_not_call": "false",
                "notes": "Likes tea.",
                "budget": "42",
                "vip": "true",
                "renewal": "2026-05-14",
            }
        }
    }


def test_an_sms_is_answered_under_its_own_name_and_by_a_former_number(post):
    ada = create_contact(ADA, {"first_name": "Ada"}, source=Source("person")).contact
    ContactAlias.objects.create(contact=ada, phone_number=GRACE)
    response = post(inbound(GRACE, "chat_inbound"), INBOUND)
    assert response.json() == {
        "chat_inbound": {"dynamic_variables": {"first_name": "Ada", "do_not_call": "false"}}
    }


@pytest.mark.parametrize("number", [GRACE, "anonymous", "", None, 7])
def test_an_unknown_or_withheld_number_gets_an_empty_set(post, number):
    response = post(inbound(number), INBOUND)
    assert (response.status_code, response.json()) == (200, {"call_inbound": {"dynamic_variables": {}}})


def test_the_answer_is_kept_and_nothing_is_queued(post):
    create_contact(ADA, {"first_name": "Ada"}, source=Source("person"))
    post(inbound(), INBOUND)
    post(inbound(), INBOUND)
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.answer["dynamic_variables"]["first_name"]) == ("done", "Ada")
    assert delivery.note == "Answered with 2 variables."
    assert not OrmQ.objects.exists()


def test_a_known_caller_costs_three_reads_and_a_write(post, django_assert_max_num_queries):
    create_contact(ADA, {"first_name": "Ada"}, source=Source("person"))
    with django_assert_max_num_queries(4):  # the keys, the contact, its fields; the answer kept
        post(inbound(), INBOUND)


def test_an_event_at_the_wrong_door_is_kept_all_the_same(post):
    assert post(ended(), INBOUND).status_code == 200
    assert WebhookDelivery.objects.get().state == "pending"
