"""`Idempotency-Key`: a create that is sent again with its key does nothing again and gets the same answer.

The key is claimed by a row that everybody sees at once; the effect and its answer are then written in one transaction, so
that no crash leaves one without the other. A refused call changes nothing and keeps nothing: its key is free again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from crmsync.api.errors import invalid
from crmsync.api_keys import ApiKey, digest
from crmsync.models import KeptAnswer

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
LONGEST = 255
KEPT = timedelta(hours=24)
LEASE = timedelta(seconds=60)
CHUNK = 1_000
_NAME = re.compile(rf"[!-~]{{1,{LONGEST}}}")


class UnderWay(APIException):
    """The first call with this key has not been answered yet."""

    status_code = 409
    default_detail = f"The first request with this {HEADER} is still under way. Send it again in a moment."
    default_code = "under_way"
    wait = 1


class OtherRequest(ValidationError):
    """The key belongs to another request."""

    status_code = 422

    def __init__(self) -> None:
        words = f"This {HEADER} was used for another request. Send a new key for a new request."
        super().__init__({HEADER: [ErrorDetail(words, "other_request")]})


def once(call: Callable[..., Response]) -> Callable[..., Response]:
    """Let a view's method honour the header. The method must not wait for a network: it runs in a transaction."""

    @wraps(call)
    def answered(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        name = request.headers.get(HEADER)
        if name is None:
            return call(view, request, *args, **kwargs)
        claimed = _claim(request.auth, _checked(name), _request_hash(request))  # type: ignore[arg-type]  # HasScope lets keys through only
        if claimed.status is not None:
            return Response(json.loads(claimed.body), claimed.status, headers={REPLAYED: "true"})
        try:
            with transaction.atomic():
                response = call(view, request, *args, **kwargs)
                _keep(claimed, response)
        except Exception:
            _mine(claimed).delete()
            raise
        return response

    return answered


def prune(now: datetime | None = None) -> int:
    """Delete the answers that are no longer given; returns how many."""
    cutoff = (now or timezone.now()) - KEPT
    deleted = 0
    while old := list(KeptAnswer.objects.filter(created_at__lt=cutoff).values_list("pk", flat=True)[:CHUNK]):
        deleted += KeptAnswer.objects.filter(pk__in=old).delete()[0]
    return deleted


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        words = f"An {HEADER} has 1 to {LONGEST} visible ASCII characters."
        raise invalid(HEADER, words, "idempotency_key")
    return name


def _claim(key: ApiKey, name: str, request_hash: str) -> KeptAnswer:
    """The row of this key: claimed for us (no status yet), or with its answer. Raises UnderWay and OtherRequest."""
    now = timezone.now()
    fresh = {"request_hash": request_hash, "claimed_until": now + LEASE, "created_at": now}
    try:
        row, new = KeptAnswer.objects.get_or_create(api_key=key, key_hash=digest(name), defaults=fresh)
    except IntegrityError:  # it was let go of at this very moment
        raise UnderWay from None
    if new:
        return row
    over = row.created_at <= now - KEPT
    if not over and row.request_hash != request_hash:
        raise OtherRequest
    if not over and row.status is not None:
        return row
    if row.status is None and row.claimed_until > now:
        raise UnderWay
    # Its day is over, or whoever claimed it has died.
    held = KeptAnswer.objects.filter(pk=row.pk, claimed_until=row.claimed_until, status=row.status)
    if not held.update(**fresh, status=None, body=""):
        raise UnderWay
    row.status, row.claimed_until = None, fresh["claimed_until"]  # type: ignore[assignment]
    return row


def _keep(claimed: KeptAnswer, response: Response) -> None:
    """Store the answer beside its effect; when another one has taken the claim over meanwhile, both are rolled back."""
    text = JSONRenderer().render(response.data).decode()
    if not _mine(claimed).update(status=response.status_code, body=text):
        raise UnderWay


def _mine(claimed: KeptAnswer) -> Any:
    """The row as long as the claim is ours and unanswered."""
    return KeptAnswer.objects.filter(pk=claimed.pk, claimed_until=claimed.claimed_until, status=None)


def _request_hash(request: Request) -> str:
    seen = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode(errors="replace"))
    for part in _body(request):
        seen.update(part)
    return seen.hexdigest()


def _body(request: Request) -> Iterator[bytes]:
    """What was sent, spelt one way: white space and the order of keys do not make another request."""
    sent: Any = request.data
    if hasattr(sent, "lists"):
        sent = {name: [one for one in values if isinstance(one, str)] for name, values in sent.lists()}
    yield json.dumps(sent, sort_keys=True, separators=(",", ":")).encode()
    for name, file in sorted(request.FILES.items()):
        yield f"\n{name} {file.name}\n".encode(errors="replace")
        yield from file.chunks()
        file.seek(0)
