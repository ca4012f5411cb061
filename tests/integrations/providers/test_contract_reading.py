"""What every provider must do when it reads: one suite for all CRMs."""

from datetime import UTC, datetime

import pytest

from contacts.values import FieldType
from integrations.providers.base import ActivityKind, Page, Record
from integrations.providers.errors import AuthError, ConfigError, RateLimited, Transient
from tests.integrations.providers.crms import Crm


def fields_of(crm: Crm, *words: str) -> list[str]:
    return [crm.names[word] for word in words]


def records_in(pages: list[Page]) -> list[Record]:
    return [record for page in pages for record in page.records]


def test_check_says_which_account_it_is(crm: Crm) -> None:
    account = crm.provider().check()
    assert account.account_id
    assert account.name
    assert account.web_base.startswith("http")


def test_wrong_credentials_are_an_auth_error(crm: Crm) -> None:
    with pytest.raises(AuthError):
        crm.stranger().check()


def test_the_schema_tells_types_options_and_what_may_be_written(crm: Crm) -> None:
    fields = {field.name: field for field in crm.provider().fields()}
    types = {
        word: fields[crm.names[word]].type for word in ("first", "value", "vip", "renewal", "visited", "plan")
    }
    assert types == {
        "first": FieldType.STRING,
        "value": FieldType.NUMBER,
        "vip": FieldType.BOOLEAN,
        "renewal": FieldType.DATE,
        "visited": FieldType.DATETIME,
        "plan": FieldType.ENUM,
    }
    plan = fields[crm.names["plan"]]
    assert len([option for option in plan.options if option.active]) == 4
    assert crm.pro in [option.value for option in plan.options]
    assert plan.restricted
    assert fields[crm.names["phone"]].phone
    assert fields[crm.names["first"]].writable
    assert not fields[crm.names["score"]].writable


def test_the_first_listing_has_every_record_once_and_ends(crm: Crm) -> None:
    pages = list(crm.provider().changes("", fields_of(crm, "first", "phone")))
    ids = [record.external_id for record in records_in(pages)]
    assert len(ids) == len(set(ids)) == crm.contacts()
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert all(page.cursor for page in pages)
    assert pages[0].total == crm.contacts()


def test_after_a_listing_only_what_changed_is_read(crm: Crm) -> None:
    provider, fields = crm.provider(), fields_of(crm, "first")
    first = list(provider.changes("", fields))
    changed = records_in(first)[0].external_id
    assert records_in(list(provider.changes(first[-1].cursor, fields))) == []
    crm.edit(changed, first="Grace")
    again = list(provider.changes(first[-1].cursor, fields))
    assert [(one.external_id, one.values[fields[0]]) for one in records_in(again)] == [(changed, "Grace")]
    assert records_in(again)[0].modified is not None


def test_what_was_changed_shortly_before_the_cursor_is_read_again(crm: Crm) -> None:
    provider, fields = crm.provider(), fields_of(crm, "first")
    changed = crm.add(first="Ada", last="Lovelace")
    cursor = list(provider.changes("", fields))[-1].cursor
    again = list(provider.changes(cursor, fields))
    assert changed in [one.external_id for one in records_in(again)]


def test_changes_are_found_whatever_the_vendors_clock_says(crm: Crm) -> None:
    provider, fields = crm.provider(), fields_of(crm, "first")
    crm.pass_time()
    cursor = list(provider.changes("", fields))[-1].cursor
    late = crm.add(first="Ada", last="Lovelace")
    found = records_in(list(provider.changes(cursor, fields)))
    assert late in [one.external_id for one in found]


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_listing_goes_on_from_the_cursor_of_any_page(crm: Crm, stop_after: int) -> None:
    crm.restock(crm.several_pages)
    provider, fields = crm.provider(), fields_of(crm, "first")
    begun = []
    for page in provider.changes("", fields):
        begun.append(page)
        if len(begun) == stop_after:
            break
    rest = [] if begun[-1].last else list(crm.provider().changes(begun[-1].cursor, fields, full=True))
    ids = {one.external_id for one in records_in(begun + rest)}
    assert len(ids) == crm.contacts()
    assert not {one.external_id for one in records_in(begun)} & {one.external_id for one in records_in(rest)}


def test_a_full_listing_reads_everything_again(crm: Crm) -> None:
    provider, fields = crm.provider(), fields_of(crm, "first")
    cursor = list(provider.changes("", fields))[-1].cursor
    again = records_in(list(provider.changes(cursor, fields, full=True)))
    assert len(again) == crm.contacts()


def test_a_full_listing_shows_deleted_records_as_deleted(crm: Crm) -> None:
    provider, fields = crm.provider(), fields_of(crm, "first")
    gone = crm.add(first="Ada", last="Lovelace")
    crm.delete(gone)
    found = {one.external_id: one for one in records_in(list(provider.changes("", fields)))}
    assert found[gone].deleted
    assert not any(one.deleted for key, one in found.items() if key != gone)


def test_a_merge_can_be_followed_from_the_listing_and_by_id(crm: Crm) -> None:
    provider, fields = crm.provider(), fields_of(crm, "first")
    winner, loser = crm.add(first="Ada", last="Lovelace"), crm.add(first="Ada", last="Byron")
    cursor = list(provider.changes("", fields))[-1].cursor
    crm.merge(winner, loser)
    found = records_in(list(provider.changes(cursor, fields)))
    followed = {one.merged_into for one in found if one.external_id == loser}
    followed |= {one.external_id for one in found if loser in one.merged_ids}
    by_id = provider.read([loser], fields)[loser]
    assert by_id.deleted
    assert by_id.merged_into in followed
    survivor = provider.read([str(by_id.merged_into)], fields)[str(by_id.merged_into)]
    assert not survivor.deleted
    assert survivor.values[fields[0]] == "Ada"


