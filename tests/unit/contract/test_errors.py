"""A contract's error names file, line, key and what is allowed."""

from datetime import date
from pathlib import Path

import pytest

from citydata import contract, settings

GOOD = (Path(__file__).parents[2] / "contracts" / "trial" / "cost_centres.yaml").read_text(encoding="utf-8")
REPOSITORY = sorted(settings.CONTRACTS.glob("*/*.yaml")) + sorted(
    (Path(__file__).parents[2] / "contracts").glob("*/*.yaml")
)


NAME = '          - {property: description_en, value: "name"}\n'
MODE = "  - {property: mode, value: snapshot}\n"
KEYLESS_INCREMENT = (
    "  - {property: mode, value: increment}\n"
    "  - {property: watermark, value: {column: valid_from}}\n"
    "  - {property: keyless, value: true}\n"
)


def broken(directory: Path, old: str, new: str, *, name: str = "trial/cost_centres.yaml") -> tuple[Path, int]:
    """A contract in which one text is another; its path and the line of the change."""
    assert GOOD.count(old), old
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    return path, GOOD[: GOOD.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "key", "allowed"),
    [
        ("{type: files, directory: trial", "{type: files, folder: trial", "customProperties", "directory: Field required"),
        ('delimiter: ";"}}', 'delimiter: ";", colour: red}}', "customProperties", "colour: Extra inputs are not permitted"),
        ("{type: files,", "{type: ftp,", "customProperties", "'files', 'sql'"),
        ("value: snapshot", "value: snapshots", "customProperties", "'snapshot' or 'increment'"),
        ("maxClosedShare, value: 0.05", "maxClosedShare, value: 5", "customProperties", "less than or equal to 1"),
        ("property: maxClosedShare", "property: maxLostShare", "customProperties", "allowed here: description_sv, description_en"),
        ("property: fi.sailytysaika", "property: fi.sailytys", "customProperties", "allowed: fi.art30Id"),
        ("logicalType: number", "logicalType: decimal", "logicalType", "allowed: string, integer, number, date, timestamp, boolean"),
        ("classification: internal", "classification: hidden", "classification", "public, internal, confidential, secret"),
        ("property: scale", "property: skale", "customProperties", "allowed here: description_sv"),
        ('decimal: ","', 'decimal: ";"', "customProperties", "'.' or ','"),
        ("name: budget", "name: Budget", "name", "lower-case letters, digits and _"),
        ("id: trial.cost_centres", "id: trial.centres", "id", "trial.cost_centres"),
        ("apiVersion: v3.1.0", "apiVersion: v2.2.2", "apiVersion", "v3.1.0"),
        ("unit: h", "unit: min", "slaProperties", "unit h or d"),
        ("role: owner", "role: boss", "team.members", "a member with role owner"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_key_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, key: str, allowed: str
) -> None:
    path, line = broken(tmp_path, old, new)
    with pytest.raises(contract.ContractError) as error:
        contract.read(path)
    where, _, message = str(error.value).partition(": ")
    assert where.startswith(f"{path}:")
    assert abs(int(where.rpartition(":")[2]) - line) <= 1 or key in ("slaProperties", "team.members")
    assert key in message
    assert allowed in message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("property: mode, value: snapshot", "property: mode, value: increment", "mode increment needs `watermark`"),
        (MODE, f"{MODE}  - {{property: keyless, value: true}}\n", "not both"),
        ("        primaryKey: true\n", "", "primaryKey: true or set keyless: true"),
        (MODE, MODE + MODE, "mode is given twice"),
        (MODE, f"{MODE}  - {{property: scope, value: {{type: keys, columns: [town]}}}}\n", "the column “town”; allowed: budget"),
        ('logicalTypeOptions: {format: "d.M.yyyy"}', "logicalTypeOptions: {}", "how the source writes the date"),
        ("schema:\n", "schema: []\nschema_was:\n", "exactly one table a contract"),
        ("schema:\n", "schema:\n  - {name: other, properties: []}\n", "exactly one table a contract"),
        ("name: budget", "name: name", "a column name occurs twice"),
        ('name: "Kustannuspaikat"', 'name: ""', "`name` is empty"),
        (MODE, f"{MODE}  - {{property: deletes, value: key_sweep}}\n", "deletes key_sweep needs `keySweep"),
        (MODE, KEYLESS_INCREMENT, "keyless datasets are compared by content and must be snapshots"),
        ('value: "0 5 * * *"', 'value: "0 5 * * * 30"', "is not a cron expression; five fields"),
        ("status: active\n", "", "`status` is missing"),
        (MODE, f"{MODE}  - {{property: deletes, value: tombstone}}\n", "a source that tells what was deleted"),
        (MODE, f"{MODE}  - {{property: controller, value: {{name: T, until: 2022-12-31}}}}\n", "`until` needs `ground`"),
        (NAME, f"{NAME}          - {{property: suppressedBy, value: nobody}}\n", "suppressedBy names the column “nobody”"),
        (NAME, f"{NAME}          - {{property: suppressedBy, value: budget}}\n", "that must be a required boolean"),
        ("apiVersion: v3.1.0", "apiVersion: [v3.1.0", "not YAML"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together(tmp_path: Path, old: str, new: str, message: str) -> None:
    path, _ = broken(tmp_path, old, new)
    with pytest.raises(contract.ContractError, match=r"cost_centres\.yaml:\d+: ") as error:
        contract.read(path)
    assert message in str(error.value)


CONTROLLER = "{name: Town, until: 2022-12-31, ground: 616/2021%s}"
AGREEMENT = ", agreement: {party: County, id: A-1, until: 2027-12-31}"


@pytest.mark.parametrize(
    ("controller", "personal", "day", "over"),
    [
        (CONTROLLER % "", True, date(2022, 12, 31), None),
        (CONTROLLER % "", True, date(2023, 1, 1), "controller until 2022-12-31 (616/2021), and there is no agreement"),
        (CONTROLLER % "", False, date(2023, 1, 1), None),
        (CONTROLLER % AGREEMENT, True, date(2027, 12, 31), None),
        (CONTROLLER % AGREEMENT, True, date(2028, 1, 1), "the agreement A-1 with County ended on 2027-12-31"),
        ("{name: Town}", True, date(2099, 1, 1), None),
    ],
)
def test_personal_data_is_read_by_its_controller_or_by_agreement(
    tmp_path: Path, controller: str, personal: bool, day: date, over: str | None
) -> None:
    path, _ = broken(tmp_path, MODE, f"{MODE}  - {{property: controller, value: {controller}}}\n")
    if personal:
        text = path.read_text(encoding="utf-8")
        personal_name = f"{NAME}          - {{property: personalData, value: name}}\n"
        path.write_text(text.replace(NAME, personal_name), encoding="utf-8")
    found = contract.read(path).controller_over(day)
    assert (found is None) == (over is None)
    assert over is None or over in str(found)


def test_a_keyless_dataset_has_no_volatile_columns(tmp_path: Path) -> None:
    path, _ = broken(tmp_path, "        primaryKey: true\n", "")
    text = path.read_text(encoding="utf-8").replace(MODE, f"{MODE}  - {{property: keyless, value: true}}\n")
    path.write_text(text, encoding="utf-8")
    assert contract.read(path).key == []
    path.write_text(text.replace(NAME, f"{NAME}          - {{property: volatile, value: true}}\n"), encoding="utf-8")
    with pytest.raises(contract.ContractError, match="compared by content and cannot have volatile columns"):
        contract.read(path)


def test_a_volatile_column_is_kept_and_makes_no_new_version(tmp_path: Path) -> None:
    path, _ = broken(tmp_path, NAME, f"{NAME}          - {{property: volatile, value: true}}\n")
    entry = contract.read(path)
    assert [*entry.table_columns] == ["code", "name", "budget", "valid_from"]
    assert entry.compared_columns == ["code", "budget", "valid_from"]


def test_a_key_column_is_required_whether_or_not_the_contract_says_so(tmp_path: Path) -> None:
    path, _ = broken(
        tmp_path, "        primaryKeyPosition: 1\n        required: true\n", "        primaryKeyPosition: 1\n"
    )
    [key] = [column for column in contract.read(path).columns if column.key]
    assert (key.name, key.required) == ("code", True)


def test_how_many_rows_may_be_refused(tmp_path: Path) -> None:
    path, _ = broken(tmp_path, "maxQuarantinedShare, value: 0.6", "maxQuarantinedShare, value: 0.1")
    entry = contract.read(path)
    assert [entry.too_many_quarantined(refused, 30) is None for refused in (0, 3, 4)] == [True, True, False]
    assert entry.too_many_quarantined(0, 0) is None
    assert entry.too_many_quarantined(4, 30) == "4 of 30 rows are in quarantine, more than 10.0% (maxQuarantinedShare)"


def test_a_promise_in_days_is_as_many_hours(tmp_path: Path) -> None:
    path, _ = broken(tmp_path, "value: 30, unit: h", "value: 2, unit: d")
    assert contract.read(path).sla_hours == 48


@pytest.mark.parametrize("name", ["trial/Cost.yaml", "trial/a__b.yaml", "1trial/cost.yaml"])
def test_folder_and_file_name_are_the_datasets_id(tmp_path: Path, name: str) -> None:
    path, _ = broken(tmp_path, "id: trial", "id: trial", name=name)
    with pytest.raises(contract.ContractError, match="folder and file name are the dataset's id"):
        contract.read(path)


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("status: active\n", "status: active\ndescriptions: x\n", "descriptions: ", "unknown key; allowed: apiVersion"),
        ('value: "name"', 'value: "name", other: 1', "schema.0.properties.1.customProperties.0.other: ", "unknown key; allowed: desc"),
        ("        required: true\n", "        require: true\n", "schema.0.properties.0: ", "'require' was unexpected"),
        ("version: 1.0.0", "version: 1", "version: ", "is not of type 'string'"),
    ],
)  # fmt: skip
def test_the_standards_schema_finds_what_it_does_not_allow(
    tmp_path: Path, old: str, new: str, place: str, message: str
) -> None:
    path, line = broken(tmp_path, old, new)
    [problem] = contract.problems(contract.read(path))
    where, _, rest = problem.removeprefix(f"{path}:").partition(": ")
    assert abs(int(where) - line) <= 8
    assert rest.startswith(place)
    assert message in rest


@pytest.mark.parametrize("path", REPOSITORY, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_every_contract_is_right_for_the_platform_and_the_standard(path: Path) -> None:
    assert contract.problems(contract.read(path)) == []


def test_a_broken_contract_does_not_hinder_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(tmp_path, "id: trial.cost_centres", "id: trial.good", name="trial/good.yaml")
    broken(tmp_path, "mode, value: snapshot", "mode, value: none", name="trial/cost_centres.yaml")
    monkeypatch.setattr(settings, "CONTRACTS", tmp_path)
    contract.load_each.cache_clear()
    try:
        assert contract.load("trial.good").key == ["code"]
        with pytest.raises(contract.ContractError, match=r"cost_centres\.yaml:.*'snapshot' or 'increment'"):
            contract.load("trial.cost_centres")
        with pytest.raises(contract.ContractError, match=r"no contract for “trial.other”; there are: trial.good"):
            contract.load("trial.other")
    finally:
        contract.load_each.cache_clear()
