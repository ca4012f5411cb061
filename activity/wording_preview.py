"""What a connection would log of a conversation by templates that are not saved yet, as the CRM would get it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from activity.models import Conversation
from activity.wording import Wording, activity_of, worded
from integrations.connections import open_provider
from integrations.models import Connection
from integrations.providers.errors import ProviderError
from sync.models import ExternalRecord, RecordState

LATEST = 30


@dataclass(frozen=True, slots=True)
class WordingPreview:
    """The words, and the CRM's own fields with them; `why_not`: why those cannot be told."""

    wording: Wording
    fields: Mapping[str, str] = field(default_factory=dict)
    why_not: str = ""


def preview(conversation: Conversation, connection: Connection, title: str, body: str) -> WordingPreview:
    """What would be sent to the CRM; nothing is, and the CRM is not asked."""
    wording = worded(conversation, title, body)
    linked = ExternalRecord.objects.filter(
        connection=connection, contact=conversation.contact_id or 0, state=RecordState.LINKED
    )
    record = linked.values_list("external_id", flat=True).first() or ""
    try:
        with open_provider(connection) as provider:
            sent = provider.activity_fields(activity_of(conversation, wording, record))
    except ProviderError as error:
        return WordingPreview(wording, why_not=error.message)
    return WordingPreview(wording, {name: str(value) for name, value in sent.items()})


def latest() -> list[Conversation]:
    """Conversations to try templates on, those with an analysis first: they have something to say."""
    rows = Conversation.objects.select_related("contact").defer("payload", "transcript")
    return sorted(rows[:LATEST], key=lambda one: not one.analyzed)
