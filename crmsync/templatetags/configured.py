"""The tags of the setup's own templates."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse
from django.utils.http import urlencode

from crmsync.config_watch import WATCHED
from integrations.models import Connection

register = template.Library()


@register.simple_tag
def history_url(thing: Any) -> str:
    """Where the configuration history tells of this thing; of a connection with its mappings. "" for what is no setting."""
    watched = WATCHED.get(type(thing))
    if watched is None:
        return ""
    of = (
        {"connection_ref": thing.pk}
        if isinstance(thing, Connection)
        else {"kind": watched.kind, "object_id": thing.pk}
    )
    return f"{reverse('admin:crmsync_configchange_changelist')}?{urlencode(of)}"
