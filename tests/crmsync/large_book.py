"""A large installation, made in seconds by the database itself, SQLite or PostgreSQL: for query counts, and for the bench.

One of everything is made by the code that makes it in life; then each row is multiplied by one statement.
"""

from __future__ import annotations

from django.db import connection as database
from django.db.models import Model

from contacts.indexes import settle
from contacts.models import Contact, ContactChange, ContactTag, CustomField
from tests.crmsync.pages_world import World, world

# What the two databases write differently: numbers from 1, a moment n minutes after New Year, and JSON.
_NUMBERS = {
    "sqlite": "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {count})",
    "postgresql": "WITH g(n) AS (SELECT generate_series(1, {count}))",
}
_AT = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S', '2026-01-01', '+' || (n * 60) || ' seconds')",
    "postgresql": "(timestamptz '2026-01-01' + n * interval '1 minute')",
}
_JSON = {"sqlite": "TEXT", "postgresql": "jsonb"}
VALUES = """'{"city": "City ' || (n % 500) || '", "plan": "' || (CASE WHEN n % 20 = 0 THEN 'pro' ELSE 'free' END)
    || '", "score": ' || (n % 997) || ', "renewal": "2026-0' || (1 + n % 9) || '-15"}'"""


def fill(count: int) -> World:
    """`count` contacts, each with a link, a tag for every tenth, a change, a call that was logged, an issue and a merge."""
    known = world()
    for name, kind in (("plan", "enum"), ("score", "number"), ("renewal", "date"), ("vip", "boolean")):
        options = ["free", "pro"] if kind == "enum" else []
        CustomField.objects.create(name=name, label=name.capitalize(), type=kind, options=options)
    _people(known, count)
    _work(known, count)
    with database.cursor() as cursor:
        if database.vendor == "postgresql":
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # within a transaction, no index is made before
        settle()
        cursor.execute("ANALYZE")
    return known


def _people(known: World, count: int) -> None:
    at, first = _AT[database.vendor], known.contact.pk
    number = "CAST(4155600000 + n AS TEXT)"
    multiply(
        known.contact, count, public_id="'contact_' || CAST(1000000 + n AS TEXT)", phone_number=f"'+1' || {number}",
        last_name="'Family ' || CAST(n AS TEXT)", do_not_call="n % 50 = 0",
        custom_fields=f"CAST({VALUES} AS {_JSON[database.vendor]})", created_at=at, updated_at=at,
        conversation_count="n % 12", last_conversation_at=f"CASE WHEN n % 3 = 0 THEN {at} END",
    )  # fmt: skip
    multiply(ContactChange.objects.get(created=True), count, contact_id=f"{first} + n", at=at)
    multiply(
        known.contact.records.get(), count, contact_id=f"{first} + n", external_id="'R' || CAST(n AS TEXT)"
    )
    known.contact.tags.add(ContactTag.objects.create(label="Key account"))
    multiply(Contact.tags.through.objects.get(), count // 10, contact_id=f"{first} + 10 * n")


def _work(known: World, count: int) -> None:
    at, first = _AT[database.vendor], known.contact.pk
    call = known.conversation
    multiply(
        call,
        count,
        key="'call_' || CAST(1000 + n AS TEXT)",
        contact_id=f"{first} + n",
        started_at=at,
        created_at=at,
    )
    multiply(
        call.entries.get(),
        count,
        conversation_id=f"{call.pk} + n",
        external_id="'T' || CAST(n AS TEXT)",
        logged_at=at,
    )
    multiply(
        call.merges.get(), count, conversation_id=f"{call.pk} + n", contact_id=f"{first} + n",
        state="CASE WHEN n % 100 = 0 THEN 'waiting' ELSE 'applied' END",
    )  # fmt: skip
    multiply(known.delivery, count, conversation_key="'call_' || CAST(1000 + n AS TEXT)", body_hash="CAST(n AS TEXT)",
             state="CASE WHEN n % 1000 = 0 THEN 'parked' ELSE 'done' END", received_at=at)  # fmt: skip
    state = "CASE WHEN n % 50 = 0 THEN 'open' ELSE 'resolved' END"
    multiply(known.question, count, contact_id=f"{first} + n", state=state)
    multiply(known.run, count // 10, started_at=at, finished_at=at)
    multiply(known.backfill, count // 100)
    multiply(known.connection.pending_pushes.get(), count // 10, contact_id=f"{first} + n")


def multiply(row: Model, count: int, **columns: str) -> None:
    """`count` copies of a stored row; `columns` are SQL in which `n` counts from 1."""
    table, quote = row._meta.db_table, database.ops.quote_name
    names = [str(field.column) for field in row._meta.concrete_fields if not field.primary_key]
    values = ", ".join(columns.get(name, f"one.{quote(name)}") for name in names)
    with database.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote(table)} ({', '.join(map(quote, names))}) {_NUMBERS[database.vendor].format(count=count)}"
            f" SELECT {values} FROM {quote(table)} AS one, g WHERE one.id = {int(row.pk)} ORDER BY n"
        )


def addresses(known: World) -> dict[str, str]:
    """Every list page, and those of the admin, by name."""
    return {
        "dashboard": "/",
        "contacts": "/contacts/",
        "contacts, searched": "/contacts/?q=family+77",
        "contacts, by number": "/contacts/?q=(415)+560-0777",
        "contacts, mistyped": "/contacts/?q=415+560-07777",
        "contacts, filtered": "/contacts/?f.plan=pro&f.score.from=10&f.score.to=20&sort=f.score&column=f.city&column=crm",
        "contacts, last page": "/contacts/?page=200&sort=conversation",
        "contact": known.contact.get_absolute_url(),
        "contact's history": f"{known.contact.get_absolute_url()}history/?field=city",
        "conversations": "/conversations/?sentiment=Positive",
        "runs": "/runs/",
        "issues": "/issues/",
        "questions": "/questions/",
        "reviews": "/reviews/",
        "deliveries": "/deliveries/?state=parked",
        "backfills": "/backfills/",
        "admin: contacts": "/admin/contacts/contact/",
        "admin: changes": "/admin/contacts/contactchange/",
        "admin: conversations": "/admin/activity/conversation/",
        "admin: deliveries": "/admin/activity/webhookdelivery/",
        "admin: activities": "/admin/activity/activityentry/",
        "admin: merges": "/admin/activity/mergereview/",
        "admin: issues": "/admin/sync/syncissue/",
        "admin: runs": "/admin/sync/syncrun/",
        "admin: records": "/admin/sync/externalrecord/",
        "admin: pushes": "/admin/sync/pendingpush/",
    }
