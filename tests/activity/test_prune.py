"""Old deliveries go, what still waits stays, conversations stay."""

from datetime import timedelta

import pytest
from django.utils import timezone

from activity.models import BadSignatures, Conversation, WebhookDelivery
from activity.process import process_some
from activity.prune import prune
from tests.activity.payloads import deliver, ended

pytestmark = pytest.mark.django_db


def test_only_old_deliveries_that_are_dealt_with_go(settings):
    settings.CRMSYNC_KEEP_DELIVERIES_DAYS = 30
    deliver(ended("call_old"), {"event": "moon_landed"})
    process_some()
    deliver(ended("call_waiting"))
    WebhookDelivery.objects.update(received_at=timezone.now() - timedelta(days=31))
    deliver(ended("call_new"))
    assert prune() == 2
    assert set(WebhookDelivery.objects.values_list("conversation_key", flat=True)) == {
        "call_waiting",
        "call_new",
    }
    assert Conversation.objects.get().key == "call_old"
    assert prune() == 0


def test_counts_of_bad_signatures_are_kept_for_a_year():
    today = timezone.now().date()
    for days in (10, 400):
        BadSignatures.objects.create(day=today - timedelta(days=days), count=1)
    prune()
    assert BadSignatures.objects.get().day == today - timedelta(days=10)
