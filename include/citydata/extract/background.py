"""Work that goes on beside parsing: compressing the archive and sending rows to the database."""

import queue
import threading
from collections.abc import Callable
from types import TracebackType


class Background:
    """Hands blocks to `consume` in a thread of its own, in order, at most `depth` ahead so that memory stays bounded.

    An error of the thread is raised in the caller, at the next block or at the end of the `with` block.
    """

    def __init__(self, consume: Callable[[bytes], object], depth: int = 4) -> None:
        self._consume = consume
        self._queue: queue.Queue[bytes | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Background":
        self._thread.start()
        return self

    def put(self, block: bytes) -> None:
        """Queue one block."""
        self._raise()
        self._queue.put(block)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if kind is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (block := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self._consume(block)
                except BaseException as error:
                    self._error = error
