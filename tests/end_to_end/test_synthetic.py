"""The synthetic sources through the real scheduler, in the order of a day's troubles."""

import contextlib
import csv
import io
import json
import os
import re
from pathlib import Path

import pytest

from citydata import contract, deploy, schedule, settings
from citydata.service.airflow import AirflowError
from citydata.service.installation import WAREHOUSE
from tests.end_to_end.running_platform import Platform
from tests.identity_codes import EVERY_TABLE, codes_in

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(600)]
HR = ["hr.absences", "hr.employments", "hr.people"]


def test_marts_are_filled(synthetic: Platform) -> None:
    assert synthetic.outcome.failures == []
    assert synthetic.outcome.held == []
    for table, source in (("mart_finance.purchase", "raw.finance__purchase_invoices"), ("mart_hr.headcount", None)):
        [(rows,)] = synthetic.query(f"SELECT count(*) FROM {table}")
        assert rows > 0, table
        if source:
            assert synthetic.query(f"SELECT count(*) FROM {source} WHERE _closed_by IS NULL") == [(rows,)]
    marts = synthetic.query("SELECT schemaname, tablename FROM pg_tables WHERE schemaname LIKE 'mart\\_%'")
    assert {schema for schema, _ in marts} == {f"mart_{sector}" for sector in deploy.sectors()}
    for schema, table in marts:
        assert synthetic.query(f"SELECT count(*) > 0 FROM {schema}.{table}") == [(True,)], f"{schema}.{table}"


def test_every_dataset_had_one_event_with_counts_and_no_values(synthetic: Platform) -> None:
    events = {event["uri"]: event for event in synthetic.events()}
    assert sorted(events) == sorted(schedule.asset_uri(name) for name in contract.load_all())
    assert len(synthetic.events()) == len(events)
    for uri, event in events.items():
        extra = event["extra"]
        assert set(extra) == {"batches", "inserted", "changed", "closed"}, uri
        dataset = uri.removeprefix("citydata://").replace("/", ".")
        counted = synthetic.query(
            f"SELECT sum(inserted)::int FROM ops.batch WHERE dataset = '{dataset}' AND state = 'published'"
        )
        assert [(extra["inserted"],)] == counted


def test_the_share_is_one_number_wherever_it_is_read(synthetic: Platform) -> None:
    assert synthetic.outcome.share, "`up` waits for the figure of what it released"
    synthetic.wait_for_quiet()
    synthetic.wait(lambda: not synthetic.at_work(schedule.MEASURE_DAG), "the measurement")
    [(n, denominator, percent)] = synthetic.query(
        "SELECT n, denominator, share FROM governance.share ORDER BY snapshot_id DESC LIMIT 1"
    )
    assert 0 < n < denominator
    text = f"{n}/{denominator} ({percent:.1f} %)".replace(".", ",")
    said = synthetic.typed("./citydata governance show --json")
    assert json.loads(said.stdout)["share"]["text"] == text
    for language in ("fi", "sv", "en"):
        page = synthetic.page(f"{language}/index.html")
        static = synthetic.installation.home / "export" / "governance" / language / "index.html"
        for html in (page.text, static.read_text(encoding="utf-8")):
            assert text in " ".join(re.sub("<[^>]*>", " ", html).replace("\u00a0", " ").split()), language
    [(governed,)] = synthetic.query(
        "SELECT count(*) FROM governance.snapshot_dataset d JOIN governance.snapshot s USING (snapshot_id)"
        " WHERE s.snapshot_id = (SELECT max(snapshot_id) FROM governance.snapshot) AND d.level >= 3"
        " AND d.contracts <> '{}'"
    )
    assert governed > 0, "what the platform loads can be governed on automatic evidence"


