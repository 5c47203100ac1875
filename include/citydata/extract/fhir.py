"""Resources of a FHIR server by bulk export (Bulk Data Access 2 and 3, https://hl7.org/fhir/uv/bulkdata/).

An export is one job for both batches that come of it: what the server deleted, then what it has. The next one asks for what
happened since this one's `transactionTime`, which is the server's clock. The archive of a batch holds each manifest with
the files that were fetched by it, in its order.
"""

import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

import jwt
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from citydata import settings, town
from citydata.connector_options import FhirConnector
from citydata.contract import Contract
from citydata.extract import (
    Block,
    Candidate,
    ContentError,
    Fetch,
    Position,
    Refused,
    SourceError,
    answers,
    fhir_path,
)
from citydata.extract.web import Answer, Session, Unfit, retry_after
from citydata.privacy import identity_code

FHIR_JSON, FHIR_NDJSON = "application/fhir+json", "application/fhir+ndjson"
BLOCK_ROWS = 5_000
SHOWN = 1_000
"""Bytes of a line that is too long which are kept with its refusal."""
TOKEN_MARGIN = 60.0
"""Seconds before its end at which a token is not used any more: a request may be asked again for a while."""
SHORTEST_PAUSE = 0.05
# After these the data of an export is not complete (FHIR R4 value set issue-severity).
FATAL, ERROR = "fatal", "error"

log = logging.getLogger(__name__)


# -- the export ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Export:
    """A finished job: its manifests in their order, and where its files are."""

    server: "_Server"
    manifests: tuple[Answer, ...]
    files: str
    """Which list of the manifests a batch is made of: output or deleted."""
    window: bool


def candidates(contract: Contract, position: Position) -> Iterator[Candidate]:
    """Let the server export everything, or what happened since the last export; what it deleted comes before what it has.

    The job is deleted when both have been fetched, or when anything went wrong. Raises SourceError when the server refuses
    the export, does not finish it before the contract's deadline, or turned its clock back.
    """
    options = _options(contract)
    server = _Server(contract.dataset, options)
    since = position.window[0].isoformat() if position.window else position.watermark
    until = position.window[1].isoformat() if position.window else None
    job = server.kick_off(since, until)
    try:
        manifests = server.wait(job)
        at = min(map(_transaction_time, manifests))
        if position.watermark and at < _moment(position.watermark):
            raise SourceError(
                f"the clock of “{options.connection}” went back: this export is of {at.isoformat()}, the one before of {since}"
            )
        source = {"server_time": at.isoformat(), "since": since} | ({"until": until} if until else {})
        if any(_files(manifest.json(), "deleted", options) for manifest in manifests):
            place = _Export(server, manifests, "deleted", bool(position.window))
            yield Candidate(at, kind="deletions", place=place, source=source)
        place = _Export(server, manifests, "output", bool(position.window))
        yield Candidate(at, watermark_from=since, place=place, source=source)
    finally:
        server.forget(job)


def _options(contract: Contract) -> FhirConnector:
    options = contract.platform.connector
    assert isinstance(options, FhirConnector)
    return options


