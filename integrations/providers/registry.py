"""Which providers there are: the one table to add a CRM to. Loads no vendor library until a provider is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, cast

from integrations.providers.base import Provider
from integrations.providers.errors import ConfigError
from integrations.providers.guides import HUBSPOT, SALESFORCE, Guide
from integrations.providers.setup import Setup


@dataclass(frozen=True, slots=True)
class Credential:
    """How an operator is asked for one credential. `kind`: "secret" (never shown), "text" or "key" (several lines)."""

    label: str
    help: str = ""
    kind: str = "secret"


@dataclass(frozen=True, slots=True)
class Rate:
    """A vendor's rate limit: `burst` calls at once, then `per_second`.

    It was made for a limit of `told` calls (Setup.report_quota's "burst"); where the vendor tells another, it scales.
    `of_account`: the whole account shares it, whatever the credentials.
    """

    per_second: float
    burst: float = 1
    told: int = 0
    of_account: bool = False

    def scaled(self, told: int | None) -> Rate:
        """The rate for the limit that the vendor tells."""
        factor = told / self.told if told and self.told else 1
        return replace(self, per_second=self.per_second * factor, burst=max(1, self.burst * factor))


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """A CRM product: `credentials` names what an operator usually fills in; `path` is "module:class".

    `other_credentials`: further complete sets, of which the one that is filled in is used. `asked` describes each
    credential. `address` is "module:function", which raises ConfigError for an address that is not the CRM's.
    `rates` by kind of call ("search", else ""); `shared_by` names the credential whose limit it is. `names_itself`:
    required fields that the provider fills when nothing else does. `guide`: how an operator gets at the credentials.
    """

    label: str
    path: str
    credentials: tuple[str, ...]
    phone_field: str
    url_help: str
    other_credentials: tuple[tuple[str, ...], ...] = ()
    asked: Mapping[str, Credential] = field(default_factory=dict)
    address: str = ""
    needs_address: bool = False
    rates: Mapping[str, Rate] = field(default_factory=dict)
    shared_by: str = ""
    names_itself: tuple[str, ...] = ()
    guide: Guide | None = None

    def build(self, setup: Setup) -> Provider:
        """A provider for one connection. Vendor libraries are loaded only here."""
        return cast("Callable[[Setup], Provider]", _load(self.path))(setup)

    @property
    def credential_sets(self) -> tuple[tuple[str, ...], ...]:
        """Every complete set of credentials, the usual one first."""
        return (self.credentials, *self.other_credentials)

    @property
    def every_credential(self) -> tuple[str, ...]:
        """The names in all sets, each once."""
        return tuple(dict.fromkeys(name for names in self.credential_sets for name in names))

    def asks(self, name: str) -> Credential:
        """How to ask for a credential."""
        return self.asked.get(name) or Credential(name.replace("_", " ").capitalize())

    def address_problem(self, url: str, *, allow_insecure: bool) -> str | None:
        """Why `url` cannot be the CRM's address, with the right one if it can be guessed; None for a blank one."""
        if not url.strip() or not self.address:
            return None
        try:
            _load(self.address)(url, allow_insecure=allow_insecure)
        except ConfigError as error:
            return error.message
        return None

    def chosen(self, given: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
        """The credentials to store when `given` were entered beside the `stored` ones: those of one set.

        Raises ConfigError (`field` names a credential) when they belong to different sets or one is missing.
        """
        named = {name: text for name, text in given.items() if text}
        fitting = [names for names in self.credential_sets if set(named) <= set(names)]
        if not fitting:
            raise ConfigError(f"Fill in one set only: {self.sets_in_words}.", field=next(iter(named)))
        together = {**stored, **named}
        complete = [names for names in fitting if all(together.get(name) for name in names)]
        # The last set that is complete: of two, the one that an extra field was filled in for.
        wanted = complete[-1] if complete and set(named) else fitting[0]
        if not complete:
            missing = next(name for name in wanted if not together.get(name))
            raise ConfigError(f"Enter it too: {self.sets_in_words}.", field=missing)
        return {name: together[name] for name in wanted}

    @property
    def sets_in_words(self) -> str:
        """The sets for people, like “client id + client secret, or …”."""
        return ", or ".join(
            " + ".join(self.asks(name).label.lower() for name in names) for names in self.credential_sets
        )


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


_CLIENT_ID = Credential("Client ID", "The consumer key of the app in Salesforce.", "text")
PROVIDERS: dict[str, ProviderEntry] = {
    "salesforce": ProviderEntry(
        label="Salesforce",
        path="integrations.providers.salesforce:SalesforceProvider",
        credentials=("client_id", "client_secret"),
        other_credentials=(("client_id", "username", "private_key"),),
        asked={
            "client_id": _CLIENT_ID,
            "client_secret": Credential(
                "Client secret", "For the client credentials flow, which runs as the user named in the app."
            ),
            "username": Credential(
                "User name",
                "For the JWT bearer flow, instead of a secret: who the integration acts as.",
                "text",
            ),
            "private_key": Credential(
                "Private key", "For the JWT bearer flow: PEM text whose certificate the app has.", "key"
            ),
        },
        phone_field="Phone",
        url_help="Your My Domain address, like https://acme.my.salesforce.com.",
        address="integrations.providers.salesforce_address:org_address",
        needs_address=True,
        names_itself=("LastName",),
        guide=SALESFORCE,
    ),
    "hubspot": ProviderEntry(
        label="HubSpot",
        path="integrations.providers.hubspot:HubSpotProvider",
        credentials=("access_token",),
        asked={"access_token": Credential("Access token", "A service key, or the token of a private app.")},
        phone_field="phone",
        url_help="Leave blank: HubSpot has one address for everybody.",
        address="integrations.providers.hubspot_address:portal_address",
        # Five searches a second for the account; 100 other calls in any ten seconds: 30 + 10 * 6 stays below.
        rates={"search": Rate(4, of_account=True), "": Rate(6, burst=30, told=100)},
        shared_by="access_token",
        guide=HUBSPOT,
    ),
}
