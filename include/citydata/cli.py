"""The command line: `./citydata up`, `status`, `run` and the rest.

Exit codes: 0 done and well; 1 failure; 2 wrong usage; 3 done, but something is held, late or stale and waits for a
person; 130 interrupted.
"""

import contextlib
import getpass
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from citydata.settings import ROOT

if TYPE_CHECKING:
    from citydata.ops import Batch

EXIT_CODES = "Exit codes: 0 well, 1 failure, 2 wrong usage, 3 something is held, late or stale, 130 interrupted."

app = typer.Typer(
    name="citydata",
    help=f"The city's data platform.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # values of rows must not reach a screen or a log
    add_completion=False,
)

BATCH_COLUMNS = (
    *("batch_id", "dataset", "kind", "state", "extracted", "inserted", "changed", "unchanged", "closed", "quarantined"),
    *("held", "started_at", "published_at"),
)
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def main() -> None:
    """Entry point: errors that the platform foresees become one sentence and exit code 1."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped by a supervisor as by Ctrl-C
    try:
        app(prog_name="./citydata")
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on from here", err=True)
        raise SystemExit(130) from None


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say errors of the platform and of the database in a sentence, without values and without a traceback."""
    import psycopg

    from citydata import audit, contract, database, deploy, extract, geopackage, ops, release, transform
    from citydata.governance import attestation, inventory, snapshot
    from citydata.service import airflow, inputs, installation, postgres
    from citydata.settings import SettingMissing

    foreseen = (
        SettingMissing,
        airflow.AirflowError,
        attestation.AttestationError,
        audit.AuditError,
        contract.ContractError,
        deploy.DeploymentError,
        extract.ContentError,
        extract.SourceError,
        geopackage.ExportError,
        inputs.InputError,
        installation.InstallationError,
        inventory.InventoryError,
        ops.BatchError,
        postgres.ClusterError,
        release.ReleaseError,
        snapshot.SnapshotError,
        transform.TransformError,
    )
    try:
        yield
    except foreseen as error:
        _fail(str(error))
    except ExceptionGroup as group:
        known, unknown = group.split(foreseen)
        if unknown:
            raise
        _fail("\n".join(map(str, known.exceptions)) if known else "")
    except psycopg.Error as error:
        refused = isinstance(error, psycopg.errors.InsufficientPrivilege)
        advice = (
            "`./citydata doctor` names the right that is missing" if refused else "is it running? `./citydata status`"
        )
        _fail(f"The database says: {database.cleaned(error)}; {advice}.")


def _fail(text: str, code: int = 1) -> NoReturn:
    typer.secho(text, fg="red", err=True)
    raise typer.Exit(code)


def _installation(*, made: bool = True) -> Any:
    from citydata.service.installation import Installation

    installation = Installation()
    # On a server of its own the environment holds everything, and there is no installation of ours.
    if made and not (installation.exists or installation.external):
        _fail(f"There is no installation in {installation.home} yet: `./citydata up` makes it.")
    installation.enter()
    return installation


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, default=str, ensure_ascii=False, indent=1))


@app.command()
def up(
    input: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML manifest that names, for each dataset it lists, the real file to read in place of the synthetic "
            "source: `inputs: {finance.suppliers: {file: PATH}}`. ${NAME:-default} is replaced; see "
            "tests/real_input.yaml.",
        ),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(min=0.01, max=1000, help="Size of the synthetic town; 1 has about 1,500 employees. [default: 1]"),
    ] = None,
    json_: Json = False,
) -> None:
    """Start everything, run the main job from the sources to released marts, leave the servers running.

    Again, it finds what is done and changes nothing. With CITYDATA_DATABASE_URL the warehouse is on that server
    (PostgreSQL 17 or newer). Its login needs CREATE on that database (UTF-8, the platform's own), CREATEROLE, and
    CREATEDB for Airflow's database unless CITYDATA_AIRFLOW_DATABASE_URL names one; `./citydata doctor` checks them.

    Ports: CITYDATA_POSTGRES_PORT (5460), CITYDATA_AIRFLOW_PORT (8080); the next free one when taken. State and secrets:
    CITYDATA_HOME. A real HR system in place of the synthetic one: CITYDATA_SOURCE_HR.

    Exit codes: 0 released, 1 failure, 2 wrong usage, 3 released but something is held or stale, 130 interrupted.
    """
    from citydata.service.display import Progress, console, summary
    from citydata.service.up import up as bring_up

    installation = _installation(made=False)
    with _explained(), Progress(console(to_stderr=json_)).shown() as progress:
        outcome = bring_up(installation, manifest=input, scale=scale, report=progress.report, watch=progress.watch)
    _conclude(installation, outcome, summary, json_)


