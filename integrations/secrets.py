"""Secrets at rest: a model field that stores JSON encrypted. A wrong key raises; it never passes for the secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

PREFIX = "fx1:"


if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
else:
    _TextField = models.TextField


class WrongKey(ImproperlyConfigured):
    """None of the configured keys opens a stored secret."""


def encrypt(document: Any) -> str:
    """`document` as JSON, encrypted with the first of CRMSYNC_ENCRYPTION_KEYS."""
    return PREFIX + _fernet().encrypt(json.dumps(document).encode()).decode()


def decrypt(stored: str) -> Any:
    """What `encrypt` was given; any configured key opens it. Raises WrongKey."""
    try:
        return json.loads(_fernet().decrypt(stored.removeprefix(PREFIX).encode()))
    except InvalidToken:
        raise WrongKey(
            "A stored secret cannot be decrypted. Put the key it was encrypted with back into CRMSYNC_ENCRYPTION_KEYS."
        ) from None


class EncryptedJSONField(_TextField):
    """A JSON value that is encrypted in the database and plain in Python."""

    if TYPE_CHECKING:
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, *_: Any) -> Any:
        """Decrypt on load; rows are loaded with `defer()` where the secret is not needed."""
        return {} if not value else decrypt(value)

    def to_python(self, value: Any) -> Any:
        """Plain values stay as they are."""
        return decrypt(value) if isinstance(value, str) and value.startswith(PREFIX) else value

    def get_prep_value(self, value: Any) -> str:
        """Encrypt on save."""
        return encrypt(value) if value else ""


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.CRMSYNC_ENCRYPTION_KEYS])
