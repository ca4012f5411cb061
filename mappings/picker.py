"""What the pickers of the mapping editor offer: fields found by label, name or type, of them only those that can work. Pure.

What was searched for and cannot work is named with its reason, so that nobody looks for it in vain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from contacts.values import FieldSpec
from integrations.providers.base import ExternalField
from mappings.compatibility import inbound_problem, outbound_problem
from mappings.offers import Way
from mappings.suggest import suggest

MOST, NAMED, OPTIONS = 30, 5, 6  # choices; unfit ones; options shown of each


@dataclass(frozen=True, slots=True)
class Choice:
    """One field to pick. `shown` is what the input then holds: the label where it tells the field apart, else the name.

    `problem`: why it cannot be picked. `note`: what to know of it. `suggested`: its name or label is the other side's.
    """

    name: str
    label: str
    shown: str
    type: str
    options: tuple[str, ...] = ()
    more_options: int = 0
    note: str = ""
    suggested: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    """What was found: those that fit, the best first; how many more fit; some that do not."""

    fit: list[Choice]
    more: int
    unfit: list[Choice]


def crm_choices(
    schema: Mapping[str, ExternalField],
    *,
    asked: str,
    way: Way,
    contact: FieldSpec | None,
    taken: Collection[str] = (),
) -> Choices:
    """CRM fields for a mapping that goes `way` and ends at `contact`, if that is chosen; `taken` are mapped already."""
    shown = shown_names({name: field.label for name, field in schema.items()})
    likely = {one.external for one in suggest({contact.name: contact}, schema)} if contact else set()
    rows = []
    for field in schema.values():
        if _holds(asked, field.label, field.name, field.type, *(one.label for one in field.options)):
            labels = tuple(one.label for one in field.options if one.active)
            rows.append(
                Choice(
                    field.name, field.label or field.name, shown[field.name], field.type.value, labels[:OPTIONS],
                    max(0, len(labels) - OPTIONS), _note(field, field.name in taken), field.name in likely,
                    _problem(contact, field.name, schema, way),
                )
            )  # fmt: skip
    return _sorted(rows, asked)


def contact_choices(
    specs: Mapping[str, FieldSpec],
    schema: Mapping[str, ExternalField],
    *,
    asked: str,
    way: Way,
    external: str,
    taken: Collection[str] = (),
) -> Choices:
    """Contact fields for a mapping that goes `way` from or to the CRM field `external`, if that is chosen."""
    shown = shown_names({name: spec.label for name, spec in specs.items()})
    near = {external: schema[external]} if external in schema else {}
    likely = {one.contact for one in suggest(specs, near)} if near else set()
    rows = []
    for spec in specs.values():
        if _holds(asked, spec.label, spec.name, spec.type, *spec.options):
            problem = _problem(spec, external, schema, way) if near else ""
            note = "mapped already" if spec.name in taken else ""
            rows.append(
                Choice(
                    spec.name, spec.label or spec.name, shown[spec.name], spec.type.value, spec.options[:OPTIONS],
                    max(0, len(spec.options) - OPTIONS), note, spec.name in likely, problem,
                )
            )  # fmt: skip
    return _sorted(rows, asked)


def shown_names(labels: Mapping[str, str]) -> dict[str, str]:
    """What an input holds for each field: its label, or its name where the label is blank or another's too."""
    folded = [label.casefold() for label in labels.values()] + [name.casefold() for name in labels]
    return {
        name: label
        if label and folded.count(label.casefold()) == 1 + (name.casefold() == label.casefold())
        else name
        for name, label in labels.items()
    }


def meant(typed: str, labels: Mapping[str, str]) -> str:
    """The field that was typed by its name or by its label; what was typed itself when it is neither."""
    typed = typed.strip()
    if typed in labels:
        return typed
    same = [name for name, label in labels.items() if typed.casefold() in {label.casefold(), name.casefold()}]
    return same[0] if len(same) == 1 else typed


def _problem(contact: FieldSpec | None, external: str, schema: Mapping[str, ExternalField], way: Way) -> str:
    """Why the two cannot be mapped that way. Without a contact field only the CRM field's own limits count."""
    if contact is None:
        field = schema[external]
        return (
            "" if way is Way.IN or field.writable or field.createable else "read-only: it can only be read in"
        )
    if way is not Way.OUT and (problem := inbound_problem(contact, external, schema)):
        return problem
    return (outbound_problem(contact, external, schema) or "") if way is not Way.IN else ""


def _note(field: ExternalField, taken: bool) -> str:
    notes = ["mapped already"] if taken else []
    notes += ["computed by the CRM"] if field.calculated else [] if field.writable else ["read-only"]
    return ", ".join(notes + (["required"] if field.required else []))


def _holds(asked: str, *texts: str) -> bool:
    whole = " ".join(texts).casefold()
    return all(word in whole for word in asked.casefold().split())


def _sorted(rows: Iterable[Choice], asked: str) -> Choices:
    """Suggested ones first, then those that begin with what was asked, then by label."""
    start = asked.strip().casefold()

    def place(row: Choice) -> tuple[bool, bool, bool, str]:
        begins = bool(start) and (
            row.label.casefold().startswith(start) or row.name.casefold().startswith(start)
        )
        return not row.suggested, not begins, "mapped already" in row.note, row.label.casefold()

    found = sorted(rows, key=place)
    fit = [row for row in found if not row.problem]
    unfit = [row for row in found if row.problem]
    return Choices(fit[:MOST], max(0, len(fit) - MOST), unfit[:NAMED] if asked.strip() else [])
