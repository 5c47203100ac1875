"""Links of suppliers follow fixed rules, and nothing is guessed."""

import pytest
from stdnum.fi import ytunnus

from citydata.master import supplier
from citydata.master.names import match_name
from citydata.master.supplier import Link, Record


def _valid(number: int) -> str:
    """A business id with its check digit."""
    return next(f"{number:07d}-{check}" for check in range(10) if ytunnus.is_valid(f"{number:07d}-{check}"))


ONE, OTHER = _valid(9000011), _valid(9000022)


def _links(*records: Record) -> dict[str, Link]:
    return {link.source_id: link for link in supplier.link(records)}


def _record(
    source_id: str, name: str | None, business_id: str | None = None, municipality: str | None = None
) -> Record:
    return Record("finance.purchase_invoices", source_id, name, business_id, municipality)


def test_a_valid_business_id_decides_whatever_the_name() -> None:
    links = _links(_record("a", "Malli Oy", ONE), _record("b", "Aivan muu", ONE))
    assert [(links[x].business_id, links[x].rule, float(links[x].score)) for x in "ab"] == [(ONE, "business_id", 1)] * 2


def test_name_and_municipality_find_the_one_business_id() -> None:
    links = _links(
        _record("a", "Malli-Siivous Oy", ONE, "Lahti"),
        _record("b", "Malli Siivous Oy", OTHER, "Turku"),
        _record("c", "MALLI SIIVOUS", None, "Turku"),
    )
    assert (links["c"].business_id, links["c"].rule) == (OTHER, "name_and_municipality")


def test_a_name_that_two_business_ids_have_stays_unmatched_with_the_reason() -> None:
    links = _links(
        _record("a", "Malli Oy", ONE, "Lahti"),
        _record("b", "Malli Oy", OTHER, "Turku"),
        _record("c", "Malli Oy", None, None),
    )
    assert links["c"].business_id is None
    assert links["c"].rule == "unmatched"
    assert links["c"].reason == "the source gives no business id, and 2 business ids have the name"


def test_two_business_ids_of_one_name_in_one_municipality_are_not_guessed_between() -> None:
    links = _links(
        _record("a", "Malli Oy", ONE, "Lahti"),
        _record("b", "Malli Oy", OTHER, "Lahti"),
        _record("c", "Malli Oy", None, "Lahti"),
    )
    assert links["c"].rule == "unmatched"


def test_a_name_alone_is_enough_only_when_the_municipality_is_not_known() -> None:
    links = _links(
        _record("a", "Malli Oy", ONE, "Lahti"),
        _record("b", "Malli Oy", None, "Ei tiedossa"),
        _record("c", "Malli Oy", None, "Turku"),
    )
    assert (links["b"].business_id, links["b"].rule) == (ONE, "name")
    assert links["c"].reason == "the source gives no business id, and that name's business id has another municipality"


def test_a_business_id_that_fails_its_check_identifies_nobody() -> None:
    wrong = ONE[:-1] + str((int(ONE[-1]) + 1) % 10)
    links = _links(_record("a", "Malli Oy", wrong, "Lahti"), _record("b", "Malli Oy", None, "Lahti"))
    assert links["a"].business_id is None
    assert links["a"].reason == "the business id fails its check, and no business id has the name"
    assert links["b"].business_id is None


def test_the_order_of_records_does_not_matter() -> None:
    records = [
        _record("a", "Malli Oy", ONE, "Lahti"),
        _record("b", "Malli Oy", None, "Lahti"),
        _record("c", "Toinen Oy", None, None),
    ]
    assert {x.source_id: x for x in supplier.link(records)} == {x.source_id: x for x in supplier.link(records[::-1])}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Malli-Siivous Oy", "malli siivous"),
        ("  MALLI   SIIVOUS OY AB ", "malli siivous"),
        ("Oy Malli Ab", "malli"),
        ("Mallin Kyläyhdistys r.y.", "mallin kyläyhdistys"),
        ("Åbo Exempel Rf", "åbo exempel"),
        ("Kauppa & Kumpp. Ky", "kauppa & kumpp"),
        ("Oy", "oy"),
    ],
)
def test_names_are_compared_without_form_case_and_punctuation(name: str, expected: str) -> None:
    assert match_name(name) == expected
