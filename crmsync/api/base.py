"""What every call shares: authentication, strict JSON in, one error shape out, and the words of the document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NoReturn

import structlog
from django.conf import settings
from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from contacts.changes import Source
from crmsync.api.auth import BearerAuthentication, HasScope
from crmsync.api.errors import NoLength, TooLarge, error_response
from crmsync.api.repeats import HEADER, once
from crmsync.api.throttle import PerKey
from crmsync.api_keys import ApiKey, Scope

log = structlog.get_logger(__name__)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_WHOLE = 2**53  # beyond it JSON numbers lose digits


class StrictJSONParser(JSONParser):
    """JSON that a database can keep: no NaN, no NUL, no half of a surrogate pair, no bottomless nesting."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """The decoded body. Raises ParseError."""
        try:
            document = super().parse(stream, media_type, parser_context)
            if not _storable(document):
                raise ParseError(
                    "The body holds text that cannot be stored: a NUL or a broken surrogate pair."
                )
        except RecursionError:
            raise ParseError("The body is nested too deeply.") from None
        return document


def _storable(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return all(_storable(key) and _storable(inner) for key, inner in value.items())
    return all(_storable(inner) for inner in value) if isinstance(value, list) else True


class Text(serializers.CharField):
    """A JSON string and nothing that could be made one."""

    def to_internal_value(self, data: Any) -> str:
        """The text, trimmed."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class TagId(Text):
    """The id of a tag; its letters may be of either case."""

    def to_internal_value(self, data: Any) -> str:
        """The id in lower case."""
        return super().to_internal_value(data).lower()


def only(value: str) -> Text:
    """A field that can hold one text only, and is described so."""
    schema = {"type": "string", "enum": [value]}
    field: type[Text] = extend_schema_field(schema)(type("Only", (Text,), {}))
    return field()


class Choice(serializers.ChoiceField):
    """One of a few texts; a refusal names them."""

    default_error_messages: ClassVar = {"invalid_choice": "{input} is not known here; known are: {known}."}

    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        """Refuse, with the texts that would do."""
        given = kwargs.pop("input", "")
        super().fail(key, input=f"“{str(given)[:100]}”", known=", ".join(map(str, self.choices)), **kwargs)


class Truth(serializers.BooleanField):
    """JSON true or false and nothing that reads like it."""

    def to_internal_value(self, data: Any) -> bool:
        """The truth value."""
        if not isinstance(data, bool):
            self.fail("invalid", input=type(data).__name__)
        return data


class Whole(serializers.IntegerField):
    """A JSON number without a fraction; 50.0 counts, since some clients send floats."""

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        number = isinstance(data, int | float) and not isinstance(data, bool) and abs(data) < MOST_WHOLE
        if not number or data != int(data):
            self.fail("invalid")
        return int(data)


class QueryWhole(Whole):
    """A whole number in a query string."""

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        return super().to_internal_value(int(data) if str(data).isdecimal() and len(data) < 10 else None)


class Shape(serializers.Serializer):
    """A JSON object whose keys are all known: a misspelt key must not pass for a saved setting."""

    def to_internal_value(self, data: Any) -> Any:
        """The validated values. Raises ValidationError, which names unknown keys too."""
        if isinstance(data, Mapping) and (unknown := [key for key in data if key not in self.fields]):
            known = ", ".join(self.fields)
            raise serializers.ValidationError(
                {key: [f"There is no such key here; known are: {known}."] for key in unknown},
                code="unknown_key",
            )
        return super().to_internal_value(data)


class ErrorDetailShape(serializers.Serializer):
    """One problem of a request."""

    field = serializers.CharField(
        help_text="Path of the field, like custom_fields.0.name; blank: the whole request."
    )
    rule = serializers.CharField(help_text="The rule it breaks, as a code.")
    message = serializers.CharField()


