"""What the model has found, each as its shortest story. They run in the model's world and end with all its checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from contacts.models import Contact
from sync.models import ExternalRecord, RecordState
from tests.model.accounts import NAMES, NUMBERS, Account
from tests.model.oracle import come_to_rest, stay_at_rest
from tests.model.world import World, a_world

pytestmark = pytest.mark.django_db(transaction=True)
Begin = Callable[..., World]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Makes a world with these settings whose two CRMs both know the first number; at the end it must come to rest."""
    with a_world() as world:

        def made(north: Account = Account(), south: Account = Account(), *, known: int = 1) -> World:  # noqa: B008
            world.begin({"north": north, "south": south})
            for name in NAMES:
                for number in NUMBERS[:known]:
                    world.crm_create(name, number, {"first_name": "Ada"})
            world.cycle()
            world.remember()
            return world

        yield made
        come_to_rest(world)
        stay_at_rest(world, full=True)


def test_a_contact_that_another_crm_still_has_is_not_deleted_with_one_record(begin: Begin) -> None:
    world = begin(Account(deletes="delete"))
    world.crm_delete("north", "R000001")
    come_to_rest(world)
    assert Contact.objects.get().phone_number == NUMBERS[0]
    assert [name for name, _ in world.linked()] == ["south"]


def test_a_contact_that_only_one_crm_has_is_deleted_with_its_record(begin: Begin) -> None:
    world = begin(Account(deletes="delete"), known=0)
    record = world.crm_create("north", NUMBERS[0], {"first_name": "Ada"})
    come_to_rest(world)
    world.crm_delete("north", record)
    come_to_rest(world)
    assert not Contact.objects.exists()
    assert ExternalRecord.objects.get(external_id=record).state == RecordState.GONE
