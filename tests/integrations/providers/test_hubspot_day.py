"""When HubSpot's day of calls ends, by the account's own clock."""

from datetime import datetime

import pytest

from integrations.providers.hubspot_day import LOOK_AGAIN, to_midnight, zone_of
from integrations.providers.hubspot_errors import DAILY_PAUSE, error_of

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("zone", "now", "wait"),
    [
        ("UTC", "2026-05-14T23:00:00Z", 3_660),
        ("US/Eastern", "2026-05-14T23:00:00Z", 5 * 3_600 + 60),
        ("Europe/Berlin", "2026-05-14T21:00:00Z", 3_660),
        ("Asia/Kolkata", "2026-05-14T17:30:00Z", 3_660),
        ("Europe/Berlin", "2026-03-28T23:00:00Z", LOOK_AGAIN),
        ("Europe/Berlin", "2026-03-29T00:30:00Z", 21.5 * 3_600 + 60),
        ("Europe/Berlin", "2026-10-25T00:00:00Z", 23 * 3_600 + 60),
        ("-05:30", "2026-05-14T23:30:00Z", 6 * 3_600 + 60),
        ("+02:00", "2026-05-14T22:00:30Z", LOOK_AGAIN),
        ("+02:00", "2026-05-14T22:59:59Z", LOOK_AGAIN),
        ("+02:00", "2026-05-14T23:00:00Z", 23 * 3_600 + 60),
        ("Mars/Olympus", "2026-05-14T23:00:00Z", None),
        ("", "2026-05-14T23:00:00Z", None),
        ("+99:00", "2026-05-14T23:00:00Z", None),
    ],
)
def test_the_wait_goes_to_the_accounts_midnight(zone: str, now: str, wait: float | None) -> None:
    assert to_midnight(zone, datetime.fromisoformat(now)) == wait


@pytest.mark.parametrize(
    ("name", "offset", "kept"),
    [("Europe/Berlin", "+01:00", "Europe/Berlin"), ("Mars/Olympus", "-05:00", "-05:00"), (None, "+0530", "+0530"),
     ("../etc/passwd", None, ""), ("Mars/Olympus", "soon", ""), (None, None, "")],
)  # fmt: skip
def test_an_unknown_zone_is_kept_as_its_offset(name: object, offset: object, kept: str) -> None:
    assert zone_of(name, offset) == kept


@pytest.mark.parametrize(
    ("told", "day_left", "wait"),
    [
        ("7", 500.0, 500),
        ("900", 500.0, 900),
        ("", 500.0, 500),
        ("7", None, DAILY_PAUSE),
        ("", None, DAILY_PAUSE),
    ],
)
def test_a_used_up_day_waits_for_its_end_and_longer_where_hubspot_says_so(
    told: str, day_left: float | None, wait: float
) -> None:
    error = error_of(429, {"policyName": "DAILY"}, {"Retry-After": told}, day_left=day_left)
    assert error.retry_after == wait  # type: ignore[attr-defined]
