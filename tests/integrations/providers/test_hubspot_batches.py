"""HubSpot's batch answers in the forms that its documents leave open: one outcome per input all the same."""

from typing import Any

import pytest

from integrations.providers.base import Creation, Update
from integrations.providers.errors import ConfigError, RecordGone, Rejected, Transient
from tests.integrations.providers.crms import HubSpotBench
from tests.integrations.providers.test_hubspot_options import KEY, talk

EMAILS = ["Ada@Example.com", "grace@example.com", "hedy@example.com"]


def named(hubspot: HubSpotBench, ids: list[str | None]) -> list[str | None]:
    return [hubspot.control.contact("hubspot", str(one))["fields"]["email"] for one in ids]


@pytest.mark.parametrize("options", [{}, KEY])
@pytest.mark.parametrize("fault", ["untraced_results", "whole_batches"])
def test_creations_find_their_results_whatever_the_answer_tells(
    hubspot: HubSpotBench, fault: str, options: dict[str, str]
) -> None:
    hubspot.control.switch_on("hubspot", fault)
    visited: dict[str, Any] = {"last_visit": "2026-05-14T09:30:00Z", "vip": True}
    creations = [Creation(f"k{place}", {"email": email, **visited}) for place, email in enumerate(EMAILS)]
    outcomes = hubspot.provider(**options).create(creations)
    assert [one.created for one in outcomes] == [True] * 3
    assert named(hubspot, [one.external_id for one in outcomes]) == [email.lower() for email in EMAILS]


def test_a_batch_that_fails_whole_is_split_until_only_what_is_bad_fails(hubspot: HubSpotBench) -> None:
    hubspot.control.switch_on("hubspot", "whole_batches")
    known = hubspot.add(first="Ada")
    hubspot.control.edit_contact("hubspot", known, {"email": "ada@example.com"})
    creations = [
        Creation("k1", {"email": "grace@example.com"}),
        Creation("k2", {"email": "ada@example.com"}),
        Creation("k3", {"lastname": "Lamarr", "plan": "gold"}),
        Creation("k4", {"lastname": "King"}),
    ]
    made, taken, bad, other = hubspot.provider().create(creations)
    assert made.created
    assert other.created
    assert (taken.external_id, taken.created) == (known, False)
    assert isinstance(bad.error, Rejected)
    assert bad.error.field == "plan"


def test_an_update_of_many_splits_around_a_bad_one(hubspot: HubSpotBench) -> None:
    ids = [hubspot.add(first="Ada") for _ in range(5)]
    updates = [Update(one, {"plan": "gold" if one == ids[2] else "pro"}) for one in ids]
    outcomes = hubspot.provider().update(updates)
    assert [one.ok for one in outcomes] == [True, True, False, True, True]
    assert [hubspot.field(one, "plan") for one in ids] == ["pro", "pro", None, "pro", "pro"]


def test_a_property_that_cannot_be_written_holds_back_only_what_has_it(hubspot: HubSpotBench) -> None:
    hubspot.control.switch_on("hubspot", "whole_batches")
    ids, provider = [hubspot.add(first="Ada") for _ in range(4)], hubspot.provider()
    given: list[dict[str, Any]] = [
        {"vanished": "x"},
        {"plan": "pro"},
        {"score": 5, "plan": "pro"},
        {"vip": True},
    ]
    before = hubspot.control.last_request()
    outcomes = provider.update([Update(*pair) for pair in zip(ids, given, strict=True)])
    errors = [one.error for one in outcomes]
    assert [isinstance(one, ConfigError) and one.field for one in errors] == [
        "vanished",
        False,
        "score",
        False,
    ]
    assert [one.ok for one in outcomes] == [False, True, False, True]
    assert len(hubspot.calls(since=before)) == 3
    made = provider.create([Creation(f"k{i}", {"lastname": "King", **one}) for i, one in enumerate(given)])
    assert [one.created for one in made] == [False, True, False, True]
    [alone] = provider.update([Update(ids[0], {"vanished": "x"})])
    assert isinstance(alone.error, ConfigError)


def test_a_record_that_an_update_passes_over_in_silence_is_looked_for(hubspot: HubSpotBench) -> None:
    hubspot.control.switch_on("hubspot", "silent_updates")
    there, gone = hubspot.add(first="Ada"), hubspot.add(first="Grace")
    hubspot.delete(gone)
    updates = [Update(there, {"firstname": "Augusta"}), Update(gone, {"firstname": "Augusta"})]
    before = hubspot.control.last_request()
    kept, lost = hubspot.provider().update(updates)
    assert kept.ok
    assert isinstance(lost.error, RecordGone)
    assert len(hubspot.calls(since=before)) == 2
    hubspot.control.add_fault(action="vendor", kind="server_error", system="hubspot", path="batch/read")
    kept, lost = hubspot.provider().update(updates)
    assert kept.ok
    assert isinstance(lost.error, Transient)


def test_a_logged_call_that_somebody_deleted_is_gone_also_in_silence(
    hubspot: HubSpotBench, sandbox: Any
) -> None:
    hubspot.control.switch_on("hubspot", "silent_updates")
    one, provider = hubspot.add(first="Ada"), hubspot.provider()
    [made] = provider.log_activities([talk(one)])
    portal = sandbox.world.hubspot.portal
    calls = portal.tables["calls"]
    calls.archive(calls.get(int(str(made.external_id))), portal.now)
    [late] = provider.log_activities([talk(one, body="Later.", external_id=made.external_id)])
    assert isinstance(late.error, RecordGone)


def test_a_merge_that_its_outcome_does_not_tell_of_is_followed(hubspot: HubSpotBench) -> None:
    hubspot.control.change_settings("hubspot", merges_tell_ids=False)
    provider, plain = hubspot.provider(), [hubspot.add(first="Hedy") for _ in range(3)]
    winner, loser = hubspot.add(first="Ada"), hubspot.add(first="Grace")
    survivor = hubspot.control.merge_contacts("hubspot", winner, loser)["id"]
    found = provider.read([*plain, winner, loser, "424242"], ["firstname"])
    assert {one: found[one].merged_into for one in (winner, loser)} == dict.fromkeys(
        (winner, loser), survivor
    )
    assert [found[one].values["firstname"] for one in plain] == ["Hedy"] * 3
    assert "424242" not in found
    before = hubspot.control.last_request()
    assert provider.read([loser], ["firstname"])[loser].merged_into == survivor
    assert len(hubspot.calls(since=before)) == 1
    assert provider.update([Update(loser, {"firstname": "Augusta"})])[0].external_id == survivor
