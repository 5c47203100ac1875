"""Who is told about held batches and late datasets, from the ledger."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from citydata import contract, database, settings

CONTEXT = {
    "run_id": "tonight",
    "ti": SimpleNamespace(dag_id="extract_hr", task_id="extract_people", run_id="tonight", log_url="http://here/log"),
    "dag_run": {"dag_id": "extract_hr", "dag_run_id": "tonight"},
}
BATCH = (
    "INSERT INTO ops.batch (dataset, mode, contract_version, contract_hash, state, held_reason, run_id, published_at)"
    " VALUES (%s, 'snapshot', '1', 'x', %s, %s, %s, clock_timestamp()) RETURNING batch_id"
)


@pytest.fixture
def alerts(platform: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, whose messages are kept in `sent`."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.syspath_prepend(settings.ROOT / "plugins")
    from orchestration import alerts

    sent: list[Any] = []
    monkeypatch.setattr(alerts, "send", sent.append)
    monkeypatch.setattr(alerts, "sent", sent, raising=False)
    return alerts


def batch(dataset: str, state: str, reason: str | None, run: str) -> int:
    with database.connect("loader", autocommit=True) as connection:
        [(batch_id,)] = connection.execute(BATCH, (dataset, state, reason, run)).fetchall()
        return int(batch_id)


def test_a_run_tells_about_the_batches_that_it_holds_and_no_others(alerts: Any) -> None:
    batch("hr.people", "held", "yesterday's", "yesterday")
    batch("hr.people", "published", None, "tonight")
    batch("hr.absences", "held", "another dataset's", "tonight")
    held = batch("hr.people", "held", "the columns are not the contract's", "tonight")
    alerts.tell_held(CONTEXT, "hr.people")
    [message] = alerts.sent
    assert (message.datasets, message.batch, message.log) == (["hr.people"], held, "http://here/log")
    assert message.subject == f"hr.people: batch {held} is held"
    assert message.reason == "the columns are not the contract's"
    assert message.runbook.endswith("held-batch.md")


def test_a_step_tells_about_the_batches_that_it_names_whichever_run_read_them(alerts: Any) -> None:
    held = [batch("hr.people", "held", str(number), "yesterday") for number in range(3)]
    batch("hr.people", "held", "the extract has told about it", "tonight")
    alerts.tell_held(CONTEXT, "hr.people", "hr.absences", batch_ids=[])
    assert alerts.sent == []
    alerts.tell_held(CONTEXT, "hr.people", "hr.absences", batch_ids=held[1:])
    assert [message.batch for message in alerts.sent] == held[1:]


def test_a_deadline_tells_which_datasets_are_late_and_says_nothing_when_none_is(alerts: Any) -> None:
    batch("hr.people", "published", None, "tonight")
    alerts.tell_late(["hr.people"], CONTEXT)
    assert alerts.sent == []
    alerts.tell_late(["hr.people", "hr.absences"], CONTEXT)
    [message] = alerts.sent
    assert message.subject == "extract_hr: 1 of 2 datasets are late"
    assert message.datasets == ["hr.absences"]
    assert (
        message.reason
        == f"promised every {contract.load('hr.absences').sla_hours:g} h, last taken in: hr.absences never"
    )
    assert message.log.endswith("/dags/extract_hr/runs/tonight")
    assert message.runbook.endswith("late-dataset.md")
