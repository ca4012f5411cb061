"""SOQL in the stand-in Salesforce: what it answers, and what it refuses."""

import time
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from sandbox.salesforce import moments
from sandbox.salesforce.date_literals import span
from sandbox.seed import expected, people
from tests.sandbox.salesforce_asking import BASE, Org


@pytest.fixture(scope="module")
def org() -> Org:
    org = Org(200)
    org.create("Contact", FirstName="Ada", LastName="O'Brien", Nickname__c="50%_off", Interests__c="a\\b")
    org.create(
        "Contact",
        FirstName="ada",
        LastName="Zuse",
        Phone="+14155550007",
        Lifetime_Value__c=12.5,
        VIP__c=True,
        Topics__c="Sailing;Chess",
    )
    return org


def names(org: Org, where: str) -> list[str]:
    return [
        row["LastName"] for row in org.found(f"SELECT LastName FROM Contact WHERE {where} ORDER BY LastName")
    ]


def test_the_seeded_contacts_have_the_counts_they_were_built_to_have() -> None:
    org, want = Org(200), expected(200)
    assert org.query("SELECT COUNT() FROM Contact")[1] == {
        "totalSize": want.records,
        "done": True,
        "records": [],
    }
    assert org.found("SELECT COUNT(Id) n FROM Contact WHERE Phone = null") == [{"n": want.no_phone}]
    first = org.found(
        "SELECT FirstName, LastName, Phone, SystemModstamp FROM Contact ORDER BY SystemModstamp LIMIT 1"
    )
    ada = people("salesforce", 200)[0]
    assert first == [
        {
            "FirstName": ada.first_name,
            "LastName": ada.last_name,
            "Phone": (ada.phone or "").strip(),
            "SystemModstamp": moments.written(ada.modified),
        }
    ]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("FirstName = 'ADA' AND LastName LIKE 'zu%'", ["Zuse"]),
        ("LastName = 'O\\'Brien' AND Nickname__c != null", ["O'Brien"]),
        ("Nickname__c LIKE '50\\%\\_%'", ["O'Brien"]),
        ("Nickname__c LIKE '50_x%'", []),
        ("Interests__c = 'A\\\\B'", ["O'Brien"]),
        ("Phone IN ('+14155550007', '(415) 555-0007')", ["Zuse"]),
        ("Lifetime_Value__c = 12.5", ["Zuse"]),
        ("Lifetime_Value__c >= 12.4 AND Lifetime_Value__c < 12.6", ["Zuse"]),
        (
            "(LastName = 'Zuse' AND VIP__c = true) OR (Nickname__c > '4' AND Nickname__c < '6')",
            ["O'Brien", "Zuse"],
        ),
        ("Nickname__c NOT IN (null, 'x')", ["O'Brien"]),
        ("Contact.Nickname__c != '' AND Contact.IsDeleted = false", ["O'Brien"]),
        ("NOT Phone = null AND NOT (FirstName != 'ada' OR CreatedDate < 2026-06-01T00:00:00Z)", ["Zuse"]),
        ("Account.Name = null AND CreatedDate = TODAY", ["O'Brien", "Zuse"]),
        (
            "CreatedDate > YESTERDAY AND CreatedDate < NEXT_MONTH AND Owner.IsActive = true",
            ["O'Brien", "Zuse"],
        ),
        ("CreatedDate = LAST_N_DAYS:3 AND CreatedDate >= THIS_YEAR", ["O'Brien", "Zuse"]),
        ("CreatedDate = TOMORROW", []),
        ("Topics__c INCLUDES ('Chess;Sailing', 'Gardening')", ["Zuse"]),
        ("Topics__c EXCLUDES ('Gardening') AND CreatedDate = TODAY", ["Zuse"]),
    ],
)
def test_conditions_find_what_the_vendor_would_find(org: Org, where: str, found: list[str]) -> None:
    assert names(org, where) == found


def test_ids_compare_with_case_and_text_without() -> None:
    org = Org()
    ada = org.create("Contact", LastName="Lovelace", Email="ada@example.com")
    assert names(org, f"Id = '{ada}'") == names(org, f"Id = '{ada[:15]}'") == ["Lovelace"]
    assert names(org, f"Id = '{ada[:15].lower()}'") == []
    assert names(org, "Email = 'ADA@Example.com'") == ["Lovelace"]


def test_ties_are_walked_by_stamp_and_id() -> None:
    org = Org(0)
    ids = {org.create("Contact", LastName=f"Hopper{number}") for number in range(30)}
    seen: list[str] = []
    after = "SystemModstamp >= 2026-01-01T00:00:00Z"
    while rows := org.found(
        f"SELECT Id, SystemModstamp FROM Contact WHERE {after} ORDER BY SystemModstamp, Id LIMIT 7",
        everything=True,
    ):
        seen += [row["Id"] for row in rows]
        stamp = rows[-1]["SystemModstamp"].replace(".000+0000", "Z")
        after = f"(SystemModstamp > {stamp} OR (SystemModstamp = {stamp} AND Id > '{rows[-1]['Id']}'))"
    assert len(seen) == 30
    assert set(seen) == ids


