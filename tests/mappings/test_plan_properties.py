"""What holds of every plan, whatever the values: it ends, it writes no difference that is none, and opt-outs only tighten."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts.values import DoesNotFit, FieldSpec, FieldType, Value, coerce, same
from mappings.rules import (
    Blank,
    Conflict,
    Direction,
    FieldRule,
    Pair,
    Plan,
    locally_changed,
    pack,
    plan,
    unpack,
)

texts = st.sampled_from(
    ["", "Ada", "Free", "free", "true", "0", "12.5", "2026-05-14", "2026-05-14T09:30:00Z", "x" * 12]
)
raw = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), texts)


def spec(name: str, kind: FieldType, limit: int | None = None) -> FieldSpec:
    """A field."""
    return FieldSpec(name, kind, ("Free", "Pro", "0") if kind is FieldType.ENUM else (), max_length=limit)


def held(value: Any, field: FieldSpec) -> Value:
    """What such a field would hold of the value; nothing where it does not fit."""
    try:
        return coerce(value, field)
    except DoesNotFit:
        return None


@st.composite
def squares(draw: Any) -> tuple[FieldRule, dict[str, Pair], Value, Value]:
    """A rule between any two types, maybe with an old pair, and what both sides hold now."""
    ours = spec("plan", draw(st.sampled_from(FieldType)))
    theirs = spec("Plan", draw(st.sampled_from(FieldType)), draw(st.sampled_from([None, 5])))
    rule = FieldRule(
        ours,
        theirs,
        draw(st.sampled_from(Direction)),
        draw(st.sampled_from([Conflict.CRM_WINS, Conflict.OURS_WINS])),
        draw(st.sampled_from(Blank)),
        draw(st.sampled_from(Blank)),
    )
    settled = {}
    if draw(st.booleans()):
        settled[rule.key] = Pair(held(draw(raw), theirs), held(draw(raw), ours))
    return rule, settled, held(draw(raw), ours), held(draw(raw), theirs)


def carry_out(
    made: Plan, settled: dict[str, Pair], local: Value, remote: Value
) -> tuple[dict[str, Pair], Value, Value]:
    """Both sides and the pairs once everything was written."""
    after = settled | made.settle | dict(made.settle_pushed.values())
    return after, made.changes.get("plan", local), made.pushes.get("Plan", remote)


@given(squares())
def test_once_a_plan_is_carried_out_nothing_is_left_to_do(
    square: tuple[FieldRule, dict[str, Pair], Value, Value],
) -> None:
    """Row 1: no loop, by construction."""
    rule, settled, local, remote = square
    made = plan([rule], settled, {"plan": local}, {"Plan": remote})
    settled, local, remote = carry_out(made, settled, local, remote)
    again = plan([rule], settled, {"plan": local}, {"Plan": remote})
    assert (again.changes, again.pushes, again.settle) == ({}, {}, {})
    assert not locally_changed([rule], settled, {"plan": local}) or not rule.pushes or not settled


@given(squares())
def test_no_plan_writes_what_is_there_already(
    square: tuple[FieldRule, dict[str, Pair], Value, Value],
) -> None:
    rule, settled, local, remote = square
    made = plan([rule], settled, {"plan": local}, {"Plan": remote})
    assert all(not same(value, remote) for value in made.pushes.values())
    assert all(not same(value, local) for value in made.changes.values())


@given(squares())
def test_values_go_only_the_way_that_the_mapping_says(
    square: tuple[FieldRule, dict[str, Pair], Value, Value],
) -> None:
    rule, settled, local, remote = square
    made = plan([rule], settled, {"plan": local}, {"Plan": remote})
    assert rule.pulls or not made.changes
    assert rule.pushes or not made.pushes
    assert not (made.changes and made.pushes)


@given(squares())
def test_what_is_written_fits_the_field(square: tuple[FieldRule, dict[str, Pair], Value, Value]) -> None:
    rule, settled, local, remote = square
    made = plan([rule], settled, {"plan": local}, {"Plan": remote})
    assert all(same(coerce(value, rule.contact), value) for value in made.changes.values())
    assert all(same(coerce(value, rule.external), value) for value in made.pushes.values())


@given(squares())
def test_a_hidden_field_is_left_alone(square: tuple[FieldRule, dict[str, Pair], Value, Value]) -> None:
    """Row 22: hidden is not blank."""
    rule, settled, local, _ = square
    made = plan([rule], settled, {"plan": local}, {})
    assert made.skipped == {rule.key: "hidden"}
    assert not (made.changes)
    assert not (made.pushes)
    assert not (made.settle)


canonical = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())


@given(st.dictionaries(st.text(), st.builds(Pair, canonical, canonical)))
def test_pairs_survive_their_storage_as_json(pairs: dict[str, Pair]) -> None:
    """Row 6: null, false, 0 and an empty text stay what they were."""
    back = unpack(json.loads(json.dumps(pack(pairs))))
    assert back.keys() == pairs.keys()
    for key, pair in pairs.items():
        assert same(back[key].remote, pair.remote)
        assert same(back[key].local, pair.local)


OPT_OUT = FieldRule(
    spec("do_not_call", FieldType.BOOLEAN),
    spec("DoNotCall", FieldType.BOOLEAN),
    Direction.BOTH,
    Conflict.CRM_WINS,
)


@pytest.mark.parametrize(
    ("settled", "local", "remote", "changes", "pushes"),
    [
        (None, False, None, {}, {}),
        (None, False, False, {}, {}),
        (None, False, True, {"do_not_call": True}, {}),
        (None, True, False, {}, {"DoNotCall": True}),
        (None, True, None, {}, {"DoNotCall": True}),
        (None, True, True, {}, {}),
        ((False, False), False, True, {"do_not_call": True}, {}),
        ((False, False), True, False, {}, {"DoNotCall": True}),
        (
            (True, True),
            True,
            False,
            {},
            {"DoNotCall": True},
        ),  # cleared in the CRM: nothing automatic takes it back
        ((True, True), True, None, {}, {"DoNotCall": True}),
        ((True, True), False, True, {}, {"DoNotCall": False}),  # cleared here, which only a person can
        ((True, True), False, False, {}, {}),
        ((True, True), False, None, {}, {}),
        (
            (False, True),
            False,
            True,
            {"do_not_call": True},
            {},
        ),  # opted out there since, whatever was cleared here
        ((False, False), True, True, {}, {}),
    ],
)
def test_an_opt_out_only_tightens(
    settled: tuple[Value, Value] | None,
    local: bool,
    remote: Value,
    changes: dict[str, Value],
    pushes: dict[str, Value],
) -> None:
    """Row 40, every cell."""
    pairs = {OPT_OUT.key: Pair(*settled)} if settled else {}
    made = plan([OPT_OUT], pairs, {"do_not_call": local}, {"DoNotCall": remote})
    assert (made.changes, made.pushes) == (changes, pushes)
    assert made.conflicts == []


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("remote", [True, False, None])
@pytest.mark.parametrize(
    "old", [None, (True, True), (False, False), (True, False), (False, True), (None, False)]
)
def test_whatever_came_before_an_opt_out_is_on_no_side_lost_by_itself(
    direction: Direction, local: bool, remote: Value, old: tuple[Value, Value] | None
) -> None:
    rule = FieldRule(
        OPT_OUT.contact, OPT_OUT.external, direction, Conflict.OURS_WINS, Blank.CLEAR, Blank.CLEAR
    )
    made = plan([rule], {rule.key: Pair(*old)} if old else {}, {"do_not_call": local}, {"DoNotCall": remote})
    assert made.changes in ({}, {"do_not_call": True})  # never cleared here
    cleared_here = old is not None and old[1] is True and not local
    if made.pushes:
        assert made.pushes["DoNotCall"] is (not (cleared_here and remote))
