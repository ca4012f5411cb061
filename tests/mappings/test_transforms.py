"""Transforms by table: what a value map, a case and a default do to single values, and how plans carry them."""

from dataclasses import replace

import pytest

from contacts.values import DoesNotFit, FieldSpec, FieldType, Value
from mappings.rules import (
    Blank,
    Conflict,
    Direction,
    FieldRule,
    Pair,
    creation_values,
    locally_changed,
    plan,
)
from mappings.transforms import Case, Transform

pytestmark = pytest.mark.once

TEXT = FieldSpec("note", FieldType.STRING)
SHORT = FieldSpec("code", FieldType.STRING, max_length=3)
PLAN = FieldSpec("plan", FieldType.ENUM, ("Free", "Pro", "Enterprise"))
RATING = FieldSpec("Rating", FieldType.ENUM, ("Hot", "Warm", "Cold"))
VIP = FieldSpec("vip", FieldType.BOOLEAN)
COUNT = FieldSpec("count", FieldType.NUMBER)
TEMPERATURES = Transform(value_map=(("Hot", "Enterprise"), ("Warm", "Pro")))
YES_NO = Transform(value_map=(("true", "Ja"), ("false", "Nein")))


@pytest.mark.parametrize(
    ("transform", "value", "target", "held"),
    [
        (Transform(), "  Ada ", TEXT, "Ada"),
        (Transform(), None, TEXT, None),
        (Transform(), "", TEXT, None),
        (Transform(case=Case.LOWER), " Ada@Example.COM ", TEXT, "ada@example.com"),
        (Transform(case=Case.UPPER), "de-by", TEXT, "DE-BY"),
        (Transform(case=Case.TITLE), "ada LOVELACE", TEXT, "Ada Lovelace"),
        (Transform(case=Case.TITLE), "o'neil mcKay DI LORENZO", TEXT, "O'neil mcKay Di Lorenzo"),
        (Transform(case=Case.TITLE), "jean-luc", TEXT, "Jean-Luc"),
        (Transform(case=Case.TITLE), "élise 2nd", TEXT, "Élise 2nd"),
        (Transform(case=Case.TITLE), "", TEXT, None),
        (TEMPERATURES, "Hot", PLAN, "Enterprise"),
        (TEMPERATURES, " hOT ", PLAN, "Enterprise"),
        (TEMPERATURES, "free", PLAN, "Free"),  # not mapped, but it fits
        (Transform(value_map=(("Straße", "Pro"),)), "STRASSE", PLAN, "Pro"),
        (Transform(value_map=(("Customer", "yes"), ("Prospect", "no"))), "customer", VIP, True),
        (Transform(value_map=(("Customer", "yes"), ("Prospect", "no"))), "Prospect", VIP, False),
        (Transform(value_map=(("Customer", "yes"),)), "no", VIP, False),
        (YES_NO, True, TEXT, "Ja"),
        (YES_NO, False, TEXT, "Nein"),
        (Transform(value_map=(("1", "true"), ("0", "false"))), 0, VIP, False),
        (Transform(value_map=(("1", "true"), ("0", "false"))), 1.0, VIP, True),
        (Transform(value_map=(("few", "3"),)), "Few", COUNT, 3),
        (Transform(Case.UPPER, (("ada", "Ada"),)), "ADA", TEXT, "Ada"),  # mapped as written, whatever the case
        (Transform(Case.UPPER), 12.5, TEXT, "12.5"),
        (Transform(Case.UPPER), "free", PLAN, "Free"),
        (Transform(default="Free"), None, PLAN, None),  # a default is the plan's business, not a value's
    ],
)  # fmt: skip
def test_a_value_on_its_way(transform: Transform, value: Value, target: FieldSpec, held: Value) -> None:
    result = transform.apply(value, target)
    assert result == held
    assert type(result) is type(held)


@pytest.mark.parametrize(
    ("transform", "value", "target", "reason"),
    [
        (TEMPERATURES, "Cold", PLAN, "unknown_option"),
        (Transform(value_map=(("Hot", "Platinum"),)), "Hot", PLAN, "unknown_option"),
        (Transform(value_map=(("Hot", "Pro"),)), "Hot", COUNT, "not_a_number"),
        (Transform(Case.UPPER), "süß", SHORT, "too_long"),  # SÜSS
        (Transform(), True, COUNT, "wrong_type"),
    ],
)
def test_what_does_not_fit_says_why(
    transform: Transform, value: Value, target: FieldSpec, reason: str
) -> None:
    with pytest.raises(DoesNotFit) as refused:
        transform.apply(value, target)
    assert refused.value.reason == reason