def test_datetimes_need_a_zone_and_compare_across_zones(org: Org) -> None:
    assert len(names(org, "CreatedDate > 2026-06-01T00:00:00+02:00")) == 2
    assert (
        org.refused("SELECT Id FROM Contact WHERE CreatedDate > 2026-06-01T00:00:00")[0] == "MALFORMED_QUERY"
    )
    assert (
        org.refused("SELECT Id FROM Contact WHERE CreatedDate > 2026-06-01T00:00:00 02:00")[0]
        == "MALFORMED_QUERY"
    )


def test_blanks_sort_first_unless_told_otherwise(org: Org) -> None:
    ordered = "SELECT Lifetime_Value__c FROM Contact WHERE FirstName = 'ada' AND CreatedDate > 2026-06-01T00:00:00Z ORDER BY "
    assert [row["Lifetime_Value__c"] for row in org.found(ordered + "Lifetime_Value__c")] == [None, 12.5]
    assert [row["Lifetime_Value__c"] for row in org.found(ordered + "Lifetime_Value__c DESC")] == [None, 12.5]
    assert [row["Lifetime_Value__c"] for row in org.found(ordered + "Lifetime_Value__c NULLS LAST")] == [
        12.5,
        None,
    ]


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Id, FROM Contact",
        "SELECT Id FROM Contact WHERE",
        "SELECT * FROM Contact",
        "SELECT Id FROM Contact WHERE LastName = 'a' AND FirstName = 'b' OR VIP__c = true",
        "SELECT Id FROM Contact WHERE VIP__c = true NOT LastName = 'a'",
        "SELECT Id FROM Contact WHERE LastName IS NULL",
        'SELECT Id FROM Contact WHERE LastName = "Ada"',
        "SELECT Id FROM Contact WHERE LastName = 'Ada",
        "SELECT Id FROM Contact WHERE LastName = 'A\\da'",
        "SELECT Id FROM Contact WHERE CreatedDate = LAST_N_DAYS",
        "SELECT Id FROM Contact WHERE CreatedDate = LAST_N_MOONS:3",
        "SELECT Id FROM Contact WHERE Id IN (SELECT WhoId FROM Task)",
        "SELECT Id, (SELECT Id FROM Tasks) FROM Contact",
        "SELECT Account.Owner.Name FROM Contact",
        "SELECT FIELDS(ALL) FROM Contact LIMIT 200",
        "SELECT LastName, COUNT(Id) FROM Contact",
        "SELECT MAX(SystemModstamp) FROM Contact",
        "SELECT Id FROM Contact GROUP BY Id",
        "SELECT Id FROM Contact LIMIT -1",
        "SELECT Id FROM Contact LIMIT 5 ORDER BY Id",
        "SELECT Id FROM Contact WHERE LastName <> 'a'",
        "SELECT Id FROM Contact WHERE Id IN ()",
        "SELECT Id FROM Contact; DELETE",
        "UPDATE Contact",
        "",
    ],
)
def test_anything_outside_the_grammar_is_malformed(org: Org, soql: str) -> None:
    assert org.refused(soql)[0] == "MALFORMED_QUERY"


def test_an_error_points_at_its_place(org: Org) -> None:
    assert org.refused("SELECT Id, FROM Contact") == (
        "MALFORMED_QUERY",
        "\nSELECT Id, FROM Contact\n           ^\nERROR at Row:1:Column:12\nunexpected token: 'FROM'",
    )
    code, message = org.refused("select count() from XYZZY")
    assert code == "INVALID_TYPE"
    assert message.startswith(
        "\nselect count() from XYZZY\n                    ^\nERROR at Row:1:Column:21\nsObject type 'XYZZY' is not supported."
    )


