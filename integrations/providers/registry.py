"""Which providers there are: the one table to add a CRM to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from integrations.providers.base import Provider
from integrations.providers.setup import Setup


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """A CRM product: `credentials` names the secret fields an operator fills in; `path` is "module:class"."""

    label: str
    path: str
    credentials: tuple[str, ...]
    phone_field: str
    url_help: str

    def build(self, setup: Setup) -> Provider:
        """A provider for one connection. Vendor libraries are loaded only here."""
        module, _, name = self.path.partition(":")
        return cast("Callable[[Setup], Provider]", getattr(import_module(module), name))(setup)


PROVIDERS: dict[str, ProviderEntry] = {
    "salesforce": ProviderEntry(
        label="Salesforce",
        path="integrations.providers.salesforce:SalesforceProvider",
        credentials=("client_id", "client_secret"),
        phone_field="Phone",
        url_help="Your My Domain address, like https://acme.my.salesforce.com.",
    ),
    "hubspot": ProviderEntry(
        label="HubSpot",
        path="integrations.providers.hubspot:HubSpotProvider",
        credentials=("access_token",),
        phone_field="phone",
        url_help="Leave blank: HubSpot has one address for everybody.",
    ),
}
