"""Build the site: the pages of `docs/` and the generated reference are put together, and Sphinx makes HTML of them.

They meet in a directory outside the checkout, so that what is generated is never committed. Sphinx remembers there what it
has read, and a second build reads only what changed.
"""

import fcntl
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from citydata import settings
from citydata.documentation import (
    DocumentationError,
    alerts,
    commands,
    contract_keys,
    datasets,
    expectation_types,
    roles,
    tables,
)
from citydata.documentation.markdown import with_languages

DOCS = settings.ROOT / "docs"
GENERATED = (datasets, tables, commands, contract_keys, expectation_types, roles, alerts)
FILES = "files"
"""Folder of the site with the files of the repository that pages lead to."""
PORTS_TRIED = 50
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)#\s]+)")
_PROGRESS = re.compile(r"reading sources|writing output|\(.*line +\d+\)")
"""What Sphinx says of pages, and of addresses that it asks; not what it says of itself."""
_MISTAKE = re.compile(r"WARNING|ERROR|CRITICAL|\bbroken\b|[Ee]xception")
_FENCE = re.compile(r"^ {0,3}```.*?^ {0,3}```", re.MULTILINE | re.DOTALL)


def build(state: Path, output: Path | None = None, report: Callable[[str], None] = lambda line: None) -> Path:
    """Bring the site up to date and return its directory: `output`, or one in `state`, which keeps what Sphinx has read.

    Raises DocumentationError when a page has a mistake: a link that leads nowhere, a word that Sphinx does not understand.
    """
    target = output or state / "html"
    if output and output.is_dir() and any(output.iterdir()) and not (output / ".buildinfo").exists():
        raise DocumentationError(f"{target} holds other things than a site; name an empty or a new directory.")
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second build waits, and then finds everything done
        outline, known = _gather(state / "source"), state / "outline"
        if not known.exists() or known.read_text(encoding="utf-8") != outline:
            # Sphinx reads a page again when it changed, not when the page or the heading that it leads to came or went.
            shutil.rmtree(state / "read", ignore_errors=True)
        known.unlink(missing_ok=True)  # a mistake is told again until it is mended
        _sphinx("html", state, target, report)
        known.write_text(outline, encoding="utf-8")
    return target


def check_links(state: Path, report: Callable[[str], None] = lambda line: None) -> None:
    """Ask every address outside the site whether it is there. Raises DocumentationError naming those that are not."""
    _sphinx("linkcheck", state, state / "links", report)


def _sphinx(builder: str, state: Path, target: Path, report: Callable[[str], None]) -> None:
    if importlib.util.find_spec("sphinx") is None:
        raise DocumentationError(
            "The generator is not installed: it is one of requirements-test.txt, which `./citydata docs` installs in a checkout."
        )
    command = [sys.executable, "-m", "sphinx", "--builder", builder, "--conf-dir", str(DOCS), "--no-color"]
    command += ["--doctree-dir", str(state / "read"), "--nitpicky", "--fail-on-warning"]
    command += [str(state / "source"), str(target)]
    # Nothing of an installation is needed, least of all its secrets.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CITYDATA_", "AIRFLOW_"))}
    last: deque[str] = deque(maxlen=5)
    wrong: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=state
    ) as process:
        try:
            for line in process.stdout or ():
                last.append(line.rstrip())
                wrong += [last[-1]] if _MISTAKE.search(line) else []
                if _PROGRESS.match(line):
                    report(last[-1])
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        shown = "\n".join(_named(line, state / "source") for line in wrong or last)
        raise DocumentationError(f"The documentation has mistakes:\n{shown}")


def _named(line: str, source: Path) -> str:
    """What Sphinx says, about the page of `docs/` that a person can correct, or about one that is made."""
    page = line.removeprefix(f"{source}/")
    if page == line:
        return line
    return f"docs/{page}" if (DOCS / page.partition(":")[0]).exists() else f"generated {page}"


def _gather(source: Path) -> str:
    """Put every page where Sphinx reads it; one that did not change keeps its time, one that is gone is removed.

    Returns the outline: what pages can lead to, a line each.
    """
    files: dict[Path, Path] = {}
    pages = {Path(path): text for maker in GENERATED for path, text in maker.pages()}
    for path in sorted(DOCS.rglob("*.md")):
        pages[path.relative_to(DOCS)] = path.read_text(encoding="utf-8")
    for path, text in pages.items():
        linked = _outside_code(text, functools.partial(_leading_inside, path, files))
        _write(source / path, with_languages(linked).encode())
    for path, original in files.items():
        _write(source / path, original.read_bytes())
    for path in source.rglob("*"):
        if path.is_file() and path.relative_to(source) not in pages.keys() | files.keys():
            path.unlink()
    headings = (f"{path} {line}" for path in sorted(pages) for line in pages[path].splitlines() if line.startswith("#"))
    return "\n".join([*map(str, sorted(files)), *headings])


def _write(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    done, end = [], 0
    for block in _FENCE.finditer(text):
        done += [change(text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*done, change(text[end:])])


def _leading_inside(page: Path, files: dict[Path, Path], text: str) -> str:
    """The text, whose links to files of the repository lead to the site: to a contract's page, or to a copy of the file."""

    def target(link: re.Match[str]) -> str:
        path = settings.ROOT / link[1].lstrip("/") if link[1].startswith("/") else (DOCS / page).parent / link[1]
        path = Path(os.path.normpath(path))
        if path.is_relative_to(DOCS) or not path.is_file():
            return link[0]  # Sphinx knows, or complains
        if path.is_relative_to(settings.CONTRACTS) and not link[1].startswith("/"):
            return f"/reference/datasets/{path.parent.name}.{path.stem}.md"
        copy = Path(FILES) / path.relative_to(settings.ROOT)
        files[copy] = path
        return f"/{copy}"

    return _LINK.sub(target, text)


class _Handler(SimpleHTTPRequestHandler):
    """Files of the site; nothing is logged."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def serve(directory: Path, port: int) -> ThreadingHTTPServer:
    """A server of the site on this machine only, at `port` or the next free one; `serve_forever` is the caller's."""
    handler = functools.partial(_Handler, directory=str(directory))
    for candidate in _ports(port):
        try:
            return ThreadingHTTPServer(("127.0.0.1", candidate), handler)
        except OSError:
            continue
    raise DocumentationError(f"No free port from {port} to {port + PORTS_TRIED - 1}.")


def _ports(preferred: int) -> Iterator[int]:
    yield from range(preferred, min(preferred + PORTS_TRIED, 65536))
