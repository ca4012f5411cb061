"""The CRM config over the API: replaced key by key, with the rules of fields, mappings, tags and the linked app."""

import pytest

from contacts.changes import Source, change_contact, create_contact
from contacts.models import ContactTag, CustomField
from crmsync.api_keys import ApiKey
from crmsync.organisation import DEFAULT_MEMORY_PROMPT
from integrations.models import Connection
from mappings.models import AnalysisMapping, OutboundMapping
from sync.models import SyncRun
from tests.crmsync.api_client import client_with, problems

pytestmark = pytest.mark.django_db
VIP, LEAD = "a" * 32, "b" * 32
PLAN = {"name": "plan", "type": "enum", "label": "Plan", "options": ["free", "pro"]}
NOTES = {"name": "notes", "type": "string", "description": "What we know."}


@pytest.fixture
def api():
    return client_with()


def update(api, **body):
    response = api.post("/api/update-crm-config", body)
    assert response.status_code == 200, response.json()
    return response.json()


def mapping(analysis="summary", field="notes", mode="overwrite"):
    return {"analysis_data_name": analysis, "field_name": field, "update_mode": mode}


def test_an_unset_config_is_empty_and_no_error(api):
    config = api.get("/api/get-crm-config").json()
    assert config["org_id"].startswith("org_")
    assert config == {
        "org_id": config["org_id"],
        "custom_fields": [],
        "crm_analysis_data_mappings": [],
        "contact_tags": [],
        "contact_columns_order": [],
        "contact_memory_update_prompt": None,
        "default_contact_memory_update_prompt": DEFAULT_MEMORY_PROMPT,
    }


def test_a_sent_key_replaces_its_value_and_omitted_keys_stay(api):
    update(api, custom_fields=[PLAN, NOTES], contact_columns_order=["phone_number", "plan"])
    config = update(api, custom_fields=[NOTES])
    assert config["custom_fields"] == [NOTES]
    assert config["contact_columns_order"] == ["phone_number", "plan"]
    assert update(api)["custom_fields"] == [NOTES]


def test_fields_come_back_in_the_order_they_were_sent(api):
    assert update(api, custom_fields=[NOTES, PLAN])["custom_fields"] == [NOTES, PLAN]
    assert update(api, custom_fields=[PLAN, NOTES])["custom_fields"] == [PLAN, NOTES]


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ({"name": "Plan", "type": "string"}, "custom_fields.0.name"),
        ({"name": "first_name", "type": "string"}, "custom_fields.0.name"),
        ({"name": "contact_owner", "type": "string"}, "custom_fields.0.name"),
        ({"name": "external_key", "type": "string"}, "custom_fields.0.name"),
        ({"name": "plan", "type": "text"}, "custom_fields.0.type"),
        ({"name": "plan"}, "custom_fields.0.type"),
        ({"name": "plan", "type": "enum"}, "custom_fields.0.options"),
        ({"name": "plan", "type": "enum", "options": ["a", "a"]}, "custom_fields.0.options"),
        ({"name": "plan", "type": "string", "colour": "red"}, "custom_fields.0.colour"),
        ({"name": 7, "type": "string"}, "custom_fields.0.name"),
    ],
)
def test_a_field_that_breaks_a_rule_is_refused_by_its_path(api, field, path):
    response = api.post("/api/update-crm-config", {"custom_fields": [field]})
    assert list(problems(response)) == [path]
    assert path in response.json()["message"]
    assert not CustomField.objects.exists()


def test_options_of_other_types_are_ignored(api):
    config = update(api, custom_fields=[{"name": "city", "type": "string", "options": ["x"]}])
    assert config["custom_fields"] == [{"name": "city", "type": "string"}]


def test_a_field_twice_is_refused(api):
    response = api.post("/api/update-crm-config", {"custom_fields": [NOTES, NOTES]})
    assert problems(response) == {"custom_fields.1.name": "repeated"}


def test_the_type_of_a_field_is_fixed(api):
    update(api, custom_fields=[NOTES])
    response = api.post("/api/update-crm-config", {"custom_fields": [{"name": "notes", "type": "number"}]})
    assert list(problems(response)) == ["custom_fields.0.type"]
    assert CustomField.objects.get().type == "string"


def test_removing_a_field_that_a_mapping_targets_is_refused_and_the_mapping_named(api):
    update(api, custom_fields=[NOTES, PLAN], crm_analysis_data_mappings=[mapping()])
    response = api.post("/api/update-crm-config", {"custom_fields": [PLAN]})
    assert problems(response) == {"custom_fields": "field_in_use"}
    assert "summary → notes" in response.json()["message"]
    assert CustomField.objects.count() == 2


@pytest.mark.parametrize("mappings", [[], [mapping(field="plan")]])
def test_a_field_goes_when_the_same_request_drops_or_retargets_its_mapping(api, mappings):
    update(api, custom_fields=[NOTES, PLAN], crm_analysis_data_mappings=[mapping()])
    config = update(api, custom_fields=[PLAN], crm_analysis_data_mappings=mappings)
    assert config["custom_fields"] == [PLAN]
    assert config["crm_analysis_data_mappings"] == mappings