def _moment(text: Any) -> datetime:
    """A FHIR instant. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    if moment is None or moment.tzinfo is None:
        raise ValueError("not an instant")
    return moment.astimezone(UTC)


def _transaction_time(manifest: Answer) -> datetime:
    return _moment(manifest.json()["transactionTime"])


def _check_manifest(answer: Answer) -> None:
    """Raise Unfit for an answer that is no manifest: a server's or proxy's page, an OperationOutcome with status 200."""
    if answer.status == 200 and not _is_manifest(answer.json()):
        raise Unfit("the answer is not the manifest of an export")


def _is_manifest(document: Any) -> bool:
    """Whether a JSON document says of which moment an export is and where its files are, with the types of the resources."""
    try:
        _moment(document["transactionTime"])
        others = [entry for name in ("deleted", "error", "outcome") for entry in document.get(name) or []]
        return (
            isinstance(document["output"], list)
            and all(
                isinstance(entry["url"], str) and isinstance(entry.get("type", ""), str)
                for entry in [*document["output"], *others]
            )
            and all("type" in entry for entry in document["output"])
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def _files(manifest: Mapping[str, Any], name: str, options: FhirConnector) -> list[dict[str, Any]]:
    """The files of one list of a manifest that this dataset is read from; a server may export more than it was asked for."""
    files: list[dict[str, Any]] = manifest.get(name) or []
    return [entry for entry in files if name != "output" or entry["type"] == options.resource]


class _Server:
    """One FHIR server, with the token that it wants."""

    def __init__(self, dataset: str, options: FhirConnector) -> None:
        self.options = options
        self._session = Session(dataset, options)
        self._token = ""
        self._token_ends = 0.0

    def send(
        self,
        method: str,
        where: str,
        params: Mapping[str, str] | None = None,
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
        statuses: tuple[int, ...] = (200,),
        check: Callable[[Answer], None] | None = None,
        authorised: bool = True,
    ) -> Answer:
        """Send a request, with a token where the contract names a client and the request is `authorised` by one."""
        sent = dict(headers or {})
        if authorised and self.options.client_id:
            sent["Authorization"] = f"Bearer {self._valid_token()}"
        return self._session.send(method, where, params, accept=accept, headers=sent, statuses=statuses, check=check)

    def kick_off(self, since: str | None, until: str | None) -> str:
        """Start an export; returns the address at which it is asked for."""
        asked = {"_type": self.options.resource, "_outputFormat": FHIR_NDJSON}
        asked |= {name: value for name, value in (("_since", since), ("_until", until)) if value}
        if self.options.partial_manifests:
            asked["allowPartialManifests"] = "true"
        # What only version 3 knows may be ignored: more comes than was asked for, or all at the end.
        lenient = ", handling=lenient" if until or self.options.partial_manifests else ""

        def accepted(answer: Answer) -> None:
            if answer.status != 202 or "Content-Location" not in answer.headers:
                raise Unfit("the server did not accept the export")

        answer = self.send(
            "GET", self.options.export, asked, accept=FHIR_JSON, headers={"Prefer": f"respond-async{lenient}"},
            statuses=(200, 202), check=accepted,
        )  # fmt: skip
        return urljoin(answer.url, answer.headers["Content-Location"])

    def wait(self, job: str) -> tuple[Answer, ...]:
        """The manifests of an export, when it has ended. Raises SourceError when the contract's deadline passes before."""
        deadline = time.monotonic() + self.options.deadline_minutes * 60
        manifests: list[Answer] = []
        where: str | None = job
        while where:
            answer = self.send("GET", where, accept="application/json", statuses=(200, 202), check=_check_manifest)
            if answer.status == 200:
                manifests.append(answer)
                links = answer.json().get("link") or []
                following = next((link["url"] for link in links if link.get("relation") == "next"), None)
                where = urljoin(answer.url, following) if following else None
                continue
            pause = retry_after(answer.headers.get("Retry-After"))
            pause = max(self.options.poll_seconds if pause is None else pause, SHORTEST_PAUSE)
            if time.monotonic() + pause > deadline:
                raise SourceError(
                    f"“{self.options.connection}” did not finish the export in {self.options.deadline_minutes:g} minutes"
                    " (deadline_minutes of the contract)"
                )
            progress = identity_code.mask(answer.headers.get("X-Progress", "in progress"), all_alike=True)
            log.info("export of %s: %s; asking again in %.0f s", self.options.resource, progress[:80], pause)
            time.sleep(pause)
        return tuple(manifests)

    def forget(self, job: str) -> None:
        """Tell the server that the job and its files are not needed any more. It forgets them by itself too, later."""
        try:
            self.send("DELETE", job, accept=FHIR_JSON, statuses=(200, 202, 204, 404, 410))
        except SourceError as error:
            log.warning("the export stays on the server until it expires: %s", error)

    def file(self, entry: Mapping[str, Any], manifest: Answer) -> Answer:
        """Fetch one file of a manifest whole: with as many resources as the manifest counts."""
        count = entry.get("count")

        def whole(answer: Answer) -> None:
            if "html" in answer.content_type:
                raise Unfit("a page came in place of the file")
            rows = _count(answer)
            if isinstance(count, int) and rows != count:
                raise Unfit(f"the file has {rows} resources where the manifest says {count}")

        return self.send(
            "GET", urljoin(manifest.url, entry["url"]), accept=FHIR_NDJSON, check=whole,
            authorised=bool(manifest.json().get("requiresAccessToken")),
        )  # fmt: skip

    # -- SMART Backend Services (https://hl7.org/fhir/smart-app-launch/backend-services.html) ----------------------

    def _valid_token(self) -> str:
        if time.monotonic() > self._token_ends - TOKEN_MARGIN:
            asked_at = time.monotonic()
            granted = self._granted()
            self._token = str(granted["access_token"])
            # A server that gives shorter tokens than the margin is asked each time.
            self._token_ends = asked_at + float(granted.get("expires_in", 0))
        return self._token

    def _granted(self) -> dict[str, Any]:
        def configured(answer: Answer) -> None:
            if not isinstance(answer.json(), dict) or not isinstance(answer.json().get("token_endpoint"), str):
                raise Unfit("the server's smart-configuration names no token_endpoint")

        def granted(answer: Answer) -> None:
            if not isinstance(answer.json(), dict) or not answer.json().get("access_token"):
                raise Unfit("the answer holds no token")

        known = self._session.get(".well-known/smart-configuration", accept="application/json", check=configured).json()
        endpoint: str = known["token_endpoint"]
        first_version = (
            "permission-v1" in known.get("capabilities", []) and "permission-v2" not in known["capabilities"]
        )
        scope = f"system/{self.options.resource}.{'read' if first_version else 'rs'}"
        form = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        }
        answer = self._session.send(
            "POST", endpoint, data=lambda: {**form, "client_assertion": self._assertion(endpoint)},
            accept="application/json", check=granted,
        )  # fmt: skip
        token: dict[str, Any] = answer.json()
        return token

    def _assertion(self, endpoint: str) -> str:
        """A statement, good for one request within five minutes, that this client asks, signed by its key."""
        name = f"CITYDATA_SOURCE_{self.options.connection.upper()}_KEY"
        text = settings.required(name, f"the private key (PEM) of the client “{self.options.client_id}”")
        try:
            # Where a variable is one line, its line ends are written as \n.
            key = load_pem_private_key(text.replace("\\n", "\n").encode(), None)
        except (ValueError, TypeError):
            raise settings.SettingMissing(f"{name} is not a private key in PEM without a passphrase") from None
        if isinstance(key, rsa.RSAPrivateKey):
            algorithm = "RS384"
        elif isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1):
            algorithm = "ES384"
        else:
            raise settings.SettingMissing(f"{name} must be an RSA key or a key of the curve P-384")
        client = self.options.client_id
        claims = {
            "iss": client,
            "sub": client,
            "aud": endpoint,
            "exp": int(time.time()) + 240,
            "jti": str(uuid.uuid4()),
        }
        header = {"kid": self.options.key_id} if self.options.key_id else None
        return jwt.encode(claims, key, algorithm, headers=header)


