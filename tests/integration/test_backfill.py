"""Backfills of files by year and of a database by time of change: what they read, what they leave alone, and how they end."""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from citydata import audit, backfill, database, land, ops, pipeline, schedule, transform
from citydata.cli import app
from citydata.service import status
from citydata.service.postgres import Cluster
from simulators import hr_database
from tests.integration.steps import Steps

VOUCHERS, PEOPLE = "trial.vouchers", "hr.people"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CHOICE = {"reason": "kirjaukset oikaistiin", "person": "kirjanpitaja"}


def vouchers(*lines: tuple[int | str, str]) -> str:
    return "fiscal_year;voucher;amount;unit\n" + "".join(f"{year};{voucher};1,00;\n" for year, voucher in lines)


def of_year(steps: Steps, year: int) -> list[str]:
    statement = "SELECT voucher FROM raw.trial__vouchers WHERE _closed_by IS NULL AND fiscal_year = %s ORDER BY voucher"
    return [row[0] for row in steps.query(statement, year)]


def asked(start: str, end: str, dataset: str = VOUCHERS, **options: Any) -> backfill.Preview:
    return backfill.preview(dataset, *schedule.window(start, end), **options)


def begun(seen: backfill.Preview, *, approval: bool = False) -> int:
    return backfill.begin(seen, approval=approval, **CHOICE)


def state(steps: Steps, number: int) -> str:
    return str(steps.query("SELECT state FROM ops.backfill WHERE backfill_id = %s", number)[0][0])


def test_a_year_is_read_again_and_nothing_of_another_is_touched(trial: Steps) -> None:
    trial.drop("tositteet-1.csv", vouchers((2024, "a"), (2024, "b"), (2025, "c"), (2025, "d")), at=NOON)
    trial.load(VOUCHERS)
    # The source has lost a row of each year; only 2025 is asked for.
    later = vouchers((2024, "a"), (2025, "c"), (2025, "e"), (2025, "f"), ("?", "g"))
    trial.drop("tositteet-2.csv", later, at=NOON + timedelta(days=1))

    seen = asked("2025-02-01", "2025-11-01")
    assert [(one.part, one.expected, one.counted, one.standing) for one in seen.windows] == [([2025], 3, "delivery", 2)]
    found = backfill.proceed(begun(seen))

    assert (found.state, [one.state for one in found.windows], found.altered) == ("done", ["done"], True)
    assert (of_year(trial, 2024), of_year(trial, 2025)) == (["a", "b"], ["c", "e", "f"])
    batch = trial.batch(VOUCHERS)
    # A row of which the year cannot be read may be one of 2025's: it waits in quarantine.
    assert (batch["extracted"], batch["quarantined"], batch["inserted"], batch["closed"]) == (4, 1, 2, 1)
    assert (batch["scope"]["values"], batch["source"]["rows_of_other_parts"]) == ([[2025]], 1)
    trial.assert_accounted(VOUCHERS)

    # The rows that were left aside come with the file's own batch.
    trial.load(VOUCHERS)
    assert (of_year(trial, 2024), of_year(trial, 2025)) == (["a"], ["c", "e", "f"])
    before = trial.versions(VOUCHERS)
    pipeline.rebuild(VOUCHERS)
    assert trial.versions(VOUCHERS) == before


def test_without_a_file_the_newest_archive_that_has_the_year_is_read(trial: Steps) -> None:
    for day, lines in enumerate([((2024, "a"), (2025, "b")), ((2025, "c"),)]):
        path = trial.drop(f"tositteet-{day}.csv", vouchers(*lines), at=NOON + timedelta(days=day))
        trial.load(VOUCHERS)
        path.unlink()
    trial.execute("UPDATE raw.trial__vouchers SET _closed_by = _opened_by WHERE voucher = 'a'")  # damage

    seen = asked("2023-06-01", "2026-01-01")
    assert [(one.part, one.expected, one.counted) for one in seen.windows] == [
        ([2023], 0, None),
        ([2024], 1, "delivery"),
        ([2025], 1, "delivery"),
    ]
    found = backfill.proceed(begun(seen))

    assert [one.state for one in found.windows] == ["empty", "done", "done"]
    assert (of_year(trial, 2024), of_year(trial, 2025)) == (["a"], ["c"])
    assert [batch["source"]["part_of"] for batch in trial.batches(VOUCHERS)[2:]] == [1, 2]


