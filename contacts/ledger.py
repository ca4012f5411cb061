"""The admin of ledgers: tables that only the product writes. Read-only, and quick at millions of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest

COUNTED = 20_000  # rows; beyond this a list says what it shows, not how much there is
SEARCHED = 1_000  # rows of a search, for each field that is searched


class BoundedPaginator(Paginator):
    """Counts no further than COUNTED, so that opening a list never reads a whole table."""

    @cached_property
    def count(self) -> int:
        """Rows of the list, at most COUNTED."""
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED].count()) if hasattr(rows, "order_by") else len(rows)


def known(column: str, choices: Callable[[], Iterable[tuple[str, str]]]) -> type[admin.SimpleListFilter]:
    """A filter by a column whose values are known without reading the table for them."""

    class Known(admin.SimpleListFilter):
        """Offers what is known."""

        title = column.replace("_", " ")
        parameter_name = column

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
            """Code and words of each value."""
            return list(choices())

        def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:  # noqa: ARG002
            """The rows that have it."""
            return queryset.filter(**{column: self.value()}) if self.value() else queryset

    return Known


class Ledger(admin.ModelAdmin):
    """Everybody who may enter can read it, nobody can write it here.

    Newest first along the key and in no other order, because no other is quick; nothing is counted by value.
    """

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    list_select_related: ClassVar[bool | tuple[str, ...]] = True
    list_filter: ClassVar[Any] = ()
    list_per_page = 50
    ordering = ("-pk",)
    actions_on_top = True

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Each search field is asked on its own, so that its index answers; what any of them finds is listed."""
        found: set[Any] = set()
        for lookup in self.get_search_fields(request) if search_term.strip() else ():
            rows = self.searched().filter(**{lookup: search_term.strip()})
            found.update(rows.order_by().values_list("pk", flat=True)[:SEARCHED])
        return (queryset.filter(pk__in=found) if search_term.strip() else queryset), False

    def searched(self) -> QuerySet:
        """The rows that a search looks through, narrowed so that an index leads to them."""
        rows: QuerySet = self.model._default_manager.all()
        return rows

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        """Rows are added by the product."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        """Rows are changed by the product."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        """Rows end by pruning, or with what they belong to."""
        return False