def test_nobody_unknown_reads_anything_of_the_portal(synthetic: Platform) -> None:
    [(dataset,)] = synthetic.query("SELECT min(dataset) FROM governance.snapshot_dataset")
    pages = ["index.html", "datasets.html", f"datasets/{dataset}.html", "systems.html", "quality.html", "method.html"]
    paths = [
        "",
        "index.html",
        "style.css",
        "docs",
        "openapi.json",
        "nothing/here",
        *(f"fi/{page}" for page in pages),
    ]
    for path in paths:
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"):
            assert synthetic.page(path, method=method, signed_in=False).status_code == 401, (method, path)
    for path in (*pages, "style.css"):
        address = path if path == "style.css" else f"sv/{path}"
        answer = synthetic.page(address)
        assert answer.status_code == 200, address
        assert "default-src" in answer.headers["Content-Security-Policy"]


def test_results_of_tasks_are_ids_and_counts(synthetic: Platform) -> None:
    values = synthetic.query("SELECT task_id, value::text FROM xcom WHERE key = 'return_value'", "airflow")
    assert {task for task, _ in values} >= {
        *("audit", "extract_people", "publish_people", "build_and_release", "measure_share"),
    }
    words = {"audited", "held", "published", "build", "release", "rows", "snapshot", "n", "denominator"}
    words |= {f"{s}.{t}" for s, t in synthetic.query("SELECT schema_name, table_name FROM ops.release_change")}
    for task, value in values:
        found = json.loads(value)
        found = json.loads(found) if isinstance(found, str) else found
        strings = _strings(found)
        assert strings <= words, f"{task}: {strings - words}"


def _strings(value: object) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        return set().union(*(_strings(part) for pair in value.items() for part in pair))
    return set().union(*map(_strings, value)) if isinstance(value, list) else set()


def test_a_second_run_publishes_nothing_and_rings_no_bell(synthetic: Platform) -> None:
    synthetic.wait_for_quiet()
    before, builds = len(synthetic.events()), len(synthetic.api.runs("build_warehouse"))
    versions = synthetic.query("SELECT count(*) FROM raw.finance__purchase_invoices")
    runs = {dag: synthetic.api.trigger(dag) for dag in ("extract_finance", "extract_hr", "extract_social_health")}
    for dag, run in runs.items():
        assert synthetic.finish(dag, run) == "success"
        states = synthetic.states(dag, run)
        assert {state for task, state in states.items() if task.startswith("publish_")} == {"skipped"}
        assert {state for task, state in states.items() if not task.startswith("publish_")} == {"success"}
    synthetic.wait_for_quiet()
    assert len(synthetic.events()) == before
    assert len(synthetic.api.runs("build_warehouse")) == builds
    assert synthetic.query("SELECT count(*) FROM raw.finance__purchase_invoices") == versions


def test_a_source_that_is_gone_stops_nobody_and_is_read_when_it_is_back(synthetic: Platform) -> None:
    synthetic.query("ALTER DATABASE hr_source ALLOW_CONNECTIONS false", "postgres")
    hr = synthetic.api.trigger("extract_hr")
    _new_account(synthetic, "998877;Testitili")
    finance = synthetic.api.trigger("extract_finance")
    assert synthetic.finish("extract_finance", finance) == "success"
    assert synthetic.states("extract_finance", finance)["publish_accounts"] == "success"
    synthetic.wait_for_quiet()
    assert synthetic.query("SELECT count(*) FROM master.account WHERE account = '998877'") == [(1,)]
    states = synthetic.states("extract_hr", hr)
    assert synthetic.api.run("extract_hr", hr)["state"] == "running"
    assert {states[f"extract_{name.partition('.')[2]}"] for name in HR} <= {
        "up_for_retry",
        "queued",
        "scheduled",
        "running",
    }
    assert states["publish_people"] is None

    # It lasts: the run misses its deadline and the datasets become older than their contracts promise.
    synthetic.query("UPDATE ops.batch SET published_at = published_at - interval '40 h' WHERE dataset LIKE 'hr.%'")
    synthetic.query(
        "UPDATE deadline SET deadline_time = now() - interval '1 min' FROM dag_run r"
        f" WHERE r.id = dagrun_id AND r.run_id = '{hr}' AND r.dag_id = 'extract_hr'",
        "airflow",
    )
    synthetic.wait(lambda: any("late" in alert["subject"] for alert in synthetic.alerts), "the alert of lateness", 60)
    [late] = [alert for alert in synthetic.alerts if "late" in alert["subject"]]
    assert late["datasets"] == HR
    assert hr in late["log"]

    synthetic.query("ALTER DATABASE hr_source ALLOW_CONNECTIONS true", "postgres")
    assert synthetic.finish("extract_hr", hr, 180) == "success"


