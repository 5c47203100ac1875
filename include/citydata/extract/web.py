"""HTTP to a source: patient, polite, and sure of having received the whole answer.

What is worth asking again is asked again (RFC 9110): 429 and 5xx, broken connections, cut bodies, and an answer that the
protocol knows to be wrong although its status is right. A pause that the source asks for holds for all tasks.
"""

import email.utils
import json
import random
import tempfile
import time
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import UTC, datetime
from typing import IO, Any, cast
from urllib.parse import urlsplit, urlunsplit

import requests
import tenacity
from requests.structures import CaseInsensitiveDict

from citydata import settings, town
from citydata.connector_options import HttpOptions
from citydata.extract import SourceError, pace

CHUNK = 1 << 20
IN_MEMORY = 8 << 20
"""Bytes of an answer that are kept in memory; longer ones go to a nameless file."""
AGAIN = frozenset({429, 500, 502, 503, 504})
LONGEST_PAUSE = 120.0
"""Seconds of pause that a task waits out; for longer ones it ends, and the scheduler tries again later."""

Parameters = Mapping[str, str | Sequence[str]]


class Unfit(Exception):
    """An answer is not what was asked for, although its status says so: an exception report, a page of a proxy, a part."""


class _Again(Exception):
    """Why a request is sent again, and how long the source wants it to wait."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class Answer:
    """A complete answer. The body is decoded (gzip) and lies in a spooled file."""

    def __init__(self, response: requests.Response, body: IO[bytes], size: int) -> None:
        self.url = response.url
        self.status = response.status_code
        self.reason = response.reason or ""
        self.headers: Mapping[str, str] = CaseInsensitiveDict(response.headers)
        self.bytes = size
        self._body = body

    @property
    def content_type(self) -> str:
        """Media type with its parameters; empty when the source gives none."""
        return self.headers.get("Content-Type", "")

    @property
    def server_time(self) -> datetime:
        """The source's clock, to the second; ours when it does not tell."""
        try:
            return email.utils.parsedate_to_datetime(self.headers["Date"]).astimezone(UTC)
        except (KeyError, ValueError):
            return datetime.now(UTC).replace(microsecond=0)

    def open(self) -> IO[bytes]:
        """The body from its start."""
        self._body.seek(0)
        return self._body

    def read(self) -> bytes:
        """The whole body."""
        return self.open().read()

    def json(self) -> Any:
        """The body as JSON. Raises Unfit when it is none: cut, or a page that a proxy put in its place."""
        try:
            return json.loads(self.read())
        except ValueError:
            raise Unfit(f"the answer is not JSON but {self.content_type or 'of no type'}") from None


