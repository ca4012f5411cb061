"""Every misconfiguration is reported under its id, with a hint; the defaults are clean."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings as project
from django.core.checks import run_checks

CLEAN: dict[str, Any] = {
    "CRMSYNC_ENCRYPTION_KEYS": [Fernet.generate_key().decode()],
    "CRMSYNC_ALLOW_INSECURE_CRM_URLS": False,
    "ALLOWED_HOSTS": ["localhost", "127.0.0.1"],
    "HOST": "127.0.0.1",
    "DEBUG": False,
}
SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "CONN_MAX_AGE": 60,
    "OPTIONS": {"transaction_mode": "IMMEDIATE"},
}
POSTGRES = {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 60, "OPTIONS": {}}


def queue(**changes: Any) -> dict[str, Any]:
    return {"Q_CLUSTER": project.Q_CLUSTER | changes}


def database(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"DATABASES": {"default": base | changes}}


MISTAKES = [
    ("crmsync.E001", {"CRMSYNC_ENCRYPTION_KEYS": []}),
    ("crmsync.E001", {"CRMSYNC_ENCRYPTION_KEYS": [Fernet.generate_key().decode(), "correct horse"]}),
    ("crmsync.E002", {"PHONE_DEFAULT_REGION": "UK"}),
    ("crmsync.E003", {"CRMSYNC_SYNC_INTERVAL_MINUTES": 0}),
    ("crmsync.E003", {"CRMSYNC_SYNC_INTERVAL_MINUTES": 1441}),
    ("crmsync.E004", queue(redis={"host": "127.0.0.1"})),
    ("crmsync.E004", queue(orm=None)),
    ("crmsync.E005", queue(timeout=60, retry=180, workers=2, queue_limit=2, bulk=1)),
    ("crmsync.E006", queue(timeout=2.5)),
    ("crmsync.E006", queue(workers=0)),
    ("crmsync.E007", database(POSTGRES, ENGINE="django.db.backends.mysql")),
    ("crmsync.E008", database(POSTGRES, OPTIONS={"pool": True})),
    ("crmsync.E009", database(SQLITE, ATOMIC_REQUESTS=True)),
    ("crmsync.E010", database(SQLITE, OPTIONS={})),
    ("crmsync.E011", {"OPENAI_BASE_URL": "localhost:8080/v1", "OPENAI_API_KEY": "x"}),
    ("crmsync.E012", {"CRMSYNC_API_RATE": -1}),
    ("crmsync.W001", database(POSTGRES, CONN_MAX_AGE=0)),
    ("crmsync.W002", {"OPENAI_BASE_URL": "http://127.0.0.1:8080/v1", "OPENAI_API_KEY": ""}),
    ("crmsync.W003", {"CRMSYNC_ALLOW_INSECURE_CRM_URLS": True}),
    ("crmsync.W004", {"DEBUG": True, "ALLOWED_HOSTS": ["crm.example.com"]}),
    ("crmsync.W004", {"DEBUG": True, "HOST": "0.0.0.0"}),
]


@pytest.fixture
def found(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Our messages under these settings: id → hint."""

    def run(changes: dict[str, Any], *, deploy: bool = False) -> dict[str, str]:
        for name, value in (CLEAN | changes).items():
            if name == "DATABASES":
                monkeypatch.setitem(project.DATABASES, "default", value["default"])
            else:
                setattr(settings, name, value)
        messages = run_checks(include_deployment_checks=deploy)
        return {str(m.id): str(m.hint) for m in messages if str(m.id).startswith("crmsync.")}

    return run


@pytest.mark.parametrize(("identifier", "changes"), MISTAKES)
def test_a_misconfiguration_is_reported_alone_and_with_a_hint(
    found: Callable[..., dict[str, str]], identifier: str, changes: dict[str, Any]
) -> None:
    messages = found(changes)

    assert list(messages) == [identifier]
    assert len(messages[identifier]) > 20


def test_a_newcomers_settings_are_clean(found: Callable[..., dict[str, str]]) -> None:
    assert found(database(SQLITE)) == {}
    assert found(database(POSTGRES)) == {}


def test_every_message_has_its_mistake_in_this_table() -> None:
    written = Path(project.BASE_DIR, "crmsync", "checks.py").read_text()
    ids = {part.split('"')[0] for part in written.split('id="')[1:]}

    assert ids == {identifier for identifier, _ in MISTAKES} | {"crmsync.W005"}


def test_a_deployment_is_told_that_its_keys_live_on_one_disk(
    found: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "secret_key").write_text("made here\n")

    here = found({"VAR_DIR": tmp_path, "SECRET_KEY": "made here"}, deploy=True)
    given = found({"VAR_DIR": tmp_path, "SECRET_KEY": "from the environment"}, deploy=True)

    assert "crmsync.W005" in here
    assert "crmsync.W005" not in given


def test_the_encryption_keys_never_appear_in_a_message(settings: Any) -> None:
    settings.CRMSYNC_ENCRYPTION_KEYS = ["a-secret-that-is-no-key"]

    assert "a-secret-that-is-no-key" not in " ".join(str(message) for message in run_checks())