def test_reading_by_id_skips_what_is_missing_and_keeps_blanks_apart(crm: Crm) -> None:
    provider, fields = crm.provider(), fields_of(crm, "first", "notes")
    one = crm.add(first="Ada", last="Lovelace")
    gone = crm.add(first="Grace", last="Hopper")
    crm.delete(gone)
    found = provider.read([one, "999999999999999", "no id at all", gone], fields)
    assert found[one].values == {fields[0]: "Ada", fields[1]: None}
    assert found[gone].deleted
    assert set(found) == {one, gone}


def test_values_are_canonical_for_every_type(crm: Crm) -> None:
    words = ("first", "plan", "value", "renewal", "visited", "vip")
    one = crm.add(first="  Ada ", last="Lovelace", phone="(415) 555-0142")
    moment = "2026-05-14T09:30:00Z"
    crm.edit(one, **native(crm, plan=crm.pro, value=12.5, renewal="2026-05-14", visited=moment, vip=True))
    values = crm.provider().read([one], fields_of(crm, *words))[one].values
    got = [values[crm.names[word]] for word in words[1:]]
    assert got == [crm.pro, 12.5, "2026-05-14", moment, True]
    crm.edit(one, **native(crm, value=0, vip=False))
    values = crm.provider().read([one], fields_of(crm, "value", "vip"))[one].values
    assert repr(list(values.values())) == "[0, False]"


def native(crm: Crm, **values: object) -> dict[str, object]:
    """Values as the CRM's own users would store them: HubSpot keeps texts."""
    if "firstname" not in crm.names.values():
        return values
    return {
        word: str(value).lower() if isinstance(value, bool) else str(value) for word, value in values.items()
    }


def test_a_number_is_found_however_it_is_spelled(crm: Crm) -> None:
    provider = crm.provider()
    one = crm.add(first="Ada", last="Lovelace", phone="1-415-555-0142")
    two = crm.add(first="Grace", last="Hopper", mobile="+1 415 555 0143")
    phones = fields_of(crm, "phone", "mobile")
    found = provider.find_by_phone(
        ["+14155550142", "+14155550143", "+14155550149"], fields_of(crm, "first"), phones
    )
    assert {number: [one.external_id for one in records] for number, records in found.items()} == {
        "+14155550142": [one],
        "+14155550143": [two],
    }
    assert found["+14155550142"][0].values[crm.names["first"]] == "Ada"


def test_a_deleted_record_is_not_found_by_phone(crm: Crm) -> None:
    gone = crm.add(first="Ada", last="Lovelace", phone="+14155550142")
    crm.delete(gone)
    assert crm.provider().find_by_phone(["+14155550142"], [], fields_of(crm, "phone")) == {}


def test_a_field_that_is_not_there_is_named(crm: Crm) -> None:
    provider = crm.provider()
    with pytest.raises(ConfigError) as caught:
        list(provider.changes("", [crm.names["first"], "Vanished__c"]))
    assert caught.value.field == "Vanished__c"
    with pytest.raises(ConfigError) as caught:
        provider.read([crm.add(first="Ada", last="Lovelace")], ["Vanished__c"])
    assert caught.value.field == "Vanished__c"


def test_the_days_quota_pauses_and_tells_so(crm: Crm) -> None:
    crm.refuse("changes", "daily")
    with pytest.raises(RateLimited) as caught:
        list(crm.provider().changes("", fields_of(crm, "first")))
    assert caught.value.daily
    assert caught.value.retry_after >= 600


def test_an_unavailable_crm_is_transient(crm: Crm) -> None:
    for _ in range(12):
        crm.refuse("changes", "unavailable")
    with pytest.raises(Transient) as caught:
        list(crm.provider().changes("", fields_of(crm, "first")))
    assert not isinstance(caught.value, RateLimited)


def test_stamps_are_aware_and_in_utc(crm: Crm) -> None:
    one = crm.add(first="Ada", last="Lovelace")
    modified = crm.provider().read([one], fields_of(crm, "first"))[one].modified
    assert modified is not None
    assert modified.tzinfo is UTC
    assert modified > datetime(2026, 1, 1, tzinfo=UTC)


def test_people_see_records_and_activities_somewhere(crm: Crm) -> None:
    provider = crm.provider()
    assert isinstance(provider.web_url("1"), str)
    assert isinstance(provider.activity_url("2", ActivityKind.CALL, "1"), str)


def test_permissions_tell_what_may_be_done_and_change_nothing(crm: Crm) -> None:
    before, provider = crm.contacts(), crm.provider()
    may = provider.permissions()
    assert (may.create_contacts, may.update_contacts, may.log_activities) == (True, True, True)
    assert may.lacking == ()
    assert (crm.contacts(), crm.writes()) == (before, 0)


def test_calls_are_counted(crm: Crm) -> None:
    provider = crm.provider()
    assert provider.calls == 0
    provider.check()
    once = provider.calls
    provider.check()
    assert 1 <= once < provider.calls
