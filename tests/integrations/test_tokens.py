"""Logging in: once for all processes, not again with what was refused, and again without losing a place."""

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections as databases
from django.utils import timezone

from integrations.connections import open_provider, record_failure, set_credentials, test_connection
from integrations.models import Connection, ConnectionStatus
from integrations.providers.errors import AuthError, ProviderError, Transient
from integrations.tokens import ConnectionTokens
from tests.integrations.conftest import SECRETS

Connect = Callable[..., Connection]
RACE = """
import sys, time, pathlib
from integrations.connections import open_provider
from integrations.models import Connection
connection = Connection.objects.get()
print("ready", flush=True)
while not pathlib.Path(sys.argv[-1]).exists():
    time.sleep(0.01)
with open_provider(connection) as provider:
    print(provider.check().name)
"""


def logins(sandbox: Any) -> int:
    return len(sandbox.control.requests(system="salesforce", path="oauth2/token"))


def test_two_processes_that_need_a_session_at_once_log_in_once(
    installation: Any, sandbox: Any, tmp_path: Path
) -> None:
    secrets = SECRETS["salesforce"]
    installation.manage(
        "shell",
        "--no-imports",
        "-c",
        f"""
from integrations.connections import set_credentials
from integrations.models import Connection
set_credentials(Connection(provider="salesforce", name="Org", tenant_url="{sandbox.base_url}"), {secrets!r})
""",
    )
    sandbox.control.add_fault(action="delay", seconds=0.5, system="salesforce", path="oauth2/token")
    go, script = tmp_path / "go", tmp_path / "race.py"
    script.write_text(f"import django; django.setup()\n{RACE}")
    environment = {
        **installation.environment,
        "DJANGO_SETTINGS_MODULE": "crmsync.settings",
        "PYTHONPATH": ".",
    }
    racers = [
        subprocess.Popen(
            [sys.executable, str(script), str(go)],
            stdout=subprocess.PIPE, text=True, env=environment, cwd=Path(__file__).parents[2],
        )
        for _ in range(2)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline().strip() == "ready"
    go.touch()
    answers = [racer.communicate(timeout=30)[0].strip() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert len(set(answers)) == 1
    assert answers[0]
    assert logins(sandbox) == 1


@pytest.mark.django_db(transaction=True)
def test_eight_threads_whose_session_ended_log_in_once(connect: Connect, sandbox: Any) -> None:
    connection = connect("salesforce")
    assert test_connection(connection)
    sandbox.world.salesforce.sessions.revoke_all()
    before, failures = logins(sandbox), []

    def work() -> None:
        try:
            with open_provider(Connection.objects.get()) as provider:
                provider.check()
        except ProviderError as error:
            failures.append(error)
        finally:
            databases.close_all()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert logins(sandbox) - before == 1


def test_a_refused_credential_is_tried_once_until_a_person_acts(connect: Connect, sandbox: Any) -> None:
    connection = connect("salesforce", {"client_id": "sandbox-key", "client_secret": "wrong"})
    for _ in range(3):
        with pytest.raises(AuthError) as caught, open_provider(Connection.objects.get()) as provider:
            provider.check()
    assert caught.value.code == "invalid_client"
    assert logins(sandbox) == 1
    record_failure(connection, caught.value)
    connection.refresh_from_db()
    assert connection.status == ConnectionStatus.ERROR
    assert "client id or secret" in connection.status_reason
    assert not test_connection(connection)
    assert logins(sandbox) == 2
    set_credentials(connection, SECRETS["salesforce"])
    assert test_connection(connection)


def test_a_login_that_fails_for_the_moment_may_be_tried_again(connect: Connect, sandbox: Any) -> None:
    connect("salesforce")
    sandbox.control.add_fault(action="status", status=503, system="salesforce", path="oauth2/token")
    with pytest.raises(Transient), open_provider(Connection.objects.get()) as provider:
        provider.check()
    with open_provider(Connection.objects.get()) as provider:
        provider.check()
    assert Connection.objects.get().login_claimed_until is None


def test_a_session_that_ends_between_two_pages_costs_one_login_and_no_record(
    connect: Connect, sandbox: Any
) -> None:
    sandbox.control.reset(4100)
    connect("salesforce")
    with open_provider(Connection.objects.get()) as provider:
        pages = provider.changes("", ["LastName"])
        read = [record.external_id for record in next(pages).records]
        sandbox.world.salesforce.sessions.revoke_all()
        read += [record.external_id for page in pages for record in page.records]
    assert len(read) == len(set(read)) == 4100
    assert logins(sandbox) == 2


def test_whoever_waits_too_long_for_another_login_comes_back_later(connect: Connect) -> None:
    connection = connect("salesforce")
    later = timezone.now() + timedelta(minutes=1)
    Connection.objects.update(login_claimed_until=later)
    with pytest.raises(Transient):
        ConnectionTokens(connection, patience=0.1).refresh(None, lambda: {"access_token": "new"})
    Connection.objects.update(login_claimed_until=timezone.now() - timedelta(seconds=1))
    assert ConnectionTokens(connection).refresh(None, lambda: {"access_token": "new"}) == {
        "access_token": "new"
    }


def test_a_login_with_credentials_that_were_replaced_meanwhile_is_not_kept(connect: Connect) -> None:
    connection = connect("salesforce")

    def slow() -> dict[str, str]:
        set_credentials(Connection.objects.get(), {"client_id": "other", "client_secret": "other"})
        return {"access_token": "of the old ones"}

    with pytest.raises(Transient) as caught:
        ConnectionTokens(connection).refresh(None, slow)
    assert caught.value.code == "credentials_changed"
    assert Connection.objects.get().token == {}


def test_work_with_old_credentials_neither_logs_in_nor_marks_the_new_ones(connect: Connect) -> None:
    old = connect("salesforce")
    tokens = ConnectionTokens(Connection.objects.get())
    set_credentials(Connection.objects.get(), {"client_id": "other", "client_secret": "other"})
    asked: list[str] = []

    def log_in() -> dict[str, str]:
        asked.append("CRM")
        return {"access_token": "of the old org"}

    with pytest.raises(Transient) as caught:
        tokens.refresh(None, log_in)
    assert (caught.value.code, asked) == ("credentials_changed", [])
    record_failure(old, AuthError("Refused."))
    row = Connection.objects.get()
    assert (row.token, row.login_refused, row.login_claimed_until) == ({}, {}, None)
    assert (row.status, row.status_reason) == (ConnectionStatus.NOT_CONNECTED, "")


def test_a_refusal_of_credentials_that_were_replaced_meanwhile_is_not_kept(connect: Connect) -> None:
    def refused() -> dict[str, str]:
        set_credentials(Connection.objects.get(), {"client_id": "other", "client_secret": "other"})
        raise AuthError("Refused.", code="invalid_client")

    with pytest.raises(Transient):
        ConnectionTokens(connect("salesforce")).refresh(None, refused)
    assert Connection.objects.get().login_refused == {}


def test_a_disabled_user_is_told_in_words(connect: Connect, sandbox: Any) -> None:
    connection = connect("salesforce")
    content = '{"error": "invalid_grant", "error_description": "inactive user"}'
    sandbox.control.add_fault(
        action="status", status=400, content=content, system="salesforce", path="oauth2/token"
    )
    assert not test_connection(connection)
    assert "inactive" in connection.status_reason
    assert connection.credentials == SECRETS["salesforce"]
