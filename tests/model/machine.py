"""The state machine: what hypothesis may let happen, in any order, between two moments of rest."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from contacts.models import Contact
from contacts.values import Value
from integrations.providers.base import Record
from integrations.providers.errors import AuthError, OutcomeUnknown, ProviderError, RateLimited, Transient
from tests.fakes.crashes import Killed
from tests.model.accounts import BY_CONTACT_FIELD, FIELDS, NAMES, NUMBERS, Account, Mapped
from tests.model.oracle import come_to_rest, stay_at_rest
from tests.model.world import World, a_world

crm_names = st.sampled_from(NAMES)
places = st.integers(0, 5)
numbers = st.sampled_from((*NUMBERS, None, "12"))
directions = st.sampled_from(("both", "inbound", "outbound", "none"))
conflicts = st.sampled_from(("crm_wins", "ours_wins", "ask"))
blanks = st.sampled_from(("ignore", "clear", "clear_if_emptied"))
fields = st.sampled_from([pair.contact for pair in FIELDS])
mapped_fields = st.builds(Mapped, directions, conflicts, blanks, blanks)
accounts = st.builds(
    Account,
    st.sampled_from(("latest", "oldest")),
    st.sampled_from(("unlink", "archive", "delete")),
    st.dictionaries(fields, mapped_fields, max_size=4),
)
reads = st.sampled_from(("changes", "read", "find_by_phone"))
read_errors = st.sampled_from(("transient", "rate", "auth", "killed", "ours"))
writes = st.sampled_from(("create", "update"))
write_errors = st.sampled_from(("transient", "rate", "unknown", "auth", "killed"))


class SyncMachine(RuleBasedStateMachine):
    """People, CRMs, workers and faults; see `tests.model.world` for what each step does."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.world: World = self.stack.enter_context(a_world())

    @initialize(north=accounts, south=accounts, known=st.integers(0, 3))
    def begin(self, north: Account, south: Account, known: int) -> None:
        """Two accounts, and some people that both know."""
        self.world.begin({"north": north, "south": south})
        for name in NAMES:
            for number in NUMBERS[:known]:
                self.world.crm_create(name, number, {"first_name": "Ada"})
        if known:
            self.world.cycle()
            self.world.remember()

    # People in a CRM

    @rule(name=crm_names, place=places, field=fields, choice=places, late=st.booleans())
    def crm_edits(self, name: str, place: int, field: str, choice: int, late: bool) -> None:
        """A field changes there."""
        if record := self._live(name, place):
            self.world.crm_edit(name, record.external_id, field, _theirs(field, choice), late=late)

    @rule(name=crm_names, number=numbers, field=fields, choice=places)
    def crm_creates(self, name: str, number: str | None, field: str, choice: int) -> None:
        """A new record there, often a second one of a number."""
        if len(self.world.crms[name].live()) < 6:
            self.world.crm_create(name, number, {field: _theirs(field, choice)})

    @rule(name=crm_names, place=places, number=numbers)
    def crm_changes_a_number(self, name: str, place: int, number: str | None) -> None:
        """A phone number changes there."""
        if record := self._live(name, place):
            self.world.crm_phone(name, record.external_id, number)

    @rule(name=crm_names, first=places, second=places)
    def crm_swaps_numbers(self, name: str, first: int, second: int) -> None:
        """Two records exchange their numbers."""
        one, other = self._live(name, first), self._live(name, second)
        if one and other and one is not other:
            self.world.crm_swap(name, one.external_id, other.external_id)

    @rule(name=crm_names, place=places)
    def crm_deletes(self, name: str, place: int) -> None:
        """A record goes into the bin."""
        if record := self._live(name, place):
            self.world.crm_delete(name, record.external_id)

    @rule(name=crm_names, place=places)
    def crm_restores(self, name: str, place: int) -> None:
        """A record comes back out of the bin."""
        records = self.world.crms[name].records.values()
        binned = [one for one in records if one.deleted and not one.merged_into]
        if binned:
            self.world.crm_restore(name, binned[place % len(binned)].external_id)

    @rule(name=crm_names, first=places, second=places)
    def crm_merges(self, name: str, first: int, second: int) -> None:
        """Two records become one."""
        one, other = self._live(name, first), self._live(name, second)
        if one and other and one is not other:
            self.world.crm_merge(name, one.external_id, other.external_id)

    @rule(name=crm_names, frozen=st.booleans())
    def crm_stamps(self, name: str, frozen: bool) -> None:
        """From now on all changes there carry one stamp, or each its own."""
        self.world.crms[name].frozen = frozen

    # People here

    @rule(place=places, field=fields, choice=places)
    def person_edits(self, place: int, field: str, choice: int) -> None:
        """A field changes here."""
        if contact := self._contact(place):
            self.world.local_edit(contact, field, _ours(field, choice))

    @rule(number=st.sampled_from(NUMBERS))
    def somebody_calls(self, number: str) -> None:
        """A conversation with a number that may be new."""
        self.world.local_contact(number)

    @rule(name=crm_names, field=fields, mapped=mapped_fields)
    def operator_remaps(self, name: str, field: str, mapped: Mapped) -> None:
        """A mapping changes."""
        self.world.remap(name, field, mapped)

    # Workers

    @rule(name=crm_names, full=st.booleans())
    def poll(self, name: str, full: bool) -> None:
        """A run is queued and worked on."""
        self.world.poll(name, full=full)
        self.world.drain()

    @rule()
    def push(self) -> None:
        """Some pushes are made."""
        self.world.push()

    @rule(seconds=st.sampled_from((5, 20, 200, 4000)))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.world.wait(seconds)

    @rule()
    def commit_late(self) -> None:
        """What was stamped earlier becomes visible."""
        self.world.commit_late()

    # Trouble: each of these sets it up and has the workers run into it

    @rule(number=st.integers(1, 14), after=st.booleans(), name=crm_names)
    def killed_at_a_commit(self, number: int, after: bool, name: str) -> None:
        """A worker dies with or after a commit."""
        self.world.poll(name)
        self.world.killed_drain(number, after=after)

    @rule(name=crm_names, method=reads, kind=read_errors, skip=st.integers(0, 2))
    def a_read_fails(self, name: str, method: str, kind: str, skip: int) -> None:
        """One of the next reads of a CRM fails."""
        self.world.crms[name].fail(method, errors(kind), skip=skip)
        self.poll(name, full=False)

    @rule(name=crm_names, method=writes, kind=write_errors, applied=st.booleans(), place=places, field=fields,
          choice=places, number=st.sampled_from(NUMBERS))  # fmt: skip
    def a_write_fails(
        self,
        name: str,
        method: str,
        kind: str,
        applied: bool,
        place: int,
        field: str,
        choice: int,
        number: str,
    ) -> None:
        """One of the next writes fails, or was done and its answer is lost."""
        lost = applied and kind in {"unknown", "killed"}
        lost |= applied and method == "update" and kind == "transient"
        self.world.crms[name].fail(method, errors(kind), applied=lost)
        if method == "create":
            self.world.local_contact(number)
        else:
            self.person_edits(place, field, choice)
        self.world.drain()

    @rule(name=crm_names, method=reads, after=st.booleans(), place=places, field=fields, choice=places,
          here=st.booleans())  # fmt: skip
    def meanwhile(
        self, name: str, method: str, after: bool, place: int, field: str, choice: int, here: bool
    ) -> None:
        """Somebody edits, here or there, while a CRM is being read."""

        def edit() -> None:
            if here:
                self.person_edits(place, field, choice)
            else:
                self.crm_edits(name, place, field, choice, late=False)

        # Between the read of a push and its write is the window that is documented as open.
        if here or not (method == "read" and after):
            self.world.crms[name].amid(method, edit, after=after)
        self.poll(name, full=False)

    @rule()
    def rest(self) -> None:
        """All comes to rest, and everything must hold."""
        come_to_rest(self.world)

    def teardown(self) -> None:
        """However it went, it comes to rest."""
        try:
            if self.world.crms and not getattr(self, "_failed", False):
                come_to_rest(self.world)
                stay_at_rest(self.world, full=True)
        finally:
            self.stack.close()

    def _live(self, name: str, place: int) -> Record | None:
        live = self.world.crms[name].live()
        return live[place % len(live)] if live else None

    def _contact(self, place: int) -> int | None:
        ids = list(Contact.objects.order_by("pk").values_list("pk", flat=True))
        return ids[place % len(ids)] if ids else None


def errors(kind: str) -> BaseException:
    """What a call may end with."""
    made: dict[str, BaseException] = {
        "transient": Transient("The CRM is down.", status=503),
        "rate": RateLimited("Too many calls.", retry_after=30.0, status=429),
        "unknown": OutcomeUnknown("The answer was lost."),
        "auth": AuthError("The credentials are refused.", status=401),
        "ours": ProviderError("An error that nobody knows.", status=418),
        "killed": Killed(),
    }
    return made[kind]


def _ours(field: str, choice: int) -> Any:
    values = BY_CONTACT_FIELD[field].ours
    return values[choice % len(values)]


def _theirs(field: str, choice: int) -> Value:
    values = BY_CONTACT_FIELD[field].theirs
    return values[choice % len(values)]
