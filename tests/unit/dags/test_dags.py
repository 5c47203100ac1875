"""What every DAG has, and what a broken contract takes away."""

import ast
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from citydata import contract, schedule, settings
from tests.benchmarks.dag_parsing import HEAVY, generate, measure

FILES = sorted((settings.ROOT / "dags").glob("*.py"))
DAGS = [
    "build_warehouse",
    "extract_finance",
    "extract_gis",
    "extract_hr",
    "extract_social_health",
    "extract_statistics",
    "measure_governance",
]
Parse = Callable[..., Any]


def test_every_file_is_read_without_error(parse: Parse) -> None:
    bag = parse()
    assert bag.import_errors == {}
    assert sorted(bag.dags) == DAGS


def test_every_dag_and_task_says_whose_it_is_and_what_happens_when_it_fails(parse: Parse) -> None:
    from orchestration import alerts
    from orchestration.retries import ByError

    for dag in parse().dags.values():
        assert dag.tags, dag.dag_id
        pages = re.findall(r"docs/runbooks/[\w-]+\.md", dag.doc_md)
        assert pages, dag.dag_id
        assert all((settings.ROOT / page).exists() for page in pages), pages
        assert dag.max_active_runs == 1
        assert not dag.catchup
        # A start date would begin a run when the DAG is first seen, beside the one that `up` starts.
        assert dag.start_date is None
        for task in dag.tasks:
            assert task.owner not in ("", "airflow"), task.task_id
            assert task.retries == schedule.MOST_RETRIES, task.task_id
            assert isinstance(task.retry_policy, ByError), task.task_id
            assert [type(callback) for callback in task.on_failure_callback] == [alerts.Failed], task.task_id


def test_dataset_tasks_follow_the_contract(parse: Parse) -> None:
    dags = parse().dags
    pools = {pool.name for pool in schedule.pools()}
    for extract in schedule.extracts():
        dag = dags[extract.dag_id]
        assert dag.timetable.expression == extract.cron
        assert dag.deadline[0].interval == extract.deadline
        for entry in extract.contracts:
            read, publish = dag.get_task(f"extract_{entry.name}"), dag.get_task(f"publish_{entry.name}")
            assert read.pool in pools
            assert read.owner == publish.owner == entry.owner
            assert [(asset.name, asset.uri) for asset in publish.outlets] == [
                (entry.dataset, f"citydata://{entry.system}/{entry.name}")
            ]
            assert read.on_failure_callback[0].datasets == (entry.dataset,)
            for column in entry.columns:
                for text in (column.description_fi, column.description_sv, column.description_en):
                    assert text in read.doc_md
                    assert text in dag.doc_md
            assert dag.get_task("audit").upstream_task_ids >= {read.task_id}
            # A failed extract must fail the run through its own publish task, which is a leaf.
            assert publish.upstream_task_ids == {read.task_id, "audit"}
            assert publish.trigger_rule == "all_success"
            assert publish.downstream_task_ids == set()
        assert dag.get_task("audit").trigger_rule == "all_done"


def test_build_listens_to_every_dataset_and_to_the_clock(parse: Parse) -> None:
    dag = parse().dags["build_warehouse"]
    listened = {asset.uri for asset in dag.timetable.asset_condition.objects}
    assert listened == {schedule.asset_uri(name) for name in contract.load_all()}
    assert dag.timetable.timetable.expression == schedule.BUILD_CRON


def test_what_a_backfill_is_told_is_typed_and_optional(parse: Parse) -> None:
    params = parse().dags["extract_hr"].params
    assert params.validate() == {"reason": "", "wait_for_approval": False, "dry_run": False}
    with pytest.raises(ValueError, match="is not of type"):
        params["wait_for_approval"] = "yes"
    assert all(params.get_param(name).description for name in params)


def test_arguments_of_tasks_hold_no_secret(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    for name in ("CITYDATA_SOURCE_HR", "CITYDATA_DATABASE_URL", "CITYDATA_PASSWORD_LOADER", "CITYDATA_ALERT_WEBHOOK"):
        monkeypatch.setenv(name, "postgresql://reader:S3cr3t@host/hr")
    for dag in parse().dags.values():
        assert "S3cr3t" not in str(DagSerialization.to_dict(dag))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_file_is_a_short_declaration(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 80
    kinds = {type(node).__name__ for node in ast.walk(ast.parse(text))}
    assert not kinds & {"FunctionDef", "AsyncFunctionDef", "ClassDef", "While", "Try", "Lambda"}


def test_a_broken_contract_removes_its_dataset_only_and_is_shown(parse: Parse, contracts: Path) -> None:
    path = contracts / "finance" / "accounts.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace('"snapshot"', '"photograph"'), encoding="utf-8")
    bag = parse(contracts)
    tasks = bag.dags["extract_finance"].task_ids
    assert sorted(bag.dags) == DAGS
    assert "extract_accounts" not in tasks
    assert "extract_suppliers" in tasks
    [(file, error)] = bag.import_errors.items()
    assert file.endswith("contracts.py")
    assert "finance/accounts.yaml" in error
    assert "photograph" not in error.splitlines()[-1] or "snapshot" in error


def test_a_schedule_that_is_none_is_a_broken_contract(parse: Parse, contracts: Path) -> None:
    path = contracts / "hr" / "people.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace('"0 5 * * *"', '"at five"'), encoding="utf-8")
    bag = parse(contracts)
    assert "extract_people" not in bag.dags["extract_hr"].task_ids
    assert "extract_absences" in bag.dags["extract_hr"].task_ids
    assert "at five" in next(iter(bag.import_errors.values()))


def test_several_schedules_of_a_system_are_several_dags(parse: Parse, contracts: Path) -> None:
    path = contracts / "hr" / "people.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace('"0 5 * * *"', '"15 * * * *"'), encoding="utf-8")
    dags = parse(contracts).dags
    assert "extract_hr" not in dags
    assert dags["extract_hr__hourly_15"].task_ids == ["audit", "extract_people", "publish_people"]
    assert "extract_people" not in dags["extract_hr__daily_0500"].task_ids
    assert dags["extract_hr__hourly_15"].deadline[0].interval == timedelta(hours=29)


def test_two_hundred_contracts_are_parsed_without_heavy_imports(tmp_path: Path) -> None:
    assert len(generate(tmp_path, 200)) == 200
    _, modules = measure(tmp_path)
    assert "orchestration.steps" in modules
    assert [name for name in HEAVY if name in modules] == []
