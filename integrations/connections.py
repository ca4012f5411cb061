"""Work with one connection: open its provider, test it, keep its schema fresh, and record its health."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from integrations.models import Connection, ConnectionStatus, dump_field
from integrations.providers.base import Account, Permissions, Provider
from integrations.providers.errors import AuthError, ConfigError, NeedsAttention, ProviderError, RateLimited
from integrations.providers.registry import PROVIDERS
from integrations.providers.setup import Setup
from integrations.quota import BUDGET, Meter, Purpose
from integrations.tokens import ConnectionTokens

log = structlog.get_logger(__name__)
SCHEMA_AGE = timedelta(days=1)
_GIVEN = (
    "name", "tenant_url", "credentials", "token", "login_refused", "login_claimed_until", "credentials_version",
    "status", "status_reason", "paused_until", "pause_reason", "updated_at",
)  # fmt: skip


def setup_for(connection: Connection, meter: Meter) -> Setup:
    """What the provider of this connection works with."""
    return Setup(
        tenant_url=connection.tenant_url,
        secrets=connection.credentials,
        region=region_of(connection),
        allow_insecure=settings.CRMSYNC_ALLOW_INSECURE_CRM_URLS,
        web_base=connection.web_base,
        time_zone=connection.time_zone,
        activity_fields=tuple(connection.activity_fields),
        field_types={name: field.type for name, field in connection.external_fields().items()},
        options={key: str(value) for key, value in connection.options.items()},
        tokens=ConnectionTokens(connection),
        report_quota=meter.note,
        pace=meter.admit,
        count=meter.count,
    )


def region_of(connection: Connection) -> str:
    """The country assumed for this connection's numbers without a country code."""
    return connection.phone_region or str(settings.PHONE_DEFAULT_REGION)


@contextmanager
def open_provider(connection: Connection, purpose: Purpose = Purpose.CHECK) -> Iterator[Provider]:
    """The connection's provider, closed afterwards; its calls are counted and held back by `purpose`.

    Never enter it inside a transaction.
    """
    meter = Meter(connection, purpose)
    provider = PROVIDERS[connection.provider].build(setup_for(connection, meter))
    try:
        yield provider
    finally:
        provider.close()
        meter.close()


def web_url(connection: Connection, external_id: str) -> str:
    """Where a person sees the record in the CRM; needs no network."""
    with open_provider(connection) as provider:
        return provider.web_url(external_id)


def test_connection(connection: Connection) -> bool:
    """Make one small authenticated call and fetch the schema; the result is recorded on the connection.

    Credentials that were refused before are tried once more: a person asks for it.
    """
    begun_in = connection.paused_until
    _write(connection, login_refused={})
    try:
        with open_provider(connection) as provider:
            account = provider.check()
            store_schema(connection, provider)
    except ProviderError as error:
        record_failure(connection, error, checked=True)
        return False
    store_account(connection, account)
    _write(connection, checked_at=timezone.now())
    # An error that another process has recorded is over, too; the version stays that of the credentials we tested.
    connection.refresh_from_db(fields=["status", "status_reason", "paused_until", "pause_reason"])
    if begun_in is not None:
        _end_pause(connection, Q(paused_until=begun_in))
    record_success(connection)
    return True


test_connection.__test__ = False  # type: ignore[attr-defined]  # a verb of the house, not a test


def refresh_schema(connection: Connection) -> None:
    """Read the CRM's contact fields anew into the cache. Raises ProviderError."""
    with open_provider(connection, Purpose.SCHEMA) as provider:
        store_schema(connection, provider)


def fresh_schema(connection: Connection, provider: Provider) -> None:
    """Refresh the cached schema when it is missing or a day old. Raises ProviderError."""
    if connection.schema_at is None or connection.schema_at < timezone.now() - SCHEMA_AGE:
        store_schema(connection, provider)


def expire_schema(connection: Connection) -> None:
    """The CRM's fields are not what we believed: they are read anew before the next work."""
    _write(connection, schema_at=None)