def test_a_field_that_a_crm_mapping_writes_is_not_removed(api):
    update(api, custom_fields=[NOTES])
    hubspot = Connection.objects.create(provider="hubspot", name="HubSpot")
    OutboundMapping.objects.create(connection=hubspot, contact_field="notes", external_field="notes_summary")
    assert problems(api.post("/api/update-crm-config", {"custom_fields": []})) == {
        "custom_fields": "field_in_use"
    }


def test_a_request_is_stored_whole_or_not_at_all(api):
    response = api.post(
        "/api/update-crm-config",
        {"custom_fields": [NOTES], "crm_analysis_data_mappings": [mapping(field="nowhere")]},
    )
    assert list(problems(response)) == ["crm_analysis_data_mappings.0.field_name"]
    assert not CustomField.objects.exists()


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        (mapping(field="phone_number"), "crm_analysis_data_mappings.0.field_name"),
        (mapping(field="plan", mode="merge"), "crm_analysis_data_mappings.0.update_mode"),
        (mapping(field="do_not_call", mode="merge"), "crm_analysis_data_mappings.0.update_mode"),
        (mapping(mode="append"), "crm_analysis_data_mappings.0.update_mode"),
        ({"field_name": "notes"}, "crm_analysis_data_mappings.0.analysis_data_name"),
    ],
)
def test_a_mapping_that_breaks_a_rule_is_refused_by_its_path(api, wanted, path):
    update(api, custom_fields=[NOTES, PLAN])
    response = api.post("/api/update-crm-config", {"crm_analysis_data_mappings": [wanted]})
    assert path in problems(response)
    assert not AnalysisMapping.objects.exists()


def test_mappings_that_stay_keep_their_row_when_the_list_is_replaced(api):
    update(api, custom_fields=[NOTES], crm_analysis_data_mappings=[mapping(), mapping("mood")])
    row = AnalysisMapping.objects.get(analysis_field="summary").pk
    wanted = [mapping("next_step"), mapping(mode="merge")]
    assert update(api, crm_analysis_data_mappings=wanted)["crm_analysis_data_mappings"] == wanted
    assert AnalysisMapping.objects.get(analysis_field="summary").pk == row


@pytest.mark.parametrize("cleared", [None, []])
def test_tags_are_trimmed_replaced_and_cleared(api, cleared):
    config = update(api, contact_tags=[{"id": VIP, "label": "  VIP "}])
    assert config["contact_tags"] == [{"id": VIP, "label": "VIP"}]
    assert update(api, contact_tags=cleared)["contact_tags"] == []


def test_tags_come_back_in_the_order_they_were_sent_and_new_ones_stand_behind(api):
    tags = [{"id": VIP, "label": "VIP"}, {"id": LEAD, "label": "Lead"}]
    assert update(api, contact_tags=tags)["contact_tags"] == tags
    assert update(api, contact_tags=tags[::-1])["contact_tags"] == tags[::-1]
    made = ContactTag.objects.create(label="A fair")
    assert [tag["id"] for tag in update(api)["contact_tags"]] == [LEAD, VIP, made.pk]


def test_tags_can_swap_their_labels(api):
    update(api, contact_tags=[{"id": VIP, "label": "VIP"}, {"id": LEAD, "label": "Lead"}])
    swapped = [{"id": VIP, "label": "Lead"}, {"id": LEAD, "label": "VIP"}]
    assert update(api, contact_tags=swapped)["contact_tags"] == swapped


def test_the_letters_of_a_tags_id_may_be_of_either_case(api):
    assert update(api, contact_tags=[{"id": VIP.upper(), "label": "VIP"}])["contact_tags"][0]["id"] == VIP
    sent = {"phone_number": "+14155550100", "contact_tag_ids": [VIP.upper()]}
    assert [tag["id"] for tag in api.post("/api/create-contact", sent).json()["contact_tags"]] == [VIP]
    tagged = {"contact_tag_ids": {"type": "enum", "op": "in", "value": [VIP.upper()]}}
    assert api.post("/api/list-contacts", {"filter_criteria": tagged}).json()["total"] == 1
    twice = [{"id": VIP, "label": "A"}, {"id": VIP.upper(), "label": "B"}]
    assert problems(api.post("/api/update-crm-config", {"contact_tags": twice})) == {
        "contact_tags.1.id": "repeated"
    }


def test_a_tag_left_out_stays_on_its_contacts_unseen_and_shows_again_when_listed_again(api):
    update(api, contact_tags=[{"id": VIP, "label": "VIP"}])
    made = api.post("/api/create-contact", {"phone_number": "+14155550100", "contact_tag_ids": [VIP]}).json()
    update(api, contact_tags=[{"id": LEAD, "label": "VIP"}])
    assert api.get(f"/api/get-contact/{made['contact_id']}").json()["contact_tags"] == []
    update(api, contact_tags=[{"id": VIP, "label": "Very important"}])
    assert api.get(f"/api/get-contact/{made['contact_id']}").json()["contact_tags"] == [
        {"id": VIP, "label": "Very important"}
    ]


