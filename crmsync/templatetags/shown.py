"""Filters that show values to people in templates, and the tags that lists and navigation need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.template.context import RequestContext
from django.utils.safestring import SafeString

from contacts import phone, shown
from contacts.models import Contact
from contacts.values import Value
from crmsync.pages.book import Column
from sync.models import counts_in_words

register = template.Library()
BRIEF = 140  # characters


@register.filter
def moment(at: datetime | None) -> SafeString | str:
    """An age with the exact time on hover."""
    return shown.moment(at)


@register.filter
def exact(at: datetime) -> str:
    """The full moment in the reader's time zone."""
    return shown.exact(at)


@register.filter
def clock(at: datetime) -> str:
    """The time of day in the reader's time zone."""
    return shown.clock(at)


@register.filter
def chip(words: object, state: str = "") -> SafeString:
    """A status chip, coloured by the state's code."""
    return shown.chip(words, state)


@register.filter
def number(value: float | None) -> str:
    """A number with its thousands apart."""
    return "–" if value is None else shown.number(value)


@register.filter
def lasting(length: timedelta | int | None) -> str:
    """A duration; whole numbers are milliseconds."""
    return shown.duration(timedelta(milliseconds=length) if isinstance(length, int) else length)


@register.filter
def phone_for_people(text: str) -> str:
    """A number as its country writes it."""
    return phone.for_people(text) if text.startswith("+") else text


@register.filter
def as_value(held: Value, kind: str) -> SafeString | str:
    """A contact value by its field's type."""
    return shown.value(held, kind)


@register.filter
def brief(held: Value, kind: str) -> SafeString | str:
    """A contact value by its field's type, a long text cut short."""
    long = isinstance(held, str) and len(held) > BRIEF
    return shown.value(f"{str(held)[: BRIEF - 1].rstrip()}…" if long else held, kind)


@register.filter
def of(held: Mapping[Any, Any] | str, key: object) -> Any:
    """What a mapping holds under a key, or None; also where the template has no mapping."""
    return held.get(key) if isinstance(held, Mapping) else None


@register.filter
def in_words(code: str) -> str:
    """A code as words: "no_phone" is "no phone"."""
    return code.replace("_", " ")


@register.simple_tag(takes_context=True)
def current(context: RequestContext, prefix: str) -> SafeString | str:
    """`aria-current` for the navigation entry whose pages start with `prefix`."""
    path = context["request"].path
    here = path == prefix if prefix == "/" else path.startswith(prefix)
    return SafeString('aria-current="page"') if here else ""


@register.simple_tag(takes_context=True)
def query(context: RequestContext, **changes: Any) -> str:
    """The address' query with some parameters replaced; None or "" removes one."""
    parameters = context["request"].GET.copy()
    for name, new in changes.items():
        if new in (None, ""):
            parameters.pop(name, None)
        else:
            parameters[name] = str(new)
    return f"?{parameters.urlencode()}"


@register.simple_tag(takes_context=True)
def without(context: RequestContext, names: Iterable[str]) -> str:
    """The address' query without some parameters, on its first page."""
    parameters = context["request"].GET.copy()
    for name in (*names, "page"):
        parameters.pop(name, None)
    return f"?{parameters.urlencode()}"


@register.filter
def cell(contact: Contact, column: Column) -> SafeString | str:
    """What a column of the contact list shows of a contact."""
    if column.kind == "tags":
        return shown.chips([tag.label for tag in contact.tags.all()]) or shown.value(None)
    held = column.value(contact)
    if held is None:
        return shown.value(None)
    return shown.moment(held) if column.kind == "moment" else brief(held, column.kind)


@register.filter
def counts(held: dict[str, Any]) -> str:
    """The counts of a run in one line."""
    words: str = counts_in_words({name: shown.number(figure) for name, figure in held.items()})
    return words
