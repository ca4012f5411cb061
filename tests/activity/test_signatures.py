"""Only what a known key has signed within five minutes comes in."""

import time

import pytest

from activity import signatures
from activity.models import BadSignatures
from activity.signatures import BadSignature, count_bad, sign, verify
from crmsync.api_keys import ApiKey, issue_key

BODY, KEY, STAMP = b'{"a":1}', "key_x", 1_700_000_000_000
# Made with the platform's own SDK.
DIGEST = "f2c3e9314738afd6fb84a343043916adc74500d914d3a30f17368f801cc33b26"
HEADER = f"v={STAMP},d={DIGEST}"


def test_the_platforms_own_signature_passes():
    verify(BODY, HEADER, [KEY], now_ms=STAMP)
    assert sign(BODY, KEY, STAMP) == HEADER


@pytest.mark.parametrize("keys", [["key_new", KEY], [KEY, "key_new"]])
def test_while_keys_are_rotated_either_one_may_sign(keys):
    verify(BODY, HEADER, keys, now_ms=STAMP)


@pytest.mark.parametrize(
    ("now_ms", "passes"),
    [(STAMP + 300_000, True), (STAMP + 300_001, False), (STAMP - 300_000, True), (STAMP - 300_001, False)],
)
def test_the_clock_may_be_five_minutes_off_either_way(now_ms, passes):
    if passes:
        verify(BODY, HEADER, [KEY], now_ms=now_ms)
    else:
        with pytest.raises(BadSignature, match="five minutes"):
            verify(BODY, HEADER, [KEY], now_ms=now_ms)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        DIGEST,
        f"v={STAMP},d={DIGEST.upper()}",
        f"v={STAMP},d={DIGEST}0",
        f"v={STAMP},d={DIGEST[:-1]}",
        f" v={STAMP},d={DIGEST}",
        f"v={STAMP},d={DIGEST}\n",
        f"v={STAMP},d={DIGEST},v={STAMP}",
        f"v=-{STAMP},d={DIGEST}",
        f"v=١٧٠٠٠٠٠٠٠٠٠٠٠,d={DIGEST}",
        f"d={DIGEST},v={STAMP}",
        f"v={STAMP + 1},d={DIGEST}",
    ],
)
def test_anything_but_the_exact_header_is_refused(header):
    with pytest.raises(BadSignature):
        verify(BODY, header, [KEY], now_ms=STAMP)


@pytest.mark.parametrize(
    ("body", "keys"), [(b'{"a": 1}', [KEY]), (BODY, ["key_y"]), (BODY, []), (BODY, [""])]
)
def test_another_body_or_another_key_is_refused(body, keys):
    with pytest.raises(BadSignature, match="does not match"):
        verify(body, HEADER, keys, now_ms=STAMP)


@pytest.mark.django_db
def test_bad_signatures_are_counted_by_day():
    count_bad()
    count_bad()
    assert [row.count for row in BadSignatures.objects.all()] == [2]


@pytest.mark.django_db
def test_a_new_key_works_at_once_and_a_revoked_one_ends_at_once(django_assert_num_queries):
    first, secret = issue_key("Voice platform", webhook=True)
    now = int(time.time() * 1000)
    signatures.check(b"{}", sign(b"{}", secret, now))
    with django_assert_num_queries(0):
        signatures.check(b"{}", sign(b"{}", secret, now))
    second = issue_key("Rotated", webhook=True)[1]
    signatures.check(b"{}", sign(b"{}", second, now))
    first.revoke()
    with pytest.raises(BadSignature):
        signatures.check(b"{}", sign(b"{}", secret, now))


@pytest.mark.django_db
def test_a_key_that_another_process_has_made_works_at_once():
    secret = issue_key("Voice platform", webhook=True)[1]
    now = int(time.time() * 1000)
    ApiKey.objects.all().update(expires_at="2020-01-01T00:00Z")
    with pytest.raises(BadSignature):
        signatures.check(b"{}", sign(b"{}", secret, now))
    ApiKey.objects.all().update(expires_at=None)
    signatures.check(b"{}", sign(b"{}", secret, now))
