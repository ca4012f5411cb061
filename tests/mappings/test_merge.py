"""The LLM is asked with care, and whatever it does, no text is lost."""

from decimal import Decimal
from pathlib import Path

import pytest

from mappings.merge import PROMPT_VERSION, keep_both, merge_texts

OLD, NEW = "Likes tea.", "Has a dog."
BOTH = f"{OLD}\n\n{NEW}"
INJECTIONS = (Path(__file__).parent / "injections.txt").read_text().strip().splitlines()


@pytest.fixture
def llm(sandbox, settings):
    """The stand-in LLM, answering normally."""
    llm = sandbox.world.llm
    llm.settings["mode"] = "normal"
    llm.requests.clear()
    settings.OPENAI_API_KEY = llm.settings["key"]
    settings.OPENAI_BASE_URL = f"{sandbox.base_url}/v1"
    return llm


def test_a_merge_tells_what_it_used_and_cost(llm):
    result = merge_texts("Notes", "Keep it short.", OLD, NEW)
    assert (result.text, result.merged, result.reason) == (f"{OLD} {NEW}", True, "")
    assert (result.model, result.prompt_version) == ("gpt-4.1-mini", PROMPT_VERSION)
    assert (result.input_tokens > 0, result.output_tokens > 0) == (True, True)
    assert result.cost == Decimal("0.005")


def test_the_request_is_capped_and_leaves_the_temperature_to_the_model(llm):
    merge_texts("Notes", "Keep it short.", OLD, NEW)
    request = llm.requests[0]["request"]
    assert 512 <= request["max_completion_tokens"] <= 600
    assert "temperature" not in request
    assert request["response_format"]["json_schema"]["strict"] is True
    assert llm.requests[0]["instruction"] == "Keep it short."


@pytest.mark.parametrize(
    ("mode", "word", "cost"),
    [
        ("refuse", "refused", "0.005"),
        ("malformed", "form", "0.005"),
        ("wrong_schema", "form", "0.005"),
        ("empty", "empty", "0.005"),
        ("no_content", "empty", "0.005"),
    ],
)
def test_an_unusable_answer_keeps_both_texts(llm, mode, word, cost):
    llm.settings["mode"] = mode
    result = merge_texts("Notes", "", OLD, NEW)
    assert (result.text, result.merged) == (BOTH, False)
    assert word in result.reason
    assert result.cost == Decimal(cost)


def test_an_answer_that_was_cut_off_keeps_both_texts(llm):
    long = " ".join(f"Sentence number {number} is new." for number in range(200))
    result = merge_texts("Notes", "", OLD, long)
    assert (result.text, result.merged) == (f"{OLD}\n\n{long}", False)
    assert "too long" in result.reason


def test_a_slow_llm_is_not_waited_for(llm):
    llm.settings |= {"mode": "slow", "delay_seconds": 1.0}
    result = merge_texts("Notes", "", OLD, NEW, timeout=0.1, repeats=0)
    assert (result.text, result.merged, result.cost) == (BOTH, False, Decimal(0))
    assert "in time" in result.reason


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"OPENAI_API_KEY": "wrong"}, "401"),
        ({"OPENAI_MODEL": "no-such-model"}, "404"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "reached"),
    ],
)
def test_an_llm_that_cannot_be_asked_keeps_both_texts_and_costs_nothing(llm, settings, change, word):
    for name, value in change.items():
        setattr(settings, name, value)
    result = merge_texts("Notes", "", OLD, NEW, repeats=0)
    assert (result.text, result.merged, result.cost) == (BOTH, False, Decimal(0))
    assert word in result.reason


def test_without_a_key_nothing_is_asked(llm, settings):
    settings.OPENAI_API_KEY = ""
    result = merge_texts("Notes", "", OLD, NEW)
    assert (result.text, result.merged) == (BOTH, False)
    assert "OPENAI_API_KEY" in result.reason
    assert not llm.requests


@pytest.mark.parametrize("text", INJECTIONS)
def test_orders_inside_a_text_travel_as_data_only(llm, text):
    assert text.rstrip(".!") in merge_texts("Notes", "", OLD, text).text
    told = llm.requests[0]
    assert (told["old"], told["new"]) == (OLD, text)
    assert text not in told["messages"][0]["content"]


def test_neither_texts_nor_keys_reach_the_log(llm, caplog, capsys):
    for mode in ("normal", "refuse", "malformed", "wrong_schema"):
        llm.settings["mode"] = mode
        merge_texts("Notes", "", OLD, NEW)
    logged = caplog.text + "".join(capsys.readouterr())
    assert OLD not in logged
    assert NEW not in logged
    assert llm.settings["key"] not in logged


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("a", "b", "a\n\nb"),
        ("", "b", "b"),
        ("a", "", "a"),
        ("a", "a", "a"),
        ("a\n\nb", "b", "a\n\nb"),
        ("not b", "b", "not b\n\nb"),
    ],
)
def test_keeping_both_puts_the_new_text_under_the_old_one_once(old, new, kept):
    assert keep_both(old, new) == kept