# -- fetching --------------------------------------------------------------------------------------------------------


def fetch(contract: Contract, candidate: Candidate) -> Fetch:
    """Open an export's files. `watermark` is its transactionTime, unless the server could not export everything."""
    result = Fetch(iter(()), dict(candidate.source))
    result.chunks = _chunks(candidate.place, candidate.kind == "load", result)
    return result


def _chunks(export: _Export, load: bool, result: Fetch) -> Iterator[bytes]:
    server, options = export.server, export.server.options
    reports = []
    if load:  # what the server could not do decides first whether its files are worth fetching
        for manifest in export.manifests:
            for name in ("error", "outcome"):
                reports += [server.file(entry, manifest) for entry in _files(manifest.json(), name, options)]
        issues = _issues(reports)
        if issues:
            result.source["issues"] = issues
        fatal = sum(count for issue, count in issues.items() if issue.startswith(FATAL))
        if fatal:
            raise SourceError(f"“{options.connection}” could not export: {_told(issues)}")
    rows = 0
    for manifest in export.manifests:
        yield from answers.record(manifest)
        for entry in _files(manifest.json(), export.files, options):
            answer = server.file(entry, manifest)
            rows += _count(answer)
            yield from answers.record(answer)
    for report in reports:
        yield from answers.record(report)
    result.source["lines"] = rows
    if not load:
        return
    if any(issue.startswith(ERROR) for issue in issues):
        # The next export begins where this one did: what is missing today is asked for again.
        log.warning("%s: not everything was exported: %s", options.resource, _told(issues))
    elif not export.window:
        first = min(export.manifests, key=_transaction_time)
        result.watermark = str(first.json()["transactionTime"])


