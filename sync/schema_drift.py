"""Mappings that a change of the CRM's fields (or of ours) has put out of work: one issue each, closed when it is mended.

Asked after every compilation of the rules for work with the CRM, pulls and pushes alike; the cached schema is a day old
at most, so a field that was deleted, hidden or made read-only is told within a day, and at once when the CRM refuses it.
"""

from __future__ import annotations

from integrations.models import Connection
from mappings.compile import Rules
from sync import issues
from sync.models import SyncIssue
from sync.touch import touch_linked

KIND = "broken_mapping"


def report_drift(connection: Connection, rules: Rules) -> None:
    """Open an issue for every mapping that cannot work now, and close those of mappings that work again."""
    told = (*issues.OPEN, SyncIssue.State.IGNORED)
    rows = SyncIssue.objects.filter(connection=connection, kind=KIND, state__in=told)
    known = dict(rows.values_list("field", "message"))
    broken = {
        mapping[:255]: f"The mapping {mapping} does nothing: {why}" for mapping, why in rules.broken.items()
    }
    for mapping, message in broken.items():
        if known.get(mapping) != message[:500]:
            issues.report(connection, KIND, field=mapping, message=message, count=1)
    if mended := known.keys() - broken.keys():
        issues.resolve(connection, kind=KIND, field__in=mended)
        # What was edited here meanwhile could not be told from the pairs of a rule that was not there.
        touch_linked(connection)
