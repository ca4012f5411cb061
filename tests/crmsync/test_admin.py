"""The admin: every list and page opens, ledgers stay as they are, fields and keys follow their rules."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from activity.models import WebhookDelivery
from contacts.ledger import Ledger
from contacts.models import Contact, CustomField
from crmsync.api_keys import ApiKey, find_key, issue_key
from crmsync.organisation import Organisation, governance
from crmsync.roles import ADMINISTRATOR, OPERATOR, REVIEWER
from mappings.models import AnalysisMapping
from tests.crmsync.pages_world import client_of, contact, text, world
from tests.crmsync.test_pages import fill

pytestmark = pytest.mark.django_db
LISTS = [
    f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    for model in admin.site._registry
    if model._meta.app_label != "django_q"
]
INLINE = r"\sstyle=|<style|\son\w+=|<script(?![^>]*\ssrc=)"


@pytest.fixture
def client(db: None) -> Client:
    """An operator's browser."""
    return client_of(OPERATOR, "olga")


@pytest.mark.parametrize("name", LISTS)
def test_every_list_opens_without_inline_script_or_style(name: str):
    world()
    answer = client_of(ADMINISTRATOR).get(reverse(name), {"q": "call_1"}, follow=True)
    assert answer.status_code == 200
    assert not re.search(INLINE, text(answer))


def test_the_front_page_groups_the_models_in_the_order_one_works(client: Client):
    page = text(client.get("/admin/"))
    places = [page.index(f'href="/admin/#{name}"') for name in ("setup", "contacts", "conversations", "sync")]
    assert places == sorted(places)
    assert "Users" not in page


@pytest.mark.parametrize(
    "name", ["sync_syncrun", "sync_syncissue", "sync_externalrecord", "activity_webhookdelivery", "activity_conversation",
             "activity_activityentry", "contacts_contactchange", "contacts_contact", "sync_pendingpush"],
)  # fmt: skip
def test_a_list_costs_the_same_few_queries_however_long_it_is(client: Client, name: str):
    where = reverse(f"admin:{name}_changelist")
    world()
    fill(2)
    client.get(where)
    with CaptureQueriesContext(database) as few:
        client.get(where)
    fill(8)
    with CaptureQueriesContext(database) as many:
        client.get(where)
    assert len(many) == len(few) <= 15


def test_no_list_loads_a_secret_and_no_list_counts_a_whole_ledger(client: Client):
    world()
    for model, model_admin in admin.site._registry.items():
        if isinstance(model_admin, Ledger):
            assert not model_admin.show_full_result_count
            where = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
            with CaptureQueriesContext(database) as queries:
                client.get(reverse(where))
            assert not [query for query in queries if '"credentials"' in query["sql"]], model


@pytest.mark.parametrize("name", ["sync_syncrun", "activity_conversation", "activity_webhookdelivery"])
def test_a_ledger_can_be_read_and_not_written(client: Client, name: str):
    known = world()
    pk = {"sync_syncrun": known.run.pk, "activity_conversation": known.conversation.pk}.get(
        name, known.delivery.pk
    )
    page = client.get(reverse(f"admin:{name}_change", args=[pk]))
    assert page.status_code == 200
    assert 'name="_save"' not in text(page)
    assert client.post(reverse(f"admin:{name}_change", args=[pk]), {"state": "x"}).status_code == 403
    assert client.get(reverse(f"admin:{name}_add")).status_code == 403
    assert client.post(reverse(f"admin:{name}_delete", args=[pk]), {"post": "yes"}).status_code == 403


def test_a_parked_delivery_is_replayed(client: Client):
    known = world()
    client.post(
        reverse("admin:activity_webhookdelivery_changelist"),
        {"action": "replay_them", "_selected_action": [known.delivery.pk]},
    )
    assert WebhookDelivery.objects.get().state == "pending"


