"""Work with one connection: open its provider, test it, keep its schema fresh, and record its health."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from integrations.models import Connection, ConnectionStatus, dump_field
from integrations.providers.base import Provider
from integrations.providers.errors import AuthError, NeedsAttention, ProviderError, RateLimited
from integrations.providers.registry import PROVIDERS
from integrations.providers.setup import Setup

log = structlog.get_logger(__name__)
SCHEMA_AGE = timedelta(days=1)
_GIVEN = (
    "name", "tenant_url", "credentials", "token", "status", "status_reason", "paused_until", "pause_reason", "updated_at",
)  # fmt: skip


class ConnectionTokens:
    """The session token of a connection, stored encrypted on its row; one refresh at a time over all processes."""

    def __init__(self, connection: Connection) -> None:
        self._pk = connection.pk
        self._token: Mapping[str, str] | None = connection.token or None

    def get(self) -> Mapping[str, str] | None:
        """The token as last seen."""
        return self._token

    def refresh(
        self, stale: Mapping[str, str] | None, fetch: Callable[[], Mapping[str, str]]
    ) -> Mapping[str, str]:
        """Another process's newer token where there is one, else a fresh one, stored for all."""
        current = Connection.objects.only("token").get(pk=self._pk).token or None
        if current and current != stale:
            self._token = current
            return self._token
        fresh = fetch()
        Connection.objects.filter(pk=self._pk).update(token=dict(fresh))
        self._token = fresh
        return fresh


def setup_for(connection: Connection) -> Setup:
    """What the provider of this connection works with."""
    return Setup(
        tenant_url=connection.tenant_url,
        secrets=connection.credentials,
        region=region_of(connection),
        allow_insecure=settings.CRMSYNC_ALLOW_INSECURE_CRM_URLS,
        web_base=connection.web_base,
        field_types={name: field.type for name, field in connection.external_fields().items()},
        options={key: str(value) for key, value in connection.options.items()},
        tokens=ConnectionTokens(connection),
        report_quota=lambda quota: _record_quota(connection, quota),
    )


def region_of(connection: Connection) -> str:
    """The country assumed for this connection's numbers without a country code."""
    return connection.phone_region or str(settings.PHONE_DEFAULT_REGION)


@contextmanager
def open_provider(connection: Connection) -> Iterator[Provider]:
    """The connection's provider, closed afterwards. Never enter it inside a transaction."""
    provider = PROVIDERS[connection.provider].build(setup_for(connection))
    try:
        yield provider
    finally:
        provider.close()


def web_url(connection: Connection, external_id: str) -> str:
    """Where a person sees the record in the CRM; needs no network."""
    with open_provider(connection) as provider:
        return provider.web_url(external_id)


def test_connection(connection: Connection) -> bool:
    """Make one small authenticated call and fetch the schema; the result is recorded on the connection."""
    try:
        with open_provider(connection) as provider:
            account = provider.check()
            _store_schema(connection, provider)
    except ProviderError as error:
        record_failure(connection, error, checked=True)
        return False
    _write(
        connection,
        account_name=account.name[:200],
        web_base=account.web_base[:255],
        checked_at=timezone.now(),
    )
    record_success(connection)
    connection.refresh_from_db()
    return True


test_connection.__test__ = False  # type: ignore[attr-defined]  # a verb of the house, not a test


def refresh_schema(connection: Connection) -> None:
    """Read the CRM's contact fields anew into the cache. Raises ProviderError."""
    with open_provider(connection) as provider:
        _store_schema(connection, provider)


def fresh_schema(connection: Connection, provider: Provider) -> None:
    """Refresh the cached schema when it is missing or a day old. Raises ProviderError."""
    if connection.schema_at is None or connection.schema_at < timezone.now() - SCHEMA_AGE:
        _store_schema(connection, provider)


def set_credentials(connection: Connection, credentials: Mapping[str, str]) -> None:
    """Store new credentials, encrypted; the session token is dropped and everything else kept."""
    connection.credentials = dict(credentials)
    forget_token(connection)


def forget_token(connection: Connection) -> None:
    """After a change of credentials or address: the token is void and the connection has to be tested."""
    connection.token = {}
    connection.status = ConnectionStatus.NOT_CONNECTED
    connection.status_reason = ""
    connection.paused_until, connection.pause_reason = None, ""
    # Workers write to the same row: of one that exists, only what an operator gives is stored.
    connection.save(update_fields=_GIVEN if connection.pk else None)


def record_success(connection: Connection) -> None:
    """The CRM accepted us: an error or pause is over."""
    healthy = {
        "status": ConnectionStatus.CONNECTED,
        "status_reason": "",
        "paused_until": None,
        "pause_reason": "",
    }
    if any(getattr(connection, name) != value for name, value in healthy.items()):
        _write(connection, **healthy)


def record_failure(connection: Connection, error: ProviderError, *, checked: bool = False) -> None:
    """Record what an error means for the whole connection: refused credentials, or a pause until a limit has passed.

    `checked`: it came from a connection test, which marks the connection as in error whatever the cause.
    """
    log.warning(
        "connection_trouble",
        connection=connection.pk,
        error=type(error).__name__,
        code=error.code,
        status=error.status,
    )
    if isinstance(error, RateLimited):
        until = timezone.now() + timedelta(seconds=error.retry_after)
        _write(connection, paused_until=until, pause_reason=error.message[:300])
    elif isinstance(error, AuthError) or checked:
        _write(
            connection,
            status=ConnectionStatus.ERROR,
            status_reason=error.message[:300],
            checked_at=timezone.now(),
        )
    elif isinstance(error, NeedsAttention):
        _write(connection, status_reason=error.message[:300])


def _store_schema(connection: Connection, provider: Provider) -> None:
    rows = [dump_field(field) for field in sorted(provider.fields(), key=lambda field: field.label.lower())]
    _write(connection, schema=rows, schema_at=timezone.now())


def _record_quota(connection: Connection, quota: Mapping[str, int]) -> None:
    connection.quota = {**quota, "at": timezone.now().isoformat()}
    Connection.objects.filter(pk=connection.pk).update(quota=connection.quota)


def _write(connection: Connection, **values: Any) -> None:
    with transaction.atomic():
        Connection.objects.filter(pk=connection.pk).update(**values)
    for name, value in values.items():
        setattr(connection, name, value)
