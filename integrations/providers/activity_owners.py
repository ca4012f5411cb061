"""Which CRM user a logged conversation belongs to, where an operator says so in the connection's options. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from integrations.providers.base import Activity

OPTION = "activity_owner"


def owner_of(activity: Activity, options: Mapping[str, str]) -> str:
    """The owner's id in the CRM: by our own number that was called or used (activity_owner.+14155550100), else the
    common one (activity_owner), else "" for whomever the CRM chooses."""
    ours = activity.from_number if activity.direction == "outbound" else activity.to_number
    return (ours and options.get(f"{OPTION}.{ours}")) or options.get(OPTION, "")
