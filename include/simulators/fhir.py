"""A FHIR R4 server of the wellbeing services county: bulk export, search, read, and tokens for registered systems.

Bulk Data Access 2.0 (https://hl7.org/fhir/uv/bulkdata/) with what version 3 adds (`_until`, partial manifests), SMART
Backend Services for its clients. Clients are registered in the environment as JSON (`SIMULATORS_FHIR_CLIENTS`, client id →
public key in PEM), as a server's administrator does; without any, everybody may read. `SIMULATORS_FHIR_SIGNED_FILES=1`
gives out files by signed address, which want no token and bear none, as object stores do.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import inspect
import json
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlencode

import jwt
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from simulators import Town, TownNow, random_for
from simulators.care import Records, Resource, Version, instant, records_of

TYPES = ("Encounter", "Patient")
RECORDED = {"Encounter": "social_health.encounters", "Patient": "social_health.patients"}
FHIR_JSON, FHIR_NDJSON = "application/fhir+json", "application/fhir+ndjson"
FORMATS = ("application/fhir+ndjson", "application/ndjson", "ndjson")
FILE_ROWS = 2000
POLLS = 1
"""How often a job is not ready yet."""
RETRY_AFTER = 1
TOKEN_SECONDS = 300
KEPT = 50
"""Jobs and result pages that the server remembers; older ones are gone."""
KICK_OFF_PARAMETERS = {"_outputFormat", "_since", "_until", "_type", "allowPartialManifests"}
_PREFIXES: dict[str, Callable[[datetime, datetime], bool]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b, "le": lambda a, b: a <= b,
}  # fmt: skip


class Problem(Exception):
    """A request that is answered with an OperationOutcome."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


