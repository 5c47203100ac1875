"""What makes this installation one town and not another: `include/town.yaml`."""

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import yaml

from citydata import settings


@dataclass(frozen=True)
class Sector:
    """A sector of the administration (toimiala). `until` is the last day the town was its controller, if it ended."""

    code: str
    name_fi: str
    name_sv: str
    until: date | None = None


@dataclass(frozen=True)
class EmploymentRegister:
    """The dataset that says who is employed when, and its columns. An empty `end` goes on."""

    dataset: str
    person: str
    start: str
    end: str


@dataclass(frozen=True)
class Town:
    """The town of this installation."""

    name_fi: str
    name_sv: str
    municipality_code: str
    peer_municipalities: tuple[str, ...]
    business_id: str
    languages: tuple[str, ...]
    time_zone: str
    sectors: tuple[Sector, ...]
    suppression_threshold: int
    bounds: dict[str, float]
    country_bounds: dict[str, float]
    local_projection: str
    employment_register: EmploymentRegister


@cache
def load() -> Town:
    """Read `town.yaml` once a process."""
    document: dict[str, Any] = yaml.load(settings.TOWN.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return Town(
        name_fi=document["name_fi"],
        name_sv=document["name_sv"],
        municipality_code=str(document["municipality_code"]),
        peer_municipalities=tuple(map(str, document["peer_municipalities"])),
        business_id=document["business_id"],
        languages=tuple(document["languages"]),
        time_zone=document["time_zone"],
        sectors=tuple(Sector(**sector) for sector in document["sectors"]),
        suppression_threshold=int(document["suppression_threshold"]),
        bounds=document["bounds"],
        country_bounds=document["country_bounds"],
        local_projection=document["local_projection"],
        employment_register=EmploymentRegister(**document["employment_register"]),
    )