def test_interrupted_it_goes_on_where_it_stopped(trial: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    trial.drop("tositteet-1.csv", vouchers((2024, "a"), (2025, "b")), at=NOON)
    trial.load(VOUCHERS)
    trial.drop("tositteet-2.csv", vouchers((2024, "c"), (2025, "d")), at=NOON + timedelta(days=1))
    number = begun(asked("2024-01-01", "2026-01-01"))
    with pytest.raises(backfill.BackfillError, match=rf"backfill {number} is running.*resume"):
        begun(asked("2024-01-01", "2025-01-01"))

    publish = pipeline.audit_and_publish

    def killed(datasets: Any, batch_ids: list[int]) -> Any:
        if len(trial.batches(VOUCHERS)) == 3:
            raise KeyboardInterrupt
        return publish(datasets, batch_ids)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "audit_and_publish", killed)
        with pytest.raises(KeyboardInterrupt):
            backfill.proceed(number)
    assert (of_year(trial, 2024), of_year(trial, 2025)) == (["c"], ["b"])
    # What the source says meanwhile is published, but builds still see the batch before the backfill.
    trial.drop("tositteet-3.csv", vouchers((2023, "x")), at=NOON + timedelta(hours=1))
    trial.load(VOUCHERS)
    assert horizon(trial) == 1

    found = backfill.proceed(number)

    assert (of_year(trial, 2024), of_year(trial, 2025)) == (["c"], ["d"])
    assert found.state == "done"
    assert [batch["window"] for batch in found.batches] == [1, 2], (
        "what was read before the interruption is not read again"
    )
    assert horizon(trial) == trial.batch(VOUCHERS)["batch_id"]


def horizon(steps: Steps) -> int:
    """The batch of the vouchers that a build would see now."""
    statement = transform._HORIZON.replace("%(build)s", "0")
    [(batch_id,)] = steps.query(
        f"SELECT batch_id FROM ({statement}) AS h (build, dataset, batch_id) WHERE dataset = '{VOUCHERS}'"
    )
    return int(batch_id)


def test_a_held_window_stops_the_rest_and_says_what_to_do(trial: Steps) -> None:
    trial.drop("tositteet-1.csv", vouchers((2024, "a"), (2025, "b")), at=NOON)
    trial.load(VOUCHERS)
    lines = [(2024, "c"), *[(f"{year}x", "broken") for year in range(9)], (2025, "d")]
    trial.drop("tositteet-2.csv", vouchers(*lines), at=NOON + timedelta(days=1))

    found = backfill.proceed(begun(asked("2024-01-01", "2026-01-01")))

    assert (found.state, [one.state for one in found.windows]) == ("stopped", ["held", "pending"])
    held = trial.batch(VOUCHERS)["batch_id"]
    assert backfill.what_to_do(found)[0] == f"./citydata batch show {held}"
    pipeline.decide(held, release=False, **CHOICE)
    assert next_command(found.backfill_id) == f"./citydata backfill resume {found.backfill_id}"
    found = backfill.proceed(found.backfill_id)
    again = trial.batch(VOUCHERS)["batch_id"]
    assert (found.state, again > held) == ("stopped", True), "what was rejected is read again"
    pipeline.decide(again, release=True, **CHOICE)
    assert next_command(found.backfill_id) == f"./citydata backfill resume {found.backfill_id}"
    assert backfill.proceed(found.backfill_id).state == "stopped", "2025 has the same broken rows"
    pipeline.decide(trial.batch(VOUCHERS)["batch_id"], release=True, **CHOICE)
    assert backfill.proceed(found.backfill_id).state == "done"
    assert (of_year(trial, 2024), of_year(trial, 2025)) == (["c"], ["d"])


def next_command(number: int) -> str:
    """What people are told to type first, which `status` and `backfill show` say alike."""
    with database.connect("engineer", autocommit=True) as connection:
        found = backfill.get(connection, number)
    [finding] = _held_back_now()
    assert finding.command == backfill.what_to_do(found)[0]
    return finding.command


def compare(steps: Steps, number: int) -> None:
    """Let a backfill wait as a build does, for which these contracts have no models."""
    steps.execute("DELETE FROM ops.build_horizon WHERE build_id = 0")
    newest = "SELECT 0, dataset, max(batch_id) FROM ops.batch WHERE state = 'published' GROUP BY dataset"
    steps.execute(f"INSERT INTO ops.build_horizon (build_id, dataset, batch_id) {newest}")
    steps.execute("UPDATE ops.backfill SET state = 'waiting', compared_build = 0 WHERE backfill_id = %s", number)


