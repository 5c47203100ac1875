"""Where an installation keeps its state, and the secrets it generates for itself."""

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from citydata import database
from citydata.settings import ROOT

LOGINS = database.STEP_ROLES
"""Roles whose login gets a generated password `CITYDATA_PASSWORD_<ROLE>`; reporting roles follow the domains of the contracts."""


def checkout_id() -> str:
    """Name of this checkout's state: two checkouts on one machine never share a database."""
    return f"{ROOT.name}-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"


def default_home() -> Path:
    """`/var/lib/citydata/<checkout>` for root, whose home no other user may enter; otherwise below `~/.local/state`."""
    if os.geteuid() == 0:
        return Path("/var/lib/citydata") / checkout_id()
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "citydata" / checkout_id()


def home() -> Path:
    """Directory of the installation's state (`CITYDATA_HOME`, or the default of this checkout)."""
    return Path(os.environ.get("CITYDATA_HOME") or default_home()).expanduser().absolute()


def _archive_key() -> str:
    import pyrage  # noqa: PLC0415  # wanted once in an installation's life

    return str(pyrage.x25519.Identity.generate())


def _fernet_key() -> str:
    from cryptography.fernet import Fernet  # noqa: PLC0415  # as above

    return Fernet.generate_key().decode()


def _client_key() -> str:
    """A private key in PEM on one line, by which a source's server knows this platform (ES384)."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # as above
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415  # as above

    key = ec.generate_private_key(ec.SECP384R1())
    form, secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, secret).decode().replace("\n", "\\n")


def _password() -> str:
    return secrets.token_urlsafe(24)


SYNTHETIC = ("CITYDATA_SOURCE_HR_PASSWORD",)
"""Secrets of the synthetic town only."""


def generators() -> dict[str, Callable[[], str]]:
    """Every secret that an installation generates, and how."""
    from citydata import contract  # noqa: PLC0415  # reads files

    reporting = [f"reporting_{sector}" for sector in sorted({one.sector for one in contract.load_each()[0].values()})]
    return {
        **{f"CITYDATA_PASSWORD_{login.upper()}": _password for login in (*LOGINS, *reporting)},
        "CITYDATA_PSEUDONYM_KEY": lambda: f"k1:{secrets.token_hex(32)}",
        "CITYDATA_ARCHIVE_KEY": _archive_key,
        "CITYDATA_SOURCE_HR_PASSWORD": _password,
        "CITYDATA_SOURCE_FHIR_KEY": _client_key,
        "CITYDATA_AIRFLOW_ADMIN_PASSWORD": _password,
        "CITYDATA_AIRFLOW_DATABASE_PASSWORD": _password,
        "CITYDATA_AIRFLOW_FERNET_KEY": _fernet_key,
        "CITYDATA_AIRFLOW_SECRET_KEY": lambda: secrets.token_hex(32),
        "CITYDATA_AIRFLOW_JWT_SECRET": lambda: secrets.token_hex(64),
    }


def server_generators() -> dict[str, Callable[[], str]]:
    """Every secret of a server, where PostgreSQL and Redis are services of its own and nothing is synthetic."""
    own = {name: make for name, make in generators().items() if name not in SYNTHETIC}
    return own | {"CITYDATA_POSTGRES_PASSWORD": _password, "CITYDATA_REDIS_PASSWORD": _password}


def read_secrets(directory: Path) -> dict[str, str]:
    """Secrets of the installation in `directory`; empty before `up` made them."""
    path = directory / "secrets.env"
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def make_secrets(directory: Path) -> dict[str, str]:
    """Generate every secret that is missing and keep them in `secrets.env` (mode 0600), then return all of them.

    A secret is never replaced: the pseudonym key and the archive key are the only way to data that is already there.
    """
    present = read_secrets(directory)
    missing = {name: make() for name, make in generators().items() if name not in present}
    if missing:
        present |= missing
        text = "# Generated. Back this file up apart from the data: without it archives and pseudonyms are lost.\n"
        text += "".join(f"{name}={value}\n" for name, value in present.items())
        write_private(directory / "secrets.env", text)
    return present


def write_private(path: Path, text: str) -> None:
    """Replace the file at once, readable by its owner only."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def enter(directory: Path | None = None) -> Path:
    """Make the state directory and put its location and secrets into this process's environment.

    What the environment already holds wins, so that a server's own secret store can provide any of them.
    """
    directory = directory or home()
    for name in ("logs", "run", "drop", "archive", "airflow"):
        (directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ.setdefault("CITYDATA_HOME", str(directory))
    for name, value in read_secrets(directory).items():
        os.environ.setdefault(name, value)
    return directory
