"""The history of the configuration in the admin: one place where an administrator reads who changed which setting, and when."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from contacts import shown
from contacts.ledger import Ledger, known
from crmsync.config_history import ConfigChange
from crmsync.config_watch import WATCHED

SHOWN = 6  # settings in the list; the row's page has all
BRIEF = 80  # characters of a value in the list


@admin.register(ConfigChange)
class ConfigChangeAdmin(Ledger):
    """Who changed what in the setup, and when, whether here, on a page, through the API or by a command."""

    list_display = ("when", "who", "what", "name", "brief")
    list_display_links = ("when",)
    list_filter = (known("kind", lambda: [(one.kind, one.kind) for one in WATCHED.values()]), "action")
    search_fields = ("name__icontains", "who__icontains")
    search_help_text = "A name of what was changed, or of who changed it."
    fields = ("when", "who", "who_ref", "what", "name", "whole")
    readonly_fields = fields

    @admin.display(description="at", ordering="pk")
    def when(self, change: ConfigChange) -> SafeString | str:
        """Its age."""
        return shown.moment(change.at)

    @admin.display(description="what", ordering="kind")
    def what(self, change: ConfigChange) -> str:
        """Kind and action in two words."""
        return f"{change.kind} {change.get_action_display()}"

    @admin.display(description="change")
    def brief(self, change: ConfigChange) -> SafeString:
        """The first settings that changed, cut short; of what is new or gone, what it is or was, in a line."""
        rows = list(change.diff.items())
        more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        if change.action == ConfigChange.Action.CHANGED:
            return format_html("{}{}", _lines(rows[:SHOWN], BRIEF), more)
        end = 1 if change.action == ConfigChange.Action.ADDED else 0
        told = [f"{name} {_text(pair[end], BRIEF)}" for name, pair in rows[:SHOWN]]
        return format_html('<div class="was-is quiet">{}{}</div>', ", ".join(told), more)

    @admin.display(description="change")
    def whole(self, change: ConfigChange) -> SafeString:
        """Everything that changed."""
        return _lines(list(change.diff.items()), 0)


def _lines(rows: list[tuple[str, list[Any]]], most: int) -> SafeString:
    return format_html_join(
        "", '<div class="was-is"><span class="quiet">{}</span> <del>{}</del> <ins>{}</ins></div>',
        ((name, _text(pair[0], most), _text(pair[1], most)) for name, pair in rows),
    )  # fmt: skip


def _text(held: Any, most: int) -> str:
    if held is None or held in ("", [], {}):
        return "–"
    if isinstance(held, list):
        text = ", ".join(map(str, held))
    elif isinstance(held, dict):
        text = "; ".join(f"{key} = {value}" for key, value in held.items())
    else:
        text = held if isinstance(held, str) else json.dumps(held)
    return f"{text[: most - 1]}…" if most and len(text) > most else text
