"""The yardstick for the contact list on PostgreSQL: the key looked up, one page read and counted, written as JSON; nothing else.

Its statements are those that the product's come down to, so both use the same indexes. BENCH_DATABASE as in `bare.py`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from bench.bare import database

COLUMNS = (
    "id, public_id, phone_number, created_at, first_name, last_name, do_not_call, contact_memory, custom_fields,"
    " conversation_count, last_conversation_at, user_modified_at"
)
PAGE = f"SELECT {COLUMNS} FROM contacts_contact WHERE %s ORDER BY created_at DESC, id DESC LIMIT 51"
TOTAL = "SELECT count(*) FROM (SELECT 1 FROM contacts_contact WHERE %s ORDER BY created_at DESC, id DESC LIMIT 10001) AS c"
KEY = (
    "SELECT id FROM crmsync_apikey WHERE key_hash = %s AND (revoked_at IS NULL OR revoked_at > now())"
    " AND (expires_at IS NULL OR expires_at > now())"
)
TAGS = (
    "SELECT contact_id, t.id, label FROM contacts_contact_tags JOIN contacts_contacttag t ON t.id = contacttag_id"
    " WHERE listed AND contact_id = ANY(%s)"
)
HELD = (
    "upper(first_name || '\n' || last_name || '\n' || phone_number || '\n' || "
    """jsonb_path_query_array(custom_fields, '$.* ? (@.type() != "boolean")')::text)"""
)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """POST /api/list-contacts as the product answers it."""
    secret = environ["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    if database().execute(KEY, [hashlib.sha256(secret.encode()).hexdigest()]).fetchone() is None:
        start_response("401 Unauthorized", [("Content-Length", "0")])
        return [b""]
    body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    raw = json.dumps(_page(body)).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(raw)))])
    return [raw]


def _page(body: dict[str, Any]) -> dict[str, Any]:
    chosen, values = _chosen(body)
    after, place = "TRUE", []
    if "pagination_key" in body:
        key = body["pagination_key"]
        at, pk, _ = json.loads(base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)))
        after, place = "created_at <= %s AND (created_at < %s OR id < %s)", [at, at, pk]
    found = database().execute(PAGE.replace("%s", f"{chosen} AND {after}", 1), [*values, *place]).fetchall()
    shown = found[:50]
    total = database().execute(TOTAL.replace("%s", chosen, 1), values).fetchone()[0]
    tags: dict[int, list[dict[str, str]]] = {}
    for contact, tag, label in database().execute(TAGS, [[row[0] for row in shown]]):
        tags.setdefault(contact, []).append({"id": tag, "label": label})
    answer = {
        "items": [_item(row, tags.get(row[0], [])) for row in shown],
        "has_more": len(found) > 50,
        "total": total,
    }
    if answer["has_more"]:
        place = [shown[-1][3].isoformat(), shown[-1][0], "desc"]
        answer["pagination_key"] = base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")
    return answer


def _chosen(body: dict[str, Any]) -> tuple[str, list[Any]]:
    """The condition of the filters and the search, and its values."""
    condition, values = "archived_at IS NULL", []
    for one in body.get("filter_criteria", {}).get("custom_fields", []):
        condition += " AND custom_fields @> %s::jsonb"
        values.append(json.dumps({one["key"]: one["value"]}))
    if words := body.get("search_query"):
        condition += f" AND {HELD.replace('%', '%%')} LIKE upper(%s)"
        values.append(f"%{words}%")
    return condition, values


def _item(row: tuple[Any, ...], tags: list[dict[str, str]]) -> dict[str, Any]:
    document = {
        "contact_id": row[1], "org_id": "org", "phone_number": row[2], "created_timestamp": _ms(row[3]), "first_name": row[4],
        "last_name": row[5], "do_not_call": row[6], "contact_memory": row[7], "custom_fields": row[8], "contact_tags": tags,
        "conversation_count": row[9], "last_conversation_timestamp": row[10] and _ms(row[10]),
        "user_modified_timestamp": row[11] and _ms(row[11]),
    }  # fmt: skip
    return {name: value for name, value in document.items() if value not in (None, "")}


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
