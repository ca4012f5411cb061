"""API keys: shown once, stored hashed, found by secret, ended at once."""

import hashlib
from datetime import timedelta

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crmsync.api_keys import ApiKey, Scope, find_key, issue_key, webhook_secrets
from integrations.secrets import PREFIX

pytestmark = pytest.mark.django_db


def test_a_key_is_stored_as_a_hash_and_its_start():
    key, secret = issue_key("Ada's script")
    row = _raw(key)
    assert secret not in str(row)
    assert row["key_hash"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret.startswith(str(row["prefix"]))


def _raw(key: ApiKey) -> dict[str, object]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM crmsync_apikey WHERE id = %s", [key.pk])
        names = [column[0] for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))


def test_a_webhook_key_is_kept_encrypted_and_read_back():
    key, secret = issue_key("agent platform", webhook=True)
    assert secret not in str(_raw(key))
    assert list(webhook_secrets()) == [secret]


def test_only_living_webhook_keys_with_the_scope_sign_newest_first():
    issue_key("plain")
    issue_key("no events", webhook=True, scopes=[Scope.READ_CONTACTS])
    revoked, _ = issue_key("revoked", webhook=True)
    revoked.revoke()
    issue_key("expired", webhook=True, expires_at=timezone.now() - timedelta(seconds=1))
    _, older = issue_key("older", webhook=True)
    _, newer = issue_key("newer", webhook=True)
    assert list(webhook_secrets()) == [newer, older]


def test_a_signing_key_that_cannot_be_decrypted_stops_no_other(caplog: pytest.LogCaptureFixture):
    _, secret = issue_key("good", webhook=True)
    broken, _ = issue_key("from another installation", webhook=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE crmsync_apikey SET secret = %s WHERE id = %s", [f"{PREFIX}not ours", broken.pk]
        )
    assert list(webhook_secrets()) == [secret]
    assert "signing_key_unreadable" in caplog.text


def test_a_key_is_found_by_its_secret_until_it_is_revoked_or_expires():
    key, secret = issue_key("Grace", expires_at=timezone.now() + timedelta(hours=1))
    assert find_key(secret) == key
    assert find_key(secret[:-1]) is None
    assert find_key("") is None
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert find_key(secret) is None
    key.expires_at = None
    key.save()
    key.revoke()
    assert find_key(secret) is None


def test_last_use_is_written_once_a_minute():
    start = timezone.now()
    key, secret = issue_key("busy script")
    with time_machine.travel(start, tick=False) as clock:
        find_key(secret)
        clock.shift(59)
        with CaptureQueriesContext(connection) as queries:
            find_key(secret)
        assert not [q for q in queries if q["sql"].startswith("UPDATE")]
        clock.shift(1)
        find_key(secret)
    key.refresh_from_db()
    assert key.last_used_at == start + timedelta(seconds=60)


def test_a_key_without_webhook_may_do_everything_but_sign():
    key, _ = issue_key("script")
    assert key.scopes == ["read_contacts", "write_contacts", "configure", "run_jobs"]


@pytest.mark.parametrize(("name", "scopes"), [("", None), ("x", ["rule_the_world"])])
def test_a_nameless_key_or_an_unknown_scope_is_refused(name, scopes):
    with pytest.raises(ValidationError):
        issue_key(name, scopes=scopes)
    assert not ApiKey.objects.exists()


def test_the_command_prints_the_key_alone_on_stdout(capsys):
    call_command("create_api_key", "nightly export", "--scope", "read_contacts")
    printed = capsys.readouterr()
    key = find_key(printed.out.strip())
    assert key is not None
    assert (key.name, key.scopes, key.webhook) == ("nightly export", ["read_contacts"], False)
    assert "nightly export" in printed.err
    assert printed.out.strip() not in printed.err


def test_the_command_makes_a_signing_key_with_webhook(capsys):
    call_command("create_api_key", "agent platform", "--webhook", "--scope", "read_contacts")
    secret = capsys.readouterr().out.strip()
    assert list(webhook_secrets()) == [secret]


def test_a_signing_key_may_do_no_more_than_it_is_told(capsys):
    call_command("create_api_key", "agent platform", "--webhook")
    call_command("create_api_key", "script")
    assert [key.scopes for key in ApiKey.objects.order_by("id")] == [
        ["events"],
        [scope for scope in Scope.values if scope != Scope.EVENTS],
    ]


def test_the_command_gives_a_key_a_rate_of_its_own(capsys):
    call_command("create_api_key", "importer", "--rate", "60")
    call_command("create_api_key", "script")
    assert dict(ApiKey.objects.values_list("name", "rate")) == {"importer": 60, "script": None}
    with pytest.raises(CommandError, match="0"):
        call_command("create_api_key", "importer", "--rate", "-1")


def test_the_command_refuses_a_blank_name():
    with pytest.raises(CommandError, match="blank"):
        call_command("create_api_key", "")
