"""What a row of an imported file does to a contact: the whole decision as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from contacts.csv_reading import Row
from contacts.import_rows import Column, Decision, Outcome, Policy, Rules, decide_all, numbers_of
from contacts.values import BUILT_IN, FieldSpec, FieldType, Value

pytestmark = pytest.mark.once
ADA = "+14155550100"
HELD: dict[str, Value] = {
    "phone_number": ADA, "first_name": "Ada", "last_name": None, "do_not_call": False, "contact_memory": None, "plan": "Free",
}  # fmt: skip
PLAN = FieldSpec("plan", FieldType.ENUM, ("Free", "Pro"))
CREATED, UPDATED, UNCHANGED, REJECTED = Outcome.CREATED, Outcome.UPDATED, Outcome.UNCHANGED, Outcome.REJECTED


def rules(**changes: Any) -> Rules:
    """Phone, first name, last name, opt-out, plan: in this order."""
    specs = [BUILT_IN["first_name"], BUILT_IN["last_name"], BUILT_IN["do_not_call"], PLAN]
    columns = tuple(Column(position, spec) for position, spec in enumerate(specs, 1))
    wanted: dict[str, Any] = {"width": 5, "number": 0, "columns": columns, "region": "US"}
    return Rules(**(wanted | changes))


def decide(
    *rows: list[str], held: Mapping[str, Value] | None = None, former: set[str] | None = None, **changes: Any
) -> list[Decision]:
    """The decisions on some rows; `held` is Ada as she is."""
    known = {ADA: held} if held is not None else {}
    return decide_all(
        [Row(place, cells) for place, cells in enumerate(rows, 2)], known, former or set(), rules(**changes)
    )


@pytest.mark.parametrize(
    ("cells", "outcome", "changes"),
    [
        ([ADA, "Ada"], UNCHANGED, {}),
        ([ADA], UNCHANGED, {}),
        ([ADA, "", "", "", ""], UNCHANGED, {}),
        ([ADA, "Augusta"], UPDATED, {"first_name": ("Ada", "Augusta")}),
        ([ADA, "Ada", "King"], UPDATED, {"last_name": (None, "King")}),
        (["(415) 555-0100", "", "", "", "pro"], UPDATED, {"plan": ("Free", "Pro")}),
        ([ADA, "", "", "yes"], UPDATED, {"do_not_call": (False, True)}),
        ([ADA, "", "", "no"], UNCHANGED, {}),
        ([ADA, "'=1+1"], UPDATED, {"first_name": ("Ada", "=1+1")}),
        ([ADA, "Ada", "", "", "", " "], UNCHANGED, {}),
    ],
)
def test_a_row_overwrites_what_it_holds_and_leaves_the_rest(
    cells: list[str], outcome: Outcome, changes: dict[str, object]
) -> None:
    (one,) = decide(cells, held=HELD)
    assert (one.outcome, one.changes, one.reason) == (outcome, changes, "")


@pytest.mark.parametrize(
    ("policy", "clear", "cells", "outcome", "changes"),
    [
        (Policy.OVERWRITE, True, [ADA, ""], UPDATED, {"first_name": ("Ada", None), "plan": ("Free", None)}),
        (Policy.FILL_IF_EMPTY, False, [ADA, "Augusta", "King"], UPDATED, {"last_name": (None, "King")}),
        (Policy.FILL_IF_EMPTY, True, [ADA, "", ""], UNCHANGED, {}),
        (Policy.FILL_IF_EMPTY, False, [ADA, "", "", "yes"], UPDATED, {"do_not_call": (False, True)}),
        (Policy.CREATE_ONLY, False, [ADA, "Augusta", "King", "yes"], UNCHANGED, {}),
    ],
)
def test_the_policy_says_what_a_row_may_do_to_a_contact_that_is_there(
    policy: Policy, clear: bool, cells: list[str], outcome: Outcome, changes: dict[str, object]
) -> None:
    (one,) = decide(cells, held=HELD, policy=policy, clear_blanks=clear)
    assert (one.outcome, one.changes) == (outcome, changes)


@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.parametrize("cell", ["no", "", "yes"])
def test_an_import_never_lifts_an_opt_out(cell: str, clear: bool) -> None:
    (one,) = decide([ADA, "Ada", "x", cell, "Free"], held={**HELD, "do_not_call": True}, clear_blanks=clear)
    assert one.changes == {"last_name": (None, "x")}
    assert set(one.kept) == ({"do_not_call"} if cell == "no" or (clear and not cell) else set())


@pytest.mark.parametrize(
    ("cells", "changes"),
    [
        ([ADA, "Ada", "", "no", "pro"], {"first_name": (None, "Ada"), "plan": (None, "Pro")}),
        ([ADA, "", "", "yes"], {"do_not_call": (None, True)}),
        ([ADA], {}),
    ],
)
def test_a_row_whose_number_nobody_has_makes_a_contact(cells: list[str], changes: dict[str, object]) -> None:
    (one,) = decide(cells)
    assert (one.outcome, one.number, one.changes) == (CREATED, ADA, changes)


@pytest.mark.parametrize(
    ("cells", "fault", "words"),
    [
        (["", "Ada"], "phone_number", "blank"),
        (["12", "Ada"], "phone_number", "country code"),
        ([ADA, "Ada", "", "maybe"], "do_not_call", "true or false"),
        ([ADA, "Ada", "", "", "Gold"], "plan", "Free, Pro"),
        ([ADA, "x" * 256], "first_name", "255"),
        ([ADA, "Ada", "", "", "", "more"], "", "more cells than the header"),
    ],
)
def test_a_row_of_which_a_part_does_not_fit_is_rejected_whole(
    cells: list[str], fault: str, words: str
) -> None:
    (one,) = decide(cells, held=HELD)
    assert (one.outcome, one.fault, one.changes) == (REJECTED, fault, {})
    assert words in one.reason


def test_a_number_that_only_a_contacts_past_leads_to_is_left_to_a_person() -> None:
    (one,) = decide([ADA, "Ada"], former={ADA})
    assert (one.outcome, one.fault) == (REJECTED, "phone_number")
    assert "before" in one.reason
    (other,) = decide([ADA, "Ada"], held=HELD, former={ADA})
    assert other.outcome == UNCHANGED


def test_rows_with_one_number_are_taken_in_the_order_of_the_file() -> None:
    found = decide([ADA, "Ada"], ["415-555-0100", "Ada", "King"], [ADA, "Ada"], [ADA, "Augusta"])
    assert [one.outcome for one in found] == [CREATED, UPDATED, UNCHANGED, UPDATED]
    assert found[3].changes == {"first_name": ("Ada", "Augusta")}
    assert [one.line for one in found] == [2, 3, 4, 5]


def test_the_region_reads_numbers_without_a_country_code() -> None:
    assert numbers_of([Row(2, ["030 231250"]), Row(3, ["nobody"])], rules(region="DE")) == {"+4930231250"}
