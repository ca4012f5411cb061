"""Numbers as people type them, and the one form that we keep."""

import pytest

from contacts.phone import BadPhone, for_people, is_region, same_number, to_e164

# Row 13: missing country code, `00`, extensions, text after the number, several numbers in one field.
SAN_FRANCISCO = (
    "+14155550100",
    "+1 415 555 0100",
    "+1 (415) 555-0100",
    "(415) 555-0100",
    "415-555-0100",
    "415.555.0100",
    "415/555-0100",
    "4155550100",
    "14155550100",
    "1-415-555-0100",
    "001 415 555 0100",
    "00 1 415 555 0100",
    "011 1 415 555 0100",
    "tel:+1-415-555-0100",
    "tel:001 415 555 0100",
    "415-555-0100 ext. 12",
    "415-555-0100 x12",
    "4155550100;ext=4",
    "415-555-0100 (mobile)",
    "415 555 0100 after 5pm",
    "Home: 415-555-0100",
    "415-555-0100 / 415-555-0199",
    "415-555-0100, 415-555-0199",
    "415\u2011555\u20110100",
    "415\u2013555\u20130100",
    "415\u00a0555\u00a00100",
    "\uff0b14155550100",
    "\u202a+14155550100\u202c",
    "  415 555 0100  ",
    14155550100,
    4155550100.0,
)
JUNK = (
    "n/a", "call the office", "0000", "12", "+1", "unknown", "555", "x1234", "---", "ask Bob", "+1 000 000 0000", "123-4567",
    "2026-05-14 12:30", "192.168.100.200", "1234567890123456", "+", "00", True, "order 4155550100123",
)  # fmt: skip


@pytest.mark.parametrize("spelling", SAN_FRANCISCO)
def test_every_spelling_means_one_number(spelling: object) -> None:
    assert to_e164(spelling, "US") == "+14155550100"


@pytest.mark.parametrize(
    ("spelling", "region", "number"),
    [
        ("020 7946 0018", "GB", "+442079460018"),
        ("+44 (0)20 7946 0018", "US", "+442079460018"),
        ("0044 20 7946 0018", "US", "+442079460018"),
        ("030 901820", "DE", "+4930901820"),
        ("06 12 34 56 78", "FR", "+33612345678"),
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("+49 30 901820", "US", "+4930901820"),
    ],
)
def test_the_region_is_assumed_only_without_a_country_code(spelling: str, region: str, number: str) -> None:
    assert to_e164(spelling, region) == number


@pytest.mark.parametrize("junk", JUNK)
def test_text_without_a_valid_number_is_refused_with_advice(junk: object) -> None:
    with pytest.raises(BadPhone, match="country code") as bad:
        to_e164(junk, "US")
    assert bad.value.reason == "bad_phone"


@pytest.mark.parametrize("blank", [None, "", "   ", "\u00a0", 0, False])
def test_a_blank_is_no_phone_rather_than_a_bad_one(blank: object) -> None:
    with pytest.raises(BadPhone) as bad:
        to_e164(blank, "US")
    assert bad.value.reason == "no_phone"


@pytest.mark.parametrize("spelling", SAN_FRANCISCO)
def test_the_kept_form_reads_as_itself_everywhere(spelling: object) -> None:
    assert to_e164(to_e164(spelling, "US"), "GB") == "+14155550100"


def test_a_refusal_never_repeats_what_was_typed() -> None:
    with pytest.raises(BadPhone) as bad:
        to_e164("ask Bob on 12", "US")
    assert "Bob" not in str(bad.value)


def test_same_number() -> None:
    assert same_number("(415) 555-0100", "+1 415 555 0100")
    assert not same_number("(415) 555-0100", "(415) 555-0101")
    assert not same_number("junk", "junk")
    assert not same_number("", "")


def test_for_people() -> None:
    assert for_people("+14155550100") == "+1 415-555-0100"
    assert for_people("~17") == "~17"


def test_regions() -> None:
    assert is_region("DE")
    assert not is_region("XX")
    assert not is_region("de")
