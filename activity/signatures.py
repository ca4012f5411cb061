"""Proof that an event comes from the platform: `X-Retell-Signature` over the raw bytes of the body.

The header is `v=<unix ms>,d=<64 lowercase hex>`; the digest is HMAC-SHA256 of the body followed by the digits of the
timestamp, keyed with an API key that may sign events. Source of the rule: the platform's SDK (its webhook verifier).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterable

from django.db.models import F
from django.utils import timezone

from activity.models import BadSignatures
from activity.remembered import Remembered

HEADER = "X-Retell-Signature"
TOLERANCE_MS = 300_000
_FORM = re.compile(r"v=([0-9]{1,15}),d=([0-9a-f]{64})")

# Where the signing keys are kept: the app above, which owns API keys, adds its source when it loads.
key_sources: list[Callable[[], Iterable[str]]] = []


class BadSignature(ValueError):
    """The request is not proven to come from the platform; the message is for its sender."""


class NoMatch(BadSignature):
    """In form and in time, but made with another key or for another body."""


def signing_keys() -> list[str]:
    """Every secret that may sign an event now."""
    return [key for source in key_sources for key in source()]


_recent_keys = Remembered(signing_keys)


def forget_keys() -> None:
    """A key was made or revoked: ask for them anew."""
    _recent_keys.forget()


def check(body: bytes, header: str | None) -> None:
    """Verify with the keys as they were two seconds ago at most; a key made meanwhile works all the same.

    Raises BadSignature. A key revoked by another process signs for two seconds more, one revoked here does not.
    """
    known = _recent_keys()
    try:
        verify(body, header, known)
    except NoMatch:
        fresh = _recent_keys.anew()
        if fresh == known:
            raise
        verify(body, header, fresh)


def sign(body: bytes, key: str, timestamp_ms: int) -> str:
    """The header value for a body, as the platform makes it."""
    return f"v={timestamp_ms},d={_digest(body, key, str(timestamp_ms))}"


def verify(body: bytes, header: str | None, keys: Iterable[str], *, now_ms: int | None = None) -> None:
    """Check the header against the raw body. Raises BadSignature.

    A stamp exactly five minutes old passes, one from the future within five minutes too. All keys are tried in
    constant time, so that two can be valid while a key is rotated.
    """
    if not header:
        raise BadSignature(f"The {HEADER} header is missing.")
    form = _FORM.fullmatch(header)
    if form is None:
        raise BadSignature(f"The {HEADER} header is not of the form v=<milliseconds>,d=<digest>.")
    stamp, given = form.groups()
    now_ms = int(time.time() * 1000) if now_ms is None else now_ms
    if abs(now_ms - int(stamp)) > TOLERANCE_MS:
        raise BadSignature("The signature is more than five minutes old, or its clock is wrong.")
    matches = [hmac.compare_digest(_digest(body, key, stamp), given) for key in keys]
    if not any(matches):
        raise NoMatch("The signature does not match.")


def count_bad() -> None:
    """Add one to today's count of refused requests."""
    today = timezone.now().date()
    if not BadSignatures.objects.filter(day=today).update(count=F("count") + 1):
        BadSignatures.objects.bulk_create([BadSignatures(day=today)], ignore_conflicts=True)
        BadSignatures.objects.filter(day=today).update(count=F("count") + 1)


def _digest(body: bytes, key: str, stamp: str) -> str:
    return hmac.new(key.encode(), body + stamp.encode(), hashlib.sha256).hexdigest()
