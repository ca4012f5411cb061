"""What a provider is given to work with: settings and secrets of one connection, and the seams to shared state. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from contacts.values import FieldType


class TokenStore(Protocol):
    """Where a session token lives between processes; one refresh at a time."""

    def get(self) -> Mapping[str, str] | None:
        """The stored token, or None."""
        ...

    def refresh(
        self, stale: Mapping[str, str] | None, fetch: Callable[[], Mapping[str, str]]
    ) -> Mapping[str, str]:
        """The token that replaces `stale`: another process's newer one, else the result of `fetch`, stored for all."""
        ...


class MemoryTokens:
    """A TokenStore of one process."""

    def __init__(self) -> None:
        self._token: Mapping[str, str] | None = None

    def get(self) -> Mapping[str, str] | None:
        """The stored token, or None."""
        return self._token

    def refresh(
        self, stale: Mapping[str, str] | None, fetch: Callable[[], Mapping[str, str]]
    ) -> Mapping[str, str]:
        """Fetch unless the token has been replaced since."""
        if self._token is None or self._token == stale:
            self._token = fetch()
        return self._token


def _ignore(_quota: Mapping[str, int]) -> None:
    return None


def _no_wait(_kind: str) -> None:
    return None


def _no_count(_kind: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Setup:
    """One connection as its provider sees it.

    `tenant_url`: https base address, or plain-http loopback when `allow_insecure`. `secrets`: by the names in the registry.
    `region`: for phones without country code. `report_quota(usage)` is called when the vendor tells, with some of
    "used" and "total" (calls of the day) and "burst" (calls in ten seconds). `count(kind)` is called for every request:
    "auth", "schema" or "" for the work itself.
    `options`: provider-specific settings of the connection. `phone_fields`: the CRM's phone fields in priority order.
    `field_types`: types from the cached schema, which spare a provider that needs them a call, as do `activity_fields`, the
    answer of `permissions()`. `web_base`: the answer of `check()`, for links, and `time_zone` too, for what the vendor keeps
    by the account's own day. `pace(kind)` is called before each
    request ("search", "write", "read"): it waits until one may be sent, and raises RateLimited when the day's share for
    this work is used up.
    """

    tenant_url: str
    secrets: Mapping[str, str]
    region: str = "US"
    allow_insecure: bool = False
    phone_fields: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    tokens: TokenStore = field(default_factory=MemoryTokens)
    report_quota: Callable[[Mapping[str, int]], None] = _ignore
    pace: Callable[[str], None] = _no_wait
    count: Callable[[str], None] = _no_count
    field_types: Mapping[str, FieldType] = field(default_factory=dict)
    activity_fields: tuple[str, ...] = ()
    web_base: str = ""
    time_zone: str = ""
    timeout: tuple[float, float] = (5.0, 30.0)
