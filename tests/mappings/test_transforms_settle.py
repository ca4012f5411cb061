"""Whatever the transforms, a plan that was applied leaves nothing to do, and two CRMs come to rest within two cycles."""

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contacts.values import FieldSpec, FieldType, Value
from mappings.rules import Blank, Conflict, Direction, FieldRule, Pair, locally_changed, plan
from mappings.transforms import Case, Transform

pytestmark = pytest.mark.once

WORDS = ("a", "B", "c", "true", "no", "1", "0", "2026-05-14")
OPTIONS = ("a", "B", "true", "1")
TYPES = (FieldType.STRING, FieldType.ENUM, FieldType.BOOLEAN, FieldType.NUMBER, FieldType.DATE)
VALUES: dict[FieldType, tuple[Value, ...]] = {
    FieldType.STRING: (None, *WORDS, "A", "b", "ß"),
    FieldType.ENUM: (None, *OPTIONS),
    FieldType.BOOLEAN: (None, True, False),
    FieldType.NUMBER: (None, 0, 1, 2.5),
    FieldType.DATE: (None, "2026-05-14", "1999-12-31"),
}
# Maps of every kind: one to one, many to one, in a circle, onto what does not fit.
maps = st.dictionaries(st.sampled_from(WORDS), st.sampled_from(WORDS), max_size=4)
transforms = st.builds(
    lambda case, pairs, default: Transform(case, tuple(pairs.items()), default),
    st.sampled_from(list(Case)), maps, st.sampled_from(("", "a", "true", "1", "2026-05-14")),
)  # fmt: skip
types = st.sampled_from(TYPES)


def spec(name: str, kind: FieldType) -> FieldSpec:
    return FieldSpec(name, kind, OPTIONS if kind is FieldType.ENUM else ())


@st.composite
def rules(
    draw: st.DrawFn,
    contact: FieldSpec,
    external: str = "crm",
    directions: tuple[Direction, ...] = tuple(Direction),
    blanks: tuple[Blank, ...] = tuple(Blank),
) -> FieldRule:
    return FieldRule(
        contact, spec(external, draw(types)), draw(st.sampled_from(directions)),
        draw(st.sampled_from((Conflict.CRM_WINS, Conflict.OURS_WINS))),
        draw(st.sampled_from(blanks)), draw(st.sampled_from(blanks)), draw(transforms), draw(transforms),
    )  # fmt: skip


@dataclass
class Side:
    """One CRM with one linked record, driven as the engine drives it: plan, write, settle, push."""

    rule: FieldRule
    held: Value
    pairs: dict[str, Pair] = field(default_factory=dict)

    def pull(self, contact: dict[str, Value], *, outranked: bool = False) -> bool:
        """Plan from what both hold, write both sides; returns whether anything was written."""
        names = frozenset({self.rule.contact.name} if outranked else ())
        made = plan([self.rule], self.pairs, contact, {self.rule.external.name: self.held}, outranked=names)
        contact |= made.changes
        self.held = made.pushes.get(self.rule.external.name, self.held)
        self.pairs |= made.settle | dict(made.settle_pushed.values())
        return bool(made.changes or made.pushes or made.conflicts)

    def push(self, contact: dict[str, Value]) -> bool:
        """As a pull, but only where the contact gives reason to ask the CRM at all."""
        return locally_changed([self.rule], self.pairs, contact) and self.pull(contact)


@given(data=st.data(), kind=types)
@settings(max_examples=600, deadline=None)
def test_plan_apply_plan_again_gives_nothing(data: st.DataObject, kind: FieldType) -> None:
    """At first link and after edits on either side or both, for every direction, policy, blank policy and transform."""
    side = Side(data.draw(rules(spec("field", kind))), None)
    theirs, ours = st.sampled_from(VALUES[side.rule.external.type]), st.sampled_from(VALUES[kind])
    contact: dict[str, Value] = {"field": data.draw(ours)}
    for _ in range(4):
        side.held = data.draw(st.one_of(st.just(side.held), theirs))
        contact["field"] = data.draw(st.one_of(st.just(contact["field"]), ours))
        side.pull(contact, outranked=data.draw(st.booleans()))
        before = (side.held, dict(contact), dict(side.pairs))
        assert not side.pull(contact)
        assert (side.held, contact, side.pairs) == before
        assert not side.push(contact)


@given(data=st.data(), kind=types)
@settings(max_examples=600, deadline=None)
def test_two_crms_on_one_field_come_to_rest_within_two_cycles(data: st.DataObject, kind: FieldType) -> None:
    """Ping-pong: whatever the maps, an edit travels through the contact to the other CRM and stays there."""
    directions = (Direction.BOTH,)
    sides = [Side(data.draw(rules(spec("field", kind), name, directions)), None) for name in ("one", "two")]
    contact: dict[str, Value] = {"field": data.draw(st.sampled_from(VALUES[kind]))}
    for _ in range(3):
        edited = data.draw(st.sampled_from(sides))
        edited.held = data.draw(st.sampled_from(VALUES[edited.rule.external.type]))
        if data.draw(st.booleans()):
            contact["field"] = data.draw(st.sampled_from(VALUES[kind]))
        for _ in range(2):
            for side in sides:
                side.pull(contact)
        at_rest = [side.pull(contact) for side in sides]
        assert at_rest == [False, False]


@given(case=st.sampled_from(list(Case)), text=st.text(max_size=12))
@example(case=Case.TITLE, text="İ'ß ŉ")
@settings(max_examples=200, deadline=None)
def test_a_case_applied_twice_is_applied_once(case: Case, text: str) -> None:
    """No pair depends on it, but an operator may map both ways with one case."""
    target = FieldSpec("note", FieldType.STRING)
    once = Transform(case).apply(text.strip() or None, target)
    assert Transform(case).apply(Transform(case).apply(once, target), target) == Transform(case).apply(
        once, target
    )
