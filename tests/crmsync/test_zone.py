"""Dates in the reader's time zone: told by a cookie, used by pages, never by the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from contacts import shown
from contacts.models import CustomField
from crmsync.roles import OPERATOR
from crmsync.zone import ReaderZone, zone_named
from sync.models import SyncRun
from tests.crmsync.pages_world import client_of, connection, contact, text

MAY = datetime(2026, 5, 14, 22, 30, 5, tzinfo=UTC)


@pytest.mark.once
@pytest.mark.parametrize(
    ("zone", "exact", "clock"),
    [
        ("Europe/Berlin", "15 May 2026, 00:30:05 CEST", "00:30 CEST"),
        ("Asia/Kolkata", "15 May 2026, 04:00:05 IST", "04:00 IST"),
        ("Asia/Dubai", "15 May 2026, 02:30:05 UTC+04", "02:30 UTC+04"),
        ("UTC", "14 May 2026, 22:30:05 UTC", "22:30 UTC"),
    ],
)
def test_a_moment_is_told_in_the_zone_with_its_letters(zone: str, exact: str, clock: str):
    with timezone.override(zone_named(zone)):
        assert (shown.exact(MAY), shown.clock(MAY)) == (exact, clock)
        assert shown.age(MAY, MAY + timedelta(days=60)) == exact.partition(",")[0]


@pytest.mark.once
@pytest.mark.parametrize(
    "told",
    ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe", "x" * 65, "\x00", "Europe%2F.."],
)
def test_what_names_no_zone_is_no_zone(told: str):
    assert zone_named(told) is None


@pytest.mark.once
def test_the_cookie_may_quote_the_name():
    assert str(zone_named("America%2FNew_York")) == "America/New_York"


@pytest.mark.django_db
def test_a_page_shows_dates_in_the_zone_of_the_cookie_and_in_utc_without_it():
    SyncRun.objects.create(connection=connection(), started_at=MAY, state="failed")
    client = client_of(OPERATOR)
    assert 'title="14 May 2026, 22:30:05 UTC"' in text(client.get("/runs/"))
    client.cookies["zone"] = "Europe%2FBerlin"
    assert 'title="15 May 2026, 00:30:05 CEST"' in text(client.get("/runs/"))
    assert timezone.get_current_timezone_name() == "UTC"


@pytest.mark.django_db
def test_a_date_and_time_is_edited_in_the_readers_zone_and_kept_in_utc():
    CustomField.objects.create(name="last_visit", label="Last visit", type="datetime")
    ada = contact(last_visit="2026-05-14T09:30:00Z")
    client = client_of(OPERATOR)
    client.cookies["zone"] = "Europe/Berlin"
    address = f"{ada.get_absolute_url()}edit/"
    page = client.get(address)
    assert 'value="2026-05-14T11:30:00"' in text(page)
    sent = {
        "first_name": "Ada", "initial-first_name": "Ada", "last_name": "Lovelace", "initial-last_name": "Lovelace",
        "custom_last_visit": "2026-05-14T12:00", "initial-custom_last_visit": "2026-05-14T11:30:00",
    }  # fmt: skip
    assert client.post(address, sent).status_code == 302
    ada.refresh_from_db()
    assert ada.custom_fields["last_visit"] == "2026-05-14T10:00:00Z"


@pytest.mark.once
@pytest.mark.parametrize(
    ("path", "zone"),
    [("/contacts/", "Europe/Berlin"), ("/api/contacts/", "UTC"), ("/webhooks/retell/", "UTC")],
)
def test_machines_are_answered_in_utc_whatever_the_cookie(path: str, zone: str):
    request = RequestFactory().get(path)
    request.COOKIES["zone"] = "Europe/Berlin"
    answer = ReaderZone(lambda _: HttpResponse(timezone.get_current_timezone_name()))(request)
    assert answer.content.decode() == zone
