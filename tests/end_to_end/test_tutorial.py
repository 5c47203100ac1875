"""The tutorial, typed as it stands: its shell blocks run in their order, in the tree of a running platform."""

import re
from pathlib import Path

import psycopg
import pytest

from citydata import database, settings
from tests.end_to_end.running_platform import Platform

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(600)]

PAGE = settings.ROOT / "docs" / "tutorials" / "your-first-dataset.md"
UNDO = "## Take it back"


def _typed(platform: Platform, text: str) -> None:
    """Type the blocks of a part of the page; each ends as the page says, else with 0."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == text.count("```bash"), "a block does not end"
    for block in blocks:
        told = re.search(r"# exit code (\d)\s*$", block)
        done = platform.typed(block)
        assert done.returncode == (int(told[1]) if told else 0), f"{block}\n{done.stdout}\n{done.stderr}"


def _files(tree: Path) -> dict[Path, bytes]:
    roots = ("include/contracts", "include/inventory", "include/change_assessments", "expectations", "dbt_project")
    paths = (path for root in roots for path in (tree / root).rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in paths if not {"target", "__pycache__"} & set(path.parts)}


def test_the_tutorial_ends_with_a_new_dataset_in_a_mart_and_can_be_undone(synthetic: Platform) -> None:
    before = _files(synthetic.tree)
    lesson, undo = PAGE.read_text(encoding="utf-8").split(UNDO)
    _typed(synthetic, lesson)

    with psycopg.connect(database.url("bi")) as connection:
        rows = connection.execute(
            "SELECT dog_park_id, size_m2::text, is_fenced FROM mart_gis.dog_park ORDER BY dog_park_id"
        ).fetchall()
    assert rows == [
        *(("KP-1", "2400.5", True), ("KP-2", "1850.0", True), ("KP-3", "3120.0", False), ("KP-4", "1500.5", True)),
        ("KP-5", None, False),
    ]
    synthetic.api.wait_for_dags(["extract_parks"])
    run = synthetic.api.trigger("extract_parks")
    assert synthetic.finish("extract_parks", run) == "success"
    assert synthetic.states("extract_parks", run)["publish_dog_parks"] == "skipped", "nothing new: the file is known"

    _typed(synthetic, undo)
    assert _files(synthetic.tree) == before
