"""Merge two of our contacts that are one person: one survives with its values, everything else of the other joins it.

Both rows are locked for the whole of it, and the rooms above are reached through the foreign keys alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import F, ForeignObjectRel, Model
from django.utils import timezone

from contacts.changes import Edit, Source, change_contacts
from contacts.models import Contact, ContactAlias, FormerContactId, snapshot
from contacts.values import Value
from sync import issues
from sync.identity import JOINED
from sync.models import ExternalRecord, PendingPush, RecordState, SyncIssue
from sync.touch import want_pushes
from sync.wake import wake

_OURS = ("contacts", "sync")
_SINGLE = ("conversation_count", "last_conversation_at", "archived_at")


class CannotJoin(ValueError):
    """The two contacts cannot be merged now; the text says why."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What a merge did: `filled` fields taken from the loser, `released` (connection, CRM id) records that lost their link."""

    contact: Contact
    filled: dict[str, Value]
    moved: dict[str, int] = field(default_factory=dict)
    released: list[tuple[str, str]] = field(default_factory=list)


def merge_contacts(winner: Contact, loser: Contact, by: str) -> Joined:
    """Merge `loser` into `winner`, whose values, number and id stay; `by` names the person.

    The loser's number becomes an alias and its public id keeps leading to the winner. An opt-out of either stays. Raises
    CannotJoin when they are the same, when one is gone, or while a CRM record is being created for one of them.
    """
    if winner.pk == loser.pk:
        raise CannotJoin("A contact cannot be merged with itself.")
    for attempt in range(3):
        try:
            with transaction.atomic():
                joined = _join(winner.pk, loser.pk, by)
            break
        except OperationalError:
            # A conversation that is being taken in waits for us while we wait for it: the database has let one of us go.
            if attempt == 2 or connection.in_atomic_block:
                raise
    wake()
    return joined


def _join(winner_id: int, loser_id: int, by: str) -> Joined:
    _lock_above(loser_id)
    # Locked with their keys: nothing may begin to refer to the loser any more.
    locked = Contact.objects.select_for_update().filter(pk__in=[winner_id, loser_id]).order_by("pk")
    contacts = {contact.pk: contact for contact in locked}
    if len(contacts) < 2:
        raise CannotJoin("One of the contacts is gone.")
    winner, loser = contacts[winner_id], contacts[loser_id]
    released = _join_links(winner, loser)
    filled = _fill(winner, loser, by)
    winner.tags.add(*loser.tags.all())
    _close_doubled_issues(winner, loser)
    moved = _repoint(winner, loser)
    _add_up(winner, loser)
    _hand_over_names(winner, loser)
    return Joined(winner, filled, moved, released)


def _relations() -> list[ForeignObjectRel]:
    return [relation for relation in Contact._meta.related_objects if not relation.many_to_many]


def _lock_above(loser_id: int) -> None:
    """The rooms above lock their own rows before a contact: so do we."""
    for relation in _relations():
        if relation.related_model._meta.app_label not in _OURS:
            rows = _rows(relation, loser_id).select_for_update(no_key=True).order_by("pk")
            list(rows.values_list("pk", flat=True))


def _rows(relation: ForeignObjectRel, contact_id: int) -> Any:
    model: type[Model] = relation.related_model
    return model._default_manager.filter(**{relation.field.attname: contact_id})


def _join_links(winner: Contact, loser: Contact) -> list[tuple[str, str]]:
    """Where both have a record the winner's stays linked; a record that only the loser has goes on with the winner."""
    released: list[tuple[str, str]] = []
    links = ExternalRecord.objects.filter(contact_id__in=[winner.pk, loser.pk]).select_related("connection")
    of_winner = {link.connection_id: link for link in links if link.contact_id == winner.pk}
    if any(link.create_sent_at for link in links):
        raise CannotJoin("A CRM record is just being created for one of them. Try again in a few minutes.")
    for link in links:
        if link.contact_id != loser.pk:
            continue
        kept = of_winner.get(link.connection_id)
        if kept is not None and kept.state == RecordState.CREATING:
            kept.delete()
            kept = None
        if kept is None:
            _pass_on(link, winner)
        elif link.state == RecordState.CREATING:
            link.delete()
        else:
            released.append((link.connection.name, link.external_id or ""))
            _release(link, loser)
    _join_pushes(winner, loser)
    return released


