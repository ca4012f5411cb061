"""Mappings and the memory applied to stored conversations again: chosen, in order, previewed, resumed, saved once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from activity import backfill, reviews
from activity.backfill import BackfillOpen, NothingToApply, backfill_some, planned, preview, request_backfill
from activity.models import AppliedMapping, Backfill, MergeReview
from activity.process import process_some
from contacts.changes import Source, change_contact
from contacts.models import Contact, ContactChange
from crmsync.organisation import Organisation
from mappings.models import AnalysisMapping
from tests.activity.payloads import ADA, GRACE, START, call, deliver
from tests.activity.payloads import analysis as analysis_of

pytestmark = pytest.mark.django_db
DAY = 86_400_000
BY_HAND = Source("person", ref="user:1", label="Grace", may_clear_opt_out=True)


def talk(call_id, day=0, number=ADA, agent="agent_1", version=3, summary="Short.", **values):
    document = call(
        call_id, from_number=number, start_timestamp=START + day * DAY, agent_id=agent, agent_version=version,
        transcript=f"User: this is {call_id}.", call_analysis=analysis_of(summary, **values),
    )  # fmt: skip
    deliver({"event": "call_analyzed", "call": document})
    while process_some():
        pass


def work():
    for _ in range(20):
        if not backfill_some():
            break
    return Backfill.objects.first()


def ada():
    return Contact.objects.get(phone_number=ADA)


def run(*mappings, **more):
    request_backfill(mappings=mappings, **more)
    return work()


def test_a_mapping_added_later_is_applied_in_the_order_of_the_conversations_and_saved_once(mapping):
    talk("call_2", day=2, topic="Second.")
    talk("call_1", day=1, topic="First.")
    added = mapping("topic", "notes")
    before = ContactChange.objects.filter(contact=ada()).count()
    job = run(added, by="Grace")
    assert ada().value("notes") == "Second."
    assert ContactChange.objects.filter(contact=ada()).count() == before + 1
    assert (job.state, job.done, job.changed, job.conversations, job.failed) == ("done", 1, 1, 2, 0)
    assert job.counts == {"written": 2}
    source = ada().sources["notes"]
    assert (source["ref"], source["conversations"]) == (job.ref, {"notes": "call_2"})
    assert "Grace" in source["label"]


def test_only_chosen_mappings_agents_and_times_count(mapping):
    chosen, other = mapping("topic", "notes"), mapping("topic", "interests")
    AnalysisMapping.objects.all().delete()
    for day, agent, version in ((0, "agent_1", 1), (1, "agent_1", 2), (2, "agent_2", 1), (3, "agent_1", 1)):
        talk(f"call_{day}", day=day, agent=agent, version=version, topic=f"Day {day}.")
    chosen.save()
    other.save()
    run(chosen, agents=[{"agent_id": "agent_1", "version": ["1"]}], times=[("le", START + 2 * DAY)])
    assert (ada().value("notes"), ada().value("interests")) == ("Day 0.", None)
    run(chosen, agents=[{"agent_id": "agent_1"}, {"agent_id": "agent_2"}], times=[("ne", START + 3 * DAY)])
    assert ada().value("notes") == "Day 2."


def test_later_words_of_others_stand(mapping):
    rule = mapping("topic", "notes")
    talk("call_1", day=1, topic="First.")
    talk("call_2", day=2, topic="Second.")
    job = run(rule, times=[("lt", START + 2 * DAY)])
    assert ada().value("notes") == "Second."
    assert job.counts == {"skipped": 1}
    change_contact(ada().pk, {"notes": "By hand."}, source=BY_HAND)
    run(rule)
    assert ada().value("notes") == "By hand."
    assert "person" in AppliedMapping.objects.get(conversation__key="call_2").reason


def test_fill_if_empty_takes_the_oldest_value_and_an_opt_out_stays(mapping):
    talk("call_1", day=1, topic="First.", dnc=True)
    talk("call_2", day=2, topic="Second.", dnc=False)
    run(mapping("topic", "notes", "fill_if_empty"), mapping("dnc", "do_not_call"))
    assert (ada().value("notes"), ada().do_not_call) == ("First.", True)


def test_merges_build_on_each_other_and_are_saved_once(llm, mapping):
    for day, fact in enumerate(("Likes tea.", "Has a dog.", "Lives in Rome.")):
        talk(f"call_{day}", day=day, topic=fact)
    rule = mapping("topic", "notes", "merge")
    found = preview(planned(mappings=[rule]))
    assert (found.merges, str(found.cost), found.contacts, found.conversations) == (2, "0.010", 1, 3)
    assert not llm.requests
    assert ada().value("notes") is None
    run(rule)
    assert ada().value("notes") == "Likes tea. Has a dog. Lives in Rome."
    assert ContactChange.objects.filter(contact=ada(), diff__has_key="notes").count() == 1
    assert len(llm.requests) == 2
    assert {review.state for review in MergeReview.objects.all()} == {"applied"}


def test_running_it_again_repeats_no_text(mapping):
    for day, fact in enumerate(("Likes tea.", "Has a dog.")):
        talk(f"call_{day}", day=day, topic=fact)
    rule = mapping("topic", "notes", "merge")
    run(rule)
    run(rule)
    assert ada().value("notes") == "Likes tea.\n\nHas a dog."


def test_reviewed_merges_wait_as_one(llm, mapping):
    for day, fact in enumerate(("Likes tea.", "Has a dog.", "Lives in Rome.")):
        talk(f"call_{day}", day=day, topic=fact)
    change_contact(ada().pk, {"notes": "VIP."}, source=BY_HAND)
    run(mapping("topic", "notes", "merge", review="reviewed"))
    assert ada().value("notes") == "VIP."
    review = reviews.waiting().get()
    assert (review.old, review.merged) == ("VIP.", "VIP. Likes tea. Has a dog. Lives in Rome.")
    reviews.accept(review, BY_HAND)
    assert ada().value("notes") == "VIP. Likes tea. Has a dog. Lives in Rome."


def test_the_memory_is_rebuilt_from_what_it_is(llm, fields):
    for day in range(3):
        talk(f"call_{day}", day=day)
    change_contact(ada().pk, {"contact_memory": "Knows Grace."}, source=BY_HAND)
    job = run(memory=True)
    told = ada().contact_memory
    assert told.startswith("Knows Grace.")
    assert all(f"this is call_{day}." in told for day in range(3))
    assert told.index("call_0") < told.index("call_2")
    assert ContactChange.objects.filter(diff__has_key="contact_memory").count() == 2
    assert job.counts == {"written": 3}


def test_a_preview_shows_changes_and_writes_nothing(mapping):
    talk("call_1", topic="First.", plan="platinum")
    rule, unfit = mapping("topic", "notes"), mapping("plan", "plan")
    found = preview(planned(mappings=[rule, unfit]))
    assert [(one.field, one.old, one.new) for one in found.changes] == [("notes", None, "First.")]
    assert dict(found.counts) == {"written": 1, "skipped": 1}
    assert (found.changed, found.complete) == (1, True)
    assert ada().value("notes") is None
    assert not AppliedMapping.objects.exists()


def test_one_is_open_at_a_time_and_can_be_cancelled(mapping):
    rule = mapping("topic", "notes")
    job = request_backfill(mappings=[rule])
    with pytest.raises(BackfillOpen) as refused:
        request_backfill(mappings=[rule])
    assert refused.value.job == job
    assert backfill.cancel(job)
    assert not backfill.cancel(job)
    assert request_backfill(mappings=[rule]).state == "queued"
    with pytest.raises(NothingToApply):
        request_backfill()


def test_it_goes_on_behind_the_last_contact(mapping):
    talk("call_1", topic="Ada's.")
    talk("call_2", number=GRACE, topic="Grace's.")
    request_backfill(mappings=[mapping("topic", "notes")])
    Backfill.objects.update(cursor=ada().pk, done=1)
    work()
    assert (ada().value("notes"), Contact.objects.get(phone_number=GRACE).value("notes")) == (
        None,
        "Grace's.",
    )
    assert Backfill.objects.get().done == 2


def test_after_a_crash_the_answers_that_were_paid_for_are_used(llm, mapping):
    for day, fact in enumerate(("Likes tea.", "Has a dog.", "Lives in Rome.")):
        talk(f"call_{day}", day=day, topic=fact)
    job = run(mapping("topic", "notes", "merge"))
    # As a worker leaves it that is killed after the last answer and before the contact is saved.
    MergeReview.objects.update(state="answered")
    AppliedMapping.objects.all().delete()
    change_contact(ada().pk, {"notes": None}, source=BY_HAND)
    Backfill.objects.filter(pk=job.pk).update(state="running", open=True, cursor=0, done=0, finished_at=None)
    assert work().state == "done"
    assert ada().value("notes") == "Likes tea. Has a dog. Lives in Rome."
    assert len(llm.requests) == 2
    assert {review.state for review in MergeReview.objects.all()} == {"applied"}


def test_it_waits_for_an_llm_that_does_not_answer(llm, mapping):
    for day, fact in enumerate(("Likes tea.", "Has a dog.")):
        talk(f"call_{day}", day=day, topic=fact)
    conversation = ada().conversations.first()
    for _ in range(2):
        MergeReview.objects.create(
            conversation=conversation, contact=ada(), contact_field="x", state="kept_both", code="timeout"
        )
    run(mapping("topic", "notes", "merge"))
    assert (work().state, ada().value("notes")) == ("running", None)
    MergeReview.objects.update(at=timezone.now() - timedelta(minutes=4))
    assert (work().state, ada().value("notes")) == ("done", "Likes tea. Has a dog.")


def test_a_contact_that_cannot_be_dealt_with_is_passed_over_in_the_end(mapping):
    talk("call_1", topic="Ada's.")
    talk("call_2", number=GRACE, topic="Grace's.")
    request_backfill(mappings=[mapping("topic", "notes")])
    Backfill.objects.update(attempts=backfill.MOST_ATTEMPTS)
    job = work()
    assert (job.state, job.done, job.failed) == ("done", 2, 1)
    assert Contact.objects.get(phone_number=GRACE).value("notes") == "Grace's."


def test_the_switch_of_the_memory_does_not_bar_a_backfill(llm, fields):
    talk("call_1")
    assert Organisation.current().contact_memory is False
    run(memory=True)
    assert "call_1" in ada().contact_memory
