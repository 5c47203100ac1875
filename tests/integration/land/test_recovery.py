"""What was sealed is never lost: an emptied landing table is filled from the archive, and a changed archive is refused."""

import pytest

from citydata import audit, pipeline, publish
from citydata.extract import ContentError
from citydata.extract.archive_storage import ArchiveUnreachable
from tests import object_storage
from tests.integration.steps import Steps

CENTRES = "trial.cost_centres"
CONTENT = (
    "Koodi;Nimi;Talousarvio;Voimassa\n" + "".join(f"{code};Yksikkö;1,00;\n" for code in range(1000, 1050)) + "x;y;;\n"
)


def interrupted(trial: Steps, *, after: str) -> int:
    """Stop after a step, as a crash would."""
    trial.drop("kustannuspaikat.csv", CONTENT)
    [batch_id] = pipeline.extract_and_land(CENTRES)
    if after == "audit":
        audit.audit([batch_id])
    return batch_id


def assert_as_undisturbed(trial: Steps) -> None:
    trial.assert_accounted(CENTRES, extracted=51)
    assert (trial.batch(CENTRES)["inserted"], trial.batch(CENTRES)["quarantined"]) == (50, 1)
    assert len(trial.current(CENTRES)) == 50
    assert trial.states(CENTRES) == ["published"]


@pytest.mark.parametrize("after", ["landing", "audit"])
@pytest.mark.parametrize(
    "damage", ["TRUNCATE landing.b{}", "DROP TABLE landing.b{}", "DELETE FROM landing.b{} WHERE _row = 7"]
)
def test_a_lost_landing_table_is_landed_again(trial: Steps, after: str, damage: str) -> None:
    batch_id = interrupted(trial, after=after)
    trial.execute(damage.format(batch_id))
    trial.load(CENTRES)
    assert_as_undisturbed(trial)


def test_publishing_leaves_a_batch_that_had_to_be_landed_again_to_the_audit(trial: Steps) -> None:
    batch_id = interrupted(trial, after="audit")
    trial.execute(f"TRUNCATE landing.b{batch_id}")
    assert publish.publish(CENTRES) == []
    assert trial.states(CENTRES) == ["landed"]
    assert pipeline.waiting(CENTRES) == [batch_id]


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_archive_is_an_error_that_says_what_to_do(trial: Steps, damage: str) -> None:
    batch_id = interrupted(trial, after="landing")
    path = trial.home / "archive" / trial.batch(CENTRES)["archive_path"]
    sealed = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(sealed[:-1] if damage == "cut" else sealed[:-1] + bytes([sealed[-1] ^ 1]))
    trial.execute(f"TRUNCATE landing.b{batch_id}")

    with pytest.raises(ContentError, match=r"archive .* restore it from the backup"):
        pipeline.replay(batch_id)

    assert "restore it from the backup" in trial.batch(CENTRES)["held_reason"]
    assert trial.current(CENTRES) == []
    path.write_bytes(sealed)
    assert pipeline.decide(batch_id, release=True, person="ylläpito", reason="palautettu").state == "published"
    assert_as_undisturbed(trial)


def test_an_archive_on_object_storage_is_landed_from_and_a_silent_store_holds_nothing(
    trial: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with object_storage.running() as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        batch_id = interrupted(trial, after="audit")
        trial.execute(f"DROP TABLE landing.b{batch_id}")
        trial.load(CENTRES)
        assert_as_undisturbed(trial)
    assert not [path for path in trial.home.rglob("*.zst*") if path.is_file()]
    trial.drop("kustannuspaikat_2.csv", CONTENT.replace("Yksikkö", "Osasto"))
    with pytest.raises(ArchiveUnreachable, match=rf"^{CENTRES}/\d+\.zst cannot be looked for in the archive s3://"):
        trial.load(CENTRES)
    with pytest.raises(ArchiveUnreachable, match="cannot be read from"):
        pipeline.replay(batch_id)
    assert "held" not in trial.states(CENTRES)
    assert len(trial.current(CENTRES)) == 50


def test_replaying_the_last_batch_changes_nothing(trial: Steps) -> None:
    trial.drop("kustannuspaikat.csv", CONTENT)
    trial.load(CENTRES)
    before = trial.versions(CENTRES)
    again = pipeline.replay(trial.batch(CENTRES)["batch_id"])
    assert (again.state, again.extracted) == ("published", 51)
    assert trial.versions(CENTRES) == before
    trial.assert_accounted(CENTRES, extracted=51)


def test_a_rebuild_without_all_archives_changes_nothing(trial: Steps) -> None:
    trial.drop("kustannuspaikat.csv", CONTENT)
    trial.load(CENTRES)
    (trial.home / "archive" / trial.batch(CENTRES)["archive_path"]).unlink()
    with pytest.raises(ContentError, match="restore it from the backup"):
        pipeline.rebuild(CENTRES)
    assert_as_undisturbed(trial)
