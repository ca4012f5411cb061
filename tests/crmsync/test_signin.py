"""Signing in: who guesses passwords is stopped, who knows one is not kept waiting for what others did."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client

from tests.crmsync.pages_world import text

pytestmark = pytest.mark.django_db
WRONG, RIGHT = "a guess", "the engine"


@pytest.fixture(autouse=True)
def ada() -> User:
    return User.objects.create_user("ada", password=RIGHT)


def attempt(password: str, *, name: str = "ada", address: str = "192.0.2.1", where: str = "/login/"):
    return Client(REMOTE_ADDR=address).post(where, {"username": name, "password": password})


def shut(address: str = "192.0.2.1") -> None:
    for _ in range(10):
        last = attempt(WRONG, address=address)
    assert last.status_code == 429


def test_ten_wrong_passwords_close_the_name_and_the_page_says_for_how_long():
    for _ in range(9):
        assert attempt(WRONG).status_code == 200
    closed = attempt(WRONG)
    assert closed.status_code == 429
    assert "15 min" in text(closed)
    assert attempt(RIGHT).status_code == 429
    assert attempt(RIGHT, where="/admin/login/")["Location"].startswith("/login/")  # there is no other way in


def test_the_same_person_comes_in_from_elsewhere_and_others_from_there():
    User.objects.create_user("grace", password=RIGHT)
    shut()
    assert attempt(RIGHT, address="192.0.2.2").status_code == 302
    assert attempt(RIGHT, name="grace").status_code == 302


def test_after_fifteen_minutes_the_name_is_open_again_whatever_was_tried_meanwhile():
    shut()
    attempt(WRONG)
    AccessAttempt.objects.update(
        attempt_time=AccessAttempt.objects.get().attempt_time - timedelta(minutes=15)
    )
    assert attempt(RIGHT).status_code == 302


def test_the_right_password_forgets_the_wrong_ones():
    for _ in range(9):
        attempt(WRONG)
    assert attempt(RIGHT).status_code == 302
    assert attempt(WRONG).status_code == 200
    assert AccessAttempt.objects.get().failures_since_start == 1


def test_no_password_is_kept_of_an_attempt():
    attempt(WRONG)
    kept = AccessAttempt.objects.get()
    assert WRONG not in f"{kept.post_data} {kept.get_data} {kept.path_info}"
