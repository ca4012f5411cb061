"""Every list at 100,000 contacts: few queries, whatever is asked of it."""

from __future__ import annotations

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from crmsync.roles import ADMINISTRATOR
from tests.crmsync.large_book import addresses, fill
from tests.crmsync.pages_world import client_of

pytestmark = [pytest.mark.django_db, pytest.mark.once]
COUNT, MOST = 100_000, 14
PROFILE = {"contact": 16}  # no list: all about one person


def test_every_list_stays_under_fifteen_queries_at_100_000_contacts():
    known, client = fill(COUNT), client_of(ADMINISTRATOR)
    client.get("/admin/")  # what is read once a process
    over = {}
    for name, where in addresses(known).items():
        with CaptureQueriesContext(database) as asked:
            assert client.get(where).status_code == 200, name
        if len(asked) > PROFILE.get(name, MOST):
            over[name] = (len(asked), [query["sql"][:160] for query in asked])
    assert not over, over
