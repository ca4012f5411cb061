"""Imports of CSV files: taken in, previewed, carried out piece by piece, resumed, stopped, and undone as a whole."""

from __future__ import annotations

import io
import tracemalloc
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import override_settings
from django.utils import timezone

from contacts.changes import Source, change_contact, change_numbers, create_contact
from contacts.csv_reading import BadFile
from contacts.import_rows import Outcome, Policy
from contacts.models import Contact, ContactChange, ContactTag, ContactTouched, CustomField
from sync import import_store, import_work
from sync.import_store import prune_imports, store_upload
from sync.import_work import import_some
from sync.imports import (
    BadWish,
    ImportBegun,
    ImportOpen,
    Wish,
    cancel_import,
    check,
    preview,
    request_import,
    wish_of,
)
from sync.models import ContactImport, ImportPiece
from sync.undo import undo
from sync.undo_plan import of_import
from tests.fakes.crashes import Killed, killed_at_commit

pytestmark = pytest.mark.django_db
ADA, GRACE = "+14155550100", "+14155550101"
PERSON = Source("person", "person:1", "olga")
WISH = Wish([("Phone", "phone_number"), ("Name", "first_name"), ("Plan", "plan"), ("Stop", "do_not_call")])
LIST = f"Phone,Name,Plan,Stop\n(415) 555-0100,Augusta,pro,\n{GRACE},Grace,Free,yes\n12,Linus,,\n{GRACE},Grace H,,\n"


@pytest.fixture(autouse=True)
def _fields(db: None) -> None:
    CustomField.objects.create(name="plan", label="Plan", type="enum", options=["Free", "Pro"])


@pytest.fixture
def ada(db: None) -> Contact:
    """A contact that a person has made."""
    return create_contact(ADA, {"first_name": "Ada", "plan": "Free"}, source=PERSON).contact


def upload(content: str | bytes = LIST, name: str = "list.csv") -> ContactImport:
    """A file, taken in."""
    raw = content.encode() if isinstance(content, str) else content
    return store_upload(io.BytesIO(raw), name=name, size=len(raw), by="olga")


def people(count: int) -> str:
    """A file of so many people with numbers of their own."""
    return "Phone,Name\n" + "".join(f"+1415{2_000_000 + n},Person {n}\n" for n in range(count))


def carry_out(job: ContactImport, wish: Wish = WISH) -> ContactImport:
    """Import it to its end."""
    request_import(job, wish, by="olga")
    work()
    job.refresh_from_db()
    return job


def work() -> int:
    """Everything that is due; returns how often there was something."""
    rounds = 0
    while import_some():
        rounds += 1
    return rounds


def figures(job: ContactImport) -> tuple[int, int, int, int]:
    """Created, updated, unchanged, rejected."""
    job.refresh_from_db()
    return job.created, job.updated, job.unchanged, job.rejected


def latest(contact: Contact) -> ContactChange:
    """The newest row of a contact's history."""
    return contact.changes.order_by("-id")[0]


def test_an_import_creates_updates_and_rejects_and_has_one_source(ada: Contact) -> None:
    job = carry_out(upload())
    assert (job.state, figures(job)) == ("done", (1, 2, 0, 1))
    ada.refresh_from_db()
    assert (ada.first_name, ada.value("plan")) == ("Augusta", "Pro")
    grace = Contact.objects.get(phone_number=GRACE)
    assert (grace.first_name, grace.do_not_call, grace.value("plan")) == ("Grace H", True, "Free")
    assert latest(ada).diff == {"first_name": ["Ada", "Augusta"], "plan": ["Free", "Pro"]}
    rows = ContactChange.objects.filter(source_ref=job.ref)
    assert {(row.source_kind, row.source_label) for row in rows} == {("import", "Import of list.csv by olga")}
    assert [row.contact_id for row in rows.order_by("contact_id")] == [ada.pk, grace.pk]
    refused = [one for piece in job.pieces.all() for one in piece.refused()]
    assert [(line, cells[1], fault) for line, cells, fault, _ in refused] == [(4, "Linus", "phone_number")]


