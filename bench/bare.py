"""The yardstick: verify, store or look up, answer — nothing else. No framework, one connection a thread, one statement.

BENCH_DATABASE is a SQLite file or a postgresql:// URL, BENCH_KEY the key that signs.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

DATABASE, KEY = os.environ.get("BENCH_DATABASE", ""), os.environ.get("BENCH_KEY", "").encode()
POSTGRES = DATABASE.startswith("postgres")
COLUMNS = "event, conversation_key, body_hash, body, headers, received_at, state, note, attempts, due_at, processed_at, answer"
INSERT = (
    f"INSERT INTO activity_webhookdelivery ({COLUMNS}) VALUES (?, ?, ?, ?, '{{}}', ?, ?, '', 0, ?, NULL, ?)"
    " ON CONFLICT (event, conversation_key, body_hash) DO NOTHING"
)
SELECT = (
    "SELECT first_name, last_name, do_not_call, contact_memory, custom_fields FROM contacts_contact"
    " WHERE phone_number = ?"
)
_local = threading.local()


def database() -> Any:
    """This thread's connection."""
    if not hasattr(_local, "connection"):
        if POSTGRES:
            import psycopg

            _local.connection = psycopg.connect(DATABASE, autocommit=True, prepare_threshold=0)
        else:
            _local.connection = sqlite3.connect(DATABASE, timeout=20, isolation_level=None)
            _local.connection.executescript(
                "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA mmap_size=134217728;PRAGMA cache_size=-20000;"
                "PRAGMA wal_autocheckpoint=4000;"
            )
    return _local.connection


def execute(statement: str, values: tuple[Any, ...]) -> Any:
    """One statement."""
    return database().execute(statement.replace("?", "%s") if POSTGRES else statement, values)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """POST /webhooks/retell/ and /webhooks/retell/inbound/ as the product answers them."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    stamp, _, digest = environ["HTTP_X_RETELL_SIGNATURE"][2:].partition(",d=")
    expected = hmac.new(KEY, body + stamp.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, digest):
        start_response("401 Unauthorized", [("Content-Length", "0")])
        return [b""]
    document = json.loads(body)
    answer = _inbound(document) if environ["PATH_INFO"].endswith("inbound/") else {"status": "ok"}
    kind = "call_inbound" if "call_inbound" in document else "call"
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    stored = (
        document["event"], document[kind]["call_id"], hashlib.sha256(body).hexdigest(), body, now,
        "done" if kind == "call_inbound" else "pending", now, json.dumps(answer.get("call_inbound", {})),
    )  # fmt: skip
    execute(INSERT, stored)
    raw = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(raw)))])
    return [raw]


def _inbound(document: dict[str, Any]) -> dict[str, Any]:
    row = execute(SELECT, (document["call_inbound"]["from_number"],)).fetchone()
    if row is None:
        return {"call_inbound": {"dynamic_variables": {}}}
    first, last, opt_out, memory, custom = row
    custom = json.loads(custom) if isinstance(custom, str) else custom
    values = {
        "first_name": first,
        "last_name": last,
        "do_not_call": bool(opt_out),
        "contact_memory": memory,
    } | custom
    told = {name: str(value) for name, value in values.items() if value not in ("", None)}
    return {"call_inbound": {"dynamic_variables": told}}
