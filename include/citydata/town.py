"""What makes this installation one town and not another: `town.yaml`."""

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from citydata import settings
from citydata.connector_options import Strict


class TownError(ValueError):
    """A `town.yaml` that cannot be used. The text names the file, the key and what is wrong."""


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
    """The town of this installation. Swedish names are the Finnish ones where it has none."""

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
    employment_register: EmploymentRegister | None


class _Sector(Strict):
    code: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name_fi: str
    name_sv: str | None = None
    until: date | None = None


class _Register(Strict):
    dataset: str
    person: str
    start: str
    end: str


class _Bounds(Strict):
    west: float
    east: float
    south: float
    north: float


class _Document(Strict):
    """The file as people write it."""

    name_fi: str
    name_sv: str | None = None
    municipality_code: str = Field(pattern=r"^\d{3}$")
    peer_municipalities: list[str] = Field(default=[])
    business_id: str
    languages: list[Literal["fi", "sv"]] = Field(min_length=1)
    time_zone: str
    sectors: list[_Sector] = Field(min_length=1)
    suppression_threshold: int = Field(ge=1)
    bounds: _Bounds
    country_bounds: _Bounds
    local_projection: str = Field(pattern=r"^EPSG:\d+$")
    employment_register: _Register | None = None

    @model_validator(mode="after")
    def named_in_official_languages(self) -> "_Document":
        """Where Swedish is an official language everything that a person reads has a Swedish name."""
        if "sv" in self.languages and not all((self.name_sv, *(sector.name_sv for sector in self.sectors))):
            raise ValueError("the town and its sectors need name_sv, because Swedish is one of its languages")
        return self


@cache
def load() -> Town:
    """Read `town.yaml` once a process. Raises TownError naming the key that is wrong."""
    try:
        document = _Document.model_validate(
            yaml.load(settings.TOWN.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        )
    except OSError as error:
        raise TownError(f"{settings.TOWN}: {error.strerror}; CITYDATA_TOWN names another file") from None
    except yaml.YAMLError as error:
        raise TownError(f"{settings.TOWN}: not YAML: {getattr(error, 'problem', error)}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise TownError(f"{settings.TOWN}: {where + ': ' if where else ''}{first['msg']}") from None
    values: dict[str, Any] = document.model_dump()
    register = values["employment_register"]
    return Town(
        **values
        | {
            "name_sv": document.name_sv or document.name_fi,
            "peer_municipalities": tuple(document.peer_municipalities),
            "languages": tuple(document.languages),
            "sectors": tuple(
                Sector(entry.code, entry.name_fi, entry.name_sv or entry.name_fi, entry.until)
                for entry in document.sectors
            ),
            "employment_register": EmploymentRegister(**register) if register else None,
        }
    )


def official(language: str) -> bool:
    """Whether it is an official language of the town: what people read must be there in it."""
    return language in load().languages


def left_empty(key: str) -> bool:
    """Whether nobody in the town is asked for a key: a Swedish text where Swedish is no official language."""
    return key.endswith("_sv") and not official("sv")