def test_the_preview_tells_what_the_import_then_does(ada: Contact) -> None:
    job = upload()
    before = ContactChange.objects.count()
    found = preview(job, WISH)
    assert [one.outcome.value for one in found.decisions] == ["updated", "created", "rejected", "updated"]
    assert found.counts == {"created": 1, "updated": 2, "unchanged": 0, "rejected": 1}
    assert found.decisions[0].changes == {"first_name": ("Ada", "Augusta"), "plan": ("Free", "Pro")}
    assert (ContactChange.objects.count(), Contact.objects.count()) == (before, 1)
    carry_out(job)
    told = dict(zip(Outcome, figures(job), strict=True))
    assert {outcome.value: number for outcome, number in told.items()} == found.counts


def test_importing_the_same_file_again_changes_nothing(ada: Contact) -> None:
    carry_out(upload())
    again = carry_out(upload(f"Phone,Name,Plan,Stop\n{ADA},Augusta,Pro,\n{GRACE},Grace H,Free,yes\n"))
    assert figures(again) == (0, 0, 2, 0)
    assert not ContactChange.objects.filter(source_ref=again.ref).exists()


def test_an_opt_out_is_kept_counted_and_set_by_an_import(ada: Contact) -> None:
    change_contact(ada.pk, {"do_not_call": True}, source=PERSON)
    job = carry_out(upload(f"Phone,Name,Plan,Stop\n{ADA},Augusta,,no\n"))
    ada.refresh_from_db()
    assert (ada.first_name, ada.do_not_call, job.kept) == ("Augusta", True, 1)


def test_a_former_number_makes_no_contact_and_changes_none(ada: Contact) -> None:
    change_numbers({ada.pk: GRACE}, source=PERSON)
    job = carry_out(upload(f"Phone,Name,Plan,Stop\n{ADA},Stranger,,\n"))
    assert figures(job) == (0, 0, 0, 1)
    assert Contact.objects.get().first_name == "Ada"


def test_numbers_are_read_with_the_default_country(db: None) -> None:
    wish = Wish([("Phone", "phone_number")], region="de")
    carry_out(upload("Phone\n030 231250\n"), wish)
    assert Contact.objects.get().phone_number == "+4930231250"


def test_tags_are_made_once_and_given_to_everybody_whom_a_row_meets(ada: Contact) -> None:
    vip = ContactTag.objects.create(label="VIP")
    ada.tags.add(vip)
    wish = Wish(WISH.mapping, [" Fair ", "VIP", "Fair", ""], policy=Policy.CREATE_ONLY)
    job = carry_out(upload(), wish)
    assert sorted(ContactTag.objects.values_list("label", flat=True)) == ["Fair", "VIP"]
    assert all(sorted(t.label for t in one.tags.all()) == ["Fair", "VIP"] for one in Contact.objects.all())
    ada.refresh_from_db()
    assert (figures(job), ada.first_name) == ((1, 0, 2, 1), "Ada")


def test_what_an_import_wrote_is_pushed_like_bulk_work(ada: Contact) -> None:
    ContactTouched.objects.all().delete()
    carry_out(upload())
    notes = ContactTouched.objects.values_list("contact_id", "urgent")
    assert sorted(notes) == [(one.pk, False) for one in Contact.objects.order_by("pk")]


def test_an_archived_contact_comes_back_with_an_import(ada: Contact) -> None:
    Contact.objects.update(archived_at=timezone.now())
    carry_out(upload(f"Phone,Name,Plan,Stop\n{ADA},,,\n"))
    assert Contact.objects.get().archived_at is None