def _pass_on(link: ExternalRecord, winner: Contact) -> None:
    # The settled pairs stay: what the winner holds instead is a change made here, and is carried out as one.
    link.contact, link.fingerprint = winner, ""
    link.save(update_fields=["contact", "fingerprint", "updated_at"])
    want_pushes(link.connection, [winner.pk], urgent=True)


def _release(link: ExternalRecord, loser: Contact) -> None:
    link.contact, link.state, link.reason = None, RecordState.SKIPPED, JOINED
    link.number = link.number or loser.phone_number
    link.settled, link.skipped_fields, link.fingerprint = {}, {}, ""
    link.save()


def _join_pushes(winner: Contact, loser: Contact) -> None:
    """What waited for the loser waits for the winner now, once for each connection."""
    waiting = PendingPush.objects.filter(contact=loser).select_related("connection")
    for row in list(waiting):
        want_pushes(row.connection, [winner.pk], urgent=row.urgent)
    waiting.delete()


def _fill(winner: Contact, loser: Contact, by: str) -> dict[str, Value]:
    """The winner's blanks take the loser's values, through the one door."""
    held, theirs = snapshot(winner), snapshot(loser)
    wanted = {name: value for name, value in theirs.items() if value is not None and held.get(name) is None}
    if loser.do_not_call:
        wanted["do_not_call"] = True
    label = f"Merge with {loser.phone_number} by {by}"
    source = Source("merge", f"contact:{loser.public_id}", label, {"merged": loser.public_id})
    written = change_contacts({winner.pk: winner}, [Edit(winner.pk, wanted)], source=source)[0]
    return {name: new for name, (_, new) in written.changed.items()}


def _close_doubled_issues(winner: Contact, loser: Contact) -> None:
    """Of a question that both have open, the winner's stays."""
    of_winner = SyncIssue.objects.filter(contact=winner, state__in=issues.OPEN)
    keys = set(of_winner.values_list("connection_id", "kind", "external_id", "field"))
    for issue in SyncIssue.objects.filter(contact=loser, state__in=issues.OPEN):
        if (issue.connection_id, issue.kind, issue.external_id, issue.field) in keys:
            issue.state, issue.closed_at = SyncIssue.State.RESOLVED, timezone.now()
            issue.save(update_fields=["state", "closed_at"])


def _repoint(winner: Contact, loser: Contact) -> dict[str, int]:
    """Everything that refers to the loser refers to the winner; where only one row may, the winner's stays."""
    moved: dict[str, int] = {}
    for relation in _relations():
        name, rows = relation.field.attname, _rows(relation, loser.pk)
        try:
            with transaction.atomic():
                count = rows.update(**{name: winner.pk})
        except IntegrityError:
            count = sum(_repoint_one(row, name, winner) for row in rows)
        if count:
            moved[str(relation.related_model._meta.verbose_name_plural)] = count
    return moved


def _repoint_one(row: Model, name: str, winner: Contact) -> bool:
    try:
        with transaction.atomic():
            type(row)._default_manager.filter(pk=row.pk).update(**{name: winner.pk})
    except IntegrityError:
        return False
    return True


def _add_up(winner: Contact, loser: Contact) -> None:
    """Conversations add up; the merged contact is archived only if both were."""
    latest = [at for at in (winner.last_conversation_at, loser.last_conversation_at) if at]
    Contact.objects.filter(pk=winner.pk).update(
        conversation_count=F("conversation_count") + loser.conversation_count,
        last_conversation_at=max(latest, default=None),
        archived_at=winner.archived_at if loser.archived_at else None,
    )
    winner.refresh_from_db(fields=_SINGLE)


def _hand_over_names(winner: Contact, loser: Contact) -> None:
    """The loser's number and public id lead to the winner from now on."""
    Contact.objects.filter(pk=loser.pk).delete()
    ContactAlias.objects.filter(phone_number__in=[loser.phone_number, winner.phone_number]).delete()
    ContactAlias.objects.create(contact=winner, phone_number=loser.phone_number)
    FormerContactId.objects.create(contact=winner, public_id=loser.public_id)
