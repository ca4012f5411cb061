"""Which addresses are accepted as HubSpot's API. Pure: it also judges what an operator types in."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from integrations.providers.errors import ConfigError

BASE = "https://api.hubapi.com"


def portal_address(tenant_url: str, *, allow_insecure: bool) -> str:
    """The API's base address: HubSpot's own unless a stand-in is named. Raises ConfigError for any other host."""
    if not tenant_url.strip():
        return BASE
    wrong = "This is not HubSpot's API. Leave the address blank, or use https://api.hubapi.com."
    try:
        parts = urlsplit(tenant_url.strip() if "//" in tenant_url else f"https://{tenant_url.strip()}")
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise ConfigError(wrong) from None
    if "@" in parts.netloc:
        raise ConfigError(wrong)
    if parts.scheme == "http" or _is_loopback(host):
        if not (allow_insecure and _is_loopback(host)):
            raise ConfigError("Plain http and loopback addresses are refused. Leave HubSpot's address blank.")
        return f"{parts.scheme}://{parts.netloc}"
    official = re.fullmatch(r"api(-[a-z0-9]+)?\.(hubapi|hubspot)\.com", host) is not None
    if parts.scheme != "https" or not official or port not in (None, 443):
        raise ConfigError(wrong)
    return f"https://{host}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
