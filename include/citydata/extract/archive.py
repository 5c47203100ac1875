"""The bytes of every batch as received: one sealed file a batch, compressed, encrypted where the contract says so.

A file appears under its final name only when it is complete and safe where `archive_storage` keeps it. From then on
nothing of the batch can be lost.
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import IO

import pyrage
import zstandard

from citydata import settings
from citydata.contract import Contract
from citydata.extract import ContentError, SourceError, archive_storage
from citydata.extract.background import Background

CHUNK = 1 << 20
LEVEL = 1  # as fast as the disk; ledger files still shrink to a fifth


@dataclass(frozen=True)
class Sealed:
    """A complete archive: name below the archive's place, SHA-256 and size of the file."""

    path: str
    sha256: str
    bytes: int


def _identity() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.from_str(
        settings.required("CITYDATA_ARCHIVE_KEY", "the age identity that opens encrypted archives")
    )


class Writer:
    """Writes one batch's archive while it is read."""

    def __init__(self, contract: Contract, batch_id: int) -> None:
        suffix = ".zst.age" if contract.platform.encryptedArchive else ".zst"
        recipient = _identity().to_public() if contract.platform.encryptedArchive else None
        self._name = f"{contract.dataset}/{batch_id:012d}{suffix}"
        self._storage = archive_storage.storage()
        self._part = self._storage.part(self._name)
        self._file = open(self._part, "w+b")  # noqa: SIM115 - closed by seal or abandon
        os.chmod(self._part, 0o600)
        self._encryption: threading.Thread | None = None
        self._encryption_error: BaseException | None = None
        sink: IO[bytes] = self._file
        if recipient:
            reading, writing = os.pipe()
            sink = os.fdopen(writing, "wb")
            self._encryption = threading.Thread(
                target=self._encrypt, args=(os.fdopen(reading, "rb"), recipient), daemon=True
            )
            self._encryption.start()
        self._sink = sink
        self._compressed = zstandard.ZstdCompressor(level=LEVEL).stream_writer(sink, closefd=False)

    def _encrypt(self, plain: IO[bytes], recipient: pyrage.x25519.Recipient) -> None:
        try:
            pyrage.encrypt_io(plain, self._file, [recipient])
        except BaseException as error:
            self._encryption_error = error
        finally:
            plain.close()

    def tee(self, chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
        """Yield `chunks` unchanged and archive them in the background.

        When the reader stops early because the content is wrong, the rest is archived all the same.
        """
        with Background(self._compressed.write) as background:
            try:
                for chunk in chunks:
                    background.put(chunk)
                    yield chunk
            except GeneratorExit:
                for chunk in chunks:
                    background.put(chunk)
                raise

    def seal(self) -> Sealed:
        """Complete the file, bring it to safety and give it its name. Raises ArchiveUnreachable when its storage does not answer."""
        self._compressed.close()
        if self._encryption:
            self._sink.close()
            self._encryption.join()
            if self._encryption_error:
                raise self._encryption_error
        self._file.flush()
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        digest = hashlib.file_digest(self._file, "sha256").hexdigest()
        self._storage.keep(self._name, self._file, digest)
        self._file.close()
        return Sealed(self._name, digest, size)

    def abandon(self) -> None:
        """Throw away an archive that will not be complete."""
        if self._encryption:
            with contextlib.suppress(OSError):  # encryption has ended with an error of its own
                self._sink.close()
            self._encryption.join()
        self._file.close()
        self._part.unlink(missing_ok=True)


def read(path: str, sha256: str) -> Iterator[bytes]:
    """Yield the bytes of a sealed archive as they were received.

    Raises ContentError when the file is missing or not the one that was sealed, SourceError when the key does not open it,
    ArchiveUnreachable when its storage does not answer.
    """
    storage = archive_storage.storage()
    try:
        stored = storage.open(path)
    except FileNotFoundError:
        raise ContentError(f"the archive {path} is missing from {storage.place}; restore it from the backup") from None
    with stored:
        if hashlib.file_digest(stored, "sha256").hexdigest() != sha256:
            raise ContentError(f"the archive {path} is not the file that was sealed; restore it from the backup")
        stored.seek(0)
        if path.endswith(".age"):
            decryption = _Decryption(stored)
            yield from _decompressed(decryption.plain)
            decryption.finish(path)
        else:
            yield from _decompressed(stored)


def verify(path: str, sha256: str) -> None:
    """Read a sealed archive to its end. Raises as `read` does."""
    for _ in read(path, sha256):
        pass


class _Decryption:
    """Decrypts in a thread into a pipe, so that a large archive is never in memory whole."""

    def __init__(self, stored: IO[bytes]) -> None:
        reading, writing = os.pipe()
        self.plain = os.fdopen(reading, "rb")
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._decrypt, args=(stored, os.fdopen(writing, "wb"), _identity()), daemon=True
        )
        self._thread.start()

    def _decrypt(self, stored: IO[bytes], sink: IO[bytes], identity: pyrage.x25519.Identity) -> None:
        try:
            with sink:
                pyrage.decrypt_io(stored, sink, [identity])
        except BaseException as error:
            self._error = error

    def finish(self, path: str) -> None:
        """Raise what went wrong. Without it a wrong key would look like an empty file."""
        self._thread.join()
        self.plain.close()
        if self._error:
            raise SourceError(
                f"the archive {path} is not opened by CITYDATA_ARCHIVE_KEY; restore the key that was in use when it was sealed"
            ) from self._error


def _decompressed(compressed: IO[bytes]) -> Iterator[bytes]:
    with zstandard.ZstdDecompressor().stream_reader(compressed) as reader:
        while chunk := reader.read(CHUNK):
            yield chunk


def exists(path: str) -> bool:
    """Whether a sealed archive is where it was put. Raises ArchiveUnreachable when its storage does not answer."""
    return archive_storage.storage().exists(path)


def clear_unfinished(contract: Contract) -> None:
    """Remove what a killed fetch left behind. Call it only while holding the dataset's extraction lock."""
    for part in archive_storage.storage().parts(contract.dataset):
        part.unlink()
