"""Lists that stay quick at millions of rows: a page at a time, counted only as far as people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest

PAGE = 50
DEEPEST = 200  # pages; whoever is looking for one row among ten thousand needs a search, not page 201
# Columns of a connection that no page shows: secrets are not even loaded, and the schema is large.
UNSHOWN = ("credentials", "token", "schema", "cursor", "options")
OF_ITS_CONNECTION = tuple(f"connection__{name}" for name in UNSHOWN)
OF_ITS_CONTACT = ("contact__custom_fields", "contact__sources", "contact__contact_memory")
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """One page of a list. `total` is exact up to the deepest page, and `more_than` says that there is more."""

    rows: Sequence[Row]
    number: int
    total: int
    more_than: bool
    size: int = PAGE

    @property
    def previous(self) -> int | None:
        """The page before, or None."""
        return self.number - 1 if self.number > 1 else None

    @property
    def next(self) -> int | None:
        """The page after, or None."""
        return self.number + 1 if self.number < self.pages else None

    @property
    def pages(self) -> int:
        """How many pages can be reached."""
        return max(1, -(-self.total // self.size))

    @property
    def first(self) -> int:
        """The position of the first row shown, from 1."""
        return (self.number - 1) * self.size + 1 if self.rows else 0

    @property
    def last(self) -> int:
        """The position of the last row shown."""
        return (self.number - 1) * self.size + len(self.rows)


def listing(
    request: HttpRequest, rows: QuerySet[Row], size: int = PAGE, *, counted_by: Sequence[str] = ()
) -> Listing[Row]:
    """The page of `rows` that the request asks for with ?page=; a number out of reach becomes the nearest one.

    `counted_by` is an order that an index has: the rows are counted along it.
    """
    limit = size * DEEPEST
    counted = rows.order_by(*counted_by)[: limit + 1].count()
    total = min(counted, limit)
    pages = max(1, -(-total // size))
    asked = request.GET.get("page", "1")
    number = min(int(asked), pages) if asked.isascii() and asked.isdigit() and int(asked) > 0 else 1
    start = (number - 1) * size
    return Listing(list(rows[start : start + size]), number, total, counted > limit, size)


def chosen(request: HttpRequest, name: str, allowed: Sequence[Any]) -> str:
    """A filter's value from the address, "" when it is not one of `allowed`."""
    asked = request.GET.get(name, "")
    return asked if asked in {str(option) for option in allowed} else ""
