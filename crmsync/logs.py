"""Logs: one line per event, JSON for machines or plain for a terminal, never a person's data or a secret.

Everything goes through the standard library's root logger, so Django, the queue and the CRM clients are
covered too. `scrub` is the last stop before a line is written.
"""

import logging.config
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

# Names under which personal data or secrets arrive as structured values.
PRIVATE_NAMES = re.compile(
    r"(?i)(^|_)(phone|number|email|name|first_name|last_name|address|transcript|summary|body|payload|value|values|"
    r"password|secret|token|authorization|cookie|credentials|api_key|signature)$"
)
PUBLIC_NAMES = frozenset({"logger_name", "task_name", "field_name", "connection_name"})
# What gives them away inside a text, such as an exception's message.
PRIVATE_TEXT = (
    # What PostgreSQL tells of the row at fault, through line breaks in its values to the next part of the text.
    (
        re.compile(
            r"(?s)(\bDETAIL:|\bCONTEXT:  |\bFailing row contains \().*?"
            r"(?=\n(?:HINT|QUERY|STATEMENT):|\n[ |]*\n[ |]*(?:The above exception|During handling)|\Z)"
        ),
        "[row]",
    ),
    (re.compile(r"(?i)(get-contact-by-phone/)[^\s/?#\"'<>]+"), r"\1[phone]"),
    (re.compile(r"(?i)\btel:[+\d(%][\d().%-]{4,}\d"), "tel:[phone]"),
    (re.compile(r"(?i)%2B\d{7,15}"), "[phone]"),
    (re.compile(r"(?i)(client_secret|access_token|refresh_token|password|api_key)=\S+"), r"\1=[secret]"),
    (
        re.compile(
            r"(?i)(['\"](?:client_secret|access_token|refresh_token|password|api_key)['\"]: ?)['\"][^'\"]*"
        ),
        r"\1'[secret]",
    ),
    (re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+"), "[email]"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 [secret]"),
    (
        re.compile(r"\b(pat-[a-z0-9]+-[\w-]{6,}|sk-[\w-]{8,}|key_[0-9a-f]{8,}|00D\w{12,15}![\w.]+)"),
        "[secret]",
    ),
    (re.compile(r"(?<![\w.:-])\+\d[\d ().-]{5,18}\d"), "[phone]"),
    (re.compile(r"(?<![\w.:-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\w)"), "[phone]"),
)


def scrubbed_text(text: str) -> str:
    """The text with e-mail addresses, phone numbers and credentials replaced by a word for what they were."""
    for pattern, word in PRIVATE_TEXT:
        text = pattern.sub(word, text)
    return text


def scrub(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: hide values under private names, and personal data inside any text."""
    for name, value in event.items():
        if name not in PUBLIC_NAMES and PRIVATE_NAMES.search(name):
            event[name] = "[hidden]"
        elif isinstance(value, str):
            event[name] = scrubbed_text(value)
    return event


def _processors() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        scrub,
    ]


def logging_config(level: str, form: str) -> None:
    """Send every log line to stderr as `form` ("json" or "console"), from `level` upwards."""
    renderer: Any = structlog.processors.JSONRenderer()
    if form == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": _processors(),
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {
                # A line per wake-up is noise; deaths and failures are not.
                "django-q": {"level": "WARNING"},
                # These log request addresses, which carry phone numbers and ids.
                "httpx2": {"level": "WARNING"},
                "httpcore2": {"level": "WARNING"},
                "urllib3": {"level": "WARNING"},
                "openai": {"level": "WARNING"},
                "simple_salesforce": {"level": "WARNING"},
                "axes": {"level": "WARNING"},  # counting is its work; who is shut out is news
                "gunicorn.http.wsgi": {"level": "ERROR"},  # a line for every HEAD request
                "django.request": {"level": "ERROR"},
                "django.server": {"level": "ERROR"},
            },
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
