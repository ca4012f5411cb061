"""The indexes that finding contacts needs on PostgreSQL and that no model can declare, made where they are missing.

A number or date field has an index of its own, which comes and goes with the field; the search's needs the extension
pg_trgm. `settle` runs at every migration and once a minute: an extension that a database administrator adds later is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.backends.utils import CursorWrapper

log = structlog.get_logger(__name__)
# What a search looks through, as `finding.Held` writes it: an index answers only the very expression it was made of.
SEARCHED = (
    "first_name || '\n' || last_name || '\n' || phone_number || '\n' || "
    """jsonb_path_query_array(custom_fields, '$.* ? (@.type() != "boolean")')::text"""
)
TRIGRAMS = "gin_trgm_ops"
# By name: the table, and what stands behind it. The layers above add theirs when they load.
trigram_indexes = {"contact_search": ("contacts_contact", f"USING gin (upper({SEARCHED}) {TRIGRAMS})")}
_ALWAYS = {
    "contact_values": ("contacts_contact", "USING gin (custom_fields jsonb_path_ops)"),
    # SQLite has no NULLS LAST in an index, so the model cannot declare it.
    "contact_last_conversation": ("contacts_contact", "(last_conversation_at DESC NULLS LAST, id DESC)"),
}
_OF_A_FIELD = "contact_value_"
_TURN = 7_146_201  # the advisory lock of whoever makes indexes; any number that nobody else uses
NO_EXTENSION = (
    "Searches of contacts read the whole table, because the extension pg_trgm is missing and this database user may "
    "not add it. Let a database administrator run CREATE EXTENSION pg_trgm in this database; the rest follows by itself."
)


def settle(*, add_extension: bool = False) -> list[str]:
    """Make the indexes that are missing and drop those whose field is gone; returns what was made, by name.

    Outside of a transaction nothing is locked meanwhile. Does nothing on other databases than PostgreSQL.
    """
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor, _one_at_a_time(cursor) as mine:
        if not mine:
            return []
        trigrams = _has_extension(cursor) or (add_extension and _add_extension(cursor))
        wanted, there = _wanted(cursor, trigrams=trigrams), _there(cursor)
        for name in there:
            if name not in wanted and name.startswith(_OF_A_FIELD):
                _run(cursor, "DROP INDEX", f'IF EXISTS "{name}"')
        made = [name for name in wanted if name not in there]
        for name in made:
            table, definition = wanted[name]
            _run(cursor, "CREATE INDEX", f'IF NOT EXISTS "{name}" ON {table} {definition}')
    if made:
        log.info("indexes_made", names=made)
    return made


def _wanted(cursor: CursorWrapper, *, trigrams: bool) -> dict[str, tuple[str, str]]:
    fixed = _ALWAYS | (trigram_indexes if trigrams else {})
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    tables = {name for (name,) in cursor.fetchall()}  # in the midst of migrations some are yet to come
    wanted = {name: index for name, index in fixed.items() if index[0] in tables}
    cursor.execute(
        "SELECT id, name FROM contacts_customfield WHERE type IN ('number', 'date', 'datetime') ORDER BY id"
    )
    for pk, name in cursor.fetchall():
        held = "'" + name.replace("'", "''") + "'"
        # Not only of those who have a value: PostgreSQL would not use what it knows of a partial index's values.
        wanted[f"{_OF_A_FIELD}{pk}"] = ("contacts_contact", f"((custom_fields -> {held}), id)")
    return wanted


def _there(cursor: CursorWrapper) -> set[str]:
    """The indexes of this schema; one whose making was broken off is dropped, so that it is made again."""
    cursor.execute(
        "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema()"
    )
    found = dict(cursor.fetchall())
    for name in [name for name, valid in found.items() if not valid and _ours(name)]:
        _run(cursor, "DROP INDEX", f'IF EXISTS "{name}"')
        del found[name]
    return set(found)


def _ours(name: str) -> bool:
    return name in trigram_indexes or name in _ALWAYS or name.startswith(_OF_A_FIELD)


def _run(cursor: CursorWrapper, what: str, which: str) -> None:
    """Without locking the table where that is possible: not in a transaction."""
    cursor.execute(f"{what} {'' if connection.in_atomic_block else 'CONCURRENTLY'} {which}")


def _has_extension(cursor: CursorWrapper) -> bool:
    cursor.execute("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")
    return cursor.fetchone() is not None


def _add_extension(cursor: CursorWrapper) -> bool:
    try:
        with transaction.atomic():
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DatabaseError:
        log.warning("search_not_indexed", advice=NO_EXTENSION)
        return False
    return True


@contextmanager
def _one_at_a_time(cursor: CursorWrapper) -> Iterator[bool]:
    """Whether it is our turn; making an index of millions of rows outlasts a minute."""
    cursor.execute("SELECT pg_try_advisory_lock(%s)", [_TURN])
    row = cursor.fetchone()
    mine = bool(row and row[0])
    try:
        yield mine
    finally:
        if mine:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_TURN])
