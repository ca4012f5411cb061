"""SOQL as text: a recursive parser for the subset the org answers; all else is MALFORMED_QUERY.

SELECT fields | COUNT() | COUNT(field) [alias] FROM object [WHERE condition]
[ORDER BY field [ASC|DESC] [NULLS FIRST|LAST], ...] [LIMIT n] [OFFSET n]
Conditions: = != < <= > >= LIKE [NOT] IN INCLUDES EXCLUDES, negated by NOT, joined by AND or OR, which mix only with
parentheses. A field may be one of a record that is referred to (Account.Name), a day a word (TODAY, LAST_N_DAYS:3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import NoReturn, TypeVar

from sandbox.salesforce.date_literals import span
from sandbox.salesforce.tokens import Token, malformed, tokens

_RESERVED = frozenset(
    (
        "and",
        "asc",
        "desc",
        "excludes",
        "first",
        "from",
        "group",
        "having",
        "in",
        "includes",
        "last",
        "like",
        "limit",
        "not",
        "null",
        "nulls",
        "offset",
        "or",
        "order",
        "select",
        "using",
        "where",
        "with",
    )
)
Item = TypeVar("Item")
COMPARISONS = frozenset(("=", "!=", "<", "<=", ">", ">="))
LISTED = frozenset(("in", "not in", "includes", "excludes"))
ANY_DAY = date(2026, 1, 1)


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as written: kind is string, number, date, datetime, relative (TODAY), boolean or null."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field operator value`, or `field in/not in/includes/excludes (values)`."""

    field: Token
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions joined by one word, "and" or "or"."""

    joined: str
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """NOT before a condition."""

    part: Condition


Condition = Comparison | Group | Negation


@dataclass(frozen=True, slots=True)
class Ordering:
    """One ORDER BY entry."""

    field: Token
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Count:
    """`COUNT()` (no field) or `COUNT(field) alias`."""

    field: Token | None
    alias: str | None


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query, its names not yet checked against the org."""

    text: str
    fields: tuple[Token | Count, ...]
    sobject: Token
    where: Condition | None
    order: tuple[Ordering, ...]
    limit: int | None
    offset: int


def parse(text: str) -> Query:
    """The query, or MALFORMED_QUERY."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self._tokens, self._next = text, tokens(text), 0

    @property
    def token(self) -> Token:
        return self._tokens[self._next]

    def query(self) -> Query:
        self._expect("select")
        fields = self._list(self._selected)
        self._expect("from")
        sobject = self._name()
        where = self._condition() if self._accept("where") else None
        order = self._order() if self._accept("order") else ()
        limit = self._count() if self._accept("limit") else None
        offset = self._count() if self._accept("offset") else 0
        if self.token.kind != "end":
            self._refuse()
        return Query(self.text, tuple(fields), sobject, where, order, limit, offset)

    def _selected(self) -> Token | Count:
        name = self._name()
        if name.text.lower() != "count" or not self._accept("("):
            return name
        field = None if self.token.text == ")" else self._name()
        self._expect(")")
        named = field is not None and self.token.kind == "name" and self.token.text.lower() not in _RESERVED
        return Count(field, self._take().text if named else None)

    def _condition(self) -> Condition:
        parts, joined = [self._term()], ""
        while (word := self.token.text.lower()) in ("and", "or") and self.token.kind == "name":
            if joined not in ("", word):
                self._refuse()
            joined = word
            self._take()
            parts.append(self._term())
        return parts[0] if not joined else Group(joined, tuple(parts))

    def _term(self) -> Condition:
        if self._accept("not"):
            return Negation(self._term())
        if self._accept("("):
            inner = self._condition()
            self._expect(")")
            return inner
        field = self._name()
        operator = self._operator()
        if operator in LISTED:
            self._expect("(")
            values = self._list(self._literal)
            self._expect(")")
            return Comparison(field, operator, tuple(values))
        return Comparison(field, operator, (self._literal(),))

    def _operator(self) -> str:
        token = self._take()
        word = token.text.lower()
        if word == "not":
            self._expect("in")
            return "not in"
        if word in COMPARISONS or word in LISTED or word == "like":
            return word
        raise malformed(self.text, token.at, f"unexpected token: '{token.text}'")

    def _literal(self) -> Literal:
        token = self._take()
        word = token.text.lower()
        if token.kind in ("string", "number", "date", "datetime"):
            return Literal(token.kind, token.text)
        if token.kind in ("name", "relative") and span(token.text, ANY_DAY) is not None:
            return Literal("relative", token.text)
        if token.kind == "name" and word in ("null", "true", "false"):
            return Literal("null" if word == "null" else "boolean", word)
        raise malformed(self.text, token.at, f"unexpected token: '{token.text}'")

    def _order(self) -> tuple[Ordering, ...]:
        self._expect("by")
        return tuple(self._list(self._ordering))

    def _ordering(self) -> Ordering:
        field = self._name()
        descending = self._accept("desc") or (self._accept("asc") and False)
        last = False
        if self._accept("nulls"):
            last = self._accept("last")
            if not last:
                self._expect("first")
        return Ordering(field, descending, last)

    def _count(self) -> int:
        token = self._take()
        if token.kind != "number" or not token.text.isdigit():
            raise malformed(self.text, token.at, f"unexpected token: '{token.text}'")
        return int(token.text)

    def _list(self, item: Callable[[], Item]) -> list[Item]:
        found = [item()]
        while self._accept(","):
            found.append(item())
        return found

    def _name(self) -> Token:
        if self.token.kind != "name" or self.token.text.lower() in _RESERVED:
            self._refuse()
        return self._take()

    def _accept(self, word: str) -> bool:
        matches = self.token.kind in ("name", "mark") and self.token.text.lower() == word
        self._next += matches
        return matches

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            self._refuse()

    def _take(self) -> Token:
        token = self.token
        self._next += token.kind != "end"
        return token

    def _refuse(self) -> NoReturn:
        raise malformed(self.text, self.token.at, f"unexpected token: '{self.token.text}'")
