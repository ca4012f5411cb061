"""The pre-flight: every way in which a set-up cannot work has its line, with what to do."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from contacts.values import FieldType
from integrations.models import Connection, ConnectionStatus
from integrations.preflight import Level, Line, Wanted, preflight
from integrations.providers.base import Permissions
from integrations.providers.errors import AuthError, Transient
from mappings.models import InboundMapping, OutboundMapping
from mappings.ready import check_ready, check_some, wanted_fields
from tests.fakes.crm import FakeCrm

Connect = Callable[..., Connection]
Fake = tuple[Connection, FakeCrm]


def bad(lines: list[Line]) -> list[str]:
    return [line.what for line in lines if line.level is not Level.OK]


def test_a_sound_connection_has_only_good_lines_and_they_are_kept(fake_connection: Fake) -> None:
    connection, _ = fake_connection
    connection.sync_new_contacts = connection.sync_conversation_activity = True
    lines = preflight(connection, [("phone", "read"), ("phone", "create"), ("plan", "write")])
    assert bad(lines) == []
    assert "2 mapped fields are there" in " ".join(line.what for line in lines)
    connection.refresh_from_db()
    assert [row["what"] for row in connection.preflight] == [line.what for line in lines]
    assert connection.preflight_at is not None


@pytest.mark.parametrize(
    ("wanted", "level", "words"),
    [
        (Wanted("gone", "read"), "error", "no contact field “gone”"),
        (Wanted("score", "write"), "error", "computed by the CRM"),
        (Wanted("score", "create"), "error", "cannot be set on new records"),
        (Wanted("score", "read"), "warning", "may not report its changes"),
        (Wanted("value", "read", FieldType.DATE), "error", "a number cannot become a date"),
        (Wanted("renewal", "write", FieldType.NUMBER), "error", "a number cannot become a date"),
    ],
)
def test_a_field_that_cannot_be_used_as_mapped_is_named(
    fake_connection: Fake, wanted: Wanted, level: str, words: str
) -> None:
    [line] = [line for line in preflight(fake_connection[0], [wanted]) if line.level is not Level.OK]
    assert line.level == level
    assert words in line.what
    assert line.fix


def test_required_fields_that_nothing_feeds_are_named_where_records_are_created(
    fake_connection: Fake,
) -> None:
    connection, crm = fake_connection
    crm.fields = [*crm.fields, crm.fields[0].__class__("branch", "Branch", FieldType.STRING, required=True)]
    assert bad(preflight(connection)) == []
    connection.sync_new_contacts = True
    assert "requires “Branch”" in bad(preflight(connection))[0]
    connection.options = {"default.branch": "Berlin"}
    assert bad(preflight(connection)) == []


def test_what_the_user_may_not_do_is_an_error_only_where_it_is_switched_on(fake_connection: Fake) -> None:
    connection, crm = fake_connection
    crm.permissions = Permissions(create_contacts=False, log_activities=False, hints=("Odd option.",))
    assert bad(preflight(connection)) == ["Odd option."]
    connection.sync_conversation_activity = connection.sync_new_contacts = True
    assert [line.level for line in preflight(connection) if "may not" in line.what] == ["error", "error"]
    crm.permissions = Permissions()
    assert {line.level for line in preflight(connection) if "does not tell whether" in line.what} == {
        "warning"
    }


@pytest.mark.parametrize(
    ("used", "calls", "level"),
    [(100, 0, "ok"), (850, 0, "warning"), (960, 0, "error"), (700, 10_000, "warning")],
)
def test_the_quota_has_its_line(fake_connection: Fake, used: int, calls: int, level: str) -> None:
    connection, _ = fake_connection
    connection.quota = {"used": used, "total": 1000, "at": timezone.now().isoformat()}
    connection.api_use.create(day=timezone.now().date(), purpose="pull", calls=calls)
    last = preflight(connection)[-1]
    if not (calls and timezone.now().hour == 23):
        assert last.level == level


@pytest.mark.parametrize(
    ("error", "status"),
    [(AuthError("Refused."), ConnectionStatus.ERROR), (Transient("Away."), ConnectionStatus.NOT_CONNECTED)],
)
def test_a_crm_that_does_not_answer_is_one_line(fake_connection: Fake, error: Exception, status: str) -> None:
    connection, crm = fake_connection
    crm.fail("check", error)
    [line] = preflight(connection)
    assert (line.level, line.what) == (Level.ERROR, str(error))
    assert connection.status == status


def test_a_salesforce_user_without_rights_is_told_which(connect: Connect, sandbox: Any) -> None:
    connection = connect(
        "salesforce", sync_conversation_activity=True, options={"activity_key_field": "Nope__c"}
    )
    sandbox.control.change_settings(
        "salesforce",
        hidden_fields=["Task.Description", "Contact.Plan__c"],
        readonly_fields=["Contact.VIP__c"],
    )
    lines = preflight(connection, [("Plan__c", "read"), ("VIP__c", "write"), ("Phone", "read")])
    told = " ".join(bad(lines))
    for words in ("“Plan__c”", "read-only", "Task.Description", "may not log conversations", "Nope__c"):
        assert words in told, words


def test_missing_hubspot_scopes_are_named(connect: Connect, sandbox: Any) -> None:
    connection = connect("hubspot", sync_new_contacts=True, options={"unique_key": "app_contact_key"})
    sandbox.control.change_settings("hubspot", scopes=["oauth", "crm.objects.contacts.read"])
    told = " ".join(bad(preflight(connection)))
    assert "crm.objects.contacts.write, crm.schemas.contacts.write" in told
    assert "may not create contacts" in told


@pytest.mark.parametrize("system", ["salesforce", "hubspot"])
def test_a_sound_set_up_in_each_crm_is_all_good(connect: Connect, system: str) -> None:
    fields = {"salesforce": ("Phone", "Plan__c"), "hubspot": ("phone", "plan")}[system]
    connection = connect(system, sync_new_contacts=True, sync_conversation_activity=True)
    assert (
        bad(preflight(connection, [(fields[0], "read"), (fields[0], "create"), (fields[1], "write")])) == []
    )


def test_the_mappings_say_what_they_need(fake_connection: Fake) -> None:
    connection, _ = fake_connection
    InboundMapping.objects.create(connection=connection, external_field="phone", contact_field="phone_number")
    InboundMapping.objects.create(
        connection=connection, external_field="first_name", contact_field="first_name"
    )
    OutboundMapping.objects.create(
        connection=connection, external_field="first_name", contact_field="first_name"
    )
    connection.phone_fields = ["mobile"]
    needs = [(one.field, one.needs) for one in wanted_fields(connection)]
    assert needs == [("phone", "read"), ("first_name", "read"), ("mobile", "read"), ("first_name", "write")]
    connection.sync_new_contacts = True
    assert ("phone", "create") in [(one.field, one.needs) for one in wanted_fields(connection)]
    assert bad(check_ready(connection)) == []


def test_it_runs_after_a_change_and_once_a_day(fake_connection: Fake) -> None:
    connection, crm = fake_connection
    assert check_some() == 0
    Connection.objects.update(status=ConnectionStatus.CONNECTED)
    assert [check_some(), check_some()] == [1, 0]
    connection.refresh_from_db()
    connection.save(update_fields=["name", "updated_at"])
    assert [check_some(), check_some()] == [1, 0]
    Connection.objects.update(preflight_at=timezone.now() - timedelta(days=2))
    assert [check_some(), check_some()] == [1, 0]
    assert crm.count("check") == 3
