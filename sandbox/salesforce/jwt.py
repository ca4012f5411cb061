"""JWT bearer assertions: claims are always judged, the RS256 signature when the org has the public key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import time
from typing import Any

AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
LONGEST = 300
_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")


class BadAssertion(Exception):
    """The message is the vendor's error_description."""


def check(assertion: str, *, key: str, username: str, hosts: tuple[str, ...], public_key: str | None) -> None:
    """Raise BadAssertion unless the assertion is signed, fresh, and by the right app for the right user.

    `key` is the app's consumer key, `hosts` further audiences, `public_key` a PEM "PUBLIC KEY" or None.
    """
    parts = assertion.split(".")
    if len(parts) != 3 or not all(parts):
        raise BadAssertion("invalid assertion")
    header, claims = _read(parts[0]), _read(parts[1])
    if header.get("alg") != "RS256":
        raise BadAssertion("invalid assertion")
    if claims.get("iss") != key:
        raise BadAssertion("client identifier invalid")
    if claims.get("aud") not in (*AUDIENCES, *hosts):
        raise BadAssertion("audience is invalid")
    if claims.get("sub", claims.get("prn")) != username:
        raise BadAssertion("user hasn't approved this consumer")
    _check_expiry(claims.get("exp"))
    if public_key is not None and not _signed(
        f"{parts[0]}.{parts[1]}".encode(), _decoded(parts[2]), public_key
    ):
        raise BadAssertion("invalid assertion")


def _check_expiry(expiry: Any) -> None:
    """The vendor also takes the time as text; it compares with real time, not with the org's clock."""
    if isinstance(expiry, bool) or not str(expiry).isdigit():
        raise BadAssertion("invalid assertion")
    if not 0 < int(expiry) - time.time() <= LONGEST:
        raise BadAssertion("expired authorization code")


def _read(part: str) -> dict[str, Any]:
    try:
        document = json.loads(_decoded(part))
    except ValueError as error:
        raise BadAssertion("invalid assertion") from error
    if not isinstance(document, dict):
        raise BadAssertion("invalid assertion")
    return document


def _decoded(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as error:
        raise BadAssertion("invalid assertion") from error


def _signed(message: bytes, signature: bytes, public_key: str) -> bool:
    """PKCS #1 v1.5 over SHA-256."""
    modulus, exponent = _rsa_numbers(public_key)
    size = (modulus.bit_length() + 7) // 8
    shown = pow(int.from_bytes(signature, "big"), exponent, modulus).to_bytes(size, "big")
    digest = _SHA256 + hashlib.sha256(message).digest()
    return (
        len(signature) == size
        and shown == b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    )


def _rsa_numbers(pem: str) -> tuple[int, int]:
    """Modulus and exponent of a PEM public key (algorithm, then a bit string with the two integers)."""
    der = base64.b64decode("".join(line for line in pem.splitlines() if not line.startswith("-----")))
    body, _ = _element(der)
    _, rest = _element(body)
    bits, _ = _element(rest)
    numbers, _ = _element(bits[1:])
    modulus, rest = _element(numbers)
    exponent, _ = _element(rest)
    return int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")


def _element(der: bytes) -> tuple[bytes, bytes]:
    """The content of the first DER element, and what follows it."""
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    return der[start : start + length], der[start + length :]
