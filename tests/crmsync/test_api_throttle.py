"""Requests a minute for each key: over all processes, with a clear refusal, and without a write for each request."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from crmsync.api import throttle
from crmsync.api.throttle import forget_turns, take_turn
from crmsync.api_keys import ApiKey, find_key, issue_key
from tests.activity.payloads import ended, signed
from tests.crmsync.api_client import client_with

pytestmark = pytest.mark.django_db


def made(rate: int | None = None) -> ApiKey:
    return issue_key("script", rate=rate)[0]


def turns(key: ApiKey, rate: int, at: float, most: int = 10_000) -> int:
    """How many requests are let through at one moment."""
    return next((n for n in range(most) if take_turn(key, rate, clock=lambda: at)), most)


def test_a_minutes_turns_may_be_used_at_once_and_come_back_one_by_one():
    key = made()
    assert turns(key, 60, at=1000.0) == 60
    key.refresh_from_db()
    assert take_turn(key, 60, clock=lambda: 1000.0) == pytest.approx(1.0)
    assert turns(key, 60, at=1001.0) == 1
    key.refresh_from_db()
    assert turns(key, 60, at=1031.0) == 30


def test_processes_share_the_turns_of_a_key():
    key = made()
    first = turns(key, 40, at=1000.0, most=21)
    forget_turns()  # a second process, which has drawn nothing
    second = turns(ApiKey.objects.get(), 40, at=1000.0)
    assert first == 21
    # Exact to the twentieth that a process draws: the first one still holds a turn that it had drawn.
    assert 40 - 40 // throttle.SHARE <= first + second <= 40


def test_a_copy_of_the_row_that_another_process_has_moved_takes_no_turn_twice():
    key = made()
    stale = ApiKey.objects.get()
    assert turns(key, 10, at=1000.0) == 10
    forget_turns()
    assert turns(stale, 10, at=1000.0) == 0


def test_a_clock_that_was_set_back_locks_nobody_out():
    key = made()
    ApiKey.objects.update(free_at=1_000_000.0)
    key.refresh_from_db()
    assert turns(key, 10, at=1000.0) == 10


def test_most_requests_cost_no_write():
    _, secret = issue_key("script", rate=200)
    find_key(secret)  # its use is noted
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    with CaptureQueriesContext(connection) as seen:
        for _ in range(10):
            assert client.get("/api/v1/may-call/", {"phone_number": "+14155550100"}).status_code == 200
    written = [query["sql"] for query in seen if query["sql"].startswith(("UPDATE", "INSERT"))]
    assert len(written) == 1


def test_too_many_requests_are_a_429_that_says_when_to_come_again():
    client = client_with()
    ApiKey.objects.update(rate=2)
    for _ in range(2):
        assert client.get("/api/get-crm-config").status_code == 200
    refused = client.get("/api/get-crm-config")
    assert refused.status_code == 429
    wait = int(refused.headers["Retry-After"])
    assert 1 <= wait <= 30
    assert refused.json() == {
        "status": "error",
        "message": f"This API key has made more than 2 requests a minute. Send it again in {wait} s.",
    }
    assert client_with(name="another").get("/api/get-crm-config").status_code == 200


def test_the_setting_holds_for_keys_without_a_rate_and_zero_means_no_limit():
    plain, unlimited = client_with(name="plain"), client_with(name="unlimited")
    ApiKey.objects.filter(name="unlimited").update(rate=0)
    with override_settings(CRMSYNC_API_RATE=1):
        assert [plain.get("/api/get-crm-config").status_code for _ in range(2)] == [200, 429]
        assert [unlimited.get("/api/get-crm-config").status_code for _ in range(3)] == [200] * 3
    with override_settings(CRMSYNC_API_RATE=0):
        assert plain.get("/api/get-crm-config").status_code == 200


def test_signed_events_are_never_throttled(settings: Any):
    _, secret = issue_key("platform", webhook=True, rate=1)
    ApiKey.objects.update(free_at=2_000_000_000.0)
    settings.CRMSYNC_API_RATE = 1
    for number in range(4):
        body = json.dumps(ended(f"call_{number}")).encode()
        for door in ("/webhooks/retell/", "/webhooks/retell/inbound/"):
            sent = Client().post(door, body, content_type="application/json", headers=signed(body, secret))
            assert sent.status_code == 200
