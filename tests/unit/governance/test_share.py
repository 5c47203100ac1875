"""The share: counted by hand from a list that is written out, and what must hold of any list."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citydata.governance import share
from citydata.governance.inventory import TOWN, Change, Dataset, Exclusion, Inventory, Person, System
from citydata.governance.method import CURRENT
from citydata.governance.share import Counts, Judged, View

OFFICER, OWNER = "tietopaallikko", "museojohtaja"
TODAY = date(2026, 6, 15)


def dataset_of(name: str, **changes: Any) -> Judged:
    """A governed dataset that is a tietoaineisto of its own."""
    values: dict[str, Any] = {
        "dataset": name, "unit": name, "name_fi": name, "name_sv": name, "system": "talous", "sector": "concern",
        "criticality": "ordinary", "personal_data": "none", "level": 3, "missing": (),
    }  # fmt: skip
    return Judged(**(values | changes))


LIST = [
    dataset_of("laskut", system="talous", criticality="core", level=4),
    dataset_of("palvelussuhteet", system="henkilosto", criticality="core", personal_data="personal", level=3),
    dataset_of("kaavat", system="kartat", sector="urban", level=3, manual=True),
    dataset_of("luvat", system="kartat", sector="urban", personal_data="personal", level=2, missing=("C8",)),
    dataset_of("lainat", system="kirjasto", sector="education", personal_data="personal", level=1, missing=("C3",)),
    dataset_of("esineet", system="kirjasto", sector="education", level=0, missing=("C1",)),
    dataset_of("rakennukset", system="kartat", sector="urban", criticality="core", level=4, uncounted="vanished"),
    dataset_of("pysakit", system="kartat", sector="urban", level=3),
    dataset_of("puut", system="puistot", sector="urban", level=1, missing=("C3", "C8")),
]


# -- counting --------------------------------------------------------------------------------------------------------


def test_a_list_counted_by_hand() -> None:
    """Nine datasets in four mapped systems; three more systems are known: 9 + 3 · ⌈9/4⌉ = 18, and 9 + 3 = 12."""
    counts = share.count(LIST, mapped=4, unmapped=3)
    assert counts == Counts(n=4, m=9, s=4, u=3, at_least={1: 7, 2: 5, 3: 4, 4: 1}, automatic=3, manual=1)
    assert (counts.denominator, counts.upper_denominator) == (18, 12)
    assert (counts.share, counts.upper_share) == (Decimal("22.2"), Decimal("33.3"))


def test_the_example_of_the_method() -> None:
    counts = Counts(n=112, m=228, s=38, u=2, at_least={}, automatic=112, manual=0)
    assert (counts.denominator, counts.upper_denominator) == (240, 230)
    assert (counts.share, counts.upper_share) == (Decimal("46.6"), Decimal("48.6"))


def test_everything_mapped_has_no_bounds() -> None:
    counts = share.count(LIST, mapped=5, unmapped=0)
    assert counts.denominator == counts.upper_denominator == 9
    assert counts.share == counts.upper_share == Decimal("44.4")


def test_with_no_mapped_system_each_unmapped_one_counts_as_one() -> None:
    counts = share.count(LIST, mapped=0, unmapped=6)
    assert counts.denominator == counts.upper_denominator == 15
    assert counts.share == Decimal("26.6")


def test_nothing_at_all_has_no_share() -> None:
    counts = share.count([], mapped=0, unmapped=0)
    assert (counts.share, counts.upper_share) == (None, None)


def test_unmapped_systems_alone_are_zero_percent_and_not_nothing() -> None:
    counts = share.count([], mapped=0, unmapped=2)
    assert (counts.denominator, counts.share) == (2, Decimal("0.0"))


@pytest.mark.parametrize(
    ("n", "denominator", "percent"),
    [(2, 3, "66.6"), (1999, 2000, "99.9"), (1, 1001, "0.0"), (1, 1000, "0.1"), (5, 5, "100.0"), (0, 7, "0.0")],
)
def test_percent_is_rounded_down(n: int, denominator: int, percent: str) -> None:
    assert str(share.percentage(n, denominator)) == percent


def test_of_nothing_there_is_no_percentage() -> None:
    assert share.percentage(0, 0) is None


@pytest.mark.parametrize("why", share.UNCOUNTED)
def test_a_dataset_that_came_or_went_without_a_decision_counts_below_only(why: str) -> None:
    before = share.count([dataset_of("a"), dataset_of("b")], mapped=1, unmapped=0)
    after = share.count([dataset_of("a"), dataset_of("b", level=4, uncounted=why)], mapped=1, unmapped=0)
    assert (before.n, before.m) == (2, 2)
    assert (after.n, after.m, after.at_least[1]) == (1, 2, 1)


def test_datasets_of_one_unit_are_one_and_the_weakest_speaks() -> None:
    parts = [
        dataset_of("strong", unit="x", level=4),
        dataset_of("weak", unit="x", level=1, missing=("C3", "C8")),
        dataset_of("middle", unit="x", level=2, missing=("C8", "C9"), manual=True),
        dataset_of("other"),
    ]
    x, other = share.units(parts)
    assert (x.dataset, x.level, x.missing, x.manual) == ("weak", 1, ("C3", "C8", "C9"), True)
    assert other == parts[3]
    counts = share.count(parts, mapped=1, unmapped=0)
    assert (counts.n, counts.m) == (1, 2)


def test_a_governed_unit_is_automatic_only_when_all_of_it_is() -> None:
    parts = [dataset_of("loaded", unit="x", level=4), dataset_of("on_paper", unit="x", level=3, manual=True)]
    counts = share.count(parts, mapped=1, unmapped=0)
    assert (counts.n, counts.automatic, counts.manual) == (1, 0, 1)


def test_a_manual_dataset_below_the_governed_level_is_no_manual_part() -> None:
    counts = share.count([dataset_of("a", level=2, manual=True), dataset_of("b")], mapped=1, unmapped=0)
    assert (counts.automatic, counts.manual) == (1, 0)


# -- views -----------------------------------------------------------------------------------------------------------


def test_views_counted_by_hand() -> None:
    lines = {(line.view, line.value): (line.n, line.m, line.share) for line in share.views(LIST, CURRENT)}
    assert lines == {
        ("sector", "concern"): (2, 2, None),
        ("sector", "education"): (0, 2, None),
        ("sector", "urban"): (2, 5, Decimal("40.0")),
        ("system", "henkilosto"): (1, 1, None),
        ("system", "kartat"): (2, 4, None),
        ("system", "kirjasto"): (0, 2, None),
        ("system", "puistot"): (0, 1, None),
        ("system", "talous"): (1, 1, None),
        ("criticality", "core"): (2, 3, None),
        ("criticality", "ordinary"): (2, 6, Decimal("33.3")),
        ("personal_data", "none"): (3, 6, Decimal("50.0")),
        ("personal_data", "personal"): (1, 3, None),
        # talous and henkilosto; the others hold a dataset that is not governed.
        ("systems", "all"): (2, 5, Decimal("40.0")),
        # The platform loads none of them.
        ("rows", "all"): (0, 0, None),
        ("bytes", "all"): (0, 0, None),
    }


def test_fewer_than_five_systems_are_a_count() -> None:
    assert View("systems", "all", 2, 3, None) in share.views(LIST[:4], CURRENT)


def test_a_system_whose_part_of_a_unit_is_the_stronger_one_is_seen_and_not_governed() -> None:
    parts = [
        dataset_of("here", unit="x", system="one", level=4),
        dataset_of("there", unit="x", system="two", level=1),
    ]
    assert View("systems", "all", 0, 2, None) in share.views(parts, CURRENT)


def test_views_of_nothing() -> None:
    assert share.views([], CURRENT) == [View(name, "all", 0, 0, None) for name in ("systems", "rows", "bytes")]


def held(judged: list[Judged]) -> dict[str, tuple[int, int, Decimal | None]]:
    """The views by rows and by bytes."""
    return {line.view: (line.n, line.m, line.share) for line in share.views(judged, CURRENT) if line.view in share.HELD}


def test_rows_and_bytes_are_of_what_the_platform_holds() -> None:
    judged = [
        dataset_of("invoices", rows=600, bytes=1000),
        dataset_of("people", level=2, rows=300, bytes=4000),
        dataset_of("went", level=4, uncounted="vanished", rows=99, bytes=1),
        dataset_of("on_paper", manual=True),  # governed, and nothing of it is here
    ]
    assert held(judged) == {"rows": (600, 999, Decimal("60.0")), "bytes": (1000, 5001, Decimal("19.9"))}


def test_a_single_dataset_has_a_share_of_its_rows() -> None:
    assert held([dataset_of("a", rows=3, bytes=0)]) == {"rows": (3, 3, Decimal("100.0")), "bytes": (0, 0, None)}


def test_rows_of_a_strong_part_are_governed_with_its_whole_tietoaineisto_only() -> None:
    weak = dataset_of("weak", unit="x", level=1, rows=1, bytes=10)
    strong = dataset_of("strong", unit="x", level=4, rows=1000, bytes=10)
    assert held([weak, strong])["rows"] == (0, 1001, Decimal("0.0"))
    assert held([replace(weak, level=3), strong])["rows"] == (1001, 1001, Decimal("100.0"))


def test_what_blocks_counts_datasets_and_those_that_lack_nothing_else() -> None:
    lines = {blocker.criterion: (blocker.lacking, blocker.only) for blocker in share.blockers(share.units(LIST))}
    assert lines["C3"] == (2, 1)
    assert lines["C8"] == (2, 1)
    assert lines["C1"] == (1, 1)
    assert lines["C10"] == (0, 0)
    assert list(lines)[:2] == ["C3", "C8"]
    assert lines["C11"][1] is None, "above the governed level it blocks nothing"


# -- what is counted -------------------------------------------------------------------------------------------------


def registered(name: str, **changes: Any) -> Dataset:
    """A dataset of the inventory."""
    values: dict[str, Any] = {
        "id": name, "name_fi": name, "name_sv": name, "system": "kokoelmat", "sector": "education", "kind": "register",
        "criticality": "ordinary", "tietovaranto": "museo", "task_class": "12.03.03", "owner": OWNER,
    }  # fmt: skip
    return Dataset(**(values | changes))


def inventory(*datasets: Dataset, **parts: Any) -> Inventory:
    """An inventory with an officer, an owner who is none, and one system."""
    people = [
        Person(id=OFFICER, title_fi="Päällikkö", title_sv="Chef", roles=["governance_officer"]),
        Person(id=OWNER, title_fi="Johtaja", title_sv="Direktör"),
    ]
    system = System(
        id="kokoelmat", name_fi="Kokoelmat", name_sv="Samlingar", kind="application", sector="education",
        criticality="ordinary", owner=OWNER,
    )  # fmt: skip
    values: dict[str, Any] = {
        "people": {person.id: person for person in people},
        "systems": {system.id: system},
        "datasets": {entry.id: entry for entry in datasets},
    }
    return Inventory(**(values | parts))


def exclusion(subject: str, **changes: Any) -> Exclusion:
    """An exclusion that an officer approved for the year 2026."""
    values: dict[str, Any] = {
        "subject": subject, "reason": "group_company", "approver": OFFICER, "approved_on": date(2026, 1, 1),
        "expires_on": date(2027, 1, 1), "note_fi": "Tytäryhtiön tieto.",
    }  # fmt: skip
    return Exclusion(**(values | changes))


def change(kind: str, **changes: Any) -> Change:
    """A change that an officer decided this month."""
    values: dict[str, Any] = {
        "kind": kind, "on": date(2026, 6, 3), "approver": OFFICER, "document": "TH 6/2026", "note_fi": "Muutos.",
    }  # fmt: skip
    return Change(**(values | changes))


@pytest.mark.parametrize("subject", ["esineet", "kokoelmat"])
def test_what_an_officer_excludes_does_not_count(subject: str) -> None:
    entry = exclusion(subject)
    assert share.excluded(inventory(registered("esineet"), exclusions=(entry,)), TODAY) == {subject: entry}


@pytest.mark.parametrize("day", [date(2025, 12, 31), date(2027, 1, 1)])
def test_an_exclusion_holds_from_its_approval_until_it_expires(day: date) -> None:
    model = inventory(registered("esineet"), exclusions=(exclusion("esineet"),))
    assert share.excluded(model, day) == {}
    assert share.excluded(model, date(2026, 1, 1)).keys() == {"esineet"}
    assert share.excluded(model, date(2026, 12, 31)).keys() == {"esineet"}


def test_only_an_officer_excludes() -> None:
    model = inventory(registered("esineet", owner=None), exclusions=(exclusion("esineet", approver=OWNER),))
    assert share.excluded(model, TODAY) == {}


@pytest.mark.parametrize("office", ["owner", "steward"])
def test_an_officer_does_not_exclude_what_is_the_officers_own(office: str) -> None:
    model = inventory(registered("esineet", **{office: OFFICER}), exclusions=(exclusion("esineet"),))
    assert share.excluded(model, TODAY) == {}


def test_an_officer_does_not_exclude_a_system_of_the_officers_own() -> None:
    model = inventory(exclusions=(exclusion("kokoelmat"),))
    own = model.systems["kokoelmat"].model_copy(update={"owner": OFFICER})
    assert share.excluded(replace(model, systems={own.id: own}), TODAY) == {}


def unit(model: Inventory, name: str, today: date = TODAY) -> str:
    return share.unit_of(model, name, CURRENT, today)


def test_a_unit_is_one_tietovaranto_one_task_class_and_one_controller() -> None:
    model = inventory(
        registered("esineet"),
        registered("valokuvat"),
        registered("finer", task_class="12.03.03.01"),
        registered("other_pool", tietovaranto="kirjasto"),
        registered("other_class", task_class="12.03.02"),
        registered("other_controller", controller="Hyvinvointialue"),
    )
    assert unit(model, "esineet") == f"museo × 12.03.03 × {TOWN}"
    assert unit(model, "esineet") == unit(model, "valokuvat") == unit(model, "finer")
    others = {unit(model, name) for name in ("esineet", "other_pool", "other_class", "other_controller")}
    assert len(others) == 4


@pytest.mark.parametrize("gap", ["tietovaranto", "task_class"])
def test_a_dataset_without_a_place_is_a_unit_of_its_own(gap: str) -> None:
    model = inventory(registered("a", **{gap: None}), registered("b", **{gap: None}))
    assert (unit(model, "a"), unit(model, "b")) == ("dataset:a", "dataset:b")


def parts(*splits: Change) -> Inventory:
    """Datasets in different task classes, with splits of them."""
    names = ("esineet", "taide", "valokuvat", "negatiivit", "lahjoitukset")
    return inventory(
        *(registered(name, task_class=f"12.03.0{number}") for number, name in enumerate(names)), changes=splits
    )


def test_parts_that_were_split_this_month_are_one_until_it_ends() -> None:
    model = parts(change("split", before=["kokoelma"], after=["esineet", "taide"]))
    assert unit(model, "esineet") == unit(model, "taide") == unit(model, "taide", date(2026, 6, 30))
    assert unit(model, "lahjoitukset") not in (unit(model, "taide"), unit(model, "esineet"))
    for day in (date(2026, 6, 2), date(2026, 7, 1), date(2027, 6, 15)):
        assert unit(model, "esineet", day) != unit(model, "taide", day)


def test_a_dataset_that_keeps_its_id_in_a_split_is_one_with_its_new_part() -> None:
    model = parts(change("split", before=["esineet"], after=["esineet", "taide"]))
    assert unit(model, "esineet") == unit(model, "taide")


def test_parts_of_a_part_are_still_one_this_month() -> None:
    model = parts(
        change("split", before=["kokoelma"], after=["esineet", "kuvat"]),
        change("split", before=["kuvat"], after=["valokuvat", "negatiivit"], on=date(2026, 6, 9)),
    )
    assert unit(model, "esineet") == unit(model, "valokuvat") == unit(model, "negatiivit")


def test_other_changes_make_no_unit() -> None:
    model = parts(change("added", after=["esineet", "taide"]), change("merged", before=["esineet"], after=["taide"]))
    assert unit(model, "esineet") != unit(model, "taide")


def test_a_change_is_decided_by_an_officer_from_its_day_on() -> None:
    model = inventory(registered("esineet"), changes=(change("added", after=["esineet"]),))
    assert share.decided(model, "esineet", date(2026, 6, 3), kinds=["added"])
    assert not share.decided(model, "esineet", date(2026, 6, 2), kinds=["added"])
    assert not share.decided(model, "esineet", TODAY, kinds=["removed", "split", "merged"])
    assert not share.decided(model, "taide", TODAY, kinds=["added"])


@pytest.mark.parametrize("kind", ["removed", "split", "merged"])
def test_what_went_is_decided_by_the_change_that_names_it(kind: str) -> None:
    model = inventory(registered("taide"), changes=(change(kind, before=["kokoelma"], after=["taide"]),))
    assert share.decided(model, "kokoelma", TODAY, kinds=[kind])
    assert share.decided(model, "taide", TODAY, kinds=[kind])


def test_an_addition_decides_nothing_about_what_was_before() -> None:
    model = inventory(changes=(change("added", before=["kokoelma"], after=["taide"]),))
    assert not share.decided(model, "kokoelma", TODAY, kinds=["added"])


@pytest.mark.parametrize("changes", [{"approver": OWNER}, {"approver": "nobody"}])
def test_who_is_no_officer_decides_nothing(changes: dict[str, str]) -> None:
    model = inventory(registered("esineet", owner=None), changes=(change("added", after=["esineet"], **changes),))
    assert not share.decided(model, "esineet", TODAY, kinds=["added"])


def test_an_officer_decides_nothing_about_the_officers_own_dataset() -> None:
    model = inventory(registered("esineet", owner=OFFICER), changes=(change("added", after=["esineet"]),))
    assert not share.decided(model, "esineet", TODAY, kinds=["added"])


def test_an_officer_decides_nothing_about_the_officers_own_system() -> None:
    for owner, decides in ((OWNER, True), (OFFICER, False)):
        system = System(
            id="arkisto",
            name_fi="A",
            name_sv="A",
            kind="paper_archive",
            sector="concern",
            criticality="core",
            owner=owner,
        )
        model = replace(inventory(changes=(change("removed", before=["arkisto"]),)), systems={"arkisto": system})
        assert share.decided(model, "arkisto", TODAY, kinds=["removed"]) is decides


# -- what must hold of any list --------------------------------------------------------------------------------------

SMALL = st.integers(0, 40)


@st.composite
def lists(draw: st.DrawFn) -> list[Judged]:
    """Up to forty datasets, several of a unit now and then."""
    size = draw(st.integers(0, 40))
    return [
        dataset_of(
            f"d{number}",
            unit=f"u{draw(st.integers(0, 25))}",
            system=draw(st.sampled_from(["one", "two", "three"])),
            sector=draw(st.sampled_from(["concern", "urban"])),
            level=draw(st.integers(0, 4)),
            manual=draw(st.booleans()),
            uncounted=draw(st.sampled_from([None, None, None, *share.UNCOUNTED])),
            rows=draw(st.sampled_from([None, 0, 7, 1000])),
        )
        for number in range(size)
    ]


def figures(judged: list[Judged], mapped: int, unmapped: int) -> tuple[Decimal, Decimal]:
    """The headline and the upper bound; of nothing, nothing is governed."""
    counts = share.count(judged, mapped=mapped, unmapped=unmapped)
    return counts.share or Decimal(0), counts.upper_share or Decimal(0)


@given(lists(), SMALL, SMALL)
def test_the_headline_is_the_lower_bound(judged: list[Judged], mapped: int, unmapped: int) -> None:
    counts = share.count(judged, mapped=mapped, unmapped=unmapped)
    lower, upper = figures(judged, mapped, unmapped)
    assert 0 <= lower <= upper <= 100
    assert counts.n == counts.automatic + counts.manual == counts.at_least[3] <= counts.m
    assert counts.at_least[1] >= counts.at_least[2] >= counts.at_least[3] >= counts.at_least[4]
    # Rounded down, and by less than a tenth.
    if counts.denominator:
        assert lower * counts.denominator <= 100 * counts.n < (lower + Decimal("0.1")) * counts.denominator


@given(lists(), SMALL, SMALL, st.integers(0, 30))
def test_a_dataset_at_level_0_never_raises_the_share(judged: list[Judged], mapped: int, unmapped: int, u: int) -> None:
    more = [*judged, dataset_of("new", unit=f"u{u}", level=0)]
    before, after = figures(judged, mapped, unmapped), figures(more, mapped, unmapped)
    assert after[0] <= before[0]
    assert after[1] <= before[1]


@given(lists(), SMALL, SMALL)
def test_an_unmapped_system_never_raises_the_share(judged: list[Judged], mapped: int, unmapped: int) -> None:
    before, after = figures(judged, mapped, unmapped), figures(judged, mapped, unmapped + 1)
    assert after[0] <= before[0]
    assert after[1] <= before[1]


@given(lists().filter(bool), SMALL, SMALL, st.data())
def test_splitting_a_dataset_within_its_unit_never_raises_the_share(
    judged: list[Judged], mapped: int, unmapped: int, data: st.DataObject
) -> None:
    """Its parts can be as strong as they like, but one at least is as weak as the whole was."""
    whole = data.draw(st.sampled_from(judged))
    stronger = data.draw(st.lists(st.integers(0, 4), max_size=4))
    split = [
        *(entry for entry in judged if entry is not whole),
        replace(whole, dataset="part"),
        *(replace(whole, dataset=f"part{at}", level=level, uncounted=None) for at, level in enumerate(stronger)),
    ]
    before, after = figures(judged, mapped, unmapped), figures(split, mapped, unmapped)
    assert after[0] <= before[0]
    assert after[1] <= before[1]


@given(lists(), SMALL, SMALL, st.randoms(use_true_random=False))
def test_the_order_of_datasets_does_not_matter(judged: list[Judged], mapped: int, unmapped: int, random: Any) -> None:
    shuffled = random.sample(judged, len(judged))
    before = share.count(judged, mapped=mapped, unmapped=unmapped)
    assert share.count(shuffled, mapped=mapped, unmapped=unmapped) == before
    assert share.views(shuffled, CURRENT) == share.views(judged, CURRENT)


@given(lists())
def test_each_view_holds_every_unit_once(judged: list[Judged]) -> None:
    counts = share.count(judged, mapped=1, unmapped=0)
    lines = share.views(judged, CURRENT)
    for view in share.VIEWS:
        of_view = [line for line in lines if line.view == view]
        assert sum(line.m for line in of_view) == counts.m
        assert sum(line.n for line in of_view) == counts.n
        assert all((line.share is None) == (line.m < CURRENT.fewest_for_a_share) for line in of_view)
    whole = {line.view: line for line in lines if line.value == "all"}
    assert whole["systems"].m == len({entry.system for entry in judged})
    assert 0 <= whole["rows"].n <= whole["rows"].m == sum(entry.rows or 0 for entry in judged)
    assert (whole["rows"].share is None) == (whole["rows"].m == 0)
