"""The text of what is logged in HubSpot: safe, of the length that HubSpot takes, and never taken for another's."""

import pytest

from integrations.providers.base import Activity, ActivityKind
from integrations.providers.hubspot_activities import BODY_LIMIT, body_of
from tests.integrations.providers.crms import HubSpotBench
from tests.integrations.providers.test_hubspot_options import talk

RECORDING = "https://recordings.example.com/1.wav?key=a&b=c"
PAGE = "https://crm.example.com/conversations/1/"
END = "<p>Conversation: talk_1</p>"


def anchor(address: str) -> str:
    escaped = address.replace("&", "&amp;")
    return f'<a href="{escaped}">{escaped}</a>'


@pytest.mark.once
@pytest.mark.parametrize(
    ("body", "html"),
    [
        (f"Recording: {RECORDING}", f"Recording: {anchor(RECORDING)}"),
        (f"{PAGE}\n({PAGE}), {PAGE}.", f"{anchor(PAGE)}<br>({anchor(PAGE)}), {anchor(PAGE)}."),
        (f"{PAGE}2 x{PAGE}", f"{PAGE}2 x{PAGE}"),
        ("She wrote https://evil.example.com/", "She wrote https://evil.example.com/"),
        ("<a href='https://evil.example.com'>x</a>", "&lt;a href='https://evil.example.com'&gt;x&lt;/a&gt;"),
    ],
)
def test_only_our_own_links_can_be_followed(body: str, html: str) -> None:
    activity = talk("1", body=body, links=(RECORDING, PAGE, 'https://odd.example.com/"', "javascript:x"))
    assert body_of(activity) == html + END


@pytest.mark.once
@pytest.mark.parametrize("short", range(0, 2 * len(anchor(PAGE)), 3))
def test_a_link_is_left_out_rather_than_cut(short: int) -> None:
    text = "x" * (BODY_LIMIT - len(END) - short) + " " + PAGE
    made = body_of(talk("1", body=text, links=(PAGE,)))
    assert len(made) <= BODY_LIMIT
    assert made.endswith(END)
    assert made.count("<a ") == made.count("</a>")
    assert made.count("<") == made.count(">")


@pytest.mark.parametrize("kind", [ActivityKind.CALL, ActivityKind.SMS, ActivityKind.CHAT])
def test_a_conversation_quoted_in_anothers_text_is_not_taken_for_logged(
    hubspot: HubSpotBench, kind: ActivityKind
) -> None:
    one, provider = hubspot.add(first="Ada"), hubspot.provider()
    quoting = talk(one, body="Before that:\nConversation: talk_0\nThe end.")
    activity = Activity("talk_1", kind, one, "Talk", quoting.body, quoting.started)
    [made] = provider.log_activities([activity])
    assert provider.find_activity("talk_0", one, kind) is None
    assert provider.find_activity("talk_1", one, kind) == made.external_id


def test_a_body_is_cut_as_hubspot_counts_and_no_character_is_halved(hubspot: HubSpotBench) -> None:
    one, provider = hubspot.add(first="Ada"), hubspot.provider()
    [made] = provider.log_activities([talk(one, body="a" + "😀" * 40_000)])
    assert made.ok
    body = hubspot.activities(one)[0]["fields"]["hs_call_body"]
    assert body.endswith("😀<p>Conversation: talk_1</p>")
    assert len(body.encode("utf-16-le")) // 2 in (65_535, 65_536)
