"""The settings file reads the environment: what a newcomer, a deployment and a mistake get."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crmsync.keys import stored_key
from tests.conftest import Installation, new_installation

SHOW = (
    "import json; from django.conf import settings as s; "
    "print(json.dumps({'secret': s.SECRET_KEY, 'keys': s.CRMSYNC_ENCRYPTION_KEYS, 'debug': s.DEBUG, "
    "'hosts': s.ALLOWED_HOSTS, 'db': {k: str(v) for k, v in s.DATABASES['default'].items()}, "
    "'secure': [s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SECURE_SSL_REDIRECT, "
    "s.SECURE_HSTS_SECONDS > 0]}))"
)


def shown(installation: Installation, **environment: str) -> dict[str, Any]:
    installation.environment.update(environment)
    seen: dict[str, Any] = json.loads(installation.manage("shell", "--no-imports", "-c", SHOW).stdout)
    return seen


@pytest.fixture
def empty(tmp_path: Path) -> Installation:
    return new_installation(tmp_path / "var")


def test_a_newcomer_gets_safe_defaults_and_keys_that_stay(empty: Installation) -> None:
    first, second = shown(empty), shown(empty)

    assert first == second
    assert first["debug"] is False
    assert first["hosts"] == ["localhost", "127.0.0.1", "[::1]"]
    assert len(first["secret"]) > 50
    assert first["db"]["NAME"] == str(empty.var_dir / "crmsync.sqlite3")
    for name in ("secret_key", "encryption_keys"):
        assert stat.S_IMODE((empty.var_dir / name).stat().st_mode) == 0o600


def test_keys_from_the_environment_are_used_and_nothing_is_written(empty: Installation) -> None:
    seen = shown(
        empty, SECRET_KEY="given", CRMSYNC_ENCRYPTION_KEYS="newest,older", DATABASE_URL="postgres://h/db"
    )

    assert (seen["secret"], seen["keys"]) == ("given", ["newest", "older"])
    assert not empty.var_dir.exists()


def test_database_url_selects_postgresql_with_kept_connections_and_no_pool(empty: Installation) -> None:
    database = shown(empty, DATABASE_URL="postgres://ada:secret@db.example.com:5433/crm")["db"]

    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db.example.com", "5433", "crm")
    assert database["CONN_MAX_AGE"] == "300"
    assert database["CONN_HEALTH_CHECKS"] == "True"
    assert "pool" not in database.get("OPTIONS", "")


def test_a_sqlite_url_gets_the_same_settings_as_the_default(empty: Installation) -> None:
    database = shown(empty, DATABASE_URL=f"sqlite:///{empty.var_dir}/other.sqlite3")["db"]

    assert database["NAME"] == f"{empty.var_dir}/other.sqlite3"
    assert "IMMEDIATE" in database["OPTIONS"]


def test_https_secures_cookies_redirects_and_sends_hsts(empty: Installation) -> None:
    assert shown(empty)["secure"] == [False, False, False, False]
    assert shown(empty, CRMSYNC_HTTPS="1")["secure"] == [True, True, True, True]


def test_a_host_to_serve_on_is_allowed(empty: Installation) -> None:
    assert "crm.lan" in shown(empty, HOST="crm.lan")["hosts"]
    assert "0.0.0.0" not in shown(empty, HOST="0.0.0.0")["hosts"]


def test_an_unreadable_value_is_named(empty: Installation) -> None:
    empty.environment["CRMSYNC_WORKERS"] = "many"

    result = empty.manage("check", check=False)

    assert result.returncode == 1
    assert "CRMSYNC_WORKERS" in result.stderr


def test_a_env_file_is_read_and_the_environment_outranks_it(empty: Installation, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("SECRET_KEY=from file\nDEBUG=1\n")

    seen = shown(empty, CRMSYNC_ENV_FILE=str(tmp_path / "env"), DEBUG="0")

    assert (seen["secret"], seen["debug"]) == ("from file", False)


def test_processes_that_start_together_agree_on_a_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda n: stored_key(tmp_path / "key", f"key {n}"), range(8)))

    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