class ErrorShape(serializers.Serializer):
    """Every error."""

    status = only("error")
    message = serializers.CharField()
    errors = ErrorDetailShape(many=True, required=False)  # type: ignore[assignment]  # our key, not the framework's


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes the key."""

    target_class = "crmsync.api.auth.BearerAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        """The security scheme."""
        return {"type": "http", "scheme": "bearer", "description": "A key made by manage.py create_api_key."}


class AlwaysJson(DefaultContentNegotiation):
    """Answers do not depend on what a client says it accepts: errors least of all."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:  # noqa: ARG002
        """The only renderer there is."""
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """A call: Bearer key with one of `scopes` and with `also`, JSON in and out, errors in the one shape, nothing cached."""

    authentication_classes = [BearerAuthentication]
    permission_classes = [HasScope]
    throttle_classes = [PerKey]
    parser_classes = [StrictJSONParser]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = AlwaysJson
    metadata_class = None  # the document describes the calls
    most_bytes: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE  # of a body; None: the call looks itself
    scopes: tuple[Scope, ...] = ()
    scopes_to_post: tuple[Scope, ...] = ()  # instead of `scopes`, where a POST needs others
    also: tuple[Scope, ...] = ()

    def get_exception_handler(self) -> Callable[..., Response]:
        """Errors take our shape."""
        return error_response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Know the caller, then look at the length of the body before it is read."""
        super().initial(request, *args, **kwargs)
        _check_length(request, self.most_bytes)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Answers hold personal data: no cache may keep them."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["Cache-Control"] = "no-store"
        return response


def _check_length(request: Request, most: int | None) -> None:
    """Raise NoLength for a body that Django would take for an empty one, TooLarge for one beyond `most` bytes."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length and request.META.get("HTTP_TRANSFER_ENCODING"):
        raise NoLength
    if most is not None and length.isdecimal() and int(length) > most:
        raise TooLarge(f"The body has {int(length):,} bytes; {most:,} are the most.")


# Calls of the contract that lie outside of what this server does.
_NOT_OFFERED = {
    "get-app-tool-schema": "this server keeps CRMs in step and offers no tools to agents.",
    "connect-app": "give the credentials with create-app or update-app; no provider here signs in by a redirect.",
    "list-app-templates": "the providers are salesforce and hubspot, of the type crm.",
}


class NoSuchCall(ApiView):
    """Any address under /api/ that is not a call."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(exclude=True)
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """404 for every method."""
        self.http_method_names = [(request.method or "get").lower()]
        return super().dispatch(request, *args, **kwargs)

    def http_method_not_allowed(self, request: HttpRequest, *_args: Any, **_kwargs: Any) -> Any:
        """404 in the one shape."""
        name = request.path.removeprefix("/api/").partition("/")[0]
        why = _NOT_OFFERED.get(name, "/api/docs/ lists the calls.")
        raise NotFound(f"There is no call {request.method} {request.path}; {why}")


def read(shape: type[Shape], data: Any) -> dict[str, Any]:
    """The validated values of a body or query. Raises ValidationError."""
    form = shape(data=data.dict() if hasattr(data, "dict") else data)
    form.is_valid(raise_exception=True)
    values: dict[str, Any] = form.validated_data
    return values


def caller(request: Request) -> ApiKey:
    """The key that calls."""
    key = request.auth
    if not isinstance(key, ApiKey):  # HasScope lets nobody else through
        raise TypeError("a call without a key")
    return key


def source_of(request: Request, *, may_clear_opt_out: bool = False) -> Source:
    """The calling key as the source of a change."""
    key = caller(request)
    return Source(kind="api_key", ref=key.ref, label=key.name, may_clear_opt_out=may_clear_opt_out)


def note(request: Request, event: str, **what: Any) -> None:
    """Tell the log which key changed the setup; a contact's own history tells who changed the contact."""
    log.info(event, key=caller(request).ref, name=caller(request).name, **what)


def epoch_ms(at: datetime) -> int:
    """A moment as the API writes it: milliseconds since 1970, rounded down."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def without_blanks(document: dict[str, Any]) -> dict[str, Any]:
    """The document without keys that hold nothing; 0 and false are something."""
    return {key: value for key, value in document.items() if value is not None and value != ""}


def documented(
    operation: str,
    tag: str,
    *,
    answer: Any,
    body: Any = None,
    query: Any = None,
    status: int = 200,
    paths: Iterable[tuple[str, str]] = (),
    creates: bool = False,
    media: str = "application/json",
) -> Callable[[Any], Any]:
    """Describe a call for the OpenAPI document, with the errors every call may give.

    `creates`: the call makes something new, honours Idempotency-Key, and so may wait for no network (see repeats.once).
    `media`: what a good answer is; errors are JSON in any case.
    """
    parameters = [OpenApiParameter(name, str, "path", description=words) for name, words in paths]
    errors = [400, 401, 403, 429]
    errors += [422] if body or query or parameters or creates else []
    errors += [404] if parameters else []  # an id with a slash in it is another address
    errors += [411, 413, 415] if body else []
    errors += [409] if creates else []
    described = extend_schema(
        operation_id=operation,
        tags=[tag],
        request=body,
        parameters=[*parameters, *([query] if query else []), *([_REPEATS] if creates else [])],
        responses={
            (status, media): answer,
            **{(one, "application/json"): ErrorShape for one in sorted(errors)},
        },
    )
    return lambda call: described(once(call) if creates else call)


_REPEATS = OpenApiParameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "header",
    description="A text of your own for this one request. Sent again with it, the request does nothing again and gets "
    "the same answer, for 24 hours.",
)


def compact_json(value: Any) -> bytes:
    """JSON without white space."""
    return json.dumps(value, separators=(",", ":")).encode()
