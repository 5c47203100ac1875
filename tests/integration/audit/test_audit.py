"""A batch is audited, held or loses rows to quarantine; what the checks said is written down."""

import csv
import dataclasses

import pytest

from citydata import audit, contract, database, land, ops, suite, town
from citydata.extract import ContentError
from tests.integration.audit.conftest import sample

INVOICES = "finance.purchase_invoices"


def land_finance(land_rows, invoices, **ledger):
    """The registers that invoices are compared with, and the invoices; all wait to be published."""
    for dataset in ("finance.accounts", "finance.suppliers", "finance.organisation_units"):
        land_rows(dataset, sample(dataset))
    return land_rows(INVOICES, invoices, **ledger)


def outcomes(query, batch):
    return dict(query("SELECT check_id, outcome FROM quality.check_result WHERE batch_id = %s", batch))


@pytest.mark.parametrize("dataset", sorted(contract.load_all()))
def test_a_clean_batch_is_audited_with_every_check_on_record(land_rows, query, monkeypatch, dataset):
    here, sampled = town.load(), suite.load(dataset).sample_parameters
    code = sampled.get("town_municipality_code", here.municipality_code)
    monkeypatch.setattr(
        town, "load", lambda: dataclasses.replace(here, municipality_code=code)
    )  # samples are of no real town
    batches = {name: land_rows(name, sample(name)) for name in contract.load_all()}

    assert audit.audit([batches[dataset]]) == {batches[dataset]: "audited"}

    expected = {check.id for check in suite.load(dataset).checks}
    rows = query(
        "SELECT check_id, outcome, evaluated, owner FROM quality.check_result WHERE batch_id = %s", batches[dataset]
    )
    assert {row[0] for row in rows} == expected
    assert {row for row in rows if row[1] == "error" or not row[2] or not row[3]} == set()


def test_a_failed_critical_check_holds_the_batch_and_names_the_check(land_rows, query):
    rows = sample(INVOICES)
    rows[0]["fiscal_year"] = 2202
    batch = land_finance(land_rows, rows)

    assert audit.audit([batch]) == {batch: "held"}

    [(state, held, reason)] = query("SELECT state, held, held_reason FROM ops.batch WHERE batch_id = %s", batch)
    assert (state, held) == ("held", len(rows))
    assert "finance.purchase_invoices.fiscal_year_plausible failed for 1 of 8" in reason
    # It is kept as its archive, and nothing else may take it for current.
    assert query("SELECT to_regclass(%s)", f"landing.b{batch}") == [(None,)]


def test_a_warning_is_recorded_with_counts_and_does_not_hold(land_rows, query):
    rows = sample(INVOICES)
    rows[0]["account"] = "9999"
    batch = land_finance(land_rows, rows)

    assert audit.audit([batch]) == {batch: "audited"}

    assert query(
        "SELECT outcome, severity, evaluated, unexpected, observed::float, threshold::float FROM quality.check_result"
        " WHERE batch_id = %s AND check_id = 'finance.purchase_invoices.account_in_chart'",
        batch,
    ) == [("fail", "warning", 8, 1, pytest.approx(0.125), pytest.approx(0.02))]


def test_rows_that_break_a_quarantine_rule_are_moved_with_their_reasons(land_rows, query):
    rows = sample("hr.employments") * 50
    rows = [{**row, "employment_number": f"E{number:04}"} for number, row in enumerate(rows)]
    rows[7] |= {"working_time_share": "180.00", "end_date": "1980-01-01"}
    batch = land_rows("hr.employments", rows)

    assert audit.audit([batch]) == {batch: "audited"}

    assert query("SELECT extracted, landed, quarantined FROM ops.batch WHERE batch_id = %s", batch) == [(200, 199, 1)]
    assert query("SELECT count(*) FROM landing.b%s" % batch) == [(199,)]  # noqa: UP031
    [(number, key, reasons, row)] = query("SELECT row_number, key, reasons, row FROM quarantine.hr")
    assert (number, key) == (8, '{"employment_number": "E0007"}')
    assert reasons == ["hr.employments.dates_in_order", "hr.employments.working_time_share_in_bounds"]
    assert row["working_time_share"] == "180.00"
    # The judgement was about all rows that landed, the broken one among them.
    assert query(
        "SELECT evaluated, unexpected FROM quality.check_result WHERE check_id = 'hr.employments.dates_in_order'"
    ) == [(200, 1)]


