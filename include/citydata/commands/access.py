"""`./citydata access`: logins of people and of programs such as a BI gateway."""

import getpass
from datetime import datetime
from typing import Annotated

import typer

from citydata.commands import invocation
from citydata.commands.invocation import Json, Person

COLUMNS = ("login", "role", "state", "connections", "until", "by", "since", "reason")

app = typer.Typer(
    help="Who may log in and read: people and programs, each with a login of its own.", no_args_is_help=True
)

Login = Annotated[str, typer.Argument(metavar="LOGIN", help="Its name; `access list` shows them.")]
Why = Annotated[str, typer.Option("--reason", help="Why, such as the number of the decision; it is kept.")]


@app.command("list")
def listing(json_: Json = False) -> None:
    """Every login, its role, what it is connected with now, who gave it until when and why.

    Exit codes: 0 well, 3 a login has expired, is only half revoked, or was made by somebody else than this command.
    """
    from citydata import access

    invocation.installation()
    with invocation.explained():
        found = access.logins()
    invocation.show_rows(found, COLUMNS, json_)
    raise typer.Exit(3 if any(row["state"] in ("expired", "blocked", "unknown") for row in found) else 0)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A login, or a role such as bi or reporting_finance.")],
    json_: Json = False,
) -> None:
    """Every table that a role or login may read, by the rights that the database has given."""
    from citydata import access

    invocation.installation()
    with invocation.explained():
        found = access.readable(name)
    invocation.show_rows(found, ("schema", "table", "columns", "row_rules"), json_)


@app.command("grant")
def grant(
    login: Annotated[
        str, typer.Argument(metavar="LOGIN", help="The new login: a person's, or a program's such as powerbi.")
    ],
    role: Annotated[str, typer.Argument(metavar="ROLE", help="Such as bi or reporting_finance.")],
    reason: Why,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day on which it counts.")
    ] = None,
    external: Annotated[
        bool, typer.Option("--external", help="Without a password: Kerberos, LDAP or OAuth vouches for it.")
    ] = False,
    person: Person = "",
) -> None:
    """Make a login with a role. Its password is generated, shown once and kept nowhere."""
    from citydata import access

    invocation.installation()
    with invocation.explained():
        password = access.grant(
            login, role, by=person or getpass.getuser(), reason=reason, until=until and until.date(), external=external
        )
    typer.echo(f"{login} has the role {role}; what it may read: ./citydata access show {login}", err=True)
    if password:
        _tell(password)


@app.command("rotate")
def rotate(login: Login) -> None:
    """Give a login a new password, shown once; the old one ends at once, open connections go on."""
    from citydata import access

    invocation.installation()
    with invocation.explained():
        password = access.rotate(login)
    _tell(password)


@app.command("revoke")
def revoke(login: Login, reason: Why, person: Person = "") -> None:
    """Take a login away and end its connections. What it made in a team's schema stays, as the team's."""
    from citydata import access

    invocation.installation()
    with invocation.explained():
        ended = access.revoke(login, by=person or getpass.getuser(), reason=reason)
    typer.echo(f"{login} is gone; connections ended: {ended}")


def _tell(password: str) -> None:
    typer.echo("Its password, which is shown only now; hand it over by a password store:", err=True)
    typer.echo(password)