class Session:
    """Asks one source. The address is the connection's; a login in it becomes HTTP Basic authentication."""

    def __init__(self, dataset: str, options: HttpOptions) -> None:
        self.dataset, self.options = dataset, options
        parts = urlsplit(settings.source_url(options.connection))
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        where = f"{host}:{parts.port}" if parts.port else host
        self.base = urlunsplit((parts.scheme, where, parts.path.rstrip("/"), "", ""))
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"citydata/1.0 ({town.load().name_fi}; data platform)"
        # Not the session's: an answer may lead to another server, which must not be told the login.
        self._login = (parts.username, parts.password or "") if parts.username is not None else None

    def leads_here(self, address: str) -> bool:
        """Whether an address is one of this source: of the same scheme, host and port."""
        return _origin(address) == _origin(self.base)

    def get(
        self,
        where: str,
        params: Parameters | None = None,
        *,
        accept: str | None = None,
        headers: Mapping[str, str] | None = None,
        check: Callable[[Answer], None] | None = None,
        statuses: Container[int] = (200,),
    ) -> Answer:
        """Ask for a path below the base, or an absolute address of the source. See `send`."""
        return self.send("GET", where, params, accept=accept, headers=headers, check=check, statuses=statuses)

    def send(
        self,
        method: str,
        where: str,
        params: Parameters | None = None,
        *,
        data: Callable[[], Mapping[str, str]] | None = None,
        accept: str | None = None,
        headers: Mapping[str, str] | None = None,
        check: Callable[[Answer], None] | None = None,
        statuses: Container[int] = (200,),
    ) -> Answer:
        """Send a request until its answer is whole and `check`, which raises Unfit, lets it pass.

        `data` gives the fields of a form, anew for each attempt: what is signed for one request is refused in another.
        Raises SourceError, naming path and status but no value of a parameter, when the source refuses or goes on failing.
        """
        url = where if "://" in where else f"{self.base}/{where.lstrip('/')}" if where else self.base
        path = urlsplit(url).path
        wanted = {"Accept": accept} if accept else {}

        def attempt() -> Answer:
            answer = self._once(method, url, params, data and data(), {**wanted, **(headers or {})}, statuses)
            if check:
                try:
                    check(answer)
                except Unfit as error:
                    raise _Again(str(error)) from None
            return answer

        try:
            return tenacity.Retrying(
                retry=tenacity.retry_if_exception_type(_Again),
                stop=tenacity.stop_after_attempt(self.options.attempts),
                wait=self._pause,
                sleep=time.sleep,
                reraise=True,
            )(attempt)
        except _Again as error:
            raise SourceError(
                f"“{self.options.connection}” {method} {path} failed {self.options.attempts} times: {error}"
            ) from None

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Seconds to wait: what the source asks for, else longer each time, with some chance so that tasks do not meet again."""
        error = cast(_Again, state.outcome and state.outcome.exception())
        if error.pause is not None:
            pace.postpone(self.options.connection, error.pause)
            return error.pause
        return min(0.25 * 2**state.attempt_number, 30) * random.uniform(0.5, 1)  # noqa: S311 - no secret

    def _once(
        self,
        method: str,
        url: str,
        params: Parameters | None,
        data: Mapping[str, str] | None,
        headers: Mapping[str, str],
        statuses: Container[int],
    ) -> Answer:
        pace.wait(self.options.connection, self.options.requests_per_second)
        timeout = self.options.timeout_seconds
        try:
            with self._session.request(
                method,
                url,
                params=params,
                data=data,
                headers=headers,
                timeout=timeout,
                stream=True,
                auth=self._login if self.leads_here(url) else None,
            ) as response:
                if response.status_code not in statuses:
                    self._refuse(response)
                return self._received(response)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise _Again(type(error).__name__) from None
        except requests.exceptions.ContentDecodingError:
            raise _Again("the compressed answer is damaged") from None
        except requests.RequestException as error:
            raise SourceError(f"“{self.options.connection}” cannot be asked ({type(error).__name__})") from None

    def _received(self, response: requests.Response) -> Answer:
        body = cast(IO[bytes], tempfile.SpooledTemporaryFile(max_size=IN_MEMORY))  # noqa: SIM115 - lives with the answer
        size = 0
        for chunk in response.iter_content(CHUNK):
            size += len(chunk)
            if size > self.options.max_bytes:
                raise SourceError(
                    f"“{self.options.connection}” sent more than {self.options.max_bytes} bytes (max_bytes of the contract)"
                )
            body.write(chunk)
        return Answer(response, body, size)

    def _refuse(self, response: requests.Response) -> None:
        status = f"{response.status_code} {response.reason}"
        if response.status_code in AGAIN:
            pause = retry_after(response.headers.get("Retry-After"))
            if pause is not None and pause > LONGEST_PAUSE:
                pace.postpone(self.options.connection, pause)
                raise SourceError(f"“{self.options.connection}” answers {status} and asks to wait {pause:.0f} s")
            raise _Again(status, pause)
        advice = {
            401: "check the login of the connection",
            403: "check the rights of the connection's login, and whether the source blocks this network",
            404: "check the address of the connection and the path in the contract",
            410: "what was asked for is gone; it is asked for anew by the next run",
        }.get(response.status_code, "the request is not what the source expects")
        path = urlsplit(response.url).path
        raise SourceError(f"“{self.options.connection}” answers {status} for {path}: {advice}")


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which gives seconds or a date; None when it gives neither."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