def both(transform_in: Transform = Transform(), transform_out: Transform = Transform()) -> FieldRule:  # noqa: B008
    return FieldRule(PLAN, RATING, Direction.BOTH, transform_in=transform_in, transform_out=transform_out)


BACK = Transform(value_map=(("Enterprise", "Hot"), ("Pro", "Warm"), ("Free", "Cold")))
KEY = "Rating:plan"


def test_a_mapped_value_comes_in_and_the_pair_keeps_what_each_side_holds() -> None:
    made = plan([both(TEMPERATURES, BACK)], {KEY: Pair("Warm", "Pro")}, {"plan": "Pro"}, {"Rating": "Hot"})
    assert made.changes == {"plan": "Enterprise"}
    assert made.settle == {KEY: Pair("Hot", "Enterprise")}
    assert made.pushes == {}


def test_our_own_mapped_value_coming_back_is_no_change() -> None:
    rule = both(TEMPERATURES, BACK)
    made = plan([rule], {KEY: Pair("Warm", "Pro")}, {"plan": "Free"}, {"Rating": "Warm"})
    assert made.pushes == {"Rating": "Cold"}
    pair = dict(made.settle_pushed.values())
    back = plan([rule], pair, {"plan": "Free"}, {"Rating": "Cold"})  # "Cold" is not mapped inwards at all
    assert (back.changes, back.pushes, back.skipped) == ({}, {}, {})


def test_both_sides_changed_to_values_that_mean_the_same_is_no_conflict() -> None:
    asking = replace(both(Transform(), BACK), conflict=Conflict.ASK)
    for rule in (asking, replace(asking, transform_in=Transform(value_map=(("Hot", "Free"),)))):
        made = plan([rule], {KEY: Pair("Warm", "Pro")}, {"plan": "Enterprise"}, {"Rating": "Hot"})
        assert (made.changes, made.pushes, made.conflicts, made.skipped) == ({}, {}, [], {})
        assert made.settle == {KEY: Pair("Hot", "Enterprise")}


def test_a_value_that_is_not_mapped_is_skipped_once_and_nothing_is_lost() -> None:
    rule = both(TEMPERATURES, BACK)
    made = plan([rule], {KEY: Pair("Warm", "Pro")}, {"plan": "Pro"}, {"Rating": "Cold"})
    assert (made.changes, made.pushes) == ({}, {})
    assert made.skipped == {KEY: "unknown_option"}
    assert plan([rule], made.settle, {"plan": "Pro"}, {"Rating": "Cold"}).skipped == {}


def test_once_it_is_mapped_a_skipped_value_fills_the_blank_it_left() -> None:
    pair, skipped = {KEY: Pair("Cold", None)}, {KEY: "unknown_option"}
    mended = Transform(value_map=(*TEMPERATURES.value_map, ("Cold", "Free")))
    still = plan([both(TEMPERATURES)], pair, {}, {"Rating": "Cold"}, skipped=skipped)
    assert (still.changes, still.skipped) == ({}, skipped)
    made = plan([both(mended)], pair, {}, {"Rating": "Cold"}, skipped=skipped)
    assert made.changes == {"plan": "Free"}
    # … but not a value that somebody has typed meanwhile, and not a field that somebody has cleared.
    typed = plan(
        [both(mended)], {KEY: Pair("Cold", "Pro")}, {"plan": "Pro"}, {"Rating": "Cold"}, skipped=skipped
    )
    assert typed.changes == {}
    cleared = plan([both(mended)], pair, {}, {"Rating": "Cold"})
    assert cleared.changes == {}


IN, OUT = Transform(default="Free"), Transform(default="Cold")


