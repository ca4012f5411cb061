"""Logging in to the stand-in Salesforce, and what a session may and may not do."""

import base64
import hashlib
import hmac
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.sandbox.salesforce_asking import Org

BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SIGNER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_KEY = SIGNER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture
def org() -> Org:
    return Org()


def assertion(key: rsa.RSAPrivateKey = SIGNER, **changes: Any) -> str:
    claims = {
        "iss": "sandbox-key",
        "sub": "integration@sandbox.example.com",
        "aud": "https://login.salesforce.com",
        "exp": str(int(time.time()) + 180),
    }
    return jwt.encode(claims | changes, key, algorithm="RS256")


def test_basic_and_form_credentials_both_open_a_session(org: Org) -> None:
    basic = "Basic " + base64.b64encode(b"sandbox-key:sandbox-secret").decode()
    status, answer = org.log_in({"authorization": basic}, grant_type="client_credentials")
    assert status == 200
    assert answer["token_type"] == "Bearer"
    assert answer["instance_url"] == "http://127.0.0.1:8080"
    org.token = answer["access_token"]
    assert org.ask("GET", "limits")[0] == 200


def test_the_signature_of_a_token_is_over_its_id_and_moment(org: Org) -> None:
    answer = org.log_in()[1]
    signed = hmac.new(
        b"sandbox-secret", (answer["id"] + answer["issued_at"]).encode(), hashlib.sha256
    ).digest()
    assert answer["signature"] == base64.b64encode(signed).decode()


@pytest.mark.parametrize(
    ("form", "status", "error", "description"),
    [
        ({"client_id": "other"}, 400, "invalid_client_id", "client identifier invalid"),
        ({"client_secret": "wrong"}, 401, "invalid_client", "invalid client credentials"),
        ({"grant_type": "password"}, 400, "invalid_grant", "authentication failure"),
        ({"grant_type": "magic"}, 400, "unsupported_grant_type", "grant type not supported"),
    ],
)
def test_wrong_credentials_are_refused_in_the_vendors_words(
    org: Org, form: dict[str, str], status: int, error: str, description: str
) -> None:
    good = {"grant_type": "client_credentials", "client_id": "sandbox-key", "client_secret": "sandbox-secret"}
    assert org.log_in(None, **(good | form)) == (status, {"error": error, "error_description": description})


def test_a_signed_assertion_opens_a_session() -> None:
    org = Org(jwt_public_key=PUBLIC_KEY)
    assert org.log_in(None, grant_type=BEARER, assertion=assertion())[0] == 200


@pytest.mark.parametrize(
    ("bad", "description"),
    [
        (
            lambda: assertion(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
            "invalid assertion",
        ),
        (lambda: assertion(aud="https://example.com"), "audience is invalid"),
        (lambda: assertion(sub="ada@example.com"), "user hasn't approved this consumer"),
        (lambda: assertion(iss="other"), "client identifier invalid"),
        (lambda: assertion(exp=str(int(time.time()) - 5)), "expired authorization code"),
        (lambda: assertion().rpartition(".")[0], "invalid assertion"),
        (lambda: "a.b.c", "invalid assertion"),
    ],
)
def test_a_wrong_assertion_is_refused(bad: Any, description: str) -> None:
    org = Org(jwt_public_key=PUBLIC_KEY)
    answer = org.log_in(None, grant_type=BEARER, assertion=bad())
    assert answer == (400, {"error": "invalid_grant", "error_description": description})


def test_a_call_without_a_live_session_is_refused(org: Org) -> None:
    expired = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    assert org.ask("GET", "limits", authorization="Bearer nonsense") == (401, expired)
    assert org.ask("GET", "limits", authorization="") == (401, expired)
    assert org.ask("GET", "limits", authorization=f"OAuth {org.token}")[0] == 200
    org.clock.offset += 7201
    assert org.ask("GET", "limits") == (401, expired)


def test_a_header_of_another_kind_is_told_from_an_ended_session(org: Org) -> None:
    for given, code in (
        ("Basic abc", "INVALID_AUTH_HEADER"),
        ("Bearer abc", "INVALID_SESSION_ID"),
        ("", "INVALID_SESSION_ID"),
    ):
        status, errors = org.ask("GET", "limits", authorization=given)
        assert (status, errors[0]["errorCode"]) == (401, code)


def test_a_revoked_session_ends_at_once(org: Org) -> None:
    org.crm.sessions.revoke_all()
    assert org.ask("GET", "limits")[0] == 401


def test_soap_login_is_switched_off(org: Org) -> None:
    response = org.ask("POST", "/services/Soap/u/59.0", b"<login/>")
    assert response[0] == 500
    assert org.headers["Content-Type"].startswith("text/xml")


def test_versions_are_listed_without_a_session_and_others_do_not_exist(org: Org) -> None:
    status, versions = org.ask("GET", "/services/data/", authorization="")
    assert status == 200
    assert [versions[0]["version"], versions[-1]["version"]] == ["50.0", "66.0"]
    assert org.ask("GET", "/services/data/v67.0/limits")[0] == 404
    assert org.ask("GET", "/services/data/v29.0/limits")[0] == 410


def test_usage_is_counted_and_the_daily_limit_closes_the_door() -> None:
    org = Org(daily_limit=2)
    org.ask("GET", "limits")
    assert org.headers["Sforce-Limit-Info"] == "api-usage=1/2"
    status, limits = org.ask("GET", "limits")
    assert (status, limits["DailyApiRequests"]) == (200, {"Max": 2, "Remaining": 0})
    status, error = org.ask("GET", "limits")
    assert (status, error[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")
    assert org.headers["Sforce-Limit-Info"] == "api-usage=2/2"


def test_the_date_header_is_the_orgs_own_clock(org: Org) -> None:
    org.clock.offset = 86400 * 365
    org.ask("GET", "/services/data/")
    assert org.headers["Date"][12:16] == str(time.gmtime(time.time() + 86400 * 365).tm_year)