def test_an_import_is_undone_as_a_whole_and_keeps_whom_it_created(ada: Contact) -> None:
    job = carry_out(upload())
    change_contact(ada.pk, {"plan": None}, source=PERSON)
    result = undo(of_import(job), "olga")
    ada.refresh_from_db()
    assert (ada.first_name, ada.value("plan")) == ("Ada", None)
    assert (result.restored, result.skipped) == (1, {"changed_since": 1, "creation": 1})
    assert Contact.objects.filter(phone_number=GRACE).exists()
    assert undo(of_import(job), "olga").restored == 0


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("commit", [1, 2, 3, 4])
@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_costs_nothing_and_no_row_is_imported_twice(
    commit: int, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_store, "PIECE_ROWS", 3)
    job = request_import(upload(people(8)), Wish(WISH.mapping[:2]), by="olga")
    with pytest.raises(Killed), killed_at_commit(commit, after=after):
        work()
    with time_machine.travel(timezone.now() + timedelta(minutes=4)):
        work()
    assert figures(job) == (8, 0, 0, 0)
    assert job.state == "done"
    assert ContactChange.objects.filter(source_ref=job.ref).count() == 8


def test_a_piece_that_somebody_else_holds_is_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    job = request_import(upload(people(3)), Wish(WISH.mapping[:2]), by="olga")
    ContactImport.objects.update(claimed_until=timezone.now() + timedelta(minutes=1))
    assert import_some() == 0
    stale = ContactImport.objects.get()
    ContactImport.objects.update(claimed_until=None)
    import_some()
    # A worker that lost its lease and comes back late finds the position moved.
    assert import_work._apply(stale, check(stale, wish_of(stale))) == 0
    assert figures(job) == (3, 0, 0, 0)


def test_each_call_is_one_piece_so_that_urgent_work_gets_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_store, "PIECE_ROWS", 3)
    job = request_import(upload(people(8)), Wish(WISH.mapping[:2]), by="olga")
    assert [import_some(), ContactImport.objects.get().done, ContactImport.objects.get().state] == [
        3,
        3,
        "running",
    ]
    assert work() == 2
    assert figures(job) == (8, 0, 0, 0)


def test_a_stopped_import_keeps_what_was_done_and_can_be_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_store, "PIECE_ROWS", 3)
    job = request_import(upload(people(8)), Wish(WISH.mapping[:2]), by="olga")
    import_some()
    assert cancel_import(job)
    assert (import_some(), Contact.objects.count(), cancel_import(job)) == (0, 3, False)
    assert figures(job) == (3, 0, 0, 0)


def test_what_breaks_our_code_five_times_ends_the_import_with_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = request_import(upload(), WISH, by="olga")
    ImportPiece.objects.update(rows=[["no", "row", "at all"]])
    for hours in range(1, 6):
        with time_machine.travel(timezone.now() + timedelta(hours=hours)):
            assert import_some() == 1
    job.refresh_from_db()
    assert (job.state, job.open) == ("failed", None)
    assert "5 times" in job.error


def test_a_piece_that_kills_its_workers_is_given_up(db: None) -> None:
    job = request_import(upload(), WISH, by="olga")
    ContactImport.objects.update(attempts=5)
    assert import_some() == 0
    job.refresh_from_db()
    assert (job.state, Contact.objects.count()) == ("failed", 0)


def test_a_field_that_was_removed_meanwhile_ends_the_import_and_says_so(db: None) -> None:
    job = request_import(upload(), WISH, by="olga")
    CustomField.objects.all().delete()
    import_some()
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", "There is no contact field plan.")


