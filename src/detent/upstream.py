"""Sends legs to providers: the one place where bytes leave for the internet. aiohttp's pooled client is behind this seam and nowhere else.

Live traffic and mirrored legs have an `Upstream` each, in processes of their own, so that a shadow that hangs takes nothing from a user.
Every address is built here from the pin file and the request's own path; an answer that points elsewhere is not followed. Every fault
becomes an `UpstreamError`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import aiohttp
from yarl import URL

from detent.terms import Outcome, Provider

CONNECT_SECONDS = 5.0
"""TCP and TLS together take well under a second anywhere; the official SDKs give up after 5 s as well."""

READ_SECONDS = 600.0
"""To the first byte and between any two reads: what the official SDKs wait. A gateway that is less patient breaks what works without it."""

KEEP_ALIVE_SECONDS = 30.0
HEADER_BYTES = 64 * 1024

_AUTOMATIC = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


def event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop that a process serves and asks on; None for Python's own."""
    if os.name == "nt":
        return None
    import uvloop

    return uvloop.new_event_loop


class UpstreamError(Exception):
    """A leg that failed. The message and `code` (a slug) are fit for the client; what exactly happened is the cause, for the record."""

    def __init__(self, outcome: Outcome, code: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.code = code
        self.status = status

    @property
    def detail(self) -> str:
        """Message and cause."""
        return f"{self}: {self.__cause__}" if self.__cause__ is not None and str(self.__cause__) else str(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request as it goes out. `path` and `query` are as the client sent them, still encoded."""

    provider: Provider
    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes


class Reply:
    """An answer that has begun. Use as a context manager: leaving it gives the connection back, or closes it if bytes are left."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.raw_headers
        self.content_type = response.headers.get("content-type", "").lower()
        self.encoding = response.headers.get("content-encoding", "").strip().lower()
        connection = response.connection  # None once the body has come whole
        self._closed = connection.protocol.closed if connection is not None and connection.protocol is not None else None
        self.ends_by_close = not {"content-length", "transfer-encoding"} & {name.lower() for name in response.headers}

    async def read(self) -> bytes:
        """What has arrived since the last read, at least one byte; empty at the end. Raises UpstreamError if it breaks off."""
        try:
            return await self._response.content.readany()
        except TimeoutError as error:
            raise UpstreamError(Outcome.TIMED_OUT, "upstream_timeout", "the provider has stopped sending") from error
        except (aiohttp.ClientError, OSError, RuntimeError) as error:  # RuntimeError: the connection was closed between two reads
            raise UpstreamError(Outcome.UPSTREAM_TRUNCATED, "upstream_truncated", "the provider's answer broke off") from error

    def _lost(self, closed: asyncio.Future[None]) -> None:
        """The connection is gone. Trap: after a broken chunk aiohttp closes it without a word to who is waiting for the body, for ever."""
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection was closed in mid-answer"))

    def __enter__(self) -> Reply:
        if self._closed is not None:
            self._closed.remove_done_callback(_noticed)  # one is enough, however often a connection is used
            self._closed.add_done_callback(_noticed)
            self._closed.add_done_callback(self._lost)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._lost)
        self._response.close()  # of an answer that came whole the connection is back in the pool already


class Upstream:
    """The client side of a process that calls providers: a pool of connections. Start and close it in the event loop that uses it."""

    def __init__(self, *, connect_s: float = CONNECT_SECONDS, read_s: float = READ_SECONDS) -> None:
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_s, sock_read=read_s)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Opens the pool."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_AUTOMATIC,
            timeout=self._timeout,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
        )

    async def close(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            await self._session.close()

    async def send(self, out: Outgoing) -> Reply:
        """Sends a request and returns as soon as the answer's headers are there. Raises UpstreamError; a redirect is one."""
        if self._session is None:
            raise UpstreamError(Outcome.CONNECT_FAILED, "upstream_unreachable", "the gateway is not started")
        try:
            response = await self._session.request(
                out.method, address(out), headers=out.headers, data=out.body or None, allow_redirects=False, timeout=self._timeout
            )
        except TimeoutError as error:
            raise _timed_out(error) from error
        except aiohttp.ClientResponseError as error:
            raise UpstreamError(Outcome.MALFORMED, "upstream_malformed", "the provider's answer is no HTTP") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UpstreamError(Outcome.CONNECT_FAILED, "upstream_unreachable", "the provider is not reachable") from error
        if 300 <= response.status < 400 and response.status != 304:
            response.close()
            raise UpstreamError(
                Outcome.HTTP_ERROR, "upstream_redirect", "the provider redirects, which is not followed", status=response.status
            )
        if not 200 <= response.status < 600:
            response.close()
            raise UpstreamError(Outcome.MALFORMED, "upstream_malformed", f"the provider's status is none: `{response.status}`")
        return Reply(response)


def address(out: Outgoing) -> URL:
    """Where a request goes: the provider's base and the request's path, in which a version that both have stands once.

    `https://api.openai.com/v1` and `/v1/chat/completions` meet at `https://api.openai.com/v1/chat/completions`. Nothing is encoded again.
    """
    base, path = out.provider.base_url.rstrip("/"), out.path
    last, first = base.rpartition("/")[2], path.lstrip("/").partition("/")[0]
    if last == first and first.startswith("v1"):
        path = path.lstrip("/").removeprefix(first)
    return URL(f"{base}{path}?{out.query}" if out.query else f"{base}{path}", encoded=True)


def _noticed(closed: asyncio.Future[None]) -> None:
    """Takes note of how an idle connection ended, or the loop would complain that nobody did."""
    if not closed.cancelled():
        closed.exception()


def _timed_out(error: TimeoutError) -> UpstreamError:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamError(Outcome.CONNECT_FAILED, "upstream_unreachable", "the provider takes no connection in time")
    return UpstreamError(Outcome.TIMED_OUT, "upstream_timeout", "the provider has not answered in time")