def _conclude(installation: Any, outcome: Any, summary: Any, json_: bool) -> None:
    from citydata import database
    from citydata.service.airflow import ADMIN
    from citydata.service.display import console, share_line

    addresses = {
        "airflow": installation.airflow.url,
        "airflow_login": ADMIN,
        "airflow_password": os.environ["CITYDATA_AIRFLOW_ADMIN_PASSWORD"],
        "database_for_bi": database.url("bi"),
    }
    stale = outcome.build.stale_groups if outcome.build else {}
    code = 1 if outcome.failures else 3 if outcome.held or stale else 0
    if json_:
        _print_json(
            {
                "worked": outcome.worked,
                "datasets": [vars(item) for item in outcome.datasets],
                "stale_groups": stale,
                "failures": [vars(item) for item in outcome.failures],
                "share": vars(outcome.share) if outcome.share else None,
                "addresses": addresses,
                "exit_code": code,
            }
        )
        raise typer.Exit(code)
    screen = console()
    if outcome.worked:
        screen.print(summary(outcome))
    for failure in outcome.failures:
        screen.print(f"[red]failed[/] {failure.dag}, task {failure.task}: {failure.link}", soft_wrap=True)
    for group, reason in stale.items():
        screen.print(f"[yellow]stale[/] group {group}: {reason}", soft_wrap=True)
    screen.print(
        f"Airflow   {addresses['airflow']}   login {ADMIN}, password {addresses['airflow_password']}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    screen.print(f"Database  {addresses['database_for_bi']}   (BI login)", highlight=False, soft_wrap=True)
    if code:
        screen.print("Something wants attention: ./citydata status", highlight=False)
    if outcome.share:
        screen.print(share_line(outcome.share), highlight=False, soft_wrap=True)
    raise typer.Exit(code)


LONG_TESTS = ("tests/end_to_end", "tests/integration/recovery", "tests/integration/test_ten_days.py")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def test(context: typer.Context) -> None:
    """Run the tests; arguments go to pytest, paths are relative to the repository.

    Without arguments the long ones, which mostly wait, run beside the others; what they say comes last.
    """
    # The tests make databases of their own: what this machine's installation is called must not reach them.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CITYDATA_", "AIRFLOW_"))}
    if "CITYDATA_REAL_DATA" in os.environ:
        environment["CITYDATA_REAL_DATA"] = os.environ["CITYDATA_REAL_DATA"]
    command = [sys.executable, "-m", "pytest"]
    if context.args:
        raise typer.Exit(subprocess.run([*command, *context.args], cwd=ROOT, env=environment, check=False).returncode)
    with tempfile.TemporaryFile() as said:
        apart = [*command, "-p", "no:cacheprovider", *LONG_TESTS]
        with subprocess.Popen(apart, cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT) as long_ones:
            others = [*command, *(f"--ignore={path}" for path in LONG_TESTS)]
            code = subprocess.run(others, cwd=ROOT, env=environment, check=False).returncode
        said.seek(0)
        typer.echo(said.read().decode(errors="replace"))
    raise typer.Exit(code or long_ones.returncode)


@app.command()
def status(
    batches: Annotated[int, typer.Option(min=0, help="How many of the latest batches to list.")] = 10,
    json_: Json = False,
) -> None:
    """What runs, what is late, held or failed and why, with the next command to type; the latest batches.

    Exit codes: 0 all is well, 1 something does not run or failed, 3 something is held, late or stale.
    """
    from citydata.service.display import console, status_view
    from citydata.service.status import status as look

    installation = _installation(made=False)
    with _explained():
        found = look(installation, batches=batches)
    if json_:
        _print_json(found.as_json())
    elif not installation.exists:
        typer.echo(f"There is no installation in {installation.home} yet: `./citydata up` makes it.")
    else:
        console().print(status_view(found))
    raise typer.Exit(found.exit_code)


@app.command()
def down() -> None:
    """Stop everything that `up` started; data stays."""
    installation = _installation()
    with _explained(), installation.locked():
        stopped = installation.stop()
    typer.echo(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop everything and delete the installation: database, archives, dropped files, logs and secrets.

    A database that CITYDATA_DATABASE_URL names is not touched.
    """
    installation = _installation()
    if not yes:
        typer.confirm(
            f"Delete {installation.home} with all data, archives and secrets? Archives of personal data cannot be "
            "read again without these secrets",
            abort=True,
        )
    with _explained(), installation.locked():
        installation.remove()
    typer.echo(f"deleted {installation.home}")


@app.command()
def run(
    target: Annotated[
        str, typer.Argument(metavar="SYSTEM[.DATASET]", help="What to load; `warehouse` builds and releases only.")
    ],
    since: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="TIME", help="Load again what changed from then on: ISO 8601, in the town's time."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="… and before then. [default: now]")] = None,
    json_: Json = False,
) -> None:
    """Load a system or a dataset now, without the scheduler: extract, land, audit, publish, build, release.

    `--from` and `--to` are for datasets that are read by their time of change; the usual run goes on where the last ended.

    Exit codes: 0 done, 1 failure, 2 wrong usage, 3 done but a batch is held or a group is stale.
    """
    from citydata import contract, database, geopackage, pipeline, release, schedule, transform
    from citydata.service import progress
    from citydata.service.display import console, summary
    from citydata.service.up import Outcome

    _installation()
    try:
        window = schedule.window(since, until)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with _explained():
        names = contract.load_each()[0]
        chosen = [name for name in names if target in (name, name.partition(".")[0])]
        if not chosen and target != "warehouse":
            raise typer.BadParameter(f"there is no system or dataset {target}; there are {', '.join(names)}")
        by_time = [name for name in chosen if names[name].watermark]
        if window and by_time != chosen:
            raise typer.BadParameter(
                f"--from needs datasets that are read by their time of change: {', '.join(by_time)}"
            )
        with database.connect("engineer", autocommit=True) as connection:
            moment = progress.now(connection)
            if chosen:
                pipeline.run(chosen, window=window)
            else:
                release.release(transform.build().build_id)
                geopackage.refresh()
            done = progress.datasets(connection, moment)
            outcome = Outcome(
                True, [item for item in done if item.dataset in chosen], progress.build(connection, moment)
            )
    stale = outcome.build.stale_groups if outcome.build else {}
    if json_:
        _print_json({"datasets": [vars(item) for item in outcome.datasets], "stale_groups": stale})
    else:
        screen = console()
        if outcome.datasets:
            screen.print(summary(outcome))
        if outcome.build:
            built = outcome.build
            screen.print(f"warehouse {built.step}: {built.rows} rows written in {built.seconds:.1f} s", highlight=False)
        for group, reason in stale.items():
            screen.print(f"[yellow]stale[/] group {group}: {reason}", soft_wrap=True)
    raise typer.Exit(3 if outcome.held or stale else 0)


@app.command()
def deploy() -> None:
    """Bring the database to this version: migrations, roles, tables and grants from contracts.

    Again, it changes nothing.
    """
    from citydata.deploy import deploy as bring

    _installation()
    with _explained():
        for change in bring() or ["nothing to change"]:
            typer.echo(change)


@app.command()
def doctor(json_: Json = False) -> None:
    """Check the machine, the state directory, contracts, and the database with the rights that it needs.

    Exit codes: 0 nothing hinders, 1 a problem.
    """
    from citydata.service.display import checks_table, console
    from citydata.service.doctor import examine

    installation = _installation(made=False)
    with _explained():
        checks = examine(installation)
    if json_:
        _print_json([vars(check) for check in checks])
    else:
        console().print(checks_table(checks))
    raise typer.Exit(int(any(check.outcome == "problem" for check in checks)))


@app.command()
def check(json_: Json = False) -> None:
    """Check contracts, suites, lineage and drift, without a database. CI's gate.

    Exit codes: 0 all is well, 1 something is wrong.
    """
    from citydata.check import problems

    found = problems()
    if json_:
        _print_json(found)
    else:
        for problem in found:
            typer.secho(problem, fg="red")
        typer.echo(f"{len(found)} problems" if found else "contracts, suites, lineage and inventory are well")
    raise typer.Exit(int(bool(found)))


@app.command()
def simulate(
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days to go on, one after the other.")] = 1,
    json_: Json = False,
) -> None:
    """Move the synthetic sources to the next day and run the main job on it.

    A day brings new, changed, corrected, deleted, late and broken rows.

    Exit codes: as `up`, of the last day.
    """
    from citydata.service.display import Progress, console, summary
    from citydata.service.up import step

    installation = _installation()
    if not installation.airflow.is_running():
        _fail("Airflow does not run: `./citydata up` starts it.")
    with _explained(), Progress(console(to_stderr=json_)).shown() as progress, installation.locked():
        for _ in range(days):
            outcome = step(installation, report=progress.report, watch=progress.watch)
    _conclude(installation, outcome, summary, json_)


batch = typer.Typer(help="Batches: what was read, what a person decides about held ones.", no_args_is_help=True)
app.add_typer(batch, name="batch")

Person = Annotated[str, typer.Option("--by", help="Who decides.", show_default="your login")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept in the ledger.")]
BatchId = Annotated[int, typer.Argument(metavar="BATCH", help="Its number; `batch list` shows them.")]


@batch.command("list")
def batch_list(
    dataset: Annotated[str | None, typer.Option(help="Only of this dataset.")] = None,
    state: Annotated[str | None, typer.Option(help="Only in this state, such as held.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    json_: Json = False,
) -> None:
    """Newest batches with their counts."""
    from citydata import database, ops

    _installation()
    with _explained(), database.connect("engineer", autocommit=True) as connection:
        found = ops.listing(connection, dataset, state, limit)
    _show_rows(found, BATCH_COLUMNS, json_)


@batch.command("show")
def batch_show(batch_id: BatchId, json_: Json = False) -> None:
    """Everything about a batch: counts, failed checks, reasons of quarantine, and what can be done.

    Exit codes: 0 published or on its way, 1 failed or no such batch, 3 held.
    """
    from citydata import database
    from citydata.service.display import batch_view, console
    from citydata.service.status import batch as look

    _installation()
    with _explained(), database.connect("engineer", autocommit=True) as connection:
        found = look(connection, batch_id)
    if json_:
        _print_json(vars(found))
    else:
        console().print(batch_view(found))
    raise typer.Exit({"held": 3, "failed": 1}.get(found.state, 0))


def _decided(batch_id: int, became: "Batch") -> None:
    renamed = f", as batch {became.batch_id} (versions are opened in sequence)" if became.batch_id != batch_id else ""
    typer.echo(f"batch {batch_id} is {became.state}{renamed}")
    if became.state == "published":
        typer.echo("The scheduler's next build takes it in; at once: ./citydata run warehouse")
    raise typer.Exit(3 if became.state == "held" else 0)


@batch.command("release")
def batch_release(batch_id: BatchId, reason: Reason, person: Person = "") -> None:
    """Publish a held batch after all. It is landed again from its archive; checks are recorded but no longer hold it.

    Exit codes: 0 published, 1 failure, 3 still held.
    """
    from citydata import pipeline

    _installation()
    with _explained():
        became = pipeline.decide(batch_id, release=True, person=person or getpass.getuser(), reason=reason)
    _decided(batch_id, became)


@batch.command("reject")
def batch_reject(batch_id: BatchId, reason: Reason, person: Person = "") -> None:
    """Refuse a held batch for good: the last good data stays, and later batches go on."""
    from citydata import pipeline

    _installation()
    with _explained():
        became = pipeline.decide(batch_id, release=False, person=person or getpass.getuser(), reason=reason)
    _decided(batch_id, became)


@batch.command("replay")
def batch_replay(batch_id: BatchId) -> None:
    """Take the newest batch of a dataset from its archive again. Under the same contract it changes nothing.

    Exit codes: 0 published, 1 failure, 3 held.
    """
    from citydata import pipeline

    _installation()
    with _explained():
        became = pipeline.replay(batch_id)
    _decided(batch_id, became)


@batch.command("rebuild")
def batch_rebuild(
    dataset: Annotated[str, typer.Argument(metavar="SYSTEM.DATASET")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Make the versioned table of a dataset anew from the archives of all its batches, in their order."""
    from citydata import pipeline

    _installation()
    if not yes:
        typer.confirm(f"Empty the versioned table of {dataset} and fill it again from its archives?", abort=True)
    with _explained():
        typer.echo(f"{dataset}: made anew from {pipeline.rebuild(dataset)} batches")


quarantine = typer.Typer(help="Rows that were refused: look, try again, waive.", no_args_is_help=True)
app.add_typer(quarantine, name="quarantine")
Dataset = Annotated[str, typer.Argument(metavar="SYSTEM.DATASET")]


@quarantine.command("list")
def quarantine_list(json_: Json = False) -> None:
    """Refused rows by dataset, reason and state; no values.

    Exit codes: 0 none is open, 1 failure, 3 some are.
    """
    from citydata import quarantine as rows

    _installation()
    with _explained():
        found = rows.counts()
    _show_rows(found, ("dataset", "reason", "state", "rows", "since", "last_batch"), json_)
    raise typer.Exit(3 if any(row["state"] == "open" for row in found) else 0)


@quarantine.command("show")
def quarantine_show(
    dataset: Dataset,
    state: Annotated[str, typer.Option(help="open, resolved, reprocessed, waived or all.")] = "open",
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    json_: Json = False,
) -> None:
    """Refused rows of a dataset. Their content is shown only for systems without personal data."""
    from citydata import quarantine as rows

    _installation()
    with _explained():
        found = rows.show(dataset, state=None if state == "all" else state, limit=limit)
    _show_rows(found, tuple(found[0]) if found else (), json_)


@quarantine.command("retry")
def quarantine_retry(dataset: Dataset, json_: Json = False) -> None:
    """Read the batches with open rows again, under today's contract, as new batches.

    Exit codes: 0 none was refused again, 1 failure, 3 some were.
    """
    from citydata import quarantine as rows

    _installation()
    with _explained():
        result = rows.retry(dataset)
    if json_:
        _print_json(result)
    else:
        typer.echo(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in result.items()))
    raise typer.Exit(3 if result["refused_again"] else 0)


@quarantine.command("waive")
def quarantine_waive(
    dataset: Dataset,
    reason: Reason,
    ids: Annotated[
        list[int] | None, typer.Option("--id", help="Only this row; may be repeated. [default: all]")
    ] = None,
    person: Person = "",
) -> None:
    """Decide that open rows of a dataset need nothing more."""
    from citydata import quarantine as rows

    _installation()
    with _explained():
        count = rows.waive(dataset, ids or [], person=person or getpass.getuser(), reason=reason)
    typer.echo(f"{dataset}: {count} rows waived")


governance = typer.Typer(
    help="The share of the town's data under governance: the figure, its evidence, and that nobody changed it.",
    no_args_is_help=True,
)
app.add_typer(governance, name="governance")


@governance.command("show")
def governance_show(
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="DATE", help="As it was on a past day: YYYY-MM-DD. [default: now]")
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(help="Only the share by this: sector, system, criticality or personal_data.", metavar="VIEW"),
    ] = None,
    json_: Json = False,
) -> None:
    """The share with its bounds, its levels and views, what blocks most datasets, and what is still to be found.

    The view by system is long: it is shown with `--view system`. `--json` holds every view.
    """
    from datetime import date

    from citydata import database
    from citydata.governance import share, snapshot
    from citydata.governance.method import CURRENT
    from citydata.service.display import console, one_view, share_view

    if view not in (None, *share.VIEWS):
        raise typer.BadParameter(f"--view {view} is none of {', '.join(share.VIEWS)}")
    try:
        day = date.fromisoformat(as_of) if as_of else None
    except ValueError:
        raise typer.BadParameter(f"--as-of {as_of} is not a date; write 2026-12-31") from None
    _installation()
    with _explained(), database.connect("officer") as connection:
        figure = snapshot.required(connection, until=day)
        judged = snapshot.datasets(connection, figure.snapshot_id)
        unmapped = [system for system in snapshot.systems(connection, figure.snapshot_id) if not system.mapped]
    views = share.views(judged, CURRENT)
    if json_:
        _print_json(
            {
                "share": vars(figure) | {"text": figure.text, "upper_text": figure.upper_text},
                "views": [vars(view) for view in views],
                "missing": share.blocking(judged),
                "unmapped": [vars(system) for system in unmapped],
            }
        )
    elif view:
        console().print(one_view(figure, [line for line in views if line.view == view]))
    else:
        shown = [line for line in views if line.view != "system"]
        console().print(share_view(figure, shown, share.blocking(judged), unmapped))


