"""Contracts that cannot be used show as the import error of this file; the DAGs of all others go on without them.

It holds no DAG. Airflow reads a file only when the words airflow and DAG occur in it.
"""

from citydata import contract
from citydata.contract import ContractError

_, errors = contract.load_each()
if errors:
    raise ContractError("\n".join(str(error) for error in errors))
