"""API keys: who may call the REST API with what scopes, and which secrets sign incoming events.

A key is shown once. Only its SHA-256 is kept (it has 160 random bits, so a slow hash adds nothing); a key
that also signs events is kept encrypted besides, because an HMAC cannot be checked against a hash.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Cast
from django.utils import timezone

from activity.signatures import forget_keys
from integrations.secrets import EncryptedJSONField, WrongKey, decrypt

log = structlog.get_logger(__name__)

PREFIX_LENGTH = 12
USE_NOTED_EVERY = timedelta(minutes=1)


class Scope(models.TextChoices):
    """What a key may do."""

    READ_CONTACTS = "read_contacts", "read contacts"
    WRITE_CONTACTS = "write_contacts", "write contacts"
    CONFIGURE = "configure", "configure fields, mappings and connections"
    RUN_JOBS = "run_jobs", "run syncs and watch them"
    EVENTS = "events", "sign conversation events"


def check_scopes(scopes: object) -> None:
    """Raise ValidationError unless `scopes` is a list of known scopes."""
    unknown = (
        [scope for scope in scopes if scope not in Scope.values] if isinstance(scopes, list) else [scopes]
    )
    if unknown:
        raise ValidationError(f"Unknown scope {unknown[0]!r}; known are: {', '.join(Scope.values)}.")


def digest(secret: str) -> str:
    """What is stored of a key and what it is found by."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


class ApiKeys(models.QuerySet["ApiKey"]):
    """Keys, and the ones that work now."""

    def usable(self, at: datetime | None = None) -> ApiKeys:
        """Keys that are neither revoked nor expired at `at` (now)."""
        at = at or timezone.now()
        return self.filter(
            Q(revoked_at=None) | Q(revoked_at__gt=at), Q(expires_at=None) | Q(expires_at__gt=at)
        )


class ApiKey(models.Model):
    """One key of one script, agent platform or integration."""

    name = models.CharField(max_length=120, help_text="Who uses it. Contact histories show this name.")
    prefix = models.CharField(max_length=PREFIX_LENGTH, editable=False, help_text="How the key starts.")
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    webhook = models.BooleanField("signs events", default=False, help_text="Fixed once the key exists.")
    secret = EncryptedJSONField(default=str, blank=True, editable=False)
    scopes = models.JSONField(default=list, validators=[check_scopes])
    expires_at = models.DateTimeField(null=True, blank=True)
    rate = models.PositiveIntegerField(
        "requests a minute",
        null=True,
        blank=True,
        help_text="The most requests a minute. Empty: what CRMSYNC_API_RATE says; 0: no limit.",
    )
    free_at = models.FloatField(
        default=0, editable=False, help_text="Until when requests are taken, in seconds since 1970."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ApiKeys.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ["name", "id"]

    # The REST framework asks its caller these.
    is_authenticated = True
    is_anonymous = False
    is_active = True

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """The doors hear of a new or revoked key at once."""
        super().save(*args, **kwargs)
        forget_keys()

    @property
    def ref(self) -> str:
        """How history rows point at the key."""
        return f"key:{self.pk}"

    def may(self, *scopes: str) -> bool:
        """Whether the key has one of `scopes`."""
        return any(scope in self.scopes for scope in scopes)

    def revoke(self) -> None:
        """End the key at once."""
        self.revoked_at = timezone.now()
        self.save(update_fields=["revoked_at"])

    def note_use(self) -> None:
        """Remember that the key was used; one write a minute at most."""
        now = timezone.now()
        if self.last_used_at is None or now - self.last_used_at >= USE_NOTED_EVERY:
            ApiKey.objects.filter(pk=self.pk).update(last_used_at=now)


def issue_key(
    name: str,
    *,
    scopes: Iterable[str] | None = None,
    webhook: bool = False,
    expires_at: datetime | None = None,
    rate: int | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; returns its row and its secret, which cannot be read again.

    `scopes` None gives every scope; `events` only with `webhook`, since only such a key can sign. `rate`:
    requests a minute, None for the setting's. Raises ValidationError for a blank name or an unknown scope.
    """
    everything = [scope for scope in Scope.values if webhook or scope != Scope.EVENTS]
    secret = "key_" + secrets.token_hex(20)
    key = ApiKey(
        name=name,
        prefix=secret[:PREFIX_LENGTH],
        key_hash=digest(secret),
        webhook=webhook,
        secret=secret if webhook else "",
        scopes=everything if scopes is None else list(dict.fromkeys(scopes)),
        expires_at=expires_at,
        rate=rate,
    )
    key.full_clean()
    key.save()
    return key, secret


def find_key(secret: str) -> ApiKey | None:
    """The usable key with this secret, its use noted; None when there is none."""
    key = ApiKey.objects.usable().defer("secret").filter(key_hash=digest(secret)).first()
    if key:
        key.note_use()
    return key


def webhook_secrets() -> Iterator[str]:
    """The secrets that may sign incoming events now, newest first (a rotated-in key is the likely one).

    A key that cannot be decrypted is left out and said in the log: the others go on signing.
    """
    signing = ApiKey.objects.usable().filter(webhook=True).defer("secret")
    for key in signing.annotate(sealed=Cast("secret", models.TextField())).order_by("-id"):
        if key.may(Scope.EVENTS):
            try:
                yield decrypt(key.sealed)
            except WrongKey as problem:
                log.error("signing_key_unreadable", key=key.pk, problem=str(problem))
