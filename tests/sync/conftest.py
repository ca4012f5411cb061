"""A CRM in memory, a connection to it with every field mapped both ways, and a person in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection as database

from contacts.models import CustomField
from integrations.models import Connection
from integrations.providers.registry import PROVIDERS
from tests.fakes.provider import CRMS
from tests.sync.world import ADA, ENTRY, LiveCrm, connect, contact, sync

CUSTOM = {
    "plan": "enum",
    "lifetime": "number",
    "renewal": "date",
    "visited": "datetime",
    "vip": "boolean",
    "notes": "string",
}


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveCrm]:
    """The CRM at the address "one"."""
    monkeypatch.setitem(PROVIDERS, "fake", ENTRY)
    CRMS["one"] = crm = LiveCrm()
    yield crm
    CRMS.clear()


@pytest.fixture
def other_crm(crm: LiveCrm) -> LiveCrm:
    """The CRM at the address "two"."""
    CRMS["two"] = other = LiveCrm()
    return other


def make_fields() -> None:
    """One custom field of each type."""
    for name, kind in CUSTOM.items():
        options = ["Free", "Starter", "Pro", "Enterprise"] if kind == "enum" else []
        CustomField.objects.create(name=name, type=kind, options=options)


@pytest.fixture
def fields(db: None) -> None:
    """One custom field of each type."""
    make_fields()


@pytest.fixture
def connection(fields: None, crm: LiveCrm) -> Connection:
    """A connection with every field mapped both ways."""
    return connect()


@pytest.fixture
def ada(crm: LiveCrm) -> str:
    """Ada's record in the CRM; returns its id."""
    return crm.add(
        first_name="Ada", last_name="Lovelace", phone="(415) 555-0100", plan="Free", do_not_call=False
    )


@pytest.fixture
def linked(connection: Connection, ada: str) -> str:
    """Ada's record, imported and settled; returns its id."""
    sync(connection)
    assert contact(ADA).first_name == "Ada"
    return ada


@pytest.fixture
def in_threads() -> Callable[..., list[object]]:
    """Run functions at the same moment, each in a thread with a database connection of its own; returns what they return."""

    def run(*jobs: Callable[[], object]) -> list[object]:
        barrier = threading.Barrier(len(jobs))

        def go(job: Callable[[], object]) -> object:
            try:
                barrier.wait(timeout=10)
                return job()
            finally:
                database.close()

        with ThreadPoolExecutor(len(jobs)) as pool:
            futures = [pool.submit(go, job) for job in jobs]
            return [future.result(timeout=60) for future in futures]

    return run
