"""Work beside parsing: everything in order, and no error of the thread is lost."""

import pytest

from citydata.extract.background import Background


class Full:
    """A disk that is full from the third block on."""

    def __init__(self) -> None:
        self.offered: list[bytes] = []

    def write(self, block: bytes) -> None:
        """Take a block, or fail."""
        self.offered.append(block)
        if len(self.offered) == 3:
            raise OSError("no space left")


def put(disk: Full, blocks: int, then: Exception | None = None) -> None:
    """Put numbered blocks, and fail by oneself."""
    with Background(disk.write, depth=1) as background:
        for n in range(blocks):
            background.put(b"%d" % n)
        if then:
            raise then


def test_blocks_are_consumed_in_their_order_before_the_end() -> None:
    seen: list[bytes] = []
    with Background(seen.append, depth=2) as background:
        for n in range(50):
            background.put(b"%d" % n)
    assert seen == [b"%d" % n for n in range(50)]


def test_an_error_of_the_thread_is_raised_at_the_end_when_no_block_follows() -> None:
    with pytest.raises(OSError, match="no space"):
        put(Full(), 3)


def test_an_error_of_the_thread_ends_the_reading_and_blocks_nobody() -> None:
    disk, read = Full(), []

    def reading() -> None:
        with Background(disk.write, depth=1) as background:
            for n in range(1_000):
                read.append(n)
                background.put(b"%d" % n)

    with pytest.raises(OSError, match="no space"):
        reading()
    assert len(read) < 1_000
    assert len(disk.offered) == 3, "after the error nothing more is written"


def test_an_error_of_the_reader_is_the_one_that_is_told() -> None:
    with pytest.raises(KeyError, match="the reader's own"):
        put(Full(), 3, KeyError("the reader's own"))
