"""Turns under a shared rate limit: no window of the vendor ever sees more than it allows."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.db import connections as databases

from integrations.connections import open_provider, set_credentials
from integrations.models import Connection, Pace
from integrations.pace import LONGEST_WAIT, limit_key, take_turn
from integrations.providers.errors import RateLimited
from integrations.providers.registry import PROVIDERS, Rate
from integrations.quota import Meter, Purpose

pytestmark = pytest.mark.django_db
SEARCH, GENERAL = PROVIDERS["hubspot"].rates["search"], PROVIDERS["hubspot"].rates[""]


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def sent(rate: Rate, count: int, clock: Clock | None = None) -> list[float]:
    clock, times = clock or Clock(), []
    for _ in range(count):
        take_turn("portal", rate, clock=clock, sleep=clock.sleep)
        times.append(clock.now)
    return times


def most_in(times: list[float], seconds: float) -> int:
    return max(sum(1 for other in times if start <= other < start + seconds) for start in times)


def test_searches_never_exceed_five_in_a_second() -> None:
    assert most_in(sent(SEARCH, 30), 1.0) <= 5


def test_other_calls_never_exceed_a_hundred_in_ten_seconds() -> None:
    times = sent(GENERAL, 300)
    assert most_in(times, 10.0) <= 100
    assert times[29] == times[0]


def test_a_larger_limit_that_the_vendor_tells_is_used() -> None:
    assert most_in(sent(GENERAL.scaled(190), 500), 10.0) <= 190
    assert GENERAL.scaled(190).per_second == pytest.approx(11.4)
    assert GENERAL.scaled(None) == GENERAL
    assert SEARCH.scaled(190) == SEARCH


def test_after_a_rest_a_burst_is_free_again() -> None:
    clock = Clock()
    sent(GENERAL, 40, clock)
    clock.sleep(60)
    assert len(set(sent(GENERAL, 30, clock))) == 1


def test_a_turn_that_is_too_far_off_is_not_slept_for_and_not_taken() -> None:
    clock = Clock()
    Pace.objects.create(key="portal", free_at=clock.now + LONGEST_WAIT + 5)
    with pytest.raises(RateLimited) as caught:
        sent(SEARCH, 1, clock)
    assert caught.value.retry_after == pytest.approx(LONGEST_WAIT + 5)
    assert not caught.value.daily
    assert Pace.objects.get().free_at == clock.now + LONGEST_WAIT + 5


def test_a_clock_that_was_set_back_does_not_stop_everything() -> None:
    clock = Clock()
    Pace.objects.create(key="portal", free_at=clock.now + 86_400)
    assert sent(SEARCH, 2, clock) == [1_000_000.0, 1_000_000.25]


def test_hosts_whose_clocks_differ_share_one_limit() -> None:
    """Each host's own clock is an hour off; the turns go by the database's all the same."""
    slept: list[float] = []
    began = time.time()
    for hours in (-1, 0, 1, -1, 1):
        with time_machine.travel(began + hours * 3600, tick=True):
            slept.append(take_turn("portal", Rate(2), sleep=lambda _seconds: None))
    assert slept[0] == 0
    assert slept[1:] == pytest.approx([0.5, 1.0, 1.5, 2.0], abs=0.3)
    assert Pace.objects.get().free_at == pytest.approx(began + 2.5, abs=2)


def test_a_turn_costs_one_read_and_one_write(django_assert_num_queries: Any) -> None:
    take_turn("portal", Rate(100))
    with django_assert_num_queries(2):
        take_turn("portal", Rate(100))


def test_a_limit_is_named_without_its_credential() -> None:
    key = limit_key("pat-secret", "", "search")
    assert "pat-secret" not in key
    assert key != limit_key("pat-other", "", "search")


@pytest.mark.django_db(transaction=True)
def test_processes_take_different_turns() -> None:
    slept: list[float] = []

    def work() -> None:
        clock = Clock()
        turns = [
            take_turn("portal", Rate(100), clock=lambda: 1_000_000.0, sleep=clock.sleep) for _ in range(5)
        ]
        slept.extend(turns)
        databases.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(round(one, 2) for one in slept) == [round(place * 0.01, 2) for place in range(20)]


def test_two_connections_to_one_portal_share_its_limits(
    connect: Callable[..., Connection], sandbox: Any
) -> None:
    sandbox.control.change_settings("hubspot", enforce_limits=True)
    one, other = connect("hubspot"), connect("hubspot")
    for connection in (one, other, one, other, one, other, one):
        with open_provider(connection, Purpose.PUSH) as provider:
            provider.find_by_phone(["+14155550142"], ["firstname"], ["phone"])
    statuses = {row["status"] for row in sandbox.control.requests(system="hubspot", path="search")}
    assert statuses == {200}
    assert Pace.objects.count() == 2


def test_searches_are_of_the_account_and_other_calls_of_the_credential(
    connect: Callable[..., Connection],
) -> None:
    one, other = connect("hubspot"), connect("hubspot")
    Connection.objects.update(web_base="https://app.hubspot.com/contacts/48123456")
    set_credentials(other, {"access_token": "pat-another"})
    for connection in Connection.objects.all():
        Meter(connection, Purpose.PUSH).admit("search")
    assert Pace.objects.count() == 1
    for connection in Connection.objects.all():
        Meter(connection, Purpose.PUSH).admit("write")
    assert Pace.objects.count() == 3
    Connection.objects.filter(pk=one.pk).update(web_base="")
    Meter(Connection.objects.get(pk=one.pk), Purpose.PUSH).admit("search")
    assert Pace.objects.count() == 4
