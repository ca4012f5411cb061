"""Who calls the API: a Bearer key, checked on every request, and the scopes each call needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from crmsync.acting import acts
from crmsync.api_keys import ApiKey, Scope, find_key

if TYPE_CHECKING:  # the framework's views load this module as their default
    from rest_framework.views import APIView


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>`. A revoked or expired key is refused from the next request on."""

    def authenticate(self, request: Request) -> tuple[ApiKey, ApiKey] | None:
        """The key as caller and credential; None without the header. Raises AuthenticationFailed."""
        words = get_authorization_header(request).split()
        if not words:
            return None
        if len(words) != 2 or words[0].lower() != b"bearer":
            raise AuthenticationFailed("Send the header Authorization: Bearer <API key>.")
        key = find_key(words[1].decode("latin-1"))
        if key is None:
            raise AuthenticationFailed("This API key is unknown, expired or revoked.")
        acts(key.ref, f"API key {key.name}")
        return key, key

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 (the framework's signature)
        """What a 401 tells the client to send."""
        return 'Bearer realm="api"'


class HasScope(BasePermission):
    """Lets a key through that has one of the view's `scopes`, and each of what it needs `also`."""

    message = "This API key lacks the scope for the call."

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the calling key may use the view."""
        either: tuple[Scope, ...] = getattr(view, "scopes", ())
        if request.method == "POST":
            either = getattr(view, "scopes_to_post", ()) or either
        each: tuple[Scope, ...] = getattr(view, "also", ())
        if not isinstance(request.auth, ApiKey):
            return False
        needed = next(
            (wanted for wanted in (either, *((one,) for one in each)) if not request.auth.may(*wanted)), ()
        )
        self.message = f"This API key lacks the scope {' or '.join(needed)}."
        return not needed and bool(either)


def need(key: ApiKey, *scopes: Scope) -> None:
    """Raise PermissionDenied unless the key has one of the scopes; for calls whose need depends on what is asked."""
    if not key.may(*scopes):
        raise PermissionDenied(f"This API key lacks the scope {' or '.join(scopes)}.")
