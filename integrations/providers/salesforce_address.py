"""Which addresses are accepted as a Salesforce org's. Pure: it also judges what an operator types in."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from integrations.providers.errors import ConfigError

_KINDS = "sandbox|develop|scratch|trailblaze|demo|free|patch"
_NAME = rf"(?P<name>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.(?:{_KINDS}))?)"
_MY_DOMAIN = re.compile(rf"{_NAME}\.my\.salesforce\.com")
_LOOKALIKE = re.compile(
    rf"{_NAME}\.(?:lightning\.force\.com|lightning\.com|my\.salesforce-setup\.com|my\.site\.com|file\.force\.com"
    r"|(?:vf|visual)\.force\.com|my\.force\.com|salesforce\.com)"
)
# A server that many orgs share, like na139 or cs12: it says nothing about whose org is meant.
_INSTANCE = re.compile(r"[a-z]{2,4}\d+s?\.salesforce\.com")
_SHARED_HOSTS = ("login.salesforce.com", "test.salesforce.com", "www.salesforce.com", "salesforce.com")


@dataclass(frozen=True, slots=True)
class Address:
    """Where an org answers. `domain` is as the SDK wants it ("acme.my"); `insecure_base` is set for http only."""

    base: str
    domain: str
    insecure_base: str = ""


def org_address(tenant_url: str, *, allow_insecure: bool) -> Address:
    """The org behind `tenant_url`. Raises ConfigError with the right address where it can be guessed."""
    try:
        parts = urlsplit(tenant_url.strip() if "//" in tenant_url else f"https://{tenant_url.strip()}")
        host, port = (parts.hostname or "").lower().rstrip("."), parts.port
    except ValueError:
        raise ConfigError(_advice("")) from None
    if "@" in parts.netloc:
        raise ConfigError(_advice(host))
    if parts.scheme == "http" or _is_loopback(host):
        if not (allow_insecure and _is_loopback(host)):
            raise ConfigError(
                "Plain http and loopback addresses are refused. Use https://<your domain>.my.salesforce.com."
            )
        base = f"{parts.scheme}://{parts.netloc}"
        return Address(base=base, domain="loopback.my", insecure_base=base)
    match = _MY_DOMAIN.fullmatch(host)
    if match is None or port not in (None, 443) or parts.scheme != "https":
        raise ConfigError(_advice(host))
    return Address(base=f"https://{host}", domain=f"{match['name']}.my")


def instance_host(host: str, address: Address) -> str:
    """The host that the token answer names, if it may see our token. Raises ConfigError for a foreign one."""
    plain = host.partition("/")[0].lower()
    if address.insecure_base or plain.endswith(".salesforce.com"):
        return plain
    raise ConfigError("Salesforce named an instance outside salesforce.com; the session was not used.")


def _advice(host: str) -> str:
    lookalike = _LOOKALIKE.fullmatch(host)
    if lookalike is not None and host not in _SHARED_HOSTS and not _INSTANCE.fullmatch(host):
        return f"This is not the My Domain address. Use https://{lookalike['name']}.my.salesforce.com."
    return "Enter the My Domain address, like https://acme.my.salesforce.com (Setup > My Domain)."


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
