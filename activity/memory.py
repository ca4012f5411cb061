"""A contact's memory: a running brief that is rewritten after each conversation, under the same rules as a merge."""

from __future__ import annotations

from collections.abc import Callable

from activity import ledger, merging
from activity.asking import Wanted
from activity.governance import governance
from activity.models import AppliedMapping, Conversation
from activity.variables import dynamic_variables
from contacts.models import Contact

FIELD = "contact_memory"
# Of a very long conversation the beginning and the end are told; that is a few thousand tokens.
MOST_TOLD, KEPT = 24_000, 1_500
NOTHING_SAID = "The conversation has neither a transcript nor a summary."


def remember(conversation: Conversation, may_go_on: Callable[[], bool], *, may_ask: bool = True) -> bool:
    """Rewrite the memory of the conversation's contact, once; False when there was no time or leave for it."""
    if conversation.contact_id is None or conversation.applied_at is not None or not governance().memory:
        return True
    if ledger.applied(conversation, None):
        return True
    if not may_go_on():
        return False
    wanted = wanted_of(conversation)
    if wanted is not None:
        return merging.settle(wanted, may_go_on, may_ask=may_ask)
    ledger.record(conversation, None, AppliedMapping.Outcome.SKIPPED, NOTHING_SAID)
    return True


def wanted_of(conversation: Conversation) -> Wanted | None:
    """What the conversation adds to the memory; None when nothing of what was said is known."""
    told = material(conversation)
    if not told:
        return None
    rules, contact = governance(), Contact.objects.filter(pk=conversation.contact_id or 0).first()
    return Wanted(
        conversation,
        None,
        FIELD,
        "Memory",
        told,
        instruction=rules.memory_prompt,
        kept=(conversation.summary or conversation.transcript)[:KEPT].strip(),
        reviewed=rules.memory_reviewed,
        always=True,
        contact=_others(contact) if contact else {},
    )


def material(conversation: Conversation) -> str:
    """What the LLM is told of a conversation: its day, its summary, its transcript."""
    said, summary = conversation.transcript.strip(), conversation.summary.strip()
    if len(said) > MOST_TOLD:
        said = f"{said[: MOST_TOLD // 2]}\n…\n{said[-MOST_TOLD // 2 :]}"
    if not said and not summary:
        return ""
    heading = f"{conversation.get_channel_display()} of {conversation.moment:%Y-%m-%d}:"
    return "\n\n".join(part for part in (heading, summary, said) if part)


def _others(contact: Contact) -> dict[str, str]:
    return {name: text for name, text in dynamic_variables(contact).items() if name != FIELD}