@pytest.mark.parametrize(
    ("soql", "code", "words"),
    [
        ("SELECT foo FROM Contact", "INVALID_FIELD", "No such column 'foo' on entity 'Contact'."),
        ("SELECT Id FROM Contact WHERE Foo__c = 1", "INVALID_FIELD", "No such column 'Foo__c' on entity 'Contact'."),
        ("SELECT Id FROM Contact WHERE Description = 'x'", "INVALID_FIELD", "field 'Description' can not be filtered"),
        ("SELECT Id FROM Contact ORDER BY Notes__c", "INVALID_FIELD", "field 'Notes__c' can not be sorted"),
        ("SELECT Id, id FROM Contact", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT Boss.Name FROM Contact", "INVALID_FIELD", "Didn't understand relationship 'Boss' in field path"),
        ("SELECT Account.Foo FROM Contact", "INVALID_FIELD", "No such column 'Foo' on entity 'Account'"),
        ("SELECT Id FROM Contact WHERE LastName = TODAY", "INVALID_FIELD", "must be of type string"),
        ("SELECT Id FROM Contact WHERE CreatedDate IN (TODAY)", "INVALID_FIELD", "must be of type dateTime"),
        ("SELECT Id FROM Contact WHERE LastName INCLUDES ('a')", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on string"),
        ("SELECT Id FROM Contact WHERE Topics__c LIKE 'a'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on multipicklist"),
        ("SELECT Id FROM Contact ORDER BY Topics__c", "INVALID_FIELD", "can not be sorted"),
        ("SELECT Id FROM Contact WHERE CreatedDate > '2026-01-01'", "INVALID_FIELD", "must be of type dateTime and should not"),
        ("SELECT Id FROM Contact WHERE CreatedDate > 2026-01-01", "INVALID_FIELD", "must be of type dateTime"),
        ("SELECT Id FROM Contact WHERE Birthdate = 2026-01-01T00:00:00Z", "INVALID_FIELD", "must be of type date "),
        ("SELECT Id FROM Contact WHERE VIP__c = 'true'", "INVALID_FIELD", "must be of type boolean and should not"),
        ("SELECT Id FROM Contact WHERE Lifetime_Value__c = '1'", "INVALID_FIELD", "must be of type double and should not"),
        ("SELECT Id FROM Contact WHERE Phone = 4155550007", "INVALID_FIELD", "must be of type string and should be enclosed"),
        ("SELECT Id FROM Contact WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: abc"),
        ("SELECT Id FROM Contact WHERE Id LIKE '003%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on id field"),
        ("SELECT Id FROM Contact OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"),
    ],
)  # fmt: skip
def test_what_the_org_does_not_know_or_allow_is_named(org: Org, soql: str, code: str, words: str) -> None:
    seen, message = org.refused(soql)
    assert seen == code
    assert words in message


def pages(org: Org, soql: str, options: str = "") -> list[int]:
    status, page = org.query(soql, sforce_query_options=options)
    sizes = [len(page["records"])]
    while not page["done"]:
        status, page = org.ask("GET", page["nextRecordsUrl"], sforce_query_options=options)
        assert status == 200
        sizes.append(len(page["records"]))
    return sizes


def test_pages_follow_the_batch_size_within_the_vendors_bounds() -> None:
    org = Org(900)
    assert pages(org, "SELECT Id FROM Contact", "batchSize=400") == [400, 400, 100]
    assert pages(org, "SELECT Id FROM Contact", "batchSize=1") == [
        200,
        200,
        200,
        200,
        100,
    ]
    assert pages(org, "SELECT Id FROM Contact", "batchSize=9999") == [900]
    assert pages(org, "SELECT Id, Notes__c FROM Contact") == [900]
    assert pages(org, "SELECT Id, Notes__c, Description FROM Contact") == [200, 200, 200, 200, 100]


def test_a_locator_ends_with_its_time() -> None:
    org = Org(300, locator_seconds=60)
    url = org.query("SELECT Id FROM Contact", sforce_query_options="batchSize=200")[1]["nextRecordsUrl"]
    assert url.startswith(f"{BASE}/query/0r8")
    assert len(url.rpartition("/")[2]) == len("0r8") + 15 + len("-200")
    assert org.ask("GET", url)[0] == 200
    org.clock.offset += 61
    assert org.ask("GET", url) == (
        400,
        [{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}],
    )


def test_a_uri_beyond_16384_bytes_is_refused(org: Org) -> None:
    ids = "','".join(["003000000000000AAA"] * 900)
    assert org.query(f"SELECT Id FROM Contact WHERE Id IN ('{ids}')")[0] == 414


def sosl(org: Org, text: str) -> Any:
    return org.ask("GET", f"search?{urlencode({'q': text})}")[1]


def hits(org: Org, text: str) -> list[str]:
    return [row["LastName"] for row in sosl(org, text)["searchRecords"]]


def test_search_finds_whole_numbers_only(org: Org) -> None:
    assert hits(org, "FIND {4155550007} IN PHONE FIELDS RETURNING Contact(Id, LastName), Lead(Id)") == [
        "Zuse"
    ]
    assert sosl(org, "FIND {5550007} IN PHONE FIELDS RETURNING Contact(Id)") == {"searchRecords": []}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FIND {zuse} IN NAME FIELDS RETURNING Contact(LastName)", ["Zuse"]),
        ("FIND {Ada AND Zus*} RETURNING Contact(LastName)", ["Zuse"]),
        ("FIND {Nobody OR Zuse} IN ALL FIELDS RETURNING Contact(LastName ORDER BY LastName)", ["Zuse"]),
        ("FIND {Zuse} RETURNING Contact(LastName WHERE VIP__c = true), Lead", ["Zuse"]),
        ("FIND {Zuse} RETURNING Contact(LastName WHERE VIP__c = false)", []),
        ("FIND {Ada OR Zuse} RETURNING Contact(LastName ORDER BY LastName DESC LIMIT 1)", ["Zuse"]),
        ("FIND {Zuse} IN PHONE FIELDS RETURNING Contact(LastName)", []),
        ("FIND {Zu} RETURNING Contact(LastName)", []),
    ],
)
def test_search_finds_words_in_its_fields(org: Org, text: str, found: list[str]) -> None:
    assert hits(org, text) == found


