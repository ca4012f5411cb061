"""`plan()` over every cell of (settled, local, remote) × direction × policy × blank policy × type, against an oracle.

The oracle is written from the table in docs/architecture.md and the words of docs/mappings.md, row by row, not from the code:
it works on the abstract letters A, B, C and blank, and never looks at a pair, a transform or a value.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from contacts.values import FieldSpec, FieldType, Value, same
from mappings.rules import Blank, Conflict, Direction, FieldRule, Pair, Plan, plan

pytestmark = pytest.mark.once

# Three different values of each type; 0 and False are among them, for they are no blanks.
LETTERS: dict[FieldType, dict[str, Value]] = {
    FieldType.STRING: {"A": "Ada", "B": "Grace", "C": "0"},
    FieldType.NUMBER: {"A": 0, "B": 1, "C": -2.5},
    FieldType.BOOLEAN: {"A": False, "B": True, "C": True},
    FieldType.DATE: {"A": "2026-05-14", "B": "1999-12-31", "C": "2024-02-29"},
    FieldType.DATETIME: {"A": "2026-05-14T09:30:00Z", "B": "1999-12-31T23:59:59.500000Z", "C": "2024-02-29T00:00:00Z"},
    FieldType.ENUM: {"A": "Free", "B": "Pro", "C": "0"},
}  # fmt: skip
OPTIONS = ("Free", "Pro", "0")
NOTHING = "-"
HELD = (NOTHING, "A", "B", "C")
# No pair yet; otherwise both halves held the same letter.
SETTLED = (None, NOTHING, "A")
DEAF = (Blank.IGNORE, Blank.CLEAR, Blank.CLEAR_IF_EMPTIED)


class Cell(NamedTuple):
    """One square of the table. Held: a letter or "-"; settled None where the record has just been linked."""

    settled: str | None
    local: str
    remote: str
    direction: Direction
    conflict: Conflict
    blank_in: Blank
    blank_out: Blank
    outranked: bool = False


class Outcome(NamedTuple):
    """What must happen: the letter the contact gets, the letter the CRM gets (None: untouched), who wins a conflict."""

    contact: str | None = None
    crm: str | None = None
    conflict: str | None = None
    drift: bool = False


def expected(cell: Cell) -> Outcome:
    """The oracle."""
    if cell.settled is None:
        return at_first_link(cell)
    theirs, ours = cell.remote != cell.settled, cell.local != cell.settled
    if not theirs and not ours:
        return Outcome()
    if cell.direction is Direction.INBOUND:
        return both_changed(cell) if theirs and ours else take(cell) if theirs else Outcome()
    if cell.direction is Direction.OUTBOUND:
        return send(cell) if ours else Outcome(drift=True)
    if theirs and ours:
        return both_changed(cell)
    return take(cell) if theirs else send(cell)


def at_first_link(cell: Cell) -> Outcome:
    """Blanks are filled from the other side; where both hold values the better rank wins, or the policy."""
    goes_in, goes_out = cell.direction is not Direction.OUTBOUND, cell.direction is not Direction.INBOUND
    if cell.local == cell.remote:
        return Outcome()
    if cell.remote == NOTHING:
        return Outcome(crm=cell.local) if goes_out else Outcome()
    if cell.local == NOTHING:
        return Outcome(contact=cell.remote) if goes_in else Outcome()
    if not goes_in:
        return Outcome(crm=cell.local)
    if cell.outranked or cell.conflict is Conflict.OURS_WINS:
        return Outcome(crm=cell.local) if goes_out else Outcome()
    if cell.conflict is Conflict.ASK:
        return Outcome(conflict="ask")
    return Outcome(contact=cell.remote)


def carried(blank: Blank, was: str | None) -> bool:
    """Whether policy lets a blank through. It "went from a value to blank" when there was a value before."""
    return blank is Blank.CLEAR or (blank is Blank.CLEAR_IF_EMPTIED and was != NOTHING)


def take(cell: Cell) -> Outcome:
    """Only the CRM changed."""
    if cell.remote == NOTHING and not carried(cell.blank_in, cell.settled):
        return Outcome()
    return Outcome(contact=cell.remote)


def send(cell: Cell) -> Outcome:
    """Only the contact changed, or the CRM's change does not count."""
    if cell.local == cell.remote or (cell.local == NOTHING and not carried(cell.blank_out, cell.settled)):
        return Outcome()
    return Outcome(crm=cell.local)


def both_changed(cell: Cell) -> Outcome:
    """The policy decides, but a blank that is ignored never wins, and equal values are no conflict."""
    goes_out = cell.direction is Direction.BOTH
    if cell.remote == NOTHING and not carried(cell.blank_in, cell.settled):
        return send(cell) if goes_out else Outcome()
    if cell.local == cell.remote:
        return Outcome()
    if cell.conflict is Conflict.CRM_WINS:
        return Outcome(contact=cell.remote, conflict="crm")
    if cell.conflict is Conflict.ASK:
        return Outcome(conflict="ask")
    return (send(cell) if goes_out else Outcome())._replace(conflict="ours")