def test_a_dataset_that_fails_stops_no_other_and_fails_the_run(synthetic: Platform) -> None:
    synthetic.query(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room for “%”', NEW.source; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON ops.batch FOR EACH ROW WHEN (NEW.dataset = 'hr.absences')"
        " EXECUTE FUNCTION public.refuse()"
    )
    published = "SELECT count(*) FROM ops.batch WHERE dataset = 'hr.people' AND state = 'published'"
    [(before,)] = synthetic.query(published)
    run = synthetic.api.trigger("extract_hr")
    assert synthetic.finish("extract_hr", run) == "failed"
    synthetic.query("DROP TRIGGER refuse ON ops.batch; DROP FUNCTION public.refuse()")
    states = synthetic.states("extract_hr", run)
    assert states["extract_absences"] == "failed"
    assert states["publish_absences"] == "upstream_failed"
    assert states["audit"] == states["extract_people"] == "success"
    assert synthetic.query(published) == [(before + 1,)]
    [alert] = [alert for alert in synthetic.alerts if alert["datasets"] == ["hr.absences"]]
    assert alert["reason"].startswith("RaiseException: no room")
    assert "extract_absences" in alert["log"]
    assert (settings.ROOT / alert["runbook"]).exists()


def test_a_held_batch_is_told_and_is_no_failure(synthetic: Platform) -> None:
    newest = _newest(synthetic, "tilit*.csv")
    lines = newest.read_text(encoding="utf-8").splitlines(keepends=True)
    _drop(newest.with_name("tilit-half.csv"), "".join(lines[: len(lines) // 2]))
    run = synthetic.api.trigger("extract_finance")
    assert synthetic.finish("extract_finance", run) == "success"
    assert synthetic.states("extract_finance", run)["publish_accounts"] == "skipped"
    [alert] = [alert for alert in synthetic.alerts if "held" in alert["subject"]]
    [(batch, reason)] = synthetic.query("SELECT batch_id, held_reason FROM ops.batch WHERE state = 'held'")
    assert (alert["batch"], alert["reason"], alert["datasets"]) == (batch, reason, ["finance.accounts"])
    assert synthetic.query("SELECT count(*) FROM master.account WHERE account = '998877'") == [(1,)]


def test_airflows_backfill_is_one_entry_of_the_ledger_and_its_end_rings_the_bell(synthetic: Platform) -> None:
    oldest_file = min((synthetic.installation.home / "drop" / "finance").glob("ostolaskut*.csv"))
    header, *lines = csv.reader(oldest_file.read_text(encoding="utf-8-sig").splitlines(), delimiter=";")
    year, voucher = header.index("Tilikausi"), header.index("Tositenumero")
    oldest = min(lines, key=lambda line: line[year])
    more = [*oldest[:voucher], "oikaistu", *oldest[voucher + 1 :]]
    with io.StringIO() as file:
        csv.writer(file, delimiter=";").writerows([header, *lines, more])
        _drop(oldest_file.with_name("ostolaskut-corrected.csv"), file.getvalue())
    known = {event["id"] for event in synthetic.events()}

    day = f"{oldest[year]}-06-0"
    asked = {"dag_id": "extract_finance", "from_date": f"{day}1T00:00:00Z", "to_date": f"{day}2T12:00:00Z"}
    first = asked | {"to_date": f"{day}1T12:00:00Z", "dag_run_conf": {"dry_run": True}}
    synthetic.api._request("POST", "backfills", json=first)
    synthetic.wait(lambda: _backfills(synthetic), "the dry run")
    [run] = _backfills(synthetic)
    synthetic.finish("extract_finance", run)
    assert synthetic.states("extract_finance", run)["extract_purchase_invoices"] == "skipped"
    assert synthetic.query("SELECT count(*) FROM ops.backfill") == [(0,)]
    # Airflow has one backfill of a DAG at a time, and looks every half minute for those that have ended.
    [tried] = synthetic.api._get("backfills", dag_id="extract_finance")["backfills"]
    with contextlib.suppress(AirflowError):  # it has just looked
        synthetic.api._request("PUT", f"backfills/{tried['id']}/cancel")
    told = {"dag_run_conf": {"reason": "kirjaukset oikaistiin"}, "reprocess_behavior": "completed"}
    synthetic.api._request("POST", "backfills", json=asked | told)

    ended = "SELECT dataset, origin, reason FROM ops.backfill WHERE state = 'done'"
    synthetic.wait(lambda: synthetic.query(ended), "the backfill to end")
    assert synthetic.query(ended) == [("finance.purchase_invoices", "airflow", "kirjaukset oikaistiin")]
    # Two runs, one year: it is read once, and rings once. What has no period is skipped in both.
    of_year = sum(line[year] == oldest[year] for line in [*lines, more])
    window = synthetic.query("SELECT part, expected, counted FROM ops.backfill_window")
    assert window == [([int(oldest[year])], of_year, "delivery")]
    runs = _backfills(synthetic)
    assert [synthetic.finish("extract_finance", run) for run in runs] == ["success", "success"]
    states = [synthetic.states("extract_finance", run) for run in runs]
    assert {state["extract_accounts"] for state in states} == {"skipped"}
    assert sorted(state["publish_purchase_invoices"] for state in states) == ["skipped", "success"]
    [event] = [event for event in synthetic.events() if event["id"] not in known]
    assert (event["extra"]["inserted"], event["extra"]["closed"]) == (1, 0)
    synthetic.wait_for_quiet()
    assert synthetic.query("SELECT count(*) FROM mart_finance.purchase WHERE voucher_number = 'oikaistu'") == [(1,)]


def _backfills(platform: Platform) -> list[str]:
    return [run["dag_run_id"] for run in platform.api.runs("extract_finance") if run["run_type"] == "backfill"]


def _newest(platform: Platform, pattern: str) -> Path:
    files = (platform.installation.home / "drop" / "finance").glob(pattern)
    return max(files, key=lambda path: path.stat().st_mtime)


def _new_account(platform: Platform, line: str) -> None:
    newest = _newest(platform, "tilit*.csv")
    text = newest.read_text(encoding="utf-8").rstrip("\n")
    _drop(newest.with_name("tilit-extended.csv"), f"{text}\n{line}\n")


def _drop(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.with_name(path.name + ".done").touch()


def test_no_identity_code_is_anywhere_but_in_the_source(synthetic: Platform) -> None:
    """After all that the tests above did: databases of the platform and of Airflow, logs, archive, state."""
    known = {code.upper() for (code,) in synthetic.query("SELECT identity_code FROM hr.person", "hr_source")}
    assert codes_in(" ".join(known), known) == len(known) > 100, "the scan must be able to find"
    found: dict[str, int] = {}
    for name in (WAREHOUSE, "airflow"):
        for (table,) in synthetic.query(EVERY_TABLE, name):
            found[f"{name} {table}"] = sum(
                codes_in(row, known) for (row,) in synthetic.query(f"SELECT t::text FROM {table} AS t", name)
            )
    assert len(found) > 60
    home = synthetic.installation.home
    # A measurement writes its pages beside the old ones and puts them in their place: what vanishes is not there any more.
    for path in (Path(folder, name) for folder, _, names in os.walk(home) for name in names):
        if "data" not in path.relative_to(home).parts:  # PostgreSQL's own files hold the HR system too
            with contextlib.suppress(FileNotFoundError):
                content = path.read_bytes() if path.is_file() else b""
                found[str(path)] = codes_in(path.name, known) + codes_in(content.decode("latin-1"), known)
    assert any("task_id=extract_people" in name for name in found), "logs of tasks must be in the scan"
    assert {place: count for place, count in found.items() if count} == {}
