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
        ("GET /api/get-contact-by-phone/4155550100?x=1", "GET /api/get-contact-by-phone/[phone]?x=1"),
        ("GET /api/get-contact-by-phone/%2B1415555 0100", "GET /api/get-contact-by-phone/[phone] 0100"),
        ("no match for tel:+14155550100;", "no match for tel:[phone];"),
        ("q=%2B14155550100&limit=1", "q=[phone]&limit=1"),
        ("400 for grant=x&client_secret=a1b2c3 at once", "400 for grant=x&client_secret=[secret] at once"),
        ("refresh_token=5Aep.x password=hunter2", "refresh_token=[secret] password=[secret]"),
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


@pytest.mark.parametrize(
    "words",
    [
        'duplicate key value violates unique constraint "one"\nDETAIL:  Key (name)=(Lovelace) already exists.',
        'violates check constraint "two"\nDETAIL:  Failing row contains (7, Ada\n\nLovelace, null).\nHINT:  Look.',
        "Failing row contains (7, Ada Lovelace, null).",
    ],
)
def test_the_row_that_a_database_error_quotes_is_left_out(
    formatter: logging.Formatter, caplog: pytest.LogCaptureFixture, words: str
) -> None:
    try:
        try:
            raise ValueError(words)
        except ValueError as error:
            raise RuntimeError("the save failed") from error
    except RuntimeError:
        logging.getLogger("some.library").exception("push failed")

    line = formatter.format(caplog.records[-1])

    assert "Lovelace" not in line
    assert "Ada" not in line
    assert "the save failed" in line
    assert ("Look." in line) == ("HINT" in words)


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
