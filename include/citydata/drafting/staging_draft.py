"""The drafted staging model: every column of the contract, texts trimmed, as of the horizon."""

from citydata.drafting.answers import Dataset
from citydata.drafting.proposal import Proposal


def render(dataset: Dataset, proposal: Proposal) -> str:
    """The model's SQL."""
    columns = []
    for column in proposal.columns:
        if column.personal == "health":
            continue  # the transformer does not see it
        text = (
            column.profile.type == "string"
            and not column.geometry
            and column.personal not in ("identity_code", "pseudonym")
        )
        columns.append(f"    {{{{ trimmed('{column.name}') }}}} as {column.name}," if text else f"    {column.name},")
        if column.personal == "identity_code":
            columns.append(f"    {column.name}_valid,")
    source = f"source('{dataset.system}', '{dataset.name}')"
    return "\n".join(
        [
            "select",
            *columns,
            "    _opened_by,",
            "    _closed_by",
            f"from {{{{ {source} }}}}",
            f"where {{{{ at_horizon({source}) }}}}",
            "",
        ]
    )
