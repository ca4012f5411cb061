"""Paths of v3, v4 and the dated versions, with the scopes that each operation needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.hubspot import account, batches, definitions, linking, objects, property_sets, searches
from sandbox.hubspot.errors import Refusal
from sandbox.hubspot.requests import Call
from sandbox.wire import Response

Operation = Callable[[Call], Response]
READ, WRITE = ("crm.objects.contacts.read",), ("crm.objects.contacts.write",)
SCHEMA_READ = ("crm.schemas.contacts.read", "crm.objects.contacts.read")
SCHEMA_WRITE = ("crm.schemas.contacts.write",)
DATED = "2026-0[39]"
OBJECTS = rf"/crm/(?:objects/(?P<dated>{DATED})|(?P<legacy>v3)/objects)/(?P<kind>[^/]+)"
PROPERTIES = rf"/crm/(?:properties/(?P<dated>{DATED})|(?P<legacy>v3)/properties)/(?P<kind>[^/]+)"
LINKED = (
    rf"/crm/(?:objects/(?P<dated>{DATED})|(?P<legacy>v4)/objects)/(?P<kind>[^/]+)/(?P<id>[^/]+)/associations"
)
LINKS = (
    rf"/crm/(?:associations/(?P<dated>{DATED}|v4)|(?P<legacy>v4)/associations)/(?P<kind>[^/]+)/(?P<to>[^/]+)"
)
OWNERS = rf"/crm/(?:owners/(?P<dated>{DATED})|(?P<legacy>v3)/owners)"
ACCOUNT = rf"/account-info/(?P<dated>{DATED}|v3)"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: method, path pattern, and scopes of which the token must have at least one."""

    method: str
    pattern: re.Pattern[str]
    operation: Operation
    scopes: tuple[str, ...]


def _route(method: str, pattern: str, operation: Operation, scopes: tuple[str, ...]) -> Route:
    return Route(method, re.compile(pattern), operation, scopes)


ROUTES = (
    _route("POST", f"{OBJECTS}/search", searches.search, READ),
    _route("POST", f"{OBJECTS}/merge", objects.merge, WRITE),
    _route("POST", f"{OBJECTS}/gdpr-delete", objects.delete_for_good, WRITE),
    _route("POST", f"{OBJECTS}/batch/read", batches.read, READ),
    _route("POST", f"{OBJECTS}/batch/create", batches.create, WRITE),
    _route("POST", f"{OBJECTS}/batch/update", batches.update, WRITE),
    _route("POST", f"{OBJECTS}/batch/upsert", batches.upsert, WRITE),
    _route("POST", f"{OBJECTS}/batch/archive", batches.archive, WRITE),
    _route("GET", OBJECTS, objects.list_page, READ),
    _route("POST", OBJECTS, objects.create, WRITE),
    _route("GET", f"{OBJECTS}/(?P<id>[^/]+)", objects.read, READ),
    _route("PATCH", f"{OBJECTS}/(?P<id>[^/]+)", objects.update, WRITE),
    _route("DELETE", f"{OBJECTS}/(?P<id>[^/]+)", objects.archive, WRITE),
    _route("PUT", f"{LINKED}/default/(?P<to>[^/]+)/(?P<other>[^/]+)", linking.put_default, WRITE),
    _route("PUT", f"{LINKED}/(?P<to>[^/]+)/(?P<other>[^/]+)", linking.put, WRITE),
    _route("DELETE", f"{LINKED}/(?P<to>[^/]+)/(?P<other>[^/]+)", linking.delete, WRITE),
    _route("GET", f"{LINKED}/(?P<to>[^/]+)", linking.page, READ),
    _route("POST", f"{LINKS}/batch/read", linking.batch_read, READ),
    _route("POST", f"{LINKS}/batch/create", linking.batch_create, WRITE),
    _route("POST", f"{LINKS}/batch/associate/default", linking.batch_default, WRITE),
    _route("POST", f"{LINKS}/batch/archive", linking.batch_archive, WRITE),
    _route("GET", f"{LINKS}/labels", linking.labels, READ),
    _route("GET", PROPERTIES, definitions.list_all, SCHEMA_READ),
    _route("POST", PROPERTIES, definitions.create, SCHEMA_WRITE),
    _route("POST", f"{PROPERTIES}/batch/read", property_sets.batch_read, SCHEMA_READ),
    _route("POST", f"{PROPERTIES}/batch/create", property_sets.batch_create, SCHEMA_WRITE),
    _route("POST", f"{PROPERTIES}/batch/archive", property_sets.batch_archive, SCHEMA_WRITE),
    _route("GET", f"{PROPERTIES}/groups", property_sets.list_groups, SCHEMA_READ),
    _route("POST", f"{PROPERTIES}/groups", property_sets.create_group, SCHEMA_WRITE),
    _route("GET", f"{PROPERTIES}/groups/(?P<name>[^/]+)", property_sets.read_group, SCHEMA_READ),
    _route("PATCH", f"{PROPERTIES}/groups/(?P<name>[^/]+)", property_sets.change_group, SCHEMA_WRITE),
    _route("DELETE", f"{PROPERTIES}/groups/(?P<name>[^/]+)", property_sets.archive_group, SCHEMA_WRITE),
    _route("GET", f"{PROPERTIES}/(?P<name>[^/]+)", definitions.read, SCHEMA_READ),
    _route("PATCH", f"{PROPERTIES}/(?P<name>[^/]+)", definitions.change, SCHEMA_WRITE),
    _route("DELETE", f"{PROPERTIES}/(?P<name>[^/]+)", definitions.archive, SCHEMA_WRITE),
    _route("GET", f"{OWNERS}/?", account.owners, ("crm.objects.owners.read",)),
    _route("GET", f"{OWNERS}/(?P<id>[^/]+)", account.owner, ("crm.objects.owners.read",)),
    _route("GET", f"{ACCOUNT}/details", account.details, ("oauth",)),
    _route("GET", f"{ACCOUNT}/api-usage/daily/private-apps", account.usage, ("oauth",)),
    _route("POST", "/oauth/v2/private-apps/get/access-token-info", account.token_info, ("oauth",)),
    _route("GET", "/calling/v1/dispositions", account.dispositions, READ),
)


def resolve(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The operation of a request with its path parts; 404 for no such path, 405 for other methods' paths."""
    allowed = []
    for route in ROUTES:
        match = route.pattern.fullmatch(path)
        if match is None:
            continue
        if route.method == method:
            return route, {name: part for name, part in match.groupdict().items() if part is not None}
        allowed.append(route.method)
    if not allowed:
        raise Refusal(404, "No resource was found at this path.")
    refusal = Refusal(405, "HTTP 405 Method Not Allowed")
    refusal.headers["Allow"] = ", ".join(dict.fromkeys(allowed))
    raise refusal
