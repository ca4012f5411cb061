"""Every exception class of the vendors' libraries ends in our tree: the installed ones are looked through, none is assumed."""

from typing import Any

import hubspot.crm.contacts.exceptions as hubspot_exceptions
import pytest
import requests.exceptions as requests_exceptions
import simple_salesforce.exceptions as salesforce_exceptions
import urllib3.exceptions as urllib3_exceptions

from integrations.providers.errors import OutcomeUnknown, ProviderError, Transient
from integrations.providers.hubspot import HubSpotPortal
from integrations.providers.salesforce import SalesforceOrg
from integrations.providers.setup import MemoryTokens, Setup

# Of the Bulk API, which we do not use: such an error would be ours, and loud.
BULK = {"SalesforceOperationError", "SalesforceBulkV2LoadError", "SalesforceBulkV2ExtractError"}
NEVER_SENT = {
    "ConnectTimeout",
    "ProxyError",
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
}


def classes(module: Any, base: type[Exception]) -> list[Any]:
    found = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, base)]
    return sorted({one for one in found if not issubclass(one, Warning)}, key=lambda one: one.__name__)


def made(kind: Any) -> Exception:
    """An instance as its library makes them, as far as our translation looks at it."""
    if issubclass(kind, salesforce_exceptions.SalesforceAuthenticationFailed):
        return _of(kind, "invalid_client", "words")
    if issubclass(kind, salesforce_exceptions.SalesforceError):
        return _of(kind, "https://acme.my.salesforce.com", 503, "Contact", [])
    if issubclass(kind, urllib3_exceptions.MaxRetryError):
        return _of(kind, None, "/", urllib3_exceptions.ProtocolError("cut"))
    error: Exception = kind.__new__(kind)
    error.args = ("words",)
    return error


def _of(kind: Any, *arguments: Any) -> Exception:
    error: Exception = kind(*arguments)
    return error


SALESFORCE = classes(salesforce_exceptions, salesforce_exceptions.SalesforceError)
REQUESTS = classes(requests_exceptions, requests_exceptions.RequestException)
URLLIB3 = classes(urllib3_exceptions, urllib3_exceptions.HTTPError)
HUBSPOT = classes(hubspot_exceptions, hubspot_exceptions.OpenApiException)


def salesforce_error(kind: type[Exception], *, once: bool) -> ProviderError:
    tokens = MemoryTokens()
    tokens.refresh(None, lambda: {"access_token": "kept", "host": "acme.my.salesforce.com"})
    org = SalesforceOrg(Setup("https://acme.my.salesforce.com", {}, tokens=tokens))
    with pytest.raises(ProviderError) as caught:
        org.call(lambda _sdk: raised(kind), once=once)
    return caught.value


def hubspot_error(kind: type[Exception], *, once: bool) -> ProviderError:
    portal = HubSpotPortal(Setup("", {"access_token": "pat"}))
    with pytest.raises(ProviderError) as caught:
        portal._call(lambda: raised(kind), once=once)
    return caught.value


def raised(kind: type[Exception]) -> Any:
    raise made(kind)


def test_the_libraries_have_the_classes_that_are_judged_here() -> None:
    every = {one.__name__ for one in classes(salesforce_exceptions, Exception)}
    assert every - {one.__name__ for one in SALESFORCE} == BULK
    assert len(HUBSPOT) >= 10
    assert len(URLLIB3) >= 25
    assert len(REQUESTS) >= 20


@pytest.mark.parametrize("kind", [*SALESFORCE, *REQUESTS], ids=lambda kind: kind.__name__)
def test_no_exception_of_the_salesforce_library_leaves_the_provider(kind: type[Exception]) -> None:
    error = salesforce_error(kind, once=False)
    assert len(error.message) < 130
    assert "words" not in error.message
    assert not isinstance(error, OutcomeUnknown)


@pytest.mark.parametrize("kind", [*HUBSPOT, *URLLIB3], ids=lambda kind: kind.__name__)
def test_no_exception_of_the_hubspot_library_leaves_the_provider(kind: type[Exception]) -> None:
    error = hubspot_error(kind, once=False)
    assert len(error.message) < 130
    assert "words" not in error.message
    assert not isinstance(error, OutcomeUnknown)


@pytest.mark.parametrize("kind", [*REQUESTS, *URLLIB3], ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_a_creation_is_open_unless_it_certainly_was_not_sent(kind: type[Exception]) -> None:
    ask = salesforce_error if kind in REQUESTS else hubspot_error
    certain = kind.__name__ in NEVER_SENT and not (kind in URLLIB3 and kind.__name__ == "ProxyError")
    assert type(ask(kind, once=True)) is (Transient if certain else OutcomeUnknown)