def cells() -> Iterator[Cell]:
    """All of them: 3 settled states × 16 holdings × 3 directions × 3 policies × 9 blank policies, rank where it matters."""
    for square in itertools.product(SETTLED, HELD, HELD, Direction, Conflict, DEAF, DEAF):
        yield Cell(*square)
        if square[0] is None:
            yield Cell(*square, outranked=True)


def rule_for(kind: FieldType, cell: Cell) -> FieldRule:
    options = OPTIONS if kind is FieldType.ENUM else ()
    ours, theirs = FieldSpec("plan", kind, options), FieldSpec("Plan__c", kind, options)
    return FieldRule(ours, theirs, cell.direction, cell.conflict, cell.blank_in, cell.blank_out)


def planned(kind: FieldType, cell: Cell) -> Plan:
    values = LETTERS[kind] | {NOTHING: None}
    settled = {}
    if cell.settled is not None:
        settled = {"Plan__c:plan": Pair(values[cell.settled], values[cell.settled])}
    local = {} if cell.local == NOTHING else {"plan": values[cell.local]}
    over = frozenset({"plan"} if cell.outranked else ())
    return plan([rule_for(kind, cell)], settled, local, {"Plan__c": values[cell.remote]}, outranked=over)


def outcome_of(kind: FieldType, made: Plan) -> Outcome:
    letters = LETTERS[kind] | {NOTHING: None}

    def letter(held: dict[str, Value], name: str) -> str | None:
        return next((one for one, v in letters.items() if name in held and same(v, held[name])), None)

    winner = made.conflicts[0].winner if made.conflicts else None
    return Outcome(letter(made.changes, "plan"), letter(made.pushes, "Plan__c"), winner, bool(made.drift))


def says_nothing_new(kind: FieldType, cell: Cell) -> bool:
    """Booleans have two values: a cell that needs a third one does not exist."""
    return kind is FieldType.BOOLEAN and "C" in (cell.local, cell.remote)


@pytest.mark.parametrize("kind", list(FieldType))
def test_every_cell_of_the_table_does_what_the_table_says(kind: FieldType) -> None:
    wrong = [
        (cell, expected(cell), outcome_of(kind, planned(kind, cell)))
        for cell in cells()
        if not says_nothing_new(kind, cell) and outcome_of(kind, planned(kind, cell)) != expected(cell)
    ]
    assert not wrong, f"{len(wrong)} cells, the first: {wrong[0]}"


@pytest.mark.parametrize("kind", list(FieldType))
def test_every_cell_is_settled_after_one_plan_unless_a_person_is_asked_or_the_side_is_not_ours(
    kind: FieldType,
) -> None:
    """Rows 1 and 3: what was written is no change when it comes back, and nothing is written twice."""
    for cell in cells():
        if says_nothing_new(kind, cell) or expected(cell).conflict == "ask":
            continue
        values = LETTERS[kind] | {NOTHING: None}
        made = planned(kind, cell)
        before = (
            {} if cell.settled is None else {"Plan__c:plan": Pair(values[cell.settled], values[cell.settled])}
        )
        pairs = before | made.settle | dict(made.settle_pushed.values())
        local = {"plan": values[cell.local], **made.changes}
        remote = {"Plan__c": values[cell.remote], **made.pushes}
        again = plan([rule_for(kind, cell)], pairs, local, remote)
        assert (again.changes, again.pushes, again.conflicts) == ({}, {}, []), cell


def test_the_oracle_has_no_idle_corner() -> None:
    """Every kind of outcome occurs, so that the comparison above compares something."""
    seen = {
        (bool(found.contact), bool(found.crm), found.conflict, found.drift)
        for found in map(expected, cells())
    }
    assert seen >= {
        (False, False, None, False), (True, False, None, False), (False, True, None, False), (False, False, None, True),
        (True, False, "crm", False), (False, True, "ours", False), (False, False, "ours", False), (False, False, "ask", False),
    }  # fmt: skip


BLANKS = (None, "", "   ", "\t\n ")
ZEROS: dict[FieldType, Value] = {
    FieldType.STRING: "0",
    FieldType.NUMBER: 0,
    FieldType.BOOLEAN: False,
    FieldType.DATE: "0001-01-01",
    FieldType.DATETIME: "0001-01-01T00:00:00Z",
    FieldType.ENUM: "0",
}
SOME = {kind: held["B"] for kind, held in LETTERS.items()}


