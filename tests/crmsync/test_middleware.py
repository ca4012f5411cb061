"""The short way to the doors for events, under a prefix and with the site's own rules."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import clear_script_prefix, set_script_prefix

from crmsync.middleware import DOORS, RequestContext, ShortWay

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("door", DOORS)
def test_a_site_under_a_prefix_has_its_pages_and_its_doors(door: str):
    client = Client(SCRIPT_NAME="/crm")
    set_script_prefix("/crm/")
    try:
        assert client.get("/healthz").status_code == 200
        assert client.get("/login/").status_code == 200
        assert client.post(door).status_code == 401
    finally:
        clear_script_prefix()


@pytest.mark.parametrize("door", DOORS)
def test_the_doors_are_opened_at_our_own_hosts_only(door: str):
    assert Client().post(door, HTTP_HOST="elsewhere.example").status_code == 400


def test_whoever_sends_too_much_may_finish_and_reads_why(settings: Any):
    """A sender that looks for an answer only after its last byte would see a broken connection before."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    request = RequestFactory().post(DOORS[0], b"x" * 200_000, content_type="application/json")
    response = RequestContext(ShortWay(lambda _request: HttpResponse()))(request)
    assert response.status_code == 413
    assert request.read() == b""


def test_the_doors_tell_browsers_to_come_by_https(settings: Any):
    settings.SECURE_HSTS_SECONDS = 60
    headers = Client().post(DOORS[0], secure=True).headers
    assert headers["Strict-Transport-Security"].startswith("max-age=60")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Strict-Transport-Security" not in Client().post(DOORS[0]).headers