def test_too_large_a_share_in_quarantine_holds(land_rows, query):
    rows = sample("finance.suppliers")
    rows[0]["business_id"] = "0109357-8"
    batch = land_rows("finance.suppliers", rows)

    assert audit.audit([batch]) == {batch: "held"}

    [(reason, landed, quarantined)] = query(
        "SELECT held_reason, landed, quarantined FROM ops.batch WHERE batch_id = %s", batch
    )
    assert "1 of 6 rows are in quarantine, more than 1.0%" in reason
    assert (landed, quarantined) == (5, 1)


def test_a_batch_that_a_person_released_is_not_held_again(land_rows):
    rows = sample(INVOICES)
    rows[0]["fiscal_year"] = 2202
    batch = land_finance(land_rows, rows, decided_at="2026-03-03", decided_by="officer", decided_reason="known")

    assert audit.audit([batch]) == {batch: "audited"}


def test_an_audited_batch_is_left_as_it_is(land_rows, query, monkeypatch):
    batch = land_finance(land_rows, sample(INVOICES))
    audit.audit([batch])
    before = outcomes(query, batch)
    monkeypatch.setattr(land, "ensure", lambda *_: pytest.fail("a batch that is not waiting was looked into"))

    assert audit.audit([batch]) == {batch: "audited"}
    assert query("SELECT count(*) FROM quality.check_result WHERE batch_id = %s", batch) == [(len(before),)]


def test_an_empty_snapshot_is_held(land_rows, query):
    batch = land_rows("finance.accounts", [])

    assert audit.audit([batch]) == {batch: "held"}
    assert "pass" not in outcomes(query, batch).values()


def test_an_empty_increment_and_a_sweep_are_audited_without_claiming_anything(land_rows, query):
    empty = land_rows("hr.people", [])
    sweep = land_rows("hr.people", sample("hr.people"), kind="sweep")

    assert audit.audit([empty, sweep]) == {empty: "audited", sweep: "audited"}
    assert outcomes(query, empty) == outcomes(query, sweep) == {}


def test_a_rule_that_no_row_needs_claims_nothing(land_rows, query):
    rows = [{**row, "email": None} for row in sample("hr.people")]
    batch = land_rows("hr.people", rows)

    assert audit.audit([batch]) == {batch: "audited"}

    found = outcomes(query, batch)
    assert "hr.people.email_shape" not in found
    assert found["hr.people.gender_code"] == "pass"


def test_half_of_the_last_batch_of_the_same_scope_holds(land_rows, query):
    scope = {"type": "keys", "columns": ["fiscal_year"], "values": [[2025]]}
    published = {"state": "published", "inserted": 8}
    land_rows(INVOICES, sample(INVOICES), scope=scope, **published)
    land_rows(INVOICES, sample(INVOICES)[:1], scope={"type": "everything"}, state="published", inserted=1)
    batch = land_finance(land_rows, sample(INVOICES)[:3], scope=scope)

    assert audit.audit([batch]) == {batch: "held"}
    assert query(
        "SELECT observed, threshold FROM quality.check_result WHERE batch_id = %s AND check_id LIKE '%%rows_plausible'",
        batch,
    ) == [(3, 4)]


def test_references_take_the_waiting_version_of_a_row_before_the_current_one(land_rows, query):
    with database.connect_admin() as connection:
        connection.execute(
            "INSERT INTO raw.finance__accounts (account, name, _opened_by, _observed_at)"
            " SELECT account, name, 0, now() FROM (VALUES ('4340', 'Vanha nimi'), ('4999', 'Vain raw')) AS v (account, name)"
        )
    rows = sample(INVOICES)
    rows[0] |= {"account": "4999", "account_name": "Vain raw"}
    rows[1] |= {"account": "4340", "account_name": "Vanha nimi"}
    batch = land_finance(land_rows, rows)
    audit.audit([batch])

    found = dict(query("SELECT check_id, unexpected FROM quality.check_result WHERE batch_id = %s", batch))
    assert found[f"{INVOICES}.account_in_chart"] == 0
    assert found[f"{INVOICES}.account_name_agrees"] == 1


