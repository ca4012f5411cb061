"""Find contacts by what a person types: words of a name or a value, a number in any spelling, a CRM record's id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q, QuerySet

from contacts import phone
from contacts.finding import holding
from contacts.models import Contact, ContactAlias, CustomField
from integrations.models import Connection
from sync.models import ExternalRecord

_NUMBER = re.compile(r"[\d\s()+./,;:#*_\-\u2010-\u2015\u2212\u00a0]{4,}")
# Letters that fingers and scanners put in place of digits.
_MISREAD = str.maketrans("oOlIS", "00115")
_WORDS = 10  # of a search; more would say no more
_WHOLE = 7  # digits; fewer are part of a number


@dataclass(frozen=True, slots=True)
class Understood:
    """Contacts that a text means; `guessed`: nobody has the number typed, and these are one slip away from it."""

    rows: QuerySet[Contact]
    guessed: bool = False


def matching(rows: QuerySet[Contact], text: str) -> QuerySet[Contact]:
    """`rows` narrowed to what `text` means; all of them when it is blank."""
    return understood(rows, text).rows


def understood(
    rows: QuerySet[Contact],
    text: str,
    *,
    connections: Sequence[Connection] | None = None,
    fields: Sequence[CustomField] | None = None,
) -> Understood:
    """`rows` narrowed to what `text` means. A full number or an id is met exactly.

    Otherwise every word stands somewhere in the person's names, number or values. A number that nobody has finds those
    that are one slip away: a digit wrong, missing, too many, or two exchanged. `connections` and `fields`: all there are,
    where the caller has read them.
    """
    text = text.strip()
    if not text:
        return Understood(rows)
    if exact := _exact(text, connections):
        return Understood(rows.filter(pk__in=exact))
    number = _as_number(text)
    if not number:
        return Understood(holding(rows, text.split()[:_WORDS], fields=fields))
    # People leave out the country code and write the trunk zero.
    digits = re.sub(r"\D", "", number).lstrip("0") or number
    found = holding(rows, [(digits, text)], fields=fields)
    if len(digits) >= _WHOLE and not found.exists():
        return Understood(rows.filter(pk__in=one_slip_away(number)), guessed=True)
    return Understood(found)


def one_slip_away(number: str) -> list[int]:
    """Contacts whose number, present or former, is one slip of the finger from `number`; looked up by index."""
    candidates = phone.one_slip_away(number, settings.PHONE_DEFAULT_REGION)
    now = Contact.objects.filter(phone_number__in=candidates).order_by().values_list("pk")
    former = ContactAlias.objects.filter(phone_number__in=candidates).order_by().values_list("contact_id")
    return sorted(pk for (pk,) in now.union(former))


def _as_number(text: str) -> str:
    """The text when it can only be a number, letters that stand for digits replaced; else ""."""
    if _NUMBER.fullmatch(text) and re.search(r"\d{2}|\d\D\d", text):
        return text
    read = text.translate(_MISREAD)
    digits = sum(letter.isdigit() for letter in text)
    return read if digits >= 5 and _NUMBER.fullmatch(read) else ""


def _exact(text: str, connections: Sequence[Connection] | None) -> list[int]:
    """Contacts that the whole text identifies, by index: the number, a former number, or a CRM record's id."""
    known = Q(public_id=text)
    found: set[int] = set()
    if number := _whole_number(text):
        known |= Q(phone_number=number)
        found |= set(ContactAlias.objects.filter(phone_number=number).values_list("contact_id", flat=True))
    found |= set(Contact.objects.filter(known).values_list("pk", flat=True))
    # Connection by connection, as the index of external ids goes.
    rows = connections if connections is not None else Connection.objects.only("pk")
    known_crms = [one.pk for one in rows]
    by_id = ExternalRecord.objects.filter(connection__in=known_crms, external_id=text, contact__isnull=False)
    found |= {pk for pk in by_id.values_list("contact_id", flat=True) if pk is not None}
    return sorted(found)


def _whole_number(text: str) -> str:
    """The text as a number in E.164, "" where it is none or not all of one."""
    number = _as_number(text)
    try:
        return phone.to_e164(number, settings.PHONE_DEFAULT_REGION) if number else ""
    except phone.BadPhone:
        return ""
