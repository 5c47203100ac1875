"""Where sealed archives lie: a directory, or a place on object storage. What they hold is `archive`'s.

Both write beside the place first and give a file its name only when it is complete, and hand out files that can be read
twice: once for their digest, once for their content.
"""

import contextlib
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

from citydata import settings
from citydata.extract import SourceError

PART_BYTES = 8 << 20
"""Larger files go to object storage in parts of this size; so many at once are in memory."""
PARTS_AT_ONCE = 4
_TIMEOUTS = {"connect_timeout": 10, "read_timeout": 60}  # seconds


File = io.BufferedReader | io.BufferedRandom


class ArchiveUnreachable(SourceError):
    """The archive's object storage does not answer, or not as it should. Trying again may succeed."""


class Storage(Protocol):
    """What both shapes offer. `name` is `<dataset>/<file>`, as the ledger has it."""

    place: str
    """Where it is, for people."""

    def part(self, name: str) -> Path:
        """Where the file is written until it is complete."""
        ...

    def keep(self, name: str, written: File, sha256: str) -> None:
        """Bring the complete part, which `written` has open, to safety under its name.

        Raises ArchiveUnreachable when the name is taken: a batch that is read again has another number, so the file is another's.
        """
        ...

    def open(self, name: str) -> File:
        """A kept file, seekable. Raises FileNotFoundError when it is missing."""
        ...

    def exists(self, name: str) -> bool:
        """Whether a file is kept under this name."""
        ...

    def remove(self, name: str) -> None:
        """Remove a kept file."""
        ...

    def parts(self, dataset: str) -> Iterator[Path]:
        """Unfinished files of a dataset on this machine."""
        ...


def storage() -> Storage:
    """The storage that CITYDATA_ARCHIVE names."""
    place = settings.archive()
    return _Directory(place) if isinstance(place, Path) else _ObjectStorage(place)


def try_out() -> str:
    """Write, read and remove a small file; returns the place for people.

    Raises OSError or ArchiveUnreachable, which say what is not possible.
    """
    place, name, content = storage(), f".doctor-{uuid4().hex}", os.urandom(64)
    part = place.part(name)
    try:
        with open(part, "w+b") as written:
            written.write(content)
            written.flush()
            place.keep(name, written, hashlib.sha256(content).hexdigest())
    finally:
        part.unlink(missing_ok=True)
    with place.open(name) as stored:
        if stored.read() != content:
            raise ArchiveUnreachable(f"the archive {place.place} does not give back what was written to it")
    place.remove(name)
    return place.place


class _Directory:
    def __init__(self, directory: Path) -> None:
        self.place = str(directory)
        self._directory = directory

    def part(self, name: str) -> Path:
        return _part(self._directory, name)

    def keep(self, name: str, written: File, sha256: str) -> None:
        os.fsync(written.fileno())
        path = self._directory / name
        part = self.part(name)
        try:
            os.link(part, path)  # a rename would replace what is there
        except FileExistsError:
            raise _taken(name, self.place) from None
        part.unlink()
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def open(self, name: str) -> File:
        return open(self._directory / name, "rb")

    def exists(self, name: str) -> bool:
        return (self._directory / name).is_file()

    def remove(self, name: str) -> None:
        (self._directory / name).unlink()

    def parts(self, dataset: str) -> Iterator[Path]:
        return (self._directory / dataset).glob("*.part")


