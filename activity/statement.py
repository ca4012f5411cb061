"""One SQL statement for the two doors, where milliseconds count: no question before it, and no sleep in a queue.

Django asks a kept connection whether it still works before each request's first statement; here the statement itself
shows it. SQLite has one writer at a time, and whoever meets another one there sleeps for whole milliseconds: threads of
one process take turns before they come to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

T = TypeVar("T")
_turn = threading.Lock()


def read(sql: str, values: Sequence[Any]) -> list[Any]:
    """The rows of a query."""
    return _repeated(_connection(), sql, values, _fetch)[1]


def write(sql: str, values: Sequence[Any]) -> int:
    """The number of rows written by a statement that may be run twice without harm."""
    return _in_turn(sql, values, _count)[0]


def write_and_look(sql: str, values: Sequence[Any], look: str) -> tuple[int, bool]:
    """`write` of one row at most, and whether `look`, a query of one value, then gives a true one (False: nothing written).

    SQLite's statement has the writer's place from its beginning to its end, so it may look as it writes. On PostgreSQL
    another transaction could come between the look and the end of the write: there the look is a second statement.
    """
    if _connection().vendor == "sqlite":
        _, rows = _in_turn(f"{sql} RETURNING ({look})", values, _fetch)
        return len(rows), bool(rows and rows[0][0])
    return _in_turn(
        sql, values, lambda cursor: (int(cursor.rowcount), bool(cursor.rowcount and _asked(cursor, look)))
    )


def _in_turn(sql: str, values: Sequence[Any], then: Callable[[Any], T]) -> T:
    connection = _connection()
    # Within a transaction the writer's place may be ours already, and whoever has the turn waits for it.
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        with _turn:
            return _run(connection, sql, values, then)
    return _repeated(connection, sql, values, then)


def _repeated(
    connection: BaseDatabaseWrapper, sql: str, values: Sequence[Any], then: Callable[[Any], T]
) -> T:
    if connection.in_atomic_block:
        return _run(connection, sql, values, then)
    connection.health_check_done = True  # type: ignore[attr-defined]
    try:
        return _run(connection, sql, values, then)
    except (OperationalError, InterfaceError):
        if connection.is_usable():
            raise
        connection.close()  # it had died since the last request: the next use opens it anew
        return _run(connection, sql, values, then)


def _run(connection: BaseDatabaseWrapper, sql: str, values: Sequence[Any], then: Callable[[Any], T]) -> T:
    with _cursor(connection) as cursor:
        cursor.execute(sql, values)
        return then(cursor)


def _count(cursor: Any) -> tuple[int, list[Any]]:
    return int(cursor.rowcount), []


def _fetch(cursor: Any) -> tuple[int, list[Any]]:
    """To the last row: before that SQLite does not end the statement."""
    rows = cursor.fetchall()
    return len(rows), rows


def _asked(cursor: Any, look: str) -> bool:
    cursor.execute(look)
    row = cursor.fetchone()
    return bool(row and row[0])


def _connection() -> BaseDatabaseWrapper:
    return connections[DEFAULT_DB_ALIAS]


def _cursor(connection: BaseDatabaseWrapper) -> Any:
    """A cursor that sends long bodies as they are; Django's usual one for PostgreSQL writes them out as SQL text first."""
    if connection.vendor != "postgresql":
        return connection.cursor()
    from django.db.backends.postgresql.base import ServerBindingCursor

    connection.ensure_connection()
    make: Any = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    return make(cast("Any", ServerBindingCursor)(connection.connection))