def test_what_is_refused_is_taken_back_and_what_is_approved_is_seen(trial: Steps) -> None:
    trial.drop("tositteet-1.csv", vouchers((2024, "a"), (2025, "b")), at=NOON)
    trial.load(VOUCHERS)
    before = trial.versions(VOUCHERS)
    trial.drop("tositteet-2.csv", vouchers((2024, "c")), at=NOON + timedelta(days=1))
    number = begun(asked("2024-01-01", "2025-01-01"), approval=True)
    assert backfill.proceed(number).state == "comparing"
    assert of_year(trial, 2024) == ["c"]
    with pytest.raises(backfill.BackfillError, match="only one that waits"):
        backfill.approve(number, **CHOICE)
    compare(trial, number)
    with pytest.raises(backfill.BackfillError, match="person and a reason"):
        backfill.reject(number, person="kirjanpitaja", reason=" ")

    assert horizon(trial) == 1
    assert backfill.reject(number, **CHOICE).state == "rejected"

    assert trial.versions(VOUCHERS) == before
    assert trial.states(VOUCHERS) == ["published", "rejected"]
    trial.assert_accounted(VOUCHERS)
    with pytest.raises(backfill.BackfillError, match="it has ended"):
        backfill.cancel(number, **CHOICE)

    again = begun(asked("2024-01-01", "2025-01-01"), approval=True)
    assert backfill.proceed(again).state == "comparing"
    compare(trial, again)
    pipeline.replay(trial.batch(VOUCHERS)["batch_id"])
    with pytest.raises(backfill.BackfillError, match=r"not what was compared: batch 4.*run warehouse"):
        backfill.approve(again, **CHOICE)
    assert state(trial, again) == "comparing"
    compare(trial, again)
    found = backfill.approve(again, **CHOICE)
    assert (found.state, found.decided_by, found.decided_reason) == ("done", CHOICE["person"], CHOICE["reason"])
    assert (of_year(trial, 2024), horizon(trial)) == (["c"], trial.batch(VOUCHERS)["batch_id"])


