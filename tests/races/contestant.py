"""One of two real processes that race: it does its job as soon as both stand at the barrier, round after round."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Barrier
from typing import Any

PATIENCE = 60.0


def contestant(database: Mapping[str, Any], barrier: Barrier, pipe: Pipe) -> None:
    """The process: takes (job, arguments) from the pipe, waits for the other one, and answers what came of it."""
    import os

    os.environ["DJANGO_SETTINGS_MODULE"] = "crmsync.settings"
    import django

    django.setup()
    from django.db import connection

    connection.settings_dict.update(database)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # nobody minds if the machine loses power
            cursor.execute("SET synchronous_commit TO off")
    from integrations.providers.registry import PROVIDERS, ProviderEntry

    PROVIDERS["fake"] = ProviderEntry("Fake", "tests.fakes.provider:fake_provider", (), "phone", "")
    while (asked := pipe.recv()) is not None:
        name, arguments = asked
        try:
            job: Callable[[], Any] = JOBS[name](**arguments)
            barrier.wait(PATIENCE)
            pipe.send(("done", job()))
        except BaseException:  # noqa: BLE001 - told to the test, which fails with it
            barrier.abort()
            pipe.send(("failed", traceback.format_exc()))
    connection.close()


def claim(connection: int) -> Callable[[], Any]:
    """Claim pending pushes, a few at a time, until none is left; their ids."""
    from integrations.models import Connection
    from sync import push

    row = Connection.objects.get(pk=connection)

    def job() -> list[int]:
        claimed: list[int] = []
        while taken := push.claim(row, limit=2):
            claimed += [one.pk for one in taken]
        return claimed

    return job


def pull(run: int, tenant: str, records: list[dict[str, Any]]) -> Callable[[], Any]:
    """Work on a queued run; the CRM holds these records."""
    from sync.models import SyncRun
    from sync.pull import work_on

    crm = _crm(tenant)
    for values in records:
        crm.add(**values)
    row = SyncRun.objects.get(pk=run)

    def job() -> str:
        work_on(row)
        row.refresh_from_db()
        return f"{row.state} {row.error}"

    return job


def call(number: str) -> Callable[[], Any]:
    """A conversation with a number that may be new; the contact's id."""
    from contacts.changes import Source, find_or_create

    return lambda: find_or_create(number, source=Source("conversation", "conversation:1"))[0].pk


def want(connection: int, contact: int, tenant: str) -> Callable[[], Any]:
    """Reserve a CRM record for the contact and push; how many records this process made."""
    from contacts.models import Contact
    from integrations.models import Connection
    from sync.links import want_record
    from sync.push import push_some

    crm = _crm(tenant)
    row, person = Connection.objects.get(pk=connection), Contact.objects.get(pk=contact)

    def job() -> int:
        want_record(row, person)
        while push_some():
            continue
        return len(crm.created_keys)

    return job


def edit(contact: int, field: str, values: list[str]) -> Callable[[], Any]:
    """A person changes a field again and again; how often it really changed."""
    from contacts.changes import Source, change_contact

    ada = Source("person", "user:1", "ada")
    return lambda: sum(len(change_contact(contact, {field: one}, source=ada).changed) for one in values)


def create(secret: str, name: str, number: str) -> Callable[[], Any]:
    """Create a contact through the API under an Idempotency-Key, as often as it takes; the answer and the 409s before it."""
    from django.conf import settings
    from rest_framework.test import APIClient

    settings.ALLOWED_HOSTS = ["testserver"]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}", HTTP_IDEMPOTENCY_KEY=name)

    def job() -> tuple[int, str, int]:
        waited = 0
        while (answer := client.post("/api/create-contact", {"phone_number": number})).status_code == 409:
            waited += 1
        return answer.status_code, answer.content.decode(), waited

    return job


def _crm(tenant: str) -> Any:
    from tests.fakes.crm import FakeCrm
    from tests.fakes.provider import CRMS

    CRMS[tenant] = FakeCrm()
    return CRMS[tenant]


JOBS: dict[str, Callable[..., Callable[[], Any]]] = {
    "claim": claim,
    "pull": pull,
    "call": call,
    "want": want,
    "edit": edit,
    "create": create,
}
