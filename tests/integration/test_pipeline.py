"""Real files from extraction to versions, on a real PostgreSQL; the ledger adds up."""

from pathlib import Path

from citydata import contract, pipeline
from tests.integration.steps import Steps


def test_real_files(steps: Steps, real_data: Path) -> None:
    for source, name in {
        "paimio-purchase-invoices-2020-2025.csv": "ostolaskut.csv",
        "paimio-suppliers.csv": "toimittajat.csv",
        "paimio-accounts.csv": "tilit.csv",
        "paimio-organisation.json": "organisaatio.json",
    }.items():
        steps.drop(name, (real_data / "finance" / source).read_bytes(), directory="finance")
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
    assert steps.query("SELECT (sum(amount_net) * 100)::bigint FROM raw.finance__purchase_invoices") == [(cents,)]
    for dataset in datasets:
        steps.assert_accounted(dataset)
