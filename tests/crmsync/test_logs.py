"""Log lines never carry a person's data or a secret, wherever they come from."""

import logging

import pytest
import structlog

from crmsync.logs import scrub, scrubbed_text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("no match for +1 (415) 555-0100 today", "no match for [phone] today"),
        ("called +14155550100.", "called [phone]."),
        ("called 415-555-0100", "called [phone]"),
        ("ada@example.co.uk bounced", "[email] bounced"),
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer [secret]"),
        ("token pat-na1-1234-abcd-5678", "token [secret]"),
        ("session 00D5g000004abcd!AQEAQ.xyz", "session [secret]"),
        ("run 123456789 took 2026-05-14T10:00:00+00:00", "run 123456789 took 2026-05-14T10:00:00+00:00"),
        ("record 003Aa00000BcDeF failed", "record 003Aa00000BcDeF failed"),
    ],
)
def test_private_text_is_replaced_and_the_rest_stays(text: str, clean: str) -> None:
    assert scrubbed_text(text) == clean


def test_values_under_private_names_are_hidden_whatever_they_look_like() -> None:
    event = scrub(None, "info", {"event": "saved", "last_name": "Lovelace", "from_number": 14155550100,
                                 "api_key": b"raw", "task_name": "sweep", "count": 3})  # fmt: skip

    assert event == {"event": "saved", "last_name": "[hidden]", "from_number": "[hidden]",
                     "api_key": "[hidden]", "task_name": "sweep", "count": 3}  # fmt: skip


@pytest.fixture
def formatter() -> logging.Formatter:
    [handler] = [h for h in logging.getLogger().handlers if type(h) is logging.StreamHandler]
    assert handler.formatter is not None
    return handler.formatter


def test_an_exception_of_a_library_is_scrubbed_too(
    formatter: logging.Formatter, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        raise ValueError("duplicate: ada@example.com, +14155550100")
    except ValueError:
        logging.getLogger("some.library").exception("push of %s failed", "+14155550100")

    line = formatter.format(caplog.records[-1])

    assert "push of [phone] failed" in line
    assert "duplicate: [email], [phone]" in line


def test_our_lines_carry_the_request_they_belong_to(
    formatter: logging.Formatter, caplog: pytest.LogCaptureFixture
) -> None:
    with structlog.contextvars.bound_contextvars(request_id="abc123"):
        structlog.get_logger("crmsync.tests").warning("pushed", connection="Sales", email="ada@example.com")

    line = formatter.format(caplog.records[-1])

    assert "abc123" in line
    assert "Sales" in line
    assert "ada@" not in line


def test_the_queue_has_no_handler_of_its_own() -> None:
    import django_q.conf  # noqa: F401 (installs one unless logging is configured)

    assert logging.getLogger("django-q").handlers == []
