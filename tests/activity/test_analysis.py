"""What an analysis does to a contact, as a table of outcomes; each mapping once per conversation."""

import pytest

from activity import process
from activity.models import AppliedMapping, Conversation, WebhookDelivery
from activity.process import process_some, replay
from contacts.changes import Source, change_contact, create_contact
from contacts.models import Contact, ContactChange, CustomField
from tests.activity.payloads import ADA, START, analysis, analyzed, call, chat, deliver, ended

pytestmark = pytest.mark.django_db


def settle():
    while process_some():
        pass


def ada():
    return Contact.objects.get(phone_number=ADA)


def outcome():
    row = AppliedMapping.objects.get()
    return row.outcome, row.reason


def known(**values):
    create_contact(ADA, values, source=Source("person", may_clear_opt_out=True))


TABLE = [
    # mode, field, before, given, after, outcome
    ("overwrite", "notes", None, "Likes tea.", "Likes tea.", "written"),
    ("overwrite", "notes", "Old.", "New.", "New.", "written"),
    ("overwrite", "notes", "Same.", " Same. ", "Same.", "unchanged"),
    ("overwrite", "notes", "Old.", None, "Old.", "skipped"),
    ("overwrite", "notes", "Old.", "", "Old.", "skipped"),
    ("overwrite", "notes", "Old.", {"a": 1}, "Old.", "skipped"),
    ("overwrite", "notes", None, 42, "42", "written"),
    ("overwrite", "plan", "free", "Pro", "pro", "written"),
    ("overwrite", "plan", "free", "platinum", "free", "skipped"),
    ("overwrite", "budget", None, "1200.50", 1200.5, "written"),
    ("overwrite", "budget", 5, 0, 0, "written"),
    ("overwrite", "budget", 5, "a lot", 5, "skipped"),
    ("overwrite", "vip", None, "yes", True, "written"),
    ("overwrite", "vip", True, False, False, "written"),
    ("overwrite", "vip", True, "maybe", True, "skipped"),
    ("overwrite", "renewal", None, "2026-05-14", "2026-05-14", "written"),
    ("overwrite", "renewal", "2026-01-01", "next week", "2026-01-01", "skipped"),
    ("overwrite", "visit", None, "2026-05-14T10:00:00+02:00", "2026-05-14T08:00:00Z", "written"),
    ("overwrite", "first_name", "A.", "Ada", "Ada", "written"),
    ("overwrite", "do_not_call", False, True, True, "written"),
    ("overwrite", "do_not_call", True, False, True, "kept"),
    ("fill_if_empty", "notes", None, "New.", "New.", "written"),
    ("fill_if_empty", "notes", "Old.", "New.", "Old.", "kept"),
    ("fill_if_empty", "budget", 0, 7, 0, "kept"),
    ("fill_if_empty", "vip", False, True, False, "kept"),
    ("fill_if_empty", "do_not_call", False, True, True, "written"),
    ("fill_if_empty", "first_name", None, "Ada", "Ada", "written"),
    ("merge", "notes", None, "New.", "New.", "written"),
    ("merge", "notes", "Same.", "Same.", "Same.", "unchanged"),
    ("merge", "notes", "Old.", "New.", "Old.\n\nNew.", "written"),
    ("merge", "budget", 5, 6, 5, "skipped"),
    ("overwrite", "phone_number", ADA, "+14155550111", ADA, "skipped"),
    ("overwrite", "no_such_field", None, "x", None, "skipped"),
]


@pytest.mark.parametrize(("mode", "field", "before", "given", "after", "expected"), TABLE)
def test_a_value_meets_a_field(mapping, mode, field, before, given, after, expected):
    mapping("topic", field, mode)
    known(**({field: before} if before is not None and field != "phone_number" else {}))
    deliver(analyzed(topic=given))
    settle()
    assert ada().value(field) == after
    assert outcome()[0] == expected
    assert bool(outcome()[1]) == (
        expected in ("skipped", "kept") or (mode == "merge" and after != given and before != after)
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("call_summary", "Ada asked about her plan."),
        ("summary", "Ada asked about her plan."),
        ("user_sentiment", "Positive"),
        ("sentiment", "Positive"),
        ("call_successful", "true"),
        ("successful", "true"),
        ("in_voicemail", "false"),
    ],
)
def test_built_in_values_of_a_call_can_be_mapped(mapping, name, value):
    mapping(name, "notes")
    deliver(analyzed())
    settle()
    assert ada().value("notes") == value


@pytest.mark.parametrize("name", ["chat_summary", "summary"])
def test_built_in_values_of_a_chat_can_be_mapped(mapping, name):
    mapping(name, "notes")
    deliver({"event": "chat_analyzed", "chat": chat()})
    settle()
    assert ada().value("notes") == "Ada moved her appointment."


def test_a_custom_value_stands_before_a_plain_name():
    conversation = Conversation(kind="call", summary="Built in.", analysis={"summary": "Custom."})
    from activity.analysis import analysis_values

    assert analysis_values(conversation)["summary"] == "Custom."


def test_history_names_the_conversation_and_the_mode(mapping):
    mapping("topic", "notes")
    deliver(analyzed(topic="Tea."))
    settle()
    source = ada().sources["notes"]
    conversation = Conversation.objects.get()
    assert (source["kind"], source["ref"]) == ("conversation", conversation.ref)
    assert (source["conversation"], source["mode"]) == ("call_ada", "overwrite")
    assert ContactChange.objects.filter(source_ref=conversation.ref).count() == 2


