"""Retries by error, alerts without values, addresses of sources."""

import logging
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from citydata import contract, schedule, settings

INSTANCE = SimpleNamespace(dag_id="extract_hr", task_id="extract_people", run_id="r1", log_url="http://here/log")


def _source_error() -> BaseException:
    from citydata.extract import SourceError

    return SourceError("hr.people batch 7: the source does not answer")


def _decide(error: BaseException, try_number: int, max_tries: int = schedule.MOST_RETRIES) -> tuple[str, float | None]:
    from orchestration.retries import ByError

    decision = ByError().evaluate(error, try_number, max_tries)
    return decision.action.value, decision.retry_delay.total_seconds() if decision.retry_delay else None


def test_a_source_that_does_not_answer_is_asked_for_hours() -> None:
    decisions = [_decide(_source_error(), number) for number in range(1, 10)]
    assert [delay for _, delay in decisions] == [60, 120, 240, 480, 960, 1920, 3600, 3600, None]
    assert [action for action, _ in decisions] == ["retry"] * 8 + ["fail"]


def test_the_database_gets_a_few_tries() -> None:
    error = psycopg.errors.AdminShutdown("terminating connection")
    assert [_decide(error, number)[0] for number in range(1, 5)] == ["retry", "retry", "retry", "fail"]


def test_tries_before_a_person_cleared_the_task_do_not_count() -> None:
    assert _decide(_source_error(), try_number=10, max_tries=9 + schedule.MOST_RETRIES) == ("retry", 60)


def test_what_waiting_does_not_change_is_not_tried_again() -> None:
    from citydata.audit import AuditError
    from citydata.extract import ContentError
    from citydata.ops import BatchError
    from citydata.suite import SuiteError

    for error in (
        ContentError,
        BatchError,
        SuiteError,
        AuditError,
        contract.ContractError,
        settings.SettingMissing,
        KeyError,
    ):
        assert _decide(error("no"), 1)[0] == "fail", error