def test_a_custom_field_takes_its_options_one_a_line_and_keeps_name_and_type(client: Client):
    new = {"name": "plan", "label": "Plan", "type": "enum", "options": "free\n\n pro \n", "position": "1"}
    assert client.post(reverse("admin:contacts_customfield_add"), new).status_code == 302
    plan = CustomField.objects.get()
    assert plan.options == ["free", "pro"]
    where = reverse("admin:contacts_customfield_change", args=[plan.pk])
    assert "free\npro" in text(client.get(where))
    client.post(where, new | {"name": "other", "type": "string", "label": "Tariff"})
    plan.refresh_from_db()
    assert (plan.name, plan.type, plan.label) == ("plan", "enum", "Tariff")
    refused = text(client.post(reverse("admin:contacts_customfield_add"), new | {"name": "Contact Plan"}))
    assert "Use lower-case letters" in refused


def test_a_field_in_use_is_not_deleted_alone_nor_in_bulk_and_the_mapping_is_named(client: Client):
    city = CustomField.objects.create(name="city", type="string")
    free = CustomField.objects.create(name="notes", type="string")
    AnalysisMapping.objects.create(analysis_field="town", contact_field="city")
    where = reverse("admin:contacts_customfield_delete", args=[city.pk])
    assert "analysis mapping town → city" in text(client.get(where))
    assert client.post(where, {"post": "yes"}).status_code in (200, 403)
    bulk = {"action": "delete_selected", "_selected_action": [city.pk, free.pk], "post": "yes"}
    assert "analysis mapping town → city" in text(
        client.post(reverse("admin:contacts_customfield_changelist"), bulk)
    )
    assert CustomField.objects.count() == 2
    bulk["_selected_action"] = [free.pk]
    client.post(reverse("admin:contacts_customfield_changelist"), bulk)
    assert list(CustomField.objects.all()) == [city]


def test_an_analysis_mapping_is_chosen_from_the_fields_and_checked(client: Client):
    CustomField.objects.create(name="budget", type="number")
    where = reverse("admin:mappings_analysismapping_add")
    assert 'value="phone_number"' not in text(client.get(where))
    new = {
        "analysis_field": "money",
        "contact_field": "budget",
        "update_mode": "merge",
        "position": "0",
        "review": "automatic",
    }
    assert "Only string fields can be merged." in text(client.post(where, new))
    assert client.post(where, new | {"update_mode": "fill_if_empty"}).status_code == 302
    assert str(AnalysisMapping.objects.get()) == "money → budget (fill if empty)"


def test_contacts_are_edited_on_their_page_and_not_by_the_admin_s_own_form(client: Client):
    ada = contact()
    where = reverse("admin:contacts_contact_change", args=[ada.pk])
    assert client.get(where)["Location"] == ada.get_absolute_url()
    assert client.post(where, {"first_name": "X"})["Location"] == ada.get_absolute_url()
    assert client.get(reverse("admin:contacts_contact_add"))["Location"] == "/contacts/new/"
    assert Contact.objects.get().first_name == "Ada"


def test_an_api_key_is_shown_once_and_works():
    client = client_of(ADMINISTRATOR)
    answer = client.post(
        reverse("admin:crmsync_apikey_add"),
        {
            "name": "crm script",
            "signs": "on",
            "scopes": ["read_contacts"],
            "expires_at": "2030-01-01T12:00",
        },
    )
    page = text(answer)
    secret = re.search(r"key_[0-9a-f]{40}", page)
    assert secret
    assert "no-store" in answer["Cache-Control"]
    key = ApiKey.objects.get()
    assert find_key(secret[0]) == key
    assert (key.webhook, key.scopes) == (True, ["read_contacts", "events"])
    change = reverse("admin:crmsync_apikey_change", args=[key.pk])
    assert secret[0] not in text(client.get(change)) + text(
        client.get(reverse("admin:crmsync_apikey_changelist"))
    )
    client.post(change, {"name": "script", "scopes": ["run_jobs"], "expires_at": "2030-01-01T12:00"})
    key.refresh_from_db()
    assert (key.name, key.scopes, key.secret) == ("script", ["run_jobs", "events"], secret[0])
    assert f"{key.expires_at:%Y-%m-%d %H:%M}" == "2030-01-01 12:00"
    client.post(
        reverse("admin:crmsync_apikey_changelist"), {"action": "revoke", "_selected_action": [key.pk]}
    )
    assert find_key(secret[0]) is None
    assert client.get(reverse("admin:crmsync_apikey_delete", args=[key.pk])).status_code == 403


