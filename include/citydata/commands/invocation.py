"""What every command begins and ends with: the installation it is about, errors in a sentence, documents for machines."""

import contextlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import typer

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Person = Annotated[str, typer.Option("--by", help="Who decides.", show_default="your login")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept in the ledger.")]
Dataset = Annotated[str, typer.Argument(metavar="SYSTEM.DATASET")]


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Say errors of the platform and of the database in a sentence, without values and without a traceback."""
    import psycopg

    from citydata import audit, backfill, contract, database, deploy, extract, geopackage, ops, release, town, transform
    from citydata.access import AccessError
    from citydata.documentation import DocumentationError
    from citydata.drafting.sample import DraftError
    from citydata.governance import attestation, inventory, snapshot
    from citydata.licences import LicenceError
    from citydata.service import airflow, broker, inputs, installation, postgres, server
    from citydata.settings import SettingMissing
    from citydata.source_change.adoption import AdoptionError

    foreseen = (
        AccessError,
        LicenceError,
        AdoptionError,
        DocumentationError,
        SettingMissing,
        airflow.AirflowError,
        attestation.AttestationError,
        audit.AuditError,
        backfill.BackfillError,
        broker.BrokerError,
        contract.ContractError,
        deploy.DeploymentError,
        DraftError,
        extract.ContentError,
        extract.SourceError,
        geopackage.ExportError,
        inputs.InputError,
        installation.InstallationError,
        inventory.InventoryError,
        ops.BatchError,
        postgres.ClusterError,
        release.ReleaseError,
        server.ServerError,
        snapshot.SnapshotError,
        town.TownError,
        transform.TransformError,
    )
    try:
        yield
    except foreseen as error:
        fail(str(error))
    except ExceptionGroup as group:
        known, unknown = group.split(foreseen)
        if unknown:
            raise
        fail("\n".join(map(str, known.exceptions)) if known else "")
    except psycopg.Error as error:
        refused = isinstance(error, psycopg.errors.InsufficientPrivilege)
        advice = (
            "`./citydata doctor` names the right that is missing" if refused else "is it running? `./citydata status`"
        )
        fail(f"The database says: {database.cleaned(error)}; {advice}.")


def fail(text: str, code: int = 1) -> NoReturn:
    """End with a sentence for a person."""
    typer.secho(text, fg="red", err=True)
    raise typer.Exit(code)


def installation(*, made: bool = True) -> Any:
    """Enter the installation (`Installation`); `made` says that there must be one."""
    from citydata.service.installation import Installation

    installation = Installation()
    # On a server of its own the environment holds everything, and there is no installation of ours.
    if made and not (installation.exists or installation.external):
        fail(f"There is no installation in {installation.home} yet: `./citydata up` makes it.")
    installation.enter()
    return installation


def print_json(document: Any) -> None:
    """A document for machines."""
    typer.echo(json.dumps(document, default=str, ensure_ascii=False, indent=1))


def show_rows(rows: list[dict[str, Any]], columns: tuple[str, ...], json_: bool) -> None:
    """Rows as a table, or as JSON with every column."""
    from citydata.service.display import console, rows_table

    if json_:
        print_json(rows)
    elif rows:
        console().print(rows_table([{name: row[name] for name in columns} for row in rows]))
    else:
        typer.echo("none")