def _told(issues: Mapping[str, int]) -> str:
    return ", ".join(f"{count} × {issue}" for issue, count in issues.items())


def _issues(reports: list[Answer]) -> dict[str, int]:
    """How many issues of each severity and code a server tells of. Their texts may name people and are left in the archive."""
    found: dict[str, int] = {}
    for report in reports:
        for line in _whole_lines(report):
            try:
                issues = [(str(one["severity"]), str(one["code"])) for one in json.loads(line)["issue"]]
            except (ValueError, KeyError, TypeError):
                issues = [(ERROR, "unreadable")]
            for severity, code in issues:
                known = severity if severity in (FATAL, ERROR, "warning", "information") else ERROR
                name = f"{known} {code if re.fullmatch('[a-z-]{1,40}', code) else 'unknown'}"
                found[name] = found.get(name, 0) + 1
    return found


def _whole_lines(answer: Answer) -> Iterator[bytes]:
    return (line for line in answer.open() if line.strip())


def _count(answer: Answer) -> int:
    return sum(1 for _ in _whole_lines(answer))


# -- parsing ---------------------------------------------------------------------------------------------------------


def parse(contract: Contract, chunks: Iterator[bytes], columns: list[str]) -> Iterator[Block]:
    """Rows of an archived batch: one for each resource, or, with only the key's column, for each resource that was deleted.

    Raises ContentError when the archive is not the manifests and files of an export.
    """
    options = _options(contract)
    key = next(column for column in contract.columns if column.key)
    deletions = columns == [key.source_name]
    rows: _Rows = _Deletions(options, key.name) if deletions else _Resources(contract, options, columns)
    manifests = waiting = 0
    for answer in answers.read(chunks):
        if waiting:
            waiting -= 1
            for line in _lines(answer.chunks, options.max_line_bytes):
                yield from rows.take(line)
        elif _is_manifest(content := _document(answer)):
            manifests += 1
            waiting = len(_files(content, "deleted" if deletions else "output", options))
        # else a report of what was not exported, which follows the last file
    if waiting or not manifests:
        raise ContentError("the archive is not a whole export: manifests and the files that they name")
    yield rows.block()


def _document(answer: answers.Archived) -> Any:
    """The answer as JSON; None when it is none."""
    body = b"".join(answer.chunks)
    try:
        return json.loads(body)
    except ValueError:
        return None


@dataclass(frozen=True)
class _Line:
    """A line that is not empty; of one that was too long only the beginning."""

    text: bytes
    too_long: bool = False


def _lines(chunks: Iterator[bytes], most: int) -> Iterator[_Line]:
    """The lines of a file that are not empty, in bounded memory."""
    pending = bytearray()
    too_long = False

    def line(text: bytes) -> Iterator[_Line]:
        text = text.removesuffix(b"\r")
        if too_long or len(text) > most:
            yield _Line(text[:SHOWN], too_long=True)
        elif text.strip():
            yield _Line(text)

    for chunk in chunks:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            yield from line(bytes(pending) + chunk[start:end])
            pending.clear()
            too_long = False
            start = end + 1
        pending += chunk[start:]
        if len(pending) > most:
            too_long = True
            del pending[SHOWN:]
    if pending:
        yield from line(bytes(pending))