@pytest.mark.parametrize(
    ("tags", "path"),
    [
        ([{"id": "abc", "label": "VIP"}], "contact_tags.0.id"),
        ([{"id": "g" * 32, "label": "VIP"}], "contact_tags.0.id"),
        ([{"id": VIP, "label": "  "}], "contact_tags.0.label"),
        ([{"id": VIP, "label": "A"}, {"id": VIP, "label": "B"}], "contact_tags.1.id"),
        ([{"id": VIP, "label": "A"}, {"id": LEAD, "label": "A"}], "contact_tags.1.label"),
    ],
)
def test_a_tag_that_breaks_a_rule_is_refused_by_its_path(api, tags, path):
    assert list(problems(api.post("/api/update-crm-config", {"contact_tags": tags}))) == [path]
    assert not ContactTag.objects.exists()


def test_the_memory_prompt_is_kept_and_null_restores_the_preset(api):
    prompt = "Keep {{first_name}}'s wishes."
    assert update(api, contact_memory_update_prompt=prompt)["contact_memory_update_prompt"] == prompt
    assert update(api, contact_memory_update_prompt=None)["contact_memory_update_prompt"] is None


@pytest.mark.parametrize(
    "key", ["org_id", "last_sync_timestamp", "default_contact_memory_update_prompt", "custom_feilds"]
)
def test_keys_that_are_not_accepted_are_refused(api, key):
    assert problems(api.post("/api/update-crm-config", {key: "x"})) == {key: "unknown_key"}


def test_the_app_of_first_rank_is_the_linked_one_and_linking_another_reads_it_anew(api):
    first = Connection.objects.create(provider="salesforce", name="Salesforce", rank=10, cursor="c1")
    second = Connection.objects.create(provider="hubspot", name="HubSpot", rank=10, cursor="c2")
    assert api.get("/api/get-crm-config").json()["app_id"] == first.public_id
    assert update(api, app_id=first.public_id)["app_id"] == first.public_id
    first.refresh_from_db()
    assert first.cursor == "c1"
    assert update(api, app_id=second.public_id)["app_id"] == second.public_id
    first.refresh_from_db()
    second.refresh_from_db()
    assert (second.cursor, second.enabled) == ("", True)
    assert second.rank < first.rank
    assert (first.cursor, first.enabled) == ("c1", True)


def test_null_unlinks_and_stops_all_syncing_and_linking_starts_it_again(api):
    ours = Connection.objects.create(provider="salesforce", name="Salesforce", cursor="c1")
    other = Connection.objects.create(provider="hubspot", name="HubSpot")
    assert "app_id" not in update(api, app_id=None)
    assert not Connection.objects.filter(enabled=True).exists()
    assert update(api, app_id=ours.public_id)["app_id"] == ours.public_id
    ours.refresh_from_db()
    other.refresh_from_db()
    assert (ours.enabled, ours.cursor, other.enabled) == (True, "", False)


def test_unlinking_ends_the_run_that_waits_so_that_the_next_one_reads_everything(api):
    ours = Connection.objects.create(provider="salesforce", name="Salesforce", cursor="c1")
    waiting = SyncRun.objects.create(connection=ours, cursor="c1")
    update(api, app_id=None)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.finished_at is not None) == ("cancelled", True)
    update(api, app_id=ours.public_id)
    assert api.post("/api/run-sync-job").json()["status"] == "queued"


def test_linking_an_app_that_does_not_exist_is_a_422(api):
    for app_id in ("app_" + "0" * 24, "nonsense"):
        assert api.post("/api/update-crm-config", {"app_id": app_id}).status_code == 422


def test_values_of_a_removed_field_are_not_shown(api):
    update(api, custom_fields=[NOTES])
    contact = create_contact("+14155550100", {}, source=Source("person")).contact
    change_contact(contact.pk, {"notes": "likes tea"}, source=Source("person"))
    shown = f"/api/get-contact/{contact.public_id}"
    assert api.get(shown).json()["custom_fields"] == {"notes": "likes tea"}
    update(api, custom_fields=[])
    assert api.get(shown).json()["custom_fields"] == {}


def test_the_log_tells_which_key_changed_the_setup_and_no_value_of_it(api, caplog):
    app = api.post("/api/create-app", {"provider": "hubspot", "type": "crm", "name": "Acme"}).json()
    api.patch(
        f"/api/update-app/{app['app_id']}", {"auth_config": {"type": "api_key", "api_key": "pat-secret"}}
    )
    api.post("/api/update-crm-config", {"contact_memory_update_prompt": "Short."})
    api.delete(f"/api/delete-app/{app['app_id']}")
    key = ApiKey.objects.get()
    for event in ("app_created", "app_changed", "config_changed", "app_deleted"):
        assert event in caplog.text
    assert caplog.text.count(f"'key': '{key.ref}'") == 4
    assert "pat-secret" not in caplog.text
    assert "Short." not in caplog.text
