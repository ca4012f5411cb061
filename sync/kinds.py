"""Every kind of sync issue in one table: what it is called, what to do about it, and whether trying again can help."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """Whose matter it is."""

    APPROVAL = "waits for approval"
    QUESTION = "question"
    RECORD = "record"
    NUMBER = "phone number"
    MAPPING = "mapping"
    CONNECTION = "connection"
    CONVERSATION = "conversation"


class Retry(StrEnum):
    """How a kind of issue is tried again."""

    NONE = ""
    PUSH = "push the contact again"
    CREATE = "create the record again"
    READ = "read the record again"
    RUN = "sync again"
    FULL = "read everything again"
    SCHEMA = "read the CRM's fields again"


@dataclass(frozen=True, slots=True)
class Kind:
    """`words` name it in a list. `automatic`: tried again by itself. `aggregate`: one issue stands for many records."""

    words: str
    advice: str
    category: Category
    retry: Retry = Retry.NONE
    automatic: bool = False
    aggregate: bool = False


KINDS: dict[str, Kind] = {
    "outbound_not_armed": Kind(
        "Outbound sync waits for its first approval",
        "Look at the outbound preview of the connection and approve it. Until then nothing is written to the CRM.",
        Category.APPROVAL,
        aggregate=True,
    ),
    "push_held": Kind(
        "Outbound sync is held",
        "Look at what would be overwritten. Approve it, or correct the mapping or the values first.",
        Category.APPROVAL,
        aggregate=True,
    ),
    "run_held": Kind(
        "A run waits for approval",
        "Look at the diff of the run and approve or reject it. Later syncs of the connection wait until then.",
        Category.APPROVAL,
        aggregate=True,
    ),
    "conflict": Kind("Changed on both sides", "Choose which value to keep.", Category.QUESTION),
    "ambiguous": Kind(
        "Several CRM records have the number",
        "Choose the record to link, or merge them in the CRM.",
        Category.QUESTION,
        Retry.CREATE,
    ),
    "oscillation": Kind(
        "Two CRMs fight over a field",
        "Mend the automation in one of the CRMs, then choose the value. Until then the field is not synced.",
        Category.QUESTION,
    ),
    "record_taken": Kind(
        "The record is linked to another contact",
        "Correct the number in the CRM, or merge the two contacts if they are one person.",
        Category.QUESTION,
        Retry.CREATE,
    ),
    "push_rejected": Kind(
        "The CRM refused a field",
        "Correct the value here or the field in the CRM; it is sent again when the value changes.",
        Category.RECORD,
        Retry.PUSH,
        automatic=True,
    ),
    "push_failed": Kind(
        "The CRM refused a record",
        "Mend the cause in the CRM and retry, or change the value here.",
        Category.RECORD,
        Retry.PUSH,
        automatic=True,
    ),
    "create_rejected": Kind(
        "The CRM refused to create a record",
        "Mend the cause in the CRM or the mapping, and retry.",
        Category.RECORD,
        Retry.CREATE,
        automatic=True,
    ),
    "create_failed": Kind(
        "A record could not be created",
        "Look for the contact in the CRM. It is tried again once an hour.",
        Category.RECORD,
        Retry.CREATE,
    ),
    "record_failed": Kind(
        "A record could not be read in",
        "The other records went on. Look at the record in the CRM; the server's log has the details.",
        Category.RECORD,
        Retry.READ,
        automatic=True,
    ),
    "phone_clash": Kind(
        "The number belongs to another contact",
        "Correct the number in the CRM, or merge the two contacts if they are one person.",
        Category.NUMBER,
        Retry.READ,
        automatic=True,
    ),
    "no_phone": Kind(
        "Records without a phone number",
        "Fill in the mapped phone field in the CRM, or map another one.",
        Category.NUMBER,
        Retry.FULL,
        aggregate=True,
    ),
    "bad_phone": Kind(
        "Records whose phone number is not valid",
        "Correct the numbers in the CRM, or set the connection's country.",
        Category.NUMBER,
        Retry.FULL,
        aggregate=True,
    ),
    "duplicate_number": Kind(
        "Records that share a number",
        "Merge the records in the CRM, if they are one person.",
        Category.NUMBER,
        Retry.FULL,
        aggregate=True,
    ),
    "joined": Kind(
        "Records of contacts that were merged here",
        "Merge the records in the CRM as well, or choose the one to link.",
        Category.NUMBER,
        Retry.FULL,
        aggregate=True,
    ),
    "broken_mapping": Kind(
        "A mapping does nothing",
        "Change or remove the mapping, or give the connection's user access to the field.",
        Category.MAPPING,
        Retry.SCHEMA,
    ),
    "push_blocked": Kind(
        "Nothing can be pushed",
        "Change or remove the mapping, or give the connection's user access to the field.",
        Category.MAPPING,
        Retry.SCHEMA,
        aggregate=True,
    ),
    "run_failed": Kind("A sync stopped", "Mend the cause and sync again.", Category.CONNECTION, Retry.RUN),
    "long_pause": Kind(
        "The connection was away for long",
        "Everything is compared once, because the CRM forgets deletes and merges after about two weeks.",
        Category.CONNECTION,
        aggregate=True,
    ),
    "activity_failed": Kind(
        "A conversation could not be logged",
        "Mend the cause in the CRM, then have it logged again on the conversation's page.",
        Category.CONVERSATION,
    ),
    "activity_delayed": Kind(
        "No conversation can be logged",
        "Look at the connection and at the CRM's own status. Nothing is lost: all are tried once an hour.",
        Category.CONVERSATION,
        aggregate=True,
    ),
    "activity_wording": Kind(
        "Conversations are logged in the usual words",
        "Correct the template on the connection's page, where it can be previewed. What was logged is then worded anew.",
        Category.CONVERSATION,
        aggregate=True,
    ),
}
_OTHER = Kind("Something needs a person", "", Category.RECORD)


def kind_of(name: str) -> Kind:
    """The table's row; a kind that it lacks is shown as a matter for a person."""
    return KINDS.get(name, _OTHER)