def run(*arguments: str, code: int = 0) -> str:
    """Type `./citydata backfill …`; what it says, without frames and line ends."""
    result = CliRunner().invoke(app, ["backfill", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.exit_code == code, result.output
    return " ".join(re.sub(r"[│╭╮╰╯─┃━┏┓┗┛]", " ", result.output).split())


def test_from_the_preview_to_the_end_on_the_command_line(trial: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    trial.drop("tositteet-1.csv", vouchers((2024, "a"), (2025, "b")), at=NOON)
    trial.load(VOUCHERS)
    period = ("--from", "2024-01-01", "--to", "2026-01-01", "--reason", "kirjaukset oikaistiin", "--by", "kirjanpitaja")

    said = run("trial.vouchers", *period, "--dry-run")
    assert "2024 1 counted in the delivery 1 2025 1 counted in the delivery 1" in said
    assert "2 windows, 2 rows expected, 2 stand there" in said
    assert "none" in run("list")
    run("trial.vouchers", *period, code=1)  # asked, and nobody said yes
    said = run("trial.vouchers", *period, "--yes")
    assert "1/2 2024: done, 1 extracted, 0 inserted, 0 changed, 0 closed" in said
    assert said.endswith("there is nothing to build")

    broken = [(f"{year}x", "broken") for year in range(9)]
    trial.drop("tositteet-2.csv", vouchers((2024, "a"), (2024, "c"), *broken), at=NOON + timedelta(days=1))
    said = run("trial.vouchers", *period, "--yes", code=3)
    assert "1/2 2024: held, batch 4: 9 of 11 rows are in quarantine" in said
    assert "next: ./citydata batch show 4" in said
    said = run("trial.vouchers", *period, "--dry-run")
    assert "goes on" not in said
    assert "next: ./citydata batch show 4" in said
    run("trial.vouchers", *period, code=1)  # asked, and nobody said yes
    assert "begun without --wait-for-approval" in run("trial.vouchers", *period, "--wait-for-approval", "--yes", code=1)
    assert (trial.states(VOUCHERS)[-1], state(trial, 2)) == ("held", "stopped")
    assert run("trial.vouchers", *period, "--yes", code=3).startswith("backfill 2 goes on 1/2 2024: held")
    assert "2 trial.vouchers" in run("list", "--dataset", "trial.vouchers")
    [finding] = _held_back_now()
    assert finding.cause.startswith("held back by backfill 2, which is stopped at 2024: batch 4")
    assert (finding.subjects, finding.command) == ([VOUCHERS], "./citydata batch show 4")
    document = json.loads(CliRunner().invoke(app, ["backfill", "show", "2", "--json"]).stdout)
    assert (document["state"], document["requested_by"], len(document["windows"])) == ("stopped", "kirjanpitaja", 2)
    assert "there is no backfill 9" in run("resume", "9", code=1)
    assert "only one that waits" in run("approve", "2", "--reason", "oikein", code=1)

    assert "is cancelled" in run("cancel", "2", "--reason", "väärä tiedosto", "--yes")
    assert trial.states(VOUCHERS) == ["published", "published", "published", "rejected"]
    assert of_year(trial, 2024) == ["a"]
    assert _held_back_now() == []


def _held_back_now() -> list[status.Finding]:
    with database.connect("engineer", autocommit=True) as connection:
        return status._held_back(connection)


def test_what_cannot_be_asked_for_is_refused_with_what_can_be_done(trial: Steps) -> None:
    for dataset in ("trial.cost_centres", "trial.changes"):
        with pytest.raises(backfill.NotPossible, match=rf"batch replay.*batch rebuild {dataset}"):
            asked("2024-01-01", "2025-01-01", dataset)


# -- by time of change -----------------------------------------------------------------------------------------------


@pytest.fixture
def hr(cluster: Cluster, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    """The synthetic HR database, which the platform knows by its reader; an administrator's connection to it."""
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS hr_source WITH (FORCE)")
        reader = hr_database.create(cluster.url(), password=secrets.token_hex(8), seed=7, scale=0.05, day=0)
        monkeypatch.setenv("CITYDATA_SOURCE_HR", reader)
        with psycopg.connect(cluster.url(hr_database.DATABASE), autocommit=True) as source:
            yield source
        connection.execute("DROP DATABASE hr_source WITH (FORCE)")


def test_a_database_is_read_window_by_window(
    steps: Steps, hr: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.load(PEOPLE)
    inside, outside, lost = [row[0] for row in hr.execute("SELECT person_number FROM hr.person ORDER BY 1 LIMIT 3")]
    middle = datetime(2025, 6, 15, 12, tzinfo=UTC)
    change = "UPDATE hr.person SET family_name = 'Oikaistu', updated_at = %s WHERE person_number = %s"
    hr.execute("ALTER TABLE hr.person DISABLE TRIGGER USER")
    hr.execute("UPDATE hr.person SET updated_at = '2024-01-01' WHERE updated_at < '2025-07-01'")
    hr.execute(change, (middle, inside))
    hr.execute(change, (middle + timedelta(days=30), outside))
    hr.execute("DELETE FROM hr.person WHERE person_number = %s", (lost,))
    steps.execute("UPDATE raw.hr__people SET updated_at = '2024-01-01'")  # as if what the source corrected now were old
    [(watermark,)] = steps.query("SELECT value FROM ops.watermark WHERE dataset = %s", PEOPLE)

    seen = asked("2025-06-01", "2025-07-01", PEOPLE, every="week")
    assert [one.expected for one in seen.windows] == [0, 0, 1, 0, 0, 0]
    assert {one.counted for one in seen.windows} == {"source"}
    number = begun(seen)
    with monkeypatch.context() as patch:
        patch.setenv("CITYDATA_SOURCE_HR", "postgresql://hr_reader:salaisuus@127.0.0.1:1/hr_source")
        found = backfill.proceed(number)
    assert (found.state, found.windows[0].state) == ("stopped", "failed")
    assert "salaisuus" not in (found.windows[0].failure or "")

    found = backfill.proceed(number)

    assert found.state == "done"
    assert sum(batch["extracted"] for batch in found.batches) == 1
    names = "SELECT person_number FROM raw.hr__people WHERE family_name = 'Oikaistu' AND _closed_by IS NULL"
    assert steps.query(names) == [(inside,)]
    assert steps.query("SELECT count(*) FROM raw.hr__people WHERE person_number = %s AND _closed_by IS NULL", lost) == [
        (1,)
    ]
    assert steps.query("SELECT value FROM ops.watermark WHERE dataset = %s", PEOPLE) == [(watermark,)]
    steps.assert_accounted(PEOPLE)


def test_runs_of_a_scheduler_are_one_backfill_which_the_last_ends(trial: Steps) -> None:
    trial.drop("tositteet-1.csv", vouchers((2024, "a"), (2025, "b")), at=NOON)
    trial.load(VOUCHERS)
    trial.drop("tositteet-2.csv", vouchers((2024, "c"), (2025, "d")), at=NOON + timedelta(days=1))
    ticks = [datetime(2024, 12, 31, 3, tzinfo=UTC) + timedelta(days=day) for day in range(4)]
    active = {f"backfill__{tick}" for tick in ticks}

    def still_active(run_ids: list[str] | None) -> int:
        return len(active if run_ids is None else active & set(run_ids))

    seen = backfill.preview_run(VOUCHERS, ticks[1])
    expectation = "1 rows expected (counted in the delivery), 1 stand there"
    assert [one.expectation for one in seen.windows] == [f"2024: {expectation}", f"2025: {expectation}"]
    assert "at most 2;" in seen.closes
    assert trial.query("SELECT count(*) FROM ops.backfill") == [(0,)], "a preview enters nothing"

    read = {}
    for tick in ticks:
        run_id = f"backfill__{tick}"
        found, windows = backfill.join(VOUCHERS, tick, approval=False, run_id=run_id, **CHOICE)
        read[tick.day] = [window.title for window in windows]
        pipeline.audit_and_publish([VOUCHERS], backfill.read_for_run(found, windows, run_id))
        settled = backfill.settle_run(VOUCHERS, run_id, still_active)
        assert settled
        assert settled[1] is (tick == ticks[-1])
        if tick != ticks[-2]:  # which still shows as running although it has done all that it had to
            active.remove(run_id)
    # A run reads the years that its interval touches, unless another run did.
    assert read == {31: ["2024"], 1: ["2025"], 2: [], 3: []}
    assert settled[0].origin == "airflow"
    assert [(one.expected, one.counted, one.standing) for one in settled[0].windows] == [(1, "delivery", 1)] * 2
    assert (settled[0].state, of_year(trial, 2024), of_year(trial, 2025)) == ("done", ["c"], ["d"])
    assert backfill.settle_run(VOUCHERS, "scheduled", still_active) is None
    # The task of the last run, killed before it could ring, is tried again.
    again = backfill.settle_run(VOUCHERS, run_id, still_active)
    assert again
    assert (again[0].backfill_id, again[1]) == (found.backfill_id, True)
    trial.execute("INSERT INTO ops.build (\"full\", code_hash, state) VALUES (false, 'code', 'built')")
    assert backfill.settle_run(VOUCHERS, run_id, still_active) is None

    # Only a later run asks for approval, and it holds for all: what they change is compared first.
    trial.drop("tositteet-3.csv", vouchers((2024, "e"), (2025, "d")), at=NOON + timedelta(days=2))
    for number, approval in enumerate((False, True)):
        run_id = f"again {number}"
        found, windows = backfill.join(VOUCHERS, ticks[number], approval=approval, run_id=run_id, **CHOICE)
        pipeline.audit_and_publish([VOUCHERS], backfill.read_for_run(found, windows, run_id))
        active = {"again 1"} - {run_id}
        settled = backfill.settle_run(VOUCHERS, run_id, still_active)
        assert settled
        assert settled[1] is approval
    assert (settled[0].approval, settled[0].state, of_year(trial, 2024)) == (True, "comparing", ["e"])


def test_a_run_that_reads_while_its_backfill_is_cancelled_publishes_nothing(
    trial: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.drop("tositteet-1.csv", vouchers((2024, "a")), at=NOON)
    trial.load(VOUCHERS)
    trial.drop("tositteet-2.csv", vouchers((2024, "c")), at=NOON + timedelta(days=1))
    tick = datetime(2024, 12, 31, 3, tzinfo=UTC)
    found, windows = backfill.join(VOUCHERS, tick, approval=False, run_id="run", **CHOICE)
    take, cancelling = pipeline._take_asked, ThreadPoolExecutor(1)

    def cancelled_meanwhile(*arguments: Any) -> None:
        decided.append(cancelling.submit(backfill.cancel, found.backfill_id, **CHOICE))
        while state(trial, found.backfill_id) == "running":
            time.sleep(0.01)
        take(*arguments)

    decided: list[Future[backfill.Backfill]] = []
    monkeypatch.setattr(pipeline, "_take_asked", cancelled_meanwhile)
    backfill.read_for_run(found, windows, "run")
    assert decided[0].result().state == "cancelled"

    pipeline.audit_and_publish([VOUCHERS], pipeline.waiting(VOUCHERS))
    assert trial.states(VOUCHERS) == ["published", "rejected"]
    trial.execute("UPDATE ops.batch SET state = 'sealed' WHERE state = 'rejected'")  # had it slipped through
    pipeline.rebuild(VOUCHERS)
    assert (trial.states(VOUCHERS), of_year(trial, 2024)) == (["published", "rejected"], ["a"])
    with pytest.raises(ops.BatchError, match=f"backfill {found.backfill_id} is cancelled"):
        backfill.read_for_run(found, windows, "run")


def test_a_batch_that_is_rejected_while_it_is_landed_again_stays_rejected_and_hinders_no_other(
    trial: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.drop("tositteet-1.csv", vouchers((2024, "a")), at=NOON)
    [number] = pipeline.extract_and_land(VOUCHERS)
    trial.drop("kustannuspaikat-1.csv", "Koodi;Nimi;Talousarvio;Voimassa\n1001;Toimi;1,00;1.1.2026\n", at=NOON)
    [other] = pipeline.extract_and_land("trial.cost_centres")
    settle = land.settle

    def rejected_before(*arguments: Any) -> None:
        trial.execute(
            "UPDATE ops.batch SET state = 'rejected', decided_by = 'x', decided_reason = 'x', decided_at = now(), held = 1"
            " WHERE batch_id = %s",
            number,
        )
        settle(*arguments)

    monkeypatch.setattr(land, "settle", rejected_before)
    with database.connect("loader", autocommit=True) as connection:
        land.drop(connection, number)  # as if the landing table, which is not logged, were lost
    assert audit.audit([number, other]) == {number: "rejected", other: "audited"}
    assert trial.states(VOUCHERS) == ["rejected"]
    assert trial.query("SELECT tablename FROM pg_tables WHERE schemaname = 'landing'") == [(f"b{other}",)]


def test_an_undo_that_lacks_a_batch_is_not_done_and_no_build_releases_it(
    trial: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.drop("tositteet-1.csv", vouchers((2024, "a"), (2025, "b")), at=NOON)
    trial.load(VOUCHERS)
    before = trial.versions(VOUCHERS)
    trial.drop("tositteet-2.csv", vouchers((2024, "c")), at=NOON + timedelta(days=1))
    number = begun(asked("2024-01-01", "2025-01-01"), approval=True)
    backfill.proceed(number)

    def stopped(reason: BaseException) -> Callable[..., None]:
        def again(connection: ops.Connection, batch_id: int) -> None:
            if isinstance(reason, KeyboardInterrupt):
                raise reason
            ops.hold(connection, batch_id, str(reason))

        return again

    for reason, said in (
        (KeyboardInterrupt(), None),
        (ValueError("too many closed"), "batches 1 were.*backfill cancel"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "_again", stopped(reason))
            with pytest.raises((KeyboardInterrupt, backfill.BackfillError), match=said):
                backfill.cancel(number, **CHOICE)
        assert (state(trial, number), of_year(trial, 2025)) == ("undoing", [])
        with database.connect("transformer", autocommit=True) as connection:
            assert ops.not_whole(connection) == {VOUCHERS: [1]}

    assert backfill.cancel(number, **CHOICE).state == "cancelled"
    assert (trial.versions(VOUCHERS), trial.states(VOUCHERS)) == (before, ["published", "rejected"])
    with database.connect("transformer", autocommit=True) as connection:
        assert ops.not_whole(connection) == {}


def test_of_two_that_are_compared_the_second_does_not_contain_the_first(trial: Steps) -> None:
    trial.drop("tositteet-1.csv", vouchers((2024, "a")), at=NOON)
    trial.load(VOUCHERS)
    number = begun(asked("2024-01-01", "2025-01-01"), approval=True)
    with database.connect("transformer", autocommit=True) as connection:
        usual = transform._begin(connection, False, "code", None, None)
        connection.execute("UPDATE ops.build SET state = 'built' WHERE build_id = %s", (usual,))
        connection.execute("INSERT INTO ops.build_horizon VALUES (%s, 'trial.other', 5)", (usual,))
        first = transform._begin(connection, False, "code", None, number)
        connection.execute("UPDATE ops.build SET state = 'built' WHERE build_id = %s", (first,))
        # As if the first had been of the other dataset.
        for table in ("horizon", "build_horizon"):
            change = f"UPDATE ops.{table} SET batch_id = 9 WHERE dataset = 'trial.other' AND build_id = %s"
            connection.execute(change, (first,))
        transform._begin(connection, False, "code", None, number)
    assert trial.query("SELECT batch_id FROM ops.horizon WHERE dataset = 'trial.other'") == [(5,)]
