"""The contract between the product and a CRM. Native values, names and exceptions stop at the provider modules. Pure.

Values that cross this border are canonical (see contacts.values): str, int, float, bool or None; dates as "YYYY-MM-DD",
datetimes as "YYYY-MM-DDTHH:MM:SS[.ffffff]Z"; None for every blank. Times are the vendor's clock, aware, in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from contacts.values import FieldType, Value
from integrations.providers.errors import ProviderError


@dataclass(frozen=True, slots=True)
class Option:
    """One picklist value: `value` is what the CRM stores."""

    value: str
    label: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class ExternalField:
    """One field of the CRM's contact, as its schema describes it.

    `phone`: holds a phone number. `required`: must be given on create. `restricted`: only `options` are accepted.
    `createable`/`updateable`: the connection's user may write it so. `calculated`: computed by the CRM, read-only.
    """

    name: str
    label: str
    type: FieldType
    native_type: str = ""
    options: tuple[Option, ...] = ()
    restricted: bool = False
    createable: bool = True
    updateable: bool = True
    required: bool = False
    calculated: bool = False
    unique: bool = False
    phone: bool = False
    max_length: int | None = None
    description: str = ""

    @property
    def writable(self) -> bool:
        """Whether outbound mappings may target it."""
        return self.updateable and not self.calculated


@dataclass(frozen=True, slots=True)
class Record:
    """One CRM contact as read. `values` holds the fields that were asked for; a hidden field is absent, a blank is None.

    `modified` is the vendor's stamp. `merged_into` names the winner of a merge; `merged_ids` the losers that this record
    absorbed. A deleted record may have no values.
    """

    external_id: str
    values: Mapping[str, Value]
    modified: datetime | None = None
    deleted: bool = False
    merged_into: str | None = None
    merged_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Records oldest first. `cursor` may be stored once they are applied; asking `changes(cursor)` then goes on after them.

    `total`: how many records the whole listing has, where the vendor says so. `last`: nothing more for now.
    """

    records: Sequence[Record]
    cursor: str
    last: bool
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are in the CRM: the answer of `check()`.

    `web_base` is where people see records, for `Setup.web_base`; `time_zone` the account's, by its name or as +HH:MM,
    for `Setup.time_zone`; `edition` what the CRM was bought as, in the vendor's words.
    """

    account_id: str
    name: str
    user: str = ""
    edition: str = ""
    web_base: str = ""
    time_zone: str = ""


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the connection's user or token may do: the answer of `permissions()`.

    `lacking` names the scopes or fields that are missing, in the vendor's words; `hints` are sentences about settings that
    will not work as meant; `activity_fields` are those of an activity that may be written, for `Setup.activity_fields`.
    None, or none of them: the CRM does not tell.
    """

    create_contacts: bool | None = None
    update_contacts: bool | None = None
    log_activities: bool | None = None
    lacking: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    activity_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """New values for one record; only the fields to write, None clears."""

    external_id: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Creation:
    """One record to create. `key` is ours and stays the same when the creation is repeated."""

    key: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input of a batch: `external_id` on success, `error` otherwise.

    `created`: this call made the record (False: it was there before, or it was an update).
    """

    external_id: str | None = None
    error: ProviderError | None = None
    created: bool = False

    @property
    def ok(self) -> bool:
        """Whether the input was applied."""
        return self.error is None


class ActivityKind(StrEnum):
    """What is logged; the provider chooses the CRM object."""

    CALL = "call"
    SMS = "sms"
    WHATSAPP = "whatsapp"
    CHAT = "chat"


@dataclass(frozen=True, slots=True)
class Activity:
    """One conversation to log on one CRM contact.

    `marker` is the conversation's id: the provider puts it into a fixed place of the CRM object, so that
    `find_activity` recognises it. `duration_ms` None when unknown. `body` is plain text; of the addresses in it only `links`
    may be made to be followed, the others are somebody's words.
    """

    marker: str
    kind: ActivityKind
    contact_id: str
    title: str
    body: str
    started: datetime
    duration_ms: int | None = None
    direction: str = ""
    from_number: str = ""
    to_number: str = ""
    disconnection_reason: str = ""
    recording_url: str = ""
    external_id: str | None = None
    links: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)


class Provider(Protocol):
    """One CRM, for one connection. Every call has a timeout, sends a write at most once, and raises ProviderError only.

    Batch calls take any number of inputs, cut them into the vendor's sizes, and return one Outcome per input in order. What
    hits the connection as a whole (auth, rate limit, network) is raised while nothing was written yet; once a batch was
    written it is the outcome of every input that was not sent, so that no success is lost.
    """

    name: str

    @property
    def calls(self) -> int:
        """How many requests were sent so far, logins included."""
        ...

    def permissions(self) -> Permissions:
        """What the user or token may do, in a few calls that change nothing."""
        ...

    def check(self) -> Account:
        """Make one small authenticated call. Raises AuthError, ConfigError, Transient."""
        ...

    def fields(self) -> list[ExternalField]:
        """The live schema of the CRM's contact."""
        ...

    def changes(self, cursor: str, fields: Sequence[str], *, full: bool = False) -> Iterator[Page]:
        """Records changed since `cursor` ("" = everything), with an overlap, oldest first, deleted ones marked.

        `full` (or an empty cursor) reads everything; a page's cursor then resumes that listing. The last page's cursor is
        where the next incremental read starts. Any page may be read twice; none is skipped.
        """
        ...

    def read(self, external_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Record]:
        """The records by requested id, fresh from the CRM; a missing or purged one is absent, a merged one names its winner."""
        ...

    def find_by_phone(
        self, numbers: Sequence[str], fields: Sequence[str], phone_fields: Sequence[str]
    ) -> dict[str, list[Record]]:
        """Live records by E.164 number; the CRM's own spellings are normalised before they are compared."""
        ...

    def create(self, creations: Sequence[Creation]) -> list[Outcome]:
        """Create records. A lost answer is OutcomeUnknown in that input's outcome."""
        ...

    def update(self, updates: Sequence[Update]) -> list[Outcome]:
        """Write changed fields. Updates are idempotent: a lost answer may be Transient."""
        ...

    def log_activities(self, activities: Sequence[Activity]) -> list[Outcome]:
        """Create each activity, or update it where `external_id` is set. A lost answer to a create is OutcomeUnknown."""
        ...

    def activity_fields(self, activity: Activity) -> Mapping[str, Any]:
        """The CRM's fields of the activity exactly as they would be sent; needs no network. For previews."""
        ...

    def find_activity(self, marker: str, contact_id: str, kind: ActivityKind) -> str | None:
        """The id of the activity that carries the marker, read from strongly consistent storage, or None."""
        ...

    def web_url(self, external_id: str) -> str:
        """Where a person sees the record."""
        ...

    def activity_url(self, external_id: str, kind: ActivityKind, contact_id: str) -> str:
        """Where a person sees the activity."""
        ...

    def close(self) -> None:
        """Give back network connections."""
        ...
