"""A conversation without a number is attached by hand, and is then counted, mapped and logged like any other."""

import pytest

from activity.attach import HasContact, attach
from activity.models import ActivityEntry, Conversation
from activity.process import process_some
from contacts.changes import Source, create_contact
from contacts.models import Contact
from tests.activity.payloads import ADA, GRACE, analyzed, call, deliver
from tests.activity.payloads import analysis as analysis_of

pytestmark = pytest.mark.django_db
BY_HAND = Source("person", ref="user:1", label="Grace")


def settle():
    while process_some():
        pass


@pytest.fixture
def web_call(fields):
    document = call("web_1", call_type="web_call", call_analysis=analysis_of(topic="Tea."))
    for name in ("direction", "from_number", "to_number"):
        del document[name]
    deliver({"event": "call_analyzed", "call": document})
    settle()
    return Conversation.objects.get()


def test_it_is_counted_mapped_and_logged_then(web_call, mapping, connection):
    mapping("topic", "notes")
    ada = create_contact(ADA, {}, source=BY_HAND).contact
    assert (web_call.contact, web_call.note) == (None, "A web call without a number: it has no contact.")
    attached = attach(web_call, ada, BY_HAND)
    settle()
    ada.refresh_from_db()
    assert (attached.contact, attached.attached_by, attached.note) == (ada, "Grace", "")
    assert (ada.conversation_count, ada.value("notes")) == (1, "Tea.")
    assert ada.last_conversation_at == attached.started_at
    assert ActivityEntry.objects.get().conversation == attached


def test_twice_is_once_and_another_contact_is_refused(web_call):
    ada = create_contact(ADA, {}, source=BY_HAND).contact
    grace = create_contact(GRACE, {}, source=BY_HAND).contact
    attach(web_call, ada, BY_HAND)
    attach(web_call, ada, BY_HAND)
    with pytest.raises(HasContact) as refused:
        attach(web_call, grace, BY_HAND)
    ada.refresh_from_db()
    assert (refused.value.contact, ada.conversation_count) == (ada, 1)


def test_a_replay_leaves_it_where_it_was_attached(web_call):
    ada = create_contact(ADA, {}, source=BY_HAND).contact
    attach(web_call, ada, BY_HAND)
    document = analyzed("web_1", summary="Fuller.")
    document["call"] |= {"call_type": "web_call", "from_number": GRACE}
    deliver(document)
    settle()
    web_call.refresh_from_db()
    assert (web_call.contact, web_call.summary) == (ada, "Fuller.")


def test_after_its_contact_was_deleted_it_can_be_attached_to_another(fields):
    deliver(analyzed())
    settle()
    conversation = Conversation.objects.get()
    Contact.objects.filter(conversations=conversation).delete()
    grace = create_contact(GRACE, {}, source=BY_HAND).contact
    attach(conversation, grace, BY_HAND)
    grace.refresh_from_db()
    assert grace.conversation_count == 1
