"""Find contacts by what they hold: words anywhere in them, and the values of their custom fields.

Each condition is written so that an index of contacts/indexes.py answers it on PostgreSQL; the plain form, which every
database understands, says what it means, and tests hold the two equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import and_, or_
from typing import Any

from django.db import connection
from django.db.models import F, Func, Q, QuerySet, TextField
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast

from contacts.models import Contact, CustomField
from contacts.values import FieldSpec, FieldType

Rows = QuerySet[Contact]
RANGED = frozenset({FieldType.NUMBER, FieldType.DATE, FieldType.DATETIME})
TEXTUAL = frozenset({"contains", "starts", "ends"})
LOOKUPS: Mapping[str, str] = {
    "is": "exact", "in": "in", "contains": "icontains", "starts": "istartswith", "ends": "iendswith",
}  # fmt: skip
# What may stand in `Held` because it is JSON, not because a value holds it.
_STRUCTURE = re.compile(r'[\x00-\x1f",\[\]\\]')
BOUNDS = frozenset({"gt", "gte", "lt", "lte"})


class Held(Func):
    """Everything of a contact that a search looks through, as one text: names, number, custom values but yes/no ones.

    PostgreSQL only. Built-in functions alone, so that it can be indexed and cannot drift: see `indexes.SEARCHED`.
    """

    template = "(%(expressions)s)"
    output_field = TextField()

    def __init__(self) -> None:
        values = Func(
            F("custom_fields"),
            template="""jsonb_path_query_array(%(expressions)s, '$.* ? (@.type() != "boolean")')::text""",
            output_field=TextField(),
        )
        super().__init__(
            F("first_name"), F("last_name"), F("phone_number"), values, arg_joiner=" || '\n' || "
        )


def holding(
    rows: Rows,
    texts: Sequence[str | tuple[str, ...]],
    *,
    or_else: Q | None = None,
    plainly: bool = False,
    fields: Sequence[CustomField] | None = None,
) -> Rows:
    """`rows` that hold every one of `texts` somewhere in names, number or custom values, or meet `or_else`.

    Case is ignored; a text is looked for as one piece, a tuple holds spellings of which one is enough. `plainly` asks for
    the plain form whatever the database. `fields`: all custom fields, where the caller has read them.
    """
    spellings = [(text,) if isinstance(text, str) else text for text in texts]
    if plainly or connection.vendor != "postgresql":
        rows, places = _places(rows, fields)
        found = _all_in(places, spellings)
    else:
        rows, held = aliased(rows, Held())
        found = _all_in([held], [tuple({form for one in text for form in _forms(one)}) for text in spellings])
        if doubtful := [text for text in spellings if any(_STRUCTURE.search(one) for one in text)]:
            rows, places = _places(rows, fields)
            found &= _all_in(places, doubtful)
    return rows.filter(found | or_else if or_else else found)


def _places(rows: Rows, fields: Sequence[CustomField] | None) -> tuple[Rows, list[str]]:
    """All that a search looks through, one by one."""
    places = ["phone_number", "first_name", "last_name"]
    for field in CustomField.objects.all() if fields is None else fields:
        if field.type == FieldType.BOOLEAN:
            continue
        rows, alias = aliased(rows, _text_of(field.name))
        places.append(alias)
    return rows, places


def _all_in(places: Sequence[str], spellings: Sequence[tuple[str, ...]]) -> Q:
    conditions = [_any(Q(**{f"{at}__icontains": one}) for at in places for one in text) for text in spellings]
    return reduce(and_, conditions, Q())


def where(rows: Rows, spec: FieldSpec, op: str, value: Any = None, *, plainly: bool = False) -> Rows:
    """`rows` whose custom field meets a condition.

    Ops: "is" and "in" (the case counts), "not" (blanks too), "contains", "starts", "ends" (of texts, any case), "gt", "gte",
    "lt", "lte" (numbers, and dates as canonical texts), "present", "absent".
    """
    indexed = not plainly and connection.vendor == "postgresql"
    present = Q(custom_fields__has_key=spec.name)
    if op == "present" and indexed and spec.type in RANGED:
        # In JSON's order the blank text stands before all numbers and texts: a bound that only absence fails.
        op, value = "gte", ""
    if op in {"present", "absent"}:
        return rows.filter(present if op == "present" else ~present)
    if op in BOUNDS:
        rows, held = aliased(rows, KeyTransform(spec.name, "custom_fields"))
        return rows.filter(**{f"{held}__{op}": value})
    if op in {"is", "in"} and indexed:
        wanted = value if op == "in" else [value]
        return rows.filter(_any(Q(custom_fields__contains={spec.name: one}) for one in wanted))
    return _plain(rows, spec, op, value, narrowed=indexed)


def _plain(rows: Rows, spec: FieldSpec, op: str, value: Any, *, narrowed: bool) -> Rows:
    textual = op in TEXTUAL or op == "in" or isinstance(value, str)
    form = _text_of(spec.name) if textual else KeyTransform(spec.name, "custom_fields")
    if op in TEXTUAL and narrowed:
        # Whoever holds the text in this field holds it somewhere, which the search's index knows.
        rows = holding(rows, [value])
    rows, held = aliased(rows, form)
    if op == "not":
        return rows.filter(~Q(custom_fields__has_key=spec.name) | ~Q(**{held: value}))
    return rows.filter(**{f"{held}__{LOOKUPS[op]}": value})


def aliased(rows: Rows, expression: Combinable) -> tuple[Rows, str]:
    """`rows` with the expression under a name of its own, and that name; a field's own name might mean something to Django."""
    name = f"held_{len(rows.query.annotations)}"
    return rows.alias(**{name: expression}), name


def by_value(spec: FieldSpec) -> Combinable:
    """What to order by for a custom field of type number, date or datetime; ask for the field to be present too."""
    return KeyTransform(spec.name, "custom_fields")


def _text_of(name: str) -> Cast:
    return Cast(KeyTextTransform(name, "custom_fields"), TextField())


def _forms(text: str) -> set[str]:
    """How a text can stand in `Held`: as it is in a name, escaped in the JSON of the custom values."""
    return {text, json.dumps(text, ensure_ascii=False)[1:-1]}


def _any(conditions: Iterable[Q]) -> Q:
    return reduce(or_, conditions, Q(pk__in=[]))
