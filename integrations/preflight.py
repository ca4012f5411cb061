"""Whether a connection can do what it is set up for, line by line, with what to do about each thing that is missing.

It changes nothing in the CRM. The layers above say which fields they map; the result is kept on the connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import NamedTuple

from django.utils import timezone

from contacts.values import FieldType, convertible
from integrations.connections import (
    open_provider,
    record_failure,
    store_account,
    store_permissions,
    store_schema,
)
from integrations.models import Connection
from integrations.providers.base import ExternalField, Permissions
from integrations.providers.errors import AuthError, NeedsAttention, ProviderError, RateLimited
from integrations.providers.registry import PROVIDERS
from integrations.quota import usage


class Level(StrEnum):
    """How bad a line is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Needs(StrEnum):
    """What a mapping does with a CRM field; `create`: it is given when a record is created."""

    READ = "read"
    WRITE = "write"
    CREATE = "create"


class Wanted(NamedTuple):
    """A CRM field that a mapping uses, and the type of the contact field on the other side."""

    field: str
    needs: str
    type: FieldType | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One finding: `what` is a sentence, `fix` what to do about it ("" where nothing)."""

    level: Level
    what: str
    fix: str = ""


def preflight(connection: Connection, wanted: Sequence[tuple[str, str] | Wanted] = ()) -> list[Line]:
    """Look at everything the connection needs; the lines are returned and stored. Never raises ProviderError."""
    lines = list(_lines(connection, [Wanted(*one) for one in wanted]))
    now, rows = timezone.now(), [asdict(line) for line in lines]
    Connection.objects.filter(pk=connection.pk).update(preflight=rows, preflight_at=now)
    connection.preflight, connection.preflight_at = rows, now
    return lines


def _lines(connection: Connection, wanted: Sequence[Wanted]) -> Iterator[Line]:
    try:
        with open_provider(connection) as provider:
            account = provider.check()
            store_account(connection, account)
            store_schema(connection, provider)
            permissions = provider.permissions()
            store_permissions(connection, permissions)
    except ProviderError as error:
        record_failure(connection, error, checked=isinstance(error, AuthError))
        yield Line(Level.ERROR, error.message, _remedy(error))
        return
    edition = f" ({account.edition})" if account.edition else ""
    yield Line(Level.OK, f"The CRM answers as {account.name}{edition}.")
    yield from _allowed(connection, permissions, writes=any(one.needs == Needs.WRITE for one in wanted))
    yield from _fields(connection.external_fields(), wanted)
    if connection.sync_new_contacts:
        yield from _required(connection, wanted)
    yield _quota(connection)


def _remedy(error: ProviderError) -> str:
    if isinstance(error, AuthError):
        return "Enter new credentials and test the connection."
    if isinstance(error, RateLimited):
        return "It goes on by itself; give the CRM's API more room if this comes back."
    if isinstance(error, NeedsAttention):
        return "Mend the cause in the CRM or in this connection's settings, then test it."
    return "Test the connection again in a few minutes."


def _allowed(connection: Connection, may: Permissions, *, writes: bool) -> Iterator[Line]:
    if may.lacking:
        yield Line(
            Level.ERROR, f"Missing in the CRM: {', '.join(may.lacking)}.", "Grant them to the user or key."
        )
    uses = {
        "update contacts": (writes, may.update_contacts),
        "create contacts": (connection.sync_new_contacts, may.create_contacts),
        "log conversations": (connection.sync_conversation_activity, may.log_activities),
    }
    for what, (on, allowed) in uses.items():
        if on and allowed is False:
            fix = "Grant it in the CRM, or switch it off here."
            yield Line(Level.ERROR, f"The connection's user may not {what}.", fix)
        elif on and allowed is None:
            yield Line(
                Level.WARNING, f"The CRM does not tell whether this connection may {what}.", "Try it once."
            )
        elif on:
            yield Line(Level.OK, f"The connection may {what}.")
    yield from (
        Line(Level.WARNING, hint, "Change the connection's options or the CRM.") for hint in may.hints
    )


def _fields(schema: Mapping[str, ExternalField], wanted: Sequence[Wanted]) -> Iterator[Line]:
    found = [(one.field, _field(schema.get(one.field), one)) for one in wanted]
    bad = {name for name, line in found if line is not None and line.level is Level.ERROR}
    if good := len({name for name, _ in found} - bad):
        words = "mapped field is there and may" if good == 1 else "mapped fields are there and may"
        yield Line(Level.OK, f"{good} {words} be used as mapped.")
    yield from dict.fromkeys(line for _, line in found if line is not None)


def _field(field: ExternalField | None, one: Wanted) -> Line | None:
    if field is None:
        what = f"The CRM has no contact field “{one.field}”, or hides it from the connection's user."
        return Line(Level.ERROR, what, "Let the user see it, or change the mapping.")
    if one.needs == Needs.WRITE and not field.writable:
        why = "is computed by the CRM" if field.calculated else "is read-only for the connection's user"
        return Line(
            Level.ERROR, f"“{field.label}” {why}.", "Let the user edit it, or remove the outbound mapping."
        )
    if one.needs == Needs.CREATE and not field.createable:
        return Line(
            Level.ERROR, f"“{field.label}” cannot be set on new records.", "Map the number to another field."
        )
    source, target = (field.type, one.type) if one.needs == Needs.READ else (one.type, field.type)
    if source is not None and target is not None and not convertible(source, target):
        return Line(
            Level.ERROR, f"“{field.label}”: a {source} cannot become a {target}.", "Change the mapping."
        )
    if one.needs == Needs.READ and field.calculated:
        what = f"“{field.label}” is computed by the CRM, which may not report its changes."
        return Line(Level.WARNING, what, "They are found by the next reconciliation at the latest.")
    return None


def _required(connection: Connection, wanted: Sequence[Wanted]) -> Iterator[Line]:
    """New records need these, and nothing feeds them."""
    fed = {one.field for one in wanted if one.needs in (Needs.WRITE, Needs.CREATE)}
    fed |= {name.removeprefix("default.") for name in connection.options}
    fed |= set(PROVIDERS[connection.provider].names_itself)
    for field in connection.external_fields().values():
        if field.required and field.createable and field.name not in fed:
            what = f"The CRM requires “{field.label}” on new records and nothing feeds it."
            fix = f"Add an outbound mapping to it, or the option default.{field.name}."
            yield Line(Level.ERROR, what, fix)


def _quota(connection: Connection) -> Line:
    now = usage(connection)
    if now.used is None or not now.total:
        return Line(Level.OK, "The CRM does not tell how many API calls are left.")
    what = f"{now.used:,} of {now.total:,} API calls of the day are used."
    more = "Raise the CRM's limit, or have other software ask less."
    if now.waiting:
        held = "Reading and writing wait." if now.waiting == "writes" else "Reading in the background waits."
        return Line(Level.ERROR if now.waiting == "writes" else Level.WARNING, f"{what} {held}", more)
    if now.forecast is not None and now.forecast > now.total:
        return Line(Level.WARNING, f"{what} At this pace they will not last the day.", more)
    return Line(Level.OK, what)
