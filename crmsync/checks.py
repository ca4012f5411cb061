"""System checks: every misconfiguration we know of has an id that stays, words for what is wrong, and a hint.

`manage.py check` runs them, and so does every command that touches the database; those about a public
deployment run with `--deploy`. docs/settings.md lists the settings they are about.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import phonenumbers
from cryptography.fernet import Fernet
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register

LOOPBACK = {"localhost", "127.0.0.1", "::1", "[::1]", "testserver", ".localhost"}
ENGINES = ("django.db.backends.sqlite3", "django.db.backends.postgresql")


def _is_fernet_key(key: str) -> bool:
    try:
        Fernet(key.encode())
    except ValueError:
        return False
    return True


def _encryption() -> Iterator[CheckMessage]:
    keys = settings.CRMSYNC_ENCRYPTION_KEYS
    bad = [position for position, key in enumerate(keys, 1) if not _is_fernet_key(key)]
    if bad or not keys:
        which = "has no key" if not keys else f"holds something that is not a key (position {bad[0]})"
        yield Error(
            f"CRMSYNC_ENCRYPTION_KEYS {which}: stored credentials cannot be read.",
            hint="Give comma-separated Fernet keys, newest first; make one with: python -c "
            '"from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"',
            id="crmsync.E001",
        )


def _phones() -> Iterator[CheckMessage]:
    region = settings.PHONE_DEFAULT_REGION
    if region not in phonenumbers.SUPPORTED_REGIONS:
        yield Error(
            f"PHONE_DEFAULT_REGION {region!r} is not a region phone numbers are known for.",
            hint="Use a two-letter country code such as US, GB or DE.",
            id="crmsync.E002",
        )


def _intervals() -> Iterator[CheckMessage]:
    if not 1 <= settings.CRMSYNC_SYNC_INTERVAL_MINUTES <= 1440:
        yield Error(
            "CRMSYNC_SYNC_INTERVAL_MINUTES must be from 1 to 1440.",
            hint="Leave it out for the default of 5 minutes.",
            id="crmsync.E003",
        )


def _rates() -> Iterator[CheckMessage]:
    if settings.CRMSYNC_API_RATE < 0:
        yield Error(
            "CRMSYNC_API_RATE must be 0 or more.",
            hint="It counts the requests of one API key in a minute; 0 means no limit.",
            id="crmsync.E012",
        )


def _queue() -> Iterator[CheckMessage]:
    queue = settings.Q_CLUSTER
    foreign = {"redis", "django_redis", "iron_mq", "sqs", "mongo", "broker_class"} & {
        k for k, v in queue.items() if v
    }
    if queue.get("orm") != "default" or foreign:
        yield Error(
            f"The queue is not on the main database ({', '.join(sorted(foreign)) or 'orm'} in Q_CLUSTER).",
            hint='Set orm="default" and no other broker: a task is enqueued in the transaction that needs '
            "it, and brokers without receipts lose tasks when a worker is killed.",
            id="crmsync.E004",
        )
    yield from _queue_times(queue)


def _queue_times(queue: dict[str, Any]) -> Iterator[CheckMessage]:
    whole = {name: queue.get(name) for name in ("timeout", "retry", "workers", "queue_limit", "bulk")}
    if wrong := [name for name, value in whole.items() if type(value) is not int or value < 1]:
        yield Error(
            f"Q_CLUSTER {', '.join(wrong)} must be whole numbers of at least 1.",
            hint="Check CRMSYNC_WORKERS and CRMSYNC_TASK_TIMEOUT (seconds).",
            id="crmsync.E006",
        )
        return
    timeout, retry, workers, limit, bulk = (queue[name] for name in whole)
    least = timeout * (1 + math.ceil((limit + bulk) / workers))
    if retry <= least:
        yield Error(
            f"Q_CLUSTER retry {retry} is too short: tasks that only wait their turn would run twice.",
            hint=f"Make it more than timeout * (1 + ceil((queue_limit + bulk) / workers)) = {least}.",
            id="crmsync.E005",
        )


def _database() -> Iterator[CheckMessage]:
    database = settings.DATABASES["default"]
    engine, options = database.get("ENGINE"), database.get("OPTIONS", {})
    if engine not in ENGINES:
        yield Error(
            f"DATABASE_URL selects {engine!r}, which is not supported.",
            hint="Use postgres://user:password@host/name, or leave it out for SQLite.",
            id="crmsync.E007",
        )
    if "pool" in options:
        yield Error(
            "The database connection uses a pool, whose sockets the worker's processes would share.",
            hint="Remove pool from DATABASE_URL; connections are kept by CONN_MAX_AGE.",
            id="crmsync.E008",
        )
    if database.get("ATOMIC_REQUESTS"):
        yield Error(
            "ATOMIC_REQUESTS is on: every page view would take SQLite's write lock.",
            hint="Leave it off; code opens short transactions where it needs them.",
            id="crmsync.E009",
        )
    if engine == ENGINES[0] and options.get("transaction_mode") != "IMMEDIATE":
        yield Error(
            "SQLite transactions are not IMMEDIATE: work under load would end in 'database is locked'.",
            hint='Set OPTIONS["transaction_mode"] = "IMMEDIATE".',
            id="crmsync.E010",
        )
    if database.get("CONN_MAX_AGE") == 0:
        yield checks.Warning(
            "CONN_MAX_AGE is 0: the idle worker reconnects five times a second.",
            hint="Use 60 to 600 seconds.",
            id="crmsync.W001",
        )


def _llm() -> Iterator[CheckMessage]:
    base_url = settings.OPENAI_BASE_URL
    if base_url and urlsplit(base_url).scheme not in ("http", "https"):
        yield Error(
            "OPENAI_BASE_URL is not an http or https address.",
            hint="It ends in /v1 for most servers, for example https://api.openai.com/v1.",
            id="crmsync.E011",
        )
    if base_url and not settings.OPENAI_API_KEY:
        yield checks.Warning(
            "OPENAI_BASE_URL is set without OPENAI_API_KEY: merges keep both texts and never ask the model.",
            hint="Set OPENAI_API_KEY (any value for a server that needs none), or remove OPENAI_BASE_URL.",
            id="crmsync.W002",
        )


def _exposure() -> Iterator[CheckMessage]:
    if settings.CRMSYNC_ALLOW_INSECURE_CRM_URLS:
        yield checks.Warning(
            "CRMSYNC_ALLOW_INSECURE_CRM_URLS is on: CRM credentials may travel unencrypted.",
            hint="It is for the sandbox and tests; leave it out anywhere else.",
            id="crmsync.W003",
        )
    public = [host for host in (*settings.ALLOWED_HOSTS, settings.HOST) if host not in LOOPBACK]
    if settings.DEBUG and public:
        yield checks.Warning(
            f"DEBUG is on while {public[0]} is served: error pages show settings and personal data.",
            hint="Unset DEBUG, or serve localhost only.",
            id="crmsync.W004",
        )


@register()
def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """Misconfigurations of any installation."""
    return [
        *_encryption(),
        *_phones(),
        *_intervals(),
        *_rates(),
        *_queue(),
        *_database(),
        *_llm(),
        *_exposure(),
    ]


def _from_file(value: str | list[str], path: Path) -> bool:
    stored = path.read_text().strip() if path.exists() else ""
    return bool(stored) and stored in ([value] if isinstance(value, str) else value)


@register(deploy=True)
def check_deployment(**_kwargs: Any) -> list[CheckMessage]:
    """What a public installation should not leave at a newcomer's defaults."""
    found: list[CheckMessage] = []
    made_here = [
        name
        for name, file in (("SECRET_KEY", "secret_key"), ("CRMSYNC_ENCRYPTION_KEYS", "encryption_keys"))
        if _from_file(getattr(settings, name), settings.VAR_DIR / file)
    ]
    if made_here:
        found.append(
            checks.Warning(
                f"{' and '.join(made_here)} come from {settings.VAR_DIR}: other hosts would differ.",
                hint="Copy them into the environment and your backup: without them credentials are lost.",
                id="crmsync.W005",
            )
        )
    return found
