"""A contact's history: every write with old and new values and where it came from, all of it or of one field, with undo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from contacts.changes import TAGS
from contacts.history import LOST
from contacts.models import Contact, ContactChange, field_specs
from contacts.values import FieldSpec, Value
from crmsync.pages.guard import page
from crmsync.pages.listing import listing
from crmsync.pages.provenance import Named, Origin, named_conversations, origin_of_change

UNSYNCED = {TAGS: "Tags"}


@dataclass(frozen=True, slots=True)
class Moved:
    """One field of a write: what it held before and after. `undoable`: the former value can be asked back."""

    name: str
    label: str
    kind: str
    old: Value
    new: Value
    undoable: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One write: its source, the fields it moved, and the labels of those whose values were not recorded."""

    change: ContactChange
    origin: Origin
    fields: list[Moved]
    names: list[str]

    @property
    def undoable(self) -> bool:
        """Whether any of it can be taken back."""
        return any(one.undoable for one in self.fields)


@page("contacts.view_contactchange")
def contact_history(request: HttpRequest, public_id: str) -> HttpResponse:
    """The writes to one contact, newest first, page by page; ?field= narrows them to those of one field."""
    contact = get_object_or_404(Contact.objects.defer("custom_fields", "contact_memory"), public_id=public_id)
    specs, field = field_specs(), request.GET.get("field", "")
    if field and field not in specs and field not in UNSYNCED:
        raise Http404
    rows = ContactChange.objects.filter(contact=contact).order_by("-id")
    found = listing(request, rows.filter(diff__has_key=field) if field else rows)
    context = {
        "contact": contact,
        "listing": found,
        "steps": steps(found.rows, specs, only=field),
        "field": field,
        "fields": [*((name, spec.label) for name, spec in specs.items()), *UNSYNCED.items()],
        "label": _label(field, specs) if field else "",
    }
    return render(request, "pages/contact_history.html", context)


def steps(
    changes: Sequence[ContactChange],
    specs: Mapping[str, FieldSpec],
    *,
    only: str = "",
    named: Named | None = None,
) -> list[Step]:
    """Writes as the pages show them, of one field alone where `only` names it. `named`: conversations known already."""
    known = named if named is not None else named_conversations(change.source_ref for change in changes)
    return [_step(change, specs, known, only) for change in changes]


def _step(change: ContactChange, specs: Mapping[str, FieldSpec], named: Named, only: str) -> Step:
    diff = {name: pair for name, pair in change.diff.items() if not only or name == only}
    moved = [
        Moved(name, _label(name, specs), _kind(name, specs), pair[0], pair[1], _undoable(change, name, specs))
        for name, pair in diff.items()
        if len(pair) == 2
    ]
    names = [_label(name, specs) for name, pair in diff.items() if not pair]
    return Step(change, origin_of_change(change, named), moved, names)


def _undoable(change: ContactChange, name: str, specs: Mapping[str, FieldSpec]) -> bool:
    return not change.created and change.source_kind != LOST and name in specs


def _label(name: str, specs: Mapping[str, FieldSpec]) -> str:
    return specs[name].label if name in specs else UNSYNCED.get(name, name)


def _kind(name: str, specs: Mapping[str, FieldSpec]) -> str:
    return "phone" if name == "phone_number" else specs[name].type.value if name in specs else "string"
