"""A suite that could pass without looking is refused when it is read. Great Expectations would run each of these."""

import copy
import json

import pytest
from great_expectations.core import ExpectationSuite

from citydata import contract, settings, suite
from citydata.quality import DIMENSIONS

ACCOUNTS = "finance.accounts"


@pytest.fixture
def document():
    return json.loads((settings.EXPECTATIONS / "finance" / "accounts.json").read_text(encoding="utf-8"))


@pytest.fixture
def read(tmp_path):
    def written_and_read(document):
        path = tmp_path / "accounts.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return suite.read(path, ACCOUNTS)

    return written_and_read


def changed(document, kwargs=(), **meta):
    """The suite with its first expectation changed."""
    document = copy.deepcopy(document)
    document["expectations"][0]["kwargs"].update(kwargs)
    document["expectations"][0]["meta"].update(meta)
    return document


@pytest.mark.parametrize("dataset", sorted(contract.load_all()))
def test_every_dataset_has_a_suite_that_great_expectations_reads_whole(dataset):
    read = suite.load(dataset)

    native = ExpectationSuite(**json.loads(read.path.read_text(encoding="utf-8")))
    assert [expectation.meta["id"] for expectation in native.expectations] == [check.id for check in read.checks]
    assert {check.dimension for check in read.checks} <= set(DIMENSIONS)


@pytest.mark.parametrize("dataset", sorted(contract.load_all()))
def test_suites_do_not_repeat_what_the_contract_requires(dataset):
    required = {column.name for column in contract.load(dataset).columns if column.required}

    not_null = {
        c.kwargs["column"] for c in suite.load(dataset).checks if c.type == "expect_column_values_to_not_be_null"
    }
    assert not_null & required == set()


def test_an_unknown_type_is_named(document, read):
    document["expectations"][0]["type"] = "expect_rows_to_satisfie"

    with pytest.raises(suite.SuiteError, match="account_in_a_class: unknown expectation type expect_rows_to_satisfie"):
        read(document)


def test_a_class_that_was_not_imported_is_named(document, read, monkeypatch):
    from great_expectations.expectations import registry

    monkeypatch.delitem(registry._registered_expectations, "expect_rows_to_satisfy")

    with pytest.raises(suite.SuiteError, match="unknown expectation type expect_rows_to_satisfy"):
        read(document)


@pytest.mark.parametrize("expectations", [[], None])
def test_an_empty_suite_is_refused(document, read, expectations):
    with pytest.raises(suite.SuiteError, match="no expectations"):
        read(document | {"expectations": expectations})


def test_a_missing_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "EXPECTATIONS", tmp_path)

    with pytest.raises(suite.SuiteError, match=r"accounts\.json: no suite for finance\.accounts"):
        suite.load(ACCOUNTS)


@pytest.mark.parametrize("mostly", [0, 0.49, 1.01, None, "most", {"$PARAMETER": "observed_on"}])
def test_a_share_that_cannot_fail_is_refused(document, read, mostly):
    with pytest.raises(suite.SuiteError, match=r"`mostly` must be a number from 0\.5 to 1"):
        read(changed(document, {"mostly": mostly}))


def test_two_checks_with_one_id_are_refused(document, read):
    with pytest.raises(suite.SuiteError, match="used twice"):
        read(changed(document, id=document["expectations"][1]["meta"]["id"]))


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"id": ""}, "has no `meta.id`"),
        ({"id": "hr.people.name"}, r"begins with finance\.accounts\."),
        ({"dimension": "quality"}, "`meta.dimension` must be one of correctness"),
        ({"dimension": None}, "`meta.dimension` must be one of"),
        ({"severity": "info"}, "`meta.severity` must be one of critical, warning, quarantine"),
        ({"description": " "}, "`meta.description` is missing"),
        ({"description_fi": None}, "`meta.description_fi` is missing"),
        ({"description_sv": ""}, "`meta.description_sv` is missing"),
        ({"canary": None}, "`meta.canary` must say"),
        ({"canary": {}}, "`meta.canary` must say"),
        ({"canary": {"rows": 1}}, "`meta.canary` must say"),
        ({"when_nothing_to_judge": "pass"}, "must be fail or skip"),
        ({"sevrity": "critical"}, "unknown key sevrity"),
    ],
)
def test_what_the_register_needs_is_required(document, read, meta, message):
    with pytest.raises(suite.SuiteError, match=message):
        read(changed(document, **meta))


def test_every_required_dimension_must_be_covered(document, read):
    document["expectations"] = [e for e in document["expectations"] if e["meta"]["dimension"] != "uniqueness"]

    with pytest.raises(suite.SuiteError, match="no check for the dimension uniqueness"):
        read(document)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"rul": "true"}, "arguments of expect_rows_to_satisfy"),
        ({"parameters": {"day": {"$PARAMETER": "observed"}}}, "unknown parameter observed; there are: observed_on"),
        ({"rule": "account in (select account from current_hr__people)"}, "compares with hr.people"),
        ({"when": "account in (select account from current_finance__suppliers)"}, "compares with finance.suppliers"),
        ({"row_condition": "account = '1'"}, "`row_condition` costs a scan"),
    ],
)
def test_wrong_arguments_are_refused(document, read, kwargs, message):
    with pytest.raises(suite.SuiteError, match=message):
        read(changed(document, kwargs))


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("expect_column_pair_values_to_be_equal", {"column_A": "account", "column_B": "name"}),
        ("expect_compound_columns_to_be_unique", {"column_list": ["account", "name"]}),
        ("unexpected_rows_expectation", {"unexpected_rows_query": "SELECT * FROM {batch}"}),
    ],
)
def test_types_whose_judged_rows_cannot_be_counted_are_refused(document, read, kind, kwargs):
    document["expectations"][0] |= {"type": kind, "kwargs": kwargs}

    with pytest.raises(suite.SuiteError, match="write the rule with expect_rows_to_satisfy"):
        read(document)


def test_a_column_that_the_contract_does_not_have_is_named(document, read):
    document["expectations"][3]["kwargs"]["value_column"] = "acount"

    with pytest.raises(suite.SuiteError, match=r"one_account_per_name: finance\.accounts has no column acount"):
        read(document)


def test_a_reference_to_a_column_that_the_contract_does_not_have_is_named(document, read):
    document["meta"]["references"]["finance.purchase_invoices"].append("konto")

    with pytest.raises(suite.SuiteError, match=r"finance\.purchase_invoices has no column konto"):
        read(document)


@pytest.mark.parametrize("change", ["mostly", "batch"])
def test_quarantine_is_for_single_rows_only(document, read, change):
    document = changed(document, severity="quarantine")
    if change == "mostly":
        document["expectations"][0]["kwargs"]["mostly"] = 0.9
    else:
        document["expectations"][0] |= {
            "type": "expect_row_count_to_be_plausible",
            "kwargs": {"minimum": 1, "highest_share": 2},
        }

    with pytest.raises(suite.SuiteError, match="severity quarantine needs a rule about single rows"):
        read(document)


def test_the_suites_name_is_its_dataset(document, read):
    with pytest.raises(suite.SuiteError, match=r"`name` must be finance\.accounts"):
        read(document | {"name": "finance.suppliers"})


def test_a_file_that_is_not_json_says_where(tmp_path):
    path = tmp_path / "accounts.json"
    path.write_text('{"name":\n oops}', encoding="utf-8")

    with pytest.raises(suite.SuiteError, match=r"accounts\.json:2: not JSON"):
        suite.read(path, ACCOUNTS)
