"""The admin of ledgers: tables that only the product writes. Read-only, and quick at millions of rows."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest

COUNTED = 20_000  # rows; beyond this a list says what it shows, not how much there is


class BoundedPaginator(Paginator):
    """Counts no further than COUNTED, so that opening a list never reads a whole table."""

    @cached_property
    def count(self) -> int:
        """Rows of the list, at most COUNTED."""
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED].count()) if hasattr(rows, "order_by") else len(rows)


class Ledger(admin.ModelAdmin):
    """Everybody who may enter can read it, nobody can write it here."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_select_related: ClassVar[bool | tuple[str, ...]] = True
    list_filter: ClassVar[Any] = ()
    list_per_page = 50
    ordering = ("-pk",)
    actions_on_top = True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        """Rows are added by the product."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        """Rows are changed by the product."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        """Rows end by pruning, or with what they belong to."""
        return False
