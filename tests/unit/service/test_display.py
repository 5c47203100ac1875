"""What a person sees in the terminal."""

from datetime import UTC, datetime

from rich.console import Console

from citydata.service.display import rows_table


def test_moments_are_shown_in_the_towns_time() -> None:
    console = Console(width=120)
    with console.capture() as shown:
        console.print(rows_table([{"published_at": datetime(2026, 7, 1, 21, 30, tzinfo=UTC), "batch_id": 7}]))
    assert "2026-07-02 00:30:00" in shown.get()
    assert "published at" in shown.get()
