"""The yardstick of the list pages: who asks, the rows, how many there are, and a table of them; no framework, no permissions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import Any

from bench.bare import POSTGRES, execute

_PEOPLE = (
    "SELECT id, first_name, last_name, phone_number, conversation_count, last_conversation_at, updated_at"
    " FROM contacts_contact"
)
_CALLS = (
    "SELECT c.id, c.started_at, p.first_name, p.last_name, c.channel, c.summary, c.sentiment"
    " FROM activity_conversation c LEFT JOIN contacts_contact p ON p.id = c.contact_id"
)
_ANYWHERE = "first_name || ' ' || last_name || ' ' || phone_number || ' ' || CAST(custom_fields AS TEXT)"
_SCORE = (
    "CAST(custom_fields ->> 'score' AS INTEGER)" if POSTGRES else "json_extract(custom_fields, '$.score')"
)
_PLAN = "custom_fields ->> 'plan' = 'pro'"
# Name → which rows, in which order. The rest is the same for all.
LISTS = {
    "contacts": (_PEOPLE, "", "created_at DESC, id DESC", 0),
    "contacts, searched": (
        _PEOPLE, f"lower({_ANYWHERE}) LIKE '%family%' AND lower({_ANYWHERE}) LIKE '%77%'", "created_at DESC, id DESC", 0,
    ),
    "contacts, by number": (_PEOPLE, "phone_number = '+14155600777'", "id", 0),
    "contacts, mistyped": (_PEOPLE, f"{_ANYWHERE} LIKE '%41556007777%' OR phone_number = '+14155600777'", "id", 0),
    "contacts, filtered": (_PEOPLE, f"{_PLAN} AND {_SCORE} BETWEEN 10 AND 20", f"{_SCORE}, id", 0),
    "contacts, last page": (_PEOPLE, "", "last_conversation_at DESC NULLS LAST, id DESC", 9950),
    "conversations": (_CALLS, "sentiment = 'Positive'", "c.started_at DESC, c.id DESC", 0),
    "runs": ("SELECT id, state, kind, counts, started_at, finished_at FROM sync_syncrun", "", "id DESC", 0),
    "issues": (
        "SELECT id, kind, message, advice, count, first_at, last_at FROM sync_syncissue", "state IN ('open', 'parked')",
        "last_at DESC, id DESC", 0,
    ),
    "deliveries": (
        "SELECT id, event, conversation_key, state, note, received_at FROM activity_webhookdelivery", "state = 'parked'",
        "id DESC", 0,
    ),
    "reviews": (
        "SELECT id, contact_field, old, new, merged FROM activity_mergereview", "state = 'waiting'", "id DESC", 0,
    ),
}  # fmt: skip
_SESSION = "SELECT session_data FROM django_session WHERE session_key = ?"
_MOST = 10_001


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """GET /<number of the list in LISTS>."""
    execute(_SESSION, (environ.get("HTTP_COOKIE", "").rpartition("sessionid=")[2],)).fetchone()
    select, where, order, offset = list(LISTS.values())[int(environ["PATH_INFO"].strip("/"))]
    found = f"{select} WHERE {where}" if where else select
    rows = execute(
        f"{found} ORDER BY {order} LIMIT 50 OFFSET {offset}".replace("%", "%%" if POSTGRES else "%"), ()
    ).fetchall()
    table = found.partition(" FROM ")[2]
    counted = f"SELECT COUNT(*) FROM (SELECT 1 FROM {table} LIMIT {_MOST}) AS found"
    total = execute(counted.replace("%", "%%" if POSTGRES else "%"), ()).fetchone()[0]
    lines = ("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    page = f"<!DOCTYPE html><title>{total}</title><table>{''.join(lines)}</table>".encode()
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(page)))])
    return [page]
