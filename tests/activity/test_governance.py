"""What merges may cost and who lets them through: a table of outcomes, the books, the budget, the queue."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import Sum
from django.utils import timezone

from activity import asking, reviews
from activity.models import AppliedMapping, MergeReview
from activity.overdue import merge_some
from activity.process import process_some
from contacts.changes import Source, change_contact, create_contact
from contacts.models import Contact, ContactChange
from contacts.values import DoesNotFit
from crmsync.organisation import Organisation
from mappings.models import AnalysisMapping
from tests.activity.payloads import ADA, START, analyzed, call, deliver
from tests.activity.payloads import analysis as analysis_of

pytestmark = pytest.mark.django_db
GRACE = Source("person", ref="user:1", label="Grace", may_clear_opt_out=True)
OLD, NEW, BOTH = "Likes tea.", "Has a dog.", "Likes tea.\n\nHas a dog."


def settle():
    while process_some():
        pass


def ada():
    return Contact.objects.get(phone_number=ADA)


def learn(text=NEW, call_id="call_ada", **more):
    deliver({"event": "call_analyzed", "call": call(call_id, call_analysis=analysis_of(topic=text), **more)})
    settle()


@pytest.fixture
def notes(mapping):
    create_contact(ADA, {"notes": OLD}, source=Source("person"))
    return mapping("topic", "notes", "merge")


@pytest.fixture
def reviewed(notes):
    AnalysisMapping.objects.update(review="reviewed")
    return notes


@pytest.fixture
def waiting(llm, reviewed):
    learn()
    return MergeReview.objects.get()


TABLE = [
    # the LLM, the budget → the field, the review, is it due later, the price, is the LLM asked
    ("normal", None, f"{OLD} {NEW}", "applied", False, "0.005", 1),
    ("refuse", None, BOTH, "kept_both", True, "0.005", 1),
    ("malformed", None, BOTH, "kept_both", True, "0.005", 1),
    ("empty", None, BOTH, "kept_both", True, "0.005", 1),
    ("normal", "0", BOTH, "kept_both", True, "0", 0),
    ("normal", "0.01", f"{OLD} {NEW}", "applied", False, "0.005", 1),
]


@pytest.mark.parametrize(("mode", "budget", "text", "state", "due", "cost", "asked"), TABLE)
def test_a_merge_ends_in_one_of_these_ways(llm, notes, mode, budget, text, state, due, cost, asked):
    """Row 39."""
    llm.settings["mode"] = mode
    Organisation.objects.update_or_create(pk=1, defaults={"merge_budget": budget})
    learn()
    review = MergeReview.objects.get()
    assert ada().value("notes") == text
    assert (review.state, review.due_at is not None, review.cost) == (state, due, Decimal(cost))
    assert len(llm.requests) == asked


def test_the_budget_of_the_settings_holds_where_the_organisation_has_none(llm, notes, settings):
    settings.CRMSYNC_MERGE_BUDGET = Decimal("0.005")
    learn("Has a dog.", "call_1")
    learn("Has a cat.", "call_2")
    assert [review.code for review in MergeReview.objects.order_by("id")] == ["", "budget"]
    assert len(llm.requests) == 1
    last = MergeReview.objects.latest("id")
    assert last.due_at == asking.month(timezone.now())[1]
    assert "budget" in last.reason


def test_last_months_merges_are_not_counted(llm, notes, settings):
    settings.CRMSYNC_MERGE_BUDGET = Decimal("0.005")
    learn()
    MergeReview.objects.update(at=timezone.now() - timedelta(days=40))
    assert asking.spent() == 0
    learn("Has a cat.", "call_2")
    assert asking.spent() == Decimal("0.005")


def test_the_books_add_up_to_what_the_llm_was_asked(llm, notes):
    for number, mode in enumerate(("normal", "refuse", "malformed", "empty", "normal")):
        llm.settings["mode"] = mode
        learn(f"Fact {number}.", f"call_{number}")
    booked = MergeReview.objects.aggregate(
        cost=Sum("cost"), read=Sum("input_tokens"), written=Sum("output_tokens")
    )
    assert booked["cost"] == Decimal("0.005") * len(llm.requests) == asking.spent()
    assert booked["read"] == sum(request["prompt_tokens"] for request in llm.requests)
    assert booked["written"] == sum(request["completion_tokens"] for request in llm.requests)


def test_an_answer_that_was_cut_off_has_its_tokens_booked(llm, notes):
    learn(" ".join(f"Sentence number {number} is new." for number in range(200)))
    review = MergeReview.objects.get()
    assert (review.code, review.state) == ("length", "kept_both")
    assert (review.input_tokens > 0, review.output_tokens) == (True, 528)


def test_a_question_whose_answer_was_lost_stays_in_the_books_and_is_asked_again(llm, notes):
    learn("First.", "call_0")
    first = MergeReview.objects.get()
    MergeReview.objects.filter(pk=first.pk).update(state="asking", old="x")
    AppliedMapping.objects.all().delete()
    first.conversation.applied_at = None
    first.conversation.apply_due_at = timezone.now()
    first.conversation.save()
    settle()
    assert [row.state for row in MergeReview.objects.order_by("id")] == ["lost", "applied"]
    assert asking.spent() == Decimal("0.010")


def test_an_answer_that_was_kept_but_not_used_is_not_asked_for_again(llm, notes):
    learn()
    MergeReview.objects.update(state="answered")
    AppliedMapping.objects.all().delete()
    change_contact(ada().pk, {"notes": OLD}, source=GRACE)
    conversation = MergeReview.objects.get().conversation
    type(conversation).objects.update(applied_at=None, apply_due_at=timezone.now())
    settle()
    assert len(llm.requests) == 1
    assert ada().value("notes") == f"{OLD} {NEW}"
    assert MergeReview.objects.get().state == "applied"


def test_texts_that_are_too_long_together_leave_the_field_alone_until_they_are_merged(llm, notes, settings):
    settings.CRMSYNC_MERGE_LIMIT = 15
    learn()
    review = MergeReview.objects.get()
    assert (ada().value("notes"), review.state, review.new) == (OLD, "apart", NEW)
    settings.CRMSYNC_MERGE_LIMIT = 10_000
    reviews.merge_later(MergeReview.objects.all())
    assert merge_some() == 1
    assert ada().value("notes") == f"{OLD} {NEW}"


def test_texts_that_were_kept_are_merged_later_with_what_was_written_between(llm, notes):
    llm.settings["mode"] = "refuse"
    learn()
    change_contact(ada().pk, {"notes": f"{BOTH}\n\nPrefers mail."}, source=GRACE)
    llm.settings["mode"] = "normal"
    assert merge_some() == 0
    assert reviews.merge_later(MergeReview.objects.all()) == 1
    merge_some()
    assert ada().value("notes") == "Likes tea. Prefers mail. Has a dog."
    assert sorted(MergeReview.objects.values_list("state", flat=True)) == ["applied", "superseded"]
    applied = AppliedMapping.objects.get()
    assert (applied.outcome, applied.reason) == ("written", "Merged later.")
    assert reviews.merge_later(MergeReview.objects.all()) == 0


def test_a_field_that_was_rewritten_since_is_not_merged_later(llm, notes):
    llm.settings["mode"] = "refuse"
    learn()
    change_contact(ada().pk, {"notes": "All new."}, source=GRACE)
    reviews.merge_later(MergeReview.objects.all())
    merge_some()
    assert ada().value("notes") == "All new."
    assert len(llm.requests) == 1
    assert MergeReview.objects.get().due_at is None


def test_merging_later_is_tried_ever_less_often_and_then_left_to_a_person(llm, notes):
    llm.settings["mode"] = "refuse"
    learn()
    for _ in range(6):
        MergeReview.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
        merge_some()
    review = MergeReview.objects.earliest("id")
    assert (review.state, review.due_at, review.attempts) == ("kept_both", None, 5)
    assert len(llm.requests) == 6
    assert asking.spent() == Decimal("0.005") * 6


def test_an_llm_that_does_not_answer_is_left_alone_for_a_while(llm, notes, settings):
    settings.OPENAI_BASE_URL, there = "http://127.0.0.1:1/v1", settings.OPENAI_BASE_URL
    for number in range(3):
        learn(f"Fact {number}.", f"call_{number}")
    assert [review.code for review in MergeReview.objects.order_by("id")] == ["network", "network", "resting"]
    assert ada().value("notes") == f"{OLD}\n\nFact 0.\n\nFact 1.\n\nFact 2."
    last = MergeReview.objects.latest("id")
    assert last.due_at is not None
    assert last.due_at < timezone.now() + timedelta(minutes=5)
    settings.OPENAI_BASE_URL = there
    reviews.merge_later(MergeReview.objects.filter(pk=last.pk))
    assert merge_some() == 0
    MergeReview.objects.update(at=timezone.now() - timedelta(minutes=4))
    assert merge_some() == 1
    assert ada().value("notes") == f"{OLD} Fact 0. Fact 1. Fact 2."


# --- reviewed ---------------------------------------------------------------------------------------


def test_a_reviewed_merge_waits_and_changes_nothing(waiting):
    assert (waiting.state, waiting.old, waiting.new, waiting.merged) == ("waiting", OLD, NEW, f"{OLD} {NEW}")
    assert ada().value("notes") == OLD
    assert AppliedMapping.objects.get().outcome == "waiting"
    assert list(reviews.waiting()) == [waiting]


def test_an_accepted_merge_is_written_under_the_persons_name(waiting):
    accepted = reviews.accept(waiting, GRACE)
    assert (accepted.state, accepted.decided_by) == ("applied", "Grace")
    assert ada().value("notes") == f"{OLD} {NEW}"
    assert ada().sources["notes"] | {"at": ""} == {
        "kind": "person", "ref": "user:1", "label": "Grace", "at": "",
        "conversation": "call_ada", "review": waiting.pk,
    }  # fmt: skip
    assert (AppliedMapping.objects.get().outcome, AppliedMapping.objects.get().reason) == (
        "written",
        "Accepted by Grace.",
    )


def test_an_edited_merge_is_written_as_edited(waiting):
    reviews.edit_and_accept(waiting, " Tea, and a dog. ", GRACE)
    assert ada().value("notes") == "Tea, and a dog."
    assert MergeReview.objects.get().merged == "Tea, and a dog."


def test_a_rejected_merge_leaves_the_field_and_says_so(waiting):
    reviews.reject(waiting, GRACE, "Not her dog.")
    assert ada().value("notes") == OLD
    assert (MergeReview.objects.get().state, MergeReview.objects.get().reason) == ("rejected", "Not her dog.")
    assert AppliedMapping.objects.get().outcome == "kept"


def test_a_merge_is_decided_once(waiting):
    reviews.accept(waiting, GRACE)
    for decide in (reviews.accept, reviews.reject):
        with pytest.raises(reviews.NotWaiting):
            decide(waiting, GRACE)
    with pytest.raises(reviews.NotWaiting):
        reviews.edit_and_accept(waiting, "x", GRACE)
    assert ContactChange.objects.filter(contact=ada(), diff__has_key="notes").count() == 2


def test_a_field_that_moved_is_merged_again_and_asked_about_again(waiting, llm):
    change_contact(ada().pk, {"notes": "Likes coffee."}, source=GRACE)
    again = reviews.accept(waiting, GRACE)
    assert (again.state, ada().value("notes")) == ("again", "Likes coffee.")
    merge_some()
    fresh = reviews.waiting().get()
    assert (fresh.old, fresh.merged) == ("Likes coffee.", "Likes coffee. Has a dog.")
    reviews.accept(fresh, GRACE)
    assert ada().value("notes") == "Likes coffee. Has a dog."


def test_a_persons_own_text_is_kept_when_the_field_moved(waiting, llm):
    change_contact(ada().pk, {"notes": "Likes coffee."}, source=GRACE)
    again = reviews.edit_and_accept(waiting, "Coffee, and a dog.", GRACE)
    assert (again.state, again.old, again.merged) == ("waiting", "Likes coffee.", "Coffee, and a dog.")
    assert len(llm.requests) == 1
    reviews.accept(again, GRACE)
    assert ada().value("notes") == "Coffee, and a dog."


def test_a_text_that_does_not_fit_is_refused_and_keeps_waiting(waiting):
    with pytest.raises(DoesNotFit):
        reviews.edit_and_accept(waiting, "x" * 40_000, GRACE)
    assert MergeReview.objects.get().state == "waiting"


def test_without_an_llm_a_reviewed_merge_waits_with_both_texts(reviewed):
    learn()
    review = reviews.waiting().get()
    assert (review.merged, review.code, ada().value("notes")) == (BOTH, "no_llm", OLD)


def test_the_evidence_is_what_was_said_of_it(llm, reviewed):
    said = "Agent: Hello.\nUser: I have a dog called Rex.\nAgent: Lovely.\nUser: The weather is bad."
    learn("Has a dog.", start_timestamp=START, transcript=said)
    assert reviews.evidence(MergeReview.objects.get()) == ["User: I have a dog called Rex."]


def test_a_replay_puts_nothing_into_the_queue_again(waiting, llm):
    from activity.models import WebhookDelivery
    from activity.process import replay

    replay(WebhookDelivery.objects.all())
    settle()
    assert (MergeReview.objects.count(), len(llm.requests)) == (1, 1)
    deliver(analyzed(topic=NEW, summary="A later summary."))
    settle()
    assert MergeReview.objects.count() == 1