@governance.command("explain")
def governance_explain(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Id in the inventory, or SYSTEM.DATASET of a contract.")
    ],
    language: Annotated[str, typer.Option(help="Of the reasons: fi, sv or en.")] = "en",
    json_: Json = False,
) -> None:
    """Why a dataset has the level it has: each criterion with its evidence, and what is missing.

    Exit codes: 0 governed, 1 failure, 2 no such dataset, 3 something is missing for level 3.
    """
    from citydata import database
    from citydata.governance import reasons, share, snapshot
    from citydata.service.display import console, evidence_view

    if language not in reasons.LANGUAGES:
        raise typer.BadParameter(f"--language {language} is none of {', '.join(reasons.LANGUAGES)}")
    _installation()
    with _explained(), database.connect("officer") as connection:
        figure = snapshot.required(connection)
        judged = snapshot.datasets(connection, figure.snapshot_id)
        found = next((entry for entry in judged if dataset in (entry.dataset, *entry.contracts)), None)
        if found is None:
            raise typer.BadParameter(
                f"no dataset {dataset} in snapshot {figure.snapshot_id}; `./citydata governance list` names them"
            )
        rows = snapshot.evidence(connection, figure.snapshot_id, found.dataset)
    if json_:
        _print_json({**vars(found), "evidence": [vars(row) | {"text": reasons.text(row, language)} for row in rows]})
    else:
        console().print(evidence_view(found, rows, figure.taken_at, language))
    raise typer.Exit(0 if found.counted_level >= share.GOVERNED else 3)