class _ObjectStorage:
    """Objects below a URL, in any store that fsspec knows. Credentials come from the environment.

    A store shows an object when all of it is there, so an upload that was killed leaves nothing under the name.
    """

    def __init__(self, url: str) -> None:
        if urlsplit(url).password:
            raise settings.SettingMissing(
                "CITYDATA_ARCHIVE holds a password: credentials are given in variables of their own (AWS_SECRET_ACCESS_KEY …)."
            )
        self.place = url
        self._url = url

    def part(self, name: str) -> Path:
        return _part(settings.spool_directory(), name)

    def keep(self, name: str, written: File, sha256: str) -> None:
        if self.exists(name):  # not every store can be asked to write only what is new
            raise _taken(name, self.place)
        part = self.part(name)
        size = part.stat().st_size
        with self._asked(name, "written to"):
            files, path = self._files(name)
            files.put_file(str(part), path, **self._upload_options())
            stored = files.info(path)
        # What the store tells is the content's digest, or something of its own: then the object itself is asked.
        as_sent = stored["size"] == size and (
            str(stored.get("ETag")).strip('"') == _etag(written, size) or self._digest(name) == sha256
        )
        if not as_sent:
            self.remove(name)
            raise ArchiveUnreachable(
                f"{name} did not arrive in the archive {self.place} as it was sent: {stored['size']} of {size} bytes are"
                " there, or others; it is written again with the next try"
            )
        part.unlink()

    def open(self, name: str) -> File:
        directory = settings.spool_directory()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        local = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - the caller closes it; it has no name to be left behind
        try:
            with self._asked(name, "read from"):
                files, path = self._files(name)
                with files.open(path, "rb", block_size=PART_BYTES) as stored:
                    shutil.copyfileobj(stored, local, 1 << 20)
            local.seek(0)
        except BaseException:
            local.close()
            raise
        return local

    def exists(self, name: str) -> bool:
        with self._asked(name, "looked for in"):
            files, path = self._files(name)
            try:
                files.info(path)  # not `exists` or `isfile`, to which a silent store is an empty one
            except FileNotFoundError:
                return False
            return True

    def remove(self, name: str) -> None:
        with self._asked(name, "removed from"):
            files, path = self._files(name)
            files.rm_file(path)

    def parts(self, dataset: str) -> Iterator[Path]:
        return (settings.spool_directory() / dataset).glob("*.part")

    def _digest(self, name: str) -> str:
        with self.open(name) as stored:
            return hashlib.file_digest(stored, "sha256").hexdigest()

    def _files(self, name: str) -> tuple[Any, str]:
        """The client of the store, and the object's path in it."""
        import fsspec  # noqa: PLC0415  # with its clients half a second, which a directory does not need

        options: dict[str, Any] = {"use_listings_cache": False}
        if self._speaks_s3:
            options |= {"default_block_size": PART_BYTES, "max_concurrency": PARTS_AT_ONCE, "config_kwargs": _TIMEOUTS}
        files, path = fsspec.core.url_to_fs(f"{self._url}/{name}", **options)
        return files, path

    @property
    def _speaks_s3(self) -> bool:
        return urlsplit(self._url).scheme in ("s3", "s3a")

    def _upload_options(self) -> dict[str, Any]:
        return {"chunksize": PART_BYTES, "max_concurrency": PARTS_AT_ONCE} if self._speaks_s3 else {}

    @contextlib.contextmanager
    def _asked(self, name: str, done: str) -> Iterator[None]:
        """Whatever a store's client raises means that it did not do what it was asked; a missing object is told apart."""
        try:
            yield
        except Exception as error:
            if isinstance(error, FileNotFoundError) and done == "read from":
                raise
            text = str(error).partition("\n")[0][:200]
            raise ArchiveUnreachable(
                f"{name} cannot be {done} the archive {self.place} ({type(error).__name__}: {text}); `./citydata doctor`"
                " looks at it. Nothing is lost: the step is done again when it answers."
            ) from error


def _taken(name: str, place: str) -> ArchiveUnreachable:
    return ArchiveUnreachable(
        f"the archive {name} is in {place} already and is another batch's; it was not replaced. Either the database was restored"
        " to an earlier time, or another installation has the same CITYDATA_ARCHIVE: see docs/runbooks/archive-unreachable.md"
    )


def _part(directory: Path, name: str) -> Path:
    path = directory / f"{name}.part"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _etag(content: File, size: int) -> str:
    """The ETag that S3 gives: the MD5 of the object or, of one that came in parts, of its parts' MD5s with their number."""
    content.seek(0)
    if size < 2 * PART_BYTES:  # s3fs sends so much at once
        return hashlib.file_digest(content, _md5).hexdigest()
    digests = [_md5(part).digest() for part in iter(lambda: content.read(PART_BYTES), b"")]
    return f"{_md5(b''.join(digests)).hexdigest()}-{len(digests)}"


def _md5(content: bytes = b"") -> Any:
    return hashlib.md5(content, usedforsecurity=False)
