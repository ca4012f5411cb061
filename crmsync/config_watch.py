"""Hears every change of the configuration, from the admin, the pages, the API and commands alike, and has it recorded.

Django's own signals are the one place that all doors share, the admin's and the user forms' included; see ADR 0008. Nothing is
decided here and nobody waits for an answer. What is written with `QuerySet.update` is not heard: settings are saved as rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models import Model, QuerySet
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save

from contacts.models import ContactTag, CustomField
from crmsync.api_keys import ApiKey
from crmsync.config_history import ConfigChange, record
from crmsync.organisation import Organisation
from integrations.models import Connection
from integrations.secrets import WrongKey
from mappings.models import AnalysisMapping, InboundMapping, OutboundMapping

Action = ConfigChange.Action
_LONGEST = 2000  # characters of a value
_TRANSFORM = ("blank_policy", "case", "value_map", "default_value")


@dataclass(frozen=True, slots=True)
class Watched:
    """What of a model is configuration. Of `secret` columns it is only told that they changed.

    `born`: a row begins because somebody wants it, not by itself at first use.
    """

    kind: str
    fields: tuple[str, ...]
    secret: tuple[str, ...] = ()
    born: bool = True

    @property
    def all(self) -> tuple[str, ...]:
        """Every watched column."""
        return self.fields + self.secret


WATCHED: dict[type[Model], Watched] = {
    Connection: Watched(
        "connection",
        (
            "provider", "name", "tenant_url", "enabled", "rank", "options", "phone_region", "interval_minutes",
            "sync_conversation_activity", "activity_title", "activity_body", "sync_new_contacts", "phone_fields",
            "duplicate_policy", "delete_policy", "overwrite_floor", "overwrite_percent", "reconcile_hours", "armed_at",
        ),
        ("credentials",),
    ),
    InboundMapping: Watched(
        "inbound mapping", ("external_field", "contact_field", "conflict_policy", *_TRANSFORM)
    ),
    OutboundMapping: Watched("outbound mapping", ("contact_field", "external_field", *_TRANSFORM)),
    AnalysisMapping: Watched(
        "analysis mapping", ("analysis_field", "contact_field", "update_mode", "review", "position")
    ),
    CustomField: Watched(
        "custom field",
        ("name", "label", "type", "description", "options", "position", "private", "fallback"),
    ),
    ContactTag: Watched("tag", ("label", "listed")),
    Organisation: Watched(
        "organisation",
        (
            "contact_memory", "contact_memory_reviewed", "contact_memory_prompt", "merge_budget", "reject_field",
            "contact_columns",
        ),
        born=False,
    ),
    ApiKey: Watched("API key", ("name", "scopes", "expires_at", "rate", "webhook", "revoked_at")),
    User: Watched(
        "person",
        ("username", "first_name", "last_name", "email", "is_active", "is_staff", "is_superuser"),
        ("password",),
    ),
    Group: Watched("role", ("name",)),
}  # fmt: skip
_MANY = {
    User.groups.through: "roles",
    User.user_permissions.through: "permissions",
    Group.permissions.through: "permissions",
}
_silent: ContextVar[bool] = ContextVar("silent", default=False)
_kept_back: ContextVar[list[dict[str, Any]] | None] = ContextVar("kept_back", default=None)


@contextmanager
def unwatched() -> Iterator[None]:
    """What happens inside is the release's doing, not a person's: it is not recorded."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


@contextmanager
def as_replaced() -> Iterator[None]:
    """Rows that are removed and added again inside count as what they are in the end: the same, changed, gone or new."""
    rows: list[dict[str, Any]] = []
    token = _kept_back.set(rows)
    try:
        yield
    finally:
        _kept_back.reset(token)
    for row in _net(rows):
        record(**row)


def watch() -> None:
    """Listen to all watched models; called once, at the start."""
    for model in WATCHED:
        name = model.__name__
        pre_save.connect(_before, sender=model, dispatch_uid=f"config.before.{name}")
        post_save.connect(_saved, sender=model, dispatch_uid=f"config.saved.{name}")
        post_delete.connect(_deleted, sender=model, dispatch_uid=f"config.deleted.{name}")
    for through in _MANY:
        m2m_changed.connect(_many_changed, sender=through, dispatch_uid=f"config.many.{through.__name__}")


def _before(
    sender: type[Model], instance: Model, *, raw: bool, update_fields: frozenset[str] | None, **_: Any
) -> None:
    """Read what the row holds, if any watched column is about to be written."""
    names = [name for name in WATCHED[sender].all if update_fields is None or name in update_fields]
    held = None if raw or not names or _silent.get() else _held(sender, instance.pk, names)
    instance.__dict__["_config_before"] = None if held is None else (names, held)


def _saved(sender: type[Model], instance: Model, *, created: bool, **_: Any) -> None:
    noted = instance.__dict__.pop("_config_before", None)
    if noted is None:
        return
    names, before = noted
    diff = _diff(sender, before, _now(instance, names))
    if (diff and not created) or (created and WATCHED[sender].born):
        _tell(Action.ADDED if created else Action.CHANGED, instance, diff)