@pytest.mark.parametrize(
    ("rule", "pair", "local", "remote", "contact", "crm"),
    [
        # First link, both blank.
        (replace(both(IN), direction=Direction.INBOUND), None, None, None, "Free", None),
        (replace(both(IN, OUT), direction=Direction.OUTBOUND), None, None, None, None, "Cold"),
        (both(Transform(), OUT), None, None, None, None, "Cold"),
        (both(IN, BACK), None, None, None, "Free", "Cold"),  # two ways: the contact's new value goes on
        # Never over a value.
        (both(IN, OUT), None, "Pro", "Hot", None, None),
        (both(IN, BACK), None, "Pro", None, None, "Warm"),
        (both(Transform(value_map=(("Hot", "Pro"),), default="Free"), OUT), None, None, "Hot", "Pro", None),
        # The CRM's value is emptied: ours stays; the default comes only where ours is blank too.
        (both(IN, BACK), Pair("Warm", "Pro"), "Pro", None, None, None),
        (both(IN, BACK), Pair("odd", None), None, None, "Free", "Cold"),
        # A blank that clears brings no default.
        (replace(both(IN, BACK), blank_in=Blank.CLEAR), Pair("Warm", "Pro"), "Pro", None, "-", None),
        (replace(both(IN, BACK), blank_in=Blank.CLEAR), Pair("odd", None), None, None, None, None),
        (replace(both(IN, BACK), blank_in=Blank.CLEAR_IF_EMPTIED), Pair("Warm", "Pro"), "Pro", None, "-", None),
        (replace(both(IN, BACK), blank_in=Blank.CLEAR_IF_EMPTIED), None, None, None, "Free", "Cold"),
        (replace(both(IN, OUT), blank_out=Blank.CLEAR), Pair("Warm", "Pro"), None, "Warm", None, "-"),
        # What a person clears here is not filled again from either side.
        (both(IN, BACK), Pair("Cold", "Free"), None, "Cold", None, None),
        (replace(both(IN), direction=Direction.INBOUND), Pair(None, "Free"), None, None, None, None),
    ],
)  # fmt: skip
def test_a_default_is_written_where_an_ignored_blank_meets_a_blank(
    rule: FieldRule, pair: Pair | None, local: Value, remote: Value, contact: str | None, crm: str | None
) -> None:
    if pair is None and local and remote:
        rule = replace(rule, conflict=Conflict.ASK)
    made = plan([rule], {KEY: pair} if pair else {}, {"plan": local}, {"Rating": remote})
    assert made.changes == ({} if contact is None else {"plan": None if contact == "-" else contact})
    assert made.pushes == ({} if crm is None else {"Rating": None if crm == "-" else crm})


def test_a_default_that_no_longer_fits_is_no_default() -> None:
    rule = replace(both(Transform(default="Platinum")), direction=Direction.INBOUND)
    made = plan([rule], {}, {}, {"Rating": None})
    assert (made.changes, made.settle) == ({}, {KEY: Pair(None, None)})


def test_a_new_record_gets_mapped_values_and_defaults() -> None:
    values, pairs = creation_values(
        [both(TEMPERATURES, replace(BACK, default="Warm"))], {"plan": "Enterprise"}
    )
    assert (values, pairs) == ({"Rating": "Hot"}, {KEY: Pair("Hot", "Enterprise")})
    values, pairs = creation_values([both(TEMPERATURES, replace(BACK, default="Warm"))], {})
    assert (values, pairs) == ({"Rating": "Warm"}, {KEY: Pair("Warm", None)})
    assert not locally_changed([both(TEMPERATURES, replace(BACK, default="Warm"))], pairs, {})


MAY_CALL = FieldRule(
    FieldSpec("do_not_call", FieldType.BOOLEAN),
    FieldSpec("MayCall", FieldType.BOOLEAN),
    Direction.BOTH,
    transform_in=Transform(value_map=(("true", "false"), ("false", "true"))),
    transform_out=Transform(value_map=(("true", "false"), ("false", "true"))),
)


@pytest.mark.parametrize(
    ("pair", "local", "remote", "changes", "pushes"),
    [
        (None, False, False, {"do_not_call": True}, {}),
        (None, True, True, {}, {"MayCall": False}),
        (Pair(True, False), False, False, {"do_not_call": True}, {}),
        (
            Pair(False, True),
            True,
            True,
            {},
            {"MayCall": False},
        ),  # row 40: cleared there, taken back to the CRM
        (Pair(False, True), False, False, {}, {"MayCall": True}),  # a person's own word, carried out
    ],
)
def test_an_opt_out_keeps_tightening_through_an_inverted_field(
    pair: Pair | None, local: bool, remote: bool, changes: dict[str, Value], pushes: dict[str, Value]
) -> None:
    made = plan(
        [MAY_CALL], {"MayCall:do_not_call": pair} if pair else {}, {"do_not_call": local}, {"MayCall": remote}
    )
    assert (made.changes, made.pushes) == (changes, pushes)


def test_an_opt_out_reaches_a_new_record_through_an_inverted_field() -> None:
    assert creation_values([MAY_CALL], {"do_not_call": True})[0] == {"MayCall": False}
    assert creation_values([MAY_CALL], {"do_not_call": False})[0] == {}


def test_an_opt_out_taken_back_stays_so_where_the_crm_cannot_be_told() -> None:
    always = replace(MAY_CALL, transform_out=Transform(value_map=(("true", "false"), ("false", "false"))))
    pair = {"MayCall:do_not_call": Pair(False, True)}
    made = plan([always], pair, {"do_not_call": False}, {"MayCall": False})
    assert (made.changes, made.pushes, made.settle) == ({}, {}, {})