def test_a_table_that_changed_under_the_audit_is_not_settled(land_rows, query, monkeypatch):
    rows = sample("finance.suppliers")
    rows[0]["business_id"] = "0109357-8"
    batch = land_rows("finance.suppliers", rows)
    original = audit._settle

    def tampered(connection, batch, verdicts):
        connection.execute(f"DELETE FROM landing.{batch.landing_table} WHERE _row = 1")
        return original(connection, batch, verdicts)

    monkeypatch.setattr(audit, "_settle", tampered)
    with pytest.raises(audit.AuditError, match=rf"finance.suppliers batch {batch} changed while it was audited"):
        audit.audit([batch])

    assert query("SELECT state FROM ops.batch WHERE batch_id = %s", batch) == [("landed",)]
    assert query("SELECT count(*) FROM quality.check_result WHERE batch_id = %s", batch) == [(0,)]


def test_a_check_that_was_not_evaluated_stops_the_audit(land_rows, query, monkeypatch):
    batch = land_rows("finance.accounts", sample("finance.accounts"))
    run = suite.Runner.run
    monkeypatch.setattr(
        suite.Runner, "run", lambda self, checks, *args, **kwargs: run(self, checks[1:], *args, **kwargs)
    )

    with pytest.raises(audit.AuditError, match=rf"finance.accounts batch {batch}: only 6 of 7 checks were evaluated"):
        audit.audit([batch])

    assert query("SELECT state FROM ops.batch WHERE batch_id = %s", batch) == [("landed",)]


def test_an_error_of_a_critical_check_holds_and_says_so_without_values(land_rows, query, monkeypatch):
    rows = sample(INVOICES)
    rows[0]["voucher_number"] = "Salainen"
    batch = land_finance(land_rows, rows)
    load = suite.load

    def with_broken_rule(dataset):
        read = load(dataset)
        checks = [
            dataclasses.replace(check, kwargs={"rule": "voucher_number::integer > 0"})
            if check.id.endswith("fiscal_year_plausible")
            else check
            for check in read.checks
        ]
        return dataclasses.replace(read, checks=tuple(checks))

    monkeypatch.setattr(suite, "load", with_broken_rule)

    assert audit.audit([batch]) == {batch: "held"}
    [(reason,)] = query("SELECT held_reason FROM ops.batch WHERE batch_id = %s", batch)
    assert reason == (
        "finance.purchase_invoices.fiscal_year_plausible could not be evaluated (invalid input syntax for type integer)"
    )
    found = outcomes(query, batch)
    assert found[f"{INVOICES}.fiscal_year_plausible"] == "error"
    assert found[f"{INVOICES}.rows_plausible"] == "pass"


def test_of_two_audits_at_once_the_first_one_stands(land_rows, query, monkeypatch):
    rows = sample("finance.suppliers")
    rows[0]["business_id"] = "0109357-8"
    batch = land_rows("finance.suppliers", rows)
    verdicts = audit._verdicts

    def overtaken(runner, batch):
        found = verdicts(runner, batch)
        monkeypatch.setattr(audit, "_verdicts", verdicts)
        assert audit.audit([batch.batch_id]) == {batch.batch_id: "held"}
        return found

    monkeypatch.setattr(audit, "_verdicts", overtaken)

    assert audit.audit([batch]) == {batch: "held"}
    assert query("SELECT count(*) FROM quarantine.finance") == [(1,)]
    assert query(
        "SELECT count(*) FROM quality.check_result WHERE check_id = 'finance.suppliers.business_id_valid'"
    ) == [(1,)]


def test_a_suite_that_must_not_be_run_does_not_stop_the_others(land_rows, query, monkeypatch):
    broken = land_rows("finance.accounts", sample("finance.accounts"))
    sound = land_rows("finance.suppliers", sample("finance.suppliers"))
    load = suite.load

    def refused(dataset):
        if dataset == "finance.accounts":
            raise suite.SuiteError("accounts.json: the suite has no expectations")
        return load(dataset)

    monkeypatch.setattr(suite, "load", refused)

    with pytest.raises(audit.AuditError, match=r"accounts\.json: the suite has no expectations"):
        audit.audit([broken, sound])

    assert dict(query("SELECT batch_id, state FROM ops.batch")) == {broken: "landed", sound: "audited"}


