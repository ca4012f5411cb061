"""Logging in to Salesforce: which way, by the credentials that are filled in, and what a refusal means.

Client credentials or JWT bearer: the SDK chooses a flow by the arguments it is given, so a wrong mix must not reach it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from integrations.providers.errors import AuthError, ProviderError, Transient
from integrations.providers.salesforce_address import Address
from integrations.providers.salesforce_codes import Meaning

SMALLEST_KEY = 2048
# Sandboxes and scratch orgs log in at test.salesforce.com; two hyphens part a My Domain from its sandbox's name.
_TEST_ORG = re.compile(r"--|\.(sandbox|scratch)\.")

# Codes of the token endpoint (RFC 6749 and the OAuth pages of Salesforce help).
TOKEN_CODES: Mapping[str, Meaning] = {
    "invalid_grant": (
        AuthError,
        "Salesforce refuses the login. Check the app's run-as user and its permissions.",
    ),
    "invalid_client": (AuthError, "Salesforce refuses the client id or secret."),
    "invalid_client_id": (AuthError, "Salesforce does not know the client id."),
    "invalid_client_credentials": (AuthError, "Salesforce refuses the client secret."),
    "unauthorized_client": (
        AuthError,
        "The app may not log in this way. Enable the client credentials flow in Salesforce.",
    ),
    "unsupported_grant_type": (
        AuthError,
        "The app may not log in this way. Enable the client credentials flow in Salesforce.",
    ),
    "invalid_app_access": (AuthError, "The run-as user is not allowed to use the app in Salesforce."),
    "inactive_user": (AuthError, "The app's run-as user is inactive in Salesforce."),
    "inactive_org": (AuthError, "The Salesforce org is locked, closed or suspended."),
    **dict.fromkeys(
        ("access_denied", "app_blocked", "OAUTH_APP_BLOCKED", "OAUTH_APP_ACCESS_DENIED"),
        (AuthError, "An administrator has blocked the app in Salesforce."),
    ),
    "invalid_scope": (AuthError, "The app lacks the API scope in Salesforce."),
    "rate_limit_exceeded": (Transient, "Salesforce asks for fewer logins."),
    "server_error": (Transient, "The Salesforce login failed with an internal error."),
    "temporarily_unavailable": (Transient, "The Salesforce login is unavailable for the moment."),
}

# What a refusal is about, by words of its error_description.
ADVICE: Mapping[str, str] = {
    "inactive user": "The integration user is inactive in Salesforce. Activate it, or connect with another user.",
    "user is locked": "The integration user is locked in Salesforce.",
    "user hasn't approved": "The user is not pre-authorised for the app in Salesforce; allow its profile or permission set.",
    "audience": "Salesforce refuses the login's audience. Check the My Domain address.",
    "invalid assertion": "Salesforce cannot verify the private key. Upload its certificate to the app.",
    "expired authorization code": "Salesforce refuses the login's time. Check this server's clock.",
    "no valid scopes": "The app lacks the API scope in Salesforce.",
    "no client credentials user": "The app has no run-as user for client credentials in Salesforce.",
    "client identifier invalid": "Salesforce does not know the client id.",
    "not supported on this domain": "Salesforce takes this login at the org's My Domain address only. Correct the address.",
    "ip restricted": "Salesforce does not let this server's address in. See the login IP ranges of the user's profile.",
    "login hours": "The login hours of the user's profile in Salesforce keep us out.",
    "not installed": "The app is not installed in this Salesforce org. Install it, or make one in this org.",
}


def login_arguments(secrets: Mapping[str, str], address: Address) -> dict[str, Any]:
    """The SDK's arguments of the login. Raises AuthError, before any call, for credentials that cannot work."""
    key, secret = secrets.get("client_id"), secrets.get("client_secret")
    username, private_key = secrets.get("username"), secrets.get("private_key")
    if key and username and private_key:
        # The audience is Salesforce's own host, whichever address the assertion is posted to.
        audience = "test" if _TEST_ORG.search(address.domain) else "login"
        return {
            "consumer_key": key,
            "username": username,
            "privatekey": _readable(private_key),
            "domain": audience,
            "instance_url": address.domain,
        }
    if key and secret:
        return {"consumer_key": key, "consumer_secret": secret, "domain": address.domain}
    raise AuthError(
        "Credentials are missing: enter the client id with its secret, or with a user name and private key."
    )


def login_error(code: object, status: int | None, description: str = "") -> ProviderError:
    """The error for a refused login: `code` as the SDK gives it, `status` and error_description of the token answer."""
    name = str(code or "")
    if status is not None and (status >= 500 or status in (420, 429)):
        return Transient("The Salesforce login is unavailable for the moment.", status=status, code=name)
    kind, words = TOKEN_CODES.get(name, (ProviderError, "Salesforce answered the login in an unknown way."))
    if issubclass(kind, AuthError):
        told = description.lower()
        words = next((advice for about, advice in ADVICE.items() if about in told), words)
    return kind(words, status=status, code=name)


def _readable(private_key: str) -> str:
    """The PEM text as the signer reads it: pasted keys lose line breaks."""
    text = private_key.replace("\\n", "\n").strip() + "\n"
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise AuthError(
            "The private key cannot be read: paste it as PEM text, without a password.",
            code="bad_private_key",
        ) from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < SMALLEST_KEY:
        raise AuthError("Salesforce needs an RSA private key of 2,048 bits or more.", code="bad_private_key")
    return text
