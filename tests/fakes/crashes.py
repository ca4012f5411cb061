"""A worker that is killed: at a commit, before or after it holds, or at a call of the CRM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

_WRITES = ("INSERT", "UPDATE", "DELETE")


class Killed(BaseException):
    """The process is gone: no `except Exception` runs, as none would."""


@contextmanager
def killed_at_commit(number: int, *, after: bool) -> Iterator[None]:
    """Kill at the `number`-th commit from now (1 is the next); `after`: the commit holds, but nobody hears of it.

    A write outside of a transaction is a commit of its own. Put in at the seams of Django's connection, nothing of ours.
    """
    left = number

    def due() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    commit = connection._commit  # type: ignore[attr-defined]  # Django's one place

    def commit_or_die() -> None:
        if not due():
            commit()
            return
        commit() if after else connection._rollback()  # type: ignore[attr-defined]
        connection.run_on_commit = []
        raise Killed

    def write_or_die(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        alone = not connection.in_atomic_block and sql.lstrip().upper().startswith(_WRITES)
        if not alone or not due():
            return execute(sql, params, many, context)
        if after:
            execute(sql, params, many, context)
        raise Killed

    connection._commit = commit_or_die  # type: ignore[attr-defined]
    try:
        with connection.execute_wrapper(write_or_die):
            yield
    finally:
        del connection._commit  # type: ignore[attr-defined]
