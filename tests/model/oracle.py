"""What must hold once all is quiet, said without the engine's own reasoning: from who wrote what, and how it is mapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from contacts.models import Contact
from contacts.phone import BadPhone, to_e164
from contacts.values import DoesNotFit, Value, same
from sync.models import ExternalRecord, RecordState, SyncIssue
from tests.model.accounts import BY_CONTACT_FIELD, FIELDS, NAMES, REFUSED, FieldPair, Mapped
from tests.model.world import World

OPEN = ("open", "parked")
UNFIT = "a value that fits nowhere"


def come_to_rest(world: World) -> None:
    """Two cycles after the last fault both sides agree, and a third writes nothing; then all that must hold is checked."""
    world.heal()
    world.cycle()
    world.cycle()
    world.watch()
    check_agreement(world)
    stay_at_rest(world)
    check_foretold(world)
    check_creations(world)
    check_needless(world)
    world.remember()


def stay_at_rest(world: World, *, full: bool = False) -> None:
    """A further cycle writes nothing, leaves nothing to do, and changes nothing about who is linked."""
    before = world.written()
    world.cycle(full=full)
    assert full or world.written() == before, f"a quiet cycle wrote: {before} → {world.written()}"
    assert world.idle(), f"something still waits: {waiting(world)}"
    world.watch()
    check_agreement(world)
    check_identity(world, full=full)


def waiting(world: World) -> dict[str, list[str]]:
    """What is not done, for the message of a failure."""
    from contacts.models import ContactTouched
    from sync.models import PendingPush, SyncRun

    runs = SyncRun.objects.filter(state__in=["queued", "running", "waiting"])
    return {
        "pushes": [f"{row} due {row.due_at} attempts {row.attempts}" for row in PendingPush.objects.all()],
        "runs": [f"{run} {run.state} {run.error}" for run in runs],
        "touched": [str(row) for row in ContactTouched.objects.all()],
    }


def check_agreement(world: World) -> None:
    """Every mapped field of every linked record: both sides agree, or something on record says why not."""
    for name, link in world.linked():
        record = world.crms[name].records[link.external_id or ""]
        assert not record.deleted, f"{name} {link.external_id} is deleted and still linked"
        for pair in FIELDS:
            mapped = world.mapped(name, pair.contact)
            assert link.contact is not None
            ours, theirs = link.contact.value(pair.contact), record.values[pair.external.name]
            agreed = _agree(world, pair, ours, theirs)
            if not agreed and not _explained(world, name, link, pair, mapped, ours, theirs):
                raise AssertionError(
                    f"{name} {link.external_id} {pair.contact}: here {ours!r}, there {theirs!r}, {mapped}, "
                    f"settled {link.settled.get(_key(pair))!r}, skipped {link.skipped_fields}"
                )


def _agree(world: World, pair: FieldPair, ours: Value, theirs: Value) -> bool:
    if pair.contact == "do_not_call":
        return (ours is True) == (theirs is True)
    return same(_inward(world, pair, theirs, UNFIT), ours) or same(_outward(world, pair, ours, UNFIT), theirs)


def _explained(
    world: World, name: str, link: ExternalRecord, pair: FieldPair, mapped: Mapped, ours: Value, theirs: Value
) -> bool:
    """Whether a difference is one that policies allow, or one with a reason on record."""
    if mapped.direction == "none" or _key(pair) in link.skipped_fields or _asked(name, world, link, pair):
        return True
    if pair.contact == "do_not_call":
        # True wins wherever the mapping lets it through.
        return not mapped.pushes if ours is True else not mapped.pulls
    if mapped.direction == "inbound":
        source = (link.contact.sources if link.contact else {}).get(pair.contact, {})
        ours_is_theirs = source.get("external_id") == link.external_id and theirs is not None
        return not ours_is_theirs or mapped.conflict != "crm_wins"
    if mapped.direction == "outbound":
        blank = ours is None and mapped.blank_out != "clear"
        return blank or (name, link.external_id or "", pair.external.name) in world.edited_there
    if theirs is None:
        return mapped.blank_in != "clear"
    return ours is None and mapped.blank_out != "clear"


def _asked(name: str, world: World, link: ExternalRecord, pair: FieldPair) -> bool:
    rows = SyncIssue.objects.filter(
        connection=world.connections[name], contact_id=link.contact_id or 0, state__in=OPEN
    )
    return rows.filter(field__in=[pair.contact, pair.external.name, _key(pair)]).exists()


def check_foretold(world: World) -> None:
    """Where one writer alone wrote a field since all was quiet last, the outcome is known exactly."""
    contacts = Contact.objects.in_bulk()
    links = {(name, link.contact_id): link.external_id or "" for name, link in world.linked()}
    for (contact, field), writes in world.writes.items():
        if contact in world.unsure or field in world.unsure_fields or contact not in contacts:
            continue
        if contact not in world.quiet.local:
            continue  # made since: nothing is known of what it was
        if field == "do_not_call" or _was_open(world, contact, field) or len({who for who, _ in writes}) > 1:
            continue
        pair, who = BY_CONTACT_FIELD[field], writes[0][0]
        values = [value for _, value in writes]
        ours = contacts[contact].value(field)
        expected = _expected_here(world, contact, pair, who, values)
        told = (
            f"contact {contact} {field}: {who} wrote {values!r}, before {world.quiet.local[contact][field]!r}"
        )
        assert _among(ours, expected), f"{told}; here {ours!r}, expected one of {expected!r}"
        for name in NAMES:
            if (name, contact) in links:
                theirs = world.crms[name].records[links[name, contact]].values[pair.external.name]
                there = _expected_there(world, name, links[name, contact], pair, who, values, expected, ours)
                mapped = world.mapped(name, field)
                assert _among(theirs, there), f"{told}; {name} has {theirs!r}, expected {there!r} ({mapped})"


def _expected_here(world: World, contact: int, pair: FieldPair, who: str, values: list[Value]) -> list[Value]:
    before = world.quiet.local[contact][pair.contact]
    if who == "person":
        return [values[-1]]
    mapped = world.mapped(who, pair.contact)
    if not mapped.pulls:
        return [before]
    link = next(key for key, pk in world.quiet.links.items() if pk == contact and key[0] == who)
    last, start = values[-1], world.quiet.remote[link][pair.external.name]
    seen = [before] if same(last, start) else []
    if last is None and mapped.blank_in == "clear":
        return [*seen, None]
    if last is not None and (fits := _inward(world, pair, last, UNFIT)) != UNFIT:
        return [*seen, fits]
    # A blank that is ignored, or a value that does not fit: what came before stays.
    former = [_inward(world, pair, value, before) for value in values if value is not None]
    return [before, *former, *([None] if mapped.blank_in != "ignore" or None in values else [])]


def _expected_there(
    world: World,
    name: str,
    external_id: str,
    pair: FieldPair,
    who: str,
    values: list[Value],
    here: list[Value],
    ours: Value,
) -> list[Value]:
    mapped = world.mapped(name, pair.contact)
    if name == who:
        return [values[-1]]
    if (name, external_id) not in world.quiet.remote:
        return [world.crms[name].records[external_id].values[pair.external.name]]
    start = world.quiet.remote[name, external_id][pair.external.name]
    if not mapped.pushes:
        return [start]
    before = next(
        fields[pair.contact]
        for pk, fields in world.quiet.local.items()
        if pk == _contact(world, name, external_id)
    )
    seen = [start] if same(ours, before) else []
    if ours is None and mapped.blank_out == "clear":
        return [*seen, None]
    fits = _outward(world, pair, ours, UNFIT) if ours is not None else UNFIT
    if fits != UNFIT and not (fits == REFUSED and pair.contact == "first_name"):
        return [*seen, fits]
    former = [_outward(world, pair, _inward(world, pair, value, value), start) for value in [*values, *here]]
    return [start, *former, None]


def _contact(world: World, name: str, external_id: str) -> int:
    return world.quiet.links[name, external_id]


def _was_open(world: World, contact: int, field: str) -> bool:
    names = {field, "", BY_CONTACT_FIELD[field].external.name}
    return any((contact, name) in world.quiet.open_issues for name in names)


def check_identity(world: World, *, full: bool) -> None:
    """Every live record is linked once or skipped with a reason, and no deleted one is linked."""
    for name, connection in world.connections.items():
        rows = {row.external_id: row for row in ExternalRecord.objects.filter(connection=connection)}
        for record in world.crms[name].records.values():
            row = rows.get(record.external_id)
            if record.deleted:
                assert row is None or row.state != RecordState.LINKED, (
                    f"{name} {record.external_id} is deleted"
                )
                continue
            assert row is not None, f"{name} {record.external_id} was never seen"
            number = _number(record.values.get("phone"))
            if row.state == RecordState.LINKED:
                assert row.contact_id or not full, f"{name} {record.external_id} is linked to nobody"
                continue
            assert row.state == RecordState.SKIPPED, f"{name} {record.external_id} is live and {row.state}"
            assert row.reason in {"no_phone", "bad_phone", "duplicate_number"}, row.reason
            if full and row.reason == "duplicate_number":
                twin = ExternalRecord.objects.filter(
                    connection=connection, contact__phone_number=number, state=RecordState.LINKED
                )
                assert twin.exists(), f"{name} {record.external_id} is skipped for a number that nobody has"
            assert (row.reason == "duplicate_number") == bool(number), f"{row.reason} with {number!r}"
        held = Counter(row.contact_id for row in rows.values() if row.contact_id)
        assert not [contact for contact, count in held.items() if count > 1]


def check_creations(world: World) -> None:
    """A contact that was to get a record has exactly one that we made, or a reason; nothing was made twice."""
    for name, crm in world.crms.items():
        made = Counter(key for key, _ in crm.created_keys)
        twice = {key: count for key, count in made.items() if count > 1}
        again = {key for key in twice if _once_ended(crm.created_keys, key, name, world)}
        assert set(twice) <= again, f"{name}: created more than once: {twice}"
    for name, contact in world.wanted:
        rows = ExternalRecord.objects.filter(connection=world.connections[name], contact_id=contact)
        reason = SyncIssue.objects.filter(
            connection=world.connections[name], contact_id=contact, state__in=OPEN
        )
        gone = not Contact.objects.filter(pk=contact).exists() or (name, contact) in world.ended
        linked = rows.filter(state=RecordState.LINKED).exists()
        assert linked or gone or reason.exists(), f"contact {contact} never got a record in {name}"


def _once_ended(created: Iterable[tuple[str, str]], key: str, name: str, world: World) -> bool:
    """All but the last record of this contact were deleted or merged in the CRM before the next was made."""
    ids = [external_id for made_for, external_id in created if made_for == key]
    return all((name, one) in world.ended_records for one in ids[:-1])


def check_needless(world: World) -> None:
    """Nothing was written that was there already."""
    for name, crm in world.crms.items():
        assert not crm.needless, f"{name}: needless writes {crm.needless}"


def _inward(world: World, pair: FieldPair, value: Value, otherwise: Value) -> Value:
    try:
        return world.inward(pair.contact, value)
    except DoesNotFit:
        return otherwise


def _outward(world: World, pair: FieldPair, value: Value, otherwise: Value) -> Value:
    try:
        return world.outward(pair.contact, value)
    except DoesNotFit:
        return otherwise


def _key(pair: FieldPair) -> str:
    return f"{pair.external.name}:{pair.contact}"


def _number(raw: Value) -> str:
    try:
        return to_e164(raw, "US")
    except BadPhone:
        return ""


def _among(value: Value, candidates: Iterable[Value]) -> bool:
    return any(same(value, one) for one in candidates)
