"""What can go wrong at a CRM, as one closed tree. Vendor exceptions never leave a provider module. Pure.

ProviderError
├─ Transient            try again with backoff: 5xx, timeout, network, row lock
│  └─ RateLimited       wait until `retry_after` has passed; costs no attempt
├─ OutcomeUnknown       a write whose answer was lost: look before sending again
├─ NeedsAttention       pause the connection and tell a person; items wait, none are lost
│  ├─ AuthError         credentials refused after one refresh
│  └─ ConfigError       a mapping names a field that is missing, read-only or hidden
├─ Rejected             this record only: validation, too long, picklist, duplicate rule
├─ RecordGone           deleted or merged: follow the merge, or unlink
└─ AmbiguousMatch       several candidates: a person picks once
"""

from __future__ import annotations


class ProviderError(Exception):
    """A CRM said no, or nothing. The message is short, safe to show and holds no personal data.

    `status` is the HTTP status or None; `code` the vendor's error code; `field` the CRM field at fault, if the vendor named
    one; `request_id` the vendor's correlation id.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        field: str = "",
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.field = field
        self.request_id = request_id


class Transient(ProviderError):
    """Nothing was written; the same call may succeed later."""


class RateLimited(Transient):
    """The CRM asks to wait `retry_after` seconds. `daily`: the day's quota is used up; `scope` names the limit."""

    def __init__(
        self, message: str, *, retry_after: float, daily: bool = False, scope: str = "", **details: object
    ) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.retry_after = retry_after
        self.daily = daily
        self.scope = scope


class OutcomeUnknown(ProviderError):
    """A write was sent and its answer lost: it may have been applied."""


class NeedsAttention(ProviderError):
    """Only a person can mend this; the connection pauses and its work waits."""


class AuthError(NeedsAttention):
    """The CRM refuses the credentials, also after one refresh."""


class ConfigError(NeedsAttention):
    """A mapping names a CRM field (`field`) that is missing, read-only or hidden, or a setting of the connection is wrong."""


class Rejected(ProviderError):
    """The CRM refuses this one record; others are unaffected."""


class RecordGone(ProviderError):
    """The record is deleted, or merged into `merged_into`."""

    def __init__(self, message: str, *, merged_into: str | None = None, **details: object) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.merged_into = merged_into


class AmbiguousMatch(ProviderError):
    """Several records match; `candidates` are their ids."""

    def __init__(self, message: str, *, candidates: tuple[str, ...] = (), **details: object) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.candidates = candidates
