"""What one property accepts: a string comes in; what HubSpot keeps goes out, or a reason against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Container

from sandbox.hubspot.schema import Property
from sandbox.hubspot.stamps import DAY, iso, parse_date, parse_instant

LONGEST = 65_536
_NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_EMAIL = re.compile(r"[^@\s,;<>\"()]+@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")


class BadValue(ValueError):
    """A refused value: HubSpot's error code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def keep(one: Property, text: str, owners: Container[str]) -> str:
    """The text as stored ("" clears); raises BadValue when the property would refuse it."""
    if one.calculated:
        raise BadValue("READ_ONLY_VALUE", f'"{one.name}" is a calculated property; its value cannot be set.')
    if one.read_only:
        raise BadValue("READ_ONLY_VALUE", f'"{one.name}" is a read only property; its value cannot be set.')
    if text == "":
        return text
    if len(text.encode("utf-16-le", "surrogatepass")) > 2 * LONGEST:  # as Java counts: an emoji is two
        raise BadValue(
            "PROPERTY_VALUE_TOO_LONG", f"{one.name} exceeds the maximum length of {LONGEST} characters"
        )
    if one.external == "OWNER":
        return _owner(text, owners)
    check = _BY_NAME.get(one.name) or _BY_TYPE.get(one.type)
    return check(one, text) if check else text


def _owner(text: str, owners: Container[str]) -> str:
    if text not in owners:
        raise BadValue("INVALID_OWNER_ID", f"Owner with id {text} does not exist")
    return text


def _email(_one: Property, text: str) -> str:
    if not _EMAIL.fullmatch(text) or len(text) > 254:
        raise BadValue("INVALID_EMAIL", f"Email address {text} is invalid")
    return text.lower()


def _recording(_one: Property, text: str) -> str:
    if not text.startswith("https://"):
        raise BadValue("INVALID_URL", "hs_call_recording_url must be an HTTPS URL")
    return text


def _duration(one: Property, text: str) -> str:
    if not text.isdecimal():
        raise BadValue("INVALID_LONG", f"{text} was not a valid long.")
    return _number(one, text)


def _number(_one: Property, text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise BadValue("INVALID_DOUBLE", f"{text} was not a valid number.")
    return text


def _bool(_one: Property, text: str) -> str:
    if text not in ("true", "false"):
        raise BadValue("INVALID_OPTION", f"{text} was not one of the allowed options: [true, false]")
    return text


def _date(_one: Property, text: str) -> str:
    if parse_date(text) is not None:
        return text
    stamp = parse_instant(text)
    if stamp is None:
        raise BadValue("INVALID_DATE", f"{text} was not a valid date.")
    if stamp % DAY:
        raise BadValue("INVALID_DATE", f"{text} is at {iso(stamp)[11:-1]} UTC, not midnight!")
    return iso(stamp)[:10]


def _datetime(_one: Property, text: str) -> str:
    stamp = parse_instant(text)
    if stamp is None or not -62_135_596_800_000 <= stamp < 253_402_300_800_000:
        raise BadValue("INVALID_LONG", f"{text} was not a valid long.")
    return iso(stamp)


def _enumeration(one: Property, text: str) -> str:
    allowed = [option.value for option in one.options]
    chosen = text.split(";") if one.field_type == "checkbox" else [text]
    for value in filter(None, chosen):
        if value not in allowed:
            listed = ", ".join(allowed)
            raise BadValue("INVALID_OPTION", f"{value} was not one of the allowed options: [{listed}]")
    return text


_BY_TYPE: dict[str, Callable[[Property, str], str]] = {
    "number": _number, "bool": _bool, "date": _date, "datetime": _datetime, "enumeration": _enumeration,
}  # fmt: skip
_BY_NAME: dict[str, Callable[[Property, str], str]] = {
    "email": _email, "hs_call_recording_url": _recording, "hs_call_duration": _duration,
}  # fmt: skip