def set_credentials(connection: Connection, credentials: Mapping[str, str]) -> None:
    """Store new credentials, encrypted; the session token is dropped and everything else kept."""
    connection.credentials = dict(credentials)
    forget_token(connection)


def forget_token(connection: Connection) -> None:
    """After a change of credentials or address: the token is void and the connection has to be tested."""
    connection.token, connection.login_refused, connection.login_claimed_until = {}, {}, None
    connection.status = ConnectionStatus.NOT_CONNECTED
    connection.status_reason = ""
    connection.paused_until, connection.pause_reason = None, ""
    if connection._state.adding:
        connection.save()
        return
    connection.credentials_version = F("credentials_version") + 1  # this copy may be an old one
    connection.save(
        update_fields=_GIVEN
    )  # workers write to the same row: only what an operator gives is stored
    connection.refresh_from_db(fields=["credentials_version"])


def record_success(connection: Connection) -> None:
    """The CRM accepted us: an error is over, and a pause whose time has passed.

    A pause that runs may be newer than our copy: another process was told to wait while our call was on its way.
    """
    _end_pause(connection, Q(paused_until=None) | Q(paused_until__lte=timezone.now()))
    if connection.status != ConnectionStatus.CONNECTED or connection.status_reason:
        _write(
            connection,
            Q(credentials_version=connection.credentials_version),
            status=ConnectionStatus.CONNECTED,
            status_reason="",
        )


def _end_pause(connection: Connection, only: Q) -> None:
    if connection.paused_until is None and not connection.pause_reason:
        return
    row = Connection.objects.filter(only, pk=connection.pk)
    if row.update(paused_until=None, pause_reason=""):
        connection.paused_until, connection.pause_reason = None, ""


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
        vendor_request=error.request_id,
    )
    if isinstance(error, RateLimited) and error.scope == BUDGET:
        return  # ours: it holds back one kind of work, others go on
    if isinstance(error, ConfigError):
        expire_schema(connection)
    if isinstance(error, RateLimited):
        _pause(connection, timezone.now() + timedelta(seconds=error.retry_after), error.message[:300])
    elif isinstance(error, AuthError) or checked:
        _write(
            connection,
            Q(
                credentials_version=connection.credentials_version
            ),  # a late refusal of old ones says nothing of new
            status=ConnectionStatus.ERROR,
            status_reason=error.message[:300],
            checked_at=timezone.now(),
        )
    elif isinstance(error, NeedsAttention):
        _write(connection, status_reason=error.message[:300])


def _pause(connection: Connection, until: datetime, reason: str) -> None:
    """Pause until then; a longer pause stands, which another process was told of meanwhile."""
    row = Connection.objects.filter(pk=connection.pk)
    with transaction.atomic():
        row.filter(Q(paused_until=None) | Q(paused_until__lt=until)).update(
            paused_until=until, pause_reason=reason
        )
    connection.paused_until, connection.pause_reason = row.values_list(
        "paused_until", "pause_reason"
    ).first() or (until, reason)


def store_account(connection: Connection, account: Account) -> None:
    """Keep who we are in the CRM, as an open provider has told."""
    _write(
        connection,
        account_name=account.name[:200],
        web_base=account.web_base[:255],
        time_zone=account.time_zone[:64],
    )


def store_permissions(connection: Connection, may: Permissions) -> None:
    """Keep what spares later calls a question, as an open provider has told."""
    if connection.activity_fields != (fields := sorted(may.activity_fields)):
        _write(connection, activity_fields=fields)


def store_schema(connection: Connection, provider: Provider) -> None:
    """Read the schema through an open provider into the cache. Raises ProviderError."""
    rows = [dump_field(field) for field in sorted(provider.fields(), key=lambda field: field.label.lower())]
    _write(connection, schema=rows, schema_at=timezone.now())


def _write(connection: Connection, only: Q | None = None, **values: Any) -> None:
    with transaction.atomic():
        Connection.objects.filter(only or Q(), pk=connection.pk).update(**values)
    for name, value in values.items():
        setattr(connection, name, value)