@governance.command("list")
def governance_list(
    sector: Annotated[str | None, typer.Option(help="Only this sector.")] = None,
    json_: Json = False,
) -> None:
    """Every registered dataset with its level and the criteria it lacks."""
    from citydata import database
    from citydata.governance import snapshot

    _installation()
    with _explained(), database.connect("officer") as connection:
        judged = snapshot.datasets(connection, snapshot.required(connection).snapshot_id)
    sectors = sorted({entry.sector for entry in judged})
    if sector not in (None, *sectors):
        raise typer.BadParameter(f"no dataset of a sector {sector}; there are {', '.join(sectors) or 'none'}")
    rows = [vars(entry) for entry in judged if sector in (None, entry.sector)]
    _show_rows(rows, ("dataset", "sector", "system", "level", "missing", "uncounted"), json_)


@governance.command("verify")
def governance_verify(
    head: Annotated[
        str | None, typer.Option(metavar="HASH", help="A hash noted earlier, which the chain must still hold.")
    ] = None,
    json_: Json = False,
) -> None:
    """Compute every sealed snapshot's hash anew from its rows: a changed, missing or moved one is found.

    Exit codes: 0 every byte is as it was sealed, 1 something was changed, or there is nothing to verify.
    """
    from citydata import database
    from citydata.governance import snapshot

    _installation()
    with _explained(), database.connect("officer") as connection:
        if head is None:
            snapshot.required(connection)  # of nothing nobody can say that it is as it was
        chain = snapshot.figures(connection)
        wrong = list(snapshot.verify(connection, head))
    if json_:
        _print_json({"snapshots": len(chain), "head": chain[0].sha256 if chain else None, "problems": wrong})
    else:
        for problem in wrong:
            typer.secho(problem, fg="red")
        if not wrong:
            typer.echo(f"snapshots that are as they were sealed: {len(chain)} of {len(chain)}; head {chain[0].sha256}")
    raise typer.Exit(int(bool(wrong)))