def test_a_search_that_names_no_object_gives_the_ids_of_all(org: Org) -> None:
    [row] = sosl(org, "FIND {Zuse}")["searchRecords"]
    assert (set(row), row["attributes"]["type"]) == ({"attributes", "Id"}, "Contact")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FIND {1} IN PHONE FIELDS RETURNING Contact(Id)", "MALFORMED_SEARCH"),
        ("FIND {} RETURNING Contact", "MALFORMED_SEARCH"),
        ("FIND {Ada OR}", "MALFORMED_SEARCH"),
        ("FIND 4155550007", "MALFORMED_SEARCH"),
        ("FIND {a?b} IN ALL FIELDS RETURNING Contact", "MALFORMED_SEARCH"),
        ("FIND {+14155550007} IN PHONE FIELDS RETURNING Contact(Id)", "MALFORMED_SEARCH"),
        ("FIND {Ada} IN ODD FIELDS RETURNING Contact(Id)", "MALFORMED_SEARCH"),
        ("FIND {Ada} RETURNING Contact(Id) and more", "MALFORMED_SEARCH"),
        ("FIND {Ada} RETURNING Contact(Account.Name)", "MALFORMED_SEARCH"),
        ("FIND {Ada} RETURNING Contact(Foo)", "INVALID_FIELD"),
        ("FIND {Ada} RETURNING Foo(Id)", "INVALID_TYPE"),
    ],
)
def test_a_search_that_is_none_is_refused(org: Org, text: str, code: str) -> None:
    assert sosl(org, text)[0]["errorCode"] == code


def test_fields_of_a_parent_stand_in_an_object_of_their_own(org: Org) -> None:
    [seeded] = org.found(
        "SELECT LastName, Account.Name, Account.Id, Owner.Name FROM Contact WHERE Account.Name LIKE 'A%' LIMIT 1"
    )
    assert seeded["Account"]["Name"] == "Acme"
    assert seeded["Account"]["attributes"]["type"] == "Account"
    assert seeded["Owner"]["Name"] == "Sam Seller"
    assert org.found("SELECT Account.Name FROM Contact WHERE LastName = 'Zuse'") == [{"Account": None}]


@pytest.mark.parametrize(
    ("word", "first", "after"),
    [
        ("today", (2026, 3, 18), (2026, 3, 19)),
        ("LAST_N_DAYS:2", (2026, 3, 16), (2026, 3, 19)),
        ("NEXT_90_DAYS", (2026, 3, 19), (2026, 6, 17)),
        ("N_DAYS_AGO:1", (2026, 3, 17), (2026, 3, 18)),
        ("THIS_WEEK", (2026, 3, 15), (2026, 3, 22)),
        ("LAST_MONTH", (2026, 2, 1), (2026, 3, 1)),
        ("NEXT_N_MONTHS:10", (2026, 4, 1), (2027, 2, 1)),
        ("THIS_QUARTER", (2026, 1, 1), (2026, 4, 1)),
        ("LAST_N_YEARS:2", (2024, 1, 1), (2026, 1, 1)),
    ],
)
def test_a_word_for_a_span_of_days_has_its_bounds(
    word: str, first: tuple[int, int, int], after: tuple[int, int, int]
) -> None:
    assert span(word, date(2026, 3, 18)) == (date(*first), date(*after))


def test_a_page_of_two_thousand_of_ten_thousand_is_quick() -> None:
    org = Org(10_000)
    since = moments.written(org.clock.now() - timedelta(days=999)).replace(".000+0000", "Z")
    fields = (
        "Id, FirstName, LastName, Phone, Email, DoNotCall, Plan__c, SystemModstamp, IsDeleted, MasterRecordId"
    )
    started = time.perf_counter()
    status, page = org.query(
        f"SELECT {fields} FROM Contact WHERE SystemModstamp >= {since} ORDER BY SystemModstamp, Id",
        everything=True,
    )
    assert (status, len(page["records"]), page["totalSize"]) == (200, 2000, 10_000)
    assert time.perf_counter() - started < 0.5
