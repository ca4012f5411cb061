"""Settings, all from the environment (or a `.env` file beside manage.py), with defaults that suit one host.

A newcomer needs to set nothing: the database is SQLite in `var/`, the keys are made at the first start and
kept there. docs/settings.md lists every variable; `manage.py check` says what is wrong with a combination.
"""

import math
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError

from crmsync.keys import new_encryption_key, new_secret_key, stored_key
from crmsync.logs import logging_config

ANY_HOST = ("0.0.0.0", "::")  # noqa: S104 (recognised, not bound)
BASE_DIR = Path(__file__).resolve().parent.parent
T = TypeVar("T")
env = Env()
if (_env_file := Path(os.environ.get("CRMSYNC_ENV_FILE") or BASE_DIR / ".env")).is_file():
    env.read_env(str(_env_file), recurse=False)


def read(kind: Callable[[str], Any], name: str, default: T) -> T:
    """The setting of this name; one that is unset or empty has its default."""
    return kind(name) if env.str(name, "") else default


def _database() -> dict[str, Any]:
    """The one database: DATABASE_URL, or SQLite in the var directory."""
    if not env.str("DATABASE_URL", ""):
        path = VAR_DIR / "crmsync.sqlite3"
        path.parent.mkdir(parents=True, exist_ok=True)
        database: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": path}
    else:
        database = dict(env.dj_db_url("DATABASE_URL"))
    # Web and worker keep their connections: a reconnect per queue poll costs four times the throughput.
    database |= {
        "CONN_MAX_AGE": read(env.int, "CONN_MAX_AGE", 300),
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
    }
    if database["ENGINE"].endswith("sqlite3"):
        # IMMEDIATE ends "database is locked": a transaction waits for the write lock when it starts.
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # 16 MB of journal between two checkpoints: each costs whoever writes just then some milliseconds.
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA mmap_size=134217728;"
            "PRAGMA journal_size_limit=27103364;PRAGMA cache_size=-20000;PRAGMA wal_autocheckpoint=4000;",
        }
    return database


try:
    DEBUG = read(env.bool, "DEBUG", False)
    VAR_DIR = read(env.path, "CRMSYNC_VAR_DIR", BASE_DIR / "var")
    HOST = read(env.str, "HOST", "127.0.0.1")
    PORT = read(env.int, "PORT", 8000)
    HTTPS = read(env.bool, "CRMSYNC_HTTPS", False)  # a proxy in front speaks https and sets X-Forwarded-Proto

    SECRET_KEY = read(env.str, "SECRET_KEY", "") or stored_key(VAR_DIR / "secret_key", new_secret_key())
    CRMSYNC_ENCRYPTION_KEYS: list[str] = read(env.list, "CRMSYNC_ENCRYPTION_KEYS", []) or [
        stored_key(VAR_DIR / "encryption_keys", new_encryption_key())
    ]
    _own_hosts = dict.fromkeys(["localhost", "127.0.0.1", "[::1]", *([] if HOST in ANY_HOST else [HOST])])
    ALLOWED_HOSTS: list[str] = read(env.list, "ALLOWED_HOSTS", list(_own_hosts))
    CSRF_TRUSTED_ORIGINS: list[str] = read(env.list, "CSRF_TRUSTED_ORIGINS", [])

    DATABASES = {"default": _database()}

    PHONE_DEFAULT_REGION = read(env.str, "PHONE_DEFAULT_REGION", "US").upper()
    CRMSYNC_ALLOW_INSECURE_CRM_URLS = read(env.bool, "CRMSYNC_ALLOW_INSECURE_CRM_URLS", False)
    CRMSYNC_SYNC_INTERVAL_MINUTES = read(env.int, "CRMSYNC_SYNC_INTERVAL_MINUTES", 5)
    # Seconds that a CRM may take to show a record or activity whose creation was not answered.
    CRMSYNC_UNKNOWN_WAIT = read(env.float, "CRMSYNC_UNKNOWN_WAIT", 30.0)

    # Seconds that an ended conversation waits for its analysis before it is logged without one.
    CRMSYNC_ANALYSIS_WAIT = read(env.float, "CRMSYNC_ANALYSIS_WAIT", 600.0)
    # Where the number of a chat or web call is looked for: names in its metadata and variables.
    CRMSYNC_CHAT_NUMBER_KEYS: list[str] = read(
        env.list,
        "CRMSYNC_CHAT_NUMBER_KEYS",
        ["user_number", "phone_number", "from_number", "customer_number", "caller_number"],
    )
    CRMSYNC_IMPORT_MAX_MB = read(env.int, "CRMSYNC_IMPORT_MAX_MB", 50)  # of an uploaded CSV file
    CRMSYNC_KEEP_DELIVERIES_DAYS = read(env.int, "CRMSYNC_KEEP_DELIVERIES_DAYS", 90)
    CRMSYNC_MERGE_PRICE = read(
        env.decimal, "CRMSYNC_MERGE_PRICE", Decimal("0.005")
    )  # of one merge by the LLM

    # The most that merges may cost in a calendar month, in the currency of the price; unset: no limit.
    CRMSYNC_MERGE_BUDGET: Decimal | None = read(env.decimal, "CRMSYNC_MERGE_BUDGET", None)
    CRMSYNC_MERGE_LIMIT = read(env.int, "CRMSYNC_MERGE_LIMIT", 10_000)  # characters of a merged text
    # Under which people reach this server, for links in the CRMs' records; unset: none are made.
    CRMSYNC_PUBLIC_URL = read(env.str, "CRMSYNC_PUBLIC_URL", "").rstrip("/")
    CRMSYNC_LOG_AGE_DAYS = read(env.int, "CRMSYNC_LOG_AGE_DAYS", 30)  # older ones are not logged; 0: no limit
    CRMSYNC_VARIABLE_LIMIT = read(
        env.int, "CRMSYNC_VARIABLE_LIMIT", 2_000
    )  # characters of one dynamic variable

    OPENAI_API_KEY = read(env.str, "OPENAI_API_KEY", "")
    OPENAI_BASE_URL = read(env.str, "OPENAI_BASE_URL", "")
    OPENAI_MODEL = read(env.str, "OPENAI_MODEL", "gpt-4.1-mini")

    CRMSYNC_API_RATE = read(env.int, "CRMSYNC_API_RATE", 1200)  # requests a minute and API key; 0: no limit

    LOG_LEVEL = read(env.str, "LOG_LEVEL", "INFO").upper()
    LOG_FORMAT = read(env.str, "LOG_FORMAT", "console" if sys.stderr.isatty() else "json")
    WORKERS = read(env.int, "CRMSYNC_WORKERS", 2)
    TASK_TIMEOUT = read(env.int, "CRMSYNC_TASK_TIMEOUT", 120)  # seconds; the queue accepts whole ones only
