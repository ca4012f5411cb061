"""What an operator can choose about HubSpot: safe creation by a unique property, owners, call outcomes."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.providers.base import Activity, ActivityKind, Creation
from integrations.providers.errors import ConfigError, NeedsAttention, Rejected, Transient
from tests.integrations.providers.crms import HubSpotBench

KEY = {"unique_key": "app_contact_key"}
OUTCOME = "f240bbac-87c9-4f6e-bf70-924b57d47db7"


def people(count: int) -> list[Creation]:
    return [Creation(f"contact_{i}", {"lastname": f"Hopper{i}"}) for i in range(count)]


def talk(contact_id: str, **changes: Any) -> Activity:
    values: dict[str, Any] = {
        "title": "Talk", "body": "Body", "started": datetime(2026, 5, 14, 9, 30, tzinfo=UTC), "direction": "inbound",
        "from_number": "+14155550100", "to_number": "+12125550100", "disconnection_reason": "user_hangup",
    }  # fmt: skip
    return Activity("talk_1", ActivityKind.CALL, contact_id, **{**values, **changes})


def test_the_unique_property_is_created_once_and_creations_are_upserts(hubspot: HubSpotBench) -> None:
    before = hubspot.contacts()
    provider = hubspot.provider(**KEY)
    outcomes = provider.create(people(201))
    assert all(outcome.created for outcome in outcomes)
    assert len({outcome.external_id for outcome in outcomes}) == 201
    again = hubspot.provider(**KEY).create(people(3))
    assert [one.external_id for one in again] == [one.external_id for one in outcomes[:3]]
    assert [one.created for one in again] == [False] * 3
    assert hubspot.contacts() == before + 201
    calls = hubspot.calls()
    assert calls.count("POST /crm/properties/2026-03/contacts") == 1
    assert calls.count("POST /crm/objects/2026-03/contacts/batch/upsert") == 4


@pytest.mark.parametrize("action", ["drop_after", "drop_before", "html", "truncate"])
def test_with_a_unique_property_a_lost_answer_doubles_nothing(hubspot: HubSpotBench, action: str) -> None:
    before, provider = hubspot.contacts(), hubspot.provider(**KEY)
    hubspot.control.add_fault(action=action, system="hubspot", path="batch/upsert")
    with pytest.raises(Transient):
        provider.create(people(2))
    assert all(outcome.ok for outcome in provider.create(people(2)))
    assert hubspot.contacts() == before + 2


def test_a_bad_row_and_a_taken_email_do_not_fail_the_others(hubspot: HubSpotBench) -> None:
    known = hubspot.add(first="Ada")
    hubspot.control.edit_contact("hubspot", known, {"email": "ada@example.com"})
    creations = [*people(2), Creation("c3", {"plan": "gold"}), Creation("c4", {"email": "ada@example.com"})]
    outcomes = hubspot.provider(**KEY).create(creations)
    assert [outcome.ok for outcome in outcomes] == [True, True, False, True]
    assert isinstance(outcomes[2].error, Rejected)
    assert (outcomes[3].external_id, outcomes[3].created) == (known, False)


def test_a_property_that_is_not_unique_is_refused(hubspot: HubSpotBench) -> None:
    with pytest.raises(ConfigError) as caught:
        hubspot.provider(unique_key="nickname").create(people(1))
    assert caught.value.field == "nickname"


def test_a_token_that_may_not_create_the_property_says_which_scope_it_lacks(hubspot: HubSpotBench) -> None:
    hubspot.control.change_settings(
        "hubspot", scopes=["oauth", "crm.objects.contacts.read", "crm.objects.contacts.write"]
    )
    with pytest.raises(NeedsAttention) as caught:
        hubspot.provider(**KEY).create(people(1))
    assert "crm.schemas.contacts.write" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "changes", "owner"),
    [
        ({}, {}, None),
        ({"activity_owner": "71000001"}, {}, "71000001"),
        ({"activity_owner": "71000001", "activity_owner.+12125550100": "71000002"}, {}, "71000002"),
        ({"activity_owner.+14155550100": "71000002"}, {}, None),
        ({"activity_owner.+14155550100": "71000002"}, {"direction": "outbound"}, "71000002"),
    ],
)
def test_the_owner_goes_by_our_own_number(
    hubspot: HubSpotBench, options: dict[str, str], changes: dict[str, str], owner: str | None
) -> None:
    one = hubspot.add(first="Ada")
    assert hubspot.provider(**options).log_activities([talk(one, **changes)])[0].ok
    assert hubspot.activities(one)[0]["fields"].get("hubspot_owner_id") == owner


@pytest.mark.parametrize(
    ("options", "disposition"),
    [
        ({}, None),
        ({"disposition.COMPLETED": OUTCOME}, OUTCOME),
        ({"disposition.user_hangup": OUTCOME, "disposition.COMPLETED": "other"}, OUTCOME),
        ({"disposition.NO_ANSWER": OUTCOME}, None),
    ],
)
def test_the_outcome_of_a_call_goes_by_reason_then_status(
    hubspot: HubSpotBench, options: dict[str, str], disposition: str | None
) -> None:
    one = hubspot.add(first="Ada")
    assert hubspot.provider(**options).log_activities([talk(one)])[0].ok
    assert hubspot.activities(one)[0]["fields"].get("hs_call_disposition") == disposition


def test_scopes_are_told_and_a_token_without_that_answer_is_no_error(hubspot: HubSpotBench) -> None:
    assert hubspot.provider().permissions().log_activities is True
    hubspot.control.add_fault(action="status", status=404, system="hubspot", path="access-token-info")
    assert hubspot.made(replace(hubspot.setup)).permissions().log_activities is None


GOOD = {
    "activity_owner": "71000001",
    "disposition.COMPLETED": OUTCOME,
    "chat_channel": "note",
    "unique_key": "app_key",
}


@pytest.mark.parametrize(
    ("options", "hints"),
    [
        ({}, ()),
        (GOOD, ()),
        ({"disposition.user_hangup": "nope"},
         ("HubSpot has no call outcome “nope” (option disposition.user_hangup): calls would be refused.",)),
        ({"disposition.complete": OUTCOME},
         ("No call ends as “complete” (option disposition.complete).",)),
        ({"disposition.COMPLETE": OUTCOME},
         ("No call ends as “COMPLETE” (option disposition.COMPLETE). Did you mean “COMPLETED”?",)),
        ({"activity_owner.+14155550100": "7"},
         ("HubSpot has no owner 7 (option activity_owner.+14155550100): conversations would be refused.",)),
        ({"activity_owner": "Grace"},
         ("HubSpot has no owner Grace (option activity_owner): conversations would be refused.",)),
        ({"unique_kee": "k"}, ("HubSpot has no use for the option unique_kee. Did you mean “unique_key”?",)),
    ],
)  # fmt: skip
def test_options_that_will_not_work_are_told_beforehand(
    hubspot: HubSpotBench, options: dict[str, str], hints: tuple[str, ...]
) -> None:
    assert hubspot.provider(**options).permissions().hints == hints


def test_what_a_token_may_not_see_is_not_held_against_the_options(hubspot: HubSpotBench) -> None:
    contacts = ["crm.objects.contacts.read", "crm.objects.contacts.write"]
    hubspot.control.change_settings("hubspot", scopes=["oauth", *contacts])
    found = hubspot.provider(activity_owner="7").permissions()
    assert (found.hints, found.log_activities) == ((), True)


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_options_are_checked_in_every_version_with_a_call_each(hubspot: HubSpotBench, version: str) -> None:
    before = hubspot.control.last_request()
    assert hubspot.provider(**GOOD, api_version=version).permissions().hints == ()
    asked = hubspot.calls(since=before)
    assert len(asked) == 3
    assert sum(version in one for one in asked) == 2