def test_an_archive_whose_content_is_wrong_leaves_the_batch_held(land_rows, query, monkeypatch):
    batch = land_rows("finance.accounts", sample("finance.accounts"))
    with database.connect("loader") as connection:
        connection.execute(f"DROP TABLE landing.b{batch}")

    def reland(connection, lost):
        ops.hold(connection, lost.batch_id, "no such column")
        raise ContentError("no such column")

    monkeypatch.setattr(land, "reland", reland)

    assert audit.audit([batch]) == {batch: "held"}


def test_a_lost_landing_table_is_landed_again_before_it_is_judged(land_rows, query, monkeypatch):
    batch = land_rows("finance.accounts", sample("finance.accounts"))
    with database.connect("loader") as connection:
        connection.execute(f"TRUNCATE landing.b{batch}")  # as after a crash
    asked = []

    def reland(connection, lost):
        asked.append(lost.batch_id)
        with database.connect("loader") as other:  # landing again uses connections of its own
            other.execute(f"DROP TABLE landing.{lost.landing_table}")
            columns = contract.load(lost.dataset).table_columns
            other.execute(
                f"CREATE UNLOGGED TABLE landing.{lost.landing_table} (_row bigint,"
                f" {', '.join(f'{name} {kind}' for name, kind in columns.items())})"
            )
            for number, row in enumerate(sample(lost.dataset), start=1):
                other.execute(
                    f"INSERT INTO landing.{lost.landing_table} VALUES (%s, %s, %s)",
                    (number, row["account"], row["name"]),
                )

    monkeypatch.setattr(land, "reland", reland)

    assert audit.audit([batch]) == {batch: "audited"}
    assert asked == [batch]
    assert outcomes(query, batch)["finance.accounts.rows_plausible"] == "pass"


# What the published invoices of a real town are known for: their own municipality, months outside the year, 65 lines
# of one year without board and result area, unknown home towns, one name with two ids.
KNOWN = {
    "finance.purchase_invoices.municipality_is_the_town": 229,
    "finance.purchase_invoices.voucher_month_in_fiscal_year": 5,
    "finance.purchase_invoices.organisation_present": 65,
    "finance.suppliers.municipality_present": 41,
    "finance.suppliers.municipality_not_abroad": 11,
    "finance.suppliers.one_id_per_name": 2,
    "finance.organisation_units.name_is_a_name": 2,
}


def test_real_invoices_pass_with_their_known_oddities_as_warnings(land_rows, query, real_data):
    import json

    def read(dataset, name):
        entry = contract.load(dataset)
        with (real_data / "finance" / name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        found = [{c.name: row[c.source_name] or None for c in entry.columns} for row in rows]
        for row in found:
            if "amount_net" in row:
                row["amount_net"] = row["amount_net"].replace(",", ".")
        return found

    units = json.loads((real_data / "finance" / "paimio-organisation.json").read_text(encoding="utf-8"))
    batches = [
        land_rows(INVOICES, read(INVOICES, "paimio-purchase-invoices-2020-2025.csv")),
        land_rows("finance.suppliers", read("finance.suppliers", "paimio-suppliers.csv")),
        land_rows("finance.accounts", read("finance.accounts", "paimio-accounts.csv")),
        land_rows(
            "finance.organisation_units",
            [{"level": level, "name": name} for level, names in units.items() for name in names],
        ),
    ]

    assert set(audit.audit(batches).values()) == {"audited"}

    assert query("SELECT sum(quarantined) FROM ops.batch") == [(0,)]
    failed = query("SELECT check_id, unexpected FROM quality.check_result WHERE outcome <> 'pass'")
    assert dict(failed) == KNOWN


def test_no_value_of_the_data_reaches_reason_or_results(land_rows, query):
    rows = sample("hr.people")
    rows[0] |= {"identity_code": "p-secret", "identity_code_valid": False, "email": "salainen nimi"}
    batch = land_rows("hr.people", rows)
    audit.audit([batch])

    text = str(query("SELECT * FROM quality.check_result")) + str(query("SELECT held_reason FROM ops.batch"))
    assert "secret" not in text
    assert "salainen" not in text


def test_a_batch_that_does_not_exist_is_named(platform):
    with pytest.raises(ops.BatchError, match="no batch 4711"):
        audit.audit([4711])
