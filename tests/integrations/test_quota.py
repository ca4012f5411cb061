"""The day's calls: counted by purpose, shared out, forecast; and our own brake is not the CRM's."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from integrations.connections import open_provider, record_failure, test_connection
from integrations.models import ApiUse, Connection
from integrations.providers.errors import RateLimited
from integrations.quota import BUDGET, Purpose, usage

Connect = Callable[..., Connection]
DATA = "/data/"


def use(connection: Connection, purpose: Purpose) -> None:
    with open_provider(Connection.objects.get(pk=connection.pk), purpose) as provider:
        provider.check()


def told(used: int, *, hours_ago: float = 0, total: int = 1000) -> None:
    at = timezone.now() - timedelta(hours=hours_ago)
    Connection.objects.update(quota={"used": used, "total": total, "at": at.isoformat()})


def asked(sandbox: Any) -> int:
    return len(sandbox.control.requests(system="salesforce", path=DATA))


def test_calls_are_counted_by_what_they_were_for(connect: Connect) -> None:
    connection = connect("salesforce")
    assert test_connection(connection)
    use(connection, Purpose.PULL)
    use(connection, Purpose.ACTIVITY)
    use(connection, Purpose.ACTIVITY)
    assert usage(connection).purposes == {"auth": 1, "check": 1, "schema": 1, "pull": 1, "activity": 2}
    assert usage(connection).today == 6


def test_the_vendors_count_is_kept_with_its_time(connect: Connect, sandbox: Any) -> None:
    connection = connect("salesforce")
    sandbox.control.change_settings("salesforce", daily_used=70_000)
    use(connection, Purpose.PULL)
    connection.refresh_from_db()
    now = usage(connection)
    assert (now.used, now.total, now.waiting) == (70_001, 100_000, "")
    assert now.share == pytest.approx(0.70001)
    assert now.at is not None


def test_hubspots_daily_and_burst_limits_are_read_from_its_answers(connect: Connect) -> None:
    connection = connect("hubspot")
    use(connection, Purpose.PULL)
    connection.refresh_from_db()
    assert connection.quota["total"] == 650_000
    assert connection.quota["burst"] == 190


@pytest.mark.parametrize(
    ("used", "going_on"),
    [
        (799, {Purpose.PULL, Purpose.PUSH, Purpose.ACTIVITY, Purpose.CHECK}),
        (800, {Purpose.PUSH, Purpose.ACTIVITY, Purpose.CHECK}),
        (949, {Purpose.PUSH, Purpose.ACTIVITY, Purpose.CHECK}),
        (950, {Purpose.CHECK}),
    ],
)
def test_reads_stop_at_80_percent_and_writes_at_95(
    connect: Connect, used: int, going_on: set[Purpose]
) -> None:
    connection, went_on = connect("salesforce"), set()
    for purpose in (Purpose.PULL, Purpose.PUSH, Purpose.ACTIVITY, Purpose.CHECK):
        told(used)
        with suppress(RateLimited):
            use(connection, purpose)
            went_on.add(purpose)
    assert went_on == going_on


def test_what_is_held_back_costs_no_call_and_does_not_pause_the_connection(
    connect: Connect, sandbox: Any
) -> None:
    connection = connect("salesforce")
    told(900)
    with pytest.raises(RateLimited) as caught:
        use(connection, Purpose.PULL)
    assert asked(sandbox) == 0
    assert (caught.value.scope, caught.value.daily) == (BUDGET, True)
    record_failure(connection, caught.value)
    connection.refresh_from_db()
    assert connection.paused_until is None
    assert usage(connection).waiting == "reads"


def test_an_old_reading_lets_one_call_ask_anew(connect: Connect, sandbox: Any) -> None:
    connection = connect("salesforce")
    told(990, hours_ago=2)
    sandbox.control.change_settings("salesforce", daily_used=85_000)
    use(connection, Purpose.PULL)
    with pytest.raises(RateLimited):
        use(connection, Purpose.PULL)
    assert asked(sandbox) == 1


def test_a_quota_that_is_really_used_up_pauses_the_connection(connect: Connect, sandbox: Any) -> None:
    connection = connect("salesforce")
    sandbox.control.change_settings("salesforce", daily_used=100_000)
    with pytest.raises(RateLimited) as caught:
        use(connection, Purpose.ACTIVITY)
    record_failure(connection, caught.value)
    assert connection.paused_until is not None
    assert connection.paused_until > timezone.now() + timedelta(minutes=30)


def test_the_forecast_goes_on_as_today(connect: Connect) -> None:
    connection = connect("salesforce")
    noon = datetime(2026, 5, 14, 12, tzinfo=UTC)
    ApiUse.objects.create(connection=connection, day=noon.date(), purpose="pull", calls=300)
    connection.quota = {"used": 500, "total": 1000, "at": noon.isoformat()}
    assert usage(connection, noon).forecast == 800
    connection.quota = {}
    assert usage(connection, noon).forecast is None


def test_a_connection_deleted_while_it_is_used_leaves_no_counts(connect: Connect) -> None:
    connection = connect("salesforce")
    with open_provider(connection) as provider:
        provider.check()
        Connection.objects.filter(pk=connection.pk).delete()
    assert not ApiUse.objects.exists()
