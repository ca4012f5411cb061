"""What all tests share: a network that ends at loopback, a database file, the sandbox CRMs."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import override_settings

from activity.remembered import forget_all
from sandbox.client import Control
from sandbox.server import running
from sandbox.world import World

ROOT = Path(__file__).resolve().parent.parent
NEEDS_POSTGRES = "needs PostgreSQL: runs in the pass on that database"
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")
TEST_SETTINGS: dict[str, Any] = {
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
    "CRMSYNC_ALLOW_INSECURE_CRM_URLS": True,
    "PHONE_DEFAULT_REGION": "US",
    "OPENAI_API_KEY": "",
    "OPENAI_BASE_URL": "",
    "SECURE_SSL_REDIRECT": False,
    "STORAGES": {
        **django_settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    },
}


def pytest_configure(config: pytest.Config) -> None:
    """Refuse every connection that leaves this machine, in this process."""
    real_connect = socket.socket.connect
    real_connect_ex = socket.socket.connect_ex

    def refuse_far(address: Any) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(LOOPBACK):
            raise RuntimeError(f"a test reached out to {address[0]}: tests stay on loopback")

    def connect(self: socket.socket, address: Any) -> None:
        refuse_far(address)
        real_connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        refuse_far(address)
        return real_connect_ex(self, address)

    socket.socket.connect = connect  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = connect_ex  # type: ignore[method-assign, assignment]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine or this pass lacks the means for."""
    missing: dict[str, str] = {}
    if "postgresql" not in django_settings.DATABASES["default"]["ENGINE"]:
        missing["postgres"] = NEEDS_POSTGRES
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        missing["browser"] = "needs a browser: install chromium"
    for item in items:
        if item.path.is_relative_to(ROOT / "tests" / "sandbox"):
            item.add_marker("once")
        for marker, reason in missing.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
    # The longest test first: begun last, it would keep one process busy for minutes after all others have ended.
    items.sort(key=lambda item: not item.path.is_relative_to(ROOT / "tests" / "model"))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Tell bin/test what was skipped, and fail where nothing may be (CRMSYNC_FAIL_ON_SKIP)."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in reporter.stats.get("skipped", [])]
    if os.environ.get("CRMSYNC_POSTGRES_FOLLOWS"):
        reasons = [reason for reason in reasons if reason != NEEDS_POSTGRES]
    if path := os.environ.get("CRMSYNC_SKIP_LOG"):
        with Path(path).open("a") as file:
            file.writelines(f"{reason} ({count} tests)\n" for reason, count in Counter(reasons).items())
    if reasons and os.environ.get("CRMSYNC_FAIL_ON_SKIP") and exitstatus == 0:
        session.exitstatus = 1


@pytest.fixture(scope="session", autouse=True)
def _test_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    static_root = tmp_path_factory.mktemp("static")
    with override_settings(**TEST_SETTINGS, STATIC_ROOT=static_root):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """SQLite tests use a file, as the server does, so that two connections really meet on its lock."""
    if connection.vendor == "sqlite":
        path = tmp_path_factory.mktemp("database") / "test.sqlite3"
        connection.settings_dict["TEST"]["NAME"] = str(path)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """What a process remembers for two seconds must not pass from one test's database to the next."""
    forget_all()


class Sandbox(NamedTuple):
    """The stand-in CRMs: where they answer, what they hold, and the control client over HTTP."""

    base_url: str
    world: World
    control: Control


@contextmanager
def _running_sandbox(count: int) -> Iterator[Sandbox]:
    world = World(count=count)
    with running(world) as base_url:
        yield Sandbox(base_url, world, Control(base_url))


@pytest.fixture(scope="session")
def _sandbox_server() -> Iterator[Sandbox]:
    with _running_sandbox(40) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_sandbox_server: Sandbox) -> Sandbox:
    """The sandbox, freshly seeded with 40 contacts per CRM, its log and faults empty."""
    _sandbox_server.world.reset(40)
    return _sandbox_server


class Installation(NamedTuple):
    """An installation of its own, for tests that run real processes."""

    environment: dict[str, str]
    var_dir: Path

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one management command to its end."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.environment, check=check, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def start(self, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a long-running command in a process group of its own, its words going to `log`."""
        with log.open("wb") as file:
            # Tests that run in the background of a shell have Ctrl-C switched off; a terminal has it on.
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                start_new_session=True,
                stdout=file,
                stderr=file,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )


def new_installation(var_dir: Path) -> Installation:
    """An installation in `var_dir`, not migrated yet; nothing of our own environment leaks in."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    environment = {
        "CRMSYNC_VAR_DIR": str(var_dir),
        "CRMSYNC_ENV_FILE": os.devnull,
        "CRMSYNC_ALLOW_INSECURE_CRM_URLS": "1",
        "LOG_FORMAT": "console",
        "PYTHONWARNINGS": "error",
        "PYTHONPATH": str(ROOT / "tests" / "crmsync"),
    }
    return Installation(kept | environment, var_dir)


@pytest.fixture(scope="session")
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    var_dir = tmp_path_factory.mktemp("migrated")
    new_installation(var_dir).manage("migrate", "--verbosity", "0")
    return var_dir


@pytest.fixture
def installation(tmp_path: Path, _migrated: Path) -> Installation:
    """A migrated SQLite installation in a directory of its own."""
    shutil.copytree(_migrated, tmp_path, dirs_exist_ok=True)
    return new_installation(tmp_path)
