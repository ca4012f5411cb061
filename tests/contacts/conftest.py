"""Contact fields, people, and functions run at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection as database

from contacts.models import CustomField


@pytest.fixture
def in_threads() -> Callable[..., list[Any]]:
    """Run functions at the same moment, each in a thread with a database connection of its own; returns what they return."""

    def run(*jobs: Callable[[], object]) -> list[Any]:
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


def make_fields() -> None:
    """One custom field of each type."""
    for kind in ("string", "number", "boolean", "date", "datetime", "enum"):
        CustomField.objects.create(
            name=f"a_{kind}", type=kind, options=["Free", "Pro"] if kind == "enum" else []
        )


@pytest.fixture
def fields(db: None) -> None:
    """One custom field of each type."""
    make_fields()
