"""Settings of an installation, read from the environment and from nowhere else."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = Path(os.environ.get("CITYDATA_CONTRACTS", ROOT / "include" / "contracts"))
EXPECTATIONS = Path(os.environ.get("CITYDATA_EXPECTATIONS", ROOT / "expectations"))
INVENTORY = Path(os.environ.get("CITYDATA_INVENTORY", ROOT / "include" / "inventory"))
TOWN = Path(os.environ.get("CITYDATA_TOWN", ROOT / "include" / "town.yaml"))
# Lists of the town that the warehouse reads: names, definitions. They stand beside town.yaml.
SEEDS = TOWN.parent / "seeds"


class SettingMissing(RuntimeError):
    """A setting that a step needs is not in the environment."""


def required(name: str, purpose: str) -> str:
    """Return the environment variable `name`, or say what it is for and where it comes from."""
    value = os.environ.get(name, "")
    if not value:
        raise SettingMissing(
            f"{name} is not set: {purpose}. `./citydata` sets it from the installation's secrets; "
            "outside it, export it or define it for the service."
        )
    return value


def home() -> Path:
    """Directory of the installation's state: archive, dropped files, logs, database. Never inside the checkout."""
    return Path(required("CITYDATA_HOME", "the directory that keeps archive, logs and state"))


def archive() -> Path | str:
    """Where sealed archives are kept: a directory, or the URL of a place on object storage."""
    place = os.environ.get("CITYDATA_ARCHIVE", "")
    if "://" in place and not place.startswith("file://"):
        return place.rstrip("/")
    return Path(place.removeprefix("file://") or home() / "archive")


def spool_directory() -> Path:
    """Where this machine keeps files on their way to and from object storage; never shared with another machine."""
    return Path(os.environ.get("CITYDATA_SPOOL") or home() / "spool")


def drop_directory() -> Path:
    """Where source systems drop their files."""
    return Path(os.environ.get("CITYDATA_DROP") or home() / "drop")


def source_url(connection: str) -> str:
    """Address of the source system `connection`, with its credentials.

    Airflow's tasks put a connection of that name here before a step runs (design: connections resolve inside the task).
    """
    return required(f"CITYDATA_SOURCE_{connection.upper()}", f"the address of the source system “{connection}”")
