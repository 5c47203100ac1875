"""What a town with fewer datasets leaves out of the warehouse."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from citydata import contract, lineage, settings

# Nodes refer to lower numbers only, as dbt's graph has no cycles; letters are what a town may have or lack.
GRAPHS = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        *(st.sets(st.sampled_from([*map(str, range(number)), "a", "b", "c"])) for number in range(size))
    )
)
FINANCE = {"finance.purchase_invoices", "finance.suppliers", "finance.accounts", "finance.organisation_units"}


@examples(max_examples=40)
@given(GRAPHS, st.sets(st.sampled_from("abc")))
def test_what_is_built_needs_nothing_that_is_not(graph: tuple[set[str], ...], there: set[str]) -> None:
    needs = {str(number): needed for number, needed in enumerate(graph)}
    out = lineage.unbuildable(needs, there)
    built = needs.keys() - out.keys()
    for node in built:
        assert needs[node] <= built | there
    # Nothing is left out without need, and each reason is a missing thing that the node is made of.
    for node, reasons in out.items():
        assert not needs[node] <= built | there
        made_of = {node}
        for number in range(len(graph) - 1, -1, -1):
            if str(number) in made_of:
                made_of |= needs[str(number)]
        assert reasons == (made_of & set("abc")) - there


@examples(max_examples=40)
@given(GRAPHS, st.sets(st.sampled_from("abc")), st.sampled_from("abc"))
def test_one_thing_more_leaves_out_no_more(graph: tuple[set[str], ...], there: set[str], more: str) -> None:
    needs = {str(number): needed for number, needed in enumerate(graph)}
    assert lineage.unbuildable(needs, there | {more}).keys() <= lineage.unbuildable(needs, there).keys()


def test_a_circle_ends() -> None:
    assert lineage.unbuildable({"1": {"2"}, "2": {"1", "a"}, "3": set()}, set()).keys() == {"1", "2"}


def test_the_checkouts_own_town_leaves_nothing_out() -> None:
    assert lineage.left_out() == {}
    assert lineage.summary() is None
    assert lineage.absent() == []
    assert lineage.switches() == {"models": {}, "seeds": {}, "exposures": {}, "unit_tests": {}}
    named = contract.load_each()[0]
    suites = {f"{path.parent.name}.{path.stem}" for path in settings.EXPECTATIONS.glob("*/*.json")}
    assert suites == named.keys()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of a few models."""
    files = {
        "macros/closed.sql": "{% macro closed() -%} delete from {{ source('hr', 'people') }} {%- endmacro %}",
        "models/staging/hr/stg_hr__people.sql": "select 1 from {{ source('hr', 'people') }}",
        "models/staging/finance/stg_finance__lines.sql": "select 1 from {{ source('finance', 'lines') }}",
        "models/master/unit.sql": "{% if has_model('stg_hr__people') %}{{ ref('stg_hr__people') }}{% endif %}\n"
        "select 1 from {{ ref('stg_finance__lines') }} -- not {{ ref('nowhere') }}",
        "models/master/person.sql": "select 1 from {{ ref('stg_hr__people') }} join {{ ref('code') }}",
        "models/master/linked.sql": "select 1 from {{ source('master_link', 'unit') }}",
        "models/warehouse/swept.sql": "{{ config(pre_hook='{{ closed() }}') }} select 1",
        "models/marts/finance/line.sql": "select 1 from {{ ref('unit') }} left join {{ ref('list') }}",
        "models/marts/strategy/figure.sql": "select 1 from {{ ref('unit') }}",
        "models/_all.yml": "sources: [{name: master_link}]\n"
        "exposures:\n- {name: report, depends_on: [\"ref('person')\", \"ref('line')\"]}\n"
        "- {name: units, depends_on: [\"ref('unit')\"]}\n"
        "unit_tests:\n- {name: of_a_unit, model: unit, given: [{input: \"ref('stg_hr__people')\"}]}\n"
        "- {name: of_a_line, model: line, given: [{input: \"ref('unit')\"}]}\n",
        "seeds/code.csv": "a\n1\n",
        "seeds/_seeds.yml": "seeds: [{name: code}, {name: list}]",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_everything_that_needs_a_missing_dataset_is_left_out(project: Path, tmp_path: Path) -> None:
    (tmp_path / "town").mkdir()
    (tmp_path / "town" / "list.csv").write_text("a\n1\n")
    here = lineage.read(project, tmp_path / "town")
    hr = frozenset({"dataset hr.people"})
    assert lineage.missing(here, {"finance.lines"}, {"finance"}) == {
        "stg_hr__people": hr,
        "person": hr,
        "swept": hr,
        "figure": frozenset({"sector strategy"}),
        "code": frozenset(),  # nobody reads it any more
    }


def test_a_list_that_the_town_does_not_have(project: Path, tmp_path: Path) -> None:
    here = lineage.read(project, tmp_path / "nothing")
    found = lineage.missing(here, {"finance.lines", "hr.people"}, {"finance", "hr", "strategy"})
    assert found == {"line": frozenset({"list list"})}


def test_switches_for_dbt(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = lineage.read(project, tmp_path / "nothing")
    monkeypatch.setattr(lineage, "PROJECT", project)
    monkeypatch.setattr(lineage, "warehouse", lambda: here)
    monkeypatch.setattr(lineage, "left_out", lambda: lineage.missing(here, {"finance.lines"}, {"finance"}))
    off = {"+enabled": False}
    assert lineage.switches() == {
        "models": {
            "staging": {"hr": {"stg_hr__people": off}},
            "master": {"person": off},
            "warehouse": {"swept": off},
            "marts": {"finance": {"line": off}, "strategy": {"figure": off}},
        },
        "seeds": {"code": off},
        "exposures": {"report": off},
        "unit_tests": {"unit": {"of_a_unit": off}, "line": {"of_a_line": off}},
    }
    assert not lineage.has("person")
    assert lineage.has("unit")
    assert lineage.summary() == (
        "5 of 8 models are left out, the marts figure, line among them, because this town has"
        " no dataset hr.people; no list list; no sector strategy"
    )


def test_finance_alone_has_its_marts_without_a_list_of_the_town(tmp_path: Path) -> None:
    here = lineage.read(lineage.PROJECT, tmp_path)
    out = lineage.missing(here, FINANCE, {"finance"})
    built = here.nodes.keys() - out.keys()
    assert {"purchase", "supplier_spend", "organisation_unit", "account", "supplier", "dim_date"} <= built
    assert {"headcount", "indicator", "strategic_indicator", "stg_hr__people", "encounter_class"} <= out.keys()
