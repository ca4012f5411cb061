"""A conversation as a Salesforce Task. Sources: Object Reference, Task; Lightning "Log a Call"."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from integrations.providers.activity_owners import owner_of
from integrations.providers.base import Activity, ActivityKind
from integrations.providers.markers import with_marker

SUBJECT_LIMIT = 255
DESCRIPTION_LIMIT = 32_000
# Part of Salesforce CRM Call Center; an org may lack them or hide them from the integration user.
CALL_FIELDS = {
    "CallType": "Call type",
    "CallDurationInSeconds": "Duration in seconds",
    "CallDisposition": "Disconnection reason",
    "CallObject": "Conversation",
}
_DIRECTIONS = {"inbound": "Inbound", "outbound": "Outbound"}


def task_values(
    activity: Activity, known: Collection[str] | None, options: Mapping[str, str], time_zone: str = ""
) -> dict[str, Any]:
    """The Task's fields. `known` may be written (None: all); what else there is to tell goes to the description.

    `options` are the connection's: the status, the owner, and the Type, which is left to the org without one. The date
    has no zone in Salesforce: it is the day at which it was in the org's `time_zone`, UTC if that is not known.
    TaskSubtype is not among them: Salesforce takes it at creation only (`subtype_of`).
    """
    call = {name: value for name, value in _call_values(activity).items() if value is not None}
    told = [
        f"{CALL_FIELDS[name]}: {value}"
        for name, value in call.items()
        if known is not None and name not in known
    ]
    day = activity.started.astimezone(_zone(time_zone)).date()
    values = {
        **dict(activity.extra),
        "Subject": with_marker(activity.title, activity.marker, SUBJECT_LIMIT),
        "Status": status_of(options),
        "ActivityDate": day.isoformat(),
        "Description": _description(activity.body, told),
        "WhoId": activity.contact_id,
    }
    values |= {"OwnerId": owner} if (owner := owner_of(activity, options)) else {}
    type_name = options.get(f"task_type.{activity.kind}") or options.get("task_type", "")
    values |= {"Type": type_name} if type_name and (known is None or "Type" in known) else {}
    return values | {name: value for name, value in call.items() if known is None or name in known}


def status_of(options: Mapping[str, str]) -> str:
    """The status that logged tasks get."""
    return options.get("task_status") or "Completed"


def subtype_of(activity: Activity) -> str:
    """Calls show as calls on the timeline; Salesforce has no subtype for SMS, WhatsApp or chats, which are tasks."""
    return "Call" if activity.kind is ActivityKind.CALL else "Task"


def _call_values(activity: Activity) -> dict[str, Any]:
    if activity.kind is not ActivityKind.CALL:
        return {}
    seconds = None if activity.duration_ms is None else round(activity.duration_ms / 1000)
    return {
        "CallType": _DIRECTIONS.get(activity.direction),
        "CallDurationInSeconds": seconds,
        "CallDisposition": activity.disconnection_reason[:255] or None,
        "CallObject": activity.marker[:255],
    }


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _description(body: str, told: list[str]) -> str:
    ending = "\n\n" + "\n".join(told) if told else ""
    return (body[: DESCRIPTION_LIMIT - len(ending)] + ending).strip()