@pytest.mark.parametrize(
    ("changes", "at", "rule"),
    [
        ({"mapping": [("Name", "first_name")]}, "column_mapping", "phone_number_missing"),
        ({"mapping": [("Phone", "phone_number"), ("Name", "phone_number")]}, "column_mapping.1.field_name", "field_twice"),
        ({"mapping": [("Phone", "phone_number"), ("Name", "colour")]}, "column_mapping.1.field_name", "unknown_field"),
        ({"mapping": [("Tel", "phone_number")]}, "column_mapping.0.external_field_name", "unknown_header"),
        ({"region": "USA"}, "default_country", "unknown_country"),
        ({"tags": ["x" * 121]}, "contact_tags.0", "too_long"),
    ],
)  # fmt: skip
def test_a_wish_that_cannot_be_met_names_its_part(changes: dict[str, Any], at: str, rule: str) -> None:
    wish = Wish(**({"mapping": WISH.mapping} | changes))
    with pytest.raises(BadWish) as refused:
        request_import(upload(), wish, by="olga")
    assert (refused.value.at, refused.value.rule) == (at, rule)
    assert ContactImport.objects.get().state == "uploaded"


def test_one_import_is_open_at_a_time_and_a_file_is_imported_once(db: None) -> None:
    first, second = upload(), upload()
    request_import(first, WISH, by="olga")
    with pytest.raises(ImportOpen, match=r"list\.csv"):
        request_import(second, Wish(WISH.mapping, ["New"]), by="olga")
    assert not ContactTag.objects.exists()
    work()
    with pytest.raises(ImportBegun, match="Upload the file again"):
        request_import(first, WISH, by="olga")
    with pytest.raises(ImportBegun):
        preview(first, WISH)
    assert figures(carry_out(second)) == (0, 2, 1, 1)


@pytest.mark.parametrize(
    ("content", "rule"), [("", "empty_file"), ("Phone\n", "no_rows"), ('Phone\n1\n2\n"3', "quotes")]
)
def test_nothing_is_kept_of_a_file_that_cannot_be_read(
    content: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_store, "PIECE_ROWS", 1)
    with pytest.raises(BadFile) as refused:
        upload(content)
    assert refused.value.rule == rule
    assert (ContactImport.objects.count(), ImportPiece.objects.count()) == (0, 0)


@override_settings(CRMSYNC_IMPORT_MAX_MB=1)
def test_a_file_that_is_too_large_is_refused_before_it_is_read(db: None) -> None:
    with pytest.raises(BadFile, match="1 MB"):
        upload("x" * (1024 * 1024 + 1))


@pytest.mark.parametrize(
    ("name", "kept"),
    [("C:\\Users\\ada\\list.csv", "list.csv"), ("/home/\x00a.csv", "a.csv"), ("", "contacts.csv")],
)
def test_of_the_files_name_only_the_last_part_is_kept(name: str, kept: str) -> None:
    assert upload(name=name).file_name == kept


def test_uploads_go_after_a_day_and_rows_after_thirty(db: None) -> None:
    done = carry_out(upload())
    upload(name="forgotten.csv")
    with time_machine.travel(timezone.now() + timedelta(days=2)):
        assert prune_imports() == 2
        fresh = upload(name="fresh.csv")
    with time_machine.travel(timezone.now() + timedelta(days=31)):
        ContactImport.objects.filter(pk=fresh.pk).update(created_at=timezone.now())
        prune_imports()
    assert list(ContactImport.objects.values_list("pk", flat=True)) == [fresh.pk, done.pk]
    assert (done.pieces.count(), fresh.pieces.count()) == (0, 1)


def test_a_large_file_costs_no_more_memory_than_a_small_one(db: None) -> None:
    content = io.BytesIO(people(20_000).encode())
    tracemalloc.start()
    job = store_upload(content, name="large.csv", size=len(content.getvalue()), by="olga")
    request_import(job, Wish(WISH.mapping[:2]), by="olga")
    for _ in range(5):
        import_some()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (ContactImport.objects.get().rows, figures(job)[0]) == (20_000, 1000)
    assert peak < 8_000_000


def test_a_piece_takes_the_same_few_queries_however_many_rows_it_has(
    django_assert_max_num_queries: Any,
) -> None:
    job = request_import(upload(people(200)), Wish(WISH.mapping[:2], ["New"]), by="olga")
    with django_assert_max_num_queries(32):
        import_some()
    assert figures(job)[0] == 200
