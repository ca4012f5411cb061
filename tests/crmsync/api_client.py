"""A client of the REST API for tests: one key, JSON both ways."""

from typing import Any

from rest_framework.test import APIClient

from crmsync.api_keys import issue_key


def client_with(*scopes: str, name: str = "Ada's script", raises: bool = True) -> APIClient:
    """A client that sends a fresh key; without scopes, one that may do everything."""
    _, secret = issue_key(name, scopes=scopes or None)
    client = APIClient(raise_request_exception=raises)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def problems(response: Any) -> dict[str, str]:
    """The problems of a 400, as field → rule."""
    body = response.json()
    assert (response.status_code, body["status"]) == (400, "error"), body
    return {problem["field"]: problem["rule"] for problem in body["errors"]}
