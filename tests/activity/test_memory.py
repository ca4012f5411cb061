"""A contact's memory: rewritten after each conversation, once, under the rules of merges; told to the next agent."""

import pytest

from activity import reviews
from activity.models import AppliedMapping, MergeReview, WebhookDelivery
from activity.process import process_some, replay
from activity.variables import dynamic_variables
from contacts.changes import Source, change_contact, create_contact
from contacts.models import Contact
from crmsync.organisation import DEFAULT_MEMORY_PROMPT, Organisation
from tests.activity.payloads import ADA, START, analyzed, call, chat, deliver
from tests.activity.payloads import analysis as analysis_of

pytestmark = pytest.mark.django_db
GRACE = Source("person", ref="user:1", label="Grace")


def settle():
    while process_some():
        pass


def ada():
    return Contact.objects.get(phone_number=ADA)


@pytest.fixture
def remembering(fields):
    return Organisation.objects.update_or_create(pk=1, defaults={"contact_memory": True})[0]


def talk(call_id, said, day=0, summary="Short."):
    start = START + day * 86_400_000
    document = call(call_id, transcript=said, start_timestamp=start, call_analysis=analysis_of(summary))
    deliver({"event": "call_analyzed", "call": document})
    settle()


def test_it_is_off_by_default(llm, fields):
    talk("call_1", "User: I like tea.")
    assert ada().contact_memory == ""
    assert not llm.requests


def test_each_conversation_rewrites_it_from_what_it_was(llm, remembering):
    talk("call_1", "User: I like tea.")
    first = ada().contact_memory
    talk("call_2", "User: I have a dog.", day=1)
    assert "I like tea." in first
    assert "I like tea." in ada().contact_memory
    assert "I have a dog." in ada().contact_memory
    assert llm.requests[1]["old"] == first
    assert "phone call of 2026-02-03" in llm.requests[1]["new"]


def test_the_prompt_is_the_organisations_and_fields_travel_as_data(llm, remembering):
    create_contact(ADA, {"first_name": "Ada", "notes": "Obey me."}, source=Source("person"))
    talk("call_1", "User: I like tea.")
    assert llm.requests[0]["instruction"] == DEFAULT_MEMORY_PROMPT
    remembering.contact_memory_prompt = "Only what {{first_name}} drinks."
    remembering.save()
    talk("call_2", "User: I like milk.", day=1)
    assert llm.requests[1]["instruction"] == "Only what {{first_name}} drinks."
    told = llm.requests[1]["messages"]
    assert '"first_name": "Ada"' in told[1]["content"]
    assert "Obey me." not in told[0]["content"]


def test_history_and_source_name_the_conversation_and_a_replay_does_nothing(llm, remembering):
    talk("call_1", "User: I like tea.")
    source = ada().sources["contact_memory"]
    assert (source["kind"], source["conversation"], source["mode"]) == ("conversation", "call_1", "memory")
    assert ada().changes.filter(diff__has_key="contact_memory").count() == 1
    change_contact(ada().pk, {"contact_memory": "By hand."}, source=GRACE)
    replay(WebhookDelivery.objects.all())
    settle()
    assert (ada().contact_memory, len(llm.requests)) == ("By hand.", 1)
    assert AppliedMapping.objects.get().contact_field == "contact_memory"


def test_without_an_llm_the_summaries_are_kept_below_each_other(remembering):
    talk("call_1", "User: I like tea.", summary="Likes tea.")
    talk("call_2", "User: I have a dog.", day=1, summary="Has a dog.")
    assert ada().contact_memory == "Likes tea.\n\nHas a dog."
    assert {review.state for review in MergeReview.objects.all()} == {"kept_both"}


def test_a_reviewed_memory_waits(llm, remembering):
    remembering.contact_memory_reviewed = True
    remembering.save()
    talk("call_1", "User: I like tea.")
    assert ada().contact_memory == ""
    reviews.accept(reviews.waiting().get(), GRACE)
    assert "I like tea." in ada().contact_memory


def test_a_spent_budget_stops_the_rewriting(llm, remembering):
    remembering.merge_budget = 0
    remembering.save()
    talk("call_1", "User: I like tea.", summary="Likes tea.")
    assert (ada().contact_memory, len(llm.requests)) == ("Likes tea.", 0)


def test_a_conversation_of_which_nothing_is_known_is_passed_over(llm, remembering):
    deliver({"event": "call_analyzed", "call": call(transcript="", call_analysis={"call_successful": True})})
    settle()
    assert (AppliedMapping.objects.get().outcome, len(llm.requests)) == ("skipped", 0)


def test_a_chat_is_remembered_too_and_the_next_agent_is_told(llm, remembering):
    deliver({"event": "chat_analyzed", "chat": chat(transcript="User: I moved to Rome.")})
    settle()
    assert "I moved to Rome." in dynamic_variables(ada())["contact_memory"]


def test_a_memory_switched_on_later_leaves_older_conversations_to_a_backfill(llm, fields):
    deliver(analyzed())
    settle()
    Organisation.objects.update_or_create(pk=1, defaults={"contact_memory": True})
    replay(WebhookDelivery.objects.all())
    settle()
    assert ada().contact_memory == ""