def test_mappings_apply_in_their_order(mapping):
    mapping("second", "notes", position=2)
    mapping("first", "notes", position=1)
    deliver(analyzed(first="First.", second="Second."))
    settle()
    assert ada().value("notes") == "Second."


def test_an_older_conversation_does_not_overwrite_what_a_newer_one_set(mapping):
    mapping("topic", "notes")
    deliver(analyzed("call_new", topic="New."))
    settle()
    older = analyzed("call_old", topic="Old.")
    older["call"]["start_timestamp"] = START - 86_400_000
    deliver(older)
    settle()
    assert ada().value("notes") == "New."
    row = AppliedMapping.objects.get(conversation__key="call_old")
    assert (row.outcome, row.reason) == ("skipped", "A later conversation or mapping has set the field.")


def test_a_newer_conversation_that_found_its_own_value_there_has_decided_too(mapping):
    mapping("topic", "notes")
    known(notes="New.")
    deliver(analyzed("call_new", topic="New."))
    settle()
    older = analyzed("call_old", topic="Old.")
    older["call"]["start_timestamp"] = START - 86_400_000
    deliver(older)
    settle()
    assert ada().value("notes") == "New."


def test_a_value_that_came_late_does_not_overturn_the_order_of_the_mappings(mapping):
    mapping("first", "notes", position=1)
    mapping("second", "notes", position=2)
    deliver({"event": "call_analyzed", "call": call(call_analysis=analysis(second="Second."))})
    settle()
    deliver(analyzed(first="First.", second="Second."))
    settle()
    assert ada().value("notes") == "Second."


def test_a_newer_conversation_and_a_persons_edit_are_overwritten(mapping):
    mapping("topic", "notes")
    deliver(analyzed("call_1", topic="One."))
    settle()
    newer = analyzed("call_2", topic="Two.")
    newer["call"]["start_timestamp"] = START + 86_400_000
    deliver(newer)
    settle()
    assert ada().value("notes") == "Two."
    change_contact(ada().pk, {"notes": "By hand."}, source=Source("person"))
    latest = analyzed("call_3", topic="Three.")
    latest["call"]["start_timestamp"] = START + 2 * 86_400_000
    deliver(latest)
    settle()
    assert ada().value("notes") == "Three."


def test_a_replay_changes_nothing_even_after_an_edit_or_with_a_mapping_added_later(mapping):
    mapping("topic", "notes")
    deliver(analyzed(topic="Tea."))
    settle()
    change_contact(ada().pk, {"notes": "By hand."}, source=Source("person"))
    mapping("topic", "interests")
    replay(WebhookDelivery.objects.all())
    settle()
    assert (ada().value("notes"), ada().value("interests")) == ("By hand.", None)
    assert AppliedMapping.objects.count() == 1


def test_a_value_that_comes_with_a_fuller_event_is_applied_then(mapping):
    mapping("topic", "notes")
    deliver({"event": "call_analyzed", "call": call(call_analysis=analysis())})
    settle()
    assert outcome() == ("skipped", "The analysis has no value for it.")
    deliver(analyzed(topic="Tea."))
    settle()
    assert ada().value("notes") == "Tea."
    assert outcome() == ("written", "")


def test_a_call_without_analysis_leaves_the_mappings_alone(mapping):
    mapping("topic", "notes")
    deliver(ended())
    settle()
    assert not AppliedMapping.objects.exists()


def test_one_value_that_does_not_fit_stops_no_other(mapping):
    mapping("plan", "plan", position=1)
    mapping("topic", "notes", position=2)
    deliver(analyzed(plan="platinum", topic="Tea."))
    settle()
    assert ada().value("notes") == "Tea."
    reason = AppliedMapping.objects.get(contact_field="plan").reason
    assert "not one of the field's options" in reason
    assert "platinum" not in reason


def test_a_field_removed_under_a_mapping_is_named(mapping):
    mapping("topic", "notes")
    CustomField.objects.filter(name="notes").delete()
    deliver(analyzed(topic="Tea."))
    settle()
    assert outcome() == ("skipped", "There is no such contact field any more.")


def test_a_worker_that_died_between_two_mappings_is_resumed_without_repeating(mapping):
    mapping("topic", "notes", position=1)
    mapping("hobby", "interests", position=2)
    deliver(analyzed(topic="Tea.", hobby="Chess."))
    process.deliver_some()
    conversation = Conversation.objects.get()
    from activity import analysis as applying

    answers = iter([True, False])
    assert applying.apply(conversation, may_go_on=lambda: next(answers)) is False
    assert (ada().value("notes"), ada().value("interests")) == ("Tea.", None)
    change_contact(ada().pk, {"notes": "By hand."}, source=Source("person"))
    settle()
    assert (ada().value("notes"), ada().value("interests")) == ("By hand.", "Chess.")
    assert Conversation.objects.get().apply_due_at is None


def test_a_contact_deleted_meanwhile_is_no_error(mapping):
    mapping("topic", "notes")
    deliver(analyzed(topic="Tea."))
    process.deliver_some()
    Contact.objects.all().delete()
    settle()
    assert Conversation.objects.get().apply_due_at is None
    assert not AppliedMapping.objects.exists()
