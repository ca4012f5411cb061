"""What we and the stand-in HubSpot say to each other, held against a model of the API that neither of us wrote.

The models are those of HubSpot's own new library for 2026-03. Known to be wider in reality than there: sorts may be
objects, and the value of a property may be null.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hubspot_sdk.types import Property
from hubspot_sdk.types.account import PortalInformationResponse
from hubspot_sdk.types.crm import (
    BatchResponseSimplePublicObject,
    BatchResponseSimplePublicUpsertObject,
    CollectionResponseMultiAssociatedObjectWithLabelForwardPaging,
    CollectionResponsePropertyNoPaging,
    CollectionResponseSimplePublicObjectWithAssociationsForwardPaging,
    CollectionResponseWithTotalSimplePublicObject,
    property_create_params,
)
from hubspot_sdk.types.crm.objects import contact_search_params
from hubspot_sdk.types.crm.objects.calls import batch_create_params as calls_create
from hubspot_sdk.types.crm.objects.calls import batch_update_params as calls_update
from hubspot_sdk.types.crm.objects.communications import batch_create_params as communications_create
from hubspot_sdk.types.crm.objects.contacts import (
    batch_create_params,
    batch_get_params,
    batch_update_params,
    batch_upsert_params,
)
from pydantic import TypeAdapter, ValidationError

from integrations.providers.base import Activity, ActivityKind, Creation, Update
from tests.integrations.providers.crms import HubSpotBench

VERSIONS = ("2026-03", "2026-09", "v3")
OBJECTS = r"/crm/(?:objects/2026-0[39]|v3/objects)"
LINKS = r"/crm/(?:objects/2026-0[39]|v4/objects)"
PROPERTIES = r"/crm/(?:properties/2026-0[39]|v3/properties)"
# Method and path → the models of body and answer; None where there is none.
MODELS: dict[str, tuple[Any, Any]] = {
    rf"POST {OBJECTS}/contacts/search": (
        contact_search_params.ContactSearchParams, CollectionResponseWithTotalSimplePublicObject,
    ),
    rf"GET {OBJECTS}/contacts": (None, CollectionResponseSimplePublicObjectWithAssociationsForwardPaging),
    rf"POST {OBJECTS}/\w+/batch/read": (batch_get_params.BatchGetParams, BatchResponseSimplePublicObject),
    rf"POST {OBJECTS}/contacts/batch/create": (
        batch_create_params.BatchCreateParams, BatchResponseSimplePublicObject,
    ),
    rf"POST {OBJECTS}/contacts/batch/update": (
        batch_update_params.BatchUpdateParams, BatchResponseSimplePublicObject,
    ),
    rf"POST {OBJECTS}/contacts/batch/upsert": (
        batch_upsert_params.BatchUpsertParams, BatchResponseSimplePublicUpsertObject,
    ),
    rf"POST {OBJECTS}/calls/batch/create": (calls_create.BatchCreateParams, BatchResponseSimplePublicObject),
    rf"POST {OBJECTS}/calls/batch/update": (calls_update.BatchUpdateParams, BatchResponseSimplePublicObject),
    rf"POST {OBJECTS}/(communications|notes)/batch/create": (
        communications_create.BatchCreateParams, BatchResponseSimplePublicObject,
    ),
    rf"GET {PROPERTIES}/contacts": (None, CollectionResponsePropertyNoPaging),
    rf"POST {PROPERTIES}/contacts": (property_create_params.PropertyCreateParams, Property),
    rf"GET {LINKS}/contacts/\d+/associations/(calls|communications|notes)": (
        None, CollectionResponseMultiAssociatedObjectWithLabelForwardPaging,
    ),
    r"GET /account-info/[^/]+/details": (None, PortalInformationResponse),
}  # fmt: skip
# What the library has no model of: the scopes of a private app's token.
OTHERS = (r"/oauth/v2/private-apps/get/access-token-info",)


@pytest.mark.parametrize("version", VERSIONS)
def test_requests_and_answers_of_a_whole_loop_fit_the_model(
    hubspot: HubSpotBench, sandbox: Any, version: str
) -> None:
    hubspot.setup = replace(hubspot.setup, options={"api_version": version})
    seen = recorded(sandbox)
    whole_loop(hubspot)
    used = {judged(*one) for one in seen}
    assert used >= set(MODELS)
    assert all(version in path for _, path, *_ in seen if "/crm/" in path and "/v4/" not in path)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"inputs": [{"id": "1", "properties": {"vip": True}}]}, "str"),
        ({"inputs": [{"id": 1, "properties": {}}]}, "str"),
        ({"inputs": [{"properties": {}}]}, "required"),
    ],
)
def test_the_model_refuses_what_hubspot_would(body: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        judged("POST", "/crm/objects/2026-03/contacts/batch/update", body, {})


def recorded(sandbox: Any) -> list[tuple[str, str, Any, Any]]:
    """Listens at the stand-in's door: method, path, body and answer of each request, as they happen."""
    portal, seen = sandbox.world.hubspot, list[tuple[str, str, Any, Any]]()
    answer = portal.respond

    def respond(request: Any) -> Any:
        response = answer(request)
        body = json.loads(request.body) if request.body else None
        seen.append(
            (request.method, request.path, body, json.loads(response.body) if response.body else None)
        )
        return response

    portal.respond = respond
    return seen


