"""The form of an import: which column of the file goes where, and what rows may do to contacts that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings

from contacts.import_rows import NUMBER, Policy
from contacts.values import FieldSpec
from mappings.suggest import named_alike
from sync.imports import BadWish, Wish, rows_of
from sync.models import ContactImport

EXAMPLES = 3
LONGEST = 60
POLICIES = (
    (Policy.OVERWRITE, "Overwrite what the contact holds"),
    (Policy.FILL_IF_EMPTY, "Fill only what is blank"),
    (Policy.CREATE_ONLY, "Leave known contacts alone, only add new ones"),
)
_AT = {"default_country": "region", "contact_tags": "tags"}


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A column of the file as the form shows it: its header, what stands below it, and the field to choose."""

    header: str
    examples: list[str]
    choice: forms.BoundField


class ImportForm(forms.Form):
    """How to import one file. Columns whose header names a contact field are chosen beforehand."""

    policy = forms.ChoiceField(label="Contacts that are there already", choices=POLICIES)
    region = forms.CharField(
        label="Country",
        required=False,
        max_length=2,
        help_text="Two letters; of numbers that are written without a country code.",
    )
    tags = forms.CharField(
        label="Tags",
        required=False,
        max_length=1000,
        help_text="For every contact of the file, separated by commas. New ones are made.",
    )
    clear_blanks = forms.BooleanField(label="Blank cells clear their fields", required=False)

    def __init__(self, job: ContactImport, specs: Mapping[str, FieldSpec], data: Any = None) -> None:
        super().__init__(
            data, initial={"region": settings.PHONE_DEFAULT_REGION, **_guessed(job.header, specs)}
        )
        self._headers = job.header
        self._examples = _examples(job)
        choices = [("", "Leave out"), *((name, spec.label or name) for name, spec in specs.items())]
        for index, header in enumerate(job.header):
            if header:
                self.fields[f"column_{index}"] = forms.ChoiceField(
                    label=header, choices=choices, required=False
                )

    def columns(self) -> Iterator[ColumnLine]:
        """Every column that can be chosen, in the order of the file."""
        for index, header in enumerate(self._headers):
            if header:
                held = [row[index] for row in self._examples if index < len(row) and row[index].strip()]
                yield ColumnLine(header, [cell[:LONGEST] for cell in held], self[f"column_{index}"])

    def wish(self) -> Wish:
        """What was chosen."""
        chosen = self.cleaned_data
        return Wish(
            [(self._headers[index], name) for index, name in self._mapped()],
            chosen["tags"].split(","),
            chosen["region"],
            Policy(chosen["policy"]),
            chosen["clear_blanks"],
        )

    def refuse(self, error: BadWish) -> None:
        """Say what is wrong where it is."""
        what, _, rest = error.at.partition(".")
        place = _AT.get(what)
        if what == "column_mapping" and rest:
            index = [index for index, _ in self._mapped()][int(rest.partition(".")[0])]
            place = f"column_{index}"
        self.add_error(place, str(error))

    def _mapped(self) -> list[tuple[int, str]]:
        names = {index: self.cleaned_data.get(f"column_{index}", "") for index in range(len(self._headers))}
        return [(index, name) for index, name in names.items() if name]


def _guessed(header: Sequence[str], specs: Mapping[str, FieldSpec]) -> dict[str, str]:
    """Each field goes to the first column that names it; the number is looked for first."""
    found: dict[str, str] = {}
    for name in (NUMBER, *specs):
        for index, word in enumerate(header):
            at = f"column_{index}"
            if at not in found and name not in found.values() and named_alike(word, specs) == name:
                found[at] = name
    return found


def _examples(job: ContactImport) -> list[list[str]]:
    piece = job.pieces.order_by("number").first()
    return [row.cells for row in rows_of(piece)[:EXAMPLES]] if piece else []
