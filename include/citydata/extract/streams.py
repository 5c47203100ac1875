"""Chunks of bytes as a file that libraries read from."""

import io
from collections.abc import Iterator


def reader(chunks: Iterator[bytes]) -> io.BufferedReader:
    """A file over `chunks`: taken as they are needed, never all at once."""
    return io.BufferedReader(_Chunks(chunks), 1 << 16)


class _Chunks(io.RawIOBase):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
