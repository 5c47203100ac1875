"""Files and tables from extraction to versions, on a real PostgreSQL; the ledger adds up whatever comes in."""

import shutil
from pathlib import Path

from citydata import contract, database, pipeline


def drop(platform: Path, name: str, content: bytes, *, directory: str = "finance") -> Path:
    """Drop a complete file."""
    path = platform / "drop" / directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.with_name(name + ".done").touch()
    return path


def load(dataset: str) -> list:
    """Extract, land, audit and publish one dataset."""
    return pipeline.audit_and_publish([dataset], pipeline.extract_and_land(dataset))[dataset]


def query(statement: str) -> list[tuple]:
    with database.connect_admin() as connection:
        return connection.execute(statement).fetchall()


def test_real_files(platform: Path, real_data: Path) -> None:
    for source, name in {
        "paimio-purchase-invoices-2020-2025.csv": "ostolaskut.csv",
        "paimio-suppliers.csv": "toimittajat.csv",
        "paimio-accounts.csv": "tilit.csv",
        "paimio-organisation.json": "organisaatio.json",
    }.items():
        drop(platform, name, (real_data / "finance" / source).read_bytes())
    datasets = [name for name in contract.load_all() if name.startswith("finance.")]
    batches = [batch for dataset in datasets for batch in pipeline.extract_and_land(dataset)]
    published = pipeline.audit_and_publish(datasets, batches)
    assert {name: [(one.state, one.inserted) for one in done] for name, done in published.items()} == {
        "finance.accounts": [("published", 49)],
        "finance.organisation_units": [("published", 42)],
        "finance.purchase_invoices": [("published", 229)],
        "finance.suppliers": [("published", 201)],
    }
    lines = (real_data / "finance" / "paimio-purchase-invoices-2020-2025.csv").read_text("utf-8-sig").splitlines()[1:]
    cents = sum(int(line.rsplit(";", 1)[1].replace(",", "")) for line in lines)
    assert query("SELECT (sum(amount_net) * 100)::bigint FROM raw.finance__purchase_invoices") == [(cents,)]