except EnvError as error:
    raise ImproperlyConfigured(f"A setting in the environment cannot be read: {error}") from error

# --- what it is made of ---------------------------------------------------------------------------

INSTALLED_APPS = [
    "crmsync",
    "contacts",
    "integrations",
    "mappings",
    "sync",
    "activity",
    "crmsync.apps.HouseAdmin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "axes",
    "django_q",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]
MIDDLEWARE = [
    "crmsync.middleware.RequestContext",
    "crmsync.middleware.ShortWay",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "crmsync.zone.ReaderZone",
    "crmsync.acting.ActingPerson",
    "axes.middleware.AxesMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "crmsync.urls"
WSGI_APPLICATION = "crmsync.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MEDIA_ROOT = VAR_DIR / "media"

# --- the queue ------------------------------------------------------------------------------------

# A row is handed out again `retry` seconds after it was fetched, and fetched rows wait behind others: a
# shorter time runs tasks twice. System check crmsync.E005 holds whoever edits it to the formula.
_ROUNDS = 1 + math.ceil((WORKERS + 1) / WORKERS) if WORKERS > 0 else 1
Q_CLUSTER: dict[str, Any] = {
    "name": "crmsync",
    "orm": "default",
    "workers": WORKERS,
    "queue_limit": WORKERS,
    "bulk": 1,
    "poll": 0.25,
    "timeout": TASK_TIMEOUT,
    "retry": TASK_TIMEOUT * _ROUNDS + 40,
    "max_attempts": 5,
    "ack_failures": False,
    "save_limit": -1,  # our own rows keep the history; finished wake-ups are not worth a row
    "recycle": 200,
    "max_rss": 400_000 * (1024 if sys.platform == "darwin" else 1),  # kB on Linux, bytes on macOS
    "catch_up": False,
    "guard_cycle": 0.5,
    "label": "Queue",
}

# --- API ------------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["crmsync.api.auth.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "crmsync",
    "DESCRIPTION": "Contacts, their custom fields, and the CRMs they are kept in step with.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [],  # enums stay where they are used, instead of sharing made-up names
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024  # an event with a long transcript fits
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000  # a bulk action on a long admin page

# --- safety ---------------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: refuses whoever has guessed too often
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = 10  # wrong passwords in a row, of one name from one address
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # the person who is shut out meanwhile comes in on time
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "429.html"
AXES_IPWARE_META_PRECEDENCE_ORDER = ["REMOTE_ADDR"]
# The table of attempts is for counting, not for reading: names and addresses go when they have done their work.
AXES_DISABLE_ACCESS_LOG, AXES_ENABLE_ADMIN, AXES_VERBOSE = True, False, False
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "login"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]  # probes come to the process, not through the proxy
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
# Whether the domain's other hosts speak https, and whether it is preloaded, is for its owner to say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

LOGGING_CONFIG = None
logging_config(level=LOG_LEVEL, form=LOG_FORMAT)
