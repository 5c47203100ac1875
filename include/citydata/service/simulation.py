"""The synthetic source systems of an installation: which town, which day, and moving it to the next day."""

import filecmp
import json
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path

from citydata.service.installation import InstallationError

SEED = 1


@dataclass(frozen=True)
class Town:
    """Which synthetic town: everything about it follows from seed, scale and day.

    `replaced` are datasets whose synthetic files are no longer dropped because real ones were given; `recorded` are answers
    by dataset that the synthetic services give in place of their own.
    """

    seed: int = SEED
    scale: float = 1.0
    day: int = 0
    replaced: tuple[str, ...] = ()
    recorded: dict[str, str] = field(default_factory=dict)


class Simulation:
    """The synthetic town of the installation in `home`."""

    def __init__(self, home: Path) -> None:
        self._record = home / "simulation.json"
        self._recorded = home / "recorded"

    @property
    def town(self) -> Town | None:
        """The town that was made here, or None."""
        if not self._record.exists():
            return None
        record = json.loads(self._record.read_text(encoding="utf-8"))
        return Town(**{**record, "replaced": tuple(record["replaced"])})

    def keep(self, dataset: str, file: Path) -> str | None:
        """Keep a recorded answer; return its path, or None when it is kept already, byte for byte."""
        kept = self._recorded / f"{dataset}{file.suffix}"
        if kept.exists() and filecmp.cmp(file, kept, shallow=False):
            return None
        self._recorded.mkdir(exist_ok=True)
        temporary = kept.with_name(f".{kept.name}.tmp")
        shutil.copyfile(file, temporary)
        temporary.replace(kept)
        return str(kept)

    def choose(self, scale: float | None) -> Town:
        """The town that is here, or a new one of `scale` (1: about 1,500 employees, 12,000 invoice lines a year).

        Raises:
            InstallationError: there is one of another scale.
        """
        town = self.town or Town(scale=scale or 1.0)
        if scale is not None and scale != town.scale:
            raise InstallationError(
                f"The synthetic town here has scale {town.scale:g}, not {scale:g}. "
                "Its history cannot be stretched: `./citydata reset` first."
            )
        return town

    def bring(self, town: Town, *, drop: Path, files: Collection[str], hr: tuple[str, str] | None) -> list[str]:
        """Bring the sources to `town.day`, day by day; return what was new in them, in words. Again: nothing.

        Args:
            town: the town and its day.
            drop: directory of dropped files.
            files: datasets whose files are synthetic.
            hr: administrator's URL of the server for the HR database and the password of its reader; None for none.
        """
        from simulators import finance_files, hr_database, statistics_files  # noqa: PLC0415  # only who simulates needs them

        present = self.town
        news = []
        if hr:
            server, password = hr
            if present is None:
                hr_database.create(server, password=password, seed=town.seed, scale=town.scale, day=town.day)
                news.append(f"HR database of day {town.day}")
            elif hr_database.advance(server, seed=town.seed, scale=town.scale, day=town.day):
                news.append(f"HR database moved to day {town.day}")
        # The files of skipped days are dropped too, as their systems would have done.
        for day in range(min(present.day + 1 if present else town.day, town.day), town.day + 1):
            for source in (finance_files, statistics_files):
                wanted = [name for name in source.DATASETS if name in files]
                if wanted:
                    dropped = source.drop(drop, seed=town.seed, scale=town.scale, day=day, datasets=wanted)
                    news += [f"file {path.name}" for path in dropped]
        if present is None or (present.day, present.recorded) != (town.day, town.recorded):
            news.append(f"services of day {town.day}")
        temporary = self._record.with_suffix(".new")  # the services read it at each request
        temporary.write_text(json.dumps(asdict(town)), encoding="utf-8")
        temporary.replace(self._record)
        return news