def test_the_organisation_is_one_row_that_operators_change(client: Client):
    page = "/admin/crmsync/organisation/1/change/"
    assert client.get("/admin/crmsync/organisation/")["Location"] == page
    assert 'href="/admin/crmsync/organisation/"' in text(client.get("/admin/"))
    sent = {"contact_memory": "on", "merge_budget": "12.50", "reject_field": "do_not_call"}
    assert client.post(page, sent).status_code == 302
    rules = governance()
    assert (rules.memory, rules.memory_reviewed, str(rules.budget), rules.reject_field) == (
        True, False, "12.50", "do_not_call",
    )  # fmt: skip
    assert Organisation.objects.get().contact_memory_prompt is None
    assert client.get("/admin/crmsync/organisation/add/").status_code == 403
    assert client.get("/admin/crmsync/organisation/1/delete/").status_code == 403
    assert "no true-or-false contact field" in text(client.post(page, {"reject_field": "first_name"}))


def test_contacts_are_not_deleted_here(client: Client):
    ada = contact()
    assert client.get(reverse("admin:contacts_contact_delete", args=[ada.pk])).status_code == 403
    page = text(client.get("/admin/contacts/contact/"))
    assert "delete_selected" not in page
    assert "A contact is deleted on its page." in page


def test_a_key_that_has_expired_says_so():
    issue_key("Old", scopes=["write_contacts"], expires_at=timezone.now() - timedelta(days=1))
    page = text(client_of(ADMINISTRATOR).get("/admin/crmsync/apikey/"))
    assert ("expired</" in page, "active</" in page) == (True, False)


def ledgers() -> list[str]:
    """The lists of all ledgers."""
    found = [model for model, page in admin.site._registry.items() if isinstance(page, Ledger)]
    return [reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in found]


def test_no_ledger_reads_a_whole_table_to_show_a_page_or_to_search_it():
    world()
    boss, lists = client_of(ADMINISTRATOR, "anna"), ledgers()
    assert len(lists) > 10
    for where in lists:
        for query in ("", "?q=x7", "?state__exact=parked"):
            with CaptureQueriesContext(database) as made:
                answer = boss.get(where + query, follow=True)
            assert answer.status_code == 200, where
            asked = [one["sql"] for one in made.captured_queries if "auth_" not in one["sql"]]
            for sql in asked:
                assert "DISTINCT" not in sql, f"{where}{query}: {sql}"
                assert " OR " not in sql, f"{where}{query}: {sql}"
                assert "COUNT(" not in sql or "LIMIT" in sql, f"{where}{query}: {sql}"


def test_a_ledger_is_searched_by_each_of_its_fields(client: Client):
    known = world()
    where = "/admin/contacts/contactchange/"
    for term, found in (("run:1", 1), (known.contact.phone_number, 1), ("run:999", 0)):
        page = text(client.get(where, {"q": term}))
        assert page.count('class="field-when"') == found, term
    page = text(client.get("/admin/sync/externalrecord/", {"q": "0035g00000AbCdEAAV"}))
    assert page.count('class="field-chip"') == 1
    assert "no phone" in page.replace("_", " ")


def test_the_first_page_says_what_each_thing_is_for_and_what_was_changed_last(client: Client):
    client.post(reverse("admin:contacts_contacttag_add"), {"label": "VIP", "listed": "on"})
    page = text(client.get("/admin/"))
    assert page.count('class="about"') >= 15
    assert "tag added by olga" in " ".join(page.split())
    assert "Connect a CRM" in page
    reviewer = text(client_of(REVIEWER).get("/admin/"))
    assert "tag added by olga" not in " ".join(reviewer.split())
    assert "Begin or go on" not in reviewer