@governance.command("snapshot")
def governance_snapshot(
    official: Annotated[bool, typer.Option("--official", help="The figure of a month's end.")] = False,
    json_: Json = False,
) -> None:
    """Measure the share now and seal it."""
    from citydata.governance import measure
    from citydata.service.display import share_line

    _installation()
    with _explained():
        figure = measure.measure("by hand", official=official)
    if json_:
        _print_json(vars(figure) | {"text": figure.text, "upper_text": figure.upper_text})
    else:
        typer.echo(share_line(figure))


@governance.command("attest")
def governance_attest(
    datasets: Annotated[list[str], typer.Argument(metavar="DATASET…", help="Ids in the inventory.")],
    person: Annotated[str, typer.Option("--by", help="The officer's id in the inventory.")],
) -> None:
    """Sign datasets as they are described, classified and checked today. The officer's own act; it holds for a year.

    The private key is taken from CITYDATA_SIGNING_KEY; its public half stands in the inventory at the officer.
    """
    from citydata import database
    from citydata.governance import attestation

    _installation()
    key = os.environ.get("CITYDATA_SIGNING_KEY", "")
    if not key:
        _fail(
            "CITYDATA_SIGNING_KEY is not set: only the officer has it, and no file of the installation holds it. Export your"
            " private key for this command; `./citydata governance key` makes a pair."
        )
    with _explained(), database.connect("officer") as connection:
        signed = attestation.attest(connection, datasets, signed_by=person, private_key=key)
    for name in signed:
        typer.echo(f"{name}: signed by {person}")
    typer.echo("The next measurement counts it; at once: ./citydata governance snapshot")


