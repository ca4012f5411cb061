"""When to try again: exponential with jitter, ten times, and then a person is asked."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from django.utils import timezone

MAX_ATTEMPTS = 10


def next_attempt(attempts: int) -> datetime:
    """The time of the next try after `attempts` failures: 5 s doubled each time, at most an hour, plus up to a quarter."""
    seconds = min(5.0 * 2 ** min(max(attempts - 1, 0), 12), 3600.0)
    return timezone.now() + timedelta(seconds=seconds * random.uniform(1.0, 1.25))


def next_retry(attempts: int) -> datetime:
    """When an issue is tried again by itself after `attempts` tries: 5 minutes doubled each time, at most a day, spread."""
    minutes = min(5.0 * 2 ** min(attempts, 12), 24 * 60.0)
    return timezone.now() + timedelta(minutes=minutes * random.uniform(1.0, 1.25))
