"""Several CRM records with one number, where a person is to choose: one question a contact, closed when it answers itself."""

from __future__ import annotations

from collections.abc import Iterable

from contacts.models import Contact
from integrations.models import Connection, DuplicatePolicy
from sync import issues
from sync.identity import JOINED
from sync.models import ExternalRecord, RecordState, SyncIssue


def ask_which(connection: Connection, contacts: Iterable[Contact]) -> None:
    """Ask about contacts whose number stands on several records, under the policy "ask" only."""
    people = {contact.pk: contact for contact in contacts}
    if connection.duplicate_policy != DuplicatePolicy.ASK or not people:
        return
    for pk, ids in _rivals(connection, people).items():
        if len(ids) > 1:
            issues.report(
                connection,
                "ambiguous",
                contact=people[pk],
                message=f"{len(ids)} CRM records have this contact's number.",
                detail={"candidates": ids},
                count=1,
            )


def close_answered(connection: Connection) -> None:
    """Close questions whose records have been merged, deleted or given other numbers, so that one is left."""
    rows = SyncIssue.objects.filter(connection=connection, kind="ambiguous", state__in=issues.OPEN)
    linked = rows.filter(contact__records__connection=connection, contact__records__state=RecordState.LINKED)
    people = {issue.contact.pk: issue.contact for issue in linked.select_related("contact") if issue.contact}
    if not people:
        return
    rivals = _rivals(connection, people)
    over = [pk for pk in people if len(rivals.get(pk, [])) < 2]
    if over:
        issues.resolve(connection, kind="ambiguous", contact_id__in=over)


def _rivals(connection: Connection, people: dict[int, Contact]) -> dict[int, list[str]]:
    """The ids of the records that compete for each contact, in their order."""
    numbers = {contact.phone_number: pk for pk, contact in people.items()}
    rows = ExternalRecord.objects.filter(connection=connection, external_id__isnull=False)
    linked = rows.filter(contact_id__in=people, state=RecordState.LINKED)
    free = rows.filter(number__in=numbers, state=RecordState.SKIPPED, contact=None).exclude(reason=JOINED)
    found: dict[int, list[str]] = {}
    for link in linked:
        found.setdefault(link.contact_id or 0, []).append(link.external_id or "")
    for link in free:
        found.setdefault(numbers[link.number], []).append(link.external_id or "")
    return {pk: sorted(ids) for pk, ids in found.items()}
