"""Find contacts by what a person types: a name, a number in any spelling, a CRM record's id, a custom value."""

from __future__ import annotations

import json
import re
from functools import reduce
from operator import or_

from django.conf import settings
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from contacts import phone
from contacts.models import Contact, ContactAlias, CustomField
from sync.models import ExternalRecord

_LOOKS_LIKE_A_NUMBER = re.compile(r"[\d\s()+./\-\u2010-\u2014\u00a0]{4,}")


def matching(rows: QuerySet[Contact], text: str) -> QuerySet[Contact]:
    """`rows` narrowed to what `text` means; all of them when it is blank. A full number or a CRM id is met exactly."""
    text = text.strip()
    if not text:
        return rows
    if exact := _exact(text):
        return rows.filter(pk__in=exact)
    return rows.alias(held=Cast("custom_fields", TextField())).filter(
        _named(text) | _numbered(text) | _holding(text)
    )


def _exact(text: str) -> list[int]:
    """Contacts that the whole text identifies, by index: the number, a former number, or a CRM record's id."""
    found: set[int] = set()
    if _LOOKS_LIKE_A_NUMBER.fullmatch(text):
        try:
            number = phone.to_e164(text, settings.PHONE_DEFAULT_REGION)
        except phone.BadPhone:
            number = ""
        if number:
            found |= set(Contact.objects.filter(phone_number=number).values_list("pk", flat=True))
            found |= set(
                ContactAlias.objects.filter(phone_number=number).values_list("contact_id", flat=True)
            )
    by_id = ExternalRecord.objects.filter(external_id=text, contact__isnull=False)
    found |= {pk for pk in by_id.values_list("contact_id", flat=True) if pk is not None}
    found |= set(Contact.objects.filter(public_id=text).values_list("pk", flat=True))
    return sorted(found)


def _named(text: str) -> Q:
    """Every word is part of the first or the last name."""
    words = [Q(first_name__icontains=word) | Q(last_name__icontains=word) for word in text.split()]
    return reduce(lambda first, second: first & second, words)


def _numbered(text: str) -> Q:
    digits = re.sub(r"\D", "", text)
    if len(digits) < 4 or not _LOOKS_LIKE_A_NUMBER.fullmatch(text):
        return Q(pk__in=[])
    # People leave out the country code and write the trunk zero.
    return Q(phone_number__contains=digits.lstrip("0"))


def _holding(text: str) -> Q:
    """Part of a custom value. The whole JSON is looked at first: it costs less than taking it apart field by field."""
    names = CustomField.objects.exclude(type="boolean").values_list("name", flat=True)
    values = [Q(**{f"custom_fields__{name}__icontains": text}) for name in names]
    if not values:
        return Q(pk__in=[])
    escaped = json.dumps(text)[1:-1]
    return (Q(held__icontains=text) | Q(held__icontains=escaped)) & reduce(or_, values)
