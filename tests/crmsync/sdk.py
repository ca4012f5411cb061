"""The contract's official client for tests: strict about answers, and about what refusals look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import retell
from pydantic import BaseModel
from retell import Retell

from crmsync.api_keys import issue_key

REPEATED = {408, 409, 429}  # what the client sends again by itself, beside 5xx


@contextmanager
def official_client(server_url: str) -> Iterator[Retell]:
    """A client with a fresh key whose base_url is set, and nothing else changed but that it is strict and never repeats."""
    _, secret = issue_key("official client")
    with Retell(
        api_key=secret, base_url=f"{server_url}/api", _strict_response_validation=True, max_retries=0
    ) as made:
        yield made


def known(answer: Any) -> Any:
    """The answer, having no key that the client's model does not know, at any depth."""
    assert not unknown_keys(answer)
    return answer


def unknown_keys(value: Any) -> list[str]:
    """The keys that no model knows."""
    if isinstance(value, BaseModel):
        extra = list(value.model_extra or {})
        return extra + [
            key for name in type(value).model_fields for key in unknown_keys(getattr(value, name))
        ]
    return [key for item in value for key in unknown_keys(item)] if isinstance(value, list) else []


def refused(call: Callable[..., object], words: str, status: int = 400) -> None:
    """The call is refused in the one shape, with these words in the message, and with a status the client does not repeat."""
    with pytest.raises(retell.APIStatusError) as problem:
        call()
    body: Any = problem.value.response.json()
    assert problem.value.status_code == status, body
    assert status not in REPEATED
    assert (body["status"], type(body["message"])) == ("error", str)
    assert words in body["message"], body["message"]


def is_moment(stamp: float | None) -> bool:
    """Whether it is a time of this century in epoch milliseconds."""
    return stamp is not None and 946_684_800_000 < stamp < 4_102_444_800_000
