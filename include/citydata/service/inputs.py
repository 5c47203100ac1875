"""The manifest of `up --input`: which real file to read for a dataset in place of the synthetic source's.

    inputs:
      finance.suppliers: {file: "${CITYDATA_REAL_DATA:-data}/finance/suppliers.csv"}

For a dataset of a service that answers over HTTP the file is a recorded answer, which the synthetic service gives.
Paths are relative to the current directory. `${NAME:-default}` is replaced as a shell would.
"""

import filecmp
import os
import re
import shutil
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from citydata import contract
from citydata.connector_options import FilesConnector, HttpOptions
from simulators import SERVICES

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


class InputError(ValueError):
    """A manifest that cannot be used; the message names the manifest, the dataset and what is allowed."""


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid")
    file: str


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inputs: dict[str, _Input]


def read(manifest: Path) -> dict[str, Path]:
    """Return the file of each dataset that the manifest lists.

    Raises:
        InputError: the manifest, a dataset in it or a file does not exist, or a dataset does not come from files.
    """
    try:
        document = yaml.load(manifest.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        parsed = _Manifest.model_validate(document)
    except FileNotFoundError:
        raise InputError(f"{manifest}: there is no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{manifest}: not YAML: {str(error).splitlines()[0]}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise InputError(
            f"{manifest}: {where}: {first['msg'].lower()}; allowed is `inputs: {{<dataset>: {{file: PATH}}}}`"
        ) from None
    return {dataset: _file(manifest, dataset, entry.file) for dataset, entry in parsed.inputs.items()}


def from_files(dataset: str) -> bool:
    """Whether the dataset's source drops files."""
    return isinstance(contract.load(dataset).platform.connector, FilesConnector)


def _file(manifest: Path, dataset: str, written: str) -> Path:
    contracts = contract.load_all()
    possible = sorted(name for name, entry in contracts.items() if _takes_file(entry))
    if dataset not in possible:
        reason = "is not a dataset of any contract"
        if dataset in contracts:
            reason = "comes from neither files nor a synthetic service"
        raise InputError(f"{manifest}: {dataset} {reason}; possible are {', '.join(possible)}")

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match["name"]) or match["default"]
        if found is None:
            raise InputError(f"{manifest}: {dataset}: ${{{match['name']}}} is not set and has no default")
        return found

    path = Path(_VARIABLE.sub(value, written)).expanduser().absolute()
    if not path.is_file():
        raise InputError(f"{manifest}: {dataset}: there is no file {path}")
    return path


def _takes_file(entry: contract.Contract) -> bool:
    connector = entry.platform.connector
    if isinstance(connector, HttpOptions):
        return connector.connection in SERVICES
    return isinstance(connector, FilesConnector)


def drop(dataset: str, file: Path, directory: Path) -> bool:
    """Copy `file` below the drop directory under a name that the dataset's contract takes; complete it with `.done`.

    Return False when it lies there already, byte for byte.
    """
    connector = contract.load(dataset).platform.connector
    assert isinstance(connector, FilesConnector)  # `read` let nothing else through
    target = directory / connector.directory / connector.pattern.replace("*", f"-{file.stem}")
    done = target.with_name(target.name + ".done")
    if target.exists() and done.exists() and filecmp.cmp(file, target, shallow=False):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    done.unlink(missing_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    # The time of the copy, not of the original: what is given to the platform now is what the source says now.
    shutil.copyfile(file, temporary)
    temporary.replace(target)
    done.touch()
    return True
