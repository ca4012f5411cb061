"""Who may open a page: every view here is wrapped, so none can be reached without signing in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

Rest = ParamSpec("Rest")
View = Callable[Concatenate[HttpRequest, Rest], HttpResponse]  # a view, with what its route gives it


def page(permission: str, *methods: str) -> Callable[[View[Rest]], View[Rest]]:
    """Open to people who are signed in and hold `permission`; `methods` other than these are refused (default: GET)."""
    allowed = [*methods] if methods else ["GET"]
    allowed += ["HEAD"] if "GET" in allowed else []

    def guard(view: View[Rest]) -> View[Rest]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: Rest.args, **kwargs: Rest.kwargs) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not request.user.has_perm(permission):
                raise PermissionDenied
            if request.method not in allowed:
                return HttpResponseNotAllowed(allowed)
            return view(request, *args, **kwargs)

        return guarded

    return guard


def person(request: HttpRequest) -> User:
    """Who is asking; behind `page` it is always somebody."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
