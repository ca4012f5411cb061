"""How we reach Salesforce: the HTTP session under the SDK.

simple-salesforce has no timeouts, no retries and https hard-wired; one HTTPAdapter mends all three.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from integrations.providers.repeats import CountedRetry


def kind_of(url: str) -> str:
    """What a call is for, as far as its address tells: "auth", "schema" or ""."""
    path = urlsplit(url).path.rstrip("/")
    return "auth" if path.endswith("/oauth2/token") else "schema" if path.endswith("/describe") else ""


class Transport(HTTPAdapter):
    """Timeout on every call, retries for GETs, the last response's headers, and http for an insecure address.

    Only GETs are repeated after an answer; other methods only if no connection was made and nothing sent.
    """

    def __init__(
        self,
        timeout: tuple[float, float],
        insecure_base: str = "",
        count: Callable[[str], None] = lambda _kind: None,
    ) -> None:
        self.timeout = timeout
        self.insecure_base = insecure_base
        self._count = count
        self.last: requests.Response | None = None
        retry = CountedRetry(
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
        retry.again = lambda url: count(kind_of(url))
        super().__init__(max_retries=retry, pool_maxsize=2)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Send with a timeout; to the insecure base if there is one."""
        self.last = None
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self.timeout
        if self.insecure_base:
            parts = urlsplit(str(request.url))
            request.url = f"{self.insecure_base}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        self._count(kind_of(str(request.url)))
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