@governance.command("key")
def governance_key() -> None:
    """Make a pair of keys for a governance officer, who keeps the private one and never types it into a file here.

    The private key alone goes to standard output, so that it can be piped into a password store.
    """
    from citydata.governance import attestation

    private, public = attestation.new_key()
    typer.echo(f"CITYDATA_SIGNING_KEY={private}")
    typer.echo(
        "Keep it in your password store; nothing here keeps it. The public half, at you in the inventory:", err=True
    )
    typer.echo(f"signing_key: {public}", err=True)


export = typer.Typer(help="Files for other programs.", no_args_is_help=True)
app.add_typer(export, name="export")


@export.command("geopackage")
def export_geopackage(
    directory: Annotated[
        Path | None, typer.Option(help="Where to write them. [default: export/gis in CITYDATA_HOME]")
    ] = None,
) -> None:
    """Write the buildings of the mart as GeoPackage, in ETRS-TM35FIN and in the town's local projection.

    A build that changes them writes the files in CITYDATA_HOME by itself.
    """
    from citydata import geopackage

    _installation()
    with _explained():
        for path in geopackage.export(directory):
            typer.echo(path)


def _show_rows(rows: list[dict[str, Any]], columns: tuple[str, ...], json_: bool) -> None:
    from citydata.service.display import console, rows_table

    if json_:
        _print_json(rows)
    elif rows:
        console().print(rows_table([{name: row[name] for name in columns} for row in rows]))
    else:
        typer.echo("none")


if __name__ == "__main__":
    main()