def test_names_of_errors_are_those_of_classes() -> None:
    import importlib

    for name in schedule.RETRIES:
        module, _, attribute = name.rpartition(".")
        found = getattr(importlib.import_module(module), attribute)
        assert f"{found.__module__}.{found.__qualname__}" == name


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was posted to the webhook."""
    import requests

    posted: list[dict[str, Any]] = []

    def post(address: str, *, json: dict[str, Any], timeout: float) -> SimpleNamespace:
        posted.append({"address": address, **json})
        return SimpleNamespace(raise_for_status=lambda: None)

    monkeypatch.setattr(requests, "post", post)
    monkeypatch.setenv("CITYDATA_ALERT_WEBHOOK", "https://hook.example/T0K3N")
    return posted


def test_failure_names_dataset_batch_reason_log_and_runbook(
    sent: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    from orchestration.alerts import Failed

    with caplog.at_level(logging.ERROR):
        Failed("hr.people")({"ti": INSTANCE, "exception": _source_error(), "dag": None})
    [message] = sent
    assert message["datasets"] == ["hr.people"]
    assert message["batch"] == 7
    assert message["reason"] == "SourceError: hr.people batch 7: the source does not answer"
    assert message["log"] == "http://here/log"
    assert (settings.ROOT / message["runbook"]).name == "source-unreachable.md"
    for part in ("hr.people", "batch 7", "http://here/log", "source-unreachable.md"):
        assert part in caplog.text


def test_failure_shows_no_value(sent: list[dict[str, Any]], caplog: pytest.LogCaptureFixture) -> None:
    from orchestration.alerts import Failed

    error = ValueError('invalid input syntax for type integer: "010190-999X"\nDETAIL: Key (x)=(010190-999X)')
    Failed("hr.people")({"ti": INSTANCE, "exception": error, "dag": None})
    assert "010190-999X" not in f"{sent} {caplog.text}"
    assert "integer" in sent[0]["reason"]


def test_a_killed_task_is_told_without_an_exception(sent: list[dict[str, Any]]) -> None:
    from orchestration.alerts import Failed

    Failed("hr.people")(
        {"ti": SimpleNamespace(dag_id="d", task_id="t", run_id="r"), "exception": "killed", "dag": None}
    )
    assert sent[0]["log"] == "d r t"
    assert sent[0]["batch"] is None


@pytest.mark.parametrize("kind", [ConnectionError, ValueError])
def test_a_way_that_fails_stops_nothing_and_its_address_stays_secret(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: type[Exception]
) -> None:
    import requests
    from orchestration.alerts import Failed

    def refuse(address: str, **_: Any) -> None:
        raise kind(f"no way to {address}")

    monkeypatch.setattr(requests, "post", refuse)
    monkeypatch.setenv("CITYDATA_ALERT_WEBHOOK", "https://hook.example/T0K3N")
    Failed("hr.people")({"ti": INSTANCE, "exception": _source_error(), "dag": None})
    assert kind.__name__ in caplog.text
    assert "T0K3N" not in caplog.text


def test_a_webhook_that_refuses_the_message_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import requests
    from orchestration.alerts import Failed

    def not_found(address: str, **_: Any) -> requests.Response:
        answer = requests.Response()
        answer.status_code, answer.url = 404, address
        return answer

    monkeypatch.setattr(requests, "post", not_found)
    monkeypatch.setenv("CITYDATA_ALERT_WEBHOOK", "https://hook.example/T0K3N")
    Failed("hr.people")({"ti": INSTANCE, "exception": _source_error(), "dag": None})
    assert "the alert could not be sent by post: HTTPError" in caplog.text
    assert "T0K3N" not in caplog.text


def test_mail_goes_to_the_addresses_and_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.smtp.hooks import smtp
    from orchestration.alerts import Failed

    mails: list[dict[str, Any]] = []

    class Hook:
        def __enter__(self) -> "Hook":
            return self

        def __exit__(self, *_: object) -> None: ...

        def send_email_smtp(self, **mail: Any) -> None:
            mails.append(mail)

    monkeypatch.setattr(smtp, "SmtpHook", Hook)
    Failed("hr.people")({"ti": INSTANCE, "exception": _source_error(), "dag": None})
    assert mails == []
    monkeypatch.setenv("CITYDATA_ALERT_EMAIL", "duty@porvoo.example, second@porvoo.example")
    Failed("hr.people")({"ti": INSTANCE, "exception": _source_error(), "dag": None})
    owner = contract.load("hr.people").owner_email.removeprefix("mailto:")
    assert mails[0]["to"] == sorted(["duty@porvoo.example", "second@porvoo.example", owner])
    assert "source-unreachable.md" in mails[0]["html_content"]
    Failed("hr.people")({"ti": INSTANCE, "exception": ValueError("1 <b> 2"), "dag": None})
    assert "1 &lt;b&gt; 2" in mails[1]["html_content"]


def test_address_of_a_source_comes_from_the_environment_else_from_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import os

    from airflow.sdk import Connection
    from orchestration import steps

    asked = []

    def get(name: str) -> SimpleNamespace:
        asked.append(name)
        return SimpleNamespace(get_uri=lambda: "postgres://reader@there/hr")

    monkeypatch.setattr(Connection, "get", get)
    monkeypatch.setenv("CITYDATA_SOURCE_HR", "postgresql://reader@here/hr")
    steps._provide_address("hr.people")
    steps._provide_address("finance.accounts")
    assert asked == []
    monkeypatch.setenv("CITYDATA_SOURCE_HR", "")
    steps._provide_address("hr.people")
    assert asked == ["hr"]
    assert os.environ["CITYDATA_SOURCE_HR"] == "postgres://reader@there/hr"


@pytest.mark.parametrize(
    ("asked", "kind", "full"), [(False, "scheduled", True), (True, "manual", True), (False, "asset_triggered", False)]
)
@pytest.mark.parametrize("stale", [{}, {"hr": "test headcount: fail"}])
def test_a_group_that_stays_stale_fails_the_step_and_the_clock_builds_everything(
    monkeypatch: pytest.MonkeyPatch, asked: bool, kind: str, full: bool, stale: dict[str, str]
) -> None:
    from orchestration import steps

    from citydata import backfill, geopackage, release, transform

    builds = []
    exports = []

    def build(**options: Any) -> SimpleNamespace:
        builds.append(options)
        return SimpleNamespace(build_id=7, log="build-7.log")

    change = SimpleNamespace(schema="mart_hr", table="headcount", inserted=1, updated=2, deleted=3)
    done = SimpleNamespace(release_id=5, stale=stale, changes=[change])
    monkeypatch.setattr(transform, "build", build)
    monkeypatch.setattr(release, "release", lambda build_id, run_id: done)
    monkeypatch.setattr(geopackage, "refresh", lambda: exports.append("maps"))
    monkeypatch.setattr(backfill, "compare", lambda run_id: exports.append("difference"))
    monkeypatch.setattr(steps.alerts, "tell_waiting", lambda context: exports.append("alert"))
    context = {"params": {"full": asked}, "dag_run": SimpleNamespace(run_type=kind), "run_id": "r1"}
    monkeypatch.setattr(steps, "get_current_context", lambda: context)
    if stale:
        with pytest.raises(
            steps.GroupsStale, match=r"build 7: 1 groups stay as they were \(hr: test headcount: fail\)"
        ):
            steps.build_and_release.function()
    else:
        assert steps.build_and_release.function() == {"build": 7, "release": 5, "rows": {"mart_hr.headcount": 6}}
    assert builds == [{"full": full, "run_id": "r1"}]
    assert exports == ["maps", "difference", "alert"], "what comes after a release comes whatever stays stale"


def test_a_dry_run_of_a_backfill_says_what_it_would_read_and_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.exceptions import AirflowSkipException
    from orchestration import steps

    from citydata import backfill

    begins, ends = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    window = backfill.Window(1, begins, ends, expected=12, counted="source", standing=10)
    seen = backfill.Preview("hr.people", begins, ends, (window,), "nothing else")
    monkeypatch.setattr(
        backfill, "preview_run", lambda dataset, tick: seen if (dataset, tick) == ("hr.people", ends) else None
    )
    monkeypatch.setattr(backfill, "join", None)
    run = SimpleNamespace(run_type="backfill", logical_date=ends, dag_id="extract_hr")
    context = {"params": {"dry_run": True}, "dag_run": run, "run_id": "r1"}
    monkeypatch.setattr(steps, "get_current_context", lambda: context)
    monkeypatch.setattr(steps, "_provide_address", lambda dataset: None)
    told = r"12 rows expected \(counted in the source\), 10 stand there. Closed: nothing else. Nothing was read"
    with pytest.raises(AirflowSkipException, match=told):
        steps.extract_and_land.function("hr.people")


def test_a_source_that_nobody_gave_an_address_is_in_the_log_and_the_step_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException
    from orchestration import steps

    def unknown(name: str) -> None:
        raise AirflowNotFoundException(name)

    monkeypatch.setattr(Connection, "get", unknown)
    monkeypatch.delenv("CITYDATA_SOURCE_HR", raising=False)
    steps._provide_address("hr.people")
    assert "neither CITYDATA_SOURCE_HR nor an Airflow connection “hr” exists" in caplog.text


def test_errors_beside_and_inside_an_error_are_cleaned_too() -> None:
    import traceback

    from orchestration.steps import without_values

    def refused() -> psycopg.Error:
        return psycopg.errors.UniqueViolation("duplicate key\nDETAIL:  Key (name)=(Virtanen) already exists.")

    @without_values
    def beside() -> None:
        try:
            raise refused()
        except psycopg.Error:
            raise contract.ContractError("another one, while the first was handled")  # noqa: B904

    @without_values
    def inside() -> None:
        raise ExceptionGroup("2 of 3 datasets", [refused(), ExceptionGroup("more", [refused()])])

    for step in (beside, inside):
        with pytest.raises((contract.ContractError, ExceptionGroup)) as caught:
            step()
        shown = "".join(traceback.format_exception(caught.value))
        assert "Virtanen" not in shown
        assert "duplicate key" in shown


def test_logs_of_tasks_show_errors_without_values() -> None:
    import traceback

    import sqlalchemy.exc
    from orchestration.steps import without_values

    from citydata.extract import ContentError

    value = "Virtanen"

    @without_values
    def step() -> None:
        try:
            try:
                raise psycopg.errors.UniqueViolation(f"duplicate key\nDETAIL:  Key (name)=({value}) already exists.")
            except psycopg.Error as error:
                raise sqlalchemy.exc.IntegrityError("INSERT INTO t", {"name": value}, error) from error
        except sqlalchemy.exc.DBAPIError as error:
            raise ContentError("hr.people batch 7: line 3 is not the contract's\nsecond line") from error

    with pytest.raises(ContentError, match="second line") as caught:
        step()
    shown = "".join(traceback.format_exception(caught.value))
    assert shown.count("Virtanen") == 0
    assert "UniqueViolation" in shown
    assert "duplicate key" in shown