def whole_loop(hubspot: HubSpotBench) -> None:
    provider = hubspot.provider(unique_key="app_contact_key")
    provider.check()
    provider.permissions()
    fields = ["firstname", "phone", "plan", "vip"]
    cursor = [*provider.changes("", fields)][-1].cursor
    one = hubspot.add(first="Ada", phone="(415) 555-0142")
    assert one in [record.external_id for page in provider.changes(cursor, fields) for record in page.records]
    provider.find_by_phone(["+14155550142"], fields, ["phone"])
    provider.read([one], fields)
    values: dict[str, Any] = {"firstname": "Grace", "vip": True, "lifetime_value": 12.5, "plan": None}
    assert provider.update([Update(one, values)])[0].ok
    assert provider.create([Creation("k1", {"lastname": "Hopper"})])[0].ok
    assert hubspot.provider().create([Creation("k2", {"lastname": "King", "vip": False})])[0].ok
    log(hubspot, one)


def log(hubspot: HubSpotBench, contact: str) -> None:
    provider, started = hubspot.provider(), datetime(2026, 5, 14, 9, 30, tzinfo=UTC)
    for kind in ActivityKind:
        marker = f"{kind}_1"
        assert provider.log_activities([Activity(marker, kind, contact, "Talk", "Body", started)])[0].ok
    found = provider.find_activity("call_1", contact, ActivityKind.CALL)
    again = Activity("call_1", ActivityKind.CALL, contact, "Talk", "More", started, external_id=found)
    assert provider.log_activities([again])[0].ok


def judged(method: str, path: str, body: Any, answer: Any) -> str:
    """The entry of MODELS for a request; raises ValidationError where body or answer does not fit it."""
    entry = next((one for one in MODELS if re.fullmatch(one, f"{method} {path}")), "")
    assert entry or any(re.match(one, path) for one in OTHERS), f"no model for {method} {path}"
    sent, told = MODELS.get(entry, (None, None))
    if sent is not None:
        document = snake(body)
        document |= {"sorts": []} if "sorts" in document else {}
        exhaust(TypeAdapter(sent).validate_python(document, strict=True))
    if told is not None:
        TypeAdapter(told).validate_json(json.dumps(without_nulls(answer)), strict=True)
    return entry


def exhaust(value: Any) -> None:
    """Look at everything: the models' iterables are judged only as they are read."""
    if isinstance(value, dict):
        for one in value.values():
            exhaust(one)
    elif not isinstance(value, str) and isinstance(value, Iterable):
        for one in value:
            exhaust(one)


def snake(value: Any) -> Any:
    """Keys as the models spell them; the names of properties stay."""
    if isinstance(value, list):
        return [snake(one) for one in value]
    if not isinstance(value, dict):
        return value
    return dict(_snaked(value))


def _snaked(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, one in value.items():
        name = re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", key)
        yield name, one if key == "properties" else snake(one)


def without_nulls(value: Any) -> Any:
    """Property values that are null left out."""
    if isinstance(value, list):
        return [without_nulls(one) for one in value]
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return value
