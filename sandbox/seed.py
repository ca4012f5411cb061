"""The people of both CRMs: deterministic, messy as in life, with counts that can be derived and asserted."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

PLANS = ("Free", "Starter", "Pro", "Enterprise")
FIRST = ("Ada", "Grace", "Linus", "Margaret", "Alan", "Barbara", "Edsger", "Radia", "Donald", "Frances",
         "Niklaus", "Hedy", "Claude", "Katherine", "Ken", "Joan", "José", "Zoë", "Søren", "Anaïs",
         "Oluwaseun", "Mei", "Noor")  # fmt: skip
LAST = ("Lovelace", "Hopper", "Torvalds", "Hamilton", "Turing", "Liskov", "Dijkstra", "Perlman", "Knuth",
        "Allen", "Wirth", "Lamarr", "Shannon", "Johnson", "Thompson", "Clarke", "O'Brien", "García",
        "Müller", "Nguyễn", "Okafor", "Li")  # fmt: skip
JUNK = ("n/a", "call the office", "0000", "12", "+1", "unknown", "555", "x1234", "---", "ask Bob")


@dataclass(frozen=True, slots=True)
class Person:
    """One record as a CRM's users typed it; blank is None, `number` is the E.164 meant by `phone`, if any."""

    index: int
    first_name: str | None
    last_name: str
    phone: str | None
    number: str | None
    email: str | None
    do_not_call: bool
    plan: str | None
    lifetime_value: float | None
    renewal_date: date | None
    last_visit: datetime | None
    vip: bool | None
    notes: str | None
    modified: datetime


@dataclass(frozen=True, slots=True)
class Expected:
    """What one CRM's people are: records = no_phone + junk + usable; usable = numbers + duplicates."""

    records: int
    no_phone: int
    junk: int
    usable: int
    numbers: int
    duplicates: int


def expected(count: int = 500) -> Expected:
    """The counts that `people(count, ...)` is built to have (5% no phone, 3% junk, 10 numbers twice)."""
    no_phone, junk = count * 5 // 100, count * 3 // 100
    twice = _twice(count)
    usable = count - no_phone - junk
    return Expected(count, no_phone, junk, usable, usable - twice, twice)


def shared_numbers(count: int = 500) -> int:
    """How many numbers stand in both CRMs: 40 of 500, and the same share of smaller worlds."""
    return min(40, count * 8 // 100)


def _twice(count: int) -> int:
    return min(10, count * 2 // 100)


def people(crm: str, count: int = 500) -> list[Person]:
    """The people of `crm` ("salesforce" or "hubspot"), oldest first; always the same for the same count.

    The first `shared_numbers(count)` have numbers that both CRMs hold; the next ten numbers appear twice.
    """
    rng = random.Random(f"{crm}-{count}")
    want, shared, twice = expected(count), shared_numbers(count), _twice(count)
    area = {"salesforce": 415, "hubspot": 212}[crm]
    numbers = [f"+1646555{1000 + i:04d}" for i in range(shared)]
    numbers += [f"+1{area}{200 + i // 10000}{i % 10000:04d}" for i in range(want.numbers - shared)]
    numbers += numbers[shared : shared + twice]
    phones: list[tuple[str | None, str | None]] = [(number, None) for number in numbers]
    phones += [(None, None)] * want.no_phone
    phones += [(None, JUNK[i % len(JUNK)]) for i in range(want.junk)]
    step = _seconds_between(count)
    return [_person(rng, i, number, step, raw) for i, (number, raw) in enumerate(phones)]


def _seconds_between(count: int) -> int:
    """Seconds between two records' modified stamps: small enough that a large world ends before today."""
    return max(1, min(37, 3_000_000 // max(1, count)))


def _person(rng: random.Random, index: int, number: str | None, step: int, raw: str | None) -> Person:
    start = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
    first, last = rng.choice(FIRST), rng.choice(LAST)
    return Person(
        index=index,
        first_name=None if rng.random() < 0.05 else first,
        last_name=last,
        phone=raw if raw is not None else _spelling(rng, number),
        number=number,
        email=None if rng.random() < 0.2 else f"person{index}@example.com",
        do_not_call=rng.random() < 0.04,
        plan=rng.choice((*PLANS, None)),
        lifetime_value=rng.choice((None, 0.0, round(rng.uniform(10, 90000), 2))),
        renewal_date=None if rng.random() < 0.3 else date(2026, 1, 1) + timedelta(days=rng.randrange(700)),
        last_visit=None if rng.random() < 0.4 else start - timedelta(minutes=rng.randrange(400_000)),
        vip=rng.choice((True, False, None)),
        notes=rng.choice(
            (None, None, "Prefers mornings.", "Asked for a quote.\nCall back in May.", 'Says "maybe".')
        ),
        modified=start + timedelta(seconds=step * index),
    )


def _spelling(rng: random.Random, number: str | None) -> str | None:
    """A North American number as people type it; every spelling means the same E.164 number."""
    if number is None:
        return None
    a, b, c = number[2:5], number[5:8], number[8:]
    return rng.choice((
        number, f"({a}) {b}-{c}", f"{a}-{b}-{c}", f"{a}.{b}.{c}", f"{a}{b}{c}", f"+1 {a} {b} {c}",
        f"1-{a}-{b}-{c}",        f" {a} {b} {c} ", f"+1 ({a}) {b}-{c}", f"011 1 {a} {b} {c}", f"{a}/{b}-{c}",
        f"+1{a}{b}{c} ext. 12", f"{a}\u2011{b}\u2011{c}",
    ))  # fmt: skip
