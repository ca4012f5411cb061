"""How we reach HubSpot: versioned paths, safe retries, and what it means when no answer comes."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Self, cast

from urllib3 import BaseHTTPResponse
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError
from urllib3.exceptions import TimeoutError as NoAnswerInTime

from integrations.providers.errors import OutcomeUnknown, ProviderError, Transient
from integrations.providers.repeats import CountedRetry

DEFAULT_VERSION = "2026-03"
_LONGEST_WAIT = 10.0
_VERSIONED = re.compile(r"/(crm)/v[34]/(objects|properties|associations|owners)(?=/)|/(account-info)/v3(?=/)")


def versioned(url: str, version: str) -> str:
    """The SDK's path in the API version of the connection: it only knows v3 and v4, HubSpot dates its versions."""
    if version == "v3":
        return url
    return _VERSIONED.sub(lambda match: _dated(match, version), url, count=1)


def kind_of(url: str) -> str:
    """What a call is for, as far as its address tells: "schema" or ""."""
    return "schema" if "/properties/" in url else ""


def _dated(match: re.Match[str], version: str) -> str:
    return f"/{match[3]}/{version}" if match[3] else f"/{match[1]}/{match[2]}/{version}"


class PatientRetry(CountedRetry):
    """Repeats what was refused with a short 429, or never sent; never a call whose answer was lost.

    A 429 that asks for a long wait, or speaks of the day's quota, is answered at once: workers must not sleep it out.
    """

    @classmethod
    def recipe(cls) -> Self:
        """As proved against the SDK: a timed-out POST is sent once, 429s are repeated for any method."""
        return cls(
            total=5,
            connect=3,
            read=0,
            redirect=0,
            status=3,
            other=0,
            status_forcelist=(429,),
            allowed_methods=None,
            raise_on_status=False,
            backoff_factor=0.5,
        )

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """The next state, or MaxRetryError, which hands the response to the caller."""
        if response is not None and (
            _wait_of(response) > _LONGEST_WAIT or b"DAILY" in (response.data or b"")
        ):
            raise MaxRetryError(cast("ConnectionPool", _pool), url)
        return super().increment(method, url, response, error, _pool, _stacktrace)

    def get_backoff_time(self) -> float:
        """After a bounce at least the second for which HubSpot counts: urllib3 would come again at once."""
        bounced = bool(self.history) and self.history[-1].status == 429
        return max(1.0 if bounced else 0.0, super().get_backoff_time())


def _wait_of(response: BaseHTTPResponse) -> float:
    told = str(response.headers.get("Retry-After") or "")
    return float(told) if told.isdecimal() else 0.0 if not told else _LONGEST_WAIT + 1


def never_sent(error: HTTPError) -> bool:
    """Whether the request certainly did not reach the server: no connection was made."""
    reason = error.reason if isinstance(error, MaxRetryError) else error
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def lost(error: HTTPError, *, once: bool) -> ProviderError:
    """The error for an answer that never came. `once`: it may have been written, and must not be sent again unseen."""
    if once and not never_sent(error):
        words = "The answer of HubSpot was lost; the record may have been written."
        return OutcomeUnknown(words, code="answer_lost")
    reason = getattr(error, "reason", None)
    if isinstance(error, NoAnswerInTime) or isinstance(reason, NoAnswerInTime):
        return Transient("HubSpot did not answer in time.", code="timeout")
    return Transient("HubSpot could not be reached.", code="network")
