"""How we reach Salesforce: which addresses are accepted, and the HTTP session under the SDK.

simple-salesforce has no timeouts, no retries and https hard-wired; one HTTPAdapter mends all three.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from integrations.providers.errors import ConfigError

_KINDS = "sandbox|develop|scratch|trailblaze|demo|free|patch"
_NAME = rf"(?P<name>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.(?:{_KINDS}))?)"
_MY_DOMAIN = re.compile(rf"{_NAME}\.my\.salesforce\.com")
_LOOKALIKE = re.compile(
    rf"{_NAME}\.(?:lightning\.force\.com|lightning\.com|my\.salesforce-setup\.com|my\.site\.com|file\.force\.com"
    r"|(?:vf|visual)\.force\.com|my\.force\.com|salesforce\.com)"
)
_SHARED_HOSTS = ("login.salesforce.com", "test.salesforce.com", "www.salesforce.com", "salesforce.com")


@dataclass(frozen=True, slots=True)
class Address:
    """Where an org answers. `domain` is as the SDK wants it ("acme.my"); `insecure_base` is set for http only."""

    base: str
    domain: str
    insecure_base: str = ""


def org_address(tenant_url: str, *, allow_insecure: bool) -> Address:
    """The org behind `tenant_url`. Raises ConfigError with the right address where it can be guessed."""
    parts = urlsplit(tenant_url.strip() if "//" in tenant_url else f"https://{tenant_url.strip()}")
    host = (parts.hostname or "").lower().rstrip(".")
    if parts.scheme == "http" or _is_loopback(host):
        if not allow_insecure:
            raise ConfigError(
                "Plain http and loopback addresses are refused. Use https://<your domain>.my.salesforce.com."
            )
        base = f"{parts.scheme}://{parts.netloc}"
        return Address(base=base, domain="loopback.my", insecure_base=base)
    match = _MY_DOMAIN.fullmatch(host)
    if match is None or parts.username or parts.port not in (None, 443) or parts.scheme != "https":
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
    if lookalike is not None and host not in _SHARED_HOSTS:
        return f"This is not the My Domain address. Use https://{lookalike['name']}.my.salesforce.com."
    return "Enter the My Domain address, like https://acme.my.salesforce.com (Setup > My Domain)."


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Transport(HTTPAdapter):
    """Timeout on every call, retries for GETs, the last response's headers, and http for an insecure address.

    Only GETs are repeated after an answer; other methods only if no connection was made and nothing sent.
    """

    def __init__(self, timeout: tuple[float, float], insecure_base: str = "") -> None:
        self.timeout = timeout
        self.insecure_base = insecure_base
        self.last: requests.Response | None = None
        retry = Retry(
            total=3,
            connect=2,
            read=1,
            status=2,
            redirect=0,
            other=0,
            allowed_methods=frozenset({"GET"}),
            status_forcelist=(502, 503, 504),
            raise_on_status=False,
            respect_retry_after_header=False,  # an hour's wait must not sleep inside a worker
            backoff_factor=0.3,
        )
        super().__init__(max_retries=retry, pool_maxsize=2)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Send with a timeout; to the insecure base if there is one."""
        self.last = None
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self.timeout
        if self.insecure_base:
            parts = urlsplit(str(request.url))
            request.url = f"{self.insecure_base}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        self.last = super().send(request, **kwargs)
        return self.last

    def header(self, *names: str) -> str:
        """The first of these headers that the last response has, or ""."""
        headers = self.last.headers if self.last is not None else {}
        return next((headers[name] for name in names if name in headers), "")

    def status(self) -> int | None:
        """The last response's status, None where no response came."""
        return None if self.last is None else self.last.status_code


def open_session(transport: Transport) -> requests.Session:
    """A session whose every call goes through `transport`; without the machine's proxies for an insecure base."""
    session = requests.Session()
    session.trust_env = not transport.insecure_base
    session.mount("https://", transport)
    session.mount("http://", transport)
    return session


def never_sent(error: requests.RequestException) -> bool:
    """Whether the request certainly did not reach the server: no connection was made."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError")