@pytest.mark.parametrize("policy", DEAF)
@pytest.mark.parametrize("blank", BLANKS, ids=repr)
@pytest.mark.parametrize("kind", list(FieldType))
def test_every_spelling_of_a_blank_from_the_crm_follows_the_inbound_policy(
    kind: FieldType, blank: Value, policy: Blank
) -> None:
    """Row 5. The field held a value before, so that "emptied" clears as "clear" does; on a field never filled it does not."""
    cell = Cell("B", "B", NOTHING, Direction.BOTH, Conflict.CRM_WINS, policy, Blank.IGNORE)
    emptied = plan(
        [rule_for(kind, cell)],
        {"Plan__c:plan": Pair(SOME[kind], SOME[kind])},
        {"plan": SOME[kind]},
        {"Plan__c": blank},
    )
    assert emptied.changes == ({} if policy is Blank.IGNORE else {"plan": None})
    assert emptied.pushes == {}
    never = plan(
        [rule_for(kind, cell)], {"Plan__c:plan": Pair(None, None)}, {"plan": None}, {"Plan__c": blank}
    )
    assert (never.changes, never.pushes, never.settle) == ({}, {}, {})


@pytest.mark.parametrize("policy", DEAF)
@pytest.mark.parametrize("blank", [*BLANKS, "absent"], ids=repr)
@pytest.mark.parametrize("kind", list(FieldType))
def test_every_spelling_of_a_blank_here_follows_the_outbound_policy(
    kind: FieldType, blank: Value, policy: Blank
) -> None:
    """Row 5. A key that a contact lacks is a blank."""
    cell = Cell("B", NOTHING, "B", Direction.BOTH, Conflict.CRM_WINS, Blank.IGNORE, policy)
    local = {} if blank == "absent" else {"plan": blank}
    made = plan(
        [rule_for(kind, cell)], {"Plan__c:plan": Pair(SOME[kind], SOME[kind])}, local, {"Plan__c": SOME[kind]}
    )
    assert made.pushes == ({} if policy is Blank.IGNORE else {"Plan__c": None})
    assert made.changes == {}


@pytest.mark.parametrize(("policy_in", "policy_out"), [*itertools.product(DEAF, DEAF)])
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("kind", list(FieldType))
def test_a_key_absent_from_the_record_is_hidden_and_never_a_blank(
    kind: FieldType, direction: Direction, policy_in: Blank, policy_out: Blank
) -> None:
    """Row 22: a permission that was taken away clears nothing and writes nothing."""
    cell = Cell("B", "B", NOTHING, direction, Conflict.CRM_WINS, policy_in, policy_out)
    made = plan(
        [rule_for(kind, cell)], {"Plan__c:plan": Pair(SOME[kind], SOME[kind])}, {"plan": SOME[kind]}, {}
    )
    assert (made.changes, made.pushes, made.settle) == ({}, {}, {})
    assert made.skipped == {"Plan__c:plan": "hidden"}


@pytest.mark.parametrize("policy", DEAF)
@pytest.mark.parametrize("kind", list(FieldType))
def test_zero_and_false_are_values_in_both_directions_under_every_blank_policy(
    kind: FieldType, policy: Blank
) -> None:
    """Row 6: nothing is turned into a blank, and no blank into nothing."""
    cell = Cell("B", "B", NOTHING, Direction.BOTH, Conflict.CRM_WINS, policy, policy)
    rule, pair = rule_for(kind, cell), {"Plan__c:plan": Pair(SOME[kind], SOME[kind])}
    inward = plan([rule], pair, {"plan": SOME[kind]}, {"Plan__c": ZEROS[kind]})
    outward = plan([rule], pair, {"plan": ZEROS[kind]}, {"Plan__c": SOME[kind]})
    assert [*inward.changes.items()] == [("plan", ZEROS[kind])]
    assert type(inward.changes["plan"]) is type(ZEROS[kind])
    assert [*outward.pushes.items()] == [("Plan__c", ZEROS[kind])]
    assert type(outward.pushes["Plan__c"]) is type(ZEROS[kind])


@pytest.mark.parametrize("kind", list(FieldType))
def test_zero_replaces_a_blank_and_a_blank_is_not_read_as_zero(kind: FieldType) -> None:
    cell = Cell(NOTHING, NOTHING, NOTHING, Direction.BOTH, Conflict.CRM_WINS, Blank.CLEAR, Blank.CLEAR)
    rule, pair = rule_for(kind, cell), {"Plan__c:plan": Pair(None, None)}
    assert plan([rule], pair, {}, {"Plan__c": ZEROS[kind]}).changes == {"plan": ZEROS[kind]}
    assert plan([rule], pair, {"plan": ZEROS[kind]}, {"Plan__c": None}).pushes == {"Plan__c": ZEROS[kind]}
    held = {"Plan__c:plan": Pair(ZEROS[kind], ZEROS[kind])}
    still = plan([rule], held, {"plan": ZEROS[kind]}, {"Plan__c": ZEROS[kind]})
    assert (still.changes, still.pushes, still.settle) == ({}, {}, {})
    assert plan([rule], held, {"plan": ZEROS[kind]}, {"Plan__c": None}).changes == {"plan": None}
