"""C12: the source was last taken in within what the contract promises."""

from citydata.governance.criteria import by_contract
from citydata.governance.evidence import Case, Evidence, Loaded
from citydata.governance.inventory import Dataset

CRITERION = "C12"


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """The last successful load of each contract. A source that said the same again is as fresh as one that changed."""

    def load(state: Loaded) -> list[Evidence]:
        codes = {"never": "C12.never_loaded", "kept": "C12.in_time", "late": "C12.late"}
        return [by_contract.in_time(CRITERION, state, case, state.last_load_at, **codes)]

    return by_contract.each(CRITERION, dataset, case, load)