class _Rows:
    """Rows and refusals on their way into a block. A row's number is that of its line among those that are not empty."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._number = 0
        self._clear()

    def _clear(self) -> None:
        self._values: list[list[str | None]] = []
        self._numbers: list[int] = []
        self._refused: list[Refused] = []

    def take(self, line: _Line) -> Iterator[Block]:
        """Read a line; yields a block when there are enough rows."""
        if line.too_long:
            self.refuse("line_length", line.text)
        else:
            try:
                self.read(_resource(line.text), line.text)
            except fhir_path.ValueProblem as problem:
                self.refuse(problem.rule, line.text)
        if len(self._numbers) + len(self._refused) >= BLOCK_ROWS:
            yield self.block()

    def read(self, resource: dict[str, Any], text: bytes) -> None:
        """Turn one resource into rows. Raises ValueProblem when it cannot be."""
        raise NotImplementedError

    def add(self, values: list[str | None]) -> None:
        self._number += 1
        self._numbers.append(self._number)
        self._values.append(values)

    def refuse(self, rule: str, text: bytes) -> None:
        self._number += 1
        self._refused.append(Refused(self._number, rule, text.decode("utf-8", "replace").replace("\0", "␀")))

    def block(self) -> Block:
        """What was read since the last block."""
        columns = zip(*self._values, strict=True) if self._values else ([] for _ in self._names)
        arrays = {name: pa.array(column, pa.string()) for name, column in zip(self._names, columns, strict=True)}
        block = Block(pa.RecordBatch.from_pydict(arrays), pa.array(self._numbers, pa.int64()), self._refused)
        self._clear()
        return block


class _Resources(_Rows):
    """One row for each resource of the contract's type."""

    def __init__(self, contract: Contract, options: FhirConnector, columns: list[str]) -> None:
        zone = town.load().time_zone
        wanted = [column for column in contract.columns if column.source_name in columns]
        super().__init__([column.name for column in wanted])
        self._resource = options.resource
        self._paths = [(fhir_path.compiled(column.source_name, zone), column.type == "timestamp") for column in wanted]

    def read(self, resource: dict[str, Any], text: bytes) -> None:
        if resource.get("resourceType") != self._resource:
            raise fhir_path.ValueProblem("resource_type")
        if not isinstance(resource.get("id"), str) or not fhir_path.ID.fullmatch(resource["id"]):
            raise fhir_path.ValueProblem("resource_id")
        values = []
        for path, is_moment in self._paths:
            value = path.value(resource)
            values.append(fhir_path.instant(value) if is_moment and value is not None else value)
        self.add(values)


class _Deletions(_Rows):
    """One row for each DELETE in the transactions of a file of deletions; of other types than the contract's none."""

    def __init__(self, options: FhirConnector, key: str) -> None:
        super().__init__([key])
        self._resource = options.resource

    def read(self, resource: dict[str, Any], text: bytes) -> None:
        entries = resource.get("entry", [])
        if resource.get("resourceType") != "Bundle" or not isinstance(entries, list):
            raise fhir_path.ValueProblem("resource_type")
        for entry in entries:
            request = entry.get("request") if isinstance(entry, dict) else None
            try:
                if not isinstance(request, dict) or request.get("method") != "DELETE":
                    raise fhir_path.ValueProblem("deletion")
                key = fhir_path.reference_id(self._resource, str(request.get("url")))
            except fhir_path.ValueProblem:
                self.refuse("deletion", json.dumps(entry, ensure_ascii=True).encode())
                continue
            if key is not None:
                self.add([key])


def _resource(line: bytes) -> dict[str, Any]:
    """A line as JSON, numbers as they are written. Raises ValueProblem for what is not one object with each name once."""
    try:
        text = line.decode("utf-8-sig")
        resource = json.loads(
            text, parse_float=str, parse_int=str, parse_constant=_no_constant, object_pairs_hook=_unique
        )
        if "\\u" in text:
            json.dumps(resource, ensure_ascii=False).encode()  # half of a surrogate pair is no character
    except (ValueError, RecursionError):
        raise fhir_path.ValueProblem("json") from None
    if not isinstance(resource, dict):
        raise fhir_path.ValueProblem("json")
    return resource


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name occurs twice")
    return made
