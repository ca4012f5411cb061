"""What a HubSpot token is for: the account, its scopes, its property, and what an operator got wrong about them."""

import json
from typing import Any

import pytest

from contacts.values import FieldType
from integrations.providers.base import Creation
from integrations.providers.errors import AuthError, ConfigError, NeedsAttention
from integrations.providers.hubspot_account import account_of, account_of_records
from integrations.providers.hubspot_schema import decode, fields_of
from tests.integrations.providers.crms import HubSpotBench
from tests.integrations.providers.test_hubspot_options import KEY

ONLY_CONTACTS = ["crm.objects.contacts.read", "crm.objects.contacts.write"]


def test_a_key_that_may_not_see_the_account_knows_it_by_its_contacts(hubspot: HubSpotBench) -> None:
    whole = hubspot.provider().check()
    hubspot.control.change_settings("hubspot", scopes=ONLY_CONTACTS)
    told = hubspot.provider().check()
    assert (told.account_id, told.name, told.web_base) == (whole.account_id, whole.name, whole.web_base)
    assert (whole.time_zone, told.time_zone) == ("UTC", "")
    hubspot.control.change_settings("hubspot", scopes=["crm.objects.owners.read"])
    with pytest.raises(NeedsAttention, match=r"crm\.objects\.contacts\.read"):
        hubspot.provider().check()
    with pytest.raises(AuthError):
        hubspot.stranger().check()


@pytest.mark.parametrize("rows", [[], [{}], [{"url": None}], [{"url": "https://elsewhere/1"}]])
def test_an_account_without_contacts_is_accepted_without_its_number(rows: list[dict[str, Any]]) -> None:
    found = account_of_records(rows)
    assert (found.account_id, found.name, found.web_base) == ("", "HubSpot", "")


def test_the_accounts_own_name_is_shown_where_hubspot_tells_it() -> None:
    assert account_of({"portalId": 7}).name == "HubSpot 7"
    assert account_of({"portalId": 7, "portalName": "Acme"}).name == "Acme"


def test_an_api_version_that_hubspot_does_not_have_is_named(hubspot: HubSpotBench) -> None:
    with pytest.raises(ConfigError, match=r"no API version “2031-01”\. Correct the option api_version"):
        hubspot.provider(api_version="2031-01").check()


def test_two_processes_that_make_the_unique_property_at_once_both_go_on(hubspot: HubSpotBench) -> None:
    assert hubspot.provider(**KEY).create([Creation("k1", {"lastname": "Hopper"})])[0].created
    nothing = json.dumps({"results": []})
    hubspot.control.add_fault(
        action="status", status=200, content=nothing, system="hubspot", method="GET", path="/properties/"
    )
    assert hubspot.provider(**KEY).create([Creation("k2", {"lastname": "King"})])[0].created
    calls = hubspot.calls()
    assert calls.count("POST /crm/properties/2026-03/contacts") == 2


@pytest.mark.once
@pytest.mark.parametrize(
    ("field_type", "values", "kind", "restricted"),
    [
        ("booleancheckbox", ["true", "false"], FieldType.BOOLEAN, False),
        ("radio", ["false", "true"], FieldType.BOOLEAN, False),
        ("booleancheckbox", ["yes", "no"], FieldType.ENUM, True),
        ("checkbox", ["true", "false"], FieldType.STRING, False),
    ],
)
def test_a_single_checkbox_made_by_hand_is_true_or_false(
    field_type: str, values: list[str], kind: FieldType, restricted: bool
) -> None:
    options = [{"value": value, "label": value.title()} for value in values]
    row = {"name": "opt_in", "type": "enumeration", "fieldType": field_type, "options": options}
    [found] = fields_of({"results": [row]})
    assert (found.type, found.restricted) == (kind, restricted)


@pytest.mark.once
@pytest.mark.parametrize("text", ["99999999999999999999", "-99999999999999999", "--5", "9" * 400])
def test_an_instant_beyond_all_years_stays_a_text_and_stops_nothing(text: str) -> None:
    assert decode(text, FieldType.DATETIME) == text