@dataclass
class _Job:
    """An export: what it was asked for and what the server held then. Its files are written when they are fetched."""

    request: str
    records: Records
    recorded: dict[str, list[bytes]]
    types: tuple[str, ...]
    since: datetime | None
    until: datetime
    partial: bool
    seed: int
    waits: int = field(default_factory=lambda: POLLS)

    def files(self) -> dict[str, list[bytes]]:
        """Lines of each file by its name; resources of a type are in several files and in no order."""
        named: dict[str, list[bytes]] = {}
        for kind in self.types:
            lines = self._lines(kind)
            parts = max(2, -(-len(lines) // FILE_ROWS)) if len(lines) > 1 else len(lines)
            for part in range(parts):
                named[f"{kind}.{part + 1}"] = lines[part::parts]
        return named

    def _lines(self, kind: str) -> list[bytes]:
        if kind in self.recorded:
            return [line for line in self.recorded[kind] if self.since is None or _changed_after(line, self.since)]
        rng = random_for(self.seed, "export", kind, self.until)
        lines = []
        for versions in self.records.resources[kind].values():
            newest = versions[-1]
            if newest.resource is None or not self._inside(newest):
                continue
            lines.append(_line(newest.resource))
            # Resources may repeat: as they are, or as they were.
            if rng.random() < 0.01:
                lines.append(_line(newest.resource))
            if len(versions) > 1 and (before := versions[-2].resource) and rng.random() < 0.2:
                lines.append(_line(before))
        rng.shuffle(lines)
        return lines

    def _inside(self, version: Version) -> bool:
        return (self.since is None or version.updated_at > self.since) and version.updated_at <= self.until

    def deleted(self) -> list[Resource]:
        """Transactions that delete what was deleted since: of each type on its own, a few entries each."""
        if self.since is None:
            return []
        bundles = []
        for kind in (kind for kind in self.types if kind not in self.recorded):
            gone = [
                {"request": {"method": "DELETE", "url": f"{kind}/{key}"}}
                for key, versions in self.records.resources[kind].items()
                if versions[-1].resource is None and self._inside(versions[-1])
            ]
            bundles += [
                {"resourceType": "Bundle", "type": "transaction", "entry": gone[start : start + 3]}
                for start in range(0, len(gone), 3)
            ]
        return bundles

    def outcomes(self) -> list[Resource]:
        """What the server has to say about the export."""
        return [outcome("information", "informational", "Resources of confidential units are not exported.")]


def outcome(severity: str, code: str, text: str) -> Resource:
    """An OperationOutcome with one issue."""
    issue = {"severity": severity, "code": code, "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def _line(resource: Resource) -> bytes:
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _changed_after(line: bytes, since: datetime) -> bool:
    """Of a recorded line that does not say when it changed, nobody knows that it did not."""
    resource = _parsed(line)
    changed = resource.get("meta", {}).get("lastUpdated") if isinstance(resource, dict) else None
    try:
        return datetime.fromisoformat(str(changed)) > since
    except (TypeError, ValueError):
        return True


def _moment(text: str, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(400, "value", f"{name} is not an instant") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


class _Server:
    """The state of one server: jobs, result pages, tokens."""

    def __init__(self, town: TownNow) -> None:
        self._town = town
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._pages: OrderedDict[str, list[str]] = OrderedDict()
        self._tokens: dict[str, float] = {}
        self._seen: set[str] = set()
        self._secret = secrets.token_bytes(16)

    # -- who may read ----------------------------------------------------------------------------------------------

    @property
    def clients(self) -> dict[str, str]:
        registered: dict[str, str] = json.loads(os.environ.get("SIMULATORS_FHIR_CLIENTS", "{}"))
        return registered

    @property
    def signed_files(self) -> bool:
        return os.environ.get("SIMULATORS_FHIR_SIGNED_FILES") == "1"

    def configuration(self, request: Request) -> Response:
        if not self.clients:
            raise Problem(404, "not-found", "this server asks for no token")
        base = _base(request)
        return JSONResponse(
            {
                "token_endpoint": f"{base}/auth/token",
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
                "scopes_supported": ["system/*.rs"],
                "capabilities": ["client-confidential-asymmetric", "permission-v2"],
            }
        )

    async def token(self, request: Request) -> Response:
        """Check a client's assertion (SMART App Launch 2.2, Backend Services) and give a token of at most five minutes."""
        form = await request.form()
        try:
            self._check_assertion(form, f"{_base(request)}/auth/token")
        except (jwt.PyJWTError, KeyError, ValueError) as error:
            return JSONResponse({"error": "invalid_client", "error_description": type(error).__name__}, 401)
        granted = [
            scope for scope in str(form.get("scope", "")).split() if re.fullmatch(r"system/(\*|[A-Z]\w+)\.r?s?", scope)
        ]
        if not granted:
            return JSONResponse({"error": "invalid_scope"}, 400)
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = time.monotonic() + TOKEN_SECONDS
        answer = {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": " ".join(granted),
        }
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    def _check_assertion(self, form: Mapping[str, Any], audience: str) -> None:
        if form["grant_type"] != "client_credentials":
            raise ValueError("grant_type")
        if form["client_assertion_type"] != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            raise ValueError("client_assertion_type")
        assertion = str(form["client_assertion"])
        client = jwt.decode(assertion, options={"verify_signature": False})["iss"]
        claims = jwt.decode(
            assertion, self.clients[client], algorithms=["RS384", "ES384"], audience=audience, leeway=30,
            options={"require": ["iss", "sub", "aud", "exp", "jti"]},
        )  # fmt: skip
        with self._lock:
            if claims["sub"] != client or claims["exp"] > time.time() + 330 or claims["jti"] in self._seen:
                raise ValueError("claims")
            self._seen.add(claims["jti"])

    def admit(self, request: Request) -> None:
        """Refuse a request without a valid token, where clients are registered."""
        if not self.clients:
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self._tokens.get(token, 0) < time.monotonic():
            raise Problem(401, "login", "a valid token is needed")

    def _signature(self, path: str) -> str:
        return hmac.digest(self._secret, path.encode(), hashlib.sha256).hex()[:32]

    # -- bulk export -----------------------------------------------------------------------------------------------

    async def kick_off(self, request: Request) -> Response:
        self.admit(request)
        given = await _parameters(request)
        prefer = request.headers.get("prefer", "")
        if "respond-async" not in prefer:
            raise Problem(400, "required", "an export is asynchronous: Prefer: respond-async")
        unknown = sorted(given.keys() - KICK_OFF_PARAMETERS)
        if unknown and "handling=lenient" not in prefer:
            raise Problem(400, "not-supported", f"{unknown[0]} is not supported")
        if given.get("_outputFormat", FHIR_NDJSON) not in FORMATS:
            raise Problem(400, "not-supported", "only NDJSON is exported")
        types = tuple(given["_type"].split(",")) if given.get("_type") else TYPES
        if other := sorted(set(types) - set(TYPES)):
            raise Problem(400, "not-supported", f"resources of type {other[0]} are not exported")
        town = self._town()
        records = records_of(town.seed, town.scale, town.day)
        since = _moment(given["_since"], "_since") if given.get("_since") else None
        until = min(records.at, _moment(given["_until"], "_until")) if given.get("_until") else records.at
        job = _Job(
            request=str(request.url), records=records, recorded=_recorded(town, types), types=types, since=since,
            until=until, partial=given.get("allowPartialManifests") == "true", seed=town.seed,
        )  # fmt: skip
        name = secrets.token_hex(8)
        with self._lock:
            _remember(self._jobs, name, job)
        return Response(status_code=202, headers={"Content-Location": f"{_base(request)}/bulk/{name}"})

    def _job(self, name: str) -> _Job:
        with self._lock:
            if name not in self._jobs:
                raise Problem(404, "not-found", "there is no such export")
            return self._jobs[name]

    def status(self, request: Request) -> Response:
        self.admit(request)
        name = request.path_params["job"]
        job = self._job(name)
        if request.method == "DELETE":
            with self._lock:
                self._jobs.pop(name, None)
            return Response(status_code=202)
        with self._lock:
            if job.waits > 0:
                job.waits -= 1
                done = 100 * (POLLS - job.waits) // (POLLS + 1)
                headers = {"X-Progress": f"{done} % complete", "Retry-After": str(RETRY_AFTER)}
                return Response(status_code=202, headers=headers)
        page = int(request.query_params.get("page", 1))
        return JSONResponse(
            self._manifest(request, name, job, page), headers={"Expires": "Thu, 31 Dec 2026 00:00:00 GMT"}
        )

    def _manifest(self, request: Request, name: str, job: _Job, page: int) -> dict[str, Any]:
        def entry(kind: str, file: str, lines: int | None = None) -> dict[str, Any]:
            address = f"{_base(request)}/bulk/{name}/{file}.ndjson"
            if self.signed_files:
                address += "?" + urlencode({"signature": self._signature(f"{name}/{file}")})
            return {"type": kind, "url": address} | ({} if lines is None else {"count": lines})

        # A recorded file is sent as it is; how many resources it should have, nobody knows.
        output = [
            entry(file.partition(".")[0], file, None if file.partition(".")[0] in job.recorded else len(lines))
            for file, lines in job.files().items()
        ]
        manifest = {
            "transactionTime": instant(job.records.at),
            "request": job.request,
            "requiresAccessToken": bool(self.clients) and not self.signed_files,
            "output": output,
            "deleted": [entry("Bundle", "deleted", len(job.deleted()))] if job.deleted() else [],
            "error": [entry("OperationOutcome", "error", len(job.outcomes()))] if job.outcomes() else [],
        }
        if not job.partial:
            return manifest
        manifest["output"] = output[page - 1 : page]
        if page > 1:
            manifest |= {"deleted": [], "error": []}
        if page < len(output):
            manifest["link"] = [{"relation": "next", "url": f"{_base(request)}/bulk/{name}?page={page + 1}"}]
        return manifest

    def file(self, request: Request) -> Response:
        name, file = request.path_params["job"], request.path_params["file"]
        if not self.signed_files:
            self.admit(request)
        elif "authorization" in request.headers:
            raise Problem(400, "invalid", "only one authentication at a time")
        elif request.query_params.get("signature") != self._signature(f"{name}/{file}"):
            raise Problem(403, "forbidden", "the signature is not right")
        job = self._job(name)
        lines = {
            **job.files(),
            "deleted": [_line(one) for one in job.deleted()],
            "error": [_line(one) for one in job.outcomes()],
        }.get(file)
        if lines is None:
            raise Problem(404, "not-found", "there is no such file")
        # Some writers end the last line, some leave an empty one.
        body = b"\n".join(lines) + random_for(job.seed, "last line", file).choice((b"", b"\n", b"\n\n"))
        headers = {"Content-Type": FHIR_NDJSON}
        if "gzip" in request.headers.get("accept-encoding", ""):
            body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        return Response(body, headers=headers)

    # -- search and read -------------------------------------------------------------------------------------------

    def _held(self, kind: str) -> dict[str, Resource | None]:
        """What there is of a type by id; None for what was deleted."""
        if kind not in TYPES:
            raise Problem(404, "not-supported", f"this server has no resources of type {kind}")
        town = self._town()
        if lines := _recorded(town, (kind,)).get(kind):
            read = [one for one in map(_parsed, lines) if isinstance(one, dict) and one.get("resourceType") == kind]
            return {one["id"]: one for one in read if "id" in one}
        records = records_of(town.seed, town.scale, town.day)
        return {key: versions[-1].resource for key, versions in records.resources[kind].items()}

    def read(self, request: Request) -> Response:
        self.admit(request)
        held, key = self._held(request.path_params["kind"]), request.path_params["key"]
        if key not in held:
            raise Problem(404, "not-found", "there is no such resource")
        resource = held[key]
        if resource is None:
            raise Problem(410, "deleted", "the resource was deleted")
        return JSONResponse(resource, media_type=FHIR_JSON)

    async def search(self, request: Request) -> Response:
        """Search by `_id`, `_lastUpdated`, `status`, `subject`; pages are addresses that a client follows as they are."""
        self.admit(request)
        kind = request.path_params["kind"]
        held = {key: one for key, one in self._held(kind).items() if one is not None}
        given = [(key, value) for key, value in request.query_params.multi_items()]
        if request.method == "POST":
            given += [(key, str(value)) for key, value in (await request.form()).multi_items()]
        page = dict(given).get("_page")
        if page:
            return self._page(request, kind, held, page)
        wanted = [one for one in held.values() if all(_fits(one, key, value) for key, value in given)]
        _sort(wanted, dict(given).get("_sort", "_id"))
        size = dict(given).get("_count", "50")
        if dict(given).get("_summary") == "count" or size == "0":
            return _bundle(request, total=len(wanted), entries=None, links={})
        if not re.fullmatch(r"[1-9]\d{0,2}", size):
            raise Problem(400, "value", "_count is a number below 1000")
        name = secrets.token_urlsafe(8)
        with self._lock:
            _remember(self._pages, name, [one["id"] for one in wanted])
        return self._page(request, kind, held, f"{name}.0.{size}", total=len(wanted))

    def _page(
        self, request: Request, kind: str, held: Mapping[str, Resource], page: str, total: int | None = None
    ) -> Response:
        name, _, rest = page.partition(".")
        start, _, size = rest.partition(".")
        with self._lock:
            found = self._pages.get(name)
        if found is None or not start.isdigit() or not size.isdigit():
            raise Problem(410, "expired", "these results are gone; search again")
        first, last = int(start), int(start) + int(size)
        links = {"self": str(request.url)}
        if last < len(found):
            links["next"] = f"{_base(request)}/{kind}?_page={name}.{last}.{size}"
        shown = [held[key] for key in found[first:last] if key in held]
        return _bundle(request, total=total, entries=shown, links=links)

    def metadata(self, request: Request) -> Response:
        """What the server can do; anybody may ask."""
        parameters = [
            {"name": "_id", "type": "token"}, {"name": "_lastUpdated", "type": "date"},
            {"name": "status", "type": "token"}, {"name": "subject", "type": "reference"},
        ]  # fmt: skip
        resources = [
            {"type": kind, "interaction": [{"code": "read"}, {"code": "search-type"}], "searchParam": parameters}
            for kind in TYPES
        ]
        export = {"name": "export", "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export"}
        return JSONResponse(
            {
                "resourceType": "CapabilityStatement",
                "status": "active",
                "date": instant(records_of(*_key(self._town())).at),
                "kind": "instance",
                "fhirVersion": "4.0.1",
                "format": ["json"],
                "instantiates": ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"],
                "rest": [{"mode": "server", "resource": resources, "operation": [export]}],
            },
            media_type=FHIR_JSON,
        )


def _key(town: Town) -> tuple[int, float, int]:
    return town.seed, town.scale, town.day


def _base(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}/fhir"


def _remember(kept: OrderedDict[str, Any], name: str, value: Any) -> None:
    kept[name] = value
    while len(kept) > KEPT:
        kept.popitem(last=False)


def _recorded(town: Town, types: Iterable[str]) -> dict[str, list[bytes]]:
    """Lines of the files that are served in place of synthetic resources, as they are."""
    paths = {kind: town.recorded[RECORDED[kind]] for kind in types if RECORDED[kind] in town.recorded}
    return {kind: path.read_bytes().split(b"\n") for kind, path in paths.items()}


async def _parameters(request: Request) -> dict[str, str]:
    """Parameters of a kick-off: of the address, or a Parameters resource in the body."""
    given: dict[str, str] = {}
    for key, value in request.query_params.multi_items():
        given[key] = f"{given[key]},{value}" if key in given else value
    if request.method == "POST" and (body := await request.body()):
        resource = _parsed(body)
        if not isinstance(resource, dict) or resource.get("resourceType") != "Parameters":
            raise Problem(400, "structure", "the body is not a Parameters resource")
        for parameter in resource.get("parameter", []):
            value = next(
                (
                    str(text).lower() if isinstance(text, bool) else str(text)
                    for key, text in parameter.items()
                    if key.startswith("value")
                ),
                "",
            )
            key = parameter["name"]
            given[key] = f"{given[key]},{value}" if key in given else value
    return given


def _fits(resource: Resource, key: str, value: str) -> bool:
    """Whether a resource fits a parameter of a search; one that the server does not know does not narrow it."""
    if key == "_id":
        return resource["id"] in value.split(",")
    if key == "status":
        return resource.get("status") in value.split(",")
    if key in ("subject", "patient"):
        reference = resource.get("subject", {}).get("reference", "")
        return any(reference.rstrip("/").endswith(one.rpartition("/")[2]) for one in value.split(","))
    if key == "_lastUpdated":
        prefix, text = (value[:2], value[2:]) if value[:2] in _PREFIXES else ("eq", value)
        changed = resource.get("meta", {}).get("lastUpdated")
        return changed is not None and _PREFIXES[prefix](datetime.fromisoformat(changed), _moment(text, key))
    return True


def _sort(resources: list[Resource], by: str) -> None:
    keys: dict[str, Callable[[Resource], Any]] = {
        "_id": lambda one: one["id"],
        "_lastUpdated": lambda one: (_moment(one.get("meta", {}).get("lastUpdated", "1970-01-01"), by), one["id"]),
    }
    name = by.removeprefix("-")
    if name not in keys:
        raise Problem(400, "not-supported", f"results are sorted by {' or '.join(keys)}")
    resources.sort(key=keys[name], reverse=by.startswith("-"))


def _bundle(request: Request, *, total: int | None, entries: list[Resource] | None, links: dict[str, str]) -> Response:
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if total is not None:
        bundle["total"] = total
    if links:
        bundle["link"] = [{"relation": relation, "url": url} for relation, url in links.items()]
    if entries is not None:
        bundle["entry"] = [
            {
                "fullUrl": f"{_base(request)}/{one['resourceType']}/{one['id']}",
                "resource": one,
                "search": {"mode": "match"},
            }
            for one in entries
        ]
    return JSONResponse(bundle, media_type=FHIR_JSON)


def _explained(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return JSONResponse(outcome("error", error.code, str(error)), error.status, media_type=FHIR_JSON)


def routes(town: TownNow) -> list[BaseRoute]:
    """The server's routes below /fhir. `town` is asked at each request."""
    server = _Server(town)

    def answering(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        async def answer(request: Request) -> Response:
            try:
                if inspect.iscoroutinefunction(endpoint):
                    return cast(Response, await endpoint(request))
                return cast(Response, await run_in_threadpool(endpoint, request))
            except Problem as error:
                return _explained(request, error)

        return answer

    def route(path: str, endpoint: Callable[..., Any], *methods: str) -> Route:
        return Route(f"/fhir{path}", answering(endpoint), methods=methods or ("GET",))

    return [
        route("/metadata", server.metadata),
        route("/.well-known/smart-configuration", server.configuration),
        route("/auth/token", server.token, "POST"),
        route("/$export", server.kick_off, "GET", "POST"),
        route("/Patient/$export", server.kick_off, "GET", "POST"),
        route("/Group/{group}/$export", server.kick_off, "GET", "POST"),
        route("/bulk/{job}", server.status, "GET", "DELETE"),
        route("/bulk/{job}/{file}.ndjson", server.file),
        route("/{kind}/_search", server.search, "POST"),
        route("/{kind}/{key}", server.read),
        route("/{kind}", server.search),
    ]
