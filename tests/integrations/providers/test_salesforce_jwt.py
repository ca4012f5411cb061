"""The JWT bearer login: signed with the operator's key, verified by the org that has its certificate."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from integrations.providers.base import Creation
from integrations.providers.errors import AuthError
from integrations.providers.salesforce_address import Address
from integrations.providers.salesforce_login import login_arguments
from tests.integrations.providers.crms import SalesforceBench

USER = "integration@sandbox.example.com"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC = KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
).decode()  # fmt: skip
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
).decode()  # fmt: skip
SECRETS = {"client_id": "sandbox-key", "username": USER, "private_key": PEM}


@pytest.mark.parametrize("pem", [PEM, PEM.replace("\n", "\\n"), f"\n  {PEM}\n"])
def test_a_signed_assertion_opens_a_session(salesforce: SalesforceBench, pem: str) -> None:
    salesforce.control.change_settings("salesforce", jwt_public_key=PUBLIC)
    provider = salesforce.made(replace(salesforce.setup, secrets={**SECRETS, "private_key": pem}))
    assert provider.check().account_id
    assert provider.create([Creation("k1", {"LastName": "Hopper"})])[0].created
    assert len(salesforce.control.requests(system="salesforce", path="oauth2/token")) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"client_id": "other"}, "client id"),
        ({"username": "grace@example.com"}, "pre-authorised"),
    ],
)
def test_what_the_org_refuses_is_told_in_words(
    salesforce: SalesforceBench, change: dict[str, str], words: str
) -> None:
    provider = salesforce.made(replace(salesforce.setup, secrets={**SECRETS, **change}))
    with pytest.raises(AuthError) as caught:
        provider.check()
    assert words in str(caught.value)
    assert USER not in str(caught.value)


def test_a_key_that_the_app_does_not_have_is_refused(salesforce: SalesforceBench) -> None:
    salesforce.control.change_settings("salesforce", jwt_public_key=OTHER)
    with pytest.raises(AuthError) as caught:
        salesforce.made(replace(salesforce.setup, secrets=SECRETS)).check()
    assert "private key" in str(caught.value)


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.mark.parametrize(
    "pem",
    [
        "no key at all",
        PUBLIC,
        pem_of(rsa.generate_private_key(public_exponent=65537, key_size=1024)),  # noqa: S505 - too small on purpose
        pem_of(ec.generate_private_key(ec.SECP256R1())),
    ],
)
def test_an_unusable_key_costs_no_call(salesforce: SalesforceBench, pem: str) -> None:
    with pytest.raises(AuthError) as caught:
        salesforce.made(replace(salesforce.setup, secrets={**SECRETS, "private_key": pem})).check()
    assert caught.value.code == "bad_private_key"
    assert salesforce.control.requests(system="salesforce") == []


@pytest.mark.parametrize(("domain", "audience"), [("acme.my", "login"), ("acme--uat.sandbox.my", "test")])
def test_the_audience_is_salesforces_own_host(domain: str, audience: str) -> None:
    arguments = login_arguments(SECRETS, Address(base=f"https://{domain}.salesforce.com", domain=domain))
    assert (arguments["domain"], arguments["instance_url"]) == (audience, domain)
    assert "consumer_secret" not in arguments
