"""The programs of reporting teams read the marts over Debian's JDBC and ODBC drivers and GDAL, row for row what psycopg reads."""

import csv
import glob
import json
import os
import re
import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyogrio
import shapely

from citydata import database, geopackage
from citydata.settings import ROOT
from tests import debian_packages

PAGE = (ROOT / "docs/how-to/odbc-and-jdbc.md").read_text(encoding="utf-8")
EXAMPLE_SERVER = "citydata.porvoo.example"
REPEATABLE_READ = 4  # java.sql.Connection.TRANSACTION_REPEATABLE_READ
FORBIDDEN = "42501"
"""SQLSTATE insufficient_privilege."""
TYPES = {"text", "int4", "numeric", "date", "bool", "timestamptz"}
"""Types that every BI tool reads, as the drivers call them."""
WRITES = (
    "INSERT INTO mart_hr.freshness (table_name) VALUES ('x')",
    "UPDATE mart_finance.purchase SET amount_net = 0",
    "DELETE FROM mart_strategy.strategic_indicator",
    "CREATE TABLE mart_finance.copy (a integer)",
    "CREATE VIEW team_finance.mine AS SELECT 1 AS a",
)
MEANWHILE = "UPDATE mart_social_health.indicator SET value = value + 1"
"""What a release does while somebody reads."""

Row = list[str | None]
Marts = dict[str, list[Row]]


def _text(value: Any) -> str | None:
    """A value as all drivers can be compared: numbers with every digit, moments in UTC to the microsecond."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
    if isinstance(value, date):
        return value.isoformat()
    assert isinstance(value, int)
    return str(value)


def _example(pattern: str) -> str:
    """The connection string of the how-to with this test's server in place of the example's, which has no TLS."""
    [line] = re.findall(pattern, PAGE, re.MULTILINE)
    server = urlsplit(database.url("bi"))
    line = re.sub(r"(?i)sslmode=verify-full", "sslmode=disable", line)
    for theirs, ours in {
        f"{EXAMPLE_SERVER}:5432/citydata": f"{server.hostname}:{server.port}{server.path}",
        f"Server={EXAMPLE_SERVER}": f"Server={server.hostname}",
        "Port=5432": f"Port={server.port}",
        "Database=citydata": f"Database={server.path.strip('/')}",
    }.items():
        line = line.replace(theirs, ours)
    assert EXAMPLE_SERVER not in line
    return line


def _marts() -> Marts:
    """Every mart by its quoted name as psycopg reads it, in the order of its key."""
    with database.connect("bi") as connection:
        tables = connection.execute(
            "SELECT format('\"%%s\".\"%%s\"', n.nspname, c.relname), string_agg(quote_ident(a.attname), ', ' ORDER BY k.place)"
            " FROM pg_constraint p JOIN pg_class c ON c.oid = p.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " CROSS JOIN unnest(p.conkey) WITH ORDINALITY AS k (number, place)"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number"
            " WHERE p.contype = 'p' AND n.nspname LIKE %s GROUP BY 1 ORDER BY 1",
            ("mart\\_%",),
        ).fetchall()
        marts = {name: connection.execute(f"SELECT * FROM {name} ORDER BY {key}").fetchall() for name, key in tables}
    assert len(marts) > 10
    assert all(marts.values()), "an empty mart would show nothing"
    return {name: [[_text(value) for value in row] for row in rows] for name, rows in marts.items()}


def _assert_telling(marts: Marts) -> None:
    """The rows hold what drivers get wrong."""
    values = {value for rows in marts.values() for row in rows for value in row}
    assert None in values
    assert {"true", "false"} <= values
    texts = " ".join(value for value in values if value)
    assert "Yhteensä" in texts
    assert "Dataförvaltningen" in texts
    assert re.search(r"(^| )-\d+\.\d\d( |$)", texts), "credit notes to the cent"
    assert re.search(r"\d{4}-\d\d-\d\dT", texts), "moments"


def _release_meanwhile() -> None:
    with database.connect_admin() as connection:
        assert connection.execute(MEANWHILE).rowcount > 0


def _readable(listed: dict[str, str | None], marts: Marts) -> None:
    """A driver lists more tables than its login may read, and reads the marts and nothing else."""
    assert {name for name, state in listed.items() if state is None} == marts.keys()
    assert {state for name, state in listed.items() if name not in marts} == {FORBIDDEN}
    closed = ('"restricted"."pseudonym_key"', '"raw"."hr__people"', '"master"."employee"', '"warehouse"."fct_absence"')
    assert set(closed) <= listed.keys()


# -- JDBC ------------------------------------------------------------------------------------------------------------


def _java() -> tuple[str, str] | None:
    """A Java that compiles, and PostgreSQL's driver."""
    java, compiler = shutil.which("java"), shutil.which("javac")
    driver = Path("/usr/share/java/postgresql.jar")
    return (java, str(driver)) if java and compiler and driver.exists() else None


