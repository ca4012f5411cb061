"""People in the admin: a role by its name, and always somebody who can hand out roles."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from crmsync.roles import ADMINISTRATOR, OPERATOR, REVIEWER, STAFF, role_of
from tests.crmsync.pages_world import client_of, text

pytestmark = pytest.mark.django_db


def person_sent(person: User, **changes: str) -> dict[str, str]:
    return {"username": person.username, "is_active": "on", "role": role_of(person)} | changes


def test_a_person_is_given_a_role_by_its_name():
    boss = client_of(ADMINISTRATOR, "anna")
    new = {
        "username": "rita",
        "password1": "v3ry-l0ng-one",
        "password2": "v3ry-l0ng-one",
        "usable_password": "true",
    }
    assert boss.post("/admin/auth/user/add/", new | {"role": REVIEWER}).status_code == 302
    rita = User.objects.get(username="rita")
    assert (role_of(rita), rita.is_staff) == (REVIEWER, True)
    page = reverse("admin:auth_user_change", args=[rita.pk])
    assert boss.post(page, person_sent(rita, role=STAFF)).status_code == 302
    rita = User.objects.get(username="rita")
    assert (role_of(rita), rita.is_staff) == (STAFF, False)
    assert f">{STAFF}<" in text(boss.get("/admin/auth/user/"))


def test_the_last_administrator_stays_one():
    boss = client_of(ADMINISTRATOR, "anna")
    anna = User.objects.get(username="anna")
    page = reverse("admin:auth_user_change", args=[anna.pk])
    for sent in ({"role": OPERATOR}, {"is_active": ""}):
        changes = {name: value for name, value in person_sent(anna, **sent).items() if value}
        assert "Nobody else is administrator" in text(boss.post(page, changes))
    root = User.objects.create_superuser("root")
    assert boss.post(page, person_sent(anna, role=OPERATOR)).status_code == 302
    assert role_of(User.objects.get(username="anna")) == OPERATOR
    assert role_of(root) == ADMINISTRATOR


def test_a_superuser_who_is_given_a_role_has_no_more_than_that():
    boss = client_of(ADMINISTRATOR, "anna")
    root = User.objects.create_superuser("root")
    boss.post(reverse("admin:auth_user_change", args=[root.pk]), person_sent(root, role=OPERATOR))
    root.refresh_from_db()
    assert (root.is_superuser, role_of(User.objects.get(pk=root.pk))) == (False, OPERATOR)
