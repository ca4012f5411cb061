"""The OpenAPI document is complete and valid, and its page needs nothing that the security policy forbids."""

import json
import re

import pytest
from django.core.management import call_command

from crmsync.api.urls import urlpatterns
from crmsync.api.v1.urls import urlpatterns as own_urlpatterns

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    path = tmp_path_factory.mktemp("openapi") / "openapi.json"
    call_command(
        "spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json", "--file", str(path)
    )
    return json.loads(path.read_text())


def test_the_document_is_valid_without_a_warning_and_holds_every_call(document):
    own = {f"v1/{route.pattern}" for route in own_urlpatterns}
    routes = {str(route.pattern) for route in urlpatterns} - {"schema/", "docs/", "v1/", r"^[\s\S]*$"}
    routes = {re.sub(r"<\w+:(\w+)>", r"{\1}", route) for route in routes | own}
    calls = {path.removeprefix("/api/") for path in document["paths"]}
    assert calls == routes


def test_every_call_tells_its_key_its_errors_and_its_answer(document):
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    for operation in operations:
        assert operation["security"] == [{"apiKey": []}]
        assert {"400", "401", "403"} <= set(operation["responses"])
        answer = (
            operation["responses"].get("200")
            or operation["responses"].get("201")
            or operation["responses"].get("202")
            or operation["responses"]["204"]
        )
        assert operation["operationId"].startswith("delete_") or "schema" in (
            answer["content"].get("application/json") or answer["content"]["text/csv"]
        )
        assert operation["description"]
    assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_secrets_are_described_but_never_in_an_answer(document):
    schemas = document["components"]["schemas"]
    assert "client_secret" in str(schemas["AppCreateShape"])
    assert "client_secret" not in str(schemas["AppShape"])


def test_the_document_is_served_to_anyone(client):
    response = client.get("/api/schema/")
    assert response.status_code == 200
    assert response.json()["info"]["title"] == "crmsync"


def test_the_page_lives_with_the_strict_policy(client):
    page = client.get("/api/docs/")
    html = page.content.decode()
    policy = page.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert not re.search(r"<style|\sstyle=|<script>|\son\w+=", html)
    sources = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(sources) == 5
    assert all(source.startswith("/") for source in sources)
    script = client.get(next(source for source in sources if "script" in source).replace("&amp;", "&"))
    assert script.headers["Content-Type"].startswith("application/javascript")
    assert "/api/schema/" in script.content.decode()