def _java_packages() -> tuple[str, ...]:
    return ("libpostgresql-jdbc-java", *(() if shutil.which("javac") else ("default-jdk-headless",)))


def test_jdbc_reads_what_psycopg_reads(warehouse: Path) -> None:
    java, driver = debian_packages.required(_java, *_java_packages())
    marts = _marts()
    _assert_telling(marts)
    command = [
        java,
        "-Xshare:auto",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        driver,
        str(Path(__file__).with_name("ReadMarts.java")),
    ]
    said = []
    with subprocess.Popen(
        [*command, _example(r"jdbc:postgresql://\S+"), database.login("bi"), *WRITES],
        env={**os.environ, "CITYDATA_PASSWORD": database.password("bi"), "TZ": "Europe/Helsinki"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as program:
        assert program.stdin
        assert program.stdout
        for line in program.stdout:
            said.append(json.loads(line))
            if said[-1] == ["reading"]:
                _release_meanwhile()
                program.stdin.write("go on\n")
                program.stdin.flush()
    assert program.returncode == 0
    assert ["reading"] in said

    def about(subject: str) -> list[list[Any]]:
        return [line[1:] for line in said if line[0] == subject]

    assert about("driver")[0][1] == REPEATABLE_READ
    read: Marts = {name: [] for name in marts}
    for name, *row in about("row"):
        read[name].append(row)
    assert read == marts
    assert _marts() != marts, "something was released while the program read"
    _readable(dict(about("listed")), marts)
    assert about("write") == [[statement, FORBIDDEN] for statement in WRITES]
    columns = about("column")
    assert {kind for _, _, kind, *_ in columns} == TYPES
    described = [*((name, text) for name, text in about("table")), *((line[1], line[-1]) for line in columns)]
    assert [name for name, text in described if not text or "fi: " not in text or "sv: " not in text] == []
    numbers = {
        (name, column): (size, digits) for name, column, kind, _, size, digits, _ in columns if kind == "numeric"
    }
    assert numbers['"mart_finance"."purchase"', "amount_net"] == (14, 2)
    assert all(0 < digits < size <= 38 for size, digits in numbers.values()), "numbers without bounds lose their cents"


# -- ODBC ------------------------------------------------------------------------------------------------------------


def _odbc() -> str | None:
    """PostgreSQL's driver, once the driver manager that pyodbc needs is there too."""
    try:
        import pyodbc  # noqa: F401  # its library is Debian's
    except ImportError:
        return None
    return next(iter(glob.glob("/usr/lib/*/odbc/psqlodbcw.so")), None)


def test_odbc_reads_what_psycopg_reads(warehouse: Path) -> None:
    driver = debian_packages.required(_odbc, "unixodbc", "odbc-postgresql")
    import pyodbc

    marts = _marts()
    address = re.sub(r"^Driver=[^;]+", f"Driver={driver}", _example(r"^ +(Driver=\S+)$"))
    login = {"UID": database.login("bi"), "PWD": database.password("bi")}
    connection = pyodbc.connect(address, autocommit=True, **login)
    assert connection.execute("SHOW transaction_isolation").fetchval() == "repeatable read"
    cursor = connection.cursor()
    tables = [(row.table_schem, row.table_name) for row in cursor.tables()]
    listed = {f'"{schema}"."{name}"': None for schema, name in tables}

    def state(statement: str) -> str | None:
        try:
            connection.execute(statement).close()
        except pyodbc.Error as error:
            return str(error.args[0])
        return None

    _readable({name: state(f"SELECT 1 FROM {name} LIMIT 1") for name in listed}, marts)
    assert [state(statement) for statement in WRITES] == [FORBIDDEN] * len(WRITES)
    kinds = {row.type_name for row in cursor.columns(schema="mart\\_%")}
    assert kinds == TYPES
    long_text = [
        row.column_name for row in cursor.columns(schema="mart\\_%") if row.data_type == pyodbc.SQL_WLONGVARCHAR
    ]
    assert long_text == [], "text that cannot be a key"
    connection.autocommit = False
    read: Marts = {}
    for name in marts:
        schema, table = name.replace('"', "").split(".")
        key = ", ".join(f'"{row.column_name}"' for row in cursor.primaryKeys(table=table, schema=schema))
        rows = cursor.execute(f"SELECT * FROM {name} ORDER BY {key}").fetchall()
        read[name] = [[_text(value) for value in row] for row in rows]
        if len(read) == 1:
            _release_meanwhile()
    connection.close()
    assert read == marts
    assert _marts() != marts, "something was released while the program read"


# -- GDAL, QGIS's library --------------------------------------------------------------------------------------------


def test_gdal_reads_the_buildings_as_psycopg_does(warehouse: Path) -> None:
    with database.connect("bi") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM mart_gis.building ORDER BY building_id")
        names = [column.name for column in cursor.description or ()]
        mart = cursor.fetchall()
    # A GeoPackage knows no decimals.
    expected = [[float(value) if isinstance(value, Decimal) else value for value in row] for row in mart]
    directory = warehouse / "export" / "gis"
    geopackage.export(directory)
    for path, (srs, *coordinates) in geopackage.files(directory).items():
        assert pyogrio.read_info(path)["crs"] == srs
        meta, table = pyogrio.read_arrow(path, sql="SELECT * FROM buildings ORDER BY building_id")
        assert [list(row.values()) for row in table.select(names).to_pylist()] == expected
        shapes = shapely.from_wkb(table.column(meta["geometry_name"]).to_pylist())
        places = [tuple(row[names.index(name)] for name in coordinates) for row in expected]
        assert [shape and (shape.x, shape.y) for shape in shapes] == [place if place[0] else None for place in places]


def _ogr() -> str | None:
    """GDAL's own program: the wheel of pyogrio has no driver for PostgreSQL, Debian's GDAL has, as QGIS does."""
    return shutil.which("ogr2ogr")


def test_gdal_reads_the_marts_in_the_database_as_the_bi_login(warehouse: Path) -> None:
    """Each mart is a layer; its rows are asked in SQL, because a layer's whole-number key is no column but its feature id."""
    program = debian_packages.required(_ogr, "gdal-bin")
    server = urlsplit(database.url("bi"))
    address = (
        f"PG:host={server.hostname} port={server.port} dbname={server.path.strip('/')} user={database.login('bi')}"
    )
    environment = {**os.environ, "PGPASSWORD": database.password("bi"), "PG_LIST_ALL_TABLES": "YES", "PGTZ": "UTC"}

    def asked(*arguments: str) -> str:
        done = subprocess.run(arguments, env=environment, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = asked(program.replace("ogr2ogr", "ogrinfo"), "-ro", "-q", address)
    for name, rows in _marts().items():
        layer = name.replace('"', "")
        assert layer in listed
        lines = asked(
            program, "-f", "CSV", "-lco", "SEPARATOR=TAB", "/vsistdout/", address, "-sql", f"SELECT * FROM {name}"
        )
        read = list(csv.reader(lines.splitlines(), delimiter="\t"))[1:]
        assert sorted(map(_plain, read)) == sorted(_plain([value or "" for value in row]) for row in rows), layer


def _plain(row: list[str | None]) -> list[str]:
    """A row as text, with numbers, truth values and moments in one spelling: GDAL has its own of each."""
    return [_spelling(value or "") for value in row]


def _spelling(value: str) -> str:
    if value in ("true", "false"):
        return {"true": "1", "false": "0"}[value]
    if re.fullmatch(r"-?\d+\.\d+", value):
        return format(Decimal(value).normalize(), "f")
    if moment := re.fullmatch(r"(\d{4})[-/](\d\d)[-/](\d\d)(?:[T ](\d\d:\d\d:\d\d(?:\.\d+)?)(?:\+00)?)?", value):
        # GDAL rounds to thousandths of a second.
        exact = datetime.fromisoformat(f"{moment[1]}-{moment[2]}-{moment[3]}T{moment[4] or '00:00:00'}")
        return (exact + timedelta(microseconds=500)).isoformat(timespec="milliseconds")
    return value
