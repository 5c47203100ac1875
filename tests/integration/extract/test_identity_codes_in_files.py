"""Identity codes in files: a pseudonym where they belong, a mask where they do not, nothing in errors and archives."""

import io

import pyrage
import pytest
import zstandard

from citydata import contract, settings
from citydata.extract import SourceError, archive
from citydata.privacy import identity_code
from tests.integration.steps import Steps

REGISTER = "trial.register"
CODE, OTHER, MISTYPED = "010190-900P", "131052-9041", "010190-900R"
HEADER = "number;name;identity_code;remark\n"


def test_the_codes_of_this_module_are_what_they_seem() -> None:
    assert [identity_code.is_valid(code) for code in (CODE, OTHER, MISTYPED)] == [True, True, False]


def test_valid_and_mistyped_codes_become_pseudonyms_with_a_flag(trial: Steps) -> None:
    content = HEADER + f"1;Aino;{CODE};\n2;Bo;{MISTYPED};\n3;Aino;{CODE.lower()} ;\n4;Cia;ei ole;\n5;Dan;;\n"
    trial.drop("rekisteri.csv", content)
    trial.load(REGISTER)
    stored = {row[0]: row for row in trial.current(REGISTER)}
    assert {number: row[3] for number, row in stored.items()} == {"1": True, "2": False, "3": True, "4": False}
    assert stored["1"][2] == stored["3"][2] != stored["2"][2]
    assert all(row[2].startswith("k1:") for row in stored.values())
    assert trial.reasons(REGISTER) == {6: ["identity_code.required"]}
    trial.assert_accounted(REGISTER, extracted=5)


@pytest.mark.parametrize("text", [f"ks. {CODE}", f"tunnus_{CODE.lower()}!", f"{CODE}{OTHER}", f"hetu{CODE}, {OTHER}"])
def test_a_code_in_a_text_is_masked(trial: Steps, text: str) -> None:
    trial.drop("rekisteri.csv", HEADER + f"1;Aino;{CODE};{text}\n")
    trial.load(REGISTER)
    [(_, _, _, _, remark)] = trial.current(REGISTER)
    assert identity_code.MASK in remark
    assert not {CODE, CODE.lower(), OTHER} & {remark[at : at + 11] for at in range(len(remark))}


def test_refused_lines_and_rows_keep_no_code(trial: Steps) -> None:
    lines = [f"1;Aino;{CODE};x;y", f'2;"Bo;{MISTYPED};', f";Cia;{OTHER};{CODE}", "6;Dan;x;", "7;Eva;y;", "8;Fia;z;"]
    trial.drop("rekisteri.csv", HEADER + "\n".join(lines) + "\n")
    trial.load(REGISTER)
    assert trial.reasons(REGISTER) == {2: ["row.column_count"], 3: ["row.quoting"], 4: ["number.required"]}
    kept = str(trial.quarantine(REGISTER))
    assert not [code for code in (CODE, MISTYPED, OTHER) if code in kept]
    trial.assert_accounted(REGISTER, extracted=6)


def test_a_file_without_a_header_does_not_put_its_first_row_into_the_error(
    trial: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    trial.drop("rekisteri.csv", f"1;Aino;{CODE};\n2;Bo;{MISTYPED};\n")
    trial.load(REGISTER)
    assert trial.states(REGISTER) == ["held"]
    assert CODE not in caplog.text + str(trial.batch(REGISTER))


def test_a_code_in_a_files_name_is_not_noted(trial: Steps, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    content = HEADER + f"1;Aino;{CODE};\n"
    trial.drop(f"rekisteri-{MISTYPED}.csv", content)
    trial.load(REGISTER)
    trial.drop(f"rekisteri-{CODE}.csv", content)
    trial.load(REGISTER)
    arrivals = str(trial.query("SELECT * FROM ops.arrival"))
    assert arrivals.count(f"rekisteri-{identity_code.MASK}.csv") == 2
    noted = arrivals + str(trial.batches(REGISTER)) + caplog.text
    assert not [code for code in (CODE, MISTYPED) if code in noted]


def test_a_batch_that_failed_is_remembered_without_values(trial: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError(f'invalid input syntax for type integer: "{CODE}"\nDETAIL: {CODE}')

    trial.drop("rekisteri.csv", HEADER + f"1;Aino;{CODE};\n")
    monkeypatch.setattr(archive.Writer, "seal", broken)
    with pytest.raises(ValueError, match="invalid input syntax"):
        trial.load(REGISTER)
    assert trial.batch(REGISTER)["failure"] == "invalid input syntax for type integer"
    assert trial.query("SELECT tablename FROM pg_tables WHERE schemaname = 'landing'") == []
    assert not [path for path in (trial.home / "archive").rglob("*") if path.is_file()]


def test_the_archive_is_encrypted_and_opens_with_the_key_only(trial: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    content = HEADER + f"1;Aino;{CODE};\n"
    trial.drop("rekisteri.csv", content)
    trial.load(REGISTER)
    batch = trial.batch(REGISTER)
    path = trial.home / "archive" / batch["archive_path"]
    stored = path.read_bytes()

    assert stored.startswith(b"age-encryption.org/v1")
    assert CODE.encode() not in stored
    with pytest.raises(zstandard.ZstdError):
        zstandard.ZstdDecompressor().stream_reader(io.BytesIO(stored)).read()
    assert path.stat().st_mode & 0o077 == 0
    assert b"".join(archive.read(batch["archive_path"], batch["archive_sha256"])) == content.encode()

    monkeypatch.setenv("CITYDATA_ARCHIVE_KEY", str(pyrage.x25519.Identity.generate()))
    with pytest.raises(SourceError, match="not opened by CITYDATA_ARCHIVE_KEY"):
        list(archive.read(batch["archive_path"], batch["archive_sha256"]))


def test_no_archive_is_opened_without_a_key(trial: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    assert contract.load(REGISTER).platform.encryptedArchive
    trial.drop("rekisteri.csv", HEADER + f"1;Aino;{CODE};\n")
    monkeypatch.delenv("CITYDATA_ARCHIVE_KEY")
    with pytest.raises(settings.SettingMissing, match="CITYDATA_ARCHIVE_KEY"):
        trial.load(REGISTER)
    assert not [path for path in (trial.home / "archive").rglob("*") if path.is_file()]
