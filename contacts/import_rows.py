"""What one row of an imported file does to the contact book: the same decision for the preview and the real thing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from contacts.csv_cells import plain
from contacts.csv_reading import Row
from contacts.phone import BadPhone, to_e164
from contacts.values import DoesNotFit, FieldSpec, Value, coerce, same

NUMBER, OPT_OUT = "phone_number", "do_not_call"


class Outcome(StrEnum):
    """What became of a row."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


class Policy(StrEnum):
    """What a row may do to a contact that is there already."""

    OVERWRITE = "overwrite"
    FILL_IF_EMPTY = "fill_if_empty"
    CREATE_ONLY = "create_only"


@dataclass(frozen=True, slots=True)
class Column:
    """The column of the file, counted from 0, and the contact field that it goes to."""

    position: int
    spec: FieldSpec


@dataclass(frozen=True, slots=True)
class Rules:
    """How an import reads its rows. `columns` leave the number out, whose column is `number`; `width` is the header's."""

    width: int
    number: int
    columns: tuple[Column, ...]
    region: str
    policy: Policy = Policy.OVERWRITE
    clear_blanks: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What a row does: `changes` {field: (old, new)}, or with REJECTED the `reason` in words and the field at `fault`.

    `kept` names what the row would have changed and may not, with why. `number` is "" where the row holds none.
    """

    line: int
    outcome: Outcome
    number: str = ""
    changes: dict[str, tuple[Value, Value]] = field(default_factory=dict)
    reason: str = ""
    fault: str = ""
    kept: dict[str, str] = field(default_factory=dict)


class _Unusable(ValueError):
    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def numbers_of(rows: Sequence[Row], rules: Rules) -> set[str]:
    """The numbers whose contacts have to be known before `decide_all`."""
    found = set()
    for row in rows:
        try:
            found.add(_number(row, rules))
        except _Unusable:
            continue
    return found


def decide_all(
    rows: Sequence[Row], held: Mapping[str, Mapping[str, Value]], former: Collection[str], rules: Rules
) -> list[Decision]:
    """One decision a row, in the order of the file: a row sees what those before it have done.

    `held`: number → values of the contact that has it now. `former`: numbers that only a contact's past leads to.
    """
    known = dict(held)
    decisions = []
    for row in rows:
        decision = _decide(row, known, former, rules)
        if decision.changes or decision.outcome == Outcome.CREATED:
            new = {name: pair[1] for name, pair in decision.changes.items()}
            known[decision.number] = {**known.get(decision.number, {}), **new}
        decisions.append(decision)
    return decisions


def _decide(
    row: Row, known: Mapping[str, Mapping[str, Value]], former: Collection[str], rules: Rules
) -> Decision:
    try:
        number = _number(row, rules)
        values = _values(row, rules)
        if number in former and number not in known:
            raise _Unusable(
                NUMBER, "A contact had this number before and has another one now. Use its present number, or add the"
                " new person by hand."
            )  # fmt: skip
    except _Unusable as error:
        return Decision(row.line, Outcome.REJECTED, reason=str(error), fault=error.field)
    if number not in known:
        given = {name: value for name, value in values.items() if value is not None}
        first: dict[str, tuple[Value, Value]] = {
            name: (None, value) for name, value in given.items() if (name, value) != (OPT_OUT, False)
        }
        return Decision(row.line, Outcome.CREATED, number, first)
    if rules.policy == Policy.CREATE_ONLY:
        return Decision(row.line, Outcome.UNCHANGED, number)
    changes, kept = _update(known[number], values, rules)
    return Decision(row.line, Outcome.UPDATED if changes else Outcome.UNCHANGED, number, changes, kept=kept)


def _update(
    held: Mapping[str, Value], values: Mapping[str, Value], rules: Rules
) -> tuple[dict[str, tuple[Value, Value]], dict[str, str]]:
    changes: dict[str, tuple[Value, Value]] = {}
    kept: dict[str, str] = {}
    for name, new in values.items():
        old = held.get(name)
        if same(old, new):
            continue
        if name == OPT_OUT:
            if new:
                changes[name] = (old, new)
            elif old:
                kept[name] = "An opt-out is only cleared by a person, on the contact itself."
        elif rules.policy == Policy.OVERWRITE or old is None:
            changes[name] = (old, new)
    return changes, kept


def _number(row: Row, rules: Rules) -> str:
    try:
        return to_e164(_cell(row, rules.number), rules.region)
    except BadPhone as error:
        raise _Unusable(NUMBER, str(error)) from None


def _values(row: Row, rules: Rules) -> dict[str, Value]:
    """The values of the mapped cells; blank ones only where they are to clear."""
    if any(cell.strip() for cell in row.cells[rules.width :]):
        raise _Unusable("", "The row has more cells than the header. Quote cells that hold the delimiter.")
    found: dict[str, Value] = {}
    for column in rules.columns:
        try:
            value = coerce(_cell(row, column.position), column.spec)
        except DoesNotFit as error:
            raise _Unusable(column.spec.name, str(error)) from None
        if value is not None or rules.clear_blanks:
            found[column.spec.name] = value
    return found


def _cell(row: Row, position: int) -> str:
    """The cell, blank where the row ends before it, without the apostrophe of our own exports."""
    return plain(row.cells[position]) if position < len(row.cells) else ""
