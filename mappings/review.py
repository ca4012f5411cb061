"""What there is to say about a connection's mappings as a whole: what cannot work, and what will not happen as expected."""

from __future__ import annotations

from dataclasses import dataclass

from contacts.models import field_specs
from integrations.models import Connection
from mappings.compatibility import PHONE, creation_warnings
from mappings.compile import compile_rules
from mappings.models import InboundMapping, OutboundMapping


@dataclass(frozen=True, slots=True)
class Finding:
    """`mapping` in words, "" where it concerns the connection. `broken`: the mapping does nothing; else it is a warning."""

    mapping: str
    words: str
    broken: bool = False


def review(connection: Connection) -> list[Finding]:
    """Findings from the cached schema, the broken ones first; no network."""
    rules = compile_rules(connection)
    found = [Finding(mapping, why, broken=True) for mapping, why in rules.broken.items()]
    rows: list[InboundMapping | OutboundMapping] = [
        *connection.inbound_mappings.all(),
        *connection.outbound_mappings.all(),
    ]
    specs, schema = field_specs(), connection.external_fields()
    found += [Finding(str(row), words) for row in rows for words in row.warnings(specs, schema)]
    return found + [Finding("", words) for words in _of_creation(connection, rules.create_phone)]


def _of_creation(connection: Connection, phone: str | None) -> list[str]:
    if not connection.sync_new_contacts:
        return []
    if phone is None:
        return [f"New contacts get no record in the CRM: no working mapping says where {PHONE} goes."]
    fed = {row.external_field for row in connection.outbound_mappings.all()} | {phone}
    return creation_warnings(frozenset(fed), connection.external_fields())
