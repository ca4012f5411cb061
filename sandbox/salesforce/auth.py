"""Logging in: the OAuth token endpoint, the sessions it opens, and the logins a new org refuses."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Any
from urllib.parse import parse_qs

from sandbox.clock import Clock
from sandbox.salesforce import jwt
from sandbox.salesforce.errors import ApiError
from sandbox.wire import Request, Response

KEY, SECRET = "sandbox-key", "sandbox-secret"
USERNAME = "integration@sandbox.example.com"
SOAP_FAULT = """<?xml version="1.0" encoding="UTF-8"?>\
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" \
xmlns:sf="urn:fault.partner.soap.sforce.com" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>\
<faultcode>sf:INVALID_OPERATION</faultcode><faultstring>INVALID_OPERATION: {message}</faultstring><detail>\
<sf:UnexpectedErrorFault \
xsi:type="sf:UnexpectedErrorFault"><sf:exceptionCode>INVALID_OPERATION</sf:exceptionCode>\
<sf:exceptionMessage>{message}</sf:exceptionMessage></sf:UnexpectedErrorFault></detail></soapenv:Fault>\
</soapenv:Body></soapenv:Envelope>"""


class Sessions:
    """The open sessions of the integration user; they end with `token_seconds` of the org's clock."""

    def __init__(self, clock: Clock, settings: dict[str, Any], org: str, user: str) -> None:
        self._clock, self._settings, self._org, self._user = clock, settings, org, user
        self._ends: dict[str, tuple[float, str]] = {}

    def token(self, request: Request) -> Response:
        """Answer POST /services/oauth2/token."""
        if request.method != "POST":
            return _refused("invalid_request", "must use HTTP POST")
        if (
            request.headers.get("content-type", "").partition(";")[0].strip()
            != "application/x-www-form-urlencoded"
        ):
            return _refused("unsupported_grant_type", "grant type not supported")
        form = {key: values[-1] for key, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
        grant = form.get("grant_type")
        if grant == "client_credentials":
            return self._client_credentials(request, form)
        if grant == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self._assertion(request, form)
        if grant in ("password", "refresh_token", "authorization_code"):
            descriptions = {
                "password": "authentication failure",
                "refresh_token": "expired access/refresh token",
            }
            return _refused("invalid_grant", descriptions.get(grant, "invalid authorization code"))
        return _refused("unsupported_grant_type", "grant type not supported")

    def revoke_all(self) -> None:
        """End every session, as an administrator may at any time."""
        self._ends.clear()

    def check(self, request: Request) -> None:
        """Raise INVALID_SESSION_ID unless the request carries a live session, in a header of the right kind."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme and scheme.lower() not in ("bearer", "oauth"):
            raise ApiError("INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE", status=401)
        ends, secret = self._ends.get(token.strip(), (0.0, ""))
        live = secret == self._settings["client_secret"]
        if not (live and self._settings["user_active"]) or ends <= self._clock.now().timestamp():
            raise ApiError("INVALID_SESSION_ID", "Session expired or invalid", status=401)

    def _client_credentials(self, request: Request, form: dict[str, str]) -> Response:
        key, secret = _basic(request) or (form.get("client_id", ""), form.get("client_secret", ""))
        if key != KEY:
            return _refused("invalid_client_id", "client identifier invalid")
        if not hmac.compare_digest(secret.encode(), self._settings["client_secret"].encode()):
            return _refused("invalid_client", "invalid client credentials", status=401)
        return self._opened(request)

    def _assertion(self, request: Request, form: dict[str, str]) -> Response:
        hosts = tuple(f"{scheme}://{request.headers.get('host', '')}" for scheme in ("https", "http"))
        try:
            jwt.check(
                form.get("assertion", ""),
                key=KEY,
                username=USERNAME,
                hosts=hosts,
                public_key=self._settings["jwt_public_key"] or None,
            )
        except jwt.BadAssertion as error:
            return _refused("invalid_grant", str(error))
        return self._opened(request)

    def _opened(self, request: Request) -> Response:
        if not self._settings["user_active"]:
            return _refused("invalid_grant", "inactive user")
        now = self._clock.now().timestamp()
        self._ends = {token: kept for token, kept in self._ends.items() if kept[0] > now}
        token = f"{self._org[:15]}!{secrets.token_urlsafe(48)}"
        self._ends[token] = (now + self._settings["token_seconds"], self._settings["client_secret"])
        base, issued_at = base_url(request), str(int(now * 1000))
        identity = f"{base}/id/{self._org}/{self._user}"
        signature = hmac.new(SECRET.encode(), (identity + issued_at).encode(), hashlib.sha256).digest()
        return Response.of(
            200,
            {
                "access_token": token,
                "signature": base64.b64encode(signature).decode(),
                "scope": "api",
                "instance_url": base,
                "id": identity,
                "token_type": "Bearer",
                "issued_at": issued_at,
                "api_instance_url": base,
            },
            {"Cache-Control": "no-store"},
        )


def base_url(request: Request) -> str:
    """The org's own address, as the caller reached it."""
    return f"http://{request.headers.get('host', '127.0.0.1')}"


def soap_login(version: str) -> Response:
    """New orgs have SOAP login switched off, and from v65 on it does not exist."""
    major = int(version.partition(".")[0]) if version.partition(".")[0].isdigit() else 0
    gone = (
        "SOAP API login() isn't supported in this API version."
        if major >= 65
        else "SOAP API login() is disabled by default in this org."
    )
    return Response(500, SOAP_FAULT.format(message=gone).encode(), {"Content-Type": "text/xml;charset=UTF-8"})


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        key, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return key, secret


def _refused(error: str, description: str, *, status: int = 400) -> Response:
    return Response.of(status, {"error": error, "error_description": description})
