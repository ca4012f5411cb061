"""What must be true at the end of the demo, looked up where it counts: in the CRMs' own records and in our book."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from activity.models import Conversation
from contacts.models import Contact, ContactChange, snapshot
from crmsync.demo import story
from crmsync.demo.story import CALL_ID, CHAT_ID, Crm
from integrations.models import Connection
from sync.models import ExternalRecord, RecordState

NO_PHONE_OR_BAD = ("no_phone", "bad_phone")


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table; `step` names what the line depends on."""

    step: str
    what: str
    expected: Any
    seen: Any

    @property
    def ok(self) -> bool:
        """Whether what was seen is what was expected."""
        return bool(self.expected == self.seen)


@dataclass(slots=True)
class Facts:
    """What the checks look at.

    `writes_before` and `waited`: CRM writes and waiting contacts before outbound was approved; `variables`: what the agent
    was given; `writes_after`: CRM writes of the quiet second sync.
    """

    salesforce: Crm
    hubspot: Crm
    number: str
    before: dict[str, Any]
    variables: dict[str, str] = field(default_factory=dict)
    writes_before: int = 0
    waited: int = 0
    writes_after: int = 0


def lines(facts: Facts) -> list[Line]:
    """Every line of the table, in the order of the story."""
    contact = story.contact_of(facts.number)
    return [
        *_imports(facts),
        *_approval(facts),
        *_contact(facts, contact),
        *_salesforce(facts),
        *_hubspot(facts),
        *_variables(facts),
        Line("quiet", "writes to either CRM by a sync right after", 0, facts.writes_after),
    ]


def _imports(facts: Facts) -> Iterator[Line]:
    usable: dict[str, set[str]] = {}
    for crm in (facts.salesforce, facts.hubspot):
        numbers = crm.numbers()
        usable[crm.name] = set(numbers) - {""}
        rows = ExternalRecord.objects.filter(connection__provider=crm.name)
        step = f"{crm.name}-import"
        yield Line(
            step,
            f"{crm.name}: contacts linked",
            len(usable[crm.name]),
            rows.filter(state=RecordState.LINKED).count(),
        )
        skipped = rows.filter(state=RecordState.SKIPPED)
        unusable = skipped.filter(reason__in=NO_PHONE_OR_BAD).count()
        yield Line(step, f"{crm.name}: without a usable phone", len(numbers.get("", [])), unusable)
        again = sum(len(ids) - 1 for number, ids in numbers.items() if number)
        yield Line(
            step,
            f"{crm.name}: second record of a number",
            again,
            skipped.filter(reason="duplicate_number").count(),
        )
    everybody = usable["salesforce"] | usable["hubspot"]
    yield Line("import", "contacts in the book, each number once", len(everybody), Contact.objects.count())


def _approval(facts: Facts) -> Iterator[Line]:
    yield Line("approval", "writes to either CRM before outbound was approved", 0, facts.writes_before)
    yield Line("approval", "changed contacts waited for the approval", True, facts.waited > 0)
    names = Connection.objects.order_by("rank").values_list("name", flat=True)
    armed = list(names.filter(armed_at__isnull=False))
    yield Line("approval", "connections that may be written to", ", ".join(names), ", ".join(armed))


def _contact(facts: Facts, contact: Contact | None) -> Iterator[Line]:
    values = snapshot(contact) if contact else {}
    talked = Conversation.objects.filter(contact=contact).count() if contact else 0
    yield Line("call", "conversations on the customer", 2, talked)
    yield Line("overwrite", "plan, overwritten by the call", "Enterprise", values.get("plan"))
    yield Line(
        "fill_if_empty", "nickname, filled by the call, kept by the chat", "Captain", values.get("nickname")
    )
    notes = str(values.get("notes"))
    parts = [
        *str(facts.before["notes"]).splitlines(),
        "Wants a demo of reporting.",
        "Demo confirmed for Thursday.",
    ]
    once = [notes.count(part) for part in parts]
    yield Line("merge", "notes: old, call and chat merged, each once", [1] * len(parts), once)
    explained = (
        ContactChange.objects.filter(contact=contact, source_kind="conversation").count() if contact else 0
    )
    yield Line("history", "changes explained by a conversation", True, explained >= 2)


def _salesforce(facts: Facts) -> Iterator[Line]:
    crm = facts.salesforce
    record_id = crm.numbers()[facts.number][0]
    fields = crm.fields(record_id)
    yield Line("salesforce-push", "Salesforce Plan__c", "Enterprise", fields["Plan__c"])
    yield Line("salesforce-push", "Salesforce Nickname__c", "Captain", fields["Nickname__c"])
    yield Line(
        "salesforce-push", "Salesforce Phone as its users typed it", facts.before["Phone"], fields["Phone"]
    )
    for step, marker, subtype in (("call", CALL_ID, "Call"), ("chat", CHAT_ID, "Task")):
        tasks = [
            (row["kind"], row["fields"].get("TaskSubtype"), row["fields"].get("Status"))
            for row in crm.activities(record_id, marker)
        ]
        yield Line(
            f"salesforce-activity {step}",
            f"Salesforce Task for the {step}",
            [("task", subtype, "Completed")],
            tasks,
        )
    durations = [row["fields"].get("CallDurationInSeconds") for row in crm.activities(record_id, CALL_ID)]
    yield Line("salesforce-activity call", "Salesforce Task: seconds of the call", [184], durations)


def _hubspot(facts: Facts) -> Iterator[Line]:
    crm = facts.hubspot
    record_id = crm.numbers()[facts.number][0]
    fields = crm.fields(record_id)
    yield Line("hubspot-push", "HubSpot plan", "enterprise", fields["plan"])
    yield Line("hubspot-push", "HubSpot nickname", "Captain", fields["nickname"])
    calls = [
        (row["kind"], row["fields"].get("hs_call_duration"), row["fields"].get("hs_call_direction"))
        for row in crm.activities(record_id, CALL_ID)
    ]
    yield Line("hubspot-activity call", "HubSpot Call", [("call", "184000", "INBOUND")], calls)
    chats = [
        (row["kind"], row["fields"].get("hs_communication_channel_type"))
        for row in crm.activities(record_id, CHAT_ID)
    ]
    yield Line("hubspot-activity chat", "HubSpot Communication", [("communication", "SMS")], chats)


def _variables(facts: Facts) -> Iterator[Line]:
    for name, expected in (("plan", "Enterprise"), ("nickname", "Captain")):
        yield Line("variables", f"the next call's agent is told: {name}", expected, facts.variables.get(name))


def table(rows: list[Line]) -> str:
    """The table for people: what, expected, seen."""
    cells = [("", "what", "expected", "seen")]
    cells += [("ok" if row.ok else "WRONG", row.what, str(row.expected), str(row.seen)) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
