"""The portal's pages as files, for an ordinary web server or a folder."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from citydata.portal import pages

SITE_MARK = "style.css"
"""A file that every site has: a folder with other content that lacks it is not replaced."""


class SiteError(RuntimeError):
    """The site cannot be written there; the text says why and what to do."""


def write(connection: psycopg.Connection, directory: Path) -> int:
    """Write all pages in all languages in place of what is in `directory`; returns how many.

    They are written aside and then swapped, so readers find the old pages or the new ones, and none that is gone.
    The connection must not be within a transaction: all pages are read in one.

    Raises:
        SiteError: `directory` holds something that is no site.
    """
    directory = directory.resolve()
    directory.parent.mkdir(parents=True, exist_ok=True)
    before = directory.with_name(f".{directory.name}.before")
    with directory.with_name(f".{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if before.exists() and not directory.exists():
            before.rename(directory)  # the last writer was killed between its two renames
        if directory.exists() and any(directory.iterdir()) and not (directory / SITE_MARK).exists():
            raise SiteError(
                f"{directory} holds files that are no site of the portal; name another directory or empty it"
            )
        aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            count = 0
            for path, text in _files(connection):
                target = aside / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
                count += path.endswith(".html")
            aside.chmod(0o755)
            shutil.rmtree(before, ignore_errors=True)
            if directory.exists():
                directory.rename(before)
            aside.rename(directory)
            shutil.rmtree(before, ignore_errors=True)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return count


def _files(connection: psycopg.Connection) -> Iterator[tuple[str, str]]:
    isolation, read_only = connection.isolation_level, connection.read_only
    connection.isolation_level, connection.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
    try:
        with connection.transaction():
            yield from _pages(connection)
    finally:
        connection.isolation_level, connection.read_only = isolation, read_only
    yield SITE_MARK, pages.STYLE.read_text(encoding="utf-8")


def _pages(connection: psycopg.Connection) -> Iterator[tuple[str, str]]:
    sealed = pages.read(connection, datetime.now(UTC))
    yield "index.html", pages.first_page(sealed.figure if sealed else None)
    for page in pages.PAGES:
        data = pages.data(connection, page, sealed) if sealed else {"figure": None}
        for language in pages.languages():
            yield pages.address(page, language), pages.render(page if sealed else "empty", language, data)
    if sealed is None:
        return
    for entry in sealed.judged:
        data = pages.data(connection, "dataset", sealed, entry)
        for language in pages.languages():
            yield pages.address("dataset", language, entry.dataset), pages.render("dataset", language, data)
