"""A large contact book, made in seconds by the database itself: for tests of plans and query counts, and for the bench."""

from __future__ import annotations

from django.db import connection

from contacts.indexes import settle, trigram_indexes
from contacts.models import CustomField

FIELDS = {
    "city": "string",
    "notes": "string",
    "plan": "enum",
    "vip": "boolean",
    "score": "number",
    "renewal": "date",
    "seen": "datetime",
}
# Each value's share: one in 500 cities, one in 997 scores, a contact in a thousand is a VIP.
_SEED = """
INSERT INTO contacts_contact
    (public_id, phone_number, first_name, last_name, do_not_call, contact_memory, custom_fields, sources, created_at,
     updated_at, conversation_count, last_conversation_at)
SELECT 'contact_' || lpad(to_hex(n), 24, '0'), '+1' || (4155000000 + n * 7919::bigint %% 90000000),
    (ARRAY['Ada', 'Grace', 'Linus', 'Barbara', 'Edsger', 'Frances'])[1 + n %% 6], 'Family' || md5(n::text), n %% 50 = 0, '',
    jsonb_build_object('city', 'City ' || n %% 500, 'notes', 'Likes ' || md5(n::text) || ' in the morning',
        'plan', (ARRAY['free', 'pro', 'max'])[1 + (n %% 100 > 94)::int + (n %% 100 > 98)::int], 'vip', n %% 1000 = 0,
        'score', n %% 997, 'renewal', to_char(date '2026-01-01' + n %% 700, 'YYYY-MM-DD'),
        'seen', to_char(timestamp '2026-01-01' + n %% 9999 * interval '1 hour', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')), '{}',
    timestamptz '2026-01-01' + n * interval '1 minute', timestamptz '2026-02-01' + n * interval '1 minute', n %% 12,
    CASE WHEN n %% 3 = 0 THEN timestamptz '2026-03-01' + n * interval '1 second' END
FROM generate_series(%s, %s) AS n
"""


def make_fields() -> None:
    """The custom fields of the book."""
    for position, (name, kind) in enumerate(FIELDS.items()):
        options = ["free", "pro", "max"] if kind == "enum" else []
        CustomField.objects.create(
            name=name, label=name.capitalize(), type=kind, options=options, position=position
        )


def fill(count: int) -> None:
    """`count` contacts on PostgreSQL, in indexes as they are after a while of work."""
    with connection.cursor() as cursor:
        for name in (*trigram_indexes, "contact_values"):
            cursor.execute(f'DROP INDEX IF EXISTS "{name}"')  # filled at once, not row by row
        cursor.execute(_SEED, [1, count])
        settle()
        cursor.execute("ANALYZE contacts_contact")
