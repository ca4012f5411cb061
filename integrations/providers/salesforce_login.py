"""Which way to log in to Salesforce, by the credentials that are filled in: client credentials or JWT bearer.

The SDK chooses a flow by the arguments it is given, so a wrong mix must not reach it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from integrations.providers.errors import AuthError
from integrations.providers.salesforce_address import Address

SMALLEST_KEY = 2048


def login_arguments(secrets: Mapping[str, str], address: Address) -> dict[str, Any]:
    """The SDK's arguments of the login. Raises AuthError, before any call, for credentials that cannot work."""
    key, secret = secrets.get("client_id"), secrets.get("client_secret")
    username, private_key = secrets.get("username"), secrets.get("private_key")
    if key and username and private_key:
        # The audience is Salesforce's own host, whichever address the assertion is posted to.
        audience = "test" if ".sandbox." in f"{address.domain}." else "login"
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
