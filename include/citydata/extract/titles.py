"""Titles of columns: the contract's, and the former ones that older archives still have.

Every parser asks here before it compares what came with the contract, so that an archive reads the same before and after
its source renamed a column.
"""

from collections.abc import Iterable

from citydata.contract import Contract


def today(contract: Contract, found: Iterable[str]) -> list[str]:
    """What came, each former title replaced by the column's own where that did not come as well."""
    came = list(found)
    there = set(came)
    own = {
        title: column.source_name
        for column in contract.columns
        if column.source_name not in there
        for title in column.settings.formerNames
    }
    return [own.get(title, title) for title in came]


def expected(contract: Contract, columns: Iterable[str], found: Iterable[str]) -> list[str]:
    """What must come of `columns`: all, but those that what is read may lack only if they are among `found`."""
    may_lack = {column.source_name for column in contract.columns if column.may_lack} - set(found)
    return [name for name in columns if name not in may_lack]
