"""A connection's health: what errors, tests and new credentials do to it, and what they must not touch."""

# ruff: noqa: F401, F811 - fixtures of the sync tests

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection as database
from django.utils import timezone

from integrations.connections import (
    fresh_schema,
    open_provider,
    record_failure,
    record_success,
    set_credentials,
    web_url,
)
from integrations.connections import test_connection as try_connection
from integrations.models import Connection, ConnectionStatus, dump_field, load_field
from integrations.providers.errors import AuthError, ConfigError, ProviderError, RateLimited, Transient
from integrations.secrets import PREFIX, WrongKey, decrypt, encrypt
from tests.fakes.crm import FIELDS
from tests.sync.conftest import ada, connection, crm, fields
from tests.sync.world import LiveCrm, pull


def now(connection: Connection) -> Connection:
    """The connection as it is stored."""
    return Connection.objects.get(pk=connection.pk)


def test_a_good_test_connects_and_learns_the_fields(connection: Connection, crm: LiveCrm) -> None:
    Connection.objects.update(status=ConnectionStatus.ERROR, status_reason="Refused.")
    assert try_connection(connection)
    stored = now(connection)
    assert (stored.status, stored.status_reason, stored.account_name) == ("connected", "", "Fake CRM")
    assert stored.external_fields()["plan"].options == FIELDS[5].options
    assert connection.status == ConnectionStatus.CONNECTED  # the caller's copy as well


@pytest.mark.parametrize(
    "error",
    [AuthError("Refused."), Transient("Unreachable."), ConfigError("Wrong address."), ProviderError("?")],
)
def test_a_bad_test_says_why_whatever_the_cause(
    connection: Connection, crm: LiveCrm, error: ProviderError
) -> None:
    crm.fail("check", error)
    assert not try_connection(connection)
    assert (now(connection).status, now(connection).status_reason) == ("error", error.message)


def test_the_schema_is_read_again_after_a_day(connection: Connection, crm: LiveCrm) -> None:
    with open_provider(connection) as provider:
        fresh_schema(connection, provider)
        fresh_schema(connection, provider)
        assert crm.count("fields") == 1
        connection.schema_at = timezone.now() - timedelta(hours=25)
        fresh_schema(connection, provider)
        assert crm.count("fields") == 2


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_cached_field_is_the_field(field: object) -> None:
    assert load_field(dump_field(field)) == field  # type: ignore[arg-type]


def test_a_limit_pauses_and_a_success_ends_a_pause_whose_time_has_passed(connection: Connection) -> None:
    record_failure(connection, RateLimited("Wait.", retry_after=60))
    stored = now(connection)
    assert stored.paused_until is not None
    assert 58 < (stored.paused_until - timezone.now()).total_seconds() <= 60
    assert (stored.pause_reason, stored.status, stored.active) == ("Wait.", "connected", False)
    record_success(connection)
    assert now(connection).paused_until == stored.paused_until
    Connection.objects.update(paused_until=timezone.now() - timedelta(seconds=1))
    record_success(connection)
    assert (now(connection).paused_until, now(connection).pause_reason) == (None, "")
    assert now(connection).active


def test_a_short_limit_does_not_end_the_pause_of_a_long_one(connection: Connection) -> None:
    copy = Connection.objects.get()
    record_failure(connection, RateLimited("The day is used up.", retry_after=7200, daily=True))
    record_failure(copy, RateLimited("Slow down.", retry_after=10))
    stored = now(connection)
    assert stored.paused_until is not None
    assert stored.paused_until > timezone.now() + timedelta(hours=1)
    assert (copy.paused_until, copy.pause_reason) == (stored.paused_until, "The day is used up.")
    record_failure(copy, RateLimited("Moving.", retry_after=90_000))
    assert now(connection).pause_reason == "Moving."


