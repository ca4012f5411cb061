"""Who may open and do what: every page and action, for every role."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import get_resolver, reverse

from crmsync import roles
from crmsync.pages import urls
from crmsync.roles import ADMINISTRATOR, OPERATOR, REVIEWER, ROLES, STAFF
from sync.models import SyncRun
from tests.crmsync.pages_world import World, client_of, world

pytestmark = pytest.mark.django_db
OPEN = {"login", "logout"}
READ = (
    "dashboard",
    "connection",
    "left-out",
    "agent-view",
    "reviews",
    "questions",
    "question",
    "undo-request",
    "contacts",
    "contacts-export",
    "contact",
    "contact-history",
    "imports",
    "import",
    "conversations",
    "conversation",
    "runs",
    "run",
    "issues",
    "deliveries",
    "delivery",
)
EDITORS = (ADMINISTRATOR, OPERATOR, REVIEWER)
RUNNERS = (ADMINISTRATOR, OPERATOR)


def address(name: str, known: World) -> str:
    of: dict[tuple[str, ...], list[object]] = {
        ("connection", "sync-now", "connection-test", "release-pushes", "left-out", "dry-run", "outbound", "arm", "disarm",
         "drift", "drift-repair", "setup-connection", "setup-access", "setup-mappings", "setup-dry-run", "setup-start",
         "setup-sync", "wording"): [known.connection.public_id],
        ("setup-new",): ["hubspot"],
        ("contact", "contact-edit", "contact-delete", "contact-merge", "contact-resync", "contact-history"):
            [known.contact.public_id],
        ("conversation", "conversation-attach", "conversation-log-again"): [known.conversation.pk],
        ("run", "run-approve", "run-reject", "run-cancel", "run-export"): [known.run.pk],
        ("issue-retry", "issue-ignore"): [known.connection.issues.get(kind="no_phone").pk],
        ("question", "decide", "choose-record", "thaw"): [known.question.pk],
        ("backfill", "backfill-stop"): [known.backfill.pk],
        ("import", "import-stop", "import-rejected"): [known.imported.pk],
        ("delivery",): [known.delivery.pk],
        ("review-decide",): [known.conversation.merges.get().pk],
        ("undo",): ["run", known.run.pk],
        ("undo-request",): [known.undo.pk],
        ("unknown-value",): [known.connection.public_id, known.connection.inbound_mappings.get().pk],
    }  # fmt: skip
    return reverse(name, args=next((arguments for names, arguments in of.items() if name in names), []))


def test_every_page_but_the_sign_in_sends_strangers_to_the_sign_in():
    known = world()
    for name in [str(pattern.name) for pattern in urls.urlpatterns if pattern.name not in OPEN]:
        where = address(name, known)
        for method in ("get", "post"):
            answer = getattr(Client(), method)(where)
            assert answer.status_code == 302, name
            assert answer["Location"] == f"/login/?next={where}", name


@pytest.mark.parametrize("role", ROLES)
def test_every_role_reads_every_page(role: str):
    known, client = world(), client_of(role)
    for name in READ:
        assert client.get(address(name, known)).status_code == 200, name


def test_a_person_without_a_role_reads_nothing():
    known, client = world(), client_of("")
    for name in READ:
        answer = client.get(address(name, known))
        assert answer.status_code == 403, name
        assert "Not for your role" in answer.content.decode()


@pytest.mark.parametrize("role", ROLES)
def test_staff_read_and_all_others_edit_contacts(role: str):
    answer = client_of(role).get(address("contact-edit", world()))
    assert answer.status_code == (200 if role in EDITORS else 403)


@pytest.mark.parametrize("role", ROLES)
def test_only_those_who_run_the_system_add_contacts_and_start_syncs(role: str):
    known, client = world(), client_of(role)
    assert client.get(reverse("contact-new")).status_code == (200 if role in RUNNERS else 403)
    answer = client.post(address("sync-now", known))
    assert answer.status_code == (302 if role in RUNNERS else 403)
    assert SyncRun.objects.filter(state="queued").exists() == (role in RUNNERS)


MAY: dict[tuple[str, ...], tuple[str, ...]] = {
    RUNNERS: (
        "dry-run", "drift", "drift-repair", "connection-test", "release-pushes", "outbound", "arm", "disarm",
        "unknown-value", "run-approve", "run-reject", "run-cancel", "contact-merge", "contact-delete", "backfills",
        "backfill", "backfill-stop", "undo", "setup", "setup-new", "setup-connection", "setup-access", "setup-mappings",
        "setup-dry-run", "setup-start", "setup-sync", "import-stop", "import-rejected", "wording",
    ),
    EDITORS: (
        "issue-retry", "issue-ignore", "issues-retry", "decide", "choose-record", "thaw", "review-decide",
        "conversation-attach", "conversation-log-again", "contact-resync",
    ),
}  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_only_those_who_may_do_it_get_past_the_door(role: str):
    known, client = world(), client_of(role)
    for may, names in MAY.items():
        for name in names:
            assert (client.get(address(name, known)).status_code == 403) == (role not in may), name


def test_every_route_is_held_to_a_role():
    held = {*READ, *OPEN, *(name for names in MAY.values() for name in names)}
    held |= {"contact-new", "contact-edit", "sync-now", "run-export"}
    assert {str(pattern.name) for pattern in urls.urlpatterns} == held


def test_reviewers_undo_a_change_but_not_a_run():
    known, client = world(), client_of(REVIEWER)
    change = known.contact.changes.get()
    assert client.get(reverse("undo", args=["change", change.pk])).status_code == 200
    assert client.get(reverse("undo", args=["run", known.run.pk])).status_code == 403
    assert client_of(STAFF).get(reverse("undo", args=["change", change.pk])).status_code == 403


@pytest.mark.parametrize("role", EDITORS)
def test_a_retry_that_starts_a_sync_is_for_those_who_start_syncs(role: str):
    known, client = world(), client_of(role)
    where, status = address("issue-retry", known), 302 if role in RUNNERS else 403
    assert client.post(where).status_code == status
    every: dict[str, str | int] = {"kind": "no_phone", "connection": known.connection.pk}
    assert client.post(address("issues-retry", known), every).status_code == status
    page = client.get("/issues/", every).content.decode()
    assert (where in page, "Retry all" in page) == (role in RUNNERS, role in RUNNERS)


@pytest.mark.parametrize("role", ROLES)
def test_buttons_are_shown_to_those_who_may_press_them(role: str):
    known, client = world(), client_of(role)
    assert ("Sync now" in client.get("/").content.decode()) == (role in RUNNERS)
    profile = client.get(address("contact", known)).content.decode()
    assert (address("contact-edit", known) in profile) == (role in EDITORS)


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("admin:index", (ADMINISTRATOR, OPERATOR, REVIEWER)),
        ("admin:integrations_connection_add", RUNNERS),
        ("admin:contacts_customfield_add", RUNNERS),
        ("admin:mappings_analysismapping_add", RUNNERS),
        ("admin:activity_webhookdelivery_changelist", EDITORS),
        ("admin:crmsync_apikey_add", (ADMINISTRATOR,)),
        ("admin:crmsync_organisation_changelist", RUNNERS),
        ("admin:auth_user_changelist", (ADMINISTRATOR,)),
        ("admin:crmsync_configchange_changelist", RUNNERS),
    ],
)
@pytest.mark.parametrize("role", ROLES)
def test_the_setup_is_open_by_role(role: str, name: str, may: tuple[str, ...]):
    assert client_of(role).get(reverse(name), follow=True).status_code == (200 if role in may else 403)


def test_pages_refuse_the_wrong_method():
    known, client = world(), client_of(OPERATOR)
    assert client.get(address("sync-now", known)).status_code == 405
    assert client.post(address("contact", known)).status_code == 405


def test_roles_come_back_after_every_migrate_and_own_groups_are_left_alone():
    own = Group.objects.create(name="auditors")
    staff = Group.objects.get(name=STAFF)
    before = set(staff.permissions.values_list("pk", flat=True))
    staff.permissions.clear()
    roles.ensure_roles()
    assert set(staff.permissions.values_list("pk", flat=True)) == before != set()
    assert not own.permissions.exists()


def test_a_role_replaces_the_former_one_and_decides_about_the_setup():
    grace = User.objects.create_user("grace")
    roles.give_role(grace, OPERATOR)
    assert (roles.role_of(grace), grace.is_staff) == (OPERATOR, True)
    roles.give_role(grace, STAFF)
    assert (roles.role_of(grace), grace.is_staff) == (STAFF, False)


def test_staff_hold_only_permissions_to_view():
    names = Group.objects.get(name=STAFF).permissions.values_list("codename", flat=True)
    assert names
    assert all(name.startswith("view_") for name in names)


def test_the_admin_has_no_sign_in_of_its_own():
    answer = Client().get(reverse("admin:login"))
    assert answer.status_code == 302
    assert answer["Location"] == "/login/?next=/admin/"
    assert get_resolver().resolve("/login/").url_name == "login"