def _deleted(sender: type[Model], instance: Model, *, origin: Any = None, **_: Any) -> None:
    of = origin.model if isinstance(origin, QuerySet) else type(origin)
    if _silent.get() or of not in {sender, type(None)}:
        return  # it went with what it belonged to
    _tell(Action.REMOVED, instance, _diff(sender, _now(instance, WATCHED[sender].all), {}))


def _many_changed(
    sender: Any, instance: Any, *, action: str, reverse: bool, model: Any, pk_set: set[int] | None, **_: Any
) -> None:
    what, going = _MANY[sender], action in {"pre_remove", "pre_clear"}
    if _silent.get() or not (going or action == "post_add"):
        return
    far = set(pk_set or ())
    if going:  # of those that are named, the ones that are there
        ends = sender.objects.filter(**{instance._meta.model_name: instance})
        held = set(ends.values_list(f"{model._meta.model_name}_id", flat=True))
        far = held if pk_set is None else held & far
    others = list(model._default_manager.filter(pk__in=far))
    owners, named = (others, [instance]) if reverse else ([instance], others)
    words = ", ".join(sorted(str(one) for one in named))
    for owner in owners if words else ():
        _tell(Action.CHANGED, owner, {what: [words, ""] if going else ["", words]})


def _held(model: type[Model], pk: Any, names: Sequence[str]) -> dict[str, Any]:
    """The columns as they are stored; {} for a new row. A secret that no key opens any more counts as another one."""
    rows, secret = model._base_manager.filter(pk=pk), WATCHED[model].secret
    stored = rows.values("pk", *(name for name in names if name not in secret)).first()
    if stored is None:
        return {}
    found = {name: stored[name] for name in names if name in stored}
    for name in set(names) & set(secret):
        try:
            found[name] = rows.values_list(name, flat=True).get()
        except WrongKey:
            found[name] = {}
    return found


def _now(instance: Model, names: Sequence[str]) -> dict[str, Any]:
    deferred = instance.get_deferred_fields()
    return {name: getattr(instance, name) for name in names if name not in deferred}


def _diff(model: type[Model], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Label → [before, after] of what differs, in words."""
    found = {}
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if old == new or (old in (None, "", [], {}) and new in (None, "", [], {})):
            continue
        label = str(model._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
        if name in WATCHED[model].secret:
            found[label] = _secretly(old, new)
        else:
            found[label] = [_words(model, name, old), _words(model, name, new)]
    return found


def _secretly(old: Any, new: Any) -> list[str]:
    """Which secrets were there and which are, never what they say."""
    before, after = ("stored" if old else "", "replaced" if old and new else "entered" if new else "")
    if not isinstance(new, dict) or not isinstance(old, dict | None):
        return [before, after]
    changed = sorted(name for name in {*(old or {}), *new} if (old or {}).get(name) != new.get(name))
    return [before, f"{after or 'removed'}: {', '.join(changed)}"]


def _words(model: type[Model], name: str, held: Any) -> Any:
    """A setting's value as people read it; lists and maps stay what they are."""
    choices: Any = getattr(model._meta.get_field(name), "flatchoices", None)
    if choices and held is not None:
        return str(dict(choices).get(held, held))
    if isinstance(held, bool):
        return "yes" if held else "no"
    if isinstance(held, datetime):
        return held.isoformat(timespec="seconds")
    if held is None or isinstance(held, dict | list):
        return held
    return str(held)[:_LONGEST]


def _tell(action: str, instance: Model, diff: dict[str, list[Any]]) -> None:
    owner = instance if isinstance(instance, Connection) else getattr(instance, "connection", None)
    row = {
        "action": action,
        "kind": WATCHED[type(instance)].kind,
        "name": f"{owner}: {instance}" if owner and owner is not instance else str(instance),
        "object_id": instance.pk,
        "diff": diff,
        "connection": owner.pk if owner else None,
    }
    kept = _kept_back.get()
    record(**row) if kept is None else kept.append(row)


def _net(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows without those that took something away and those that put it back."""
    gone = {(row["kind"], row["name"]): row for row in rows if row["action"] == Action.REMOVED}
    for row in rows:
        earlier = gone.pop((row["kind"], row["name"]), None) if row["action"] == Action.ADDED else None
        if earlier is None and row["action"] != Action.REMOVED:
            yield row
        elif earlier is not None and (diff := _between(earlier["diff"], row["diff"])):
            yield {**row, "action": Action.CHANGED, "diff": diff}
    yield from gone.values()


def _between(removed: Mapping[str, list[Any]], added: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    before = {name: pair[0] for name, pair in removed.items()}
    after = {name: pair[1] for name, pair in added.items()}
    names = dict.fromkeys([*before, *after])
    return {
        name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)
    }