def test_a_success_keeps_a_pause_that_is_newer_than_its_copy(connection: Connection) -> None:
    Connection.objects.update(paused_until=timezone.now() - timedelta(minutes=1), status="not_connected")
    ours = now(connection)
    record_failure(now(connection), RateLimited("Wait.", retry_after=60))
    record_success(ours)
    assert (now(connection).status, now(connection).active) == ("connected", False)
    assert now(connection).pause_reason == "Wait."


def test_a_good_test_by_a_person_ends_the_pause_it_began_in(connection: Connection, crm: LiveCrm) -> None:
    record_failure(connection, RateLimited("Wait.", retry_after=60))
    assert try_connection(now(connection))
    assert now(connection).active


def test_passing_trouble_is_no_error_of_the_connection(connection: Connection) -> None:
    record_failure(connection, Transient("Unreachable."))
    assert now(connection).active
    assert now(connection).status == ConnectionStatus.CONNECTED


def test_new_credentials_keep_everything_else(connection: Connection, crm: LiveCrm, ada: str) -> None:
    """Row 20: a reconnect goes on with mappings, links and cursor, even from a copy loaded long ago."""
    old_copy = now(connection)
    pull(connection)
    Connection.objects.update(push_epoch=7)
    cursor = now(connection).cursor
    set_credentials(old_copy, {"key": "new"})
    stored = now(connection)
    assert (stored.credentials, stored.token, stored.status) == ({"key": "new"}, {}, "not_connected")
    assert (stored.cursor, stored.push_epoch) == (cursor, 7)
    assert stored.schema
    assert stored.records.count() == 1


def test_secrets_are_encrypted_at_rest(connection: Connection) -> None:
    set_credentials(connection, {"key": "hush-hush"})
    with database.cursor() as cursor:
        cursor.execute("SELECT * FROM integrations_connection")
        row = [str(value) for value in cursor.fetchone()]
    assert not any("hush-hush" in value for value in row)
    assert any(value.startswith(PREFIX) for value in row)


def test_a_wrong_key_raises_and_never_passes_for_the_secret(settings: object) -> None:
    stored = encrypt({"key": "secret"})
    old = settings.CRMSYNC_ENCRYPTION_KEYS  # type: ignore[attr-defined]
    new = ["zmyvfGcoqaCMrIY7O5ovtFDPUx1AzHJ0wSzGLpF7l7A="]
    settings.CRMSYNC_ENCRYPTION_KEYS = new  # type: ignore[attr-defined]
    with pytest.raises(WrongKey, match="CRMSYNC_ENCRYPTION_KEYS"):
        decrypt(stored)
    assert issubclass(WrongKey, ImproperlyConfigured)
    settings.CRMSYNC_ENCRYPTION_KEYS = [*new, *old]  # type: ignore[attr-defined]  # rotated: the first encrypts, all decrypt
    assert decrypt(stored) == {"key": "secret"}
    assert decrypt(encrypt({"a": 1})) == {"a": 1}


def test_the_link_to_a_record_needs_no_call(connection: Connection, crm: LiveCrm) -> None:
    assert web_url(connection, "R000001") == "https://crm.example.com/contacts/R000001"
    assert crm.calls == []


@pytest.mark.parametrize(
    ("change", "active"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"status": "error"}, False),
        ({"status": "not_connected"}, True),
        ({"paused_until": timezone.now() + timedelta(days=1)}, False),
        ({"paused_until": timezone.now() - timedelta(seconds=1)}, True),
    ],
)
def test_when_a_connection_may_work(change: dict[str, object], active: bool) -> None:
    assert Connection(**{"provider": "fake", "name": "CRM", "status": "connected", **change}).active is active


def test_a_new_connection_syncs_as_often_as_the_settings_say(db, settings):
    settings.CRMSYNC_SYNC_INTERVAL_MINUTES = 7
    assert Connection.objects.create(provider="hubspot", name="HubSpot").interval == timedelta(minutes=7)
