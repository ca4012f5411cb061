"""The API against its own document: whatever the document allows, and what it does not, gets a documented answer.

Requests are made up by schemathesis from the OpenAPI document, the same ones each time, and sent with a key that may do
everything to a small seeded world; every request is taken back, so each one meets that world. Identifiers of things that
are there are put in, since hardly any made-up one would be found.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from activity.models import MergeReview
from contacts.models import ContactTag
from crmsync.api_keys import issue_key
from integrations.models import Connection
from sync.models import RunState, SyncRun
from tests.conftest import Sandbox
from tests.crmsync.pages_world import World, world

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.generation import GenerationMode
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        negative_data_rejection,
        response_headers_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

EXAMPLES = 400 if os.environ.get("CRMSYNC_DEEP") else 20  # a call
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
pytestmark = [pytest.mark.once, pytest.mark.django_db]


@pytest.fixture
def seeded(sandbox: Sandbox) -> dict[str, Any]:
    """One of everything, its CRM being the sandbox; the ids by the names that calls give them."""
    found: World = world()
    Connection.objects.update(
        tenant_url=sandbox.base_url,
        credentials={"client_id": "sandbox-key", "client_secret": "sandbox-secret"},
        sync_conversation_activity=True,
    )
    waiting = SyncRun.objects.create(connection=found.connection, state=RunState.WAITING)
    review = MergeReview.objects.create(
        conversation=found.conversation, contact=found.contact, contact_field="city", old="London", new="Bath",
        merged="London, Bath", state=MergeReview.State.WAITING,
    )  # fmt: skip
    ContactTag.objects.create(id="a" * 32, label="VIP")
    return {
        "app_id": found.connection.public_id,
        "contact_id": found.contact.public_id,
        "conversation_id": found.conversation.key,
        "phone_number": found.contact.phone_number,
        "run_id": waiting.pk,
        "issue_id": found.question.pk,
        "undo_id": found.undo.pk,
        "delivery_id": found.delivery.pk,
        "backfill_id": found.backfill.pk,
        "review_id": review.pk,
        "change_id": found.contact.changes.get().pk,
    }


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """The server runs in this thread, inside the test's transaction: it may not close the connection after a request."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def secret() -> str:
    return issue_key("schemathesis", rate=0)[1]


def known(value: Any, ids: dict[str, Any]) -> Any:
    """The value with the ids of things that are there."""
    if isinstance(value, dict):
        return {name: ids.get(name, known(inner, ids)) for name, inner in value.items()}
    return [known(inner, ids) for inner in value] if isinstance(value, list) else value


def test_every_call_answers_as_its_document_says(seeded: dict[str, Any], secret: str) -> None:
    schema: Any = schemathesis.openapi.from_wsgi("/api/schema/", get_wsgi_application())
    for calls in schema.raw_schema["paths"].values():
        for described in calls.values():
            # Every request carries the key, those that are meant to be wrong too.
            described.pop("security", None)
    operations = [result.ok() for result in schema.get_all_operations()]
    broken: list[str] = []
    served = 0
    for operation in operations:
        wrong, well = answers(operation, seeded, secret)
        broken += wrong
        served += well
    assert not broken, "\n\n".join(broken)
    # Most calls were really served, not only refused.
    assert served > len(operations) * 0.6, f"{served} of {len(operations)} calls were served"


def answers(operation: Any, ids: dict[str, Any], secret: str) -> tuple[list[str], bool]:
    """What of an operation's answers is not as documented, and whether any request was served."""
    either = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )
    found: list[str] = []
    statuses: set[int] = set()

    @seed(1)
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=either, real=st.booleans())
    def send(case: Any, real: bool) -> None:
        if real:
            case.path_parameters, case.body = known(case.path_parameters, ids), known(case.body, ids)
        with transaction.atomic():
            response = case.call(headers={"Authorization": f"Bearer {secret}"})
            transaction.set_rollback(True)
        statuses.add(response.status_code)
        # What was put in may have mended a request that was meant to be wrong.
        checks = CHECKS if real else [*CHECKS, negative_data_rejection]
        try:
            case.validate_response(response, checks=checks)
        except BaseExceptionGroup as problem:  # all of them are wanted at once
            found.append(f"{operation.label}: {problem}")

    send()
    return found[:2], any(status < 300 for status in statuses)
