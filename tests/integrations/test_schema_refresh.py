"""The cached schema: read once a day, and at once when the CRM refuses a field; meanwhile the other mappings go on."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone

from contacts.models import Contact
from integrations.models import Connection
from sandbox.world import CRMS
from tests.activity.payloads import ADA
from tests.integrations.fault_world import NAMES, Hours, Inbound, Outbound, Site

pytestmark = [pytest.mark.django_db, pytest.mark.once]
both = pytest.mark.parametrize("crm", CRMS)
TITLE = {"salesforce": "Contact.Title", "hubspot": "jobtitle"}


def gone(site: Site) -> None:
    """The title is hidden, ten minutes after the fields were read."""
    site.sandbox.control.switch_on(site.crm, "hidden_field", fields=[TITLE[site.crm]])
    Connection.objects.update(schema_at=timezone.now() - timedelta(minutes=10))


def read_again(site: Site) -> bool:
    """Whether the fields in the cache are those of a minute ago at most, without the title."""
    found = Connection.objects.get()
    fresh = found.schema_at is not None and found.schema_at > timezone.now() - timedelta(minutes=1)
    return fresh and NAMES[site.crm]["title"] not in found.external_fields()


def ada() -> Contact:
    return Contact.objects.get(phone_number=ADA)


@both
def test_a_schema_is_read_once_a_day(sandbox: Any, crm: str) -> None:
    site = Inbound(sandbox, crm)
    hours, read_at = Hours(), [Connection.objects.get().schema_at]
    for later in (1, 22, 2, 1):
        with hours.after(hours=later):
            site.attempt()
        read_at.append(Connection.objects.get().schema_at)
    assert [now != before for before, now in pairwise(read_at)] == [False, False, True, False]


@both
def test_an_import_that_meets_a_hidden_field_reads_the_fields_and_brings_the_others(
    sandbox: Any, crm: str
) -> None:
    site = Inbound(sandbox, crm)
    site.begin()
    gone(site)
    site.attempt()
    assert read_again(site)
    assert (site.state(), site.issues()) == ("partial", ["broken_mapping"])
    assert (ada().first_name, ada().value("title")) == ("Augusta", "Analyst")
    sandbox.control.all_off()
    hours = Hours()
    for _ in range(2):
        with hours.after(hours=25):
            site.attempt()
    assert (site.health(), site.issues()) == ("Healthy", [])


@both
def test_a_push_that_meets_a_hidden_field_reads_the_fields_and_sends_the_others(
    sandbox: Any, crm: str
) -> None:
    site = Outbound(sandbox, crm)
    site.begin()
    gone(site)
    for _ in range(2):
        site.attempt()
    assert read_again(site)
    assert (site.state(), site.issues()) == ("done", ["broken_mapping"])
    assert site.fields(site.ada)[NAMES[crm]["first_name"]] == "Augusta"
    assert ada().value("title") == "Countess"
    sandbox.control.all_off()
    hours = Hours()
    for _ in range(2):
        with hours.after(hours=25):
            site.pull_once()
            site.attempt()
    assert site.complete()
    assert (site.health(), site.issues()) == ("Healthy", [])
