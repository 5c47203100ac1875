"""The synthetic registers of buildings and addresses: right ids, nobody real, and what each day brings."""

import re
from collections import Counter
from itertools import pairwise

import pytest

from simulators.buildings import Building, Register, register_of
from simulators.identifiers import IDENTITY_CODE_CHARACTERS

SEED, SCALE = 1, 0.2


def on(day: int, scale: float = SCALE) -> Register:
    return register_of(SEED, scale, day)


def right(building: Building, register: Register) -> bool:
    return building.number not in register.faulty


def test_ids_are_right_and_belong_to_no_real_building() -> None:
    register = on(0)
    ids = [b.permanent_id for b in register.buildings if b.permanent_id and right(b, register)]
    assert len(ids) == len(set(ids)) > 400
    for one in ids:
        assert one.startswith("9")
        assert one[9] == IDENTITY_CODE_CHARACTERS[int(one[:9]) % 31]
    properties = [b.property_id for b in register.buildings if right(b, register)]
    assert all(re.fullmatch(r"638\d{3}9\d{7}", one) for one in properties)
    assert max(Counter((b.property_id, b.ordinal) for b in register.buildings).values()) == 1
    assert len({b.id for b in register.buildings}) == len(register.buildings)


def test_owners_are_fictional_and_some_are_protected() -> None:
    owners = [owner for building in on(0, 1.0).buildings for owner in building.owners]
    companies = [owner for owner in owners if owner.company_id]
    assert companies
    assert all(owner.family_name.startswith("Kiinteistö Oy Esimerkki") for owner in companies)
    assert 0.005 < sum(owner.protected for owner in owners) / len(owners) < 0.05


def test_buildings_stand_in_the_town_and_have_addresses_beside_them() -> None:
    register = on(0)
    inside = [b for b in register.buildings if right(b, register)]
    assert all(400_000 < b.easting < 470_000 and 6_650_000 < b.northing < 6_730_000 for b in inside)
    own = [a for a in register.addresses if a.place.municipality == "638"]
    assert {a.place.municipality for a in register.addresses} == {"638", "753", "434"}
    where = {b.permanent_id: b for b in inside if b.permanent_id}
    near = [abs(a.easting - where[a.building].easting) < 16 for a in own if a.building in where]
    assert len(near) > 200
    assert all(near)
    assert max(Counter(a.number for a in register.addresses).values()) == 1


@pytest.mark.parametrize("day", [1, 2, 3])
def test_each_day_brings_every_documented_kind_of_change(day: int) -> None:
    before, after = on(day - 1), on(day)
    old, new = ({b.number: b for b in register.buildings} for register in (before, after))
    come, gone = new.keys() - old.keys(), old.keys() - new.keys()
    assert len(come) == 2
    assert all(new[number].permanent_id is None for number in come)
    assert len(gone) == 1
    changed = {
        n for n in old.keys() & new.keys() if old[n] != new[n] and right(old[n], before) and right(new[n], after)
    }
    kinds = {
        field
        for number in changed
        for field in ("use", "floor_area", "easting", "permanent_id")
        if getattr(old[number], field) != getattr(new[number], field)
    }
    assert kinds >= ({"use", "floor_area", "easting"} if day == 1 else {"use", "floor_area", "easting", "permanent_id"})


def test_mistakes_are_one_a_day_of_each_kind_and_healed_the_day_after() -> None:
    for day, (before, after) in enumerate(pairwise(on(day) for day in range(4))):
        [number] = before.faulty
        [mistaken] = [b for b in before.buildings if b.number == number]
        healed = [b for b in after.buildings if b.number == number and right(b, after)]
        if day % 3 == 0:
            assert mistaken.permanent_id
            assert mistaken.permanent_id[9] != IDENTITY_CODE_CHARACTERS[int(mistaken.permanent_id[:9]) % 31]
        elif day % 3 == 1:
            assert mistaken.easting > mistaken.northing
        else:
            assert len(mistaken.property_id) == 13
        assert all(len(b.property_id) == 14 and b.easting < b.northing for b in healed)
    assert on(0, 0.05).faulty == frozenset(), "one mistake among so few would hold the batch"


def test_a_building_is_the_same_at_every_scale() -> None:
    small, large = ({b.number: b for b in on(0, scale).buildings} for scale in (0.05, 0.1))
    assert small.items() <= large.items()
    assert len(large) == 2 * len(small) == 240
    with pytest.raises(ValueError, match="start at 0"):
        on(-1)
