"""Where a connection's set-up stands. Rows are the state: whoever leaves it, takes it up where it is, on any machine."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet
from django.urls import reverse

from integrations.models import Connection, ConnectionStatus
from mappings.compatibility import PHONE
from sync.models import SyncRun


@dataclass(frozen=True, slots=True)
class Step:
    """One page of the set-up. `done`: nothing is left to do there; `open`: it can be entered; `current`: the one shown."""

    title: str
    about: str
    url: str
    done: bool
    open: bool
    current: bool


STEPS = (
    ("setup-access", "Access", "Credentials, test and pre-flight"),
    ("setup-mappings", "Mappings", "Which fields belong together"),
    ("setup-dry-run", "Dry run", "See what will happen, and approve it"),
    ("setup-sync", "First sync", "Everything is read once"),
)


def unfinished() -> QuerySet[Connection]:
    """Connections that have never been read to their end, the latest first."""
    rows = Connection.objects.filter(first_full_run_at=None).defer("credentials", "token", "options")
    return rows.order_by("-created_at")


def steps_of(connection: Connection, current: str = "") -> list[Step]:
    """The steps in order; each can be entered once those before it are done."""
    reached, found = True, []
    for (name, title, about), done in zip(STEPS, _done(connection), strict=True):
        url = reverse(name, args=[connection.public_id])
        found.append(Step(title, about, url, reached and done, reached, name == current))
        reached = reached and done
    return found


def next_of(connection: Connection) -> str:
    """Where the set-up goes on: the first step that is not done, or the last."""
    return reached(connection)[0].url


def reached(connection: Connection) -> tuple[Step, int, int]:
    """The step at which the set-up goes on, its number, and of how many."""
    steps = steps_of(connection)
    number = next((at for at, step in enumerate(steps) if not step.done), len(steps) - 1)
    return steps[number], number + 1, len(steps)


def may_enter(connection: Connection, name: str) -> bool:
    """Whether the steps before this one are done."""
    return next(step.open for step in steps_of(connection, name) if step.current)


def _done(connection: Connection) -> tuple[bool, bool, bool, bool]:
    runs = SyncRun.objects.filter(connection=connection)
    return (
        connection.status == ConnectionStatus.CONNECTED and bool(connection.schema),
        connection.inbound_mappings.filter(contact_field=PHONE).exists(),
        connection.first_full_run_at is not None or connection.armed_at is not None or runs.exists(),
        connection.first_full_run_at is not None,
    )
