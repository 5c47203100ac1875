"""Quality suites, one Great Expectations file a dataset, and the city's own expectation types.

Importing this package registers the types. It must be imported before a suite is read: Great Expectations drops an
expectation whose type it does not know, and the suite then passes without it.
"""

from expectations.account_in_chart import ExpectColumnValuesToBeInChartOfAccounts
from expectations.business_id import ExpectColumnValuesToBeValidBusinessId
from expectations.identity_code_flag import ExpectIdentityCodesToBeValid
from expectations.known_in_dataset import ExpectColumnValuesToBeKnownInDataset
from expectations.municipality_code import ExpectColumnValuesToBeMunicipalityCodes
from expectations.newest_recent import ExpectNewestToBeRecent
from expectations.one_value_per_group import ExpectOneValuePerGroup
from expectations.permanent_building_id import ExpectColumnValuesToBeValidPermanentBuildingId
from expectations.postal_code import ExpectColumnValuesToBePostalCodes
from expectations.pricing_code import ExpectColumnValuesToBePricingCodes
from expectations.property_id import ExpectColumnValuesToBeValidPropertyIds
from expectations.reference_number import ExpectColumnValuesToBeValidReferenceNumber
from expectations.row_count import ExpectRowCountToBePlausible
from expectations.row_rule import ExpectRowsToSatisfy
from expectations.values_in_use import ExpectValuesInUseToBePresent

__all__ = [
    "ExpectColumnValuesToBeInChartOfAccounts",
    "ExpectColumnValuesToBeKnownInDataset",
    "ExpectColumnValuesToBeMunicipalityCodes",
    "ExpectColumnValuesToBePostalCodes",
    "ExpectColumnValuesToBePricingCodes",
    "ExpectColumnValuesToBeValidBusinessId",
    "ExpectColumnValuesToBeValidPermanentBuildingId",
    "ExpectColumnValuesToBeValidPropertyIds",
    "ExpectColumnValuesToBeValidReferenceNumber",
    "ExpectIdentityCodesToBeValid",
    "ExpectNewestToBeRecent",
    "ExpectOneValuePerGroup",
    "ExpectRowCountToBePlausible",
    "ExpectRowsToSatisfy",
    "ExpectValuesInUseToBePresent",
]
