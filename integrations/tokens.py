"""One login at a time over all processes, and none with credentials that the CRM has refused.

The row is the lock: a process claims the login for a minute by a conditional update, asks the CRM outside any
transaction, and stores the session for all. Whoever comes meanwhile waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from integrations.models import Connection
from integrations.providers.errors import AuthError, Transient

LEASE = timedelta(seconds=60)
PATIENCE = 30.0
_LOOK_EVERY = 0.1
Token = Mapping[str, str]


class ConnectionTokens:
    """The session token of a connection, stored encrypted on its row."""

    def __init__(self, connection: Connection, *, patience: float = PATIENCE) -> None:
        self._pk = connection.pk
        self._version = connection.credentials_version
        self._token: Token | None = connection.token or None
        self._patience = patience

    def get(self) -> Token | None:
        """The token as last seen."""
        return self._token

    def refresh(self, stale: Token | None, fetch: Callable[[], Token]) -> Token:
        """Another process's newer token where there is one, else a fresh one, stored for all.

        Raises what `fetch` raises, AuthError for credentials that were refused before, Transient when another process
        has been logging in for too long, or when the credentials are no longer those that this work began with.
        """
        until = time.monotonic() + self._patience
        while True:
            found = self._newer(stale)
            if found is not None:
                return found
            claim = self._claim()
            if claim is not None:
                return self._log_in(stale, fetch, claim)
            if time.monotonic() > until:
                raise Transient("Another process is still logging in to the CRM.", code="login_busy")
            time.sleep(_LOOK_EVERY)

    def _newer(self, stale: Token | None) -> Token | None:
        row = Connection.objects.only("token", "login_refused", "credentials_version").get(pk=self._pk)
        if row.credentials_version != self._version:
            raise changed()
        if row.token and row.token != stale:
            self._token = row.token
            return self._token
        if row.login_refused:
            raise refusal(row.login_refused)
        return None

    def _claim(self) -> datetime | None:
        now = timezone.now()
        free = Q(login_claimed_until=None) | Q(login_claimed_until__lte=now)
        mine = Connection.objects.filter(free, pk=self._pk, credentials_version=self._version)
        taken = mine.update(login_claimed_until=now + LEASE)
        return now + LEASE if taken else None

    def _log_in(self, stale: Token | None, fetch: Callable[[], Token], claim: datetime) -> Token:
        """Ask the CRM; what comes of it is stored only while the claim is ours: new credentials void it."""
        current = Connection.objects.filter(pk=self._pk, credentials_version=self._version)
        mine = current.filter(login_claimed_until=claim)
        outcome: dict[str, Any] = {}
        try:
            found = self._newer(stale)  # stored between our look and our claim
            if found is not None:
                return found
            fresh = dict(fetch())
            outcome = {"token": fresh, "login_refused": {}}
        except AuthError as error:
            outcome = {
                "token": {},
                "login_refused": {"message": error.message, "code": error.code, "status": error.status},
            }
            raise
        finally:
            if not mine.update(**outcome, login_claimed_until=None) and not current.exists():
                raise changed()
        self._token = fresh
        return fresh


def changed() -> Transient:
    """Somebody has entered other credentials since this work began: it comes back with those."""
    return Transient("The credentials were changed.", code="credentials_changed")


def refusal(kept: Mapping[str, Any]) -> AuthError:
    """The error that the stored refusal stands for."""
    return AuthError(str(kept["message"]), code=str(kept.get("code") or ""), status=kept.get("status"))
